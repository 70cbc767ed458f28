// Adopting configuration, accepting connections, stopping.
#include "proxy/engine.h"

#include <algorithm>

#include "proxy/arrival.h"
#include "proxy/downstream.h"
#include "proxy/upstream_connection.h"

namespace sluice::proxy {
namespace {

constexpr uint32_t kReconcileBudget = 32;   // of one turn: 32 endpoints looked at, or 4 connections closed
constexpr Duration kHandshakePoll = microseconds(50);

}  // namespace

Engine::Engine(const CoreConfig& config, Network& network, snapshot::Reader reader, rte_mempool* mbufs, SliceNodePool& nodes,
               telemetry::CoreStats& stats, telemetry::AccessLogRing* access_log, StageClock& stages, const std::atomic<bool>* drain)
    : core_(config, network, reader, mbufs, nodes, stats, access_log, stages), listeners_(core_), drain_(drain) {
    network.set_accept_handler(this);
}

Engine::~Engine() {
    core_.network.set_accept_handler(nullptr);
    listeners_.abort_all("the gateway ends");
    close_upstreams();
    while (core_.unsettled()) core_.settle();
    core_.settle();
}

void Engine::turn(Instant now) {
    core_.now = now;
    const snapshot::Snapshot* root = core_.reader.load();
    core_.root = root;
    if (root && (root != adopted_ || root->revision != revision())) adopt(*root);
    if (core_.upstreams.reconciling()) reconcile_upstreams(*root);
    if (drain_ && core_.draining != drain_->load(std::memory_order_relaxed)) core_.draining ? end_drain() : start_drain();
    if (core_.draining && idle() && core_.upstream_connections.in_use() > 0) close_upstreams();
    if (core_.handshaker.busy()) poll_handshakes(now);
    core_.settle();
}

/// The last client has gone: backends are told before the core is, with close_notify and FIN.
void Engine::close_upstreams() {
    core_.upstreams.for_each([](upstream::PooledConnection& c) { static_cast<UpstreamConnection&>(c).close(); });
}

void Engine::poll_handshakes(Instant now) {
    const StageScope scope(core_.stages, Stage::kTls);
    core_.handshaker.poll(now);
}

void Engine::adopt(const snapshot::Snapshot& root) {
    adopted_ = &root;
    if (!core_.draining) listeners_.reconcile(root);
    core_.upstreams.start_reconcile();
    revision_.store(root.revision, std::memory_order_release);
}

/// New requests go by the new tables already; connections that these have no use for end over the next turns, a few at a time, so
/// that no turn is long because a core has many of them.
void Engine::reconcile_upstreams(const snapshot::Snapshot& root) {
    core_.upstreams.reconcile(
        kReconcileBudget, [&](uint32_t id) { return id < root.clusters.size() ? root.clusters[id].get() : nullptr; },
        [](upstream::PooledConnection& connection) { static_cast<UpstreamConnection&>(connection).close(); });
}

void Engine::start_drain() {
    core_.draining = true;
    listeners_.drain_all();
}

/// Listens again; connections that drain go on draining beside.
void Engine::end_drain() {
    core_.draining = false;
    if (core_.root) listeners_.reconcile(*core_.root);
}

bool Engine::on_accept(Transport& transport, void* listener_user, Instant now) {
    core_.now = now;
    auto& state = *static_cast<ListenerState*>(listener_user);
    if (core_.root && !state.direct) {
        if (core_.arrivals.take(core_, listeners_, state, transport)) return true;
    } else if (core_.root && core_.downstreams.take(core_, listeners_, state, state.listener->chains.front(), transport)) {
        core_.counters.accepted++;
        return true;
    }
    core_.counters.accept_refused++;
    transport.abort();
    transport.release();
    return false;
}

void Engine::handle_timeout(Instant now) {
    core_.advance_timers(now);
    if (core_.handshaker.busy()) poll_handshakes(now);
    core_.settle();
}

/// While handshakes are out, results are looked for soon: no interrupt tells of them.
Instant Engine::poll_timeout() const {
    if (core_.unsettled() || core_.upstreams.reconciling()) return core_.now;
    const Instant timers = core_.timers.next();
    return core_.handshaker.busy() ? std::min(timers, core_.now + kHandshakePoll) : timers;
}

}  // namespace sluice::proxy
