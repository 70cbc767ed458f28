// Upstream connections over TLS: as the endpoint's transport socket says; names, secrets, failures with their reasons, pools, ends.
// The server is OpenSSL.
#include <map>

#include "telemetry/access_log_format.h"
#include "telemetry/access_log_set.h"
#include "tests/proxy/tls_bench.h"

namespace sluice::proxy::test {
namespace {

class TlsUpstream : public TlsProxyTest {
 protected:
    const sluice::test::Issued web_ = issue("web", {"DNS:web.example", "URI:spiffe://cluster.local/ns/shop/sa/web"});
    const sluice::test::Issued gateway_ = issue("gateway", {"URI:spiffe://cluster.local/ns/gw/sa/gateway"});

    FakeTransport& ask() {
        auto& c = client();
        c.send(kGet);
        return c;
    }
};

TEST_F(TlsUpstream, MutualTlsAndReuse) {
    auto& socket = secure("web", client_context(&gateway_));
    socket.peer.sni = "outbound_.80_._.web.example";
    socket.peer.subject_alt_names = {{.type = tls::SanMatcher::Type::kUri, .kind = tls::SanMatcher::Kind::kExact, .text = "spiffe://cluster.local/ns/shop/sa/web", .custom = {}}};
    publish();
    auto& c = ask();
    auto s = secure_server(0, web_, {.trusted_pem = authority().pem(), .wants_client_certificate = true});
    ASSERT_TRUE(s.pump()) << s.error();
    EXPECT_EQ(s.peer_name(), "gateway");
    EXPECT_STREQ(SSL_get_servername(s.ssl(), TLSEXT_NAMETYPE_host_name), "outbound_.80_._.web.example");
    EXPECT_HAS(s.read(), "GET / HTTP/1.1\r\n");
    s.write(kOk);
    EXPECT_TRUE(c.take().ends_with("ok"));
    c.send(kGet);
    EXPECT_HAS(s.read(), "GET / HTTP/1.1\r\n");
    s.write(kOk);
    EXPECT_TRUE(c.take().ends_with("ok"));
    EXPECT_EQ(upstreams(), 1u);
    EXPECT_EQ(cluster_stats().tls.handshakes.get(), 1u);
    expect_all_back();
}

/// Envoy: a retried or failed request names the transport's failure in its record, spaces and all.
TEST_F(TlsUpstream, TheLogTellsWhyThereIsNoConnection) {
    secure("web", nullptr);
    auto format = telemetry::AccessLogFormat::parse("%UPSTREAM_TRANSPORT_FAILURE_REASON% %UPSTREAM_TLS_CIPHER%");
    ASSERT_TRUE(format);
    http().access_logs = *telemetry::AccessLogSet::make({{"/dev/null", std::move(*format)}});
    publish();
    ask();
    EXPECT_EQ(log().captured, (std::vector<std::string>{"TLS error: Secret is not supplied by SDS", ""}));
    expect_all_back();
}

/// Of the connection that carried the request, also when it is gone before the request is recorded.
TEST_F(TlsUpstream, TheLogTellsWhoTheBackendIs) {
    const auto backend = issue("web", {"DNS:web.example", "URI:spiffe://cluster.local/ns/shop/sa/web", "IP:10.0.0.7", "email:ops@web.example", "otherName:badge 7"});
    secure("web", client_context(&gateway_)).peer.sni = "web.example";
    auto format = telemetry::AccessLogFormat::parse(
        "%UPSTREAM_TLS_VERSION% %UPSTREAM_TLS_CIPHER% %UPSTREAM_TLS_GROUP% %UPSTREAM_PEER_SUBJECT% %UPSTREAM_PEER_ISSUER% %UPSTREAM_PEER_URI_SAN% "
        "%UPSTREAM_PEER_DNS_SAN% %UPSTREAM_PEER_IP_SAN% %UPSTREAM_PEER_EMAIL_SAN% %UPSTREAM_PEER_OTHERNAME_SAN% %UPSTREAM_LOCAL_SUBJECT% %UPSTREAM_LOCAL_URI_SAN% "
        "%UPSTREAM_LOCAL_DNS_SAN% %UPSTREAM_TRANSPORT_FAILURE_REASON% %UPSTREAM_PEER_CERT_V_END(%s)% %UPSTREAM_PEER_SERIAL% %UPSTREAM_PEER_CERT% %DOWNSTREAM_TLS_VERSION%");
    ASSERT_TRUE(format) << format.error().message;
    http().access_logs = *telemetry::AccessLogSet::make({{"/dev/null", std::move(*format)}});
    config_.backends_texts = true;
    publish();
    auto& c = ask();
    auto s = secure_server(0, backend, {.trusted_pem = authority().pem(), .wants_client_certificate = true});
    ASSERT_TRUE(s.pump()) << s.error();
    EXPECT_HAS(s.read(), "GET / HTTP/1.1\r\n");
    s.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
    EXPECT_TRUE(c.take().ends_with("ok"));
    auto seen = log().captured;
    ASSERT_EQ(seen.size(), 18u);
    EXPECT_EQ(seen[15].find_first_not_of("0123456789abcdef"), std::string::npos);
    EXPECT_TRUE(seen[16].starts_with("-----BEGIN%20CERTIFICATE-----%0A")) << seen[16];
    EXPECT_GT(std::stoll(seen[14]), now_s());
    seen.erase(seen.begin() + 14, seen.begin() + 17);
    EXPECT_EQ(seen, (std::vector<std::string>{"TLSv1.3", "TLS_AES_128_GCM_SHA256", "X25519", "CN=web,O=Sluice tests", "CN=test root,O=Sluice tests",
                                              "spiffe://cluster.local/ns/shop/sa/web", "web.example", "10.0.0.7", "ops@web.example", "badge 7",
                                              "CN=gateway,O=Sluice tests", "spiffe://cluster.local/ns/gw/sa/gateway", "", "", ""}));
    expect_all_back();
}

/// Istio: source_principal is the gateway's towards the backend, destination_principal the backend's.
TEST_F(TlsUpstream, RequestsAreCountedByBothPrincipals) {
    auto& socket = secure("web", client_context(&gateway_));
    publish();
    auto& c = ask();
    auto s = secure_server(0, web_, {.trusted_pem = authority().pem(), .wants_client_certificate = true});
    ASSERT_TRUE(s.pump()) << s.error();
    s.read();
    EXPECT_TRUE(c.take().empty());
    s.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
    EXPECT_TRUE(c.take().ends_with("ok"));
    socket.peer.verify_host = "other.example";
    socket.settings_hash++;
    publish();
    c.send(kGet);
    auto refused = secure_server(1, web_);
    refused.pump();
    EXPECT_HAS(c.take(), "HTTP/1.1 503 ");
    std::map<uint16_t, std::vector<std::string>> by_status;
    const auto& series = stats_.series();
    series.for_each([&](uint32_t, const telemetry::RequestKey& key) {
        const auto names = series.principals().names(key.principals);
        by_status[key.status] = {std::string(names.source), std::string(names.destination)};
    });
    EXPECT_EQ(by_status[200], (std::vector<std::string>{"spiffe://cluster.local/ns/gw/sa/gateway", "spiffe://cluster.local/ns/shop/sa/web"}));
    EXPECT_EQ(by_status[503], (std::vector<std::string>{"", ""})) << "no connection, nobody known";
    expect_all_back();
    for (uint32_t place = 0; place < telemetry::Principals::kPlaces; place++) ASSERT_EQ(stats_.principal_uses().of_place(place), 0u) << "all uses are given back";
}

/// A name that was not verified is nobody's: it is in the log and no label.
TEST_F(TlsUpstream, AnUntrustedBackendIsNoPrincipal) {
    tls::ClientOptions options;
    options.verification.accept_untrusted = true;
    auto context = tls::ClientContext::create(std::move(options), now_s());
    ASSERT_TRUE(context);
    secure("web", *context);
    publish();
    auto& c = ask();
    const sluice::test::CertificateAuthority stranger("stranger");
    sluice::test::CertificateSpec spec;
    spec.names = {"URI:spiffe://cluster.local/ns/shop/sa/web"};
    auto s = secure_server(0, stranger.issue(spec));
    ASSERT_TRUE(s.pump()) << s.error();
    s.read();
    s.write(kOk);
    EXPECT_TRUE(c.take().ends_with("ok"));
    EXPECT_EQ(stats_.series().principals().used(), 0u);
    expect_all_back();
}

/// As without TLS: an answer that was whole before the reset is an answer.
TEST_F(TlsUpstream, AnAnswerBeforeAResetIsDelivered) {
    secure("web", client_context());
    publish();
    auto& c = ask();
    auto s = secure_server(0, web_);
    ASSERT_TRUE(s.pump()) << s.error();
    EXPECT_HAS(s.read(), "GET / HTTP/1.1\r\n");
    s.hold = true;
    s.write(kOk);
    s.reset_behind();
    EXPECT_TRUE(c.take().ends_with("ok"));
    expect_all_back();
}

TEST_F(TlsUpstream, AWrongNameIsRefusedWithItsReason) {
    auto& socket = secure("web", client_context());
    socket.peer.verify_host = "other.example";
    publish();
    auto& c = ask();
    auto s = secure_server(0, web_);
    s.pump();
    const std::string answer = c.take();
    EXPECT_HAS(answer, "HTTP/1.1 503 ");
    EXPECT_HAS(answer, "remote connection failure, transport failure reason: ");
    const auto logged = log();
    EXPECT_EQ(logged.flags, telemetry::kUpstreamConnectionFailure);
    EXPECT_HAS(logged.details, "upstream_reset_before_response_started{remote_connection_failure|");
    EXPECT_NOT(logged.details, " ");
    EXPECT_EQ(cluster_stats().tls.fail_verify_san.get(), 1u);
    const auto told = failures();
    ASSERT_EQ(told.size(), 1u);
    EXPECT_EQ(told[0].role, tls::Role::kClient);
    EXPECT_STREQ(told[0].owner, "web");
    EXPECT_TRUE(s.transport().released);
    expect_all_back();
}

TEST_F(TlsUpstream, AServerThatRefusesOurCertificateIsTold) {
    secure("web", client_context());
    publish();
    auto& c = ask();
    auto s = secure_server(0, web_, {.trusted_pem = authority().pem(), .wants_client_certificate = true});
    s.pump();
    // TLS 1.3: our end was done before the server looked for a certificate; its alert comes on an open connection.
    const std::string answer = c.take();
    EXPECT_HAS(answer, "HTTP/1.1 503 ");
    EXPECT_HAS(answer, "certificate");
    expect_all_back();
}

TEST_F(TlsUpstream, WithoutItsSecretNoConnectionIsMade) {
    secure("web", nullptr);
    publish();
    auto& c = ask();
    EXPECT_EQ(upstreams(), 0u);
    EXPECT_HAS(c.take(), "transport failure reason: TLS error: Secret is not supplied by SDS");
    EXPECT_EQ(log().flags, telemetry::kUpstreamConnectionFailure);
    EXPECT_EQ(cluster_stats().no_secret.get(), 1u);
    expect_all_back();
}

TEST_F(TlsUpstream, ASocketThatTheClusterLacksIsNeverPlainText) {
    secure("web", client_context());
    config_.endpoints["web"].front().transport_socket = 7;
    publish();
    auto& c = ask();
    EXPECT_EQ(upstreams(), 0u);
    EXPECT_HAS(c.take(), "HTTP/1.1 503 ");
    expect_all_back();
}

TEST_F(TlsUpstream, ARotatedCertificateKeepsConnectionsOthersSettingsDoNot) {
    secure("web", client_context(&gateway_));
    publish();
    auto& c = ask();
    auto s = secure_server(0, web_);
    s.pump();
    s.write(kOk);
    EXPECT_TRUE(c.take().ends_with("ok"));
    secure("web", client_context(&gateway_));   // rotated: another context of the same settings
    publish();
    c.send(kGet);
    EXPECT_HAS(s.read(), "GET / ");
    EXPECT_EQ(upstreams(), 1u);
    s.write(kOk);
    EXPECT_TRUE(c.take().ends_with("ok"));
    auto& socket = secure("web", client_context(&gateway_));
    socket.peer.verify_host = "web.example";
    socket.settings_hash = upstream::hash_settings(socket.peer, "");
    publish();
    c.send(kGet);
    EXPECT_EQ(upstreams(), 2u) << "the peer is asked for another name now";
    EXPECT_TRUE(s.transport().released);
    config_.clusters["web"].transport_sockets.clear();   // and in plain text
    publish();
    ask();
    EXPECT_EQ(upstreams(), 3u);
    expect_all_back();
}

TEST_F(TlsUpstream, AnAnswerCutWithoutCloseNotifyIsCutForTheClient) {
    secure("web", client_context());
    publish();
    auto& c = ask();
    auto s = secure_server(0, web_);
    s.pump();
    s.write("HTTP/1.1 200 OK\r\n\r\nall of it?");
    s.transport().close();
    EXPECT_HAS(c.take(), "all of it?");
    EXPECT_TRUE(c.released);
    EXPECT_EQ(cluster_stats().tls.truncated.get(), 1u);
    EXPECT_EQ(log().flags & telemetry::kUpstreamTermination, telemetry::kUpstreamTermination);
    expect_all_back();
}

TEST_F(TlsUpstream, AnAnswerEndsWithCloseNotify) {
    secure("web", client_context());
    publish();
    auto& c = ask();
    auto s = secure_server(0, web_);
    s.pump();
    s.write("HTTP/1.1 200 OK\r\n\r\nall of it");
    s.close_notify();
    EXPECT_HAS(c.take(), "all of it\r\n0\r\n\r\n");
    EXPECT_EQ(log().status, 200);
    expect_all_back();
}

/// Many servers close without close_notify: an answer whose length is known is whole all the same, also for a slow reader.
TEST_F(TlsUpstream, AWholeAnswerBeforeACarelessCloseIsDelivered) {
    secure("web", client_context());
    publish();
    auto& c = ask();
    c.send_capacity = 1000;
    auto s = secure_server(0, web_);
    s.pump();
    constexpr size_t kBody = 60'000;
    s.write("HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(kBody) + "\r\nconnection: close\r\n\r\n" + std::string(kBody, 'z'));
    s.transport().close();
    std::string got;
    for (int i = 0; i < 1000 && got.size() < kBody; i++) got += c.take(700);
    got += c.take();
    EXPECT_EQ(got.size() - got.find("\r\n\r\n") - 4, kBody);
    EXPECT_FALSE(c.aborted);
    EXPECT_EQ(log().flags, 0u);
    expect_all_back();
}

TEST_F(TlsUpstream, AGatewayThatStopsTellsItsBackends) {
    secure("web", client_context());
    publish();
    auto& c = ask();
    auto s = secure_server(0, web_);
    s.pump();
    s.write(kOk);
    EXPECT_TRUE(c.take().ends_with("ok"));
    drain_ = true;
    turn();
    EXPECT_FALSE(s.transport().released) << "a client may still ask";
    c.close();
    turn();
    s.pump();
    EXPECT_TRUE(s.got_close_notify() && s.transport().released && !s.transport().aborted);
    drain_ = false;
    expect_all_back();
}

TEST_F(TlsUpstream, TicketsMakeTheNextHandshakeShorter) {
    secure("web", client_context());
    publish();
    auto& c = ask();
    auto s = secure_server(0, web_);
    s.pump();
    s.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
    EXPECT_TRUE(c.take().ends_with("ok"));
    EXPECT_GT(core().handshaker.counters().tickets_taken, 0u);
    expect_all_back();
}

TEST_F(TlsUpstream, TheHandshakeIsWithinTheConnectTimeout) {
    secure("web", client_context());
    config_.clusters["web"].connect_timeout = seconds(2);
    publish();
    auto& c = ask();
    upstream(0).accept_connection();
    turn();
    advance(seconds(3));
    EXPECT_HAS(c.take(), "reset reason: connection timeout");
    EXPECT_TRUE(upstream(0).aborted);
    expect_all_back();
}

TEST_F(TlsUpstream, ARefusedConnectionIsAsInPlainText) {
    secure("web", client_context());
    publish();
    auto& c = ask();
    upstream(0).refuse();
    EXPECT_HAS(c.take(), "delayed connect error: Connection refused");
    expect_all_back();
}

TEST_F(TlsUpstream, BothSidesAndAFewMegabytes) {
    only_tls(server_context(web_));
    secure("web", client_context());
    publish();
    auto c = secure_client();
    ASSERT_TRUE(c.pump());
    c.write(kGet);
    auto s = secure_server(0, web_);
    ASSERT_TRUE(s.pump());
    EXPECT_HAS(s.read(), "x-forwarded-proto: https");
    constexpr size_t kBody = 3 << 20;
    s.write("HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(kBody) + "\r\n\r\n");
    std::string got;
    for (size_t sent = 0; sent < kBody; sent += 16384) {
        s.write(std::string(16384, static_cast<char>('a' + sent / 16384 % 26)));
        got += c.read();
    }
    for (int i = 0; i < 10; i++) s.pump(), got += c.read();
    got = got.substr(got.find("\r\n\r\n") + 4);
    ASSERT_EQ(got.size(), kBody);
    for (size_t i = 0; i < kBody; i += 4096) ASSERT_EQ(got[i], static_cast<char>('a' + i / 16384 % 26)) << i;
    expect_all_back();
}

}  // namespace
}  // namespace sluice::proxy::test
