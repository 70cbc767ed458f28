// The mailbox and the byte ring between real threads (also under the thread sanitizer): answers are whole, a silent core leaves
// nothing dangling, and rows of a long listing come in order through a small ring.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "base/byte_ring.h"
#include "base/spsc_ring.h"
#include "worker/mailbox.h"

namespace sluice::worker {
namespace {

/// A core that only looks at its mailbox. No job here looks at the Worker it is given.
class Core {
 public:
    Core() { start(); }
    ~Core() { stop(); }
    void start() {
        stopping_ = false;
        thread_ = std::thread([this] {
            while (!stopping_.load(std::memory_order_relaxed)) {
                if (mailbox.waiting()) mailbox.run(none());
                else std::this_thread::yield();
            }
        });
    }
    void stop() {
        stopping_ = true;
        if (thread_.joinable()) thread_.join();
    }
    static Worker& none() {
        alignas(64) static char nothing[64];
        return reinterpret_cast<Worker&>(nothing);
    }
    Mailbox mailbox;

 private:
    std::atomic<bool> stopping_{false};
    std::thread thread_;
};

struct Sum final : Job {
    explicit Sum(uint64_t upto) : left(upto) {}
    Step step(Worker&) override {
        steps++;
        for (int i = 0; i < 10 && left > 0; i++) sum += left--;
        return left > 0 ? Step::kMore : Step::kDone;
    }
    uint64_t left, sum = 0;   // plain: the mailbox orders them
    uint32_t steps = 0;
};

/// Says in its asker's memory that it was done, and that it is gone.
struct Touch final : Job {
    Touch(bool always, std::atomic<int>& done_count, std::atomic<int>& gone_count) : done(done_count), gone(gone_count), always_(always) {}
    ~Touch() override { gone++; }
    Step step(Worker&) override { return done++, Step::kDone; }
    bool runs_when_cancelled() const override { return always_; }
    std::atomic<int>&done, &gone;

 private:
    bool always_;
};

struct Count final : Job {
    Step step(Worker&) override {
        if (rows.size() + 4 > rows.capacity()) return Step::kWaiting;
        for (int i = 0; i < 4 && next < kAll; i++) EXPECT_TRUE(rows.push(next++));
        return next < kAll ? Step::kMore : Step::kDone;
    }
    static constexpr uint32_t kAll = 20'000;
    SpscRing<uint32_t> rows{16};
    uint32_t next = 0;
};

constexpr Duration kLong = seconds(30);   // a loaded machine is slow, not silent

TEST(Mailbox, AJobIsDoneInSlices) {
    Core core;
    auto job = std::make_unique<Sum>(1000);
    ASSERT_EQ(core.mailbox.ask(job, kLong), Mailbox::Answer::kDone);
    EXPECT_EQ(job->sum, 1000u * 1001 / 2);
    EXPECT_EQ(job->steps, 100u);
}

TEST(Mailbox, ManyAskersAtOnce) {
    Core core;
    std::vector<std::thread> askers;
    std::atomic<uint32_t> right{0};
    for (uint32_t n = 0; n < 4; n++)
        askers.emplace_back([&, n] {
            for (uint32_t i = 0; i < 100; i++) {
                auto job = std::make_unique<Sum>(n + i);
                if (core.mailbox.ask(job, kLong) == Mailbox::Answer::kDone && job->sum == uint64_t{n + i} * (n + i + 1) / 2) right++;
            }
        });
    for (auto& asker : askers) asker.join();
    EXPECT_EQ(right, 400u);
}

TEST(Mailbox, ASilentCoreLeavesNothingDangling) {
    std::atomic<int> done{0}, gone{0};
    Core core;
    core.stop();
    auto job = std::make_unique<Touch>(false, done, gone);
    EXPECT_EQ(core.mailbox.ask(job, milliseconds(5)), Mailbox::Answer::kSilent);
    EXPECT_EQ(job, nullptr) << "the mailbox's";
    EXPECT_EQ(gone, 0) << "the core may still touch it";
    auto next = std::make_unique<Touch>(false, done, gone);
    EXPECT_EQ(core.mailbox.ask(next, milliseconds(5)), Mailbox::Answer::kBusy) << "the first one is still there";
    ASSERT_NE(next, nullptr);
    core.start();
    ASSERT_EQ(core.mailbox.ask(next, kLong), Mailbox::Answer::kDone);
    EXPECT_EQ(done, 1) << "what nobody waits for is not done";
    EXPECT_EQ(gone, 1);
    next.reset();
    EXPECT_EQ(gone, 2);
}

TEST(Mailbox, WhatMustBeDoneIsDoneLate) {
    std::atomic<int> done{0}, gone{0};
    Core core;
    core.stop();
    auto job = std::make_unique<Touch>(true, done, gone);
    EXPECT_EQ(core.mailbox.ask(job, milliseconds(5)), Mailbox::Answer::kSilent);
    core.start();
    auto next = std::make_unique<Touch>(false, done, gone);
    ASSERT_EQ(core.mailbox.ask(next, kLong), Mailbox::Answer::kDone);
    EXPECT_EQ(done, 2);
}

TEST(Mailbox, RowsComeThroughASmallRingInOrder) {
    Core core;
    auto job = std::make_unique<Count>();
    Count& from = *job;
    uint32_t expected = 0, row = 0;
    ASSERT_EQ(core.mailbox.ask(job, kLong, [&] {
        while (from.rows.pop(row)) {
            ASSERT_EQ(row, expected);
            expected++;
        }
    }), Mailbox::Answer::kDone);
    EXPECT_EQ(expected, Count::kAll);
}

TEST(ByteRing, TwoThreadsAndEverySize) {
    ByteRing ring(4096);
    constexpr uint32_t kRecords = 20'000;
    const auto size_of = [&](uint32_t i) { return 4 + i * 7919 % (ring.record_bytes_max() - 4); };
    std::thread producer([&] {
        for (uint32_t i = 0; i < kRecords;) {
            const uint32_t size = size_of(i);
            std::byte* room = ring.reserve(size);
            if (!room) {
                std::this_thread::yield();
                continue;
            }
            std::memset(room, static_cast<int>(i), size);
            std::memcpy(room, &i, 4);
            ring.commit(size);
            i++;
        }
    });
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < kRecords;) {
        const auto record = ring.front();
        if (record.empty()) {
            std::this_thread::yield();
            continue;
        }
        uint32_t number;
        std::memcpy(&number, record.data(), 4);
        wrong += number != i || record.size() != size_of(i) || (record.size() > 4 && record.back() != static_cast<std::byte>(i));
        ring.pop();
        i++;
    }
    producer.join();
    EXPECT_EQ(wrong, 0u);
    EXPECT_EQ(ring.reserve(ring.record_bytes_max() + 1), nullptr);
}

}  // namespace
}  // namespace sluice::worker
