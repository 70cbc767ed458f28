// Round robin as an additive sequence over cumulative weights, and weighted random picks.
#include "upstream/balancer.h"

#include <algorithm>

namespace sluice::upstream {
namespace {

uint64_t total_weight(const EndpointSet& set) {
    const uint32_t n = set.lowest_priority_count;
    if (set.equal_weights || set.cumulative_weight.size() < n) return n;
    return set.cumulative_weight[n - 1];
}

/// The endpoint that owns `point` of [0, total).
int at(const EndpointSet& set, uint64_t point) {
    const uint32_t n = set.lowest_priority_count;
    if (set.equal_weights || set.cumulative_weight.size() < n) return static_cast<int>(point);
    const auto first = set.cumulative_weight.begin();
    return static_cast<int>(std::upper_bound(first, first + n, point) - first);
}

/// total / 1.618..., moved to the next number that shares no divisor with `total`, so that the walk visits every point.
uint64_t golden_step(uint64_t total) {
    if (total < 3) return 1;
    auto step = static_cast<uint64_t>(static_cast<double>(total) * 0.6180339887498949);
    while (std::gcd(step, total) != 1) step++;
    return step;
}

}  // namespace

int pick_round_robin(const EndpointSet& set, RoundRobin& state, Rng& rng) {
    const uint64_t total = total_weight(set);
    if (total == 0) return -1;
    if (state.total != total) {
        // Each core starts elsewhere, so that cores that start together do not walk in step.
        state.total = total;
        state.step = set.equal_weights ? 1 : golden_step(total);
        state.position = rng.below(total);
    }
    state.position += state.step;
    if (state.position >= total) state.position -= total;
    return at(set, state.position);
}

int pick_random(const EndpointSet& set, Rng& rng) {
    const uint64_t total = total_weight(set);
    return total == 0 ? -1 : at(set, rng.below(total));
}

}  // namespace sluice::upstream
