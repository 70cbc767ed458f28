// Picks an endpoint of a cluster: round robin (weighted, smooth), least request (power of d choices) and random.
// In: an immutable EndpointSet, this core's position, a random source and the endpoints' active requests. Out: an index
// into the set, or -1 when it has no endpoint of the best priority. Owns nothing but the position. Single core.
#pragma once

#include <cstdint>
#include <numeric>

#include "base/rng.h"
#include "upstream/cluster.h"

namespace sluice::upstream {

/// One core's place in one cluster's round robin. Zero bytes are a valid start.
struct RoundRobin {
    uint64_t position = 0;
    uint64_t step = 0, total = 0;  // total: what `step` was made for
};

/// Walks the weights in steps of total/golden ratio, made coprime to the total: each endpoint comes up exactly `weight`
/// times in `total` picks, spread as evenly as an additive sequence can, in O(1) and without a word per endpoint.
int pick_round_robin(const EndpointSet& set, RoundRobin& state, Rng& rng);
int pick_random(const EndpointSet& set, Rng& rng);

/// The best of `choices` endpoints drawn by weight: fewest active requests for its weight. `active(i)` tells them.
template <typename Active>
int pick_least_request(const EndpointSet& set, uint32_t choices, Rng& rng, Active&& active) {
    int best = pick_random(set, rng);
    if (best < 0) return best;
    for (uint32_t i = 1; i < choices; i++) {
        const int other = pick_random(set, rng);
        // active / weight < active / weight, without dividing
        const uint64_t a = uint64_t{active(other)} * set.endpoints[static_cast<size_t>(best)].weight;
        const uint64_t b = uint64_t{active(best)} * set.endpoints[static_cast<size_t>(other)].weight;
        if (a < b) best = other;
    }
    return best;
}

template <typename Active>
int pick(const Cluster& cluster, RoundRobin& state, Rng& rng, Active&& active) {
    const EndpointSet* set = cluster.endpoints.get();
    if (!set || set->lowest_priority_count == 0) return -1;
    if (set->lowest_priority_count == 1) return 0;
    switch (cluster.policy) {
        case LbPolicy::kRoundRobin: return pick_round_robin(*set, state, rng);
        case LbPolicy::kLeastRequest: return pick_least_request(*set, cluster.least_request_choices, rng, active);
        case LbPolicy::kRandom: return pick_random(*set, rng);
    }
    return -1;
}

}  // namespace sluice::upstream
