// Peers that mean harm or break, through the whole proxy: clients and servers whose handshake is OpenSSL's and whose records are not.
// What they cost is bounded, what they send is never taken for more than it is, and the other side learns of it. RFC 8446 4.6.3, 5, 6.
#include "tests/proxy/tls_bench.h"

namespace sluice::proxy::test {
namespace {

using tls::test::Bytes;
using tls::test::kAlertType;
using tls::test::kDataType;
using tls::test::kHandshakeType;
using tls::test::ReferenceRecords;

const Bytes kKeyUpdate = {24, 0, 0, 1, 0}, kKeyUpdateAsked = {24, 0, 0, 1, 1};
Bytes bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

/// A record of the peer's; key updates change what seals the next one.
Bytes seal(ReferenceRecords& forger, uint8_t type, const Bytes& content) {
    Bytes record = forger.seal(type, content);
    if (type == kHandshakeType && content.size() == 5 && content[0] == 24) ReferenceRecords::update(forger.keys().transmit, forger.keys());
    return record;
}

/// What a peer may try with records that are protected well. `alert`: OpenSSL's words for what it is told.
struct Attack {
    const char* name;
    std::vector<std::pair<uint8_t, Bytes>> records;
    const char* alert;
};

std::vector<std::pair<uint8_t, Bytes>> many(size_t n, uint8_t type, const Bytes& content) { return {n, {type, content}}; }

std::vector<Attack> attacks() {
    std::vector<Attack> all = {
        {"EmptyRecords", many(40, kDataType, {}), "unexpected message"},
        {"KeyUpdates", many(40, kHandshakeType, kKeyUpdate), "unexpected message"},
        {"KeyUpdatesThatAsk", many(40, kHandshakeType, kKeyUpdateAsked), "unexpected message"},
        {"Warnings", many(10, kAlertType, {1, 90}), "unexpected message"},
        {"AnEmptyHandshakeRecord", many(1, kHandshakeType, {}), "unexpected message"},
        {"AnEmptyAlert", many(1, kAlertType, {}), "unexpected message"},
        {"TwoAlertsInOne", many(1, kAlertType, {1, 0, 1, 0}), "decode error"},
        {"AHelloAgain", many(1, kHandshakeType, {1, 0, 0, 2, 3, 3}), "unexpected message"},
        {"ALongKeyUpdate", many(1, kHandshakeType, {24, 0, 0, 2, 0, 0}), "decode error"},
        {"AKeyUpdateOfNoKind", many(1, kHandshakeType, {24, 0, 0, 1, 7}), "illegal parameter"},
        {"AnUnknownType", many(1, 99, {1, 2, 3}), "unexpected message"},
    };
    all.push_back({"DataWithinAHandshakeMessage", {{kHandshakeType, {24, 0}}, {kDataType, {'x'}}}, "unexpected message"});
    return all;
}

class TlsHostile : public TlsProxyTest, public ::testing::WithParamInterface<Attack> {
 protected:
    TlsEnd connected(int version = TLS1_3_VERSION) {
        auto c = secure_client({.version = version});
        EXPECT_TRUE(c.pump()) << c.error();
        return c;
    }
    const sluice::test::Issued web_ = issue("web", {"DNS:web.example"});
};

TEST_P(TlsHostile, AClient) {
    only_tls(server_context(web_));
    publish();
    auto c = connected();
    auto forger = c.forger();
    c.send_raw(seal(forger, kDataType, bytes_of("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhello")));
    upstream(0).accept_connection();
    for (const auto& [type, content] : GetParam().records)
        if (!c.transport().released) c.send_raw(seal(forger, type, content));
    c.pump();
    EXPECT_HAS(c.error(), GetParam().alert);
    EXPECT_TRUE(c.transport().released);
    EXPECT_TRUE(upstream(0).aborted) << "a request cut short is no request";
    EXPECT_EQ(listener_stats().tls.connection_errors.get(), 1u);
    expect_all_back();
}

/// A client of the gateway sees that its answer was cut.
TEST_P(TlsHostile, AServer) {
    secure("web", client_context());
    publish();
    auto& c = client();
    c.send(kGet);
    auto s = secure_server(0, web_, {.tickets = 0});
    ASSERT_TRUE(s.pump()) << s.error();
    auto forger = s.forger();
    s.send_raw(seal(forger, kDataType, bytes_of("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello")));
    for (const auto& [type, content] : GetParam().records)
        if (!s.transport().released) s.send_raw(seal(forger, type, content));
    s.pump();
    EXPECT_HAS(s.error(), GetParam().alert);
    const std::string got = c.take();
    EXPECT_TRUE(got.ends_with("\r\n\r\nhello")) << got;
    EXPECT_TRUE(c.released) << "cut";
    EXPECT_TRUE(s.transport().released);
    EXPECT_EQ(log().flags & telemetry::kUpstreamTermination, telemetry::kUpstreamTermination);
    EXPECT_EQ(cluster_stats().tls.connection_errors.get(), 1u);
    expect_all_back();
}

INSTANTIATE_TEST_SUITE_P(Records, TlsHostile, ::testing::ValuesIn(attacks()), [](const auto& parameter) { return std::string(parameter.param.name); });

using TlsHostilePeer = TlsHostile;

/// Data in between lifts the limit on records without data; the answers in flight are bounded all the same.
TEST_F(TlsHostilePeer, WhoAsksForNewKeysAndReadsNothingCostsNothing) {
    only_tls(server_context(web_));
    publish();
    auto c = connected();
    auto forger = c.forger();
    c.send_raw(seal(forger, kDataType, bytes_of("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")));
    upstream(0).accept_connection();
    c.deaf = true;
    for (int i = 0; i < 2000; i++) {
        c.send_raw(seal(forger, kHandshakeType, kKeyUpdateAsked));
        c.send_raw(seal(forger, kDataType, bytes_of("1\r\nx\r\n")));
        upstream(0).take();
    }
    EXPECT_FALSE(c.transport().released);
    EXPECT_LE(c.transport().unread(), 2048u);
    EXPECT_EQ(core().record_engine.counters().key_updates_in, 2000u);
    // Once it reads, it gets its answer under keys that it has asked for.
    c.deaf = false;
    c.send_raw(seal(forger, kDataType, bytes_of("0\r\n\r\n")));
    upstream(0).send(kOk);
    EXPECT_TRUE(c.read().ends_with("ok")) << c.error();
    expect_all_back();
}

/// Single bytes as records, for a server that takes nothing: neither an mbuf nor a list node is pinned for each.
TEST_F(TlsHostilePeer, TinyRecordsAreGathered) {
    only_tls(server_context(web_));
    publish();
    auto c = connected();
    auto forger = c.forger();
    c.send_raw(seal(forger, kDataType, bytes_of("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 90000\r\n\r\n")));
    upstream(0).send_capacity = 100;
    upstream(0).accept_connection();
    const unsigned mbufs = rte_mempool_avail_count(sluice::test::test_mempool());
    const uint32_t nodes = nodes_.in_use();
    constexpr int kTiny = 60'000, kTogether = 50;
    for (int i = 0; i < kTiny; i += kTogether) {
        Bytes records;
        for (int n = 0; n < kTogether; n++) {
            const Bytes one = seal(forger, kDataType, {static_cast<uint8_t>('a' + (i + n) % 23)});
            if (i % 2 == 0) c.send_raw(one);   // each an mbuf of its own, or many in one
            else records.insert(records.end(), one.begin(), one.end());
        }
        if (!records.empty()) c.send_raw(records);
    }
    EXPECT_LE(mbufs - rte_mempool_avail_count(sluice::test::test_mempool()), 250u);
    EXPECT_LE(nodes_.in_use() - nodes, 250u);
    std::string got;
    for (std::string more = "first"; !more.empty(); got += more) more = upstream(0).take();
    got = got.substr(got.find("\r\n\r\n") + 4);
    ASSERT_EQ(got.size(), static_cast<size_t>(kTiny));
    for (int i = 0; i < kTiny; i++) ASSERT_EQ(got[static_cast<size_t>(i)], static_cast<char>('a' + i % 23)) << i;
    expect_all_back();
}

/// The core's list nodes run out just when a request arrives: it is read when there are some again, not when the client gives up.
TEST_F(TlsHostilePeer, ARequestThatCameWithoutAListNodeIsReadLater) {
    only_tls(server_context(web_));
    publish();
    auto c = connected();
    std::vector<SliceNode*> taken;
    while (nodes_.available() > 1) taken.push_back(nodes_.take());
    const int n = SSL_write(c.ssl(), kGet.data(), static_cast<int>(kGet.size()));
    ASSERT_EQ(n, static_cast<int>(kGet.size()));
    char record[1000];
    const int bytes = BIO_read(SSL_get_wbio(c.ssl()), record, sizeof record);
    c.transport().send({record, static_cast<size_t>(bytes)});
    turn();
    EXPECT_EQ(upstreams(), 0u);
    EXPECT_TRUE(core().unsettled()) << "the core comes back to it";
    for (SliceNode* node : taken) nodes_.give(node);
    turn();
    EXPECT_EQ(upstreams(), 1u);
    expect_all_back();
}

/// The first request behind the client's Finished, in one segment, with or without much more behind it, and its end.
TEST_F(TlsHostilePeer, ARequestWithTheFinishedIsServed) {
    only_tls(server_context(web_));
    core_config_.handshakes.bytes_max = 20'000;
    publish();
    for (const size_t body : {size_t{0}, size_t{1}, size_t{10'000}, size_t{100'000}})
        for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION})
            for (const bool end : {false, true}) {
                SCOPED_TRACE(std::to_string(body) + (version == TLS1_3_VERSION ? " 1.3" : " 1.2") + (end ? " end" : ""));
                const size_t before = upstreams();
                auto c = secure_client({.version = version});
                // Up to its last flight, which is kept back and joined by what follows.
                for (int i = 0; i < 4 && !c.done(); i++) {
                    SSL_do_handshake(c.ssl());
                    if (version == TLS1_3_VERSION ? c.done() : i == 1) break;
                    char out[8192];
                    const int n = BIO_read(SSL_get_wbio(c.ssl()), out, sizeof out);
                    if (n > 0) c.transport().send({out, static_cast<size_t>(n)});
                    for (int t = 0; t < 2; t++) turn();
                    const std::string in = c.transport().take();
                    BIO_write(SSL_get_rbio(c.ssl()), in.data(), static_cast<int>(in.size()));
                }
                if (version == TLS1_2_VERSION) { ASSERT_TRUE(c.pump()) << c.error(); }   // 1.2: the server's Finished comes last
                c.hold = true;
                c.write("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: " + std::to_string(body) + "\r\n\r\n" + std::string(body, 'b'));
                if (end) c.close_notify();
                c.send_held();
                c.hold = false;
                for (int t = 0; t < 3; t++) turn();
                ASSERT_EQ(upstreams(), before + (before == upstreams() ? 0 : 1));
                auto& u = upstream(upstreams() - 1);
                if (u.unread() == 0) u.accept_connection();
                std::string got;
                for (int t = 0; t < 10; t++) got += u.take();
                EXPECT_TRUE(got.ends_with("\r\n\r\n" + std::string(body, 'b')));
                u.send(kOk);
                std::string answer;
                for (int t = 0; t < 3; t++) answer += c.read();
                EXPECT_TRUE(answer.ends_with("ok")) << answer << c.error();
                if (!c.transport().released) c.transport().reset();
            }
    expect_all_back();
}

/// A handshake that is done, and an upload that came while its last job was out: more than a handshake may have.
TEST_F(TlsHostilePeer, AnUploadThatOvertakesTheHandshakeWaitsForIt) {
    only_tls(server_context(web_));
    core_config_.handshakes.bytes_max = 4000;
    publish();
    auto c = secure_client();
    SSL_do_handshake(c.ssl());
    char out[8192];
    int n = BIO_read(SSL_get_wbio(c.ssl()), out, sizeof out);
    c.transport().send({out, static_cast<size_t>(n)});
    for (int t = 0; t < 2; t++) turn();
    const std::string in = c.transport().take();
    BIO_write(SSL_get_rbio(c.ssl()), in.data(), static_cast<int>(in.size()));
    ASSERT_EQ(SSL_do_handshake(c.ssl()), 1);
    n = BIO_read(SSL_get_wbio(c.ssl()), out, sizeof out);
    c.transport().send({out, static_cast<size_t>(n)});   // Finished: its job is out until the next turn
    const std::string body(60'000, 'u'), request = "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 60000\r\n\r\n" + body;
    c.hold = true;
    SSL_write(c.ssl(), request.data(), static_cast<int>(request.size()));
    std::string records;
    while ((n = BIO_read(SSL_get_wbio(c.ssl()), out, sizeof out)) > 0) records.append(out, static_cast<size_t>(n));
    c.transport().send(records, 1400);
    EXPECT_GT(c.transport().received_queue_bytes(), 50'000u) << "what is beyond the limit stays where its window is";
    for (int t = 0; t < 3; t++) turn();
    upstream(0).accept_connection();
    std::string got;
    for (int t = 0; t < 10; t++) got += upstream(0).take();
    EXPECT_TRUE(got.ends_with(body));
    upstream(0).send(kOk);
    c.hold = false;
    EXPECT_TRUE(c.read().ends_with("ok"));
    EXPECT_EQ(c.transport().unconsumed(), 0u);
    expect_all_back();
}

TEST_F(TlsHostilePeer, AHelloInRecordsOfOneByte) {
    only_tls(server_context(web_));
    publish();
    for (const bool inspected : {false, true}) {
        the_listener().inspect_tls = inspected;
        the_listener().content_hash = inspected ? 2 : 1;
        publish();
        auto c = secure_client();
        SSL_do_handshake(c.ssl());
        char out[8192];
        const int n = BIO_read(SSL_get_wbio(c.ssl()), out, sizeof out);
        std::string crumbs;
        for (int i = 5; i < n; i++) crumbs += std::string("\x16\x03\x01\x00\x01", 5) + out[i];
        c.transport().send(crumbs, 6);
        for (int t = 0; t < 3; t++) turn();
        if (inspected) {
            EXPECT_TRUE(c.transport().aborted) << "64 records are enough for any hello";
            EXPECT_EQ(listener_stats().bad_hellos.get(), 1u);
        } else {
            EXPECT_TRUE(c.pump()) << "RFC 8446 5.1 allows it: " << c.error();
            c.write(kGet);
            EXPECT_EQ(upstreams(), 1u);
        }
    }
    expect_all_back();
}

TEST_F(TlsHostilePeer, RenegotiationIsRefusedOnEitherSide) {
    only_tls(server_context(web_));
    secure("web", client_context());
    publish();
    auto c = connected(TLS1_2_VERSION);
    c.write(kGet);
    auto s = secure_server(0, web_, {.version = TLS1_2_VERSION});
    ASSERT_TRUE(s.pump()) << s.error();
    EXPECT_HAS(s.read(), "GET / HTTP/1.1\r\n");
    ASSERT_EQ(SSL_renegotiate(s.ssl()), 1);   // a HelloRequest
    SSL_do_handshake(s.ssl());
    s.pump();
    EXPECT_TRUE(s.transport().released);
    EXPECT_HAS(c.read(), "HTTP/1.1 503 ");
    auto other = connected(TLS1_2_VERSION);
    ASSERT_EQ(SSL_renegotiate(other.ssl()), 1);
    SSL_do_handshake(other.ssl());
    other.pump();
    EXPECT_TRUE(other.transport().released);
    EXPECT_EQ(listener_stats().tls.connection_errors.get(), 1u);
    EXPECT_EQ(cluster_stats().tls.connection_errors.get(), 1u);
    expect_all_back();
}

// --- Servers ---

class HostileServer : public TlsHostile {
 protected:
    FakeTransport& ask() {
        secure("web", client_context());
        publish();
        auto& c = client();
        c.send(kGet);
        return c;
    }
    void expect_cut(FakeTransport& c, std::string_view body) {
        const std::string got = c.take();
        EXPECT_TRUE(got.ends_with(body)) << got;
        EXPECT_TRUE(c.released);
        EXPECT_EQ(log().flags & telemetry::kUpstreamTermination, telemetry::kUpstreamTermination);
    }
    static constexpr std::string_view kPart = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart";
};

TEST_F(HostileServer, WhatIsNoHandshake) {
    auto& c = ask();
    const std::string_view answers[] = {"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n",
                                        std::string_view("\x15\x03\x03\x00\x02\x02\x28", 7), std::string_view("\x17\x03\x03\x00\x05hello", 10)};
    for (size_t i = 0; i < std::size(answers); i++) {
        auto& asking = i == 0 ? c : client();
        if (i > 0) asking.send(kGet);
        upstream(i).accept_connection();
        for (int t = 0; t < 2; t++) turn();
        upstream(i).send(answers[i]);
        for (int t = 0; t < 2; t++) turn();
        EXPECT_HAS(asking.take(), "HTTP/1.1 503 ");
        EXPECT_TRUE(upstream(i).released) << i;
    }
    EXPECT_EQ(logs().size(), std::size(answers));
    expect_all_back();
}

TEST_F(HostileServer, AHandshakeWithoutEndIsTooLarge) {
    core_config_.handshakes.bytes_max = 30'000;
    auto& c = ask();
    upstream(0).accept_connection();
    for (int t = 0; t < 2; t++) turn();
    for (int i = 0; i < 100 && !upstream(0).released; i++) {   // a message that promises 16 MiB
        upstream(0).send(std::string(i == 0 ? std::string("\x16\x03\x03\x10\x00\x02\xff\xff\xff", 9) + std::string(4092, 'x')
                                            : std::string("\x16\x03\x03\x10\x00", 5) + std::string(4096, 'x')));
        turn();
    }
    EXPECT_TRUE(upstream(0).released);
    EXPECT_HAS(c.take(), "HTTP/1.1 503 ");
    expect_all_back();
}

TEST_F(HostileServer, AFatalAlertWithinTheBody) {
    auto& c = ask();
    auto s = secure_server(0, web_, {.tickets = 0});
    ASSERT_TRUE(s.pump());
    auto forger = s.forger();
    s.send_raw(seal(forger, kDataType, bytes_of(kPart)));
    s.send_raw(seal(forger, kAlertType, {2, 80}));
    expect_cut(c, "part");
    expect_all_back();
}

TEST_F(HostileServer, AFatalAlertInsteadOfAnAnswer) {
    auto& c = ask();
    auto s = secure_server(0, web_, {.tickets = 0});
    ASSERT_TRUE(s.pump());
    auto forger = s.forger();
    s.send_raw(seal(forger, kAlertType, {2, 80}));
    EXPECT_HAS(c.take(), "peer alert internal_error");
    EXPECT_EQ(log().status, 503);
    expect_all_back();
}

TEST_F(HostileServer, GarbageAndPlainTextWithinTheBody) {
    for (const std::string& bad : {std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x'), std::string("and the rest in clear"),
                                   std::string("\x15\x03\x03\x00\x02\x01\x00", 7)}) {
        const size_t i = upstreams();
        auto& c = ask();
        auto s = secure_server(i, web_, {.tickets = 0});
        ASSERT_TRUE(s.pump());
        auto forger = s.forger();
        s.send_raw(seal(forger, kDataType, bytes_of(kPart)));
        s.transport().send(bad);
        for (int t = 0; t < 2; t++) turn();
        EXPECT_TRUE(s.transport().released);
        expect_cut(c, "part");
    }
    expect_all_back();
}

/// A close_notify is no end for a body whose length was said, nor for chunks.
TEST_F(HostileServer, CloseNotifyWithinAFramedBody) {
    for (const std::string_view part : {kPart, std::string_view("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")}) {
        const size_t i = upstreams();
        auto& c = ask();
        auto s = secure_server(i, web_);
        ASSERT_TRUE(s.pump());
        s.write(part);
        s.close_notify();
        EXPECT_FALSE(c.take().ends_with("\r\n0\r\n\r\n"));
        EXPECT_TRUE(c.released);
        EXPECT_EQ(log().flags & telemetry::kUpstreamTermination, telemetry::kUpstreamTermination);
    }
    expect_all_back();
}

/// Answers to nothing: the connection is of no use, and the next request gets another one.
TEST_F(HostileServer, AnAnswerThatNobodyAskedFor) {
    auto& c = ask();
    auto s = secure_server(0, web_);
    ASSERT_TRUE(s.pump());
    s.write(kOk);
    EXPECT_TRUE(c.take().ends_with("ok"));
    s.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil");
    EXPECT_TRUE(s.transport().released);
    c.send(kGet);
    auto honest = secure_server(1, web_);
    ASSERT_TRUE(honest.pump());
    honest.write(kOk);
    EXPECT_TRUE(c.take().ends_with("ok"));
    expect_all_back();
}

TEST_F(HostileServer, AFloodOfTickets) {
    auto& c = ask();
    auto s = secure_server(0, web_, {.tickets = 0});
    ASSERT_TRUE(s.pump());
    auto forger = s.forger();
    Bytes ticket = {4, 0, 0, 0, 0, 0, 0, 60, 1, 2, 3, 4, 1, 9, 1, 0};   // lifetime, age_add, a nonce of one byte, a ticket of 256
    ticket.resize(ticket.size() + 256, 't');
    ticket.insert(ticket.end(), {0, 0});
    ticket[2] = static_cast<uint8_t>((ticket.size() - 4) >> 8), ticket[3] = static_cast<uint8_t>(ticket.size() - 4);
    for (int i = 0; i < 40 && !s.transport().released; i++) s.send_raw(seal(forger, kHandshakeType, ticket));
    s.pump();
    EXPECT_HAS(s.error(), "unexpected message");
    EXPECT_TRUE(s.transport().released);
    EXPECT_HAS(c.take(), "HTTP/1.1 503 ");
    EXPECT_EQ(core().record_engine.counters().floods, 1u);
    expect_all_back();
}

}  // namespace
}  // namespace sluice::proxy::test
