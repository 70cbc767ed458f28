// The wheel against a sorted list: never early, at most a tick late, in order, whatever is armed, moved and cancelled.
#include "base/timer_wheel.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <vector>

#include "base/rng.h"

namespace sluice {
namespace {

struct Timer {
    TimerNode node;  // first member: the callback casts back
    Instant due{};
    int fired = 0;
};
Timer& timer_of(TimerNode& node) { return reinterpret_cast<Timer&>(node); }

TEST(TimerWheel, FiresOnceAtItsTick) {
    TimerWheel wheel(Instant{1000});
    Timer t;
    wheel.arm(t.node, Instant{5000});
    EXPECT_TRUE(t.node.armed());
    wheel.advance(Instant{4990}, [](TimerNode&) { FAIL() << "early"; });
    int fired = 0;
    wheel.advance(Instant{5000 + 128}, [&](TimerNode&) { fired++; });
    EXPECT_EQ(fired, 1);
    EXPECT_FALSE(t.node.armed());
    EXPECT_EQ(wheel.next(), Instant::never());
}

TEST(TimerWheel, PastDeadlineFiresOnTheNextTickAndNeverLoops) {
    TimerWheel wheel(Instant{1 << 20});
    Timer t;
    wheel.arm(t.node, Instant{5});
    int fired = 0;
    wheel.advance(wheel.next(), [&](TimerNode& node) {
        fired++;
        wheel.arm(node, Instant{5});
    });
    EXPECT_EQ(fired, 1);
    EXPECT_TRUE(t.node.armed());
}

TEST(TimerWheel, CallbackMayCancelANeighbourOfTheSameSlot) {
    TimerWheel wheel;
    Timer a, b;
    wheel.arm(a.node, Instant{1280});
    wheel.arm(b.node, Instant{1280});
    int fired = 0;
    wheel.advance(Instant{2000}, [&](TimerNode& node) {
        fired++;
        wheel.cancel(&node == &a.node ? b.node : a.node);
    });
    EXPECT_EQ(fired, 1);
    EXPECT_EQ(wheel.armed(), 0u);
}

TEST(TimerWheel, FarDeadlinesAndNever) {
    TimerWheel wheel;
    Timer far_one, none;
    const Instant in_a_year{uint64_t{365} * 86400 * 1'000'000};
    wheel.arm(far_one.node, in_a_year);
    wheel.arm(none.node, Instant::never());
    EXPECT_FALSE(none.node.armed());
    int steps = 0;
    bool fired = false;
    while (!fired && steps++ < 100) {
        const Instant next = wheel.next();
        ASSERT_LE(next, in_a_year + TimerWheel::kTick);
        wheel.advance(next, [&](TimerNode&) { fired = true; });
    }
    EXPECT_TRUE(fired);
    EXPECT_LE(steps, 12);
}

TEST(TimerWheel, AgreesWithASortedModel) {
    for (uint64_t seed = 1; seed <= 20; seed++) {
        SCOPED_TRACE(seed);
        Rng rng(seed);
        Instant now{rng.below(1u << 30)};
        TimerWheel wheel(now);
        std::vector<Timer> timers(300);
        std::multimap<uint64_t, Timer*> model;
        auto forget = [&](Timer* t) {
            for (auto it = model.begin(); it != model.end(); ++it)
                if (it->second == t) return void(model.erase(it));
        };
        for (int step = 0; step < 3000; step++) {
            Timer& t = timers[rng.below(timers.size())];
            const uint64_t kind = rng.below(10);
            if (kind < 6) {
                forget(&t);
                t.due = Instant{now.us + rng.below(uint64_t{1} << rng.between(1, 40))};
                wheel.arm(t.node, t.due);
                model.emplace(t.due.us, &t);
            } else if (kind < 7) {
                forget(&t);
                wheel.cancel(t.node);
            } else {
                now.us += rng.below(uint64_t{1} << rng.between(1, 38));
                uint64_t last_due = 0;
                wheel.advance(now, [&](TimerNode& node) {
                    Timer& due = timer_of(node);
                    EXPECT_LE(due.due, now) << "early";
                    EXPECT_GE(due.due.us + 2 * 128, last_due) << "out of order";
                    last_due = due.due.us;
                    forget(&due);
                });
                for (const auto& [at, timer] : model) {
                    if (at + 2 * 128 > now.us) break;
                    ADD_FAILURE() << "late: due " << at << ", now " << now.us;
                }
            }
            ASSERT_EQ(wheel.armed(), model.size());
            if (!model.empty()) {
                ASSERT_LE(wheel.next().us, model.begin()->first + 2 * 128);
            }
        }
        for (auto& t : timers) wheel.cancel(t.node);
        EXPECT_EQ(wheel.next(), Instant::never());
    }
}

}  // namespace
}  // namespace sluice
