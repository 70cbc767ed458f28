// What operators see: the numbers of cores and ports copied out of the workers' counters, for the management endpoint.
// Any thread; reads counters that each core writes alone.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <rte_cycles.h>

#include "base/stage_clock.h"
#include "gateway/counters.h"
#include "gateway/gateway.h"

namespace sluice::gateway {

namespace {

/// Adds a plain struct of uint64_t counters to another. It is written by its core alone; a torn read is impossible on x86-64.
template <typename Counters>
void add_counters(Counters& total, const Counters& of_core) {
    static_assert(sizeof(Counters) % sizeof(uint64_t) == 0);
    auto* into = reinterpret_cast<uint64_t*>(&total);
    const auto* from = reinterpret_cast<const uint64_t*>(&of_core);
    for (size_t n = 0; n < sizeof(Counters) / sizeof(uint64_t); n++) into[n] += __atomic_load_n(from + n, __ATOMIC_RELAXED);
}

/// Over the cores.
template <typename Counters, typename Pick>
Counters sum_counters(const worker::Crew& crew, Pick&& pick) {
    Counters total{};
    for (uint32_t i = 0; i < crew.size(); i++) add_counters<Counters>(total, pick(crew.worker(i)));
    return total;
}

}  // namespace

/// Our addresses that other hosts have, by the core that looks after them: "192.0.2.10 is in use by 02:...".
std::vector<std::string> conflicts_of(const worker::Worker& worker, uint8_t port) {
    std::vector<std::string> all;
    for (const net::AddressStatus& a : worker.addresses()) {
        if (a.port != port || (a.state != net::AddressState::kDuplicate && a.state != net::AddressState::kTentative)) continue;
        all.push_back(fmt::format("{} is in use by {:02x}", a.ip.to_string(), fmt::join(a.claimant, ":")));
    }
    return all;
}

/// Cycles of one moment. A worker goes on while they are read, and this thread may lose its CPU in between: then they are read again.
void read_cycles(const worker::Worker& worker, uint64_t cost_of_enter, admin::WorkerRuntime& out) {
    constexpr int kTries = 16;
    const uint64_t apart_max = rte_get_tsc_hz() / 20'000;   // 50 us
    for (int attempt = 0; attempt < kTries; attempt++) {
        const uint64_t start = rte_rdtsc();
        out.cycles_total = worker.counters().cycles.get();
        out.cycles_busy = worker.counters().busy_cycles.get();
        out.cycles_measuring = worker.stages().enters() * cost_of_enter;
        out.stages.clear();
        for (size_t s = 0; s < kStages; s++) out.stages.emplace_back(kStageNames[s], worker.stages().total(static_cast<Stage>(s)));
        if (rte_rdtsc() - start < apart_max) return;
    }
}

std::vector<admin::WorkerRuntime> Gateway::runtime() const {
    std::vector<admin::WorkerRuntime> all;
    for (uint32_t i = 0; i < crew_->size(); i++) {
        const auto& worker = crew_->worker(i);
        const auto& counters = worker.counters();
        admin::WorkerRuntime runtime;
        runtime.core = worker.cpu();
        runtime.cycles_per_s = rte_get_tsc_hz();
        read_cycles(worker, cost_of_enter_, runtime);
        runtime.turns = counters.turns.get();
        runtime.turns_empty = counters.empty_turns.get();
        runtime.sleeps = counters.sleeps.get();
        if (const auto* proxy = proxies_[i].load()) {
            runtime.requests = proxy->requests();
            runtime.connections = proxy->connections();
        }
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
        admin::PortState state;
        state.name = configured.name, state.device = configured.device, state.listen = configured.listen;
        for (const auto& prefix : configured.addresses) state.addresses.push_back(prefix.to_string());
        state.conflicts = conflicts_of(crew_->worker(0), static_cast<uint8_t>(p));
        state.queues = 0;
        for (const auto& queues : info.queues) state.queues += static_cast<uint32_t>(queues.size());
        state.rx_frames = device.rx_frames, state.rx_bytes = device.rx_bytes;
        state.tx_frames = device.tx_frames, state.tx_bytes = device.tx_bytes;
        state.rx_missed = device.rx_missed, state.rx_no_mbuf = device.rx_no_mbuf;
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

admin::CoreDrops Gateway::drops() const {
    admin::CoreDrops all;
    for (uint32_t i = 0; i < crew_->size(); i++) {
        add_drops(crew_->worker(i), all);
        const auto* proxy = proxies_[i].load();
        if (!proxy) continue;
        const proxy::CoreCounters& refused = proxy->counters();   // written by its core alone
        all.accept_refused += proxy->accept_refused() + __atomic_load_n(&refused.accept_refused, __ATOMIC_RELAXED);
        all.stream_refused += __atomic_load_n(&refused.stream_refused, __ATOMIC_RELAXED);
        all.arena_full += __atomic_load_n(&refused.arena_full, __ATOMIC_RELAXED);
        all.mbufs_empty += __atomic_load_n(&refused.mbufs_empty, __ATOMIC_RELAXED);
    }
    return all;
}

admin::TlsRuntime Gateway::tls_runtime() const {
    admin::TlsRuntime all;
    for (const auto& slot : proxies_) {
        const auto* proxy = slot.load();
        if (!proxy) continue;
        all.openssl_objects += proxy->openssl_objects();
        add_counters(all.records, proxy->record_counters());
    }
    return all;
}

admin::Sources Gateway::sources() {
    admin::Sources sources;
    sources.node_id = host_.node.id;
    sources.node_namespace = host_.node.ns;
    sources.node_labels = host_.node.labels;
    sources.version = SLUICE_VERSION;
    sources.started = started_;
    sources.config = [this] { return revisions_.state(); };
    sources.tables = [this] { return tables_.get(); };
    for (const auto& stats : stats_) sources.cores.push_back(stats.get());
    sources.access_log = own_log_.path.empty() ? nullptr : access_log_.get();
    sources.recent_log = recent_log_.get();
    sources.list_connections = [this](const auto& take) { return list_connections(take); };
    sources.show_connection = [this](const auto& name, bool& silent) { return show_connection(name, silent); };
    sources.close_connection = [this](const auto& name, bool reset) { return close_connection(name, reset); };
    sources.capture = [this](const auto& wanted) { return captures_->start(wanted); };
    sources.stop_capture = [this](const std::string& token) { return captures_->stop(token); };
    sources.workers = [this] { return runtime(); };
    sources.ports = [this] { return ports(); };
    sources.drops = [this] { return drops(); };
    sources.tls = [this] { return tls_runtime(); };
    sources.net = [this] { return sum_counters<net::Counters>(*crew_, [](const auto& w) -> auto& { return w.net_counters(); }); };
    sources.tcp = [this] { return sum_counters<tcp::Counters>(*crew_, [](const auto& w) -> auto& { return w.tcp_counters(); }); };
    sources.key_log = host_.tls.key_log;
    sources.process = [this] { return hardening_.state(); };
    sources.waiting = [this] {
        const uint64_t both = waiting_.load(std::memory_order_relaxed);
        return std::pair(static_cast<uint32_t>(both >> 32), static_cast<uint32_t>(both));
    };
    sources.draining = [this] { return draining_.load(std::memory_order_acquire); };
    sources.set_draining = [this](bool drain) {
        if (!stopping_.load(std::memory_order_acquire)) draining_.store(drain, std::memory_order_release);
    };
    sources.drain_endpoint = [this](const std::string& endpoint, bool drain, bool force) { return drain_endpoint(endpoint, drain, force); };
    sources.drained_endpoints = [this] {
        std::vector<std::string> names;
        for (const auto& key : drained_.list()) names.push_back(key.to_string());
        return names;
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
    add_config_sources(sources);
    return sources;
}

}  // namespace sluice::gateway
