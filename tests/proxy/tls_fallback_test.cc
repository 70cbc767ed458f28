// Suites that our record layer does not do: OpenSSL keeps the records, on either side of the proxy. The same requests, bodies, key
// updates, ends and bounds as with ours; each such connection is counted and holds one OpenSSL object until it is gone.
#include "tests/proxy/tls_bench.h"

namespace sluice::proxy::test {
namespace {

class TlsFallback : public TlsProxyTest, public ::testing::WithParamInterface<int> {
 protected:
    TlsFallback() { suites_ = {suite()}; }
    bool is13() const { return GetParam() == TLS1_3_VERSION; }
    std::string suite() const { return is13() ? "TLS_AES_128_CCM_SHA256" : "ECDHE-ECDSA-AES128-SHA256"; }
    TlsEnd::Options options() const { return {.version = GetParam(), .suites = suite()}; }
    TlsEnd connected() {
        auto c = secure_client(options());
        EXPECT_TRUE(c.pump()) << c.error();
        EXPECT_EQ(std::string(SSL_get_cipher_name(c.ssl())), suite());
        return c;
    }
    /// Both sides of the proxy, one request under way.
    void both_sides() {
        only_tls(server_context(web_));
        secure("web", client_context());
        publish();
    }
    const sluice::test::Issued web_ = issue("web", {"DNS:web.example"});
};

TEST_P(TlsFallback, RequestsAndBodiesBothWays) {
    both_sides();
    auto c = connected();
    constexpr size_t kBody = 300'000;
    std::string body(kBody, 0);
    for (size_t i = 0; i < kBody; i++) body[i] = static_cast<char>('a' + i % 23);
    c.write("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: " + std::to_string(kBody) + "\r\n\r\n");
    auto s = secure_server(0, web_, options());
    ASSERT_TRUE(s.pump()) << s.error();
    std::string got;
    for (size_t at = 0; at < kBody; at += 10'000) c.write(body.substr(at, 10'000)), got += s.read();
    for (int i = 0; i < 5; i++) c.pump(), got += s.read();
    EXPECT_EQ(got.substr(got.find("\r\n\r\n") + 4), body);
    EXPECT_EQ(core().handshaker.live(), 2u) << "one on each side";
    s.write("HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(kBody) + "\r\n\r\n");
    got = c.read();
    for (size_t at = 0; at < kBody; at += 10'000) s.write(body.substr(at, 10'000)), got += c.read();
    for (int i = 0; i < 5; i++) s.pump(), got += c.read();
    EXPECT_EQ(got.substr(got.find("\r\n\r\n") + 4), body);
    c.write(kGet);   // and again on the same connections
    EXPECT_HAS(s.read(), "GET / HTTP/1.1\r\n");
    s.write(kOk);
    EXPECT_TRUE(c.read().ends_with("ok"));
    EXPECT_EQ(upstreams(), 1u);
    EXPECT_EQ(listener_stats().tls.fallbacks.get(), 1u);
    EXPECT_EQ(cluster_stats().tls.fallbacks.get(), 1u);
    EXPECT_EQ(core().record_engine.counters().records_in, 0u);
    expect_all_back();
}

TEST_P(TlsFallback, RecordsInAnyCut) {
    only_tls(server_context(web_));
    publish();
    for (const size_t cut : {1, 7, 100, 1400}) {
        auto c = connected();
        c.cut = cut;
        c.write("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 3000\r\n\r\n" + std::string(3000, 'x'));
        if (upstreams() == 1 && cluster_stats().connections.get() == 1 && cut == 1) upstream(0).accept_connection();
        EXPECT_TRUE(upstream(0).take().ends_with(std::string(3000, 'x'))) << cut;
        upstream(0).send(kOk);
        EXPECT_TRUE(c.read().ends_with("ok"));
        EXPECT_EQ(c.transport().unconsumed(), 0u);
    }
    expect_all_back();
}

class TlsFallback13 : public TlsFallback {};   // what 1.2 has not

TEST_P(TlsFallback13, KeyUpdatesOfBothEnds) {
    both_sides();
    auto c = connected();
    c.write(kGet);
    auto s = secure_server(0, web_, options());
    ASSERT_TRUE(s.pump());
    for (int i = 0; i < 5; i++) {
        if (i > 0) c.write(kGet);
        EXPECT_HAS(s.read(), "GET / HTTP/1.1\r\n");
        ASSERT_EQ(SSL_key_update(s.ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
        s.write(kOk);
        EXPECT_TRUE(c.read().ends_with("ok")) << i;
        ASSERT_EQ(SSL_key_update(c.ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
    }
    expect_all_back();
}

TEST_P(TlsFallback, CloseNotifyEndsAnAnswerAndItsLackCutsIt) {
    both_sides();
    for (const bool noticed : {true, false}) {
        auto c = connected();
        c.write(kGet);
        auto s = secure_server(noticed ? 0 : 1, web_, options());
        ASSERT_TRUE(s.pump());
        s.write("HTTP/1.1 200 OK\r\n\r\nall of it?");
        noticed ? s.close_notify() : s.transport().close();
        std::string got;
        for (int i = 0; i < 3; i++) got += c.read();
        EXPECT_HAS(got, "all of it?");
        EXPECT_EQ(got.ends_with("\r\n0\r\n\r\n"), noticed) << got;
        EXPECT_EQ(c.transport().released, !noticed);
    }
    EXPECT_EQ(cluster_stats().tls.truncated.get(), 1u);
    expect_all_back();
}

TEST_P(TlsFallback, OurCloseNotifyIsSent) {
    only_tls(server_context(web_));
    publish();
    auto c = connected();
    c.write("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    upstream(0).accept_connection();
    upstream(0).send(kOk);
    EXPECT_TRUE(c.read().ends_with("ok"));
    EXPECT_TRUE(c.got_close_notify() && c.transport().shut);
    c.transport().close();
    EXPECT_TRUE(c.transport().released && !c.transport().aborted);
    EXPECT_EQ(listener_stats().tls.truncated.get(), 0u);
    expect_all_back();
}

TEST_P(TlsFallback, ABadRecordEndsItWithAnAlert) {
    only_tls(server_context(web_));
    publish();
    auto c = connected();
    c.transport().send(std::string("\x17\x03\x03\x00\x50", 5) + std::string(80, 'x'));
    for (int i = 0; i < 2; i++) c.pump();
    EXPECT_HAS(c.error(), "bad record mac");
    EXPECT_TRUE(c.transport().released);
    EXPECT_EQ(listener_stats().tls.connection_errors.get(), 1u);
    // And what no record may be long.
    auto other = connected();
    other.transport().send(std::string("\x17\x03\x03\xff\xff", 5) + std::string(100, 'x'));
    for (int i = 0; i < 2; i++) other.pump();
    EXPECT_TRUE(other.transport().released);
    EXPECT_EQ(listener_stats().tls.connection_errors.get(), 2u);
    expect_all_back();
}

/// Records come in segments: what OpenSSL was given of a record that is not there yet is not the reader's to have consumed.
TEST_P(TlsFallback, ASlowServerClosesTheClientsWindow) {
    only_tls(server_context(web_));
    publish();
    auto c = connected();
    constexpr uint64_t kBody = 2 << 20;
    c.write("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: " + std::to_string(kBody) + "\r\n\r\n");
    auto& u = upstream(0);
    u.send_capacity = 16 * 1024;
    u.accept_connection();
    c.cut = 1400;
    uint64_t sent = 0;
    while (sent < kBody && c.transport().unconsumed() + 17'000 <= core_config_.tcp.receive_buffer_bytes) {
        c.write(std::string(16'000, 'b'));
        sent += 16'000;
    }
    EXPECT_LT(sent, kBody) << "what nobody takes holds the client's window";
    std::string got = u.take();
    for (int i = 0; i < 100 && u.unread() > 0; i++) got += u.take();
    EXPECT_EQ(got.size() - got.find("\r\n\r\n") - 4, sent);
    EXPECT_EQ(c.transport().unconsumed(), 0u);
    expect_all_back();
}

TEST_P(TlsFallback, AnUnreadAnswerHoldsNoMoreThanItsLimit) {
    both_sides();
    auto c = connected();
    c.write(kGet);
    auto s = secure_server(0, web_, options());
    ASSERT_TRUE(s.pump());
    constexpr uint64_t kBody = 2 << 20;
    s.cut = 1400;
    s.write("HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(kBody) + "\r\n\r\n");
    uint64_t sent = 0, got = 0;
    const auto feed = [&] {
        while (sent < kBody && s.transport().unconsumed() + 17'000 <= core_config_.tcp.receive_buffer_bytes) {
            const uint64_t n = std::min<uint64_t>(16'000, kBody - sent);
            s.write(std::string(n, 'a'));
            sent += n;
            ASSERT_LE(c.transport().unread(), c.transport().send_capacity * 5 / 4 + 20'000);
        }
    };
    feed();
    EXPECT_LT(sent, kBody) << "nobody reads, so it must have stopped";
    while (got < kBody) {
        const std::string more = c.read();
        ASSERT_FALSE(more.empty());
        got += got == 0 ? more.size() - more.find("\r\n\r\n") - 4 : more.size();
        feed();
    }
    EXPECT_EQ(got, kBody);
    expect_all_back();
}

INSTANTIATE_TEST_SUITE_P(BothVersions, TlsFallback, ::testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                         [](const auto& parameter) { return std::string(parameter.param == TLS1_3_VERSION ? "Tls13" : "Tls12"); });
INSTANTIATE_TEST_SUITE_P(Tls13, TlsFallback13, ::testing::Values(TLS1_3_VERSION));

}  // namespace
}  // namespace sluice::proxy::test
