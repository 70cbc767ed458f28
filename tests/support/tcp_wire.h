// A wire between two stacks that a test holds in its hand: loses, doubles and reorders TCP segments, from one generator.
// In: segments with the time they leave. Out: the same, or not, with the time they arrive. Owns them in between.
// tests/sim has the hostile one, for whole IP packets.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/ip_address.h"
#include "base/rng.h"
#include "base/time.h"

namespace sluice::test {

struct WireConfig {
    double loss = 0, duplicate = 0, reorder = 0;
    Duration delay = milliseconds(1);
    Duration jitter{};  // further delay of a reordered segment, at most
};

struct WireSegment {
    IpAddress source, destination;
    std::vector<uint8_t> bytes;  // TCP header and payload
    uint8_t ecn = 0;
};

class Wire {
 public:
    Wire(const WireConfig& config, Rng rng) : config_(config), rng_(rng) {}

    void send(WireSegment segment, Instant now) {
        if (rng_.chance(config_.loss)) return;
        Instant at = now + config_.delay;
        if (rng_.chance(config_.reorder)) at = at + Duration{static_cast<int64_t>(rng_.below(static_cast<uint64_t>(config_.jitter.us) + 1))};
        if (rng_.chance(config_.duplicate)) queue_.emplace(at + Duration{static_cast<int64_t>(rng_.below(5000))}, segment);
        queue_.emplace(at, std::move(segment));
    }
    Instant next() const { return queue_.empty() ? Instant::never() : queue_.begin()->first; }
    bool receive(WireSegment& out, Instant now) {
        if (queue_.empty() || queue_.begin()->first > now) return false;
        out = std::move(queue_.begin()->second);
        queue_.erase(queue_.begin());
        return true;
    }

 private:
    WireConfig config_;
    Rng rng_;
    std::multimap<Instant, WireSegment> queue_;  // equal times keep their order
};

}  // namespace sluice::test
