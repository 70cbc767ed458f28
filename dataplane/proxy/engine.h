// One core's proxy over any Network: notices new configuration, accepts connections, runs timers, drains.
// In: turns and time; connections from the network. Out: everything else is done by the objects it lends. Single core;
// revision() alone may be read by any thread.
#pragma once

#include <atomic>
#include <cstdint>

#include "proxy/core.h"
#include "proxy/listeners.h"
#include "proxy/transport.h"

namespace sluice::proxy {

class Engine final : public AcceptHandler {
 public:
    /// `drain`: set by another thread when no new work is wanted, cleared when it is again; may be nullptr.
    Engine(const CoreConfig& config, Network& network, snapshot::Reader reader, rte_mempool* mbufs, SliceNodePool& nodes,
           telemetry::CoreStats& stats, telemetry::AccessLogRing* access_log, StageClock& stages, const std::atomic<bool>* drain);
    ~Engine();

    /// Start of a turn: loads the root, and acts on what changed.
    void turn(Instant now);
    /// After each event handed to the network, and after timers.
    void settle() { core_.settle(); }
    void handle_timeout(Instant now);
    Instant poll_timeout() const;
    /// No client is connected.
    bool idle() const { return core_.downstreams.in_use() == 0 && core_.arrivals.in_use() == 0; }
    void quiescent() { core_.reader.quiescent(); }
    void offline() { core_.reader.offline(); }
    void online() { core_.reader.online(); }

    bool on_accept(Transport& transport, void* listener_user, Instant now) override;

    /// The configuration this core works by; 0 = none yet.
    uint64_t revision() const { return revision_.load(std::memory_order_acquire); }
    Core& core() { return core_; }
    const Core& core() const { return core_; }
    const Listeners& listeners() const { return listeners_; }

 private:
    void adopt(const snapshot::Snapshot& root);
    void reconcile_upstreams(const snapshot::Snapshot& root);
    void poll_handshakes(Instant now);
    void close_upstreams();
    void start_drain();
    void end_drain();

    Core core_;
    Listeners listeners_;
    const std::atomic<bool>* drain_;
    const void* adopted_ = nullptr;   // identity of the root last looked at; never followed
    std::atomic<uint64_t> revision_{0};
};

}  // namespace sluice::proxy
