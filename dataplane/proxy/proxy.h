// The proxy as a worker runs it: the engine over this core's own TCP. In: tcp events and turns. Out: calls on the stack.
// Made on its worker's thread; owns the adapters and the engine, the worker owns the stack.
#pragma once

#include <atomic>
#include <cstdint>

#include "proxy/engine.h"
#include "proxy/tcp_transport.h"
#include "worker/application.h"

namespace sluice::proxy {

struct ProxyConfig {
    CoreConfig core;
    /// Of accepted and opened connections. What one direction of a stream may hold is shared by the sender's receive buffer
    /// and the receiver's send buffer.
    tcp::Options tcp = default_tcp_options();

    static tcp::Options default_tcp_options() {
        tcp::Options options;
        options.receive_buffer_bytes = limits::kStreamBufferBytes / 2;
        options.send_buffer_bytes = limits::kStreamBufferBytes / 2;
        return options;
    }
};

class Proxy final : public worker::Application {
 public:
    /// `access_log` and `drain` may be nullptr. All references outlive the proxy.
    Proxy(const ProxyConfig& config, tcp::Stack& stack, snapshot::Reader reader, telemetry::CoreStats& stats,
          telemetry::AccessLogRing* access_log, StageClock& stages, const std::atomic<bool>* drain)
        : network_(stack, config.core.connections_max + config.core.upstream_connections_max, config.tcp),
          engine_(config.core, network_, reader, stack.pool(), stack.nodes(), stats, access_log, stages, drain), stages_(stages) {}

    void turn(Instant now) override {
        const StageScope scope(stages_, Stage::kProxy);
        engine_.turn(now);
    }
    void handle_event(const tcp::ConnectionEvent& event, Instant now) override {
        const StageScope scope(stages_, Stage::kProxy);
        network_.handle_event(event, now);
        engine_.settle();
    }
    void handle_timeout(Instant now) override {
        const StageScope scope(stages_, Stage::kProxy);
        engine_.handle_timeout(now);
    }
    Instant poll_timeout() const override { return engine_.poll_timeout(); }
    bool idle() const override { return engine_.idle(); }
    void quiescent() override { engine_.quiescent(); }
    void offline() override { engine_.offline(); }
    void online() override { engine_.online(); }

    /// Any thread: the revision this core works by.
    uint64_t revision() const { return engine_.revision(); }
    Engine& engine() { return engine_; }

 private:
    TcpNetwork network_;
    Engine engine_;
    StageClock& stages_;
};

}  // namespace sluice::proxy
