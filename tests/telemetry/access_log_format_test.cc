// Envoy's default line to the letter, every operator, what is refused and where, and lines that a peer tries to forge.
#include "telemetry/access_log_format.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <random>
#include <regex>
#include <sstream>

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

struct Says {
    std::string_view format, line;
};
class AccessLogOperator : public testing::TestWithParam<Says> {};
TEST_P(AccessLogOperator, SaysWhatEnvoySays) {
    AccessLogEntry e = test::example();
    e.request_us = 1'700;
    e.first_byte_us = 4'900;
    e.client = *IpAddress::parse("198.51.100.7");
    e.reason = "because";
    e.path = "/reviews/7?x=1&name=J%C3%BCrgen%20K&empty=&x=2";
    EXPECT_EQ(custom(GetParam().format, e), std::string(GetParam().line) + "\n");
}
INSTANTIATE_TEST_SUITE_P(Formats, AccessLogOperator, testing::Values(
    Says{"%EMIT_TIME(%s.%3f)%", "1795389673.129"},
    Says{"%REQ(:SCHEME)% %RESP(:STATUS)%", "http 200"},
    Says{"%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/r/7?x=1"},
    Says{"%REQ_WITHOUT_QUERY(:PATH)% %REQ_WITHOUT_QUERY(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/reviews/7 /r/7"},
    Says{"%PATH% %PATH(NQ)% %PATH(NQ:PATH)% %PATH(WQ:ORIG)%", "/r/7?x=1 /r/7 /reviews/7 /r/7?x=1"},
    Says{"%QUERY_PARAM(x)% %QUERY_PARAM(empty)% %QUERY_PARAM(none)%", "1 - -"},
    Says{"%QUERY_PARAM(name)%", "J\\xc3\\xbcrgen K"},
    Says{"%PROTOCOL% %UPSTREAM_PROTOCOL%", "HTTP/1.1 HTTP/1.1"},
    Says{"%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%", "- -"},
    Says{"%DURATION% %REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%", "5 1 4 1"},
    Says{"%COMMON_DURATION(DS_RX_BEG:DS_RX_END:us)% %COMMON_DURATION(DS_RX_END:US_RX_BEG:ns)% %COMMON_DURATION(DS_RX_BEG:DS_TX_END:ms)%",
         "1700 3200000 5"},
    Says{"%COMMON_DURATION(US_CX_BEG:DS_TX_END:us)% %COMMON_DURATION(DS_TX_END:DS_RX_BEG:us)%", "- -"},
    Says{"%UPSTREAM_HOST% %UPSTREAM_HOST_NAME_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT%", "10.0.1.1:9080 10.0.1.1 9080"},
    Says{"%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_REMOTE_PORT%", "198.51.100.7:0 198.51.100.7 0"},
    Says{"%DOWNSTREAM_DIRECT_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_PORT% %DOWNSTREAM_DIRECT_LOCAL_PORT%", "192.0.2.1:40000 40000 80"},
    Says{"%UPSTREAM_CLUSTER_RAW%", "outbound|9080|v1|reviews.shop.svc.cluster.local"},
    Says{"%UPSTREAM_REQUEST_ATTEMPT_COUNT% %ROUTE_NAME% %STREAM_ID% %ACCESS_LOG_TYPE%", "1 reviews 5f3a-1 DownstreamEnd"},
    Says{"%SLUICE_REASON% %SLUICE_LISTENER% %SLUICE_CORE%", "because 0.0.0.0_80 2"},
    Says{"%DYNAMIC_METADATA(a:b)% %FILTER_STATE% %DOWNSTREAM_PEER_URI_SAN% %REQUESTED_SERVER_NAME% %CONNECTION_ID%", "- - - - -"},
    Says{"%ENVIRONMENT(SLUICE_NOT_SET_ANYWHERE)%", "-"}));

TEST(AccessLogCustom, EnvironmentAndHostAreThoseOfTheMachine) {
    setenv("SLUICE_LOG_TEST", "a \"b\"", 1);
    EXPECT_EQ(custom("%ENVIRONMENT(SLUICE_LOG_TEST)%", test::example()), "a \\\"b\\\"\n");
    char name[256] = "";
    ASSERT_EQ(gethostname(name, sizeof name), 0);
    EXPECT_EQ(custom("%HOSTNAME%", test::example()), std::string(name) + "\n");
}

TEST(AccessLogCustom, UniqueIdsAreUuidsOfVersionFour) {
    const std::string one = custom("%UNIQUE_ID%", test::example()), other = custom("%UNIQUE_ID%", test::example());
    EXPECT_NE(one, other);
    EXPECT_TRUE(std::regex_match(one, std::regex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\n"))) << one;
}

TEST(AccessLogCustom, AnyHeaderIsCapturedByItsPlace) {
    const auto parsed = AccessLogFormat::parse("%REQ(X-User?Cookie)% %RESP(Content-Type):4% %TRAILER(X-Sum)% %REQ(x-user)%");
    ASSERT_TRUE(parsed) << parsed.error().message;
    const auto& headers = parsed->captures().headers;
    ASSERT_EQ(headers.size(), 4u);
    EXPECT_EQ(headers[0].name, "x-user");
    EXPECT_EQ(headers[1].id, http::HeaderId::kCookie);
    EXPECT_EQ(headers[3].from, AccessLogCaptures::From::kResponseTrailers);
    AccessLogEntry e = test::example();
    const std::string_view both[] = {"ann", "c=1", "text/html", "99"}, second[] = {"", "c=1", "", ""};
    e.captured = both;
    EXPECT_EQ(line(*parsed, e), "ann text 99 ann\n");
    e.captured = second;
    EXPECT_EQ(line(*parsed, e), "c=1 - - -\n");
    e.captured = {};
    EXPECT_EQ(line(*parsed, e), "- - - -\n") << "a record made before the format wanted them";
}

TEST(AccessLogCustom, TheNameAskedForIsOfTheHandshakeOrOfTheHeader) {
    const auto said = [](const std::string& format, std::string_view sni, std::string_view original = {}) {
        const auto parsed = AccessLogFormat::parse(format);
        EXPECT_TRUE(parsed) << parsed.error().message;
        AccessLogEntry e = test::example();
        const std::string_view captured[] = {sni, original};
        e.captured = captured;
        return line(*parsed, e);
    };
    EXPECT_EQ(said("%REQUESTED_SERVER_NAME%", "sni.example"), "sni.example\n");
    EXPECT_EQ(said("%REQUESTED_SERVER_NAME(SNI_ONLY)%", ""), "-\n");
    EXPECT_EQ(said("%REQUESTED_SERVER_NAME(SNI_FIRST)%", "sni.example"), "sni.example\n");
    EXPECT_EQ(said("%REQUESTED_SERVER_NAME(SNI_FIRST:HOST)%", ""), "shop.example\n");
    EXPECT_EQ(said("%REQUESTED_SERVER_NAME(HOST_FIRST)%", "sni.example"), "shop.example\n");
    EXPECT_EQ(said("%REQUESTED_SERVER_NAME(HOST_FIRST:ORIG)%", "sni.example"), "sni.example\n");
    EXPECT_EQ(said("%REQUESTED_SERVER_NAME(HOST_FIRST:ORIG)%", "sni.example", "before.example"), "before.example\n");
    EXPECT_EQ(said("%REQUESTED_SERVER_NAME(SNI_FIRST:ORIG_OR_HOST):4%", ""), "shop\n");
}

TEST(AccessLogCustom, OfWhichConnectionAFactIs) {
    const auto parsed = AccessLogFormat::parse("%DOWNSTREAM_TLS_GROUP% %UPSTREAM_TLS_GROUP% %DOWNSTREAM_HANDSHAKE_DURATION% %UPSTREAM_PEER_CERT_V_START(%F)%");
    ASSERT_TRUE(parsed) << parsed.error().message;
    const AccessLogCaptures& captures = parsed->captures();
    ASSERT_EQ(captures.headers.size(), 4u);
    EXPECT_EQ(captures.headers[0].field, captures.headers[1].field);
    EXPECT_FALSE(captures.headers[0].upstream);
    EXPECT_TRUE(captures.headers[1].upstream);
    EXPECT_TRUE(captures.of_upstreams);
    EXPECT_FALSE(captures.certificate_texts(true));
    EXPECT_TRUE(AccessLogFormat::parse("%UPSTREAM_PEER_CERT%")->captures().certificate_texts(true));
    EXPECT_FALSE(AccessLogFormat::parse("%UPSTREAM_PEER_CERT%")->captures().certificate_texts(false));
    EXPECT_TRUE(AccessLogFormat::parse("%DOWNSTREAM_PEER_CHAIN_SERIALS%")->captures().certificate_texts(false));
    EXPECT_FALSE(AccessLogFormat::parse("%DOWNSTREAM_PEER_SUBJECT%")->captures().of_upstreams);
    AccessLogEntry e = test::example();
    const std::string_view captured[] = {"X25519", "P-256", "12999", "1700000000"};
    e.captured = captured;
    EXPECT_EQ(line(*parsed, e), "X25519 P-256 12 2023-11-14\n");
}

TEST(AccessLogCustom, GrpcStatusIsOfTrailersThenHeadersThenHttp) {
    const auto parsed = AccessLogFormat::parse("%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%");
    ASSERT_TRUE(parsed) << parsed.error().message;
    AccessLogEntry e = test::example();
    const auto said = [&](std::string_view type, std::string_view trailer, std::string_view header, uint16_t status) {
        const std::string_view captured[] = {type, trailer, header};   // in the order in which the operator asks for them
        e.captured = captured;
        e.status = status;
        return line(*parsed, e);
    };
    EXPECT_EQ(said("application/grpc", "5", "", 200), "NotFound NOT_FOUND 5 5\n");
    EXPECT_EQ(said("application/grpc+proto", "", "16", 200), "Unauthenticated UNAUTHENTICATED 16 16\n");
    EXPECT_EQ(said("application/grpc", "", "", 503), "Unavailable UNAVAILABLE 14 14\n");
    EXPECT_EQ(said("application/grpc", "99", "", 200), "99 99 99 99\n");
    EXPECT_EQ(said("application/grpc-web", "5", "", 200), "- - - -\n");
    EXPECT_EQ(said("text/plain", "5", "", 200), "- - - -\n");
}

TEST(AccessLogCustom, OmittedValuesLeaveNothing) {
    AccessLogEntry e = test::example();
    e.user_agent = "";
    const auto parsed = AccessLogFormat::parse("[%REQ(USER-AGENT)%] %RESPONSE_FLAGS%", {.omit_empty = true});
    ASSERT_TRUE(parsed);
    EXPECT_EQ(line(*parsed, e), "[] -\n");
}

TEST(AccessLogCustom, TooManyHeadersAreRefused) {
    std::string format;
    for (uint32_t i = 0; i <= kCapturedHeadersMax; i++) format += "%REQ(X-" + std::to_string(i) + ")%";
    const auto parsed = AccessLogFormat::parse(format);
    ASSERT_FALSE(parsed);
    EXPECT_NE(parsed.error().message.find("more than 48 different headers"), std::string::npos);
}

TEST(AccessLogCustom, AMisspeltOperatorIsGuessed) {
    const auto cure = [](std::string_view format) { return AccessLogFormat::parse(format).error().cure; };
    EXPECT_EQ(cure("%RESPONSE_CDOE%"), "did you mean %RESPONSE_CODE%?");
    EXPECT_EQ(cure("%duration%"), "did you mean %DURATION%?");
    EXPECT_EQ(cure("%DOWNSTREAM_REMOTE_ADRESS_WITHOUT_PORT%"), "did you mean %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%?");
    EXPECT_EQ(cure("%WHAT_IS_THIS%"), "docs/telemetry.md lists all operators");
    EXPECT_EQ(cure("%UPSTREAM_TLS_EVERYTHING%"),
              "known are %UPSTREAM_TLS_VERSION%, %UPSTREAM_TLS_CIPHER%, %UPSTREAM_TLS_GROUP%, %UPSTREAM_TLS_SESSION_ID%; docs/telemetry.md lists all operators");
    EXPECT_EQ(cure("%UPSTREAM_TLS_VERSIONS%"), "did you mean %UPSTREAM_TLS_VERSION%?");
}

TEST(AccessLogDocs, ListEveryOperatorAsItIs) {
    std::ifstream in(std::string(DOCS_DIR) + "/telemetry.md");
    std::stringstream text;
    text << in.rdbuf();
    EXPECT_NE(text.str().find("<!-- operators -->\n" + AccessLogFormat::operators_markdown() + "<!-- end of operators -->"), std::string::npos)
        << "stale: put this between the marks\n" << AccessLogFormat::operators_markdown();
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
    Refused{"ok %PROTOCOL% %CEL(request.path)%", 14, "%CEL% is not supported"},
    Refused{"%START_TIME_LOCAL%", 0, "not supported"},
    Refused{"%REQ(A B)%", 0, "`A B` is not a header name"},
    Refused{"%REQ(A?)%", 0, "`` is not a header name"},
    Refused{"%REQ%", 0, "%REQ% needs an argument"},
    Refused{"%REQ()%", 0, "%REQ% needs an argument"},
    Refused{"%PATH(XX)%", 0, "`XX` is not WQ or NQ"},
    Refused{"%PATH(NQ:ALL)%", 0, "`ALL` is not ORIG"},
    Refused{"%GRPC_STATUS(LOUD)%", 0, "`LOUD` is not CAMEL_STRING"},
    Refused{"%COMMON_DURATION(DS_RX_BEG:us)%", 0, "not START:END:PRECISION"},
    Refused{"%COMMON_DURATION(DS_RX_BEG:DS_TX_END:s)%", 0, "`s` is not ms"},
    Refused{"%COMMON_DURATION(DS_RX:DS_TX_END:us)%", 0, "`DS_RX` is not a point"},
    Refused{"%DURATION(x)%", 0, "takes no argument"},
    Refused{"%REQUESTED_SERVER_NAME(SNI)%", 0, "`SNI` is not SNI_ONLY"},
    Refused{"%REQUESTED_SERVER_NAME(SNI_FIRST:ALL)%", 0, "`ALL` is not ORIG"},
    Refused{"%REQ(:PATH%", 0, "parenthesis"},
    Refused{"abc %PROTOCOL", 4, "closing %"},
    Refused{"%REQ(:PATH):x%", 12, "not a length"},
    Refused{"%START_TIME(%Q)%", 0, "no time specifier"}));

TEST(AccessLogJson, OneObjectALine) {
    EXPECT_EQ(line(AccessLogFormat::json(), test::example()),
              "{\"start_time\":\"2026-11-22T23:21:13.123Z\",\"method\":\"GET\",\"path\":\"/r/7?x=1\",\"protocol\":\"HTTP/1.1\","
              "\"response_code\":200,\"response_flags\":\"-\",\"response_code_details\":\"via_upstream\","
              "\"connection_termination_details\":null,\"upstream_transport_failure_reason\":null,"
              "\"bytes_received\":10,\"bytes_sent\":1024,\"duration\":5,\"upstream_service_time\":\"4\","
              "\"x_forwarded_for\":\"192.0.2.1\",\"user_agent\":\"curl/7.88.1\",\"request_id\":\"5f3a-1\","
              "\"authority\":\"shop.example\",\"upstream_host\":\"10.0.1.1:9080\","
              "\"upstream_cluster\":\"outbound|9080|v1|reviews.shop.svc.cluster.local\","
              "\"upstream_local_address\":\"[2001:db8::10]:41000\",\"downstream_local_address\":\"192.0.2.10:80\","
              "\"downstream_remote_address\":\"192.0.2.1:40000\",\"requested_server_name\":null,\"route_name\":\"reviews\","
              "\"reason\":null,\"listener\":\"0.0.0.0_80\",\"attempts\":1,\"core\":2}\n");
}

JsonTemplate format_of(std::string text) { return {JsonTemplate::Kind::kFormat, std::move(text), {}}; }
JsonTemplate literal(std::string text) { return {JsonTemplate::Kind::kLiteral, std::move(text), {}}; }
JsonTemplate object(std::vector<std::pair<std::string, JsonTemplate>> members) { return {JsonTemplate::Kind::kObject, "", std::move(members)}; }
JsonTemplate list(std::vector<std::pair<std::string, JsonTemplate>> items) { return {JsonTemplate::Kind::kList, "", std::move(items)}; }

TEST(AccessLogTemplate, ValuesOfOneOperatorKeepTheirType) {
    const JsonTemplate json = object({{"code", format_of("%RESPONSE_CODE%")},
                                      {"port", format_of("%UPSTREAM_REMOTE_PORT%")},
                                      {"what", format_of("%REQ(:METHOD)% in %DURATION% ms, %REQUESTED_SERVER_NAME%")},
                                      {"sni", format_of("%REQUESTED_SERVER_NAME%")},
                                      {"to", object({{"host", format_of("%UPSTREAM_HOST%")}, {"tags", list({{"", literal("7")}, {"", format_of("%PROTOCOL%")}})}})},
                                      {"edge", literal("true")},
                                      {"na\"me", format_of("plain 100%%")}});
    const auto parsed = AccessLogFormat::parse(json);
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(line(*parsed, test::example()),
              "{\"code\":200,\"port\":9080,\"what\":\"GET in 5 ms, -\",\"sni\":null,\"to\":{\"host\":\"10.0.1.1:9080\",\"tags\":[7,\"HTTP/1.1\"]},"
              "\"edge\":true,\"na\\\"me\":\"plain 100%\"}\n");
}

TEST(AccessLogTemplate, OmitsKeysOfAbsentValuesWhenAsked) {
    const JsonTemplate json = object({{"sni", format_of("%REQUESTED_SERVER_NAME%")}, {"in", object({{"a", format_of("%REQUESTED_SERVER_NAME%")}, {"b", format_of("<%REQUESTED_SERVER_NAME%>")}})},
                                      {"code", format_of("%RESPONSE_CODE%")}});
    const auto parsed = AccessLogFormat::parse(json, {.omit_empty = true});
    ASSERT_TRUE(parsed);
    EXPECT_EQ(line(*parsed, test::example()), "{\"in\":{\"b\":\"<>\"},\"code\":200}\n");
}

TEST(AccessLogTemplate, NothingAPeerSendsLeavesItsString) {
    AccessLogEntry e = test::example();
    e.user_agent = "\",\"admin\":true,\"x\":\"\n\x1b[2J\xff";
    const auto parsed = AccessLogFormat::parse(object({{"a", format_of("%REQ(USER-AGENT)%")}, {"b", format_of("<%REQ(USER-AGENT)%>")}}));
    ASSERT_TRUE(parsed);
    EXPECT_EQ(line(*parsed, e), "{\"a\":\"\\\",\\\"admin\\\":true,\\\"x\\\":\\\"\\u000a\\u001b[2J\\ufffd\",\"b\":\"<\\\",\\\"admin\\\":true,\\\"x\\\":\\\"\\u000a\\u001b[2J\\ufffd>\"}\n");
}

TEST(AccessLogTemplate, SaysWhichKeyIsWrong) {
    const auto key = [](const JsonTemplate& json) {
        const auto parsed = AccessLogFormat::parse(json);
        return parsed ? std::string("nothing wrong") : parsed.error().key + ": " + parsed.error().message;
    };
    EXPECT_EQ(key(object({{"a", object({{"b", list({{"", format_of("%PROTOCOL%")}, {"", format_of("%NOPE%")}})}})}})), "a.b[1]: unknown operator %NOPE%");
    EXPECT_EQ(key(object({})), ": an empty format logs nothing");
    JsonTemplate deep = format_of("%PROTOCOL%");
    for (int i = 0; i < 20; i++) deep = object({{"d", std::move(deep)}});
    EXPECT_NE(key(deep).find("more than 8 levels"), std::string::npos);
    std::vector<std::pair<std::string, JsonTemplate>> many(300, {"k", literal("1")});
    EXPECT_NE(key(object(std::move(many))).find("more than 256 values"), std::string::npos);
}

TEST(AccessLogTemplate, CutsDoNotLeaveHalfACharacter) {
    AccessLogEntry e = test::example();
    e.user_agent = "a\xc3\xbc\xe2\x82\xac";
    const auto cut = [&](int bytes) {
        const auto parsed = AccessLogFormat::parse(object({{"a", format_of("%REQ(USER-AGENT):" + std::to_string(bytes) + "%")}}));
        return line(*parsed, e);
    };
    EXPECT_EQ(cut(1), "{\"a\":\"a\"}\n");
    EXPECT_EQ(cut(2), "{\"a\":\"a\"}\n");
    EXPECT_EQ(cut(3), "{\"a\":\"a\xc3\xbc\"}\n");
    EXPECT_EQ(cut(5), "{\"a\":\"a\xc3\xbc\"}\n");
    EXPECT_EQ(cut(6), "{\"a\":\"a\xc3\xbc\xe2\x82\xac\"}\n");
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
