// Plain forwarding: requests and answers of every framing, keep-alive, pipelining, pools, and what is said when it fails.
#include "tests/proxy/bench.h"

namespace sluice::proxy::test {
namespace {

using ForwardTest = ProxyTest;

TEST_F(ForwardTest, GetGoesThereAndBack) {
    publish();
    auto& c = client();
    c.send("GET /a?b=c HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: test\r\n\r\n");
    ASSERT_EQ(upstreams(), 1u);
    auto& u = upstream(0);
    EXPECT_EQ(u.tuple().remote, address("10.0.0.10", 8080));
    EXPECT_EQ(u.take(), "");
    u.accept_connection();
    const std::string request = u.take();
    EXPECT_TRUE(request.starts_with("GET /a?b=c HTTP/1.1\r\nhost: shop.example\r\n")) << request;
    EXPECT_HAS(request, "x-forwarded-for: 192.0.2.5\r\n");
    EXPECT_HAS(request, "x-forwarded-proto: http\r\n");
    EXPECT_HAS(request, "x-request-id: ");
    EXPECT_HAS(request, "x-envoy-expected-rq-timeout-ms: 15000\r\n");
    EXPECT_EQ(c.take(), "");
    now_ = now_ + milliseconds(7);
    u.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nserver: backend\r\n\r\nhello");
    const std::string answer = c.take();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
    EXPECT_HAS(answer, "content-length: 5\r\n");
    EXPECT_HAS(answer, "server: sluice\r\n");
    EXPECT_HAS(answer, "x-envoy-upstream-service-time: 7\r\n");
    EXPECT_HAS(answer, "date: Sat, 22 Nov 2025 22:20:01 GMT\r\n");
    EXPECT_TRUE(answer.ends_with("\r\n\r\nhello")) << answer;
    EXPECT_FALSE(c.shut);
    const Logged entry = log();
    EXPECT_EQ(entry.status, 200);
    EXPECT_EQ(entry.flags, 0u);
    EXPECT_EQ(entry.details, "via_upstream");
    EXPECT_EQ(entry.path, "/a?b=c");
    EXPECT_EQ(entry.cluster, "web");
    EXPECT_EQ(entry.bytes_sent, 5u);
    EXPECT_EQ(entry.duration_us, 7000u);
    EXPECT_EQ(entry.upstream, "10.0.0.10:8080");
    expect_all_back();
}

TEST_F(ForwardTest, ARequestIsCountedOnceWithWhatIstioTellsApart) {
    publish();
    auto& c = client();
    c.send("POST /pkg.Service/Method HTTP/1.1\r\nHost: shop.example\r\nContent-Type: application/grpc+proto\r\nContent-Length: 3\r\n\r\nabc");
    auto& u = upstream(0);
    u.accept_connection();
    const std::string sent = u.take();
    now_ = now_ + milliseconds(7);
    const std::string answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ngrpc-status: 14\r\n\r\nhello";
    u.send(answer);
    const std::string delivered = c.take();
    std::vector<telemetry::RequestKey> keys;
    stats_.series().for_each([&](uint32_t place, const telemetry::RequestKey& key) {
        keys.push_back(key);
        telemetry::BucketSum duration, request, response;
        duration.add(stats_.request_cell(place).duration_us);
        request.add(stats_.request_cell(place).request_bytes);
        response.add(stats_.request_cell(place).response_bytes);
        EXPECT_EQ(duration.count, 1u);
        EXPECT_EQ(duration.sum, 7000u);
        EXPECT_EQ(request.sum, 3u);
        EXPECT_EQ(response.sum, 5u);
    });
    ASSERT_EQ(keys.size(), 1u);
    EXPECT_EQ(keys[0].status, 200u);
    EXPECT_EQ(keys[0].flags, 0u);
    EXPECT_TRUE(keys[0].grpc);
    EXPECT_EQ(keys[0].grpc_status, 14u);
    const auto& cluster = stats_.cluster(0);
    telemetry::BucketSum times;
    times.add(cluster.request_us);
    EXPECT_EQ(times.sum, 7000u);
    EXPECT_EQ(cluster.wire_sent.get(), sent.size());
    EXPECT_EQ(cluster.wire_received.get(), answer.size());
    EXPECT_EQ(stats_.listener(0).wire_sent.get(), delivered.size());
    EXPECT_EQ(cluster.pending_total.get(), 1u);
    EXPECT_EQ(cluster.pending_active.get(), 0u);
    EXPECT_EQ(cluster.cancelled.get() + cluster.cut.get(), 0u);
}

TEST_F(ForwardTest, OneConnectionServesOneRequestAfterAnother) {
    publish();
    auto& c = client();
    for (int i = 0; i < 5; i++) {
        c.send(kGet);
        ASSERT_EQ(upstreams(), 1u) << "the idle connection was not used";
        auto& u = upstream(0);
        if (i == 0) u.accept_connection();
        EXPECT_HAS(u.take(), "GET / HTTP/1.1\r\n");
        u.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        EXPECT_TRUE(c.take().ends_with("\r\n\r\nok"));
    }
    EXPECT_EQ(logs().size(), 5u);
    EXPECT_EQ(stats_.cluster(0).connections.get(), 1u);
    EXPECT_EQ(stats_.cluster(0).connections_idle.get(), 1u);
    EXPECT_EQ(stats_.cluster(0).requests_active.get(), 0u);
    expect_all_back();
}

TEST_F(ForwardTest, EveryCutOfBothMessages) {
    publish();
    const std::string request = "POST /p HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nx-t: 1\r\n\r\n";
    const std::string answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nx-end: 1\r\n\r\n";
    for (const size_t cut : {1, 2, 3, 5, 7, 11, 1000}) {
        auto& c = client();
        for (size_t at = 0; at < request.size(); at += cut) {
            c.send(std::string_view(request).substr(at, cut));
            if (upstreams() == 1 && at < 60) upstream(0).accept_connection();
        }
        auto& u = upstream(0);
        u.accept_connection();
        const std::string seen = u.take();
        std::string body = seen.substr(seen.find("\r\n\r\n") + 4), plain;
        EXPECT_HAS(seen, "transfer-encoding: chunked\r\n");
        for (size_t at = 0; at < body.size();) {
            size_t used = 0;
            const auto size = std::stoul(body.substr(at), &used, 16);
            at += used + 2;
            if (size == 0) {
                EXPECT_EQ(body.substr(at), "x-t: 1\r\n\r\n");
                break;
            }
            plain += body.substr(at, size);
            at += size + 2;
        }
        EXPECT_EQ(plain, "abcdefg") << "cut " << cut;
        for (size_t at = 0; at < answer.size(); at += cut) u.send(std::string_view(answer).substr(at, cut));
        const std::string got = c.take();
        EXPECT_HAS(got, "transfer-encoding: chunked\r\n");
        EXPECT_TRUE(got.ends_with("0\r\nx-end: 1\r\n\r\n")) << got;
        c.close();
    }
    EXPECT_EQ(upstreams(), 1u);
    expect_all_back();
}

TEST_F(ForwardTest, PipelinedRequestsAreAnsweredInOrder) {
    publish();
    auto& c = client();
    std::string all;
    for (int i = 0; i < 20; i++) all += "GET /" + std::to_string(i) + " HTTP/1.1\r\nhost: a\r\n\r\n";
    c.send(all);
    upstream(0).accept_connection();
    std::string got;
    for (int i = 0; i < 20; i++) {
        ASSERT_EQ(upstreams(), 1u);
        EXPECT_HAS(upstream(0).take(), "GET /" + std::to_string(i) + " HTTP/1.1");
        const std::string body = "body" + std::to_string(i);
        upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
        got += c.take();
        EXPECT_TRUE(got.ends_with(body)) << got;
    }
    expect_all_back();
}

TEST_F(ForwardTest, PipelineThenFinIsAnsweredWhole) {
    publish();
    auto& c = client();
    c.send_and_close(std::string(kGet) + std::string(kGet));
    upstream(0).accept_connection();
    upstream(0).take();
    upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1");
    EXPECT_HAS(upstream(0).take(), "GET /");
    upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n2");
    const std::string got = c.take();
    EXPECT_HAS(got, "\r\n\r\n1HTTP");
    EXPECT_TRUE(got.ends_with("\r\n\r\n2"));
    EXPECT_TRUE(c.released);
    EXPECT_FALSE(c.aborted);
    expect_all_back();
}

TEST_F(ForwardTest, AnswerUntilCloseBecomesChunks) {
    publish();
    auto& c = client();
    c.send(kGet);
    upstream(0).accept_connection();
    upstream(0).send("HTTP/1.1 200 OK\r\n\r\nsome");
    EXPECT_HAS(c.take(), "transfer-encoding: chunked\r\n");
    upstream(0).send_and_close(" more");
    EXPECT_HAS(c.take(), " more\r\n0\r\n\r\n");
    EXPECT_TRUE(upstream(0).released);
    EXPECT_FALSE(c.shut);
    expect_all_back();
}

TEST_F(ForwardTest, Http10ClientGetsNoChunks) {
    publish();
    auto& c = client();
    c.send("GET / HTTP/1.0\r\n\r\n");
    upstream(0).accept_connection();
    upstream(0).send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    const std::string got = c.take();
    EXPECT_NOT(got, "chunked");
    EXPECT_HAS(got, "connection: close");
    EXPECT_TRUE(got.ends_with("\r\n\r\nhello"));
    EXPECT_TRUE(c.shut);
    c.close();
    EXPECT_TRUE(c.released);
    expect_all_back();
}

TEST_F(ForwardTest, HeadAndEmptyAnswersKeepTheirLength) {
    publish();
    auto& c = client();
    c.send("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n");
    upstream(0).accept_connection();
    upstream(0).take();
    upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n");
    EXPECT_HAS(c.take(), "content-length: 1234\r\n");
    c.send(kGet);
    upstream(0).send("HTTP/1.1 204 No Content\r\n\r\n");
    const std::string no_content = c.take();
    EXPECT_NOT(no_content, "content-length");
    EXPECT_NOT(no_content, "transfer-encoding");
    c.send(kGet);
    upstream(0).send("HTTP/1.1 304 Not Modified\r\ncontent-length: 99\r\n\r\n");
    EXPECT_HAS(c.take(), "content-length: 99");
    c.send(kGet);
    upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    EXPECT_HAS(c.take(), "content-length: 0\r\n");
    EXPECT_EQ(upstreams(), 1u);
    expect_all_back();
}

TEST_F(ForwardTest, ConnectionCloseIsHonoured) {
    publish();
    auto& c = client();
    c.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    upstream(0).accept_connection();
    EXPECT_NOT(upstream(0).take(), "connection: close");
    upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    EXPECT_HAS(c.take(), "connection: close\r\n");
    EXPECT_TRUE(c.shut);
    EXPECT_FALSE(c.released) << "it lingers so that the answer survives";
    advance(seconds(2));
    EXPECT_TRUE(c.released);
    // The upstream's own close.
    auto& d = client();
    d.send(kGet);
    upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
    EXPECT_NOT(d.take(), "connection: close");
    EXPECT_TRUE(upstream(0).released);
    expect_all_back();
}

TEST_F(ForwardTest, InterimAnswersAreSkipped) {
    publish();
    auto& c = client();
    c.send(kGet);
    upstream(0).accept_connection();
    upstream(0).send("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx");
    const std::string got = c.take();
    EXPECT_TRUE(got.starts_with("HTTP/1.1 200 OK\r\n")) << got;
    EXPECT_NOT(got, "link");
    expect_all_back();
}

TEST_F(ForwardTest, InterimFloodIsAProtocolError) {
    publish();
    auto& c = client();
    c.send(kGet);
    upstream(0).accept_connection();
    for (int i = 0; i < 20; i++) upstream(0).send("HTTP/1.1 103 Early Hints\r\n\r\n");
    EXPECT_HAS(c.take(), "HTTP/1.1 502 Bad Gateway");
    EXPECT_EQ(log().flags, telemetry::kUpstreamProtocolError);
    expect_all_back();
}

TEST_F(ForwardTest, ContinueIsSentWhenSomebodyTakesTheBody) {
    publish();
    auto& c = client();
    c.send("PUT / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n");
    EXPECT_EQ(c.take(), "");
    upstream(0).accept_connection();
    EXPECT_EQ(c.take(), "HTTP/1.1 100 Continue\r\n\r\n");
    EXPECT_NOT(upstream(0).take(), "expect:");
    c.send("body");
    EXPECT_EQ(upstream(0).take(), "body");
    upstream(0).send("HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n");
    EXPECT_HAS(c.take(), "201 Created");
    EXPECT_FALSE(c.shut);
    // Not asked for when the body comes along, and a final answer spares it.
    c.send("PUT / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\nbody");
    EXPECT_EQ(c.take(), "");
    upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    EXPECT_HAS(c.take(), "HTTP/1.1 200 OK");
    expect_all_back();
}

TEST_F(ForwardTest, EarlyAnswerClosesBothSides) {
    publish();
    auto& c = client();
    c.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\npart");
    upstream(0).accept_connection();
    upstream(0).take();
    upstream(0).send("HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno");
    const std::string got = c.take();
    EXPECT_HAS(got, "HTTP/1.1 413");
    EXPECT_TRUE(got.ends_with("\r\n\r\nno"));
    EXPECT_TRUE(c.shut);
    EXPECT_FALSE(c.aborted);
    EXPECT_TRUE(upstream(0).aborted) << "half a request must not be taken for one";
    c.send(std::string(96, 'x'));
    EXPECT_EQ(c.unconsumed(), 0u) << "what comes late is read and dropped";
    EXPECT_TRUE(upstream(0).released);
    c.close();
    EXPECT_TRUE(c.released);
    expect_all_back();
}

TEST_F(ForwardTest, ClientGoneAbortsTheUpstream) {
    publish();
    auto& c = client();
    c.send(kGet);
    upstream(0).accept_connection();
    c.reset();
    EXPECT_TRUE(upstream(0).aborted);
    EXPECT_TRUE(upstream(0).released);
    const Logged entry = log();
    EXPECT_EQ(entry.flags, telemetry::kDownstreamDisconnect);
    EXPECT_EQ(entry.status, 0);
    expect_all_back();
}

TEST_F(ForwardTest, ClientGoneWhileConnecting) {
    publish();
    auto& c = client();
    c.send(kGet);
    c.reset();
    upstream(0).accept_connection();
    EXPECT_FALSE(upstream(0).released) << "a connection once made is of use to the next";
    auto& d = client();
    d.send(kGet);
    EXPECT_EQ(upstreams(), 1u);
    EXPECT_HAS(upstream(0).take(), "GET /");
    expect_all_back();
}

TEST_F(ForwardTest, HalfClosedClientIsStillAnswered) {
    publish();
    auto& c = client();
    c.send_and_close(kGet);
    upstream(0).accept_connection();
    upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    EXPECT_TRUE(c.take().ends_with("ok"));
    EXPECT_TRUE(c.released);
    EXPECT_FALSE(c.aborted);
    EXPECT_EQ(log().flags, 0u);
    expect_all_back();
}

TEST_F(ForwardTest, ClientThatClosedAndLeftIsLoggedSo) {
    publish();
    auto& c = client();
    c.send_and_close(kGet);
    upstream(0).accept_connection();
    upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    EXPECT_TRUE(logs().empty()) << "whether anybody is there to read it is not known yet";
    EXPECT_FALSE(upstream(0).released) << "the upstream's side is done";
    c.reset();
    const Logged entry = log();
    EXPECT_EQ(entry.flags, telemetry::kDownstreamDisconnect);
    EXPECT_EQ(entry.status, 200);
    EXPECT_TRUE(c.released);
    // Nothing comes back at all: the linger's time ends it.
    auto& d = client();
    d.send_and_close(kGet);
    upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    advance(seconds(2));
    EXPECT_TRUE(d.released);
    EXPECT_EQ(logs().size(), 1u);
    expect_all_back();
}

TEST_F(ForwardTest, FinInsideTheBodyIsNotARequest) {
    publish();
    auto& c = client();
    c.send_and_close("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf");
    upstream(0).accept_connection();
    EXPECT_HAS(c.take(), "HTTP/1.1 400 Bad Request");
    EXPECT_TRUE(upstream(0).aborted);
    EXPECT_EQ(log().flags, telemetry::kDownstreamDisconnect);
    expect_all_back();
}

TEST_F(ForwardTest, UnsolicitedBytesEndAnIdleConnection) {
    publish();
    auto& c = client();
    c.send(kGet);
    upstream(0).accept_connection();
    upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    c.take();
    upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison");
    EXPECT_TRUE(upstream(0).released);
    c.send(kGet);
    ASSERT_EQ(upstreams(), 2u);
    EXPECT_EQ(c.take(), "");
    expect_all_back();
}

TEST_F(ForwardTest, BytesBehindAnAnswerEndTheConnection) {
    publish();
    auto& c = client();
    c.send(kGet);
    upstream(0).accept_connection();
    upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison");
    EXPECT_TRUE(c.take().ends_with("\r\n\r\nok"));
    EXPECT_TRUE(upstream(0).released);
    expect_all_back();
}

TEST_F(ForwardTest, MaxRequestsPerConnection) {
    cluster("web", {address("10.0.0.10", 8080)}).max_requests_per_connection = 2;
    publish();
    auto& c = client();
    for (size_t i = 0; i < 6; i++) {
        c.send(kGet);
        ASSERT_EQ(upstreams(), i / 2 + 1);
        if (i % 2 == 0) upstream(i / 2).accept_connection();
        upstream(i / 2).send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        EXPECT_HAS(c.take(), "200 OK");
    }
    EXPECT_TRUE(upstream(0).released);
    EXPECT_TRUE(upstream(1).released);
    expect_all_back();
}

TEST_F(ForwardTest, FewHotConnectionsLastInFirstOut) {
    publish();
    std::vector<FakeTransport*> clients;
    for (int i = 0; i < 4; i++) {
        clients.push_back(&client());
        clients.back()->send(kGet);
    }
    ASSERT_EQ(upstreams(), 4u);
    for (size_t i = 0; i < 4; i++) upstream(i).accept_connection();
    for (size_t i = 0; i < 4; i++) {
        EXPECT_HAS(upstream(i).take(), "GET /");
        upstream(i).send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    }
    for (int i = 0; i < 10; i++) {
        clients[0]->send(kGet);
        EXPECT_HAS(upstream(3).take(), "GET /") << "the connection used last is used next";
        upstream(3).send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    }
    advance(seconds(3601));
    for (size_t i = 0; i < 4; i++) EXPECT_TRUE(upstream(i).released) << "idle timeout";
    expect_all_back();
}

}  // namespace
}  // namespace sluice::proxy::test
