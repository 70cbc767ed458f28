// Stable ids: kept while asked for or carried by a live part, then given to others.
#include <gtest/gtest.h>

#include "snapshot/ids.h"

namespace sluice::snapshot {
namespace {

TEST(SnapshotIds, SameKeySameId) {
    IdTable ids(100);
    const uint32_t a = ids.id_of("a"), b = ids.id_of("b");
    EXPECT_NE(a, b);
    EXPECT_EQ(ids.id_of("a"), a);
    ids.next_round();
    EXPECT_EQ(ids.id_of("a"), a);
    EXPECT_EQ(ids.end(), 2u);
}

TEST(SnapshotIds, ReleasedWhenNotAskedForAndNotCarried) {
    IdTable ids(100);
    const uint32_t a = ids.id_of("a");
    ids.hold(a);
    ids.next_round();  // published with a
    ids.sweep();
    ids.next_round();  // published without
    ids.sweep();
    EXPECT_EQ(ids.in_use(), 1u) << "a part still carries it";
    EXPECT_NE(ids.id_of("b"), a);
    ids.release(a);
    ids.sweep();
    EXPECT_EQ(ids.id_of("c"), a) << "free again";
}

TEST(SnapshotIds, AskedForAgainBeforeReuseKeepsItsId) {
    IdTable ids(100);
    const uint32_t a = ids.id_of("a");
    ids.hold(a);
    ids.next_round();
    ids.next_round();
    ids.sweep();
    EXPECT_EQ(ids.id_of("a"), a);
    ids.release(a);
    ids.sweep();
    EXPECT_EQ(ids.id_of("a"), a) << "asked for in the round that is being built";
}

TEST(SnapshotIds, ReuseIsTold) {
    IdTable ids(100);
    std::vector<uint32_t> reused;
    ids.on_reuse([&](uint32_t id) { reused.push_back(id); });
    const uint32_t a = ids.id_of("a");
    ids.id_of("a");
    EXPECT_TRUE(reused.empty()) << "new, and the same again";
    ids.next_round();
    ids.next_round();
    ids.sweep();
    EXPECT_EQ(ids.id_of("b"), a);
    EXPECT_EQ(reused, std::vector<uint32_t>{a});
}

TEST(SnapshotIds, RunOutSaysSo) {
    IdTable ids(2);
    ids.id_of("a");
    ids.id_of("b");
    EXPECT_EQ(ids.id_of("c"), UINT32_MAX);
    EXPECT_EQ(ids.id_of("b"), 1u);
}

}  // namespace
}  // namespace sluice::snapshot
