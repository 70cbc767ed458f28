// The instrument of perf/line_sharing itself: what it must find, and what it must leave alone. Compiled with instrumentation and linked
// with our runtime in place of ThreadSanitizer's. Two threads, one after the other: what is found does not hang on timing.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

#include "perf/line_recorder/recorder.h"

namespace sluice::perf {
namespace {

struct alignas(64) Line {
    uint64_t words[8];
};

class LineSharing : public ::testing::Test {
 protected:
    LineSharing() { record_clear(); }
    template <typename First, typename Second>
    std::vector<SharedLine> after(First first, Second second) {
        std::thread([&] { record_begin(0), first(), record_end(); }).join();
        std::thread([&] { record_begin(1), second(), record_end(); }).join();
        EXPECT_EQ(recorded(0).lost + recorded(1).lost, 0u);
        return shared_lines();
    }
    static uintptr_t address(const volatile void* p) { return reinterpret_cast<uintptr_t>(p); }
};

Line counters;
std::atomic<uint64_t> common{0};
volatile uint64_t sink;
char text[256];

[[gnu::noinline]] void count(volatile uint64_t& word) { word = word + 1; }

TEST_F(LineSharing, ACounterOfBothIsFound) {
    const auto found = after([] { count(counters.words[0]); }, [] { count(counters.words[0]); });
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].access[0].line, address(&counters));
    EXPECT_TRUE(found[0].same_bytes());
    EXPECT_EQ(found[0].access[1].written, 0xffu);
    EXPECT_NE(found[0].access[0].store.at, nullptr);
    EXPECT_NE(found[0].access[0].store.caller, found[0].access[1].store.caller) << "two lambdas call it";
}

TEST_F(LineSharing, NeighboursOnALineAreFound) {
    const auto found = after([] { count(counters.words[1]); }, [] { count(counters.words[6]); });
    ASSERT_EQ(found.size(), 1u);
    EXPECT_FALSE(found[0].same_bytes());
    EXPECT_EQ(found[0].access[0].written, uint64_t{0xff} << 8);
    EXPECT_EQ(found[0].access[1].written, uint64_t{0xff} << 48);
}

TEST_F(LineSharing, AReaderOfAWrittenLineIsFound) {
    const auto found = after([] { sink = counters.words[2]; }, [] { count(counters.words[3]); });
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].access[0].written, 0u);
    EXPECT_NE(found[0].access[0].load.at, nullptr);
}

TEST_F(LineSharing, WhatBothOnlyReadIsNot) {
    [[maybe_unused]] static Line results[2];
    static const volatile uint64_t& word = counters.words[2];
    EXPECT_TRUE(after([] { results[0].words[0] = word; }, [] { results[1].words[0] = word; }).empty());
    EXPECT_EQ(lines_read_by_both(0, 1), 1u);
}

TEST_F(LineSharing, LinesOfOneThreadAreNot) {
    static Line own[2];
    EXPECT_TRUE(after([] { count(own[0].words[7]); }, [] { count(own[1].words[0]); }).empty());
    EXPECT_EQ(recorded(0).written, 1u);
}

TEST_F(LineSharing, AtomicsWorkAndAreFound) {
    const uint64_t before = common;
    const auto found = after(
        [] {
            common.fetch_add(2);
            uint64_t expected = common.load();
            EXPECT_TRUE(common.compare_exchange_strong(expected, expected + 3));
        },
        [] { common.store(common.load(std::memory_order_acquire) + 4, std::memory_order_release); });
    EXPECT_EQ(common.load(), before + 9);
    ASSERT_FALSE(found.empty());
    EXPECT_TRUE(std::any_of(found.begin(), found.end(), [](const SharedLine& s) { return s.access[0].line == (address(&common) & ~uintptr_t{63}) && s.same_bytes(); }));
}

TEST_F(LineSharing, CopiesOverManyLinesAreFound) {
    static char source[256];
    volatile size_t bytes = 200;   // no compiler knows it: the library's memcpy
    const auto found = after([&] { std::memcpy(text, source, bytes); }, [&] { sink = static_cast<uint64_t>(std::memcmp(text, source, bytes)); });
    size_t lines = 0;
    for (const SharedLine& s : found) lines += s.access[0].line + 63 >= address(text) && s.access[0].line < address(text) + 200;
    EXPECT_GE(lines, 4u);
    EXPECT_FALSE(std::any_of(found.begin(), found.end(), [&](const SharedLine& s) { return s.access[0].line == (address(source) & ~uintptr_t{63}) + 64; }))
        << "the source is read by both";
}

TEST_F(LineSharing, NothingIsNotedOutsideOfTheRecord) {
    count(counters.words[0]);
    EXPECT_TRUE(after([] {}, [] { count(counters.words[0]); }).empty());
}

}  // namespace
}  // namespace sluice::perf
