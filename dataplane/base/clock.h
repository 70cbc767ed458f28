// The time-stamp counter as the workers' clock: cycles, and microseconds as an Instant on one process-wide epoch.
// In: nothing. Out: Instants that never go back (constant, synchronised TSC). calibrate() once, after EAL start.
#pragma once

#include <rte_cycles.h>

#include <cstdint>

#include "base/time.h"

namespace sluice {

class TscClock {
 public:
    /// Takes the frequency from EAL and sets the epoch. Later calls change nothing.
    static void calibrate() {
        if (hz_ != 0) return;
        hz_ = rte_get_tsc_hz();
        epoch_ = rte_rdtsc() - hz_;   // the first Instant is one second: "a second ago" stays representable
        us_per_cycle_ = static_cast<uint64_t>((static_cast<unsigned __int128>(1'000'000) << 40) / hz_);
    }
    static uint64_t cycles() { return rte_rdtsc(); }
    static uint64_t hz() { return hz_; }
    static Instant at(uint64_t cycles) {
        return {static_cast<uint64_t>((static_cast<unsigned __int128>(cycles - epoch_) * us_per_cycle_) >> 40)};
    }
    static Instant now() { return at(cycles()); }
    static uint64_t to_cycles(Duration d) { return static_cast<uint64_t>(d.us) * (hz_ / 1'000'000); }

 private:
    static inline uint64_t hz_ = 0, epoch_ = 0, us_per_cycle_ = 0;  // written before any worker starts
};

}  // namespace sluice
