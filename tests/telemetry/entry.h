// A finished request as the proxy would tell it (tests change what they are about), and seeds that can be given again.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <random>

#include "telemetry/access_log.h"

namespace sluice::telemetry::test {

/// A new seed each time, or SLUICE_SEED; prints how to repeat this very test.
inline uint64_t seed() {
    const char* given = std::getenv("SLUICE_SEED");
    const uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    std::printf("repeat: SLUICE_SEED=%llu build/tests/telemetry/telemetry_test --gtest_filter=%s.%s\n",
                static_cast<unsigned long long>(seed), info->test_suite_name(), info->name());
    return seed;
}

inline AccessLogEntry example() {
    AccessLogEntry e;
    e.start_unix_us = 1'795'389'673'123'456;   // 2026-11-22T23:21:13.123456Z
    e.duration_us = 5'999;
    e.upstream_response_us = 4'200;
    e.method = "GET";
    e.path = "/reviews/7";
    e.original_path = "/r/7?x=1";
    e.authority = "shop.example";
    e.user_agent = "curl/7.88.1";
    e.forwarded_for = "192.0.2.1";
    e.request_id = "5f3a-1";
    e.route_name = "reviews";
    e.cluster = "outbound|9080|v1|reviews.shop.svc.cluster.local";
    e.listener = "0.0.0.0_80";
    e.details = "via_upstream";
    e.status = 200;
    e.bytes_received = 10;
    e.bytes_sent = 1024;
    e.downstream_remote = {*IpAddress::parse("192.0.2.1"), 40000};
    e.downstream_local = {*IpAddress::parse("192.0.2.10"), 80};
    e.upstream_remote = {*IpAddress::parse("10.0.1.1"), 9080};
    e.upstream_local = {*IpAddress::parse("2001:db8::10"), 41000};
    e.attempts = 1;
    e.core = 2;
    return e;
}

}  // namespace sluice::telemetry::test
