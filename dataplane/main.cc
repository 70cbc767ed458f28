// sluiced: the gateway. The one file that knows both halves: reads the operator's file, opens cores and ports, starts a proxy on each core,
// and then is the control thread: mesh config in, snapshots out, until told to stop.
// Owns everything; what workers use is destroyed after they ended.
#include <fcntl.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <vector>

#include "ctrl/admin/server.h"
#include "ctrl/admin/sources.h"
#include "ctrl/apply/apply.h"
#include "ctrl/control/mesh_loader.h"
#include "ctrl/control/process.h"
#include "ctrl/control/revisions.h"
#include "ctrl/control/watchdog.h"
#include "ctrl/host/ephemeral.h"
#include "ctrl/host/gateway_host.h"
#include "ctrl/source/directory.h"
#include "proxy/proxy.h"
#include "snapshot/snapshot.h"
#include "telemetry/access_log_writer.h"
#include "telemetry/core_stats.h"
#include "worker/crew.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kOk = 0, kFindings = 1, kUnusable = 2;

// ---- From the operator's file to what each part wants ----

translate::ProxyNode proxy_node(const host::GatewayHost& host) {
    translate::ProxyNode node{.id = host.node.id, .ns = host.node.ns, .labels = {}, .locality = host.node.locality,
                              .listen_addresses = {}, .access_log_path = host.access_log.path,
                              .access_log_json = host.access_log.format == host::AccessLog::Format::kJson};
    for (const auto& [key, value] : host.node.labels) node.labels[key] = value;
    for (const auto& port : host.ports)
        if (port.listen)
            for (const auto& prefix : port.addresses) node.listen_addresses.push_back(prefix.address.to_string());
    return node;
}

/// Pools are sized from memory.limit: half of it for frames, the rest for connections, streams and tables.
uint32_t mbufs_per_core(const host::GatewayHost& host) {
    constexpr uint64_t kMbufBytes = 2560;
    const uint64_t each = host.memory.limit_bytes / 2 / kMbufBytes / host.workers.count;
    return static_cast<uint32_t>(std::clamp<uint64_t>(each, 8192, 524288));
}

worker::CrewSetup crew_setup(const host::GatewayHost& host, const std::vector<unsigned>& cores) {
    worker::CrewSetup setup;
    setup.eal.cores = cores;
    setup.eal.mbufs_per_core = mbufs_per_core(host);
    switch (host.memory.hugepages) {
        case host::Memory::Hugepages::kAuto: setup.eal.hugepages = worker::Hugepages::kAuto; break;
        case host::Memory::Hugepages::kRequire: setup.eal.hugepages = worker::Hugepages::kRequire; break;
        case host::Memory::Hugepages::kNever: setup.eal.hugepages = worker::Hugepages::kNever; break;
    }
    for (const auto& port : host.ports) {
        setup.eal.ports.push_back({.name = port.name, .device = port.device, .mtu = port.mtu, .exception = port.exception});
        net::PortConfig config;
        config.name = port.name;
        config.addresses = port.addresses;
        for (const auto& route : port.routes) config.routes.push_back({.to = route.to, .via = route.via});
        config.mtu = port.mtu;
        config.vlan = port.vlan;
        config.strict_reverse_path = port.reverse_path == host::Port::ReversePath::kStrict;
        config.detect_duplicates = port.duplicate_detection;
        setup.ports.push_back(std::move(config));
    }
    setup.tcp.connections_max = 2 * host.limits.connections / host.workers.count + 1024;  // downstream and upstream
    setup.poll.busy = host.workers.poll == host::Workers::Poll::kBusy;
    setup.slice_nodes = 2 * setup.eal.mbufs_per_core;
    return setup;
}

std::vector<unsigned> worker_cores(const host::GatewayHost& host) {
    if (!host.workers.cores.empty()) return {host.workers.cores.begin(), host.workers.cores.end()};
    std::vector<unsigned> cores;
    cpu_set_t allowed;
    sched_getaffinity(0, sizeof allowed, &allowed);
    // From the last CPU down: the first ones carry interrupts and everything else of the machine.
    for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && cores.size() < host.workers.count; cpu--)
        if (CPU_ISSET(cpu, &allowed)) cores.push_back(static_cast<unsigned>(cpu));
    return cores;
}

// ---- Configuration ----

std::vector<Diagnostic> as_diagnostics(const std::vector<apply::Nack>& nacks) {
    std::vector<Diagnostic> diagnostics;
    for (const auto& nack : nacks) diagnostics.push_back(apply::to_diagnostic(nack));
    return diagnostics;
}

/// Reads the file and says what is wrong with it. Empty: unusable, already told.
std::optional<host::GatewayHost> read_host(const std::string& path) {
    auto reading = host::read_file(path);
    if (!reading.diagnostics.empty()) fmt::print(stderr, "{}", render(reading.diagnostics, 1));
    return reading.host;
}

std::string shown_directory(const host::GatewayHost& host) {
    return std::filesystem::path(host.mesh.directory).lexically_normal().filename().string();
}

/// --check: everything the file refers to, without touching a device.
int check(const std::string& path) {
    auto host = read_host(path);
    if (!host) return std::filesystem::exists(path) ? kFindings : kUnusable;
    auto loaded = control::load_mesh(host->mesh.directory, shown_directory(*host), proxy_node(*host));
    if (!loaded) {
        fmt::print(stderr, "{}", render(loaded.error().diagnostics, loaded.error().files));
        return kFindings;
    }
    snapshot::Publisher publisher(1);
    auto snapshot = apply::build(*loaded->resources, nullptr, publisher, 1, loaded->content_hash);
    if (!snapshot) {
        fmt::print(stderr, "{}", render(as_diagnostics(snapshot.error()), loaded->files));
        return kFindings;
    }
    if (!loaded->warnings.empty()) fmt::print(stderr, "{}", render(loaded->warnings, loaded->files));
    // The kernel's range is this machine's, which need not be the gateway's: told, not refused.
    if (const auto ephemeral = host::ephemeral_ports(*host, host::kernel_ephemeral_ports()); !ephemeral)
        fmt::print(stderr, "{}: warning SLC0011: {}\n", path, ephemeral.error());
    size_t routes = 0;
    for (const auto& table : (*snapshot)->routes)
        for (const auto& virtual_host : table->virtual_hosts()) routes += virtual_host.routes.size();
    fmt::print("ok: {} mesh file{}, {} listener{}, {} route{}, {} cluster{}\n", loaded->files, loaded->files == 1 ? "" : "s",
               (*snapshot)->listeners.size(), (*snapshot)->listeners.size() == 1 ? "" : "s", routes, routes == 1 ? "" : "s",
               loaded->resources->clusters.size(), loaded->resources->clusters.size() == 1 ? "" : "s");
    return kOk;
}

Diagnostic no_room() {
    Diagnostic diagnostic;
    diagnostic.code = "SLC0401";
    diagnostic.message = "no room for another revision: requests in progress hold too many parts of older ones";
    diagnostic.cure = "write the file again when they have ended";
    return diagnostic;
}

// ---- The running gateway ----

class Gateway {
 public:
    explicit Gateway(host::GatewayHost host)
        : host_(std::move(host)), cores_(worker_cores(host_)), publisher_(static_cast<uint32_t>(cores_.size())),
          revisions_([this] { return control::load_mesh(host_.mesh.directory, shown_directory(host_), proxy_node(host_)); },
                     [this](const auto& resources, uint64_t revision, const auto& hash) { return apply(resources, revision, hash); },
                     [this] { return live_everywhere(); },
                     [](control::Revisions::Level level, const std::string& text) { log(level, text); }) {}

    int run();

 private:
    static void log(control::Revisions::Level level, const std::string& text) {
        switch (level) {
            case control::Revisions::Level::kInfo: spdlog::info("{}", text); break;
            case control::Revisions::Level::kWarning: spdlog::warn("{}", text); break;
            case control::Revisions::Level::kError: spdlog::error("{}", text); break;
        }
    }
    std::expected<void, std::vector<Diagnostic>> apply(const xds::ResourceSet& resources, uint64_t revision, const std::string& hash);
    void adopt_compiled();
    bool live_everywhere() const;
    void reset_counters_of_reused_ids();
    Result<void> open();
    std::unique_ptr<worker::Application> make_proxy(worker::Worker& worker);
    admin::Sources sources();
    std::vector<admin::WorkerRuntime> runtime() const;
    std::vector<admin::PortState> ports() const;
    void tell_conflicts();
    void control_loop(control::Signals& signals, source::DirectoryWatcher& watcher);
    bool drained() const;
    control::Watchdog make_watchdog() const;
    bool cores_turn(control::Watchdog& watchdog) const;

    const host::GatewayHost host_;
    const std::vector<unsigned> cores_;
    const std::chrono::system_clock::time_point started_ = std::chrono::system_clock::now();
    snapshot::Publisher publisher_;
    std::vector<std::unique_ptr<telemetry::CoreStats>> stats_;
    std::vector<std::unique_ptr<telemetry::AccessLogRing>> rings_;
    std::unique_ptr<telemetry::AccessLogWriter> access_log_;
    std::atomic<bool> draining_{false};
    std::atomic<bool> stopping_{false};   // told to end: a drain is not taken back any more
    std::vector<std::atomic<const proxy::Proxy*>> proxies_{cores_.size()};
    std::unique_ptr<worker::Crew> crew_;
    admin::TablesHolder tables_;
    control::Revisions revisions_;
    std::vector<std::string> conflicts_;   // of addresses, as last told
    std::atomic<uint64_t> waiting_{0};   // snapshots << 32 | parts not yet retired
};

std::expected<void, std::vector<Diagnostic>> Gateway::apply(const xds::ResourceSet& resources, uint64_t revision,
                                                            const std::string& hash) {
    auto snapshot = apply::build(resources, publisher_.current(), publisher_, revision, hash);
    if (!snapshot) return std::unexpected(as_diagnostics(snapshot.error()));
    if (!publisher_.publish(std::move(*snapshot))) return std::unexpected(std::vector{no_room()});
    tables_.set(*publisher_.current());
    return {};
}

/// Regexes that were new ran without Hyperscan; once they are compiled the same revision is published again with them.
void Gateway::adopt_compiled() {
    const auto* current = publisher_.current();
    if (!current || !apply::could_adopt(*current)) return;
    const auto in_force = revisions_.state().in_force;
    if (in_force.revision != current->revision) return;
    auto snapshot = apply::build(*in_force.resources, current, publisher_, in_force.revision, in_force.content_hash);
    if (snapshot && publisher_.publish(std::move(*snapshot))) tables_.set(*publisher_.current());
}

/// Every core works by the newest revision: its listeners are open, its routes are in use.
bool Gateway::live_everywhere() const {
    const uint64_t revision = publisher_.current() ? publisher_.current()->revision : 0;
    for (uint32_t i = 0; i < cores_.size(); i++)
        if (const auto* proxy = proxies_[i].load(); !proxy || proxy->revision() != revision) return false;
    return true;
}

std::unique_ptr<worker::Application> Gateway::make_proxy(worker::Worker& worker) {
    const uint32_t index = worker.index();
    proxy::CoreConfig config;
    config.core = index;
    config.connections_max = std::max(host_.limits.connections / host_.workers.count, 64u);
    config.upstream_connections_max = config.connections_max;
    config.streams_max = config.connections_max;
    config.arena_chunks = 4 * config.streams_max;
    auto proxy = std::make_unique<proxy::Proxy>(config, worker.tcp(), publisher_.reader(index), worker.pool(), worker.nodes(),
                                                *stats_[index], access_log_ ? rings_[index].get() : nullptr, worker.stages(),
                                                draining_);
    proxies_[index].store(proxy.get());
    return proxy;
}

/// Threads started from here on (log, management) stay off the workers' cores, where there are others.
void keep_off(const std::vector<unsigned>& cores) {
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    for (const unsigned core : cores) CPU_CLR(core, &set);
    if (CPU_COUNT(&set) > 0) sched_setaffinity(0, sizeof set, &set);
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
}

Result<void> Gateway::open() {
    keep_off(cores_);
    reset_counters_of_reused_ids();
    for (size_t i = 0; i < cores_.size(); i++) {
        stats_.push_back(std::make_unique<telemetry::CoreStats>());
        rings_.push_back(std::make_unique<telemetry::AccessLogRing>());
    }
    if (!host_.access_log.path.empty()) {
        telemetry::AccessLogWriter::Options options;
        options.path = host_.access_log.path;
        using Format = host::AccessLog::Format;
        if (host_.access_log.format == Format::kJson) options.format = telemetry::AccessLogFormat::json();
        if (host_.access_log.format == Format::kCustom) {
            auto format = telemetry::AccessLogFormat::parse(host_.access_log.custom);
            if (!format) return std::unexpected("accessLog.format: " + format.error().message);
            options.format = std::move(*format);
        }
        std::vector<telemetry::AccessLogRing*> rings;
        for (auto& ring : rings_) rings.push_back(ring.get());
        auto writer = telemetry::AccessLogWriter::open(std::move(options), std::move(rings), [](const std::string& text, bool error) {
            error ? spdlog::error("{}", text) : spdlog::info("{}", text);
        });
        if (!writer) return std::unexpected(writer.error());
        access_log_ = std::move(*writer);
        access_log_->start();
    }
    auto setup = crew_setup(host_, cores_);
    const auto ephemeral = host::ephemeral_ports(host_, host::kernel_ephemeral_ports());
    if (!ephemeral) return std::unexpected(ephemeral.error());
    setup.tcp.port_first = ephemeral->first, setup.tcp.port_last = ephemeral->last;
    auto crew = worker::Crew::open(setup);
    if (!crew) return std::unexpected(crew.error());
    crew_ = std::move(*crew);
    return crew_->launch([this](worker::Worker& worker) { return make_proxy(worker); });
}

int Gateway::run() {
    control::Signals signals{SIGTERM, SIGINT, SIGHUP};
    std::signal(SIGPIPE, SIG_IGN);
    source::DirectoryWatcher watcher(host_.mesh.directory);
    if (auto opened = open(); !opened) {
        spdlog::critical("{}", opened.error());
        return kUnusable;
    }
    const admin::Handler handler(sources());
    auto server = admin::Server::start({.socket = host_.admin.socket, .http = host_.admin.http}, handler);
    if (!server) {
        spdlog::critical("{}", server.error());
        return kUnusable;
    }
    for (const auto& port : ports())
        spdlog::info("port {} {} {} queue{} {}", port.name, port.device, port.queues, port.queues == 1 ? "" : "s",
                     fmt::join(port.addresses, " "));
    control_loop(signals, watcher);
    control::notify_service_manager("STOPPING=1");
    (*server)->stop();
    crew_->stop();
    if (access_log_) access_log_->stop();
    spdlog::info("stopped");
    return kOk;
}

/// Our addresses that other hosts have, by the core that looks after them: "192.0.2.10 is in use by 02:...".
std::vector<std::string> conflicts_of(const worker::Worker& worker, uint8_t port) {
    std::vector<std::string> all;
    for (const net::AddressStatus& a : worker.addresses()) {
        if (a.port != port || (a.state != net::AddressState::kDuplicate && a.state != net::AddressState::kTentative)) continue;
        all.push_back(fmt::format("{} is in use by {:02x}", a.ip.to_string(), fmt::join(a.claimant, ":")));
    }
    return all;
}

void Gateway::tell_conflicts() {
    std::vector<std::string> now;
    for (uint8_t p = 0; p < host_.ports.size(); p++)
        for (const auto& conflict : conflicts_of(crew_->worker(0), p)) now.push_back(fmt::format("port {}: {}", host_.ports[p].name, conflict));
    for (const auto& conflict : now)
        if (std::find(conflicts_.begin(), conflicts_.end(), conflict) == conflicts_.end())
            spdlog::error("{}: not used here; asked for again every 60 to 70 s. Give one of the two another address", conflict);
    for (const auto& conflict : conflicts_)
        if (std::find(now.begin(), now.end(), conflict) == now.end()) spdlog::info("{}: no longer", conflict);
    conflicts_ = std::move(now);
}

bool Gateway::drained() const {
    for (uint32_t i = 0; i < crew_->size(); i++)
        if (const auto* proxy = proxies_[i].load(); proxy && !proxy->drained()) return false;
    return true;
}

control::Watchdog Gateway::make_watchdog() const {
    std::vector<std::string> names;
    for (uint32_t i = 0; i < crew_->size(); i++) names.push_back(fmt::format("worker {} on CPU {}", i, cores_[i]));
    return control::Watchdog(std::move(names), [](const std::string& text, bool stalled) {
        stalled ? spdlog::error("{}", text) : spdlog::info("{}", text);
    });
}

bool Gateway::cores_turn(control::Watchdog& watchdog) const {
    std::vector<uint64_t> turns;
    for (uint32_t i = 0; i < crew_->size(); i++) turns.push_back(crew_->worker(i).counters().turns.get());
    return watchdog.look(turns, steady_clock::now());
}

void Gateway::control_loop(control::Signals& signals, source::DirectoryWatcher& watcher) {
    bool ready = false;
    std::optional<steady_clock::time_point> deadline;   // of the drain
    revisions_.load_and_apply(steady_clock::now());
    const std::stop_source never;
    control::Watchdog watchdog = make_watchdog();
    const auto feed_every = control::service_watchdog_interval();
    auto fed = steady_clock::time_point{};
    while (true) {
        if (cores_turn(watchdog) && feed_every.count() != 0 && steady_clock::now() - fed >= feed_every) {
            fed = steady_clock::now();
            control::notify_service_manager("WATCHDOG=1");
        }
        const bool pending = revisions_.tick();
        tell_conflicts();
        const auto waiting = publisher_.reclaim();
        waiting_.store(uint64_t{waiting.snapshots} << 32 | waiting.parts, std::memory_order_relaxed);
        if (!pending) adopt_compiled();
        if (!ready && !pending && revisions_.state().in_force.live_everywhere) {
            ready = true;
            control::notify_service_manager("READY=1\nSTATUS=serving");
        }
        if (deadline) {
            if (drained()) {
                spdlog::info("drained");
                return;
            }
            if (steady_clock::now() >= *deadline) {
                spdlog::warn("drain deadline passed; closing what is still open");
                return;
            }
        }
        control::wait_readable({signals.fd(), watcher.fd()}, milliseconds(pending ? 1 : deadline ? 10 : 200));
        while (const auto signal = signals.next()) {
            if (*signal == SIGHUP) {
                if (access_log_) access_log_->reopen();
                continue;
            }
            if (deadline) {
                spdlog::warn("told to stop again: stopping at once");
                return;
            }
            spdlog::info("draining: no new connections; at most {} s for what is open (send the signal again to stop at once)",
                         host_.drain_deadline.us / 1'000'000);
            stopping_.store(true, std::memory_order_release);
            draining_.store(true, std::memory_order_release);
            control::notify_service_manager("STATUS=draining");
            deadline = steady_clock::now() + std::chrono::microseconds(host_.drain_deadline.us);
        }
        const auto seen = steady_clock::now();
        if (watcher.wait(never.get_token(), milliseconds(0))) revisions_.load_and_apply(seen);
    }
}

// ---- What operators see ----

std::vector<admin::WorkerRuntime> Gateway::runtime() const {
    std::vector<admin::WorkerRuntime> all;
    for (uint32_t i = 0; i < crew_->size(); i++) {
        const auto& worker = crew_->worker(i);
        const auto& counters = worker.counters();
        admin::WorkerRuntime runtime;
        runtime.core = worker.cpu();
        runtime.cycles_per_s = rte_get_tsc_hz();
        runtime.cycles_total = counters.cycles.get();
        runtime.cycles_busy = counters.busy_cycles.get();
        runtime.turns = counters.turns.get();
        runtime.turns_empty = counters.empty_turns.get();
        runtime.sleeps = counters.sleeps.get();
        if (const auto* proxy = proxies_[i].load()) {
            runtime.requests = proxy->requests();
            runtime.connections = proxy->connections();
        }
        for (size_t s = 0; s < kStages; s++)
            runtime.stages.emplace_back(kStageNames[s], worker.stages().total(static_cast<Stage>(s)));
        runtime.handed_over = counters.handed_over.get(), runtime.taken_over = counters.taken_over.get();
        runtime.handover_dropped = counters.handover_dropped.get(), runtime.rss_mismatch = counters.rss_mismatch.get();
        runtime.mbufs_free = counters.pool_available.get();
        runtime.mbufs_total = crew_->eal().pool(i)->size;
        all.push_back(std::move(runtime));
    }
    return all;
}

std::vector<admin::PortState> Gateway::ports() const {
    std::vector<admin::PortState> all;
    for (uint32_t p = 0; p < host_.ports.size(); p++) {
        const auto& configured = host_.ports[p];
        const auto& info = crew_->eal().ports()[p];
        const auto device = crew_->eal().device_counters(p);
        admin::PortState state{.name = configured.name, .device = configured.device, .addresses = {}, .listen = configured.listen};
        for (const auto& prefix : configured.addresses) state.addresses.push_back(prefix.to_string());
        state.conflicts = conflicts_of(crew_->worker(0), static_cast<uint8_t>(p));
        state.queues = 0;
        for (const auto& queues : info.queues) state.queues += static_cast<uint32_t>(queues.size());
        state.rx_frames = device.rx_frames, state.rx_bytes = device.rx_bytes;
        state.tx_frames = device.tx_frames, state.tx_bytes = device.tx_bytes;
        state.rx_dropped = device.rx_missed + device.rx_no_mbuf, state.rx_errors = device.rx_errors;
        for (uint32_t i = 0; i < crew_->size(); i++) state.tx_dropped += crew_->worker(i).port(p).counters().tx_dropped.get();
        if (const auto* exception = crew_->exception(p)) {
            state.exception = exception->name;
            state.to_kernel = exception->written.get(), state.exception_dropped = exception->refused.get();
            for (uint32_t i = 0; i < crew_->size(); i++) {
                const auto& end = *crew_->worker(i).exception(p);
                state.from_kernel += end.sent(), state.exception_dropped += end.dropped();
            }
        }
        all.push_back(std::move(state));
    }
    return all;
}

/// Sums plain structs of uint64_t counters over the cores. Each is written by its core alone; a torn read is impossible on x86-64.
template <typename Counters, typename Pick>
Counters sum_counters(const worker::Crew& crew, Pick&& pick) {
    static_assert(sizeof(Counters) % sizeof(uint64_t) == 0);
    Counters total{};
    auto* into = reinterpret_cast<uint64_t*>(&total);
    for (uint32_t i = 0; i < crew.size(); i++) {
        const auto* from = reinterpret_cast<const uint64_t*>(&pick(crew.worker(i)));
        for (size_t n = 0; n < sizeof(Counters) / sizeof(uint64_t); n++) into[n] += __atomic_load_n(from + n, __ATOMIC_RELAXED);
    }
    return total;
}

admin::Sources Gateway::sources() {
    admin::Sources sources;
    sources.node_id = host_.node.id;
    sources.node_namespace = host_.node.ns;
    sources.version = SLUICE_VERSION;
    sources.started = started_;
    sources.config = [this] { return revisions_.state(); };
    sources.tables = [this] { return tables_.get(); };
    for (const auto& stats : stats_) sources.cores.push_back(stats.get());
    sources.access_log = access_log_.get();
    sources.workers = [this] { return runtime(); };
    sources.ports = [this] { return ports(); };
    sources.net = [this] { return sum_counters<net::Counters>(*crew_, [](const auto& w) -> auto& { return w.net_counters(); }); };
    sources.tcp = [this] { return sum_counters<tcp::Counters>(*crew_, [](const auto& w) -> auto& { return w.tcp_counters(); }); };
    sources.waiting = [this] {
        const uint64_t both = waiting_.load(std::memory_order_relaxed);
        return std::pair(static_cast<uint32_t>(both >> 32), static_cast<uint32_t>(both));
    };
    sources.draining = [this] { return draining_.load(std::memory_order_acquire); };
    sources.set_draining = [this](bool drain) {
        if (!stopping_.load(std::memory_order_acquire)) draining_.store(drain, std::memory_order_release);
    };
    sources.log_level = [] {
        const auto name = spdlog::level::to_string_view(spdlog::get_level());
        return std::string(name.data(), name.size());
    };
    sources.set_log_level = [](std::string_view level) {
        const auto parsed = spdlog::level::from_str(std::string(level));
        if (parsed == spdlog::level::off && level != "off") return false;
        spdlog::set_level(parsed);
        return true;
    };
    return sources;
}

int run(const std::string& path) {
    auto host = read_host(path);
    if (!host) return kUnusable;
    try {
        return Gateway(std::move(*host)).run();
    } catch (const std::exception& e) {  // surprises only: what users write wrong is told above
        spdlog::critical("{}", e.what());
        return kUnusable;
    }
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
    CLI::App app{"sluiced: a mesh gateway that owns its NIC queues, its TCP and its routing."};
    std::string config;
    bool check = false;
    app.add_option("-c,--config", config, "the gateway's own file (kind GatewayHost)")->required()->type_name("FILE");
    app.add_flag("--check", check, "read and validate the file and everything it refers to, then exit: 0 ok, 1 findings, 2 unusable");
    app.set_version_flag("--version", std::string("sluiced ") + SLUICE_VERSION);
    app.footer("Examples:\n  sluiced --config /etc/sluice/sluice.yaml\n  sluiced --check --config sluice.yaml");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? sluice::kOk : sluice::kUnusable;
    }
    auto logger = std::make_shared<spdlog::logger>("sluiced", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    spdlog::set_default_logger(std::move(logger));
    spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
    return check ? sluice::check(config) : sluice::run(config);
}
