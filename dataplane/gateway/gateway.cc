// Start and stop: access log, cores, ports, a proxy on each core, the management endpoint, and back.
#include "gateway/gateway.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <csignal>

#include "ctrl/admin/server.h"
#include "ctrl/control/mesh_loader.h"
#include "ctrl/host/ephemeral.h"
#include "ctrl/host/finding.h"
#include "gateway/setup.h"

namespace sluice::gateway {

namespace {

void log(control::Revisions::Level level, const std::string& text) {
    switch (level) {
        case control::Revisions::Level::kInfo: spdlog::info("{}", text); break;
        case control::Revisions::Level::kWarning: spdlog::warn("{}", text); break;
        case control::Revisions::Level::kError: spdlog::error("{}", text); break;
    }
}

}  // namespace

Gateway::Gateway(host::GatewayHost host)
    : host_(std::move(host)), hardening_(host_), cores_(worker_cores(host_)), publisher_(static_cast<uint32_t>(cores_.size())),
      ticket_keys_(host_.tls.tickets ? std::make_shared<tls::TicketKeys>(host_.tls.ticket_lifetime.us / 1'000'000) : nullptr),
      history_({.directory = host_.state.directory, .revisions_max = host_.state.revisions}, log),
      loader_(host_.mesh.directory, shown_directory(host_), proxy_node(host_)),
      revisions_([this] { return loader_.load(); },
                 [this](const auto& resources, uint64_t revision, const auto& hash) { return apply(resources, revision, hash); },
                 [this] { return live_everywhere(); }, log),
      editor_({.directory = host_.mesh.directory, .shown_as = shown_directory(host_),
               .validate = [this](source::FileSetPtr files) { return validate(std::move(files)); }}, revisions_, history_),
      handshake_log_([](const std::string& line) { spdlog::warn("{}", line); }) {}

std::unique_ptr<worker::Application> Gateway::make_proxy(worker::Worker& worker) {
    const uint32_t index = worker.index();
    proxy::CoreConfig config;
    config.core = index;
    config.tcp = tcp_options(host_);
    config.connections_max = std::max(host_.limits.connections / host_.workers.count, 64u);
    config.upstream_connections_max = config.connections_max;
    config.streams_max = config.connections_max;
    config.arrivals_max = std::min(config.connections_max, config.arrivals_max);
    config.handshake_threads = handshakes_.get();
    config.cpu = static_cast<int>(cores_[index]);
    config.arena_chunks = 4 * config.streams_max;
    auto proxy = std::make_unique<proxy::Proxy>(config, worker.tcp(), publisher_.reader(index), worker.pool(), worker.nodes(),
                                                *stats_[index], access_log_ ? rings_[index].get() : nullptr, worker.stages(),
                                                draining_);
    if (auto confined = hardening_.confine_worker(); !confined) {
        spdlog::critical("worker {}: {}", index, confined.error());
        return nullptr;
    }
    proxies_[index].store(proxy.get());
    return proxy;
}

/// A new cluster, endpoint, listener or route does not begin with the counters of a deleted one.
void Gateway::reset_counters_of_reused_ids() {
    using Kind = snapshot::Publisher::IdKind;
    auto reset = [this](Kind kind, void (telemetry::CoreStats::*what)(uint32_t)) {
        publisher_.on_id_reuse(kind, [this, what](uint32_t id) {
            for (auto& stats : stats_) (stats.get()->*what)(id);
        });
    };
    reset(Kind::kListener, &telemetry::CoreStats::reset_listener);
    reset(Kind::kCluster, &telemetry::CoreStats::reset_cluster);
    reset(Kind::kEndpoint, &telemetry::CoreStats::reset_endpoint);
    reset(Kind::kRoute, &telemetry::CoreStats::reset_route);
    publisher_.on_id_reuse(Kind::kDestination, [this](uint32_t id) {
        series_.forget(id, [this](uint32_t place) {
            for (auto& stats : stats_) stats->reset_request_cell(place);
        });
    });
}

/// The telemetry thread runs also without a file: sluicectl log tail reads along.
Result<void> Gateway::open_access_log() {
    telemetry::AccessLogWriter::Options options;
    options.path = host_.access_log.path;   // empty: for those who follow it alone
    using Format = host::AccessLog::Format;
    if (host_.access_log.format == Format::kJson) own_log_.format = telemetry::AccessLogFormat::json();
    if (host_.access_log.format == Format::kCustom) own_log_.format = *host_.access_log.parsed;
    own_log_.path = host_.access_log.path;
    if (!own_log_.path.empty()) {
        auto set = telemetry::AccessLogSet::make({{own_log_.path, own_log_.format}});
        if (!set) return std::unexpected(set.error());
        own_log_.set = std::move(*set);
    }
    std::vector<telemetry::AccessLogRing*> rings;
    for (auto& ring : rings_) rings.push_back(ring.get());
    recent_log_ = std::make_unique<admin::RecentLog>(rings);
    options.also = [this](const telemetry::AccessLogEntry& entry) { recent_log_->add(entry); };
    auto writer = telemetry::AccessLogWriter::open(std::move(options), std::move(rings), [](const std::string& text, bool error) {
        error ? spdlog::error("{}", text) : spdlog::info("{}", text);
    });
    if (!writer) return std::unexpected(writer.error());
    access_log_ = std::move(*writer);
    if (own_log_.set)
        if (auto used = access_log_->use(own_log_.set); !used) return used;
    access_log_->start();
    return {};
}

Result<void> Gateway::open() {
    if (std::string wrong = wrong_handshake_cores(host_); !wrong.empty()) return std::unexpected(std::move(wrong));
    keep_off(cores_);
    reset_counters_of_reused_ids();
    for (size_t i = 0; i < cores_.size(); i++) {
        stats_.push_back(std::make_unique<telemetry::CoreStats>(telemetry::StatLimits(), &series_));
        rings_.push_back(std::make_unique<telemetry::AccessLogRing>());
    }
    if (auto prepared = hardening_.prepare(); !prepared) return prepared;
    auto setup = crew_setup(host_, cores_);
    const auto ephemeral = host::ephemeral_ports(host_, host::kernel_ephemeral_ports());
    if (!ephemeral) return std::unexpected(ephemeral.error());
    setup.tcp.port_first = ephemeral->first, setup.tcp.port_last = ephemeral->last;
    setup.privileged = hardening_.privileged();
    auto crew = worker::Crew::open(setup);
    if (!crew) return std::unexpected(crew.error());
    crew_ = std::move(*crew);
    if (host_.process.core_dumps) crew_->eal().keep_out_of_dumps();
    // From here on as the gateway's user: what it opens now it can open again later.
    if (auto settled = hardening_.settle(); !settled) return settled;
    if (auto opened = open_access_log(); !opened) return opened;
    captures_ = std::make_unique<Captures>(*crew_, std::any_of(host_.ports.begin(), host_.ports.end(), [](const auto& p) { return p.vlan != 0; }));
    handshakes_ = std::make_unique<tls::HandshakeThreads>(handshake_threads(host_, cores_));
    return crew_->launch([this](worker::Worker& worker) { return make_proxy(worker); });
}

int Gateway::run() {
    control::Signals signals{SIGTERM, SIGINT, SIGHUP};
    std::signal(SIGPIPE, SIG_IGN);
    if (auto opened = open(); !opened) {
        spdlog::critical("the gateway cannot start\n{}", render(host::start_failure(host_.file, opened.error())));
        return kUnusable;
    }
    source::DirectoryWatcher watcher(host_.mesh.directory);
    const admin::Handler handler(sources());
    auto server = admin::Server::start({.socket = host_.admin.socket, .http = host_.admin.http}, handler);
    if (!server) {
        spdlog::critical("the gateway cannot start\n{}", render(host::start_failure(host_.file, server.error())));
        return kUnusable;
    }
    if (!host_.tls.key_log.empty()) spdlog::warn("TLS KEYS ARE LOGGED to {}: whoever reads it can read all traffic. Remove tls.keyLog when the trace is taken", host_.tls.key_log);
    for (const auto& port : ports())
        spdlog::info("port {} {} {} queue{} {}", port.name, port.device, port.queues, port.queues == 1 ? "" : "s",
                     fmt::join(port.addresses, " "));
    control_loop(signals, watcher);
    calls_.close();
    control::notify_service_manager("STOPPING=1");
    (*server)->stop();
    crew_->stop();
    if (access_log_) access_log_->stop();
    spdlog::info("stopped");
    return kOk;
}

}  // namespace sluice::gateway
