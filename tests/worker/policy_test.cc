// What needs no wire: how a worker waits, what an empty turn costs, who owns a connection, how cores hand things over.
#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "base/spsc_ring.h"
#include "base/stage_clock.h"
#include "worker/owner.h"
#include "worker/poll_policy.h"

namespace sluice::worker {
namespace {

using Action = PollPolicy::Action;

TEST(PollPolicy, SpinsThenSleepsLonger) {
    PollPolicy p({});
    const Instant t0{1'000'000};
    EXPECT_EQ(p.after_turn(true, t0, Instant::never()).action, Action::kNone);
    EXPECT_NE(p.after_turn(false, t0 + microseconds(399), Instant::never()).action, Action::kSleep);
    const auto first = p.after_turn(false, t0 + microseconds(401), Instant::never());
    EXPECT_EQ(first.action, Action::kSleep);
    EXPECT_EQ(first.duration, microseconds(50));
    EXPECT_EQ(p.after_turn(false, t0 + microseconds(500), Instant::never()).duration, microseconds(100));
    for (int i = 0; i < 10; i++) EXPECT_LE(p.after_turn(false, t0 + microseconds(900 + i), Instant::never()).duration, microseconds(500));
    // Work wakes it up altogether.
    p.after_turn(true, t0 + seconds(1), Instant::never());
    EXPECT_NE(p.after_turn(false, t0 + seconds(1) + microseconds(50), Instant::never()).action, Action::kSleep);
}

TEST(PollPolicy, GivesWayAtOnceToALoneFrameAndToAFullQueue) {
    PollPolicy p({});
    Instant t{1'000'000};
    const auto after_batch = [&](uint32_t frames, int64_t idle_us) {
        t = t + seconds(1);
        p.received(frames);
        p.after_turn(true, t, Instant::never());
        return p.after_turn(false, t + microseconds(idle_us), Instant::never()).action;
    };
    EXPECT_EQ(after_batch(1, 1), Action::kYield);
    EXPECT_EQ(after_batch(32, 1), Action::kNone) << "a fuller batch is on its way";
    EXPECT_EQ(after_batch(32, 31), Action::kYield);
    EXPECT_EQ(after_batch(90, 1), Action::kNone);
    EXPECT_EQ(after_batch(1, 1), Action::kYield) << "a batch counts from the last empty turn";
}

TEST(PollPolicy, SmallBatchesAtAHighRateAreNoLoneFrames) {
    PollPolicy p({});
    Instant t{1'000'000};
    const auto after_frame = [&](int64_t gap_us) {
        t = t + microseconds(gap_us);
        p.received(1);
        p.after_turn(true, t, Instant::never());
        return p.after_turn(false, t + microseconds(1), Instant::never()).action;
    };
    Action last{};
    for (int i = 0; i < 1000; i++) last = after_frame(10);   // 100 frames a millisecond, one by one
    EXPECT_EQ(last, Action::kNone) << "the next ones are on their way: waking the receive thread for each costs more";
    for (int i = 0; i < 100; i++) last = after_frame(100);
    EXPECT_EQ(last, Action::kYield);
    for (int i = 0; i < 1000; i++) last = after_frame(10);
    EXPECT_EQ(after_frame(1'000'000), Action::kYield) << "what was long ago does not count";
}

TEST(PollPolicy, RestsWhileThreadsThatShareItsCpuHaveWork) {
    for (const bool busy : {false, true}) {
        PollConfig config;
        config.busy = busy;
        PollPolicy p(config);
        Instant t{1'000'000};
        p.after_turn(true, t, Instant::never());
        // An empty turn: at once, as long as a deadline allows.
        const auto rest = p.after_turn(false, t + microseconds(1), Instant::never(), true);
        EXPECT_EQ(rest.action, Action::kSleep);
        EXPECT_EQ(rest.duration, config.rest);
        EXPECT_EQ(p.after_turn(false, t + microseconds(60), t + microseconds(70), true).duration, microseconds(10));
        EXPECT_EQ(p.after_turn(false, t + microseconds(80), t + microseconds(80), true).action, Action::kNone) << "there is something to do";
        // They are done: as before.
        EXPECT_EQ(p.after_turn(false, t + microseconds(90), Instant::never()).action == Action::kSleep, false);
        // Never an empty turn: a sixth of the time is theirs.
        Duration rested{};
        t = t + seconds(1);
        const Instant from = t;
        while (t < from + milliseconds(120)) {
            const auto next = p.after_turn(true, t, t, true);   // due work does not take it from them
            rested = rested + next.duration;
            t = t + next.duration + microseconds(20);
        }
        EXPECT_NEAR(static_cast<double>(rested.us) / 120'000, 1.0 / 6, 0.01);
    }
}

TEST(PollPolicy, GivesWayInTheMidstOfWorkBeforeTheKernelsQueueOverflows) {
    PollPolicy p({});
    Instant t{1'000'000};
    int yields = 0;
    for (int turn = 0; turn < 100; turn++) {   // never an empty turn
        t = t + microseconds(100);
        p.received(32);
        yields += p.after_turn(true, t, Instant::never()).action == Action::kYield;
    }
    EXPECT_EQ(yields, 33) << "once every 96 frames";
    PollConfig busy;
    busy.busy = true;
    PollPolicy never(busy);
    never.received(1000);
    EXPECT_EQ(never.after_turn(true, t, Instant::never()).action, Action::kNone);
}

TEST(PollPolicy, NeverSleepsPastADeadline) {
    PollPolicy p({});
    const Instant t{10'000'000};
    const auto d = p.after_turn(false, t, t + microseconds(7));
    EXPECT_EQ(d.action, Action::kSleep);
    EXPECT_EQ(d.duration, microseconds(7));
    EXPECT_EQ(p.after_turn(false, t, t).action, Action::kNone);
    EXPECT_EQ(p.after_turn(false, t, t - microseconds(5)).action, Action::kNone);
}

TEST(PollPolicy, BusyNeverWaits) {
    PollConfig c;
    c.busy = true;
    PollPolicy p(c);
    EXPECT_EQ(p.after_turn(false, Instant{1'000'000'000}, Instant::never()).action, Action::kNone);
}

TEST(EmptyTurnCost, AnInterruptedTurnIsBusyAndDoesNotRaiseTheCost) {
    EmptyTurnCost c;
    for (int i = 0; i < 1000; i++) c.idle_part(500);
    EXPECT_NEAR(static_cast<double>(c.cost()), 500, 10);
    EXPECT_LE(c.idle_part(1'000'000), 1020u);
    EXPECT_LT(c.cost(), 520u);
    EXPECT_EQ(c.idle_part(400), 400u);
}

TEST(OwnerTable, SpreadsEvenlyAndDependsOnTheSeed) {
    const OwnerTable a(4, 1), b(4, 2);
    std::map<uint32_t, int> count;
    int differ = 0;
    for (uint16_t port = 1; port < 40001; port++) {
        const FourTuple t{{IpAddress::v4(0xc000020a), 80}, {IpAddress::v4(0xc6336401), port}};
        count[a.owner(t)]++;
        differ += a.owner(t) != b.owner(t);
        EXPECT_EQ(a.owner(t), a.owner(t));
    }
    for (const auto& [core, n] : count) EXPECT_NEAR(n, 10000, 600) << core;
    EXPECT_NEAR(differ, 30000, 1500);
}

TEST(OwnerTable, OneCoreOwnsAll) {
    const OwnerTable t(1, 9);
    EXPECT_EQ(t.owner({{IpAddress::v4(1), 2}, {IpAddress::v4(3), 4}}), 0u);
}

TEST(SpscRing, FullAndEmpty) {
    SpscRing<int> r(4);
    int v;
    EXPECT_FALSE(r.pop(v));
    for (int i = 0; i < 4; i++) EXPECT_TRUE(r.push(i));
    EXPECT_FALSE(r.push(4));
    EXPECT_EQ(r.size(), 4u);
    for (int i = 0; i < 4; i++) {
        ASSERT_TRUE(r.pop(v));
        EXPECT_EQ(v, i);
    }
    EXPECT_FALSE(r.pop(v));
}

TEST(SpscRing, EveryItemOnceAndInOrderBetweenThreads) {
    SpscRing<uint64_t> r(64);
    constexpr uint64_t kItems = 300'000;
    std::thread producer([&r] {
        for (uint64_t i = 0; i < kItems;) {
            if (r.push(i)) i++;
            else std::this_thread::yield();
        }
    });
    for (uint64_t expected = 0; expected < kItems;) {
        uint64_t v;
        if (!r.pop(v)) {
            std::this_thread::yield();
            continue;
        }
        ASSERT_EQ(v, expected);
        expected++;
    }
    producer.join();
}

TEST(StageClock, ChargesTheCurrentStageAndForgetsEmptyTurns) {
    StageClock c;
    const uint64_t start = rte_rdtsc();
    c.begin_turn(start);
    c.enter(Stage::kTcp);
    {
        const StageScope scope(c, Stage::kHttp);
    }
    const uint64_t end = rte_rdtsc();
    c.end_turn(end, true);
    uint64_t sum = 0;
    for (size_t s = 0; s < kStages; s++) sum += c.total(static_cast<Stage>(s));
    EXPECT_EQ(sum, end - start);   // nothing unaccounted
    c.begin_turn(end);
    c.end_turn(end + 1000, false);
    uint64_t again = 0;
    for (size_t s = 0; s < kStages; s++) again += c.total(static_cast<Stage>(s));
    EXPECT_EQ(again, sum);
}

}  // namespace
}  // namespace sluice::worker
