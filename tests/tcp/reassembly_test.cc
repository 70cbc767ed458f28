// The out-of-order queue against a plain array: whatever arrives in whatever order, each byte once, what came first stays.
#include "tcp/reassembly.h"

#include <gtest/gtest.h>

#include <map>

#include "base/rng.h"
#include "tests/support/eal.h"

namespace sluice::tcp {
namespace {

SliceQueue queue_of(SliceNodePool& nodes, std::string_view text) {
    SliceQueue q(nodes);
    EXPECT_TRUE(q.push_back(test::heap_slice(text)));
    return q;
}

TEST(Reassembly, RandomPiecesComeOutWhole) {
    for (uint64_t seed = 1; seed <= 60; seed++) {
        SCOPED_TRACE(seed);
        Rng rng(seed);
        SliceNodePool nodes(20'000);
        RunPool pool(256);
        Reassembly r;
        const Seq base{static_cast<uint32_t>(rng.next())};
        std::string stream(2000, 0), got;
        std::vector<bool> known(stream.size());
        for (auto& c : stream) c = static_cast<char>(rng.next());
        Seq next = base;
        for (int i = 0; i < 4000 && got.size() < stream.size(); i++) {
            const uint32_t from = next - base;
            const auto at = static_cast<uint32_t>(rng.between(from, std::min<size_t>(from + 400, stream.size() - 1)));
            const auto length = static_cast<uint32_t>(rng.between(1, std::min<size_t>(60, stream.size() - at)));
            if (at == from) continue;  // in order: the receiver does not queue that
            SackBlock dup;
            const bool all = r.insert(base + at, queue_of(nodes, std::string_view(stream).substr(at, length)), pool, 1 << 30, dup);
            if (all) std::fill_n(known.begin() + at, length, true);
            unsigned runs = 0;  // maximal stretches of known bytes
            for (size_t k = from + 1; k < known.size(); k++) runs += known[k] && !(k > from + 1 && known[k - 1]);
            if (all) ASSERT_EQ(r.runs(), runs);
            if (rng.chance(0.1)) {  // the gap closes
                size_t end = from;
                while (end < stream.size() && !known[end]) end++;
                if (end == stream.size()) continue;
                got += stream.substr(from, end - from);
                next = base + static_cast<uint32_t>(end);
                SliceQueue out(nodes);
                const uint32_t taken = r.take(next, out, pool);
                ASSERT_EQ(taken, out.bytes());
                std::string text(taken, 0);
                out.peek(0, {reinterpret_cast<uint8_t*>(text.data()), text.size()});
                ASSERT_EQ(text, stream.substr(end, taken));
                got += text;
                next = next + taken;
            }
        }
        EXPECT_EQ(got, stream.substr(0, got.size()));
        r.clear(pool);
        EXPECT_EQ(pool.in_use(), 0u);
        EXPECT_EQ(nodes.in_use(), 0u);
    }
}

TEST(Reassembly, FirstBytesWinAnOverlap) {
    SliceNodePool nodes(100);
    RunPool pool(8);
    Reassembly r;
    SackBlock dup;
    EXPECT_TRUE(r.insert(Seq{10}, queue_of(nodes, "BBBB"), pool, 1 << 20, dup));
    EXPECT_EQ(dup.start, dup.end);
    EXPECT_TRUE(r.insert(Seq{8}, queue_of(nodes, "aaaaaaaa"), pool, 1 << 20, dup));
    EXPECT_EQ(dup, (SackBlock{Seq{10}, Seq{14}}));
    SliceQueue out(nodes);
    EXPECT_EQ(r.take(Seq{8}, out, pool), 8u);
    std::string text(8, 0);
    out.peek(0, {reinterpret_cast<uint8_t*>(text.data()), text.size()});
    EXPECT_EQ(text, "aaBBBBaa");
}

TEST(Reassembly, HolesAreBounded) {  // CVE-2018-5390: one byte, one hole, one byte ...
    SliceNodePool nodes(10'000);
    RunPool pool(10'000);
    Reassembly r;
    SackBlock dup;
    int kept = 0;
    for (uint32_t i = 0; i < 5000; i++) kept += r.insert(Seq{100 + 2 * i}, queue_of(nodes, "x"), pool, 1 << 30, dup);
    EXPECT_EQ(kept, Reassembly::kRunsMax);
    EXPECT_EQ(nodes.in_use(), Reassembly::kRunsMax);
    EXPECT_FALSE(r.insert(Seq{99}, queue_of(nodes, std::string(3000, 'x')), pool, 1000, dup)) << "charge limit";
    r.clear(pool);
}

TEST(Reassembly, SackBlocksNameTheLastGrownFirst) {
    SliceNodePool nodes(100);
    RunPool pool(8);
    Reassembly r;
    SackBlock dup, blocks[3];
    for (const uint32_t at : {10u, 30u, 50u, 70u}) EXPECT_TRUE(r.insert(Seq{at}, queue_of(nodes, "xx"), pool, 1 << 20, dup));
    EXPECT_TRUE(r.insert(Seq{32}, queue_of(nodes, "yy"), pool, 1 << 20, dup));
    ASSERT_EQ(r.sack_blocks(blocks), 3u);
    EXPECT_EQ(blocks[0], (SackBlock{Seq{30}, Seq{34}}));
    EXPECT_EQ(blocks[1], (SackBlock{Seq{70}, Seq{72}}));
    EXPECT_EQ(blocks[2], (SackBlock{Seq{50}, Seq{52}}));
    r.clear(pool);
}

}  // namespace
}  // namespace sluice::tcp
