// File access logs over xDS: formats, filters, where files may be, and what is refused in which words.
#include <algorithm>

#include "telemetry/access_log_set.h"
#include "tests/ctrl/apply/support.h"

namespace sluice::apply::test {
namespace {

using telemetry::AccessLogEntry;
using telemetry::AccessLogSet;

/// One access_log of a manager: `file` within FileAccessLog, `more` beside it.
std::string log_text(const std::string& file, const std::string& more = "") {
    return "access_log { name: \"f\" " + more +
           " typed_config { [type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog] { " + file + " } } } ";
}

struct Logs {
    World world;
    OwnAccessLog own{.path = "/var/log/sluice/own.log"};
    std::shared_ptr<const AccessLogSet> set;

    Logs() { own.set = *AccessLogSet::make({{own.path, own.format}}); }
    /// Refusals of a listener with these logs; the set is then in `set`.
    Refusals read(const std::string& logs) {
        world.resources.listeners.clear();
        world.listener(listener_text(logs));
        auto built = build(world.resources, nullptr, world.publisher, ++world.revision, "v", own);
        if (built) {
            set = (*built)->listeners[0]->chains[0].http.access_logs;
            EXPECT_EQ((*built)->listeners[0]->chains[0].http.access_log, !logs.empty());
            return {};
        }
        Refusals out;
        for (const Nack& nack : built.error()) out.push_back(nack.field.substr(nack.field.rfind("access_log")) + ": " + nack.message);
        return out;
    }
    std::string line(size_t log, const AccessLogEntry& entry) const {
        std::string out;
        set->logs()[log].format.format(entry, out);
        return out;
    }
};

AccessLogEntry example() {
    AccessLogEntry e;
    e.method = "GET";
    e.path = "/a?b=1";
    e.authority = "shop.example";
    e.request_id = "id-1";
    e.status = 200;
    e.duration_us = 12'345;
    e.bytes_sent = 7;
    return e;
}

TEST(AccessLogs, WithoutOneThereIsNone) {
    Logs logs;
    EXPECT_EQ(logs.read(""), Refusals{});
    EXPECT_EQ(logs.set, nullptr);
}

TEST(AccessLogs, OfThisMachinesPathWithoutAFormatIsItsOwn) {
    Logs logs;
    EXPECT_EQ(logs.read(log_text("path: \"/var/log/sluice/own.log\"")), Refusals{});
    EXPECT_EQ(logs.set, logs.own.set);
}

TEST(AccessLogs, HaveEnvoysFormats) {
    Logs logs;
    const std::string inline_text = log_text("path: \"/dev/stdout\" log_format { text_format_source { inline_string: \"%REQ(:METHOD)% %RESPONSE_CODE%\\n\" } }");
    const std::string deprecated = log_text("path: \"/var/log/sluice/b\" format: \"%BYTES_SENT% %REQ(X-USER)%\\n\"");
    const std::string json = log_text(
        "path: \"/dev/stderr\" log_format { omit_empty_values: true json_format { fields { key: \"code\" value { string_value: \"%RESPONSE_CODE%\" } } "
        "fields { key: \"a\" value { struct_value { fields { key: \"n\" value { number_value: 7 } } } } } "
        "fields { key: \"sni\" value { string_value: \"%REQUESTED_SERVER_NAME%\" } } "
        "fields { key: \"l\" value { list_value { values { bool_value: true } values { string_value: \"%DURATION% ms\" } } } } } }");
    ASSERT_EQ(logs.read(inline_text + deprecated + json), Refusals{});
    ASSERT_EQ(logs.set->logs().size(), 3u);
    AccessLogEntry e = example();
    const std::string_view captured[] = {"ann", "shop.example"};
    e.captured = captured;
    EXPECT_EQ(logs.line(0, e), "GET 200\n");
    EXPECT_EQ(logs.line(1, e), "7 ann\n");
    EXPECT_EQ(logs.line(2, e), "{\"a\":{\"n\":7},\"code\":200,\"l\":[true,\"12 ms\"],\"sni\":\"shop.example\"}\n");
    EXPECT_EQ(logs.set->logs()[2].path, "/dev/stderr");
    ASSERT_EQ(logs.set->captures().headers.size(), 2u);
    EXPECT_EQ(logs.set->captures().headers[0].name, "x-user");
    EXPECT_EQ(logs.set->captures().headers[1].field, telemetry::ConnectionField::kRequestedServerName);
}

TEST(AccessLogs, AreRefusedByName) {
    Logs logs;
    const auto refused = [&](const std::string& text) {
        const Refusals out = logs.read(text);
        return out.size() == 1 ? out[0] : "refusals: " + std::to_string(out.size());
    };
    EXPECT_EQ(refused(log_text("path: \"/dev/stdout\" log_format { text_format_source { inline_string: \"%RESPONSE_CDOE%\" } }")),
              "access_log[0].typed_config.log_format: unknown operator %RESPONSE_CDOE% (at character 1); did you mean %RESPONSE_CODE%?");
    EXPECT_EQ(refused(log_text("path: \"/dev/stdout\" log_format { json_format { fields { key: \"a\" value { struct_value { fields { key: \"b\" "
                               "value { string_value: \"%NOPE%\" } } } } } } }")),
              "access_log[0].typed_config.log_format: a.b: unknown operator %NOPE%; docs/telemetry.md lists all operators");
    EXPECT_EQ(refused(log_text("path: \"/dev/stdout\" log_format { text_format_source { inline_string: \"\" } }")),
              "access_log[0].typed_config.log_format: an empty format logs nothing");
    for (const char* path : {"/etc/cron.d/x", "/var/log/sluice/../../../etc/x", "own.log", "/var/log/sluice/", "/var/log/sluice/..", "/var/log/sluice/sub/x", ""})
        EXPECT_EQ(refused(log_text("path: \"" + std::string(path) + "\"")),
                  "access_log[0].typed_config.path: \"" + std::string(path) +
                      "\" is not in /var/log/sluice: logs are written beside accessLog.path of this machine's file");
    EXPECT_EQ(refused("access_log { name: \"g\" typed_config { [type.googleapis.com/envoy.extensions.filters.http.router.v3.Router] {} } }"),
              "access_log[0].typed_config: not a file access log");
    std::string many;
    for (int i = 0; i < 9; i++) many += log_text("path: \"/dev/stdout\"");
    EXPECT_EQ(refused(many), "access_log[8]: more than 8 access logs");
    EXPECT_EQ(refused(log_text("path: \"/dev/stdout\" typed_json_format {}")), "access_log[0].typed_config.typed_json_format: write log_format.json_format");
    logs.own = {};
    EXPECT_NE(refused(log_text("path: \"/tmp/x\"")).find("is not /dev/stdout or /dev/stderr"), std::string::npos);
}

struct FilterCase {
    const char* filter;
    std::vector<int> logged;   // of the entries below, by place
};

// 0: 200, 12 ms, id-1   1: 503 UF, 2 s, id-2, x-debug: on   2: 404 NR, GET /health   3: gRPC, status 14
std::vector<AccessLogEntry> entries(const AccessLogSet& set, std::vector<std::vector<std::string_view>>& captured) {
    std::vector<AccessLogEntry> out(4, example());
    out[1].status = 503;
    out[1].flags = telemetry::kUpstreamConnectionFailure;
    out[1].duration_us = 2'000'000;
    out[1].request_id = "id-2";
    out[2].status = 404;
    out[2].flags = telemetry::kNoRoute;
    out[2].path = "/health";
    const auto value = [](size_t entry, const std::string& name) -> std::string_view {
        if (entry == 1 && name == "x-debug") return "on";
        if (entry == 3 && name == "content-type") return "application/grpc";
        if (entry == 3 && name == "grpc-status") return "14";
        return "";
    };
    captured.assign(out.size(), {});
    for (size_t i = 0; i < out.size(); i++) {
        for (const auto& header : set.captures().headers) captured[i].push_back(value(i, header.name));
        out[i].captured = captured[i];
    }
    return out;
}

class AccessLogFilters : public testing::TestWithParam<FilterCase> {};

TEST_P(AccessLogFilters, LogWhatEnvoyWouldLog) {
    Logs logs;
    ASSERT_EQ(logs.read(log_text("path: \"/dev/stdout\"", std::string("filter { ") + GetParam().filter + " }")), Refusals{});
    std::vector<std::vector<std::string_view>> captured;
    std::vector<int> logged;
    const auto all = entries(*logs.set, captured);
    for (size_t i = 0; i < all.size(); i++)
        if (logs.set->logs()[0].filter(all[i])) logged.push_back(static_cast<int>(i));
    EXPECT_EQ(logged, GetParam().logged);
}

INSTANTIATE_TEST_SUITE_P(Envoy, AccessLogFilters, testing::Values(
    FilterCase{"status_code_filter { comparison { op: GE value { default_value: 400 runtime_key: \"k\" } } }", {1, 2}},
    FilterCase{"status_code_filter { comparison { op: EQ value { default_value: 404 runtime_key: \"k\" } } }", {2}},
    FilterCase{"status_code_filter { comparison { op: LE value { default_value: 200 runtime_key: \"k\" } } }", {0, 3}},
    FilterCase{"duration_filter { comparison { op: GE value { default_value: 1000 runtime_key: \"k\" } } }", {1}},
    FilterCase{"not_health_check_filter {}", {0, 1, 2, 3}},
    FilterCase{"response_flag_filter {}", {1, 2}},
    FilterCase{"response_flag_filter { flags: \"UF\" flags: \"RL\" }", {1}},
    FilterCase{"header_filter { header { name: \"X-Debug\" present_match: true } }", {1}},
    FilterCase{"header_filter { header { name: \"x-debug\" present_match: true invert_match: true } }", {0, 2, 3}},
    FilterCase{"header_filter { header { name: \":path\" string_match { prefix: \"/HEALTH\" ignore_case: true } } }", {2}},
    FilterCase{"header_filter { header { name: \":path\" string_match { safe_regex { regex: \"/a.*\" } } invert_match: true } }", {2}},
    FilterCase{"header_filter { header { name: \"x-debug\" string_match { exact: \"off\" } invert_match: true } }", {1}},
    FilterCase{"header_filter { header { name: \":authority\" string_match { contains: \"op.ex\" } } }", {0, 1, 2, 3}},
    FilterCase{"grpc_status_filter { statuses: UNAVAILABLE }", {1, 3}},
    FilterCase{"grpc_status_filter { statuses: UNAVAILABLE exclude: true }", {0, 2}},
    FilterCase{"log_type_filter { types: DownstreamEnd }", {0, 1, 2, 3}},
    FilterCase{"log_type_filter { types: DownstreamStart }", {}},
    FilterCase{"log_type_filter { types: DownstreamStart exclude: true }", {0, 1, 2, 3}},
    FilterCase{"runtime_filter { runtime_key: \"k\" percent_sampled { numerator: 100 } }", {0, 1, 2, 3}},
    FilterCase{"runtime_filter { runtime_key: \"k\" percent_sampled { numerator: 0 } use_independent_randomness: true }", {}},
    FilterCase{"and_filter { filters { response_flag_filter {} } filters { duration_filter { comparison { op: GE value { default_value: 1000 runtime_key: \"k\" } } } } }", {1}},
    FilterCase{"or_filter { filters { status_code_filter { comparison { op: EQ value { default_value: 404 runtime_key: \"k\" } } } } filters { header_filter { header { name: \"x-debug\" } } } }", {1, 2}}));

TEST(AccessLogs, SampledRequestsAreTheSameInEveryLog) {
    Logs logs;
    const std::string half = "filter { runtime_filter { runtime_key: \"k\" percent_sampled { numerator: 5000 denominator: TEN_THOUSAND } } }";
    ASSERT_EQ(logs.read(log_text("path: \"/dev/stdout\"", half) + log_text("path: \"/dev/stderr\"", half)), Refusals{});
    int sampled = 0;
    for (int i = 0; i < 1000; i++) {
        AccessLogEntry e = example();
        const std::string id = "id-" + std::to_string(i);
        e.request_id = id;
        const bool first = logs.set->logs()[0].filter(e);
        EXPECT_EQ(first, logs.set->logs()[1].filter(e));
        sampled += first;
    }
    EXPECT_GT(sampled, 400);
    EXPECT_LT(sampled, 600);
}

TEST(AccessLogs, FiltersAreRefusedByName) {
    Logs logs;
    const auto refused = [&](const std::string& filter) {
        const Refusals out = logs.read(log_text("path: \"/dev/stdout\"", "filter { " + filter + " }"));
        return out.empty() ? std::string() : out[0];
    };
    EXPECT_EQ(refused("traceable_filter {}"), "access_log[0].filter.traceable_filter: there is no tracing yet");
    EXPECT_EQ(refused("metadata_filter {}"), "access_log[0].filter.metadata_filter: no filter keeps metadata");
    EXPECT_EQ(refused("extension_filter {}"), "access_log[0].filter.extension_filter: not supported");
    EXPECT_EQ(refused("response_flag_filter { flags: \"XX\" }"), "access_log[0].filter.response_flag_filter.flags[0]: there is no response flag XX");
    EXPECT_EQ(refused("and_filter { filters { not_health_check_filter {} } }"), "access_log[0].filter.and_filter.filters: at least two are needed");
    EXPECT_EQ(refused("runtime_filter { runtime_key: \"k\" percent_sampled { numerator: 101 } }"),
              "access_log[0].filter.runtime_filter.percent_sampled.numerator: more than all");
    EXPECT_EQ(refused(""), "access_log[0].filter: a filter of no kind");
}

}  // namespace
}  // namespace sluice::apply::test
