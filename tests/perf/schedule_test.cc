// When requests are due: evenly, at random with the right mean and spread, or never; and late ones keep their due time.
#include "perf/load_generator/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sluice::perf {
namespace {

TEST(Schedule, AFixedRateIsEvenAndDoesNotDrift) {
    Schedule s(Arrivals::kFixed, 300'000, 1);   // 3,333.3 ns: a rate that no whole number of nanoseconds gives
    for (int i = 0; i < 300'000; i++) s.take();
    EXPECT_EQ(s.due_ns(), 1'000'000'000u);
}

TEST(Schedule, ADueTimeStaysUntilItIsTaken) {
    Schedule s(Arrivals::kFixed, 1000, 1);
    EXPECT_EQ(s.due_ns(), 0u);
    EXPECT_EQ(s.due_ns(), 0u);
    s.take();
    EXPECT_EQ(s.due_ns(), 1'000'000u);   // whatever the clock says meanwhile
}

TEST(Schedule, PoissonHasTheMeanAndTheSpreadOfOne) {
    Schedule s(Arrivals::kPoisson, 100'000, 42);
    constexpr int kSamples = 200'000;
    uint64_t before = 0;
    double sum = 0, squares = 0;
    for (int i = 0; i < kSamples; i++) {
        const auto gap = static_cast<double>(s.due_ns() - before);
        before = s.due_ns();
        sum += gap, squares += gap * gap;
        s.take();
    }
    const double mean = sum / kSamples, deviation = std::sqrt(squares / kSamples - mean * mean);
    EXPECT_NEAR(mean, 10'000, 100);
    EXPECT_NEAR(deviation, mean, 200);   // of an exponential distribution they are equal
}

TEST(Schedule, TheSameSeedIsTheSameRun) {
    Schedule a(Arrivals::kPoisson, 1000, 7), b(Arrivals::kPoisson, 1000, 7), c(Arrivals::kPoisson, 1000, 8);
    bool differs = false;
    for (int i = 0; i < 100; i++) {
        ASSERT_EQ(a.due_ns(), b.due_ns());
        differs |= a.due_ns() != c.due_ns();
        a.take(), b.take(), c.take();
    }
    EXPECT_TRUE(differs);
}

TEST(Schedule, AClosedLoopIsNeverDue) {
    EXPECT_EQ(Schedule(Arrivals::kClosed, 1000, 1).due_ns(), Schedule::kNever);
    EXPECT_EQ(Schedule(Arrivals::kFixed, 0, 1).due_ns(), Schedule::kNever);
}

}  // namespace
}  // namespace sluice::perf
