// The histogram's resolution, its quantiles, and the correction for coordinated omission against a worked example.
#include "perf/load_generator/latency.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/rng.h"

namespace sluice::perf {
namespace {

TEST(Latency, EveryValueIsKnownWithinItsBucket) {
    for (uint64_t value = 0; value < (uint64_t{1} << Latency::kMaxBits); value = value * 5 / 4 + 1) {
        const uint64_t upper = Latency::upper(Latency::bucket(value));
        EXPECT_GE(upper, value);
        EXPECT_LE(upper - value, value / 256) << value;
        if (Latency::bucket(value) > 0) {
            EXPECT_LT(Latency::upper(Latency::bucket(value) - 1), value);
        }
    }
    EXPECT_EQ(Latency::bucket(UINT64_MAX), Latency::kBuckets - 1);
}

TEST(Latency, QuantilesAreThoseOfTheSortedValues) {
    constexpr uint64_t kSeed = 3;
    Rng rng(kSeed);
    Latency l;
    std::vector<uint64_t> values;
    for (int i = 0; i < 20'000; i++) {
        values.push_back(rng.below(uint64_t{1} << rng.between(4, 30)));
        l.record(values.back());
    }
    std::sort(values.begin(), values.end());
    for (const double q : {0.0, 0.5, 0.9, 0.99, 0.999, 1.0}) {
        const size_t rank = q == 0 ? 0 : static_cast<size_t>(std::ceil(q * 20'000)) - 1;
        EXPECT_NEAR(static_cast<double>(l.quantile(q)), static_cast<double>(values[rank]), static_cast<double>(values[rank]) / 250 + 1) << q << " seed " << kSeed;
    }
    EXPECT_EQ(l.quantile(1), values.back());
    EXPECT_EQ(l.max(), values.back());
    EXPECT_EQ(Latency{}.quantile(0.5), 0u);
}

/// Gil Tene's example: 100 s of answers in 1 ms, then one that takes 100 s. A loop that waits for it records 10,001 values and
/// a p99.99 of 1 ms; of those who would have asked meanwhile, half waited for more than a while.
TEST(Latency, CorrectionPutsBackWhatAWaitingLoopLeftOut) {
    constexpr uint64_t kMs = 1'000'000, kExpected = 10 * kMs, kStall = 100'000 * kMs;
    Latency l;
    l.record(kMs, 10'000);
    l.record(kStall);
    EXPECT_LT(l.quantile(0.9999), 2 * kMs);
    const Latency corrected = l.corrected(kExpected);
    EXPECT_EQ(corrected.count(), 20'000u);
    EXPECT_NEAR(static_cast<double>(corrected.quantile(0.75)), 50'000.0 * kMs, 300.0 * kMs);
    EXPECT_NEAR(static_cast<double>(corrected.quantile(0.99)), 98'000.0 * kMs, 500.0 * kMs);
    EXPECT_EQ(corrected.max(), kStall);
}

TEST(Latency, CorrectionLeavesALoopInTimeAlone) {
    Latency l;
    l.record(900, 1000);
    l.record(1900);
    const Latency corrected = l.corrected(1000);   // nothing that was due was left out
    EXPECT_EQ(corrected.count(), l.count());
    EXPECT_EQ(l.corrected(0).count(), l.count());
}

TEST(Latency, SumsOfRuns) {
    Latency a, b;
    a.record(100, 3), b.record(5000);
    a.add(b);
    EXPECT_EQ(a.count(), 4u);
    EXPECT_EQ(a.max(), 5000u);
    EXPECT_DOUBLE_EQ(a.mean(), 1325);
    a.clear();
    EXPECT_EQ(a.count(), 0u);
    EXPECT_EQ(a.quantile(0.5), 0u);
}

}  // namespace
}  // namespace sluice::perf
