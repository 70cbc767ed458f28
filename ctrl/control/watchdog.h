// Notices a worker core that has stopped turning: stuck in a loop, starved of its CPU, or stopped by the kernel.
// In: a counter of each core that moves with every turn, and the time. Out: a line when one stands still and when it moves
// again; whether all turn, on which the service manager's watchdog is fed. Plain values, no clock. Control thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace sluice::control {

class Watchdog {
 public:
    using Clock = std::chrono::steady_clock;
    /// A sleeping core turns every 500 us, so this is never an idle one.
    static constexpr std::chrono::milliseconds kStalledAfter{2000};

    /// `report(text, stalled)` writes to the gateway's own log.
    Watchdog(std::vector<std::string> cores, std::function<void(const std::string&, bool stalled)> report);

    /// True if all cores turn. `beats` in the order of the names.
    bool look(std::span<const uint64_t> beats, Clock::time_point now);

 private:
    struct Core {
        std::string name;
        uint64_t beat = 0;
        Clock::time_point moved{};
        bool stalled = false;
    };
    std::vector<Core> cores_;
    std::function<void(const std::string&, bool)> report_;
    bool started_ = false;
};

/// How often systemd wants to hear of us (WatchdogSec=), halved; zero if it does not.
std::chrono::microseconds service_watchdog_interval();

}  // namespace sluice::control
