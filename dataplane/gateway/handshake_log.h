// Failed TLS handshakes as lines in the gateway's log: who, on which listener or towards which cluster, why. A scan of the port must not
// fill the disk, so few lines a second, and how many there were beyond. In: the cores' rings. Out: lines. Control thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "proxy/handshake_failures.h"

namespace sluice::gateway {

class HandshakeLog {
 public:
    using Clock = std::chrono::steady_clock;
    using Write = std::function<void(const std::string& line)>;
    static constexpr uint32_t kLinesPerSecond = 5;

    explicit HandshakeLog(Write write) : write_(std::move(write)) {}
    void take(proxy::HandshakeFailures& failures, Clock::time_point now);
    /// Once a round: says what was left out in the second that ended.
    void tick(Clock::time_point now);

 private:
    Write write_;
    Clock::time_point second_{};
    uint32_t written_ = 0;
    uint64_t left_out_ = 0;
};

/// "TLS handshake with 192.0.2.7:50000 on listener 0.0.0.0_443 failed: no_certificate: ... (alert certificate_required sent)"
std::string describe(const proxy::HandshakeFailure& failure);

}  // namespace sluice::gateway
