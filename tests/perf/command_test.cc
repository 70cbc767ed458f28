// The line that starts a run, and the line that tells its end.
#include "perf/load_generator/command.h"

#include <gtest/gtest.h>

namespace sluice::perf {
namespace {

TEST(Command, ARunWithEverything) {
    const auto plan = parse_run("target=10.0.0.1:80 host=shop.example path=/bytes/1024 mode=poisson rate=1.5e5 connections=64 seconds=2 warmup=0.5 seed=9", 100);
    ASSERT_TRUE(plan) << plan.error();
    EXPECT_EQ(plan->target, (SocketAddress{IpAddress::v4(0x0a000001), 80}));
    EXPECT_EQ(plan->request, "GET /bytes/1024 HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    EXPECT_EQ(plan->arrivals, Arrivals::kPoisson);
    EXPECT_DOUBLE_EQ(plan->rate_per_s, 150'000);
    EXPECT_EQ(plan->connections, 64u);
    EXPECT_EQ(plan->measure_ns, 2'000'000'000u);
    EXPECT_EQ(plan->warmup_ns, 500'000'000u);
    EXPECT_EQ(plan->seed, 9u);
}

TEST(Command, WhatIsLeftOut) {
    const auto plan = parse_run("target=[fd00::1]:8080", 100);
    ASSERT_TRUE(plan) << plan.error();
    EXPECT_EQ(plan->target.port, 8080);
    EXPECT_FALSE(plan->target.ip.is_v4());
    EXPECT_EQ(plan->request, "GET / HTTP/1.1\r\nHost: [fd00::1]:8080\r\n\r\n");
    EXPECT_EQ(plan->arrivals, Arrivals::kClosed);
    EXPECT_EQ(plan->connections, 1u);
}

TEST(Command, MistakesAreNamed) {
    const auto error = [](const char* line) { return [&] { const auto plan = parse_run(line, 100); return plan ? std::string("none") : plan.error(); }(); };
    EXPECT_EQ(error("host=a"), "target `` is not an address and a port");
    EXPECT_EQ(error("target=10.0.0.1"), "target `10.0.0.1` is not an address and a port");
    EXPECT_EQ(error("target=10.0.0.1:80 connections=101"), "connections: 1 to 100");
    EXPECT_EQ(error("target=10.0.0.1:80 mode=fixed"), "an open loop needs a rate");
    for (const char* word : {"mode=open", "rate=-1", "seconds=0", "seconds=nan", "connections=1x", "path=index", "colour=red", "seconds"})
        EXPECT_EQ(error((std::string("target=10.0.0.1:80 ") + word).c_str()), "`" + std::string(word) + "` is not understood");
}

TEST(Command, AnOutcomeIsOneLine) {
    Outcome o;
    o.window_ns = 2'000'000'000, o.completed = 4000, o.not_2xx = 3;
    o.latency.record(12'000, 4000);
    o.service.record(10'000, 4000);
    const std::string json = to_json({}, o);
    EXPECT_EQ(json.find('\n'), json.npos);
    EXPECT_NE(json.find("\"requests_per_s\": 2000.0"), json.npos) << json;
    EXPECT_NE(json.find("\"not_2xx\": 3"), json.npos) << json;
    EXPECT_NE(json.find("\"latency_us\": {\"mean\": 12.000, \"p50\": 12.000"), json.npos) << json;
}

}  // namespace
}  // namespace sluice::perf
