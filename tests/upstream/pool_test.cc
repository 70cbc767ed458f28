// The pool's links and counts, against a plain model under random operations, and its breakers one by one.
#include "upstream/pool.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <vector>

namespace sluice::upstream {
namespace {

class TestConnection : public PooledConnection {};
class TestRequest : public PendingRequest {};

Cluster cluster_of(uint32_t id, std::vector<uint32_t> endpoints, uint64_t hash = 1) {
    Cluster cluster;
    cluster.id = id;
    auto set = std::make_shared<EndpointSet>();
    for (uint32_t e : endpoints) set->endpoints.push_back({.id = e, .address = {}, .weight = 1, .priority = 0, .locality = {}});
    index_endpoints(*set);
    set->content_hash = hash;
    cluster.endpoints = set;
    return cluster;
}

/// The whole walk at once.
template <typename Find, typename Close>
void reconcile(Pools& pools, Find&& find, Close&& close) {
    pools.start_reconcile();
    EXPECT_TRUE(pools.reconcile(UINT32_MAX, find, close));
}

TEST(Pools, IdleConnectionsComeBackLastInFirstOut) {
    Pools pools({.clusters = 4, .endpoints = 8});
    const Cluster cluster = cluster_of(1, {3});
    TestConnection a, b, c;
    for (auto* connection : {&a, &b, &c}) {
        pools.add(*connection, cluster, 3);
        pools.set_idle(*connection);
    }
    EXPECT_EQ(pools.first_idle(3), &c);
    pools.set_busy(c);
    EXPECT_EQ(pools.first_idle(3), &b);
    pools.remove(a);  // the coldest, from the middle of nothing
    pools.set_idle(c);
    EXPECT_EQ(pools.first_idle(3), &c);
    pools.remove(c);
    EXPECT_EQ(pools.first_idle(3), &b);
    pools.remove(b);
    EXPECT_EQ(pools.first_idle(3), nullptr);
    EXPECT_EQ(pools.connections(), 0u);
    EXPECT_EQ(pools.cluster(1)->connections, 0u);
}

TEST(Pools, BreakersOpenAtTheirLimits) {
    Pools pools({.clusters = 4, .endpoints = 8});
    Cluster cluster = cluster_of(1, {3, 4});
    cluster.max_requests = 2;
    cluster.max_pending_requests = 1;
    cluster.max_connections = 1;
    EXPECT_TRUE(pools.start_request(cluster, 3));
    EXPECT_TRUE(pools.start_request(cluster, 4));
    EXPECT_FALSE(pools.start_request(cluster, 3));
    pools.finish_request(1, 4);
    EXPECT_TRUE(pools.start_request(cluster, 3));
    TestRequest first, second;
    EXPECT_TRUE(pools.push_pending(cluster, 3, first));
    EXPECT_FALSE(pools.push_pending(cluster, 3, second));
    pools.remove_pending(first);
    EXPECT_TRUE(pools.push_pending(cluster, 3, second));
    pools.remove_pending(second);
    TestConnection a, b;
    EXPECT_TRUE(pools.may_connect(cluster, 3));
    pools.add(a, cluster, 3);
    EXPECT_FALSE(pools.may_connect(cluster, 3));
    EXPECT_TRUE(pools.may_connect(cluster, 4)) << "an endpoint without any connection always gets one";
    pools.add(b, cluster, 4);
    pools.remove(a);
    pools.remove(b);
}

TEST(Pools, IdsBeyondTheTablesAreRefused) {
    Pools pools({.clusters = 4, .endpoints = 8});
    EXPECT_FALSE(pools.start_request(cluster_of(1, {8}), 8));
    EXPECT_FALSE(pools.start_request(cluster_of(4, {1}), 1));
    EXPECT_FALSE(pools.start_request(cluster_of(UINT32_MAX, {UINT32_MAX}), UINT32_MAX));
    Rng rng(1);
    EXPECT_EQ(pools.pick(cluster_of(UINT32_MAX, {1}), rng), -1);
}

TEST(Pools, WaitingRequestsAreServedInOrder) {
    Pools pools({.clusters = 4, .endpoints = 8});
    const Cluster cluster = cluster_of(1, {3});
    TestRequest requests[5];
    for (auto& r : requests) ASSERT_TRUE(pools.push_pending(cluster, 3, r));
    EXPECT_EQ(pools.endpoint(3)->pending, 5u);
    pools.remove_pending(requests[0]);
    pools.remove_pending(requests[2]);
    pools.remove_pending(requests[4]);
    EXPECT_EQ(pools.first_pending(3), &requests[1]);
    pools.remove_pending(requests[1]);
    EXPECT_EQ(pools.first_pending(3), &requests[3]);
    pools.remove_pending(requests[3]);
    pools.remove_pending(requests[3]);  // twice does nothing
    EXPECT_EQ(pools.endpoint(3)->pending, 0u);
    EXPECT_EQ(pools.cluster(1)->pending, 0u);
}

TEST(Pools, ReconcileDrainsWhatIsGoneAndNothingElse) {
    Pools pools({.clusters = 4, .endpoints = 8});
    const Cluster web = cluster_of(1, {3, 4}, 10), api = cluster_of(2, {5}, 20);
    TestConnection idle3, busy3, idle4, idle5;
    pools.add(idle3, web, 3), pools.set_idle(idle3);
    pools.add(busy3, web, 3), pools.set_busy(busy3);
    pools.add(idle4, web, 4), pools.set_idle(idle4);
    pools.add(idle5, api, 5), pools.set_idle(idle5);
    std::vector<PooledConnection*> closed;
    const auto close = [&](PooledConnection& c) {
        closed.push_back(&c);
        pools.remove(c);
    };
    reconcile(pools, [&](uint32_t id) { return id == 1 ? &web : &api; }, close);
    EXPECT_TRUE(closed.empty());
    // Endpoint 3 leaves, cluster 2 goes.
    const Cluster smaller = cluster_of(1, {4}, 11);
    reconcile(pools, [&](uint32_t id) { return id == 1 ? &smaller : nullptr; }, close);
    EXPECT_EQ(closed.size(), 2u);
    EXPECT_TRUE(busy3.draining());
    EXPECT_FALSE(idle4.draining());
    EXPECT_EQ(pools.first_idle(4), &idle4);
    pools.remove(busy3);
    pools.remove(idle4);
    EXPECT_EQ(pools.connections(), 0u);
}

TEST(Pools, ALoweredLimitHoldsForWhatIsOpen) {
    Pools pools({.clusters = 4, .endpoints = 8});
    Cluster web = cluster_of(1, {3}, 10);
    TestConnection idle[3], busy[2];
    for (auto& c : idle) pools.add(c, web, 3), pools.set_idle(c);
    for (auto& c : busy) pools.add(c, web, 3), pools.set_busy(c);
    std::vector<PooledConnection*> closed;
    const auto close = [&](PooledConnection& c) {
        closed.push_back(&c);
        pools.remove(c);
    };
    web.max_connections = 4;
    reconcile(pools, [&](uint32_t) { return &web; }, close);
    EXPECT_EQ(closed.size(), 1u) << "idle ones first, and no more than needed";
    web.max_connections = 1;
    reconcile(pools, [&](uint32_t) { return &web; }, close);
    EXPECT_EQ(closed.size(), 3u);
    EXPECT_NE(busy[0].draining(), busy[1].draining()) << "one of two busy ones ends after its request";
    for (auto& c : busy) pools.remove(c);
    EXPECT_EQ(pools.connections(), 0u);
}

TEST(Pools, AWalkIsBoundedByItsBudgetAndGoesOnWhereItWas) {
    constexpr uint32_t kMany = 100, kBudget = 16;
    Pools pools({.clusters = 4, .endpoints = kMany});
    std::vector<uint32_t> ids;
    for (uint32_t id = 0; id < kMany; id++) ids.push_back(id);
    const Cluster before = cluster_of(1, ids, 10), after = cluster_of(1, {0}, 11);
    std::deque<TestConnection> idle(kMany), busy(kMany);
    for (uint32_t id = 0; id < kMany; id++) {
        pools.add(idle[id], before, id), pools.set_idle(idle[id]);
        pools.add(busy[id], before, id), pools.set_busy(busy[id]);
    }
    uint32_t looks = 0, closes = 0;
    const auto find = [&](uint32_t) { return looks++, &after; };
    const auto close = [&](PooledConnection& c) {
        closes++;
        pools.remove(c);
    };
    pools.start_reconcile();
    bool done = false;
    for (int turn = 0; !done; turn++) {
        ASSERT_LT(turn, 1000);
        looks = closes = 0;
        done = pools.reconcile(kBudget, find, close);
        EXPECT_LE(looks + closes * Pools::kCloseCost, kBudget);
        // What comes and goes between two turns does not lead it astray.
        if (turn == 3) pools.remove(busy[50]);
        if (turn == 5) pools.add(busy[50], after, 0), pools.set_busy(busy[50]);
    }
    for (uint32_t id = 0; id < kMany; id++) {
        EXPECT_EQ(idle[id].use() == PooledConnection::Use::kNone, id != 0) << id;
        EXPECT_EQ(busy[id].draining(), id != 0 && id != 50) << id;
    }
    EXPECT_FALSE(pools.reconciling());
}

TEST(Pools, ANewerConfigurationIsWalkedForToo) {
    Pools pools({.clusters = 4, .endpoints = 8});
    const Cluster before = cluster_of(1, {0, 1, 2, 3, 4, 5, 6, 7}, 10);
    std::deque<TestConnection> busy(8);
    for (uint32_t id = 0; id < 8; id++) pools.add(busy[id], before, id), pools.set_busy(busy[id]);
    const Cluster first = cluster_of(1, {0, 1, 2, 3, 4, 5, 6}, 11), second = cluster_of(1, {1, 2, 3}, 12);
    const auto close = [](PooledConnection&) { ADD_FAILURE() << "none is idle"; };
    pools.start_reconcile();
    EXPECT_FALSE(pools.reconcile(3, [&](uint32_t) { return &first; }, close));
    pools.start_reconcile();   // while the first is on its way
    int turns = 0;
    while (!pools.reconcile(3, [&](uint32_t) { return &second; }, close)) ASSERT_LT(++turns, 100);
    for (uint32_t id = 0; id < 8; id++) EXPECT_EQ(busy[id].draining(), id == 0 || id > 3) << id;
}

/// Walks in stretches, among random openings and closings, leave what a walk in one go leaves.
TEST(Pools, RandomWalksEndLikeWholeOnes) {
    const uint64_t seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    for (int round = 0; round < 200; round++) {
        constexpr uint32_t kIds = 12;
        Pools pools({.clusters = 4, .endpoints = kIds});
        std::vector<Cluster> versions;
        for (uint64_t v = 0; v < 4; v++) {
            std::vector<uint32_t> ids;
            for (uint32_t id = 0; id < kIds; id++)
                if (v == 0 || rng.chance(0.6)) ids.push_back(id);
            versions.push_back(cluster_of(1, ids, 100 + v));
            versions.back().max_connections = rng.chance(0.3) ? static_cast<uint32_t>(rng.between(1, 20)) : 1000;
        }
        std::deque<TestConnection> all(40);
        size_t now = 0;
        const auto close = [&](PooledConnection& c) { pools.remove(c); };
        const auto find = [&](uint32_t) { return &versions[now]; };
        for (int step = 0; step < 300; step++) {
            TestConnection& c = all[rng.below(all.size())];
            if (c.use() == PooledConnection::Use::kNone) {
                const auto& ids = versions[now].endpoints->sorted_ids;
                if (!ids.empty()) pools.add(c, versions[now], ids[rng.below(ids.size())]);
            } else if (rng.chance(0.3)) {
                pools.remove(c);
            } else {
                rng.chance(0.5) && c.use() != PooledConnection::Use::kIdle && !c.draining() ? pools.set_idle(c) : pools.set_busy(c);
            }
            if (step % 100 == 99) now++, pools.start_reconcile();
            if (rng.chance(0.4)) pools.reconcile(static_cast<uint32_t>(rng.between(1, 12)), find, close);
        }
        while (!pools.reconcile(64, find, close)) {}
        for (const TestConnection& c : all) {
            if (c.use() == PooledConnection::Use::kNone || versions[now].endpoints->has(c.endpoint_id())) continue;
            EXPECT_TRUE(c.draining());
            EXPECT_NE(c.use(), PooledConnection::Use::kIdle);
        }
        for (TestConnection& c : all) pools.remove(c);
        EXPECT_EQ(pools.connections(), 0u);
    }
}

TEST(Pools, RandomOperationsAgainstAModel) {
    const uint64_t seed = 42;
    SCOPED_TRACE("repeat: upstream_test --gtest_filter=Pools.RandomOperationsAgainstAModel, seed " + std::to_string(seed));
    Rng rng(seed);
    Pools pools({.clusters = 4, .endpoints = 8});
    const Cluster cluster = cluster_of(1, {0, 1, 2, 3, 4, 5, 6, 7});
    std::deque<TestConnection> storage(64);
    std::vector<std::deque<PooledConnection*>> idle(8);
    std::vector<int> count(8);
    for (int step = 0; step < 20'000; step++) {
        TestConnection& c = storage[rng.below(storage.size())];
        const auto e = static_cast<uint32_t>(rng.below(8));
        switch (c.use()) {
            case PooledConnection::Use::kNone:
                pools.add(c, cluster, e);
                count[e]++;
                break;
            case PooledConnection::Use::kConnecting:
            case PooledConnection::Use::kBusy:
                if (rng.chance(0.3)) {
                    pools.remove(c);
                    count[c.endpoint_id()]--;
                } else {
                    pools.set_idle(c);
                    idle[c.endpoint_id()].push_front(&c);
                }
                break;
            case PooledConnection::Use::kIdle:
                std::erase(idle[c.endpoint_id()], &c);
                if (rng.chance(0.3)) {
                    pools.remove(c);
                    count[c.endpoint_id()]--;
                } else {
                    pools.set_busy(c);
                }
                break;
        }
        uint32_t sum = 0;
        for (uint32_t id = 0; id < 8; id++) {
            ASSERT_EQ(pools.first_idle(id), idle[id].empty() ? nullptr : idle[id].front()) << "step " << step;
            ASSERT_EQ(pools.endpoint(id)->connections, static_cast<uint32_t>(count[id]));
            sum += static_cast<uint32_t>(count[id]);
        }
        ASSERT_EQ(pools.connections(), sum);
        ASSERT_EQ(pools.cluster(1)->connections, sum);
    }
    uint32_t seen = 0;
    pools.for_each([&](PooledConnection& c) {
        seen++;
        pools.remove(c);
    });
    EXPECT_EQ(pools.connections(), 0u);
    EXPECT_GT(seen, 0u);
}

}  // namespace
}  // namespace sluice::upstream
