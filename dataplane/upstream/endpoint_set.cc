// What the balancers need of a set beside its endpoints, made once on the control thread.
// In: endpoints, best priority first. Out: sums of weights with a guide into them, ids in order.
// The guide is of Chen and Asau, "On generating random variates from an empirical distribution" (1974): equal parts of the total
// weight, one to two for each endpoint, each with the endpoint that its first point belongs to. From there the owner of a point
// of the part is at most one step away on average, whatever the weights. Parts are powers of two wide, so that finding one is a shift.
#include <bit>
#include <numeric>

#include "upstream/cluster.h"

namespace sluice::upstream {
namespace {

/// Sums are 32 bits: what would not fit is scaled down, in proportion; nothing gets lighter than 1.
void scale_weights(std::vector<Endpoint>& endpoints, uint32_t count) {
    const auto end = endpoints.begin() + count;
    uint64_t sum = std::accumulate(endpoints.begin(), end, uint64_t{0}, [](uint64_t s, const auto& e) { return s + e.weight; });
    for (const uint64_t whole = sum; sum > UINT32_MAX;) {
        sum = 0;
        for (auto at = endpoints.begin(); at != end; ++at) {
            at->weight = static_cast<uint32_t>(std::max<uint64_t>(1, static_cast<uint64_t>(at->weight) * (UINT32_MAX / 2) / whole));
            sum += at->weight;
        }
    }
}

void make_guide(EndpointSet& set) {
    const auto count = static_cast<uint32_t>(set.cumulative_weight.size());
    const uint32_t total = set.cumulative_weight.back();
    set.guide_shift = static_cast<uint32_t>(std::bit_width(total / count)) - 1;   // the mean weight is 1 at least
    set.guide.resize(((total - 1) >> set.guide_shift) + 1);
    uint32_t owner = 0;
    for (uint64_t part = 0; part < set.guide.size(); part++) {
        while (set.cumulative_weight[owner] <= part << set.guide_shift) owner++;
        set.guide[part] = owner;
    }
}

}  // namespace

void index_endpoints(EndpointSet& set) {
    auto& endpoints = set.endpoints;
    const auto best_end = std::find_if(endpoints.begin(), endpoints.end(), [&](const auto& e) { return e.priority != endpoints.front().priority; });
    const auto count = static_cast<uint32_t>(best_end - endpoints.begin());
    scale_weights(endpoints, count);
    set.lowest_priority_count = count;
    set.equal_weights = true;
    set.cumulative_weight.clear();
    set.guide.clear();
    set.sorted_ids.clear();
    set.cumulative_weight.reserve(count);
    uint32_t sum = 0;
    for (auto at = endpoints.begin(); at != best_end; ++at) {
        set.cumulative_weight.push_back(sum += at->weight);
        set.equal_weights &= at->weight == endpoints.front().weight;
    }
    if (!set.equal_weights) make_guide(set);
    set.sorted_ids.reserve(endpoints.size());
    for (const Endpoint& endpoint : endpoints) set.sorted_ids.push_back(endpoint.id);
    std::sort(set.sorted_ids.begin(), set.sorted_ids.end());
}

}  // namespace sluice::upstream
