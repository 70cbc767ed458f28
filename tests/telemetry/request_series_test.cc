// Requests by label set: found again, bounded in all and for each destination, forgotten with their destination, and right when
// cores meet in the table.
#include "telemetry/request_series.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "telemetry/core_stats.h"
#include "tests/telemetry/entry.h"

namespace sluice::telemetry {
namespace {

using Key = RequestKey;

std::map<uint64_t, uint64_t> counted(const RequestSeries& series, std::initializer_list<const RequestCells*> cores) {
    std::map<uint64_t, uint64_t> out;
    series.for_each([&](uint32_t place, const Key& key) {
        BucketSum sum;
        for (const auto* core : cores) sum.add((*core)[place].duration_us);
        out[key.packed()] += sum.count;
    });
    return out;
}

TEST(RequestKey, GoesIntoOneNumberAndBack) {
    const uint64_t seed = test::seed();
    std::mt19937_64 random(seed);
    for (int i = 0; i < 10'000; i++) {
        const Key key{static_cast<uint32_t>(random() & 0xffff), static_cast<uint16_t>(random() & 0x3ff), static_cast<uint16_t>(random()),
                      (random() & 1) != 0, static_cast<uint8_t>(random() & 0x1f), static_cast<PrincipalsId>(random() & 0x7fff)};
        const Key back = Key::unpack(key.packed());
        ASSERT_EQ(back.destination, key.destination) << "seed " << seed;
        ASSERT_EQ(back.status, key.status) << "seed " << seed;
        ASSERT_EQ(back.flags, key.flags) << "seed " << seed;
        ASSERT_EQ(back.grpc, key.grpc) << "seed " << seed;
        ASSERT_EQ(back.grpc_status, key.grpc_status) << "seed " << seed;
        ASSERT_EQ(back.principals, key.principals) << "seed " << seed;
    }
}

TEST(RequestSeries, TheSameKeyHasTheSamePlace) {
    RequestSeries series;
    const uint32_t place = series.place_of({.destination = 7, .status = 200});
    EXPECT_EQ(series.place_of({.destination = 7, .status = 200}), place);
    EXPECT_NE(series.place_of({.destination = 7, .status = 503, .flags = kUpstreamConnectionFailure}), place);
    EXPECT_NE(series.place_of({.destination = 8, .status = 200}), place);
    EXPECT_NE(series.place_of({.destination = 7, .status = 200, .principals = 3}), place);
    EXPECT_EQ(series.used(), 4u);
}

TEST(RequestSeries, OneDestinationHasItsShareAndTheRestIsOther) {
    RequestSeries series;
    RequestCells cells;
    for (uint16_t status = 100; status < 600; status++)
        for (uint16_t flags = 0; flags < 8; flags++) cells.record(series.place_of({.destination = 3, .status = status, .flags = flags}), 1, 2, 3);
    EXPECT_EQ(series.used(), kSeriesOfDestination + 1);
    const auto all = counted(series, {&cells});
    uint64_t sum = 0;
    for (const auto& [key, n] : all) sum += n;
    EXPECT_EQ(sum, 500u * 8);
    EXPECT_EQ(all.at(Key{.destination = 3, .status = kOtherStatus}.packed()), 500u * 8 - kSeriesOfDestination);
    const uint32_t elsewhere = series.place_of({.destination = 4, .status = 200});
    EXPECT_NE(elsewhere, series.place_of({.destination = 3, .status = kOtherStatus})) << "others keep theirs";
}

TEST(RequestSeries, TheTableIsBoundedAndLosesNoRequest) {
    RequestSeries series;
    RequestCells cells;
    constexpr uint32_t kRequests = 50'000;
    for (uint32_t i = 0; i < kRequests; i++) cells.record(series.place_of({.destination = i % 40'000, .status = 200}), 1, 0, 0);
    EXPECT_EQ(series.used(), kSeriesMax);
    const auto all = counted(series, {&cells});
    EXPECT_EQ(all.size(), kSeriesMax);
    uint64_t sum = 0;
    for (const auto& [key, n] : all) sum += n;
    BucketSum overflow;
    overflow.add(cells[RequestSeries::kOverflowPlace].duration_us);
    EXPECT_GT(overflow.count, 0u);
    EXPECT_EQ(sum + overflow.count, kRequests);
}

TEST(RequestSeries, AForgottenDestinationStartsFromZeroAndMakesRoom) {
    RequestSeries series;
    RequestCells cells;
    const auto clear = [&](uint32_t place) { cells.clear(place); };
    const Key kept{.destination = 1, .status = 200};
    cells.record(series.place_of(kept), 5, 5, 5);
    for (int round = 0; round < 300; round++) {   // many more than there are places: what is gone is used again
        for (uint16_t status = 200; status < 240; status++) cells.record(series.place_of({.destination = 2, .status = status}), 5, 5, 5);
        ASSERT_EQ(series.used(), 41u) << round;
        auto all = counted(series, {&cells});
        for (uint16_t status = 200; status < 240; status++) ASSERT_EQ(all.at((Key{.destination = 2, .status = status}).packed()), 1u) << round;
        series.forget(2, clear);
        ASSERT_EQ(series.used(), 1u) << round;
    }
    EXPECT_EQ(counted(series, {&cells}), (std::map<uint64_t, uint64_t>{{kept.packed(), 1}}));
}

TEST(RequestSeries, RandomKeysAgreeWithAMap) {
    const uint64_t seed = test::seed();
    std::mt19937_64 random(seed);
    RequestSeries series;
    RequestCells cells;
    std::map<uint64_t, uint64_t> expected;
    for (int i = 0; i < 200'000; i++) {
        if (i % 5'000 == 4'999) {
            const auto gone = static_cast<uint32_t>(random() % 50);
            series.forget(gone, [&](uint32_t place) { cells.clear(place); });
            std::erase_if(expected, [&](const auto& e) { return Key::unpack(e.first).destination == gone; });
            continue;
        }
        const Key key{static_cast<uint32_t>(random() % 50), static_cast<uint16_t>(200 + random() % 6), static_cast<uint16_t>(random() % 4)};
        cells.record(series.place_of(key), random() % 1000, 0, 0);
        expected[key.packed()]++;
    }
    ASSERT_EQ(counted(series, {&cells}), expected) << "seed " << seed;
}

TEST(RequestSeries, CoresThatMeetCountEveryRequestOnce) {
    RequestSeries series;
    constexpr int kCores = 4;
    constexpr uint32_t kEach = 100'000;
    std::vector<RequestCells> cells(kCores);
    std::vector<std::thread> threads;
    for (int core = 0; core < kCores; core++) {
        threads.emplace_back([&, core] {
            std::mt19937_64 random(static_cast<uint64_t>(core % 2));   // pairs walk the same way: they meet
            for (uint32_t i = 0; i < kEach; i++)
                cells[static_cast<size_t>(core)].record(
                    series.place_of({.destination = static_cast<uint32_t>(random() % 100), .status = static_cast<uint16_t>(200 + random() % 40)}), 1, 0, 0);
        });
    }
    // Destinations nobody counts for come and go meanwhile.
    for (int i = 0; i < 200; i++) {
        series.place_of({.destination = 1000, .status = 200});
        series.forget(1000, [](uint32_t) {});
    }
    for (auto& thread : threads) thread.join();
    const auto all = counted(series, {&cells[0], &cells[1], &cells[2], &cells[3]});
    uint64_t sum = 0;
    for (const auto& [key, n] : all) sum += n;
    EXPECT_EQ(sum, kCores * kEach);
    EXPECT_EQ(all.size(), 4000u);
    EXPECT_LE(series.used(), 4100u);
}

TEST(BucketHistogram, EachValueFallsBelowItsBoundAndAboveTheOneBefore) {
    const uint64_t seed = test::seed();
    std::mt19937_64 random(seed);
    std::vector<uint64_t> values{0, 1, 2, 499, 500, 501, 999, 1000, 1001, UINT64_MAX};
    for (int i = 0; i < 10'000; i++) values.push_back(random() >> (random() % 64));
    for (const uint64_t v : values) {
        const size_t ms = kMillisecondBuckets.find(v), bytes = kByteBuckets.find(v);
        if (ms < kBucketBounds.size()) { ASSERT_LE(static_cast<double>(v), kBucketBounds[ms] * 1000) << v << " seed " << seed; }
        if (ms > 0) { ASSERT_GT(static_cast<double>(v), kBucketBounds[ms - 1] * 1000) << v << " seed " << seed; }
        if (bytes < kBucketBounds.size()) { ASSERT_LE(static_cast<double>(v), kBucketBounds[bytes]) << v << " seed " << seed; }
        if (bytes > 0) { ASSERT_GT(static_cast<double>(v), kBucketBounds[bytes - 1]) << v << " seed " << seed; }
    }
}

TEST(StatusCodes, CountsKnownOnesOneByOne) {
    StatusCodes codes;
    for (uint16_t status : {200, 200, 404, 299, 0, 999, 65535}) codes.add(status);
    uint64_t sum = 0;
    for (size_t i = 0; i < kKnownStatus.size(); i++) {
        if (kKnownStatus[i] == 200) EXPECT_EQ(codes.counts[i].get(), 2u);
        if (kKnownStatus[i] == 404) EXPECT_EQ(codes.counts[i].get(), 1u);
        sum += codes.counts[i].get();
    }
    EXPECT_EQ(sum, 3u);
    EXPECT_TRUE(std::is_sorted(kKnownStatus.begin(), kKnownStatus.end()));
}

TEST(CoreStats, RequestsOfTwoCoresShareOneTable) {
    RequestSeries series;
    CoreStats a({}, &series), b({}, &series);
    a.add_request({.destination = 1, .status = 200}, 700, 10, 2000);
    b.add_request({.destination = 1, .status = 200}, 70'000, 0, 4);
    EXPECT_EQ(series.used(), 1u);
    series.for_each([&](uint32_t place, const Key&) {
        BucketSum duration, response;
        for (const auto* core : {&a, &b}) {
            duration.add(core->request_cell(place).duration_us);
            response.add(core->request_cell(place).response_bytes);
        }
        EXPECT_EQ(duration.count, 2u);
        EXPECT_EQ(duration.sum, 70'700u);
        EXPECT_EQ(duration.buckets[1], 1u) << "0.7 ms is at most 1";
        EXPECT_EQ(response.sum, 2004u);
    });
}

}  // namespace
}  // namespace sluice::telemetry
