// The ring keeps every entry it took, in order and unchanged, across wrap-around and between threads; a full one drops.
#include "telemetry/access_log_ring.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <thread>

#include "tests/telemetry/entry.h"

namespace sluice::telemetry {
namespace {

TEST(AccessLogRing, GivesBackWhatItTook) {
    AccessLogRing ring;
    AccessLogEntry in = test::example();
    in.reason = "all is well";
    in.flags = kUpstreamTimeout;
    in.version = http::Version::kHttp10;
    in.request_us = 17;
    in.first_byte_us = 18;
    in.log_set = 7;
    in.client = *IpAddress::parse("2001:db8::7");
    const std::string_view captured[] = {"one", "", "three"};
    in.captured = captured;
    ASSERT_TRUE(ring.push(in));
    EXPECT_FALSE(ring.empty());
    EXPECT_EQ(ring.drain([&](const AccessLogEntry& out) {
        EXPECT_EQ(out.method, in.method);
        EXPECT_EQ(out.path, in.path);
        EXPECT_EQ(out.original_path, in.original_path);
        EXPECT_EQ(out.authority, in.authority);
        EXPECT_EQ(out.user_agent, in.user_agent);
        EXPECT_EQ(out.forwarded_for, in.forwarded_for);
        EXPECT_EQ(out.request_id, in.request_id);
        EXPECT_EQ(out.route_name, in.route_name);
        EXPECT_EQ(out.cluster, in.cluster);
        EXPECT_EQ(out.reason, in.reason);
        EXPECT_EQ(out.listener, in.listener);
        EXPECT_EQ(out.details, in.details);
        EXPECT_EQ(out.status, in.status);
        EXPECT_EQ(out.flags, in.flags);
        EXPECT_EQ(out.version, in.version);
        EXPECT_EQ(out.start_unix_us, in.start_unix_us);
        EXPECT_EQ(out.duration_us, in.duration_us);
        EXPECT_EQ(out.upstream_response_us, in.upstream_response_us);
        EXPECT_EQ(out.bytes_received, in.bytes_received);
        EXPECT_EQ(out.bytes_sent, in.bytes_sent);
        EXPECT_EQ(out.downstream_remote, in.downstream_remote);
        EXPECT_EQ(out.downstream_local, in.downstream_local);
        EXPECT_EQ(out.upstream_remote, in.upstream_remote);
        EXPECT_EQ(out.upstream_local, in.upstream_local);
        EXPECT_EQ(out.attempts, in.attempts);
        EXPECT_EQ(out.core, in.core);
        EXPECT_EQ(out.request_us, in.request_us);
        EXPECT_EQ(out.first_byte_us, in.first_byte_us);
        EXPECT_EQ(out.log_set, in.log_set);
        EXPECT_EQ(out.client, in.client);
        ASSERT_EQ(out.captured.size(), 3u);
        for (size_t i = 0; i < 3; i++) EXPECT_EQ(out.captured[i], captured[i]);
    }), 1u);
    EXPECT_TRUE(ring.empty());
}

TEST(AccessLogRing, CutsLongTextsAndCountsThem) {
    AccessLogRing ring;
    const std::string path(100'000, 'p');
    AccessLogEntry in = test::example();
    in.path = path;
    ASSERT_TRUE(ring.push(in));
    ring.drain([&](const AccessLogEntry& out) { EXPECT_EQ(out.path, path.substr(0, AccessLogRing::kFieldBytesMax)); });
    EXPECT_EQ(ring.truncated(), 1u);
}

TEST(AccessLogRing, CutsLongCapturedHeadersToo) {
    AccessLogRing ring;
    const std::string cookie(100'000, 'c');
    const std::vector<std::string_view> captured(kCapturedHeadersMax + 3, cookie);
    AccessLogEntry in = test::example();
    in.captured = captured;
    ASSERT_TRUE(ring.push(in));
    ASSERT_TRUE(ring.push(test::example()));
    uint32_t n = 0;
    ring.drain([&](const AccessLogEntry& out) {
        const bool first = n++ == 0;
        EXPECT_EQ(out.captured.size(), first ? kCapturedHeadersMax : 0);
        for (const std::string_view value : out.captured) EXPECT_EQ(value, cookie.substr(0, AccessLogRing::kFieldBytesMax));
    });
    EXPECT_EQ(n, 2u);
    EXPECT_EQ(ring.truncated(), 1u);
}

TEST(AccessLogRing, AFullRingDropsAndCountsAndWorksAgain) {
    AccessLogRing ring(1);
    AccessLogEntry in = test::example();
    uint64_t taken = 0;
    while (ring.push(in)) taken++;
    EXPECT_GT(taken, 100u);
    EXPECT_FALSE(ring.push(in));
    EXPECT_EQ(ring.dropped(), 2u);
    EXPECT_EQ(ring.drain([](const AccessLogEntry&) {}), taken);
    EXPECT_TRUE(ring.push(in));
    EXPECT_EQ(ring.pushed(), taken + 1);
}

TEST(AccessLogRing, TwoThreadsLoseNothingThatWasTaken) {
    const uint64_t seed = test::seed();
    AccessLogRing ring(1);
    constexpr uint64_t kEntries = 200'000;
    const std::string text(3000, 'x');
    std::atomic<bool> done{false};
    std::thread producer([&] {
        std::mt19937_64 random(seed);
        AccessLogEntry in = test::example();
        for (uint64_t i = 0; i < kEntries; i++) {
            in.start_unix_us = i;
            in.path = std::string_view(text).substr(0, random() % text.size());
            in.bytes_sent = in.path.size();
            ring.push(in);
        }
        done = true;
    });
    uint64_t last = 0, n = 0;
    bool first = true, ok = true;
    while (true) {
        const bool over = done;
        const uint32_t got = ring.drain([&](const AccessLogEntry& out) {
            ok &= first || out.start_unix_us > last;
            ok &= out.path.size() == out.bytes_sent && out.path.find_first_not_of('x') == out.path.npos && out.details == "via_upstream";
            last = out.start_unix_us;
            first = false;
        }, 100);
        n += got;
        if (over && got == 0) break;
    }
    producer.join();
    EXPECT_TRUE(ok) << "seed " << seed;
    EXPECT_EQ(n, ring.pushed());
    EXPECT_EQ(ring.pushed() + ring.dropped(), kEntries);
}

}  // namespace
}  // namespace sluice::telemetry
