// The stream arena and the fixed pool under it: bounded, aligned, given back whole.
#include "base/arena.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

TEST(Pool, LendsItsCapacityAndNoMore) {
    Pool<int> pool(3);
    int* a = pool.take(1);
    int* b = pool.take(2);
    int* c = pool.take(3);
    ASSERT_TRUE(a && b && c);
    EXPECT_EQ(pool.take(4), nullptr);
    EXPECT_EQ(*a + *b + *c, 6);
    pool.give(b);
    EXPECT_EQ(pool.take(5), b);
    EXPECT_EQ(pool.in_use(), 3u);
}

/// What the simulation does to a pool (tests/harness/faults.h): empty after a few, whatever there was, and as before afterwards.
TEST(Pool, WithholdsWhatItHasUntilRestored) {
    for (const uint32_t used_before : {0u, 2u, 5u}) {
        Pool<int> pool(6);
        std::vector<int*> taken;
        for (uint32_t i = 0; i < used_before; i++) taken.push_back(pool.take());
        for (; !taken.empty(); taken.pop_back()) pool.give(taken.back());
        pool.withhold(2);
        int* const first = pool.take();
        ASSERT_TRUE(first);
        ASSERT_TRUE(pool.take());
        EXPECT_FALSE(pool.take()) << used_before;
        pool.give(first);
        EXPECT_TRUE(pool.take()) << "what came back";
        EXPECT_FALSE(pool.take());
        pool.restore();
        for (int i = 0; i < 4; i++) EXPECT_TRUE(pool.take()) << used_before << " " << i;
        EXPECT_FALSE(pool.take());
        EXPECT_EQ(pool.in_use(), 6u);
    }
}

TEST(Arena, TakesNoChunkUntilUsed) {
    ArenaChunkPool chunks(2);
    Arena arena(chunks);
    EXPECT_EQ(chunks.in_use(), 0u);
    EXPECT_EQ(arena.copy("abc"), "abc");
    EXPECT_EQ(chunks.in_use(), 1u);
    arena.reset();
    EXPECT_EQ(chunks.in_use(), 0u);
}

TEST(Arena, EmptyCopyIsNotAFailure) {
    ArenaChunkPool chunks(1);
    Arena arena(chunks);
    EXPECT_NE(arena.copy("").data(), nullptr);
}

TEST(Arena, StopsAtPoolAndLimit) {
    ArenaChunkPool chunks(3);
    Arena limited(chunks, 2 * sizeof(ArenaChunk));
    const size_t most = sizeof(ArenaChunk::bytes);
    EXPECT_EQ(limited.allocate(most + 1, 1), nullptr) << "a large chunk is above the stream's own limit";
    EXPECT_NE(limited.allocate(most, 1), nullptr);
    EXPECT_NE(limited.allocate(most, 1), nullptr);
    EXPECT_EQ(limited.allocate(1, 1), nullptr) << "the stream's own limit";
    Arena other(chunks);
    EXPECT_NE(other.allocate(most, 1), nullptr);
    EXPECT_EQ(other.allocate(1, 1), nullptr) << "the pool is used up";
}

TEST(Arena, TakesALargeChunkForOneLongPiece) {
    ArenaChunkPool chunks(2, 1);
    Arena arena(chunks);
    const std::string text(20'000, 'c');
    EXPECT_EQ(arena.copy(text), text);
    EXPECT_EQ(chunks.in_use(), 0u);
    EXPECT_EQ(chunks.large.in_use(), 1u);
    EXPECT_EQ(arena.copy(text).data(), nullptr) << "there is one only";
    EXPECT_EQ(arena.copy("short"), "short") << "short pieces still fit";
    EXPECT_EQ(arena.allocate(Arena::max_allocation() + 1), nullptr);
    arena.reset();
    EXPECT_EQ(chunks.large.in_use(), 0u);
    EXPECT_NE(arena.allocate(Arena::max_allocation()), nullptr);
}

TEST(Arena, AlignsAndKeepsEarlierBytes) {
    ArenaChunkPool chunks(8);
    Arena arena(chunks);
    std::vector<std::string_view> copies;
    for (int i = 0; i < 500; i++) {
        copies.push_back(arena.copy(std::to_string(i)));
        const auto* number = arena.make<uint64_t>(static_cast<uint64_t>(i));
        ASSERT_NE(number, nullptr);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(number) % alignof(uint64_t), 0u);
    }
    for (int i = 0; i < 500; i++) EXPECT_EQ(copies[static_cast<size_t>(i)], std::to_string(i));
}

TEST(Arena, Concatenates) {
    ArenaChunkPool chunks(1);
    Arena arena(chunks);
    const std::string_view parts[] = {"/new", "", "/rest?q"};
    EXPECT_EQ(arena.concat(parts), "/new/rest?q");
}

}  // namespace
}  // namespace sluice
