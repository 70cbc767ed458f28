// Balancers against their weights: exactly for round robin, within 4 sigma for random picks.
#include "upstream/balancer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>
#include <vector>

namespace sluice::upstream {
namespace {

constexpr uint64_t kSeed = 20261122;

EndpointSet set_of(const std::vector<uint32_t>& weights) {
    EndpointSet set;
    for (size_t i = 0; i < weights.size(); i++)
        set.endpoints.push_back({.id = static_cast<uint32_t>(i), .address = {}, .weight = weights[i], .priority = 0, .locality = {}});
    index_endpoints(set);
    return set;
}

TEST(RoundRobin, EachEndpointExactlyItsWeightInEveryCycle) {
    for (const auto& weights : std::vector<std::vector<uint32_t>>{{1, 1, 1}, {90, 10}, {5, 1, 1}, {1}, {3, 7, 11, 13}, {128, 1}, {2, 4}}) {
        const EndpointSet set = set_of(weights);
        RoundRobin state{};
        Rng rng(kSeed);
        uint32_t total = 0;
        for (uint32_t w : weights) total += w;
        if (set.equal_weights) total = static_cast<uint32_t>(weights.size());
        for (int cycle = 0; cycle < 3; cycle++) {
            std::vector<uint32_t> seen(weights.size());
            for (uint32_t i = 0; i < total; i++) seen[static_cast<size_t>(pick_round_robin(set, state, rng))]++;
            for (size_t i = 0; i < weights.size(); i++) EXPECT_EQ(seen[i], set.equal_weights ? 1 : weights[i]);
        }
    }
}

TEST(RoundRobin, IsSmooth) {
    const EndpointSet set = set_of({90, 10});
    RoundRobin state{};
    Rng rng(kSeed);
    int since = 0, longest = 0;
    for (int i = 0; i < 1000; i++) {
        since = pick_round_robin(set, state, rng) == 1 ? 0 : since + 1;
        longest = std::max(longest, since);
    }
    EXPECT_LE(longest, 20) << "the light endpoint comes up evenly, not ten times in a row";
}

TEST(RoundRobin, CoresStartElsewhere) {
    const EndpointSet set = set_of(std::vector<uint32_t>(64, 1));
    std::vector<int> starts;
    for (uint64_t core = 0; core < 16; core++) {
        RoundRobin state{};
        Rng rng(core);
        starts.push_back(pick_round_robin(set, state, rng));
    }
    std::sort(starts.begin(), starts.end());
    EXPECT_GT(std::unique(starts.begin(), starts.end()) - starts.begin(), 8);
}

TEST(RoundRobin, FollowsAChangedSet) {
    RoundRobin state{};
    Rng rng(kSeed);
    const EndpointSet many = set_of(std::vector<uint32_t>(100, 1)), few = set_of({1, 1});
    for (int i = 0; i < 150; i++) (void)pick_round_robin(many, state, rng);
    for (int i = 0; i < 100; i++) {
        const int index = pick_round_robin(few, state, rng);
        ASSERT_GE(index, 0);
        ASSERT_LT(index, 2);
    }
}

TEST(Random, FollowsWeights) {
    const EndpointSet set = set_of({70, 20, 10});
    Rng rng(kSeed);
    const int n = 100'000;
    std::vector<int> seen(3);
    for (int i = 0; i < n; i++) seen[static_cast<size_t>(pick_random(set, rng))]++;
    const double shares[] = {0.7, 0.2, 0.1};
    for (size_t i = 0; i < 3; i++) EXPECT_NEAR(seen[i], n * shares[i], 4 * std::sqrt(n * shares[i] * (1 - shares[i])));
}

/// The endpoint that owns a point, by its definition.
uint32_t owner_of(const EndpointSet& set, uint64_t point) {
    for (uint32_t i = 0;; i++) {
        if (point < set.endpoints[i].weight) return i;
        point -= set.endpoints[i].weight;
    }
}

/// Every point of the whole weight goes to its owner: of even, odd, huge, tiny and lopsided weights.
TEST(RoundRobin, TheGuideLeadsEveryPointToItsOwner) {
    const uint64_t seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    for (int round = 0; round < 60; round++) {
        std::vector<uint32_t> weights(rng.between(2, 200));
        for (auto& w : weights) w = static_cast<uint32_t>(rng.chance(0.1) ? rng.between(1, 5000) : rng.between(1, 3));
        weights[rng.below(weights.size())] += 1;   // not all equal
        const EndpointSet set = set_of(weights);
        if (set.equal_weights) continue;
        RoundRobin state{.position = 0, .step = 1, .total = set.cumulative_weight.back()};
        for (uint64_t i = 1; i <= state.total; i++) ASSERT_EQ(pick_round_robin(set, state, rng), static_cast<int>(owner_of(set, i % state.total)));
    }
}

TEST(RoundRobin, WeightsBeyond32BitsKeepTheirRatio) {
    const EndpointSet set = set_of({UINT32_MAX, UINT32_MAX, UINT32_MAX / 2, 1});
    Rng rng(kSeed);
    std::vector<int> seen(4);
    for (int i = 0; i < 100'000; i++) seen[static_cast<size_t>(pick_random(set, rng))]++;
    EXPECT_NEAR(seen[0], 40'000, 4 * std::sqrt(24'000));
    EXPECT_NEAR(seen[2], 20'000, 4 * std::sqrt(16'000));
}

/// Pearson's chi-squared against the weights, for many sets; its mean is the degrees of freedom, its variance twice that.
TEST(Random, ChiSquaredOverManySets) {
    const uint64_t seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    double sum = 0, degrees = 0;
    for (int round = 0; round < 40; round++) {
        std::vector<uint32_t> weights(rng.between(2, 60));
        for (auto& w : weights) w = static_cast<uint32_t>(rng.between(1, 100));
        const EndpointSet set = set_of(weights);
        const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
        constexpr int kPicks = 20'000;
        std::vector<int> seen(weights.size());
        for (int i = 0; i < kPicks; i++) seen[static_cast<size_t>(pick_random(set, rng))]++;
        for (size_t i = 0; i < weights.size(); i++) {
            const double expected = set.equal_weights ? kPicks / static_cast<double>(weights.size()) : kPicks * weights[i] / total;
            sum += (seen[i] - expected) * (seen[i] - expected) / expected;
        }
        degrees += static_cast<double>(weights.size()) - 1;
    }
    EXPECT_NEAR(sum, degrees, 6 * std::sqrt(2 * degrees)) << "chi-squared over " << degrees << " degrees of freedom";
}

/// Envoy's weighted round robin is earliest deadline first: between two turns of an endpoint lie about total / weight others, never
/// much more. So are ours: whatever stretch one looks at, each endpoint has its share of it, give or take a few.
TEST(RoundRobin, EveryStretchHasItsShares) {
    for (const auto& weights : std::vector<std::vector<uint32_t>>{{90, 10}, {5, 1, 1}, {100, 50, 25, 12, 6}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}}) {
        const EndpointSet set = set_of(weights);
        RoundRobin state{};
        Rng rng(kSeed);
        const double total = set.cumulative_weight.back();
        std::vector<double> ahead(weights.size());   // turns had, less turns due
        std::vector<double> most(weights.size()), least(weights.size());
        for (int i = 0; i < 10'000; i++) {
            ahead[static_cast<size_t>(pick_round_robin(set, state, rng))] += 1;
            for (size_t e = 0; e < weights.size(); e++) {
                ahead[e] -= weights[e] / total;
                most[e] = std::max(most[e], ahead[e]), least[e] = std::min(least[e], ahead[e]);
            }
        }
        for (size_t e = 0; e < weights.size(); e++) EXPECT_LT(most[e] - least[e], 5) << "endpoint " << e << " of " << weights.size();
    }
}

TEST(LeastRequest, AvoidsTheBusyOne) {
    const EndpointSet set = set_of({1, 1, 1, 1});
    Rng rng(kSeed);
    std::vector<int> seen(4);
    for (int i = 0; i < 10'000; i++) {
        const int index = pick_least_request(set, 2, rng, [](int e) { return e == 2 ? 50u : 0u; });
        seen[static_cast<size_t>(index)]++;
    }
    // Only when both draws name it: 1 in 16.
    EXPECT_NEAR(seen[2], 10'000 / 16.0, 4 * std::sqrt(10'000 / 16.0));
}

TEST(LeastRequest, IdleEndpointsFollowTheirWeights) {
    const EndpointSet set = set_of({3, 1});
    Rng rng(kSeed);
    int first = 0;
    const int n = 40'000;
    for (int i = 0; i < n; i++) first += pick_least_request(set, 2, rng, [](int) { return 0u; }) == 0;
    EXPECT_NEAR(first, n * 0.75, 4 * std::sqrt(n * 0.75 * 0.25));
}

TEST(Pick, NoEndpointIsSaidSo) {
    Cluster cluster;
    RoundRobin state{};
    Rng rng(kSeed);
    EXPECT_EQ(pick(cluster, state, rng, [](int) { return 0u; }), -1);
    cluster.endpoints = std::make_shared<EndpointSet>();
    EXPECT_EQ(pick(cluster, state, rng, [](int) { return 0u; }), -1);
}

TEST(Pick, OnlyTheBestPriority) {
    auto set = std::make_shared<EndpointSet>(set_of({1, 1, 1, 1}));
    set->endpoints[2].priority = set->endpoints[3].priority = 1;
    index_endpoints(*set);
    Cluster cluster;
    cluster.endpoints = set;
    RoundRobin state{};
    Rng rng(kSeed);
    for (const LbPolicy policy : {LbPolicy::kRoundRobin, LbPolicy::kLeastRequest, LbPolicy::kRandom}) {
        cluster.policy = policy;
        for (int i = 0; i < 100; i++) EXPECT_LT(pick(cluster, state, rng, [](int) { return 0u; }), 2);
    }
}

}  // namespace
}  // namespace sluice::upstream
