// Balancers against their weights: exactly for round robin, within 4 sigma for random picks.
#include "upstream/balancer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace sluice::upstream {
namespace {

constexpr uint64_t kSeed = 20261122;

EndpointSet set_of(const std::vector<uint32_t>& weights) {
    EndpointSet set;
    uint32_t sum = 0;
    for (size_t i = 0; i < weights.size(); i++) {
        set.endpoints.push_back({.id = static_cast<uint32_t>(i), .address = {}, .weight = weights[i], .priority = 0, .locality = {}});
        set.cumulative_weight.push_back(sum += weights[i]);
        set.equal_weights &= weights[i] == weights[0];
    }
    set.lowest_priority_count = static_cast<uint32_t>(weights.size());
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
    set->lowest_priority_count = 2;
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
