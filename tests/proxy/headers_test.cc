// Header work at the edge and in the router: trust, ids, changes, rewrites, redirects, direct responses, filters.
#include <re2/re2.h>

#include "telemetry/access_log_set.h"
#include "tests/proxy/bench.h"

namespace sluice::proxy::test {
namespace {

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

class HeadersTest : public ProxyTest {
 protected:
    /// What the upstream sees of a request with these header lines.
    std::string forwarded(std::string_view lines, std::string_view target = "/", std::string_view from = "192.0.2.5") {
        auto& c = client(80, from);
        std::string request = "GET ";
        request.append(target).append(" HTTP/1.1\r\nhost: shop.example\r\n").append(lines).append("\r\n");
        c.send(request);
        if (upstreams() == 0) return "answered here: " + c.take();
        auto& u = *network_->upstreams.back();
        u.accept_connection();
        std::string seen = u.take();
        u.send(kOk);
        answer_ = c.take();
        c.close();
        return seen;
    }
    std::string answer_;
};

TEST_F(HeadersTest, ForwardedForIsAppended) {
    publish();
    EXPECT_HAS(forwarded(""), "\r\nx-forwarded-for: 192.0.2.5\r\n");
    EXPECT_HAS(forwarded("X-Forwarded-For: 203.0.113.1, 203.0.113.2\r\n"), "X-Forwarded-For: 203.0.113.1, 203.0.113.2,192.0.2.5\r\n");
    const std::string two = forwarded("x-forwarded-for: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2\r\n");
    EXPECT_HAS(two, "1.1.1.1,2.2.2.2,192.0.2.5\r\n");
    EXPECT_HAS(forwarded("", "/", "2001:db8::7"), "x-forwarded-for: 2001:db8::7\r\n");
    EXPECT_HAS(forwarded("x-forwarded-for: 1.1.1.1\r\n"), "x-envoy-external-address: 192.0.2.5\r\n");
}

TEST_F(HeadersTest, TrustedHops) {
    http().xff_num_trusted_hops = 2;
    publish();
    EXPECT_HAS(forwarded("x-forwarded-for: 1.1.1.1, 2.2.2.2, 3.3.3.3\r\n"), "x-envoy-external-address: 2.2.2.2\r\n");
    EXPECT_HAS(forwarded("x-forwarded-for: 1.1.1.1\r\n"), "x-envoy-external-address: 192.0.2.5\r\n") << "too short a list";
    EXPECT_HAS(forwarded("x-forwarded-for: 1.1.1.1, junk, 3.3.3.3\r\n"), "x-envoy-external-address: 192.0.2.5\r\n");
    EXPECT_HAS(forwarded("x-forwarded-proto: https\r\n"), "x-forwarded-proto: https\r\n") << "the hops before are trusted";
}

TEST_F(HeadersTest, WithoutRemoteAddressNothingIsAppended) {
    http().use_remote_address = false;
    publish();
    const std::string seen = forwarded("x-forwarded-for: 1.1.1.1\r\nx-forwarded-proto: https\r\nx-request-id: mine\r\n"
                                       "x-envoy-original-path: /kept\r\nx-envoy-max-retries: 9\r\n");
    EXPECT_HAS(seen, "x-forwarded-for: 1.1.1.1\r\n");
    EXPECT_HAS(seen, "x-forwarded-proto: https\r\n");
    EXPECT_HAS(seen, "x-request-id: mine\r\n");
    EXPECT_HAS(seen, "x-envoy-original-path: /kept\r\n");
    EXPECT_NOT(seen, "x-envoy-max-retries");
    EXPECT_NOT(seen, "x-envoy-external-address");
}

TEST_F(HeadersTest, WhatComesFromOutsideIsStripped) {
    publish();
    const std::string seen = forwarded(
        "x-forwarded-proto: https\r\nx-envoy-internal: true\r\nX-Envoy-Retry-On: 5xx\r\nx-envoy-max-retries: 3\r\n"
        "x-envoy-upstream-rq-timeout-ms: 1\r\nx-envoy-decorator-operation: x\r\nx-envoy-original-path: /admin\r\n"
        "x-envoy-external-address: 6.6.6.6\r\nx-envoy-force-trace: 1\r\nx-forwarded-client-cert: Hash=forged\r\n"
        "x-envoyage: kept\r\nconnection: x-secret\r\nx-secret: 1\r\nkeep-alive: timeout=5\r\nproxy-connection: keep-alive\r\nte: gzip\r\n");
    EXPECT_HAS(seen, "x-forwarded-proto: http\r\n");
    EXPECT_HAS(seen, "x-envoyage: kept\r\n");
    for (const auto* gone : {"https", "internal", "etry-on", "max-retries", "upstream-rq-timeout", "decorator", "/admin", "6.6.6.6",
                             "force-trace", "forged", "x-secret", "keep-alive", "te: "})
        EXPECT_NOT(seen, gone);
}

TEST_F(HeadersTest, RequestIdsAreNewUuids) {
    publish();
    std::vector<std::string> ids;
    for (int i = 0; i < 100; i++) {
        const std::string seen = forwarded("x-request-id: forged\r\n");
        const std::string id = seen.substr(seen.find("x-request-id: ") + 14, 36);
        EXPECT_TRUE(RE2::FullMatch(id, "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")) << id;
        ids.push_back(id);
    }
    std::sort(ids.begin(), ids.end());
    EXPECT_EQ(std::unique(ids.begin(), ids.end()), ids.end());
    config_.listeners.begin()->second.content_hash = 2;
    http().preserve_external_request_id = true;
    publish();
    EXPECT_HAS(forwarded("x-request-id: theirs\r\n"), "x-request-id: theirs\r\n");
    EXPECT_TRUE(logs().back().request_id == "theirs");
    config_.listeners.begin()->second.content_hash = 3;
    http().generate_request_id = false;
    publish();
    EXPECT_NOT(forwarded(""), "x-request-id");
}

TEST_F(HeadersTest, TheLogsOfAListenerGetTheHeadersTheyWant) {
    auto format = telemetry::AccessLogFormat::parse("%REQ(X-User)% %REQ(Cookie)% %RESP(X-Answer)% %TRAILER(X-Sum)% %REQ(X-None)%");
    ASSERT_TRUE(format);
    http().access_logs = *telemetry::AccessLogSet::make({{"/dev/null", std::move(*format)}});
    http().xff_num_trusted_hops = 1;
    publish();
    auto& c = client(80, "192.0.2.5");
    c.send("GET / HTTP/1.1\r\nhost: shop.example\r\nX-USER: ann\r\ncookie: a=1\r\nx-forwarded-for: 203.0.113.9\r\n\r\n");
    auto& u = *network_->upstreams.back();
    u.accept_connection();
    u.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\nx-answer: yes\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n");
    const Logged logged = log();
    EXPECT_EQ(logged.captured, (std::vector<std::string>{"ann", "a=1", "yes", "7", ""}));
    EXPECT_EQ(logged.log_set, http().access_logs->id());
    EXPECT_EQ(logged.client, "203.0.113.9");
    EXPECT_NE(logged.request_us, telemetry::kNoTime);
    EXPECT_LE(logged.first_byte_us, logged.duration_us);
}

TEST_F(HeadersTest, WithoutALogSetNothingIsCaptured) {
    publish();
    forwarded("x-user: ann\r\n");
    const Logged logged = log();
    EXPECT_TRUE(logged.captured.empty());
    EXPECT_EQ(logged.log_set, 0u);
    EXPECT_EQ(logged.client, "192.0.2.5");
}

TEST_F(HeadersTest, ServerHeaderThreeWays) {
    using ServerHeader = snapshot::HttpConnectionManager::ServerHeader;
    struct Case {
        ServerHeader how;
        std::string_view upstream, expected;
    };
    uint64_t hash = 10;
    for (const Case& c : {Case{ServerHeader::kOverwrite, "server: nginx\r\n", "server: sluice\r\n"},
                          Case{ServerHeader::kAppendIfAbsent, "server: nginx\r\n", "server: nginx\r\n"},
                          Case{ServerHeader::kAppendIfAbsent, "", "server: sluice\r\n"},
                          Case{ServerHeader::kPassThrough, "server: nginx\r\n", "server: nginx\r\n"},
                          Case{ServerHeader::kPassThrough, "", ""}}) {
        http().server_header = c.how;
        config_.listeners.begin()->second.content_hash = hash++;
        publish();
        auto& d = client();
        d.send(kGet);
        auto& u = *network_->upstreams.back();
        u.accept_connection();
        u.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n" + std::string(c.upstream) + "\r\n");
        const std::string got = d.take();
        if (c.expected.empty()) EXPECT_NOT(got, "server:");
        else EXPECT_HAS(got, c.expected);
        EXPECT_HAS(got, "date: Thu, 01 Jan 1970") << "an origin's date stays";
    }
}

HeaderOps ops(std::vector<std::string> remove, std::vector<HeaderOps::Add> add) { return {std::move(remove), std::move(add)}; }

TEST_F(HeadersTest, ChangesApplyFromTheMostSpecificLevel) {
    using Append = HeaderOps::Append;
    auto& r = first_route();
    r.clusters[0].request_headers = ops({}, {{"x-order", "cluster"}, {"x-set", "cluster", Append::kOverwriteIfExistsOrAdd}});
    r.request_headers = ops({"x-in"}, {{"x-order", "route"}, {"x-set", "route", Append::kOverwriteIfExistsOrAdd}});
    auto& host = config_.hosts[0].virtual_host;
    host.request_headers = ops({}, {{"x-order", "vhost"}, {"x-absent", "vhost", Append::kAddIfAbsent}});
    config_.request_headers = ops({}, {{"x-order", "table"}, {"x-set", "table", Append::kOverwriteIfExistsOrAdd},
                                       {"x-absent", "table", Append::kAddIfAbsent}, {"x-only", "never", Append::kOverwriteIfExists}});
    r.response_headers = ops({"x-backend"}, {{"x-from", "%UPSTREAM_REMOTE_ADDRESS%"}});
    config_.response_headers = ops({}, {{"x-table", "yes"}});
    publish();
    const std::string seen = forwarded("x-in: 1\r\n");
    EXPECT_LT(seen.find("x-order: cluster"), seen.find("x-order: route"));
    EXPECT_LT(seen.find("x-order: route"), seen.find("x-order: vhost"));
    EXPECT_LT(seen.find("x-order: vhost"), seen.find("x-order: table"));
    EXPECT_HAS(seen, "x-set: table\r\n") << "the least specific level has the last word";
    EXPECT_NOT(seen, "x-set: route");
    EXPECT_HAS(seen, "x-absent: vhost\r\n");
    EXPECT_NOT(seen, "x-absent: table");
    EXPECT_NOT(seen, "x-only");
    EXPECT_NOT(seen, "x-in:");
    EXPECT_HAS(answer_, "x-from: 10.0.0.10:8080\r\n");
    EXPECT_HAS(answer_, "x-table: yes\r\n");
}

TEST_F(HeadersTest, LocalRepliesGetTheRoutesResponseHeaders) {
    first_route().response_headers = ops({}, {{"x-route", "yes"}});
    cluster("web", {});
    publish();
    auto& c = client();
    c.send(kGet);
    EXPECT_HAS(c.take(), "x-route: yes\r\n");
}

TEST_F(HeadersTest, FormatsInValues) {
    first_route().request_headers = ops({}, {{"x-client", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}, {"x-proto", "%PROTOCOL% 100%%"},
                                             {"x-agent", "[%REQ(user-agent)%]"}, {"x-missing", "%REQ(nothing?also-nothing)%"},
                                             {"x-cut", "%REQ(:path):4%"}, {"x-when", "%START_TIME%"}});
    publish();
    const std::string seen = forwarded("user-agent: curl\r\n", "/long/path");
    EXPECT_HAS(seen, "x-client: 192.0.2.5\r\n");
    EXPECT_HAS(seen, "x-proto: HTTP/1.1 100%\r\n");
    EXPECT_HAS(seen, "x-agent: [curl]\r\n");
    EXPECT_HAS(seen, "x-missing: -\r\n");
    EXPECT_HAS(seen, "x-cut: /lon\r\n");
    EXPECT_HAS(seen, "x-when: 2025-11-22T22:20:01.000Z\r\n");
}

TEST_F(HeadersTest, PathAndHostRewrites) {
    auto& p = route(prefix("/old/"), "web");
    p.rewrite.path = route::Rewrite::Path::kPrefix;
    p.rewrite.text = "/new/";
    p.rewrite.host = "inside.example";
    auto& x = route(prefix("/users/"), "web");
    x.rewrite.path = route::Rewrite::Path::kRegex;
    x.rewrite.regex = std::make_shared<re2::RE2>("^/users/([^/]+)/(.*)$");
    x.rewrite.text = "/\\2/of/\\1";
    x.clusters[0].host_rewrite = "cluster.example";
    x.rewrite.host = "route.example";
    publish();
    const std::string a = forwarded("", "/old/page?q=1");
    EXPECT_HAS(a, "GET /new/page?q=1 HTTP/1.1\r\nhost: inside.example\r\n");
    EXPECT_HAS(a, "x-envoy-original-path: /old/page?q=1\r\n");
    const Logged entry = log();
    EXPECT_EQ(entry.path, "/new/page?q=1");
    EXPECT_EQ(entry.original_path, "/old/page?q=1");
    const std::string b = forwarded("", "/users/ann/pets?x=/users/bob/y");
    EXPECT_HAS(b, "GET /pets/of/ann?x=/users/bob/y HTTP/1.1\r\nhost: cluster.example\r\n");
}

TEST_F(HeadersTest, Redirects) {
    auto& https = route(prefix("/secure"), "");
    https.action = Route::Action::kRedirect;
    https.redirect.https = true;
    auto& moved = route(prefix("/moved"), "");
    moved.action = Route::Action::kRedirect;
    moved.redirect.status = 308;
    moved.redirect.host = "new.example";
    moved.redirect.prefix_rewrite = "/here";
    moved.redirect.strip_query = true;
    publish();
    auto& c = client();
    c.send("GET /secure/x?y=1 HTTP/1.1\r\nhost: shop.example:80\r\n\r\n");
    std::string got = c.take();
    EXPECT_HAS(got, "HTTP/1.1 301 Moved Permanently\r\n");
    EXPECT_HAS(got, "location: https://shop.example/secure/x?y=1\r\n");
    EXPECT_HAS(got, "content-length: 0\r\n");
    c.send("GET /moved/a?y=1 HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    got = c.take();
    EXPECT_HAS(got, "HTTP/1.1 308 Permanent Redirect\r\n");
    EXPECT_HAS(got, "location: http://new.example/here/a\r\n");
    for (const Logged& entry : logs()) EXPECT_EQ(entry.flags, 0u);
    EXPECT_FALSE(c.shut);
}

TEST_F(HeadersTest, DirectResponses) {
    auto& r = route(prefix("/robots.txt"), "");
    r.action = Route::Action::kDirectResponse;
    r.direct = {200, std::string(5000, 'r')};
    auto& e = route(prefix("/empty"), "");
    e.action = Route::Action::kDirectResponse;
    e.direct = {204, ""};
    publish();
    auto& c = client();
    c.send("GET /robots.txt HTTP/1.1\r\nhost: a\r\n\r\n");
    std::string got = c.take();
    EXPECT_HAS(got, "content-length: 5000\r\n");
    EXPECT_TRUE(got.ends_with("\r\n\r\n" + std::string(5000, 'r')));
    c.send("HEAD /robots.txt HTTP/1.1\r\nhost: a\r\n\r\n");
    got = c.take();
    EXPECT_HAS(got, "content-length: 5000\r\n");
    EXPECT_TRUE(got.ends_with("\r\n\r\n"));
    c.send("GET /empty HTTP/1.1\r\nhost: a\r\n\r\n");
    got = c.take();
    EXPECT_HAS(got, "HTTP/1.1 204 No Content\r\n");
    EXPECT_NOT(got, "content-length");
    // A body nobody asked for, here in full, does not cost the connection.
    c.send("POST /empty HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody");
    got = c.take();
    EXPECT_NOT(got, "connection: close");
    EXPECT_FALSE(c.shut);
    // One that is still to come does.
    c.send("POST /empty HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbo");
    EXPECT_HAS(c.take(), "connection: close\r\n");
    EXPECT_TRUE(c.shut);
}

TEST_F(HeadersTest, OptionsStarAndHttp10WithoutHost) {
    publish();
    auto& c = client();
    c.send("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n");
    EXPECT_NE(upstreams() + c.take().size(), 0u);
    auto& d = client();
    d.send("GET / HTTP/1.0\r\n\r\n");
    network_->upstreams.back()->accept_connection();
    EXPECT_HAS(network_->upstreams.back()->take(), "GET / HTTP/1.1\r\nhost: \r\n");
}

TEST_F(HeadersTest, WeightsAreKept) {
    cluster("v2", {address("10.0.0.20", 8080)});
    auto& r = first_route();
    r.clusters.emplace_back();
    r.clusters[0].weight = 90;
    r.clusters[1].weight = 10;
    r.clusters[1].cluster_name = "v2";
    r.total_weight = 100;
    publish();
    for (int i = 0; i < 2000; i++) {
        auto& c = client();
        c.send(kGet);
        for (auto& u : network_->upstreams) {
            if (u->released) continue;
            u->accept_connection();
            if (!u->take().empty()) u->send(kOk);
        }
        c.close();
    }
    int v2 = 0;
    for (const Logged& entry : logs()) v2 += entry.cluster == "v2";
    EXPECT_NEAR(v2, 200, 4 * 13.4);
    expect_all_back();
}

}  // namespace
}  // namespace sluice::proxy::test
