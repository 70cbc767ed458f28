// What is kept of the past, what followers get, and that a slow one loses records by the count it is told.
#include "ctrl/admin/recent_log.h"

#include <gtest/gtest.h>

#include "tests/telemetry/entry.h"

namespace sluice::admin {
namespace {

using namespace telemetry;

AccessLogEntry request(uint64_t n, uint16_t status = 200, uint32_t flags = 0) {
    AccessLogEntry e = telemetry::test::example();
    e.start_unix_us += n * 1000;
    e.status = status;
    e.flags = flags;
    return e;
}

std::vector<RecentRecord> all(RecentLog::Follower& follower, uint64_t* lost = nullptr) {
    std::vector<RecentRecord> out;
    RecentRecord record;
    uint64_t n = 0, sum = 0;
    while (follower.next(record, n, 0)) {
        sum += n;
        out.push_back(record);
    }
    if (lost) *lost = sum + n;
    return out;
}

TEST(RecentLog, FailuresOutliveTheFloodOfWhatWentWell) {
    RecentLog log;
    log.add(request(0, 503, kUpstreamConnectionFailure));
    for (uint64_t i = 1; i <= 3 * RecentLog::kHistory; i++) log.add(request(i));
    const auto follower = log.follow({}, RecentLog::kHistory + 1);
    const auto records = all(*follower);
    ASSERT_EQ(records.size(), RecentLog::kHistory + 1);
    EXPECT_EQ(records.front().status, 503);
    EXPECT_EQ(records.front().flags, uint32_t{kUpstreamConnectionFailure});
    EXPECT_EQ(records.front().path, "/r/7?x=1") << "as the client sent it";
    EXPECT_EQ(records.back().start_unix_us, request(3 * RecentLog::kHistory).start_unix_us);
}

TEST(RecentLog, ARecentFailureIsToldOnce) {
    RecentLog log;
    for (uint64_t i = 0; i < 5; i++) log.add(request(i, 500));
    EXPECT_EQ(all(*log.follow({}, 100)).size(), 5u);
}

TEST(RecentLog, Filters) {
    RecentLog log;
    log.add(request(0));
    log.add(request(1, 404, kNoRoute));
    log.add(request(2, 503, kUpstreamConnectionFailure | kUpstreamRetryLimit));
    const auto count = [&](RecentFilter filter) { return all(*log.follow(std::move(filter), 100)).size(); };
    EXPECT_EQ(count({.flags = kUpstreamConnectionFailure | kNoCluster}), 1u);
    EXPECT_EQ(count({.status_min = 400, .status_max = 499}), 1u);
    EXPECT_EQ(count({.host = "SHOP.example"}), 3u);
    RecentLog other;   // four may follow one
    other.add(request(0));
    EXPECT_EQ(all(*other.follow({.host = "shop"}, 100)).size(), 0u);
    EXPECT_EQ(all(*other.follow({.path = "/r/"}, 100)).size(), 1u);
    EXPECT_EQ(all(*other.follow({.path = "/reviews"}, 100)).size(), 0u);
}

TEST(RecentLog, OnlyTheLastOfThePast) {
    RecentLog log;
    for (uint64_t i = 0; i < 10; i++) log.add(request(i));
    const auto records = all(*log.follow({}, 3));
    ASSERT_EQ(records.size(), 3u);
    EXPECT_EQ(records[0].start_unix_us, request(7).start_unix_us);
}

TEST(RecentLog, ASlowFollowerLosesWhatItIsTold) {
    RecentLog log;
    const auto slow = log.follow({}, 0);
    for (uint64_t i = 0; i < RecentLog::kQueued + 100; i++) log.add(request(i));
    uint64_t lost = 0;
    EXPECT_EQ(all(*slow, &lost).size(), RecentLog::kQueued);
    EXPECT_EQ(lost, 100u);
    EXPECT_EQ(log.lost(), 100u);
}

TEST(RecentLog, WorkersAreToldOfFollowers) {
    AccessLogRing ring;
    RecentLog log({&ring});
    EXPECT_FALSE(ring.all_wanted());
    std::vector<std::shared_ptr<RecentLog::Follower>> followers;
    for (uint32_t i = 0; i < RecentLog::kFollowersMax; i++) followers.push_back(log.follow({}, 0));
    EXPECT_TRUE(ring.all_wanted());
    EXPECT_EQ(log.follow({}, 0), nullptr) << "bounded";
    for (auto& follower : followers) log.unfollow(follower);
    EXPECT_FALSE(ring.all_wanted());
}

TEST(RecentLog, FlagsByName) {
    EXPECT_EQ(response_flags_of(""), 0u);
    EXPECT_EQ(response_flags_of("UF,URX"), uint32_t{kUpstreamConnectionFailure | kUpstreamRetryLimit});
    EXPECT_EQ(response_flags_of("uf"), std::nullopt);
    EXPECT_EQ(response_flags_of("-"), std::nullopt);
    for (uint32_t bit = 0; bit < 16; bit++) EXPECT_EQ(response_flags_of(response_flags(1u << bit)), 1u << bit);
}

TEST(RecentLog, WhatIsForFollowersAloneIsNoFailure) {
    EXPECT_FALSE(failed(request(0, 200, kNotForTheFile)));
    EXPECT_TRUE(failed(request(0, 200, kNotForTheFile | kDownstreamDisconnect)));
    EXPECT_TRUE(failed(request(0, 503)));
}

}  // namespace
}  // namespace sluice::admin
