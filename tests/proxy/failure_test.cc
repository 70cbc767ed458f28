// What goes wrong and what the client is told: upstream failures, timeouts, malformed requests, breakers, limits.
#include "tests/proxy/bench.h"

namespace sluice::proxy::test {
namespace {

using FailureTest = ProxyTest;

std::string body_of(const std::string& answer) {
    const size_t at = answer.find("\r\n\r\n");
    return at == std::string::npos ? "" : answer.substr(at + 4);
}

TEST_F(FailureTest, RefusedIsUf) {
    publish();
    auto& c = client();
    c.send(kGet);
    upstream(0).refuse();
    const std::string got = c.take();
    EXPECT_HAS(got, "HTTP/1.1 503 Service Unavailable\r\n");
    EXPECT_HAS(got, "content-type: text/plain\r\n");
    EXPECT_EQ(body_of(got),
              "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure, transport "
              "failure reason: delayed connect error: Connection refused");
    EXPECT_FALSE(c.shut) << "the client's connection is fine";
    const Logged entry = log();
    EXPECT_EQ(entry.flags, telemetry::kUpstreamConnectionFailure);
    EXPECT_EQ(entry.reason, "upstream connection refused by 10.0.0.10:8080");
    EXPECT_EQ(stats_.cluster(0).connect_failures.get(), 1u);
    EXPECT_EQ(stats_.endpoint(0).last_failure_reason(), telemetry::FailureReason::kRefused);
    expect_all_back();
}

TEST_F(FailureTest, ConnectTimeoutIsUf) {
    cluster("web", {address("10.0.0.10", 8080)}).connect_timeout = milliseconds(250);
    publish();
    auto& c = client();
    c.send(kGet);
    advance(milliseconds(240));
    EXPECT_EQ(c.take(), "");
    advance(milliseconds(20));
    EXPECT_HAS(c.take(), "reset reason: connection timeout");
    EXPECT_TRUE(upstream(0).aborted);
    const Logged entry = log();
    EXPECT_EQ(entry.flags, telemetry::kUpstreamConnectionFailure);
    EXPECT_EQ(entry.reason, "upstream connect timeout to 10.0.0.10:8080");
    expect_all_back();
}

TEST_F(FailureTest, NoRouteToUpstreamAndNoPorts) {
    publish();
    network_->connect_error = tcp::Error::kNoPorts;
    auto& c = client();
    c.send(kGet);
    EXPECT_HAS(c.take(), "reset reason: local connection failure");
    network_->connect_error = tcp::Error::kNoRoute;
    c.send(kGet);
    EXPECT_HAS(c.take(), "No route to host");
    EXPECT_EQ(logs().size(), 2u);
    expect_all_back();
}

TEST_F(FailureTest, AllWhoWaitFailWithTheConnection) {
    publish();
    std::vector<FakeTransport*> clients;
    for (int i = 0; i < 3; i++) {
        clients.push_back(&client());
        clients.back()->send(kGet);
    }
    ASSERT_EQ(upstreams(), 3u);
    upstream(1).refuse();
    for (auto* c : clients) EXPECT_HAS(c->take(), "503 Service Unavailable");
    upstream(0).accept_connection();
    upstream(2).accept_connection();
    EXPECT_EQ(stats_.cluster(0).connections_idle.get(), 2u);
    expect_all_back();
}

TEST_F(FailureTest, EmptyClusterIsUh) {
    cluster("web", {});
    publish();
    auto& c = client();
    c.send(kGet);
    const std::string got = c.take();
    EXPECT_HAS(got, "HTTP/1.1 503");
    EXPECT_EQ(body_of(got), "no healthy upstream");
    EXPECT_EQ(log().flags, telemetry::kNoHealthyUpstream);
    expect_all_back();
}

TEST_F(FailureTest, UnknownClusterIsNc) {
    route(prefix("/ghost"), "ghost");
    publish();
    auto& c = client();
    c.send("GET /ghost HTTP/1.1\r\nhost: a\r\n\r\n");
    const std::string got = c.take();
    EXPECT_HAS(got, "HTTP/1.1 503");
    EXPECT_EQ(body_of(got), "");
    const Logged entry = log();
    EXPECT_EQ(entry.flags, telemetry::kNoCluster);
    EXPECT_EQ(entry.details, "cluster_not_found");
    expect_all_back();
}

TEST_F(FailureTest, NoRouteIsNr) {
    config_.hosts.clear();
    route(prefix("/only"), "web");
    publish();
    auto& c = client();
    c.send(kGet);
    const std::string got = c.take();
    EXPECT_HAS(got, "HTTP/1.1 404 Not Found\r\n");
    EXPECT_HAS(got, "content-length: 0\r\n");
    EXPECT_HAS(got, "date: ");
    EXPECT_HAS(got, "server: sluice");
    const Logged entry = log();
    EXPECT_EQ(entry.flags, telemetry::kNoRoute);
    EXPECT_EQ(entry.details, "route_not_found");
    EXPECT_EQ(stats_.listener(0).no_route.get(), 1u);
    c.send("GET /only HTTP/1.1\r\nhost: a\r\n\r\n");
    EXPECT_EQ(upstreams(), 1u) << "the connection goes on";
    expect_all_back();
}

TEST_F(FailureTest, ProtocolErrorIsUpe) {
    publish();
    for (const std::string_view bad : {"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n", "nonsense\r\n\r\n",
                                       "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
                                       "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"}) {
        auto& c = client();
        c.send(kGet);
        auto& u = *network_->upstreams.back();
        u.accept_connection();
        u.send(bad);
        const std::string got = c.take();
        EXPECT_HAS(got, "HTTP/1.1 502 Bad Gateway\r\n");
        EXPECT_HAS(got, "reset reason: protocol error");
        EXPECT_TRUE(u.aborted);
        const Logged entry = log();
        EXPECT_EQ(entry.flags, telemetry::kUpstreamProtocolError);
        EXPECT_TRUE(entry.reason.starts_with("upstream protocol error from 10.0.0.10:8080, ")) << entry.reason;
    }
    expect_all_back();
}

TEST_F(FailureTest, CloseBeforeAnyAnswerIsUc) {
    publish();
    auto& c = client();
    c.send(kGet);
    upstream(0).accept_connection();
    upstream(0).close();
    const std::string got = c.take();
    EXPECT_HAS(got, "HTTP/1.1 503");
    EXPECT_HAS(got, "reset reason: connection termination");
    EXPECT_EQ(upstreams(), 1u) << "a fresh connection that fails is no stale one: not repeated";
    EXPECT_EQ(log().flags, telemetry::kUpstreamTermination);
    expect_all_back();
}

TEST_F(FailureTest, CloseInTheBodyCutsTheClient) {
    publish();
    auto& c = client();
    c.send(kGet);
    upstream(0).accept_connection();
    upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
    upstream(0).close();
    EXPECT_TRUE(c.take().ends_with("half"));
    EXPECT_TRUE(c.released);
    const Logged entry = log();
    EXPECT_EQ(entry.flags, telemetry::kUpstreamTermination);
    EXPECT_EQ(entry.status, 200);
    expect_all_back();
}

TEST_F(FailureTest, BadChunkInTheBodyCutsTheClient) {
    publish();
    auto& c = client();
    c.send(kGet);
    upstream(0).accept_connection();
    upstream(0).send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n");
    const std::string got = c.take();
    EXPECT_NOT(got, "0\r\n\r\n");
    EXPECT_TRUE(c.released);
    EXPECT_EQ(log().flags, telemetry::kUpstreamProtocolError);
    expect_all_back();
}

TEST_F(FailureTest, TruncatedAnswerToHttp10IsReset) {
    publish();
    auto& c = client();
    c.send("GET / HTTP/1.0\r\n\r\n");
    upstream(0).accept_connection();
    upstream(0).send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    upstream(0).reset();
    EXPECT_TRUE(c.aborted) << "an end would look like the whole answer";
    expect_all_back();
}

TEST_F(FailureTest, StaleConnectionIsReplacedOnce) {
    publish();
    auto& c = client();
    c.send(kGet);
    upstream(0).accept_connection();
    upstream(0).take();
    upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    c.take();
    c.send("GET /again HTTP/1.1\r\nhost: a\r\n\r\n");
    EXPECT_HAS(upstream(0).take(), "GET /again");
    upstream(0).reset();
    ASSERT_EQ(upstreams(), 2u) << "sent once more on a new connection";
    EXPECT_EQ(c.take(), "");
    upstream(1).accept_connection();
    EXPECT_HAS(upstream(1).take(), "GET /again");
    upstream(1).send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    EXPECT_TRUE(c.take().ends_with("ok"));
    const auto all = logs();
    ASSERT_EQ(all.size(), 2u);
    EXPECT_EQ(all[1].attempts, 2u);
    EXPECT_EQ(all[1].flags, 0u);
    EXPECT_EQ(core().counters.resent, 1u);
    expect_all_back();
}

TEST_F(FailureTest, StaleConnectionIsNotTriedForever) {
    publish();
    auto& c = client();
    c.send(kGet);
    upstream(0).accept_connection();
    upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    c.take();
    c.send(kGet);
    upstream(0).close();
    ASSERT_EQ(upstreams(), 2u);
    upstream(1).accept_connection();
    upstream(1).reset();
    EXPECT_EQ(upstreams(), 2u);
    EXPECT_HAS(c.take(), "connection termination");
    expect_all_back();
}

TEST_F(FailureTest, PostIsNotRepeated) {
    publish();
    auto& c = client();
    c.send(kGet);
    upstream(0).accept_connection();
    upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    c.take();
    c.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
    upstream(0).reset();
    EXPECT_EQ(upstreams(), 1u);
    EXPECT_HAS(c.take(), "HTTP/1.1 503");
    expect_all_back();
}

TEST_F(FailureTest, PutWhoseBodyWentOutIsNotRepeated) {
    publish();
    auto& c = client();
    c.send(kGet);
    upstream(0).accept_connection();
    upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    c.take();
    c.send("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody");
    upstream(0).reset();
    EXPECT_EQ(upstreams(), 1u);
    EXPECT_HAS(c.take(), "HTTP/1.1 503");
    expect_all_back();
}

TEST_F(FailureTest, IdleConnectionThatClosesIsForgotten) {
    publish();
    auto& c = client();
    c.send(kGet);
    upstream(0).accept_connection();
    upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    c.take();
    upstream(0).close();
    EXPECT_TRUE(upstream(0).released);
    c.send(kGet);
    ASSERT_EQ(upstreams(), 2u);
    upstream(1).accept_connection();
    upstream(1).send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    EXPECT_HAS(c.take(), "200 OK");
    EXPECT_EQ(core().counters.resent, 0u);
    expect_all_back();
}

TEST_F(FailureTest, RouteTimeoutIsUt) {
    first_route().timeout = seconds(3);
    publish();
    auto& c = client();
    c.send(kGet);
    upstream(0).accept_connection();
    EXPECT_HAS(upstream(0).take(), "x-envoy-expected-rq-timeout-ms: 3000\r\n");
    advance(milliseconds(2990));
    EXPECT_EQ(c.take(), "");
    advance(milliseconds(20));
    const std::string got = c.take();
    EXPECT_HAS(got, "HTTP/1.1 504 Gateway Timeout\r\n");
    EXPECT_EQ(body_of(got), "upstream request timeout");
    EXPECT_TRUE(upstream(0).aborted);
    EXPECT_FALSE(c.shut);
    const Logged entry = log();
    EXPECT_EQ(entry.flags, telemetry::kUpstreamTimeout);
    EXPECT_EQ(entry.details, "response_timeout");
    EXPECT_EQ(stats_.cluster(0).request_timeouts.get(), 1u);
    expect_all_back();
}

TEST_F(FailureTest, RouteTimeoutDefaultAndNone) {
    route(prefix("/none"), "web").timeout = seconds(0);
    publish();
    auto& c = client();
    c.send(kGet);
    auto& d = client();
    d.send("GET /none HTTP/1.1\r\nhost: a\r\n\r\n");
    upstream(0).accept_connection();
    upstream(1).accept_connection();
    EXPECT_NOT(upstream(1).take(), "x-envoy-expected");
    advance(seconds(16));
    EXPECT_HAS(c.take(), "504 Gateway Timeout");
    EXPECT_EQ(d.take(), "");
    expect_all_back();
}

TEST_F(FailureTest, RouteTimeoutInTheAnswerCutsIt) {
    first_route().timeout = seconds(3);
    publish();
    auto& c = client();
    c.send(kGet);
    upstream(0).accept_connection();
    upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
    advance(seconds(4));
    EXPECT_TRUE(c.take().ends_with("half"));
    EXPECT_TRUE(c.released);
    EXPECT_EQ(log().flags, telemetry::kUpstreamTimeout);
    expect_all_back();
}

TEST_F(FailureTest, RouteTimeoutCountsFromTheWholeRequest) {
    first_route().timeout = seconds(3);
    publish();
    auto& c = client();
    c.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n");
    upstream(0).accept_connection();
    advance(seconds(10));
    EXPECT_EQ(c.take(), "");
    c.send("xx");
    advance(milliseconds(2900));
    EXPECT_EQ(c.take(), "");
    advance(milliseconds(200));
    EXPECT_HAS(c.take(), "504 Gateway Timeout");
    expect_all_back();
}

TEST_F(FailureTest, StreamIdleTimeoutSaysWhoseTurnItWas) {
    first_route().timeout = seconds(0);
    http().stream_idle_timeout = seconds(5);
    publish();
    auto& c = client();
    c.send(kGet);
    upstream(0).accept_connection();
    auto& d = client();
    d.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nx");
    upstream(1).accept_connection();
    advance(seconds(4));
    d.send("");  // nothing new
    advance(seconds(2));
    const std::string late_server = c.take(), late_client = d.take();
    EXPECT_HAS(late_server, "HTTP/1.1 504");
    EXPECT_EQ(body_of(late_server), "stream timeout");
    EXPECT_HAS(late_client, "HTTP/1.1 408 Request Timeout");
    EXPECT_TRUE(d.shut);
    for (const Logged& entry : logs()) EXPECT_EQ(entry.flags, telemetry::kStreamIdleTimeout);
    expect_all_back();
}

TEST_F(FailureTest, RouteIdleTimeoutOverrides) {
    first_route().timeout = seconds(0);
    first_route().idle_timeout = seconds(2);
    publish();
    auto& c = client();
    c.send(kGet);
    upstream(0).accept_connection();
    advance(seconds(3));
    EXPECT_HAS(c.take(), "stream timeout");
    expect_all_back();
}

TEST_F(FailureTest, SlowHeadIs408) {
    http().request_headers_timeout = seconds(10);
    publish();
    auto& c = client();
    c.send("GET / HTTP/1.1\r\nhost: a");
    for (int i = 0; i < 12; i++) {  // a byte now and then does not help
        advance(seconds(1));
        if (!c.shut) c.send("a");
    }
    EXPECT_HAS(c.take(), "HTTP/1.1 408 Request Timeout");
    EXPECT_TRUE(c.shut);
    advance(seconds(2));
    EXPECT_TRUE(c.released);
    expect_all_back();
}

TEST_F(FailureTest, RequestTimeoutIs408) {
    http().request_timeout = seconds(10);
    publish();
    auto& c = client();
    c.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n");
    upstream(0).accept_connection();
    for (int i = 0; i < 12; i++) {
        advance(seconds(1));
        c.send("x");
    }
    EXPECT_HAS(c.take(), "HTTP/1.1 408 Request Timeout");
    EXPECT_TRUE(upstream(0).aborted);
    expect_all_back();
}

TEST_F(FailureTest, IdleClientIsClosedQuietly) {
    http().idle_timeout = seconds(60);
    publish();
    auto& c = client();
    advance(seconds(59));
    EXPECT_FALSE(c.shut);
    advance(seconds(2));
    EXPECT_TRUE(c.shut);
    EXPECT_EQ(c.take(), "");
    c.close();
    EXPECT_TRUE(c.released);
    EXPECT_TRUE(logs().empty());
    expect_all_back();
}

struct Malformed {
    std::string text;
    std::string_view status;
};

TEST_F(FailureTest, MalformedRequestsGetTheirAnswerAndAClose) {
    publish();
    const std::vector<Malformed> cases = {
        {"GET / HTTP/1.1\r\n\r\n", "400 Bad Request"},
        {"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", "400 Bad Request"},
        {"GET / HTTP/1.1\r\nhost : a\r\n\r\n", "400 Bad Request"},
        {"GET  / HTTP/1.1\r\nhost: a\r\n\r\n", "400 Bad Request"},
        {"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n", "400 Bad Request"},
        {"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\n", "400 Bad Request"},
        {"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n", "501 Not Implemented"},
        {"GET / HTTP/2.7\r\nhost: a\r\n\r\n", "505 HTTP Version Not Supported"},
        {"GET /" + std::string(33 * 1024, 'a') + " HTTP/1.1\r\nhost: a\r\n\r\n", "414 URI Too Long"},
        {"GET / HTTP/1.1\r\nhost: a\r\nx: " + std::string(61 * 1024, 'a') + "\r\n\r\n", "431 Request Header Fields Too Large"},
        {"GET https://a/ HTTP/1.1\r\nhost: a\r\n\r\n", "400 Bad Request"},
        {"GET / HTTP/1.1\r\nhost: a\r\nexpect: tea\r\n\r\n", "417 Expectation Failed"},
    };
    for (const Malformed& m : cases) {
        auto& c = client();
        c.send(m.text + "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n", 1460);
        const std::string got = c.take();
        EXPECT_HAS(got, std::string("HTTP/1.1 ").append(m.status)) << m.text.substr(0, 80);
        EXPECT_HAS(got, "connection: close\r\n");
        EXPECT_EQ(got.find("HTTP/1.1", 1), std::string::npos) << "one answer, then the end";
        EXPECT_TRUE(c.shut);
        EXPECT_EQ(c.unconsumed(), 0u);
        EXPECT_EQ(log().flags, telemetry::kDownstreamProtocolError);
        c.close();
        EXPECT_TRUE(c.released);
    }
    EXPECT_EQ(upstreams(), 0u);
    expect_all_back();
}

TEST_F(FailureTest, BadChunkOfARequestIs400AndResetsTheUpstream) {
    publish();
    auto& c = client();
    c.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    upstream(0).accept_connection();
    c.send("zz\r\n");
    EXPECT_HAS(c.take(), "HTTP/1.1 400 Bad Request");
    EXPECT_TRUE(upstream(0).aborted);
    EXPECT_EQ(log().flags, telemetry::kDownstreamProtocolError);
    expect_all_back();
}

TEST_F(FailureTest, UpgradeAndConnectAreRefused) {
    publish();
    auto& c = client();
    c.send("GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    EXPECT_HAS(c.take(), "HTTP/1.1 403 Forbidden");
    EXPECT_EQ(log().details, "upgrade_failed");
    auto& d = client();
    d.send("CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n");
    const std::string got = d.take();
    EXPECT_HAS(got, "HTTP/1.1 403 Forbidden");
    EXPECT_EQ(got.find("HTTP/1.1", 1), std::string::npos);
    EXPECT_TRUE(d.shut);
    EXPECT_EQ(upstreams(), 0u);
    // h2c is ignored (RFC 9110 7.8), and its fields do not go on.
    auto& e = client();
    e.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMA\r\n\r\n");
    ASSERT_EQ(upstreams(), 1u);
    upstream(0).accept_connection();
    const std::string seen = upstream(0).take();
    EXPECT_NOT(seen, "upgrade");
    EXPECT_NOT(seen, "http2-settings");
    expect_all_back();
}

TEST_F(FailureTest, BreakersAnswerUo) {
    auto& web = cluster("web", {address("10.0.0.10", 8080)});
    web.max_requests = 2;
    publish();
    std::vector<FakeTransport*> clients;
    for (int i = 0; i < 3; i++) {
        clients.push_back(&client());
        clients.back()->send(kGet);
    }
    EXPECT_HAS(clients[2]->take(), "reset reason: overflow");
    EXPECT_EQ(log().flags, telemetry::kUpstreamOverflow);
    EXPECT_EQ(stats_.cluster(0).overflows.get(), 1u);
    clients[0]->reset();
    clients[2]->send(kGet);
    EXPECT_EQ(clients[2]->take(), "") << "one left, so there is room again";
    expect_all_back();
}

TEST_F(FailureTest, PendingAndConnectionLimits) {
    auto& web = cluster("web", {address("10.0.0.10", 8080)});
    web.max_connections = 1;
    web.max_pending_requests = 2;
    publish();
    auto &a = client(), &b = client(), &c = client(), &d = client();
    a.send(kGet);
    ASSERT_EQ(upstreams(), 1u);
    upstream(0).accept_connection();
    EXPECT_HAS(upstream(0).take(), "GET /");
    b.send(kGet);
    c.send(kGet);
    EXPECT_EQ(upstreams(), 1u) << "max_connections";
    d.send(kGet);
    EXPECT_HAS(d.take(), "reset reason: overflow");
    for (auto* waiting : {&a, &b, &c}) {
        upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        EXPECT_HAS(waiting->take(), "200 OK") << "served in order on the one connection";
    }
    expect_all_back();
}

TEST_F(FailureTest, WaitersGetANewConnectionWhenTheOldOneEnds) {
    cluster("web", {address("10.0.0.10", 8080)}).max_connections = 1;
    publish();
    auto &a = client(), &b = client();
    a.send(kGet);
    upstream(0).accept_connection();
    b.send(kGet);
    upstream(0).send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    ASSERT_EQ(upstreams(), 2u);
    upstream(1).accept_connection();
    EXPECT_HAS(upstream(1).take(), "GET /");
    b.reset();
    EXPECT_TRUE(upstream(1).aborted);
    expect_all_back();
}

TEST_F(FailureTest, StreamsRunOut) {
    publish();
    core_config_.streams_max = 1024;
    std::vector<FakeTransport*> clients;
    for (int i = 0; i < 1024; i++) {
        clients.push_back(&client());
        clients.back()->send("GET / HTTP/1.1\r\nhost:");
    }
    EXPECT_EQ(core().streams.in_use(), 1024u);
    EXPECT_EQ(network_->connect_client(80, address("192.0.2.9", 1)), nullptr) << "no more connections";
    EXPECT_EQ(core().counters.accept_refused, 1u);
    clients[0]->reset();
    EXPECT_NE(network_->connect_client(80, address("192.0.2.9", 2)), nullptr);
    expect_all_back();
}

}  // namespace
}  // namespace sluice::proxy::test
