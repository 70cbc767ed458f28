// The proxy as a worker runs it: the engine over this core's own TCP. In: tcp events and turns. Out: calls on the stack.
// Made on its worker's thread; owns the adapters and the engine, the worker owns the stack. Numbers for other threads are
// atomics written once a turn.
#pragma once

#include <atomic>
#include <cstdint>

#include "proxy/engine.h"
#include "proxy/tcp_transport.h"
#include "worker/application.h"

namespace sluice::proxy {

class Proxy final : public worker::Application {
 public:
    /// `access_log` may be nullptr. All references outlive the proxy. `drain`: set when the gateway is to stop.
    Proxy(const CoreConfig& config, tcp::Stack& stack, snapshot::Reader reader, rte_mempool* mbufs, SliceNodePool& nodes,
          telemetry::CoreStats& stats, telemetry::AccessLogRing* access_log, StageClock& stages, const std::atomic<bool>& drain);

    void turn(Instant now) override;
    void handle_event(const tcp::ConnectionEvent& event, Instant now) override;
    void handle_timeout(Instant now) override;
    void describe(tcp::Connection& connection, worker::ConnectionRow& row) override { network_.describe(connection, row); }
    worker::CloseOutcome close(tcp::Connection& connection, bool reset, Instant now) override;
    Instant poll_timeout() const override { return engine_.poll_timeout(); }
    bool idle() const override { return engine_.idle(); }
    bool others_wait() const override;
    void quiescent() override { engine_.quiescent(); }
    void offline() override { engine_.offline(); }
    void online() override { engine_.online(); }

    // Any thread.
    /// The revision this core works by; 0 = none yet.
    uint64_t revision() const { return engine_.revision(); }
    uint64_t requests() const { return requests_.load(std::memory_order_relaxed); }
    uint32_t connections() const { return connections_.load(std::memory_order_relaxed); }
    /// Asked to stop, and no client is connected any more.
    bool drained() const { return drained_.load(std::memory_order_acquire); }

    const CoreCounters& counters() const { return engine_.core().counters; }
    uint64_t accept_refused() const { return network_.accept_refused(); }

    /// OpenSSL's connection objects that exist now.
    uint32_t openssl_objects() const { return engine_.core().handshaker.live(); }
    const tls::RecordCounters& record_counters() const { return engine_.core().record_engine.counters(); }

    /// For the one thread that logs them.
    HandshakeFailures& handshake_failures() const { return engine_.core().handshake_failures; }

    Engine& engine() { return engine_; }

 private:
    void keep_time(Instant now);

    TcpNetwork network_;
    Engine engine_;
    StageClock& stages_;
    const tls::HandshakeThreads* handshake_threads_;   // where they may share this CPU
    int cpu_;
    Instant time_kept_at_;
    std::atomic<uint64_t> requests_{0};
    std::atomic<uint32_t> connections_{0};
    std::atomic<bool> drained_{false};
};

}  // namespace sluice::proxy
