// Envoy's default line to the letter, every operator, what is refused and where, and lines that a peer tries to forge.
#include "telemetry/access_log_format.h"

#include <gtest/gtest.h>

#include <random>

#include "telemetry/access_log_time.h"
#include "tests/telemetry/entry.h"

namespace sluice::telemetry {
namespace {

std::string line(const AccessLogFormat& format, const AccessLogEntry& entry) {
    std::string out;
    format.format(entry, out);
    return out;
}

std::string custom(std::string_view format, const AccessLogEntry& entry) {
    auto parsed = AccessLogFormat::parse(format);
    if (!parsed) return "refused: " + parsed.error().message;
    return line(*parsed, entry);
}

TEST(AccessLogText, IsEnvoysDefaultToTheLetter) {
    EXPECT_EQ(line(AccessLogFormat::text(), test::example()),
              "[2026-11-22T23:21:13.123Z] \"GET /r/7?x=1 HTTP/1.1\" 200 - 10 1024 5 4 \"192.0.2.1\" \"curl/7.88.1\" "
              "\"5f3a-1\" \"shop.example\" \"10.0.1.1:9080\"\n");
}

TEST(AccessLogText, AbsentValuesAreDashesAndAFailureEndsWithItsReason) {
    AccessLogEntry e;
    e.start_unix_us = 0;
    e.duration_us = 30;
    e.upstream_response_us = UINT64_MAX;
    e.method = "GET";
    e.path = "/nowhere";
    e.status = 404;
    e.flags = kNoRoute;
    e.reason = "no route matches";
    EXPECT_EQ(line(AccessLogFormat::text(), e),
              "[1970-01-01T00:00:00.000Z] \"GET /nowhere HTTP/1.1\" 404 NR 0 0 0 - \"-\" \"-\" \"-\" \"-\" \"-\" "
              "reason=\"no route matches\"\n");
}

TEST(AccessLogText, NothingAPeerSendsForgesALine) {
    AccessLogEntry e = test::example();
    e.user_agent = "x\" 200 -\r\n[2026-01-01T00:00:00.000Z] \"GET /forged \x1b[2J\x80\xff\\";
    const std::string out = line(AccessLogFormat::text(), e);
    EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 1);
    EXPECT_NE(out.find(R"("x\" 200 -\r\n[2026-01-01T00:00:00.000Z] \"GET /forged \x1b[2J\x80\xff\\")"), out.npos) << out;
}

TEST(AccessLogFlags, ShortNames) {
    EXPECT_EQ(response_flags(0), "-");
    EXPECT_EQ(response_flags(kUpstreamConnectionFailure | kUpstreamRetryLimit), "UF,URX");
    for (uint32_t bit = 0; bit < 16; bit++) EXPECT_NE(response_flags(1u << bit), "-") << bit;
}

TEST(AccessLogCustom, EveryOperatorHasAValue) {
    AccessLogEntry e = test::example();
    e.reason = "because";
    for (const std::string& op : AccessLogFormat::operators()) {
        const std::string out = custom(op, e);
        EXPECT_GT(out.size(), 1u) << op;
        if (op != "%RESPONSE_FLAGS%") {
            EXPECT_NE(out, "-\n") << op;
        }
        EXPECT_FALSE(out.starts_with("refused")) << op << out;
    }
}

TEST(AccessLogCustom, ReadsAsEnvoyReadsIt) {
    const AccessLogEntry e = test::example();
    EXPECT_EQ(custom("100%% %REQ(:method)% %REQ(USER-AGENT):4%", e), "100% GET curl\n");
    EXPECT_EQ(custom("%START_TIME(%Y/%m/%d %T.%6f %s)%", e), "2026/11/22 23:21:13.123456 1795389673\n");
    EXPECT_EQ(custom("%UPSTREAM_LOCAL_ADDRESS% %UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_PORT%", e),
              "[2001:db8::10]:41000 2001:db8::10 80\n");
    EXPECT_EQ(custom("%ROUTE_NAME% %UPSTREAM_CLUSTER% %RESPONSE_CODE_DETAILS%\n", e),
              "reviews outbound|9080|v1|reviews.shop.svc.cluster.local via_upstream\n");
    EXPECT_EQ(line(*AccessLogFormat::parse(kDefaultTextFormat), e), line(AccessLogFormat::text(), e));
}

TEST(AccessLogCustom, ALengthNeverCutsAnEscapeInTwo) {
    AccessLogEntry e = test::example();
    e.user_agent = "ab\"\x01";
    EXPECT_EQ(custom("\"%REQ(USER-AGENT):3%\"", e), "\"ab\\\"\"\n");
    EXPECT_EQ(custom("\"%REQ(USER-AGENT):2%\"", e), "\"ab\"\n");
    EXPECT_EQ(custom("\"%REQ(USER-AGENT):4%\"", e), "\"ab\\\"\\x01\"\n");
}

struct Refused {
    std::string_view format;
    size_t position;
    std::string_view message;
};
class AccessLogRefused : public testing::TestWithParam<Refused> {};
TEST_P(AccessLogRefused, SaysWhereAndWhy) {
    const auto parsed = AccessLogFormat::parse(GetParam().format);
    ASSERT_FALSE(parsed.has_value());
    EXPECT_EQ(parsed.error().position, GetParam().position);
    EXPECT_NE(parsed.error().message.find(GetParam().message), std::string::npos) << parsed.error().message;
}
INSTANTIATE_TEST_SUITE_P(Formats, AccessLogRefused, testing::Values(
    Refused{"", 0, "empty"},
    Refused{"%FOO%", 0, "unknown operator %FOO%"},
    Refused{"ok %PROTOCOL% %DYNAMIC_METADATA(a:b)%", 14, "unknown operator %DYNAMIC_METADATA%"},
    Refused{"%REQ(COOKIE)%", 0, "`COOKIE` is not recorded"},
    Refused{"%DURATION(x)%", 0, "takes no argument"},
    Refused{"%REQ(:PATH%", 0, "parenthesis"},
    Refused{"abc %PROTOCOL", 4, "closing %"},
    Refused{"%REQ(:PATH):x%", 12, "not a length"},
    Refused{"%START_TIME(%Q)%", 0, "no time specifier"}));

TEST(AccessLogJson, OneObjectALine) {
    EXPECT_EQ(line(AccessLogFormat::json(), test::example()),
              "{\"start_time\":\"2026-11-22T23:21:13.123Z\",\"method\":\"GET\",\"path\":\"/r/7?x=1\",\"protocol\":\"HTTP/1.1\","
              "\"response_code\":200,\"response_flags\":\"-\",\"response_code_details\":\"via_upstream\",\"reason\":null,"
              "\"bytes_received\":10,\"bytes_sent\":1024,\"duration\":5,\"upstream_service_time\":4,"
              "\"x_forwarded_for\":\"192.0.2.1\",\"user_agent\":\"curl/7.88.1\",\"request_id\":\"5f3a-1\","
              "\"authority\":\"shop.example\",\"upstream_host\":\"10.0.1.1:9080\","
              "\"upstream_cluster\":\"outbound|9080|v1|reviews.shop.svc.cluster.local\","
              "\"upstream_local_address\":\"[2001:db8::10]:41000\",\"downstream_local_address\":\"192.0.2.10:80\","
              "\"downstream_remote_address\":\"192.0.2.1:40000\",\"route_name\":\"reviews\",\"listener\":\"0.0.0.0_80\","
              "\"attempts\":1,\"core\":2}\n");
}

TEST(AccessLogJson, EscapesWhatEndsAStringALineOrATerminal) {
    std::string out;
    append_escaped_json("a\"b\\c\n\x1b\x7f\xc2\x85\xe2\x80\xa8 gr\xc3\xbc\xc3\x9f \xff\xc0\x80", out);
    EXPECT_EQ(out, "a\\\"b\\\\c\\u000a\\u001b\\u007f\\u0085\\u2028 gr\xc3\xbc\xc3\x9f \\ufffd\\ufffd\\ufffd");
}

TEST(AccessLogEscape, RandomBytesNeverLeaveTheirQuotes) {
    const uint64_t seed = test::seed();
    std::mt19937_64 random(seed);
    for (int round = 0; round < 2000; round++) {
        std::string in(random() % 40, '\0');
        for (char& c : in) c = static_cast<char>(random());
        for (auto escape : {append_escaped_text, append_escaped_json}) {
            std::string out;
            escape(in, out);
            for (size_t i = 0; i < out.size(); i++) {
                ASSERT_GE(static_cast<unsigned char>(out[i]), 0x20) << "seed " << seed;
                if (out[i] == '\\') i++;
                else ASSERT_NE(out[i], '"') << "seed " << seed;
            }
            ASSERT_TRUE(out.empty() || out.back() != '\\' || (out.size() > 1 && out[out.size() - 2] == '\\')) << "seed " << seed;
        }
    }
}

TEST(AccessLogTime, CalendarAtItsCorners) {
    auto at = [](uint64_t s) {
        std::string out;
        append_time("%F %T %j %a %b", s * 1'000'000, out);
        return out;
    };
    EXPECT_EQ(at(951782400), "2000-02-29 00:00:00 060 Tue Feb");
    EXPECT_EQ(at(4107542399), "2100-02-28 23:59:59 059 Sun Feb");
    EXPECT_EQ(at(1798761599), "2026-12-31 23:59:59 365 Thu Dec");
}

}  // namespace
}  // namespace sluice::telemetry
