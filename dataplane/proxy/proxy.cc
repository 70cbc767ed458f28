// Hands the worker's calls to the engine, charges their cycles, and keeps the wall clock's offset.
#include "proxy/proxy.h"

#include <sys/random.h>
#include <time.h>

namespace sluice::proxy {
namespace {

CoreConfig seeded(CoreConfig config) {
    while (config.seed == 0) {
        if (getrandom(&config.seed, sizeof config.seed, 0) != sizeof config.seed) config.seed = rte_rdtsc() | 1;
    }
    return config;
}

}  // namespace

Proxy::Proxy(const CoreConfig& config, tcp::Stack& stack, snapshot::Reader reader, rte_mempool* mbufs, SliceNodePool& nodes,
             telemetry::CoreStats& stats, telemetry::AccessLogRing* access_log, StageClock& stages, const std::atomic<bool>& drain)
    : network_(stack, config.connections_max + config.upstream_connections_max, config.tcp),
      engine_(seeded(config), network_, reader, mbufs, nodes, stats, access_log, stages, &drain), stages_(stages),
      handshake_threads_(config.handshake_threads), cpu_(config.cpu) {}

bool Proxy::others_wait() const { return handshake_threads_ && handshake_threads_->waiting_on(cpu_); }

void Proxy::turn(Instant now) {
    const StageScope scope(stages_, Stage::kProxy);
    keep_time(now);
    engine_.turn(now);
    Core& core = engine_.core();
    requests_.store(core.counters.requests, std::memory_order_relaxed);
    connections_.store(core.downstreams.in_use(), std::memory_order_relaxed);
    drained_.store(core.draining && engine_.idle() && core.upstream_connections.in_use() == 0, std::memory_order_release);
}

/// The wall clock may be set while we run; reading it is no system call (vDSO), and once a second is enough.
void Proxy::keep_time(Instant now) {
    if (time_kept_at_.us != 0 && now < time_kept_at_ + seconds(1)) return;
    time_kept_at_ = now;
    timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    engine_.core().unix_offset_us = wall.tv_sec * 1'000'000 + wall.tv_nsec / 1000 - static_cast<int64_t>(now.us);
}

void Proxy::handle_event(const tcp::ConnectionEvent& event, Instant now) {
    const StageScope scope(stages_, Stage::kProxy);
    network_.handle_event(event, now);
    engine_.settle();
}

worker::CloseOutcome Proxy::close(tcp::Connection& connection, bool reset, Instant now) {
    const StageScope scope(stages_, Stage::kProxy);
    const worker::CloseOutcome outcome = network_.close(connection, reset, now);
    engine_.settle();
    return outcome;
}

void Proxy::handle_timeout(Instant now) {
    const StageScope scope(stages_, Stage::kProxy);
    engine_.handle_timeout(now);
}

}  // namespace sluice::proxy
