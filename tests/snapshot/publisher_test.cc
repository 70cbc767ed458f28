// Publishing, sharing and retiring on one thread: what is freed when, and what is not.
#include "tests/snapshot/support.h"

namespace sluice::snapshot::test {
namespace {

const upstream::Cluster* cluster(const Snapshot* snapshot, const std::string& name) {
    for (const auto& c : snapshot->clusters) {
        if (c && c->name == name) return c.get();
    }
    return nullptr;
}

class SnapshotPublisher : public testing::Test {
 protected:
    void publish(const std::map<std::string, int>& clusters) { ASSERT_TRUE(publisher.publish(make_snapshot(publisher, clusters, ++revision))); }
    void TearDown() override { publisher_.reset(); EXPECT_EQ(live_parts(), 0); }
    std::unique_ptr<Publisher> publisher_ = std::make_unique<Publisher>(2);
    Publisher& publisher = *publisher_;
    uint64_t revision = 0;
};

TEST_F(SnapshotPublisher, AnOldRootLivesUntilEveryCoreWasQuiescent) {
    Reader a = publisher.reader(0), b = publisher.reader(1);
    EXPECT_EQ(a.load(), nullptr);
    publish({{"x", 1}});
    const Snapshot* first = a.load();
    publish({{"x", 2}});
    EXPECT_EQ(a.load()->revision, 2u);
    EXPECT_FALSE(publisher.live_everywhere());
    EXPECT_EQ(publisher.reclaim().snapshots, 1u);
    EXPECT_EQ(cluster(first, "x")->max_connections, kHealthy);
    a.quiescent();
    EXPECT_EQ(publisher.reclaim().snapshots, 1u);
    b.quiescent();
    EXPECT_TRUE(publisher.live_everywhere());
    EXPECT_EQ(publisher.reclaim().snapshots, 0u);
    EXPECT_EQ(live_parts(), 2);
}

TEST_F(SnapshotPublisher, ACoreAsleepHoldsNothing) {
    Reader a = publisher.reader(0), b = publisher.reader(1);
    b.offline();
    publish({{"x", 1}});
    publish({{"x", 2}});
    a.quiescent();
    EXPECT_EQ(publisher.reclaim().snapshots, 0u);
    b.online();
    EXPECT_EQ(b.load()->revision, 2u);
}

TEST_F(SnapshotPublisher, APinHoldsItsPartAndNotTheRoot) {
    Reader a = publisher.reader(0);
    publish({{"x", 1}, {"y", 1}});
    Pin<upstream::Cluster> pin(a.pins(), cluster(a.load(), "x"));
    publish({{"y", 2}});
    a.quiescent();
    auto waiting = publisher.reclaim();
    EXPECT_EQ(waiting.snapshots, 0u);
    EXPECT_EQ(waiting.parts, 2u) << "the cluster, and its endpoints through it";
    EXPECT_EQ(pin->endpoints->lowest_priority_count, kHealthy);
    pin.reset();
    EXPECT_EQ(publisher.reclaim().parts, 0u);
    EXPECT_EQ(live_parts(), 2);
}

TEST_F(SnapshotPublisher, AChildPinnedFromItsParentOutlivesIt) {
    Reader a = publisher.reader(0);
    publish({{"x", 1}});
    Pin<upstream::Cluster> parent(a.pins(), cluster(a.load(), "x"));
    publish({});
    a.quiescent();
    publisher.reclaim();
    Pin<upstream::EndpointSet> child(a.pins(), parent->endpoints.get());
    parent.reset();
    EXPECT_EQ(publisher.reclaim().parts, 1u);
    EXPECT_EQ(child->lowest_priority_count, kHealthy);
    child.reset();
    EXPECT_EQ(publisher.reclaim().parts, 0u);
    EXPECT_EQ(live_parts(), 0);
}

TEST_F(SnapshotPublisher, UnchangedPartsAreSharedAndKeepTheirSlot) {
    Reader a = publisher.reader(0);
    publish({{"x", 1}, {"y", 1}});
    const upstream::Cluster* x = cluster(a.load(), "x");
    const uint32_t slot = x->slot;
    for (int version = 2; version < 20; version++) {
        publish({{"x", 1}, {"y", version}});
        a.quiescent();
        publisher.reclaim();
        EXPECT_EQ(cluster(a.load(), "x"), x);
    }
    EXPECT_EQ(x->slot, slot);
    EXPECT_EQ(x->max_connections, kHealthy);
    EXPECT_EQ(live_parts(), 4);
}

TEST_F(SnapshotPublisher, AnIdIsNotReusedWhileAPinnedPartCarriesIt) {
    Reader a = publisher.reader(0);
    publish({{"x", 1}});
    const uint32_t id = cluster(a.load(), "x")->id;
    Pin<upstream::Cluster> pin(a.pins(), cluster(a.load(), "x"));
    for (int i = 0; i < 3; i++) {
        publish({{"y", i}});
        a.quiescent();
        publisher.reclaim();
        EXPECT_NE(cluster(a.load(), "y")->id, id);
    }
    pin.reset();
    publisher.reclaim();
    publish({{"y", 9}, {"z", 1}});
    EXPECT_EQ(cluster(a.load(), "z")->id, id);
}

TEST_F(SnapshotPublisher, ScratchGrowsWithTheTablesAndIsKeptOtherwise) {
    Reader a = publisher.reader(0);
    const auto table = [](std::string pattern) {
        route::VirtualHostInput host;
        host.virtual_host.domains = {"*"};
        host.virtual_host.routes.resize(1);
        host.matches = {{route::RouteMatch::Path::kRegex, std::move(pattern), false, {}, {}}};
        return *route::RouteTable::build("t", {host}, {}, {});
    };
    const auto publish_table = [&](std::shared_ptr<const route::RouteTable> routes) {
        auto snapshot = std::make_unique<Snapshot>();
        snapshot->routes.push_back(std::move(routes));
        ASSERT_TRUE(publisher.publish(std::move(snapshot)));
    };
    publish({{"x", 1}});
    const route::Scratch* none = a.load()->scratch[0];
    ASSERT_NE(none, nullptr);
    publish_table(table("/a+"));
    const route::Scratch* some = a.load()->scratch[0];
    EXPECT_NE(some, none) << "an old root's scratch is never touched";
    EXPECT_NE(some->hyperscan, nullptr);
    EXPECT_NE(a.load()->scratch[1], some) << "one for each core";
    publish_table(table("/a+"));
    EXPECT_EQ(a.load()->scratch[0], some);
    // Every request writes to it: it lies on lines that hold nothing else.
    for (const void* own : {static_cast<const void*>(a.load()->scratch[0]), static_cast<const void*>(a.load()->scratch[1]), static_cast<const void*>(some->text)})
        EXPECT_EQ(reinterpret_cast<uintptr_t>(own) % 64, 0u);
    EXPECT_EQ(sizeof(route::Scratch) % 64, 0u);
}

}  // namespace
}  // namespace sluice::snapshot::test
