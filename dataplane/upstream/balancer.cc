// Round robin as an additive sequence over cumulative weights, and weighted random picks, both at a cost that does not grow with
// the set. In: an indexed EndpointSet (endpoint_set.cc). Out: an index into it. Owns nothing. Single core.
#include "upstream/balancer.h"

#include <algorithm>

namespace sluice::upstream {
namespace {

uint64_t total_weight(const EndpointSet& set) {
    const uint32_t n = set.lowest_priority_count;
    return set.guide.empty() ? n : set.cumulative_weight[n - 1];
}

/// The endpoint that owns `point` of [0, total): from where the guide says, a step or two. Where thousands of light endpoints
/// share a part of the guide (one heavy endpoint made the parts wide), the rest of the way is a search by halves.
int at(const EndpointSet& set, uint64_t point) {
    if (set.guide.empty()) return static_cast<int>(point);
    constexpr uint32_t kStepsMax = 8;
    uint32_t index = set.guide[point >> set.guide_shift];
    for (uint32_t step = 0; step < kStepsMax; step++, index++)
        if (set.cumulative_weight[index] > point) return static_cast<int>(index);
    const auto first = set.cumulative_weight.begin();
    return static_cast<int>(std::upper_bound(first + index, set.cumulative_weight.end(), point) - first);
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
