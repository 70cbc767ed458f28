// Counters add up over cores, ids beyond the limits hurt nobody, histograms keep their promise of 1/16.
#include "telemetry/core_stats.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "tests/telemetry/entry.h"

namespace sluice::telemetry {
namespace {

TEST(CoreStats, SumsOverCoresAndGaugesMayBeNegativeOnOne) {
    CoreStats a, b;
    const CoreStats* cores[] = {&a, &b};
    a.cluster(3).requests.add(5);
    b.cluster(3).requests.add(7);
    a.cluster(3).connections_open.add(1);   // opened on one core
    b.cluster(3).connections_open.add(2);
    a.cluster(3).connections_open.sub(2);   // counted off on another
    EXPECT_EQ(sum(cores, [](const CoreStats& c) -> const Counter& { return c.cluster(3).requests; }), 12u);
    EXPECT_EQ(sum(cores, [](const CoreStats& c) -> const Counter& { return c.cluster(3).connections_open; }), 1u);
}

TEST(CoreStats, IdsBeyondTheLimitsShareOneSlot) {
    CoreStats stats({.listeners = 4, .clusters = 4, .endpoints = 4, .routes = 4});
    stats.route_hits(4).add();
    stats.route_hits(UINT32_MAX).add();
    stats.listener(1'000'000).requests.add();
    stats.cluster(UINT32_MAX).requests.add();
    stats.endpoint(77).requests.add();
    EXPECT_EQ(stats.route_hits(99).get(), 2u);
    for (uint32_t i = 0; i < 4; i++) {
        EXPECT_EQ(stats.route_hits(i).get(), 0u);
        EXPECT_EQ(stats.listener(i).requests.get(), 0u);
    }
}

TEST(CoreStats, ARetiredIdStartsFromZero) {
    CoreStats stats;
    stats.cluster(2).requests.add(9);
    stats.cluster(3).requests.add(4);
    stats.listener(1).request_duration_us.record(500);
    stats.reset_cluster(2);
    stats.reset_listener(1);
    EXPECT_EQ(stats.cluster(2).requests.get(), 0u);
    EXPECT_EQ(stats.cluster(3).requests.get(), 4u);
    EXPECT_EQ(stats.listener(1).request_duration_us.sum(), 0u);
}

TEST(CoreStats, FlagsAndStatusClasses) {
    CoreStats stats;
    stats.add_flags(kUpstreamConnectionFailure | kUpstreamRetryLimit);
    stats.add_flags(kUpstreamConnectionFailure);
    EXPECT_EQ(stats.flags[1].get(), 2u);
    EXPECT_EQ(stats.flags[4].get(), 1u);
    auto& responses = stats.listener(0).responses;
    for (uint16_t status : {100, 200, 204, 302, 404, 503, 99, 600, 0}) responses.add(status);
    EXPECT_EQ(responses.classes[0].get(), 1u);
    EXPECT_EQ(responses.classes[1].get(), 2u);
    EXPECT_EQ(responses.classes[2].get(), 1u);
    EXPECT_EQ(responses.classes[3].get(), 1u);
    EXPECT_EQ(responses.classes[4].get(), 1u);
}

TEST(EndpointSummary, DownFromItsFirstFailureUntilAnyCoreSucceeds) {
    CoreStats a, b;
    const CoreStats* cores[] = {&a, &b};
    EXPECT_EQ(summarize_endpoint(cores, 1).down_since_us, 0u);
    a.endpoint(1).success(1000);
    a.endpoint(1).failure(FailureReason::kReset, 2000);
    b.endpoint(1).failure(FailureReason::kRefused, 3000);
    auto s = summarize_endpoint(cores, 1);
    EXPECT_EQ(s.down_since_us, 2000u);
    EXPECT_EQ(s.failures, 2u);
    EXPECT_EQ(s.last_failure_us, 3000u);
    EXPECT_EQ(s.last_failure_reason, FailureReason::kRefused);
    b.endpoint(1).success(4000);   // core a has not tried since
    EXPECT_EQ(summarize_endpoint(cores, 1).down_since_us, 0u);
    b.endpoint(1).failure(FailureReason::kConnectTimeout, 5000);
    s = summarize_endpoint(cores, 1);
    EXPECT_GE(s.down_since_us, 4000u);
    EXPECT_LE(s.down_since_us, 5000u);
}

TEST(Histogram, EachBucketsEndsFallIntoIt) {
    uint64_t from = 0;
    for (uint32_t i = 0; i < kHistogramBuckets; i++) {
        const uint64_t to = histogram_upper(i);
        ASSERT_EQ(histogram_bucket(from), i) << from;
        ASSERT_EQ(histogram_bucket(to), i) << to;
        ASSERT_LE(static_cast<double>(to - from), static_cast<double>(from) / 16 + 1);
        from = to + 1;
    }
    EXPECT_EQ(histogram_bucket(UINT64_MAX), kHistogramBuckets - 1);
}

TEST(Histogram, QuantilesWithinASixteenth) {
    const uint64_t seed = test::seed();
    std::mt19937_64 random(seed);
    auto h = std::make_unique<Histogram>();
    std::vector<uint64_t> values(20'000);
    for (auto& v : values) h->record(v = random() >> (30 + random() % 30));
    std::sort(values.begin(), values.end());
    HistogramSum sum;
    sum.add(*h);
    EXPECT_EQ(sum.count, values.size());
    for (double q : {0.01, 0.5, 0.9, 0.99, 1.0}) {
        const auto rank = static_cast<size_t>(std::ceil(q * static_cast<double>(values.size()))) - 1;
        EXPECT_GE(sum.quantile(q), values[rank]) << "seed " << seed;
        EXPECT_LE(sum.quantile(q), values[rank] + values[rank] / 16 + 1) << "seed " << seed;
    }
    EXPECT_EQ(HistogramSum{}.quantile(0.5), 0u);
    EXPECT_EQ(sum.at_most(UINT64_MAX), sum.count);
}

}  // namespace
}  // namespace sluice::telemetry
