// Comparing each core's counter with what it was (see watchdog.h); sd_watchdog_enabled(3).
#include "ctrl/control/watchdog.h"

#include <fmt/format.h>
#include <systemd/sd-daemon.h>

namespace sluice::control {

Watchdog::Watchdog(std::vector<std::string> cores, std::function<void(const std::string&, bool)> report)
    : report_(std::move(report)) {
    for (std::string& name : cores) cores_.push_back({.name = std::move(name)});
}

bool Watchdog::look(std::span<const uint64_t> beats, Clock::time_point now) {
    bool all = true;
    for (size_t i = 0; i < cores_.size() && i < beats.size(); i++) {
        Core& core = cores_[i];
        const std::chrono::duration<double> still = now - core.moved;
        if (!started_ || beats[i] != core.beat) {
            if (core.stalled) report_(fmt::format("{} turns again after {:.1f} s", core.name, still.count()), false);
            core.beat = beats[i], core.moved = now, core.stalled = false;
        } else if (!core.stalled && still >= kStalledAfter) {
            core.stalled = true;
            report_(fmt::format("{} has not turned for {:.1f} s: its connections stand still (a busy neighbour on its CPU, or a "
                                "fault of ours)", core.name, still.count()), true);
        }
        all &= !core.stalled;
    }
    started_ = true;
    return all;
}

std::chrono::microseconds service_watchdog_interval() {
    uint64_t us = 0;
    return std::chrono::microseconds(sd_watchdog_enabled(0, &us) > 0 ? us / 2 : 0);
}

}  // namespace sluice::control
