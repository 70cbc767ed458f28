// When each request of a run is due: at a fixed rate, at random moments of that mean rate (Poisson), or never (closed loop).
// In: rate, seed. Out: due times in nanoseconds since the run began, one after another. Pure; no clock, no memory.
// A due time stays until it is taken, however late: what is measured from it counts the time that a request had to wait for a
// free connection (no coordinated omission; Gil Tene, "How not to measure latency").
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "base/rng.h"

namespace sluice::perf {

enum class Arrivals : uint8_t { kClosed, kFixed, kPoisson };

class Schedule {
 public:
    static constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();

    Schedule(Arrivals arrivals, double rate_per_s, uint64_t seed)
        : arrivals_(rate_per_s > 0 ? arrivals : Arrivals::kClosed), gap_ns_(rate_per_s > 0 ? 1e9 / rate_per_s : 0), rng_(seed) {
        if (arrivals_ == Arrivals::kPoisson) at_ns_ = random_gap();
    }

    /// Of the next request that was not taken yet. A closed loop has none: there an answer calls for the next request.
    uint64_t due_ns() const { return arrivals_ == Arrivals::kClosed ? kNever : static_cast<uint64_t>(at_ns_); }
    void take() { at_ns_ += arrivals_ == Arrivals::kPoisson ? random_gap() : gap_ns_; }

 private:
    double random_gap() { return -std::log(1.0 - rng_.unit()) * gap_ns_; }   // exponential, mean gap_ns_

    Arrivals arrivals_;
    double gap_ns_;
    double at_ns_ = 0;   // 52 bits of nanoseconds are 52 days: nothing is lost by rounding
    Rng rng_;
};

}  // namespace sluice::perf
