// Clients over TLS: handshakes, filter chains by first bytes, identities, ends, floods, rotation. The client is OpenSSL.
#include "telemetry/access_log_format.h"
#include "telemetry/access_log_set.h"
#include "tests/proxy/tls_bench.h"

namespace sluice::proxy::test {
namespace {

using TlsDownstream = TlsProxyTest;

TEST_F(TlsDownstream, ARequestOverTls) {
    const auto web = issue("shop", {"DNS:shop.example"});
    only_tls(server_context(web));
    publish();
    auto c = secure_client({.trusted_pem = authority().pem(), .server_name = "shop.example", .alpn = "http/1.1"});
    ASSERT_TRUE(c.pump()) << c.error();
    EXPECT_EQ(c.peer_name(), "shop");
    ASSERT_TRUE(c.write(kGet));
    upstream(0).accept_connection();
    const std::string request = upstream(0).take();
    EXPECT_HAS(request, "GET / HTTP/1.1\r\n");
    EXPECT_HAS(request, "x-forwarded-proto: https\r\n");
    upstream(0).send(kOk);
    EXPECT_TRUE(c.read().ends_with("\r\n\r\nok"));
    c.write(kGet);   // and again on the same connection
    upstream(0).send(kOk);
    EXPECT_TRUE(c.read().ends_with("\r\n\r\nok"));
    EXPECT_EQ(listener_stats().tls.handshakes.get(), 1u);
    EXPECT_EQ(listener_stats().tls.no_certificate.get(), 1u);
    EXPECT_EQ(listener_stats().tls.versions[1].get(), 1u);
    EXPECT_EQ(core().arrivals.in_use(), 0u);
    expect_all_back();
}

TEST_F(TlsDownstream, BothVersionsAndASuiteThatOpensslKeeps) {
    const auto web = issue("shop");
    only_tls(server_context(web));
    publish();
    for (const char* suite : {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"}) {
        auto c = secure_client({.version = TLS1_2_VERSION, .suites = suite});
        ASSERT_TRUE(c.pump()) << suite << ": " << c.error();
        c.write(kGet);
        if (upstreams() == 1 && cluster_stats().connections.get() == 1 && !upstream(0).released) upstream(0).accept_connection();
        upstream(0).send(kOk);
        EXPECT_TRUE(c.read().ends_with("\r\n\r\nok")) << suite;
    }
    EXPECT_EQ(listener_stats().tls.versions[0].get(), 3u);
    expect_all_back();
}

TEST_F(TlsDownstream, AHelloInSingleBytes) {
    only_tls(server_context(issue("shop")));
    the_listener().inspect_tls = true;
    publish();
    auto c = secure_client();
    c.cut = 1;
    EXPECT_TRUE(c.pump()) << c.error();
    EXPECT_EQ(listener_stats().tls_found.get(), 1u);
    c.write(kGet);
    EXPECT_EQ(upstreams(), 1u);
    expect_all_back();
}

TEST_F(TlsDownstream, AHelloInASegmentForEachByte) {
    only_tls(server_context(issue("shop")));
    the_listener().inspect_tls = true;
    publish();
    auto c = secure_client();
    SSL_do_handshake(c.ssl());
    char hello[4096];
    const int n = BIO_read(SSL_get_wbio(c.ssl()), hello, sizeof hello);
    ASSERT_GT(n, 200);
    for (int i = 0; i < n; i++) {   // an event each
        c.transport().send({hello + i, 1});
        EXPECT_EQ(listener_stats().tls_found.get(), i + 1 == n ? 1u : 0u) << i;
    }
    EXPECT_TRUE(c.pump()) << c.error();
    EXPECT_EQ(listener_stats().bad_hellos.get(), 0u);
    c.write(kGet);
    EXPECT_EQ(upstreams(), 1u);
    expect_all_back();
}

TEST_F(TlsDownstream, OnePortTakesPlainTextAndTls) {
    config_.contexts["mtls"] = server_context(issue("shop"));
    chains({{"mtls", {.transport = route::TransportProtocol::kTls}}, {"plain", {.transport = route::TransportProtocol::kRaw}}});
    publish();
    auto& plain = client();
    plain.send(kGet);
    upstream(0).accept_connection();
    EXPECT_HAS(upstream(0).take(), "x-forwarded-proto: http\r\n");
    upstream(0).send(kOk);
    EXPECT_TRUE(plain.take().ends_with("ok"));
    auto c = secure_client();
    ASSERT_TRUE(c.pump()) << c.error();
    c.write(kGet);
    EXPECT_HAS(upstream(0).take(), "x-forwarded-proto: https\r\n");
    upstream(0).send(kOk);
    EXPECT_TRUE(c.read().ends_with("ok"));
    EXPECT_EQ(listener_stats().tls_found.get(), 1u);
    EXPECT_EQ(listener_stats().tls_not_found.get(), 1u);
    expect_all_back();
}

TEST_F(TlsDownstream, ThePlainRequestMayComeInPieces) {
    config_.contexts["mtls"] = server_context(issue("shop"));
    chains({{"mtls", {.transport = route::TransportProtocol::kTls}}, {"plain", {}}});
    publish();
    auto& plain = client();
    plain.send(kGet, 1);
    EXPECT_EQ(upstreams(), 1u);
    auto& both = client();
    both.send_and_close(kGet);   // request and FIN in one segment
    EXPECT_EQ(upstreams(), 2u);
    expect_all_back();
}

TEST_F(TlsDownstream, TheServerNamePicksTheChain) {
    config_.contexts["a"] = server_context(issue("cert-a"));
    config_.contexts["b"] = server_context(issue("cert-b"));
    chains({{"a", {.server_names = {"a.example"}}}, {"b", {.server_names = {"*.b.example"}}}});
    publish();
    auto a = secure_client({.server_name = "a.example"});
    EXPECT_TRUE(a.pump());
    EXPECT_EQ(a.peer_name(), "cert-a");
    auto b = secure_client({.server_name = "x.b.example"});
    EXPECT_TRUE(b.pump());
    EXPECT_EQ(b.peer_name(), "cert-b");
    auto none = secure_client({.server_name = "c.example"});
    EXPECT_FALSE(none.pump());
    EXPECT_TRUE(none.transport().aborted);
    EXPECT_EQ(listener_stats().no_filter_chain_match.get(), 1u);
    expect_all_back();
}

TEST_F(TlsDownstream, PlainHttpOnATlsPortIsClosedAndTold) {
    only_tls(server_context(issue("shop")));
    publish();
    auto& plain = client();
    plain.send(kGet);
    for (int i = 0; i < 3; i++) turn();
    EXPECT_EQ(upstreams(), 0u);
    const auto told = failures();
    ASSERT_EQ(told.size(), 1u);
    EXPECT_EQ(told[0].failure, tls::Failure::kPlainHttp) << told[0].reason;
    EXPECT_STREQ(told[0].owner, "0.0.0.0_80");
    EXPECT_EQ(told[0].remote.ip, *IpAddress::parse("192.0.2.5"));
    EXPECT_EQ(listener_stats().tls.connection_errors.get(), 1u);
    plain.close();
    EXPECT_TRUE(plain.released);
    expect_all_back();
}

TEST_F(TlsDownstream, WithoutASecretConnectionsAreClosed) {
    only_tls(nullptr);
    publish();
    auto c = secure_client();
    EXPECT_FALSE(c.pump());
    EXPECT_TRUE(c.transport().aborted && c.transport().released);
    EXPECT_EQ(listener_stats().no_secret.get(), 1u);
    EXPECT_STREQ(failures().at(0).reason, "its certificate is not there yet");
    expect_all_back();
}

TEST_F(TlsDownstream, FirstBytesAreAwaitedForALimitedTime) {
    config_.contexts["mtls"] = server_context(issue("shop"));
    chains({{"mtls", {.transport = route::TransportProtocol::kTls}}, {"plain", {}}});
    the_listener().inspect_timeout = seconds(2);
    publish();
    auto& silent = client();
    auto& half = client();
    half.send(std::string_view("\x16\x03\x01\x02\x00\x01", 6));
    turn();
    EXPECT_EQ(listener_stats().arriving.get(), 2u);
    advance(seconds(1));
    EXPECT_FALSE(silent.released || half.released);
    advance(seconds(2));
    EXPECT_TRUE(silent.aborted && half.aborted);
    EXPECT_EQ(listener_stats().inspect_timeouts.get(), 2u);
    EXPECT_EQ(listener_stats().arriving.get(), 0u);
    expect_all_back();
}

TEST_F(TlsDownstream, AfterTheTimeAClientMayGoOnInPlainText) {
    config_.contexts["mtls"] = server_context(issue("shop"));
    chains({{"mtls", {.transport = route::TransportProtocol::kTls}}, {"plain", {}}});
    the_listener().inspect_timeout = seconds(2);
    the_listener().continue_on_inspect_timeout = true;
    publish();
    auto& slow = client();
    turn();
    advance(seconds(3));
    EXPECT_FALSE(slow.released);
    slow.send(kGet);
    EXPECT_EQ(upstreams(), 1u);
    expect_all_back();
}

TEST_F(TlsDownstream, HandshakesHaveATimeLimit) {
    only_tls(server_context(issue("shop"))).connect_timeout = seconds(3);
    publish();
    auto& silent = client();
    turn();
    advance(seconds(4));
    EXPECT_TRUE(silent.aborted && silent.released);
    EXPECT_EQ(listener_stats().tls.failed[static_cast<size_t>(tls::Failure::kTimeout)].get(), 1u);
    expect_all_back();
}

TEST_F(TlsDownstream, AFloodOfHalfOpenHandshakesIsBounded) {
    only_tls(server_context(issue("shop")));
    core_config_.arrivals_max = 8;
    publish();
    std::vector<FakeTransport*> flood;
    uint32_t refused = 0;
    for (uint16_t i = 0; i < 50; i++) refused += network_->connect_client(80, address("203.0.113.9", static_cast<uint16_t>(1000 + i))) == nullptr;
    turn();
    EXPECT_EQ(refused, 42u);
    EXPECT_EQ(core().counters.accept_refused, 42u);
    EXPECT_EQ(core().arrivals.in_use(), 8u);
    for (auto& c : network_->clients)
        if (!c->released) c->reset();
    turn();
    auto c = secure_client();
    EXPECT_TRUE(c.pump()) << "there is room again";
    expect_all_back();
}

TEST_F(TlsDownstream, AClientsIdentityGoesOn) {
    const auto alice = issue("alice", {"URI:spiffe://cluster.local/ns/shop/sa/alice", "DNS:alice.example"});
    only_tls(server_context(issue("shop", {"URI:spiffe://cluster.local/ns/gw/sa/gateway"}), Client::kRequired, true));
    http().forward_client_cert = snapshot::HttpConnectionManager::ForwardClientCert::kSanitizeSet;
    http().client_cert_details = {.subject = true, .dns = true, .uri = true};
    publish();
    auto c = secure_client({.certificate = &alice});
    ASSERT_TRUE(c.pump()) << c.error();
    c.write("GET / HTTP/1.1\r\nhost: shop.example\r\nx-forwarded-client-cert: By=me;URI=spiffe://cluster.local/ns/prod/sa/admin\r\n\r\n");
    upstream(0).accept_connection();
    const std::string request = upstream(0).take();
    EXPECT_HAS(request, "By=spiffe://cluster.local/ns/gw/sa/gateway;Hash=");
    EXPECT_HAS(request, ";Subject=\"CN=alice,O=Sluice tests\";URI=spiffe://cluster.local/ns/shop/sa/alice;DNS=alice.example\r\n");
    EXPECT_NOT(request, "admin");
    // A second connection of the same client shares what is kept of it.
    auto second = secure_client({.certificate = &alice});
    EXPECT_TRUE(second.pump());
    EXPECT_EQ(core().identities.distinct(), 1u);
    expect_all_back();
}

TEST_F(TlsDownstream, TheLogTellsWhatTheConnectionIs) {
    const auto alice = issue("alice", {"URI:spiffe://cluster.local/ns/shop/sa/alice", "DNS:alice.example", "DNS:alice.test"});
    only_tls(server_context(issue("shop", {"URI:spiffe://cluster.local/ns/gw/sa/gateway", "DNS:shop.example"}), Client::kOptional));
    auto format = telemetry::AccessLogFormat::parse("%DOWNSTREAM_TLS_VERSION% %REQUESTED_SERVER_NAME% %DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_PEER_DNS_SAN% "
                                                    "%DOWNSTREAM_LOCAL_URI_SAN% %DOWNSTREAM_LOCAL_DNS_SAN% %FILTER_CHAIN_NAME% %UPSTREAM_TLS_VERSION%");
    ASSERT_TRUE(format);
    http().access_logs = *telemetry::AccessLogSet::make({{"/dev/null", std::move(*format)}});
    publish();
    auto c = secure_client({.certificate = &alice, .server_name = "shop.example"});
    ASSERT_TRUE(c.pump()) << c.error();
    c.write(kGet);
    upstream(0).accept_connection();
    upstream(0).send(kOk);
    EXPECT_EQ(log().captured, (std::vector<std::string>{"TLSv1.3", "shop.example", "spiffe://cluster.local/ns/shop/sa/alice", "alice.example,alice.test",
                                                        "spiffe://cluster.local/ns/gw/sa/gateway", "shop.example", "tls", ""}));
    auto nobody = secure_client();
    ASSERT_TRUE(nobody.pump()) << nobody.error();
    nobody.write(kGet);
    upstream(0).send(kOk);
    EXPECT_EQ(log().captured, (std::vector<std::string>{"TLSv1.3", "", "", "", "spiffe://cluster.local/ns/gw/sa/gateway", "shop.example", "tls", ""}));
    expect_all_back();
}

TEST_F(TlsDownstream, TheLogTellsAllThatACertificateSays) {
    const auto alice = issue("alice", {"URI:spiffe://cluster.local/ns/shop/sa/alice", "IP:192.0.2.77", "email:alice@shop.example", "otherName:badge 7", "otherNumber:7"});
    only_tls(server_context(issue("shop", {"DNS:shop.example", "IP:192.0.2.10", "email:ops@shop.example"}), Client::kRequired, true));
    auto format = telemetry::AccessLogFormat::parse(
        "%DOWNSTREAM_TLS_GROUP% %DOWNSTREAM_PEER_IP_SAN% %DOWNSTREAM_PEER_EMAIL_SAN% %DOWNSTREAM_PEER_OTHERNAME_SAN% %DOWNSTREAM_LOCAL_IP_SAN% %DOWNSTREAM_LOCAL_EMAIL_SAN% "
        "%DOWNSTREAM_LOCAL_OTHERNAME_SAN% %DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256% %DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1% %DOWNSTREAM_PEER_CHAIN_SERIALS% "
        "%DOWNSTREAM_PEER_ISSUER_SERIAL% %DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256% %DOWNSTREAM_PEER_FINGERPRINT_256% %DOWNSTREAM_PEER_FINGERPRINT_1% %DOWNSTREAM_PEER_SERIAL% "
        "%DOWNSTREAM_HANDSHAKE_DURATION% %DOWNSTREAM_TLS_SESSION_ID%");
    ASSERT_TRUE(format) << format.error().message;
    http().access_logs = *telemetry::AccessLogSet::make({{"/dev/null", std::move(*format)}});
    publish();
    auto c = secure_client({.certificate = &alice});
    ASSERT_TRUE(c.pump()) << c.error();
    c.write(kGet);
    upstream(0).accept_connection();
    upstream(0).send(kOk);
    const auto seen = log().captured;
    ASSERT_EQ(seen.size(), 17u);
    EXPECT_EQ(std::vector(seen.begin(), seen.begin() + 7), (std::vector<std::string>{"X25519", "192.0.2.77", "alice@shop.example", "badge 7", "192.0.2.10", "ops@shop.example", ""}));
    const auto list = [](std::string text) { return std::pair(text.substr(0, text.find(',')), text.find(',') == text.npos ? "" : text.substr(text.find(',') + 1)); };
    EXPECT_EQ(list(seen[7]).first, seen[12]);
    EXPECT_EQ(list(seen[8]).first, seen[13]);
    EXPECT_EQ(list(seen[9]).first, seen[14]);
    EXPECT_EQ(list(seen[9]).second, seen[10]) << "its issuer's, where it was sent";
    EXPECT_EQ(list(seen[7]).second, seen[11]);
    EXPECT_FALSE(seen[15].empty());
    expect_all_back();
}

TEST_F(TlsDownstream, AClientWithoutACertificateReadsWhy) {
    only_tls(server_context(issue("shop"), Client::kRequired));
    publish();
    auto c = secure_client();
    c.pump();
    c.write(kGet);
    EXPECT_HAS(c.error(), "certificate required");
    EXPECT_EQ(upstreams(), 0u);
    EXPECT_EQ(listener_stats().tls.fail_verify_no_cert.get(), 1u);
    const auto told = failures();
    ASSERT_EQ(told.size(), 1u);
    EXPECT_EQ(told[0].failure, tls::Failure::kNoCertificate) << told[0].reason;
    c.transport().close();
    expect_all_back();
}

TEST_F(TlsDownstream, ACutRequestIsNotAnswered) {
    only_tls(server_context(issue("shop")));
    publish();
    auto c = secure_client();
    c.pump();
    c.write("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
    upstream(0).accept_connection();
    c.transport().close();   // FIN without close_notify
    EXPECT_TRUE(upstream(0).aborted);
    EXPECT_TRUE(c.transport().released);
    EXPECT_EQ(listener_stats().tls.truncated.get(), 1u);
    EXPECT_EQ(log().details, "downstream_remote_disconnect");
    expect_all_back();
}

TEST_F(TlsDownstream, AClientThatAnswersOurCloseNotifyWithFinAloneIsNoError) {
    only_tls(server_context(issue("shop")));
    publish();
    auto c = secure_client();
    c.pump();
    c.write("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    upstream(0).accept_connection();
    upstream(0).send(kOk);
    EXPECT_TRUE(c.read().ends_with("ok"));
    EXPECT_TRUE(c.got_close_notify() && c.transport().shut);
    c.transport().close();
    EXPECT_TRUE(c.transport().released && !c.transport().aborted);
    EXPECT_EQ(listener_stats().tls.truncated.get(), 0u);
    EXPECT_EQ(listener_stats().tls.connection_errors.get(), 0u);
    expect_all_back();
}

TEST_F(TlsDownstream, AWholeRequestBeforeCloseNotifyIsAnswered) {
    only_tls(server_context(issue("shop")));
    publish();
    auto c = secure_client();
    c.pump();
    c.write(kGet);
    c.close_notify();
    upstream(0).accept_connection();
    upstream(0).send(kOk);
    std::string got;
    for (int i = 0; i < 3; i++) got += c.read();
    EXPECT_TRUE(c.got_close_notify());
    expect_all_back();
}

/// Clients that do not like a certificate say so and are gone, often with a reset: the alert still tells why.
TEST_F(TlsDownstream, AnAlertWithAResetBehindItIsTold) {
    only_tls(server_context(issue("shop")));
    publish();
    TlsEnd::Options strict;
    static const sluice::test::CertificateAuthority other("another root");
    strict.trusted_pem = other.pem();
    auto c = secure_client(strict);
    // Its hello goes, and what it says of our certificate is held.
    SSL_do_handshake(c.ssl());
    char hello[4096];
    const int n = BIO_read(SSL_get_wbio(c.ssl()), hello, sizeof hello);
    ASSERT_GT(n, 0);
    c.transport().send({hello, static_cast<size_t>(n)});
    turn();
    c.hold = true;
    c.pump();
    ASSERT_FALSE(c.done());
    c.reset_behind();
    for (int i = 0; i < 3; i++) turn();
    const auto told = failures();
    ASSERT_EQ(told.size(), 1u);
    EXPECT_EQ(told[0].failure, tls::Failure::kPeerAlert);
    EXPECT_EQ(told[0].alert, tls::Alert::kUnknownCa);
    EXPECT_TRUE(c.transport().released);
    expect_all_back();
}

TEST_F(TlsDownstream, GarbageAfterTheHandshakeEndsItWithAnAlert) {
    only_tls(server_context(issue("shop")));
    publish();
    auto c = secure_client();
    c.pump();
    c.transport().send(std::string_view("\x17\x03\x03\x00\x20", 5));
    c.transport().send(std::string(32, 'x'));
    turn();
    c.pump();
    EXPECT_HAS(c.error(), "bad record mac");
    EXPECT_TRUE(c.transport().released);
    EXPECT_EQ(listener_stats().tls.connection_errors.get(), 1u);
    expect_all_back();
}

TEST_F(TlsDownstream, ANewCertificateIsForNewHandshakesAndDropsNothing) {
    only_tls(server_context(issue("first")));
    publish();
    auto old = secure_client();
    ASSERT_TRUE(old.pump());
    auto between = secure_client();
    between.transport().send("");
    config_.contexts["tls"] = server_context(issue("second"));
    publish();
    auto fresh = secure_client();
    ASSERT_TRUE(fresh.pump());
    EXPECT_EQ(old.peer_name(), "first");
    EXPECT_EQ(fresh.peer_name(), "second");
    EXPECT_TRUE(between.pump());
    EXPECT_FALSE(old.transport().released);
    old.write(kGet);
    upstream(0).accept_connection();
    upstream(0).send(kOk);
    EXPECT_TRUE(old.read().ends_with("ok"));
    expect_all_back();
}

TEST_F(TlsDownstream, ADrainLetsHandshakesEndAndCutsThemAtItsDeadline) {
    only_tls(server_context(issue("shop")));
    http().drain_timeout = seconds(5);
    publish();
    auto& silent = client();
    auto c = secure_client();
    turn();
    drain_ = true;
    turn();
    EXPECT_TRUE(c.pump()) << c.error();
    EXPECT_FALSE(engine_->idle());
    c.write(kGet);
    upstream(0).accept_connection();
    upstream(0).send(kOk);
    EXPECT_HAS(c.read(), "connection: close");
    EXPECT_TRUE(c.got_close_notify());
    advance(seconds(6));
    EXPECT_TRUE(silent.aborted && silent.released);
    EXPECT_TRUE(engine_->idle());
    drain_ = false;
    expect_all_back();
}

TEST_F(TlsDownstream, TlsIsDemandedBeforeRoutes) {
    config_.hosts.back().virtual_host.require_tls = route::VirtualHost::RequireTls::kAll;
    config_.contexts["mtls"] = server_context(issue("shop"));
    chains({{"mtls", {.transport = route::TransportProtocol::kTls}}, {"plain", {}}});
    publish();
    auto& plain = client();
    plain.send("GET /a?b=c HTTP/1.1\r\nhost: shop.example:8080\r\nx-forwarded-proto: https\r\n\r\n");
    const std::string answer = plain.take();
    EXPECT_HAS(answer, "HTTP/1.1 301 ");
    EXPECT_HAS(answer, "location: https://shop.example:8080/a?b=c\r\n");
    EXPECT_EQ(upstreams(), 0u);
    auto c = secure_client();
    c.pump();
    c.write(kGet);
    EXPECT_EQ(upstreams(), 1u);
    expect_all_back();
}

TEST_F(TlsDownstream, AnUnreadAnswerHoldsNoMoreThanItsLimit) {
    only_tls(server_context(issue("shop")));
    publish();
    auto c = secure_client();
    c.pump();
    c.write(kGet);
    auto& u = upstream(0);
    u.accept_connection();
    constexpr uint64_t kBody = 4 << 20, kPiece = 1400;
    u.send("HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(kBody) + "\r\n\r\n");
    uint64_t sent = 0;
    const auto feed = [&] {
        while (sent < kBody && u.unconsumed() + kPiece <= core_config_.tcp.receive_buffer_bytes) {
            const uint64_t n = std::min(kPiece, kBody - sent);
            u.send(std::string(n, 'a'));
            sent += n;
            ASSERT_LE(c.transport().unread(), c.transport().send_capacity * 5 / 4 + 20'000);
        }
    };
    feed();
    EXPECT_LT(sent, kBody) << "nobody reads, so it must have stopped";
    uint64_t got = 0;
    while (got < kBody) {
        const std::string more = c.read();
        ASSERT_FALSE(more.empty());
        got += got == 0 ? more.size() - more.find("\r\n\r\n") - 4 : more.size();
        feed();
    }
    EXPECT_EQ(got, kBody);
    expect_all_back();
}

TEST_F(TlsDownstream, ASlowServerClosesTheClientsWindow) {
    only_tls(server_context(issue("shop")));
    publish();
    auto c = secure_client();
    c.pump();
    constexpr uint64_t kBody = 2 << 20;
    c.write("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: " + std::to_string(kBody) + "\r\n\r\n");
    auto& u = upstream(0);
    u.send_capacity = 16 * 1024;
    u.accept_connection();
    uint64_t sent = 0;
    while (sent < kBody && c.transport().unconsumed() + 17'000 <= core_config_.tcp.receive_buffer_bytes) {
        c.write(std::string(16'000, 'b'));
        sent += 16'000;
    }
    EXPECT_LT(sent, kBody) << "what nobody takes holds the client's window";
    std::string got = u.take();
    const uint64_t before = c.transport().unconsumed();
    for (int i = 0; i < 100 && u.unread() > 0; i++) got += u.take();
    EXPECT_LT(c.transport().unconsumed(), before);
    EXPECT_EQ(got.size() - got.find("\r\n\r\n") - 4, sent);
    expect_all_back();
}

TEST_F(TlsDownstream, AnIdleConnectionTakesLessThanAKilobyte) {
    EXPECT_LE(sizeof(TlsTransport), 768u);
    RecordProperty("bytes", static_cast<int>(sizeof(TlsTransport)));
}

}  // namespace
}  // namespace sluice::proxy::test
