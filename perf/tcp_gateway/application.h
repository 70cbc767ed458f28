// The application of tcp_gateway: a sink (port 9), a source (19), and connections that are only held (7).
// In: connection events. Out: bytes, and once in 10 ms what the core's TCP holds, for the main thread to read.
// Keeps nothing per connection but a number in its user pointer, so that what is measured is TCP's.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "worker/application.h"
#include "worker/worker.h"

namespace sluice::perf {

inline constexpr uint16_t kHoldPort = 7, kSinkPort = 9, kSourcePort = 19;

/// Written by the worker, read by the main thread.
struct Holdings {
    std::atomic<uint64_t> connections{0}, list_nodes{0}, mbufs{0};
};

class MeasuredApplication final : public worker::Application {
 public:
    MeasuredApplication(worker::Worker& worker, uint32_t buffer_bytes, Holdings& holdings);
    void turn(Instant now) override;
    void handle_event(const tcp::ConnectionEvent& event, Instant now) override;
    void handle_timeout(Instant) override {}
    Instant poll_timeout() const override { return Instant::never(); }
    bool idle() const override { return worker_.tcp().connections() == 0; }

 private:
    void sink(tcp::Connection& c);
    void ask(tcp::Connection& c);
    void pump(tcp::Connection& c);
    void finish(tcp::Connection& c);

    worker::Worker& worker_;
    Holdings& holdings_;
    Instant next_look_{};
    std::vector<uint8_t> bytes_;
};

}  // namespace sluice::perf
