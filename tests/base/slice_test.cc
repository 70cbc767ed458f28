// Slices and queues: references are kept exactly as long as needed, and bytes come out as they went in.
#include "base/slice.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "tests/support/eal.h"

namespace sluice {
namespace {

class SliceTest : public ::testing::Test {
 protected:
    void SetUp() override {
        test::test_eal();
        free_before_ = rte_mempool_avail_count(test::test_mempool());
    }
    void TearDown() override {
        EXPECT_EQ(rte_mempool_avail_count(test::test_mempool()), free_before_) << "mbufs leaked";
        EXPECT_EQ(nodes_.in_use(), 0u) << "nodes leaked";
    }
    static std::string text(const SliceQueue& queue) {
        std::string out(queue.bytes(), '\0');
        EXPECT_EQ(queue.peek(0, {reinterpret_cast<uint8_t*>(out.data()), out.size()}), out.size());
        return out;
    }
    SliceNodePool nodes_{64};
    unsigned free_before_ = 0;
};

TEST_F(SliceTest, MoveHandsTheReferenceOn) {
    Slice a = test::heap_slice("hello");
    Slice b = std::move(a);
    EXPECT_EQ(a.segment(), nullptr);
    EXPECT_EQ(b.size(), 5u);
    b = test::heap_slice("again");
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(b.data()), b.size()), "again");
}

TEST_F(SliceTest, ShareKeepsBytesAlive) {
    Slice part;
    {
        Slice whole = test::heap_slice("hello world");
        part = whole.share(6, 5);
        EXPECT_EQ(rte_mbuf_refcnt_read(whole.segment()), 2);
    }
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(part.data()), part.size()), "world");
    EXPECT_EQ(rte_mbuf_refcnt_read(part.segment()), 1);
}

TEST_F(SliceTest, QueueRefusesWhenNodesAreUsedUp) {
    SliceNodePool one(1);
    SliceQueue queue(one);
    ASSERT_TRUE(queue.push_back(test::heap_slice("a")));
    Slice second = test::heap_slice("b");
    EXPECT_FALSE(queue.push_back(std::move(second)));
    EXPECT_EQ(second.size(), 1u) << "a refused slice stays the caller's";
    EXPECT_EQ(queue.bytes(), 1u);
}

TEST_F(SliceTest, SplitThatRunsOutOfNodesLosesNothing) {
    SliceNodePool two(2);
    SliceQueue from(two), to(two);
    ASSERT_TRUE(from.push_back(test::heap_slice("abc")));
    ASSERT_TRUE(from.push_back(test::heap_slice("defg")));
    EXPECT_FALSE(from.split_to(5, to));
    EXPECT_EQ(text(to) + text(from), "abcdefg");
}

// Random cuts and drops against a plain string. The seed is printed; SLUICE_SEED repeats one.
TEST_F(SliceTest, BehavesAsAString) {
    const char* chosen = std::getenv("SLUICE_SEED");
    const auto seed = chosen ? std::strtoul(chosen, nullptr, 10) : std::random_device{}();
    SCOPED_TRACE("repeat with SLUICE_SEED=" + std::to_string(seed) + " base_test --gtest_filter=SliceTest.BehavesAsAString");
    std::mt19937 random(static_cast<uint32_t>(seed));
    SliceQueue queue(nodes_), other(nodes_);
    std::string model, other_model;
    for (int step = 0; step < 5000; step++) {
        switch (random() % 4) {
            case 0: {
                std::string piece(random() % 40, static_cast<char>('a' + random() % 26));
                if (queue.push_back(test::heap_slice(piece))) model += piece;
                break;
            }
            case 1: {
                const size_t n = model.empty() ? 0 : random() % (model.size() + 1);
                queue.consume(n);
                model.erase(0, n);
                break;
            }
            case 2: {
                const size_t n = model.empty() ? 0 : random() % (model.size() + 1);
                const uint64_t before = other.bytes();
                (void)queue.split_to(n, other);
                const size_t moved = other.bytes() - before;
                other_model += model.substr(0, moved);
                model.erase(0, moved);
                break;
            }
            default:
                if (random() % 8 == 0) {
                    other.clear();
                    other_model.clear();
                } else if (random() % 4 == 0) {
                    queue.append(std::move(other));
                    model += other_model;
                    other_model.clear();
                }
        }
        ASSERT_EQ(text(queue), model) << "seed " << seed << " step " << step;
        ASSERT_EQ(text(other), other_model) << "seed " << seed << " step " << step;
    }
}

}  // namespace
}  // namespace sluice
