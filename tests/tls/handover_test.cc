// Handshakes in every combination against OpenSSL's own end, and the keys that come of them used by an independent record layer.
#include <gtest/gtest.h>

#include "tests/tls/ends.h"

namespace sluice::tls::test {
namespace {

enum class Ask { kNothing, kOptional, kOptionalWithout, kRequired };

struct Case {
    const char* suite;       // OpenSSL's name
    Version version;
    KeyKind key;
    Aead aead;
};
constexpr Case kCases[] = {
    {"TLS_AES_128_GCM_SHA256", Version::kTls13, KeyKind::kEcP256, Aead::kAes128Gcm},
    {"TLS_AES_256_GCM_SHA384", Version::kTls13, KeyKind::kRsa2048, Aead::kAes256Gcm},
    {"TLS_CHACHA20_POLY1305_SHA256", Version::kTls13, KeyKind::kEcP256, Aead::kChaCha20Poly1305},
    {"TLS_AES_128_CCM_SHA256", Version::kTls13, KeyKind::kEcP256, Aead::kNone},
    {"ECDHE-ECDSA-AES128-GCM-SHA256", Version::kTls12, KeyKind::kEcP256, Aead::kAes128Gcm},
    {"ECDHE-RSA-AES128-GCM-SHA256", Version::kTls12, KeyKind::kRsa2048, Aead::kAes128Gcm},
    {"ECDHE-ECDSA-AES256-GCM-SHA384", Version::kTls12, KeyKind::kEcP256, Aead::kAes256Gcm},
    {"ECDHE-RSA-AES256-GCM-SHA384", Version::kTls12, KeyKind::kRsa2048, Aead::kAes256Gcm},
    {"ECDHE-ECDSA-CHACHA20-POLY1305", Version::kTls12, KeyKind::kEcP256, Aead::kChaCha20Poly1305},
    {"ECDHE-RSA-CHACHA20-POLY1305", Version::kTls12, KeyKind::kRsa2048, Aead::kChaCha20Poly1305},
    {"DHE-RSA-AES128-GCM-SHA256", Version::kTls12, KeyKind::kRsa2048, Aead::kAes128Gcm},
    {"ECDHE-ECDSA-AES128-SHA", Version::kTls12, KeyKind::kEcP256, Aead::kNone},
    {"ECDHE-RSA-AES256-SHA384", Version::kTls12, KeyKind::kRsa2048, Aead::kNone},
    {"ECDHE-ECDSA-AES128-CCM", Version::kTls12, KeyKind::kEcP256, Aead::kNone},
};

void choose(SSL_CTX* ctx, const Case& c, const char* group) {
    const int version = c.version == Version::kTls13 ? TLS1_3_VERSION : TLS1_2_VERSION;
    SSL_CTX_set_min_proto_version(ctx, version);
    SSL_CTX_set_max_proto_version(ctx, version);
    c.version == Version::kTls13 ? SSL_CTX_set_ciphersuites(ctx, c.suite) : SSL_CTX_set_cipher_list(ctx, c.suite);
    // Behind the group that is tried: an EC certificate's own, which TLS 1.2 asks for.
    SSL_CTX_set1_groups_list(ctx, (std::string(group) + (std::string(group) == "P-256" ? "" : ":P-256")).c_str());
    SSL_CTX_set_dh_auto(ctx, 1);
}

Issued client_certificate(KeyKind key) {
    CertificateSpec spec;
    spec.key = key;
    spec.common_name = "client";
    spec.names = {"URI:spiffe://cluster.local/ns/shop/sa/client"};
    return authority().issue(spec);
}

std::string text_of(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

/// Both directions, several records, by EVP on our side and by OpenSSL on theirs.
void talk(OurEnd& ours, TheirEnd& theirs) {
    ASSERT_TRUE(ours.result);
    EvpRecords records(ours.result->keys);
    std::string waiting = text_of(ours.result->leftover);
    for (int i = 0; i < 3; i++) {
        const std::string text = "to them " + std::to_string(i);
        theirs.give(records.seal(text));
        ASSERT_EQ(theirs.read(), text);
    }
    for (int i = 0; i < 3; i++) {
        const std::string text = "to us " + std::to_string(i);
        theirs.write(text);
        waiting += theirs.take();
        for (;;) {
            uint8_t type = 0;
            const auto got = records.open(waiting, &type);
            ASSERT_TRUE(got);
            if (type == 22) continue;   // tickets, to a client
            ASSERT_EQ(*got, text);
            break;
        }
    }
}

/// The same where OpenSSL kept the records.
void talk_by_fallback(Core& core, OurEnd& ours, TheirEnd& theirs) {
    ASSERT_TRUE(ours.result && ours.result->fallback);
    OpensslRecords& records = *ours.result->fallback;
    SliceQueue plain(core.nodes), wire(core.nodes);
    const std::string text(40'000, 'x');
    ASSERT_TRUE(plain.push_back(sluice::test::heap_slice(text)));
    ASSERT_TRUE(records.seal(plain, wire, sluice::test::test_mempool()));
    std::string bytes(wire.bytes(), '\0');
    wire.peek(0, std::span(reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()));
    wire.clear();
    theirs.give(bytes);
    std::string got;
    for (std::string piece; !(piece = theirs.read()).empty();) got += piece;
    EXPECT_EQ(got, text);
    theirs.write("hello");
    const std::string answer = text_of(ours.result->leftover) + theirs.take();
    ASSERT_TRUE(wire.push_back(sluice::test::heap_slice(answer)));
    EXPECT_EQ(records.open(wire, plain, sluice::test::test_mempool()), OpensslRecords::Status::kOk);
    std::string plain_text(plain.bytes(), '\0');
    plain.peek(0, std::span(reinterpret_cast<uint8_t*>(plain_text.data()), plain_text.size()));
    EXPECT_EQ(plain_text, "hello");
    ASSERT_TRUE(records.close_notify(wire, sluice::test::test_mempool()));
    EXPECT_GT(wire.bytes(), 0u);
}

void check(Core& core, OurEnd& ours, TheirEnd& theirs, const Case& c) {
    ASSERT_FALSE(ours.failure) << to_string(*ours.failure) << ": " << ours.reason;
    ASSERT_TRUE(ours.result && theirs.done);
    EXPECT_EQ(ours.result->keys.version, c.version);
    EXPECT_EQ(ours.result->keys.aead, c.aead);
    EXPECT_STREQ(cipher_suite_name(ours.result->keys.cipher_suite), c.suite);
    ASSERT_TRUE(ours.result->peer);
    if (c.aead == Aead::kNone) talk_by_fallback(core, ours, theirs);
    else talk(ours, theirs);
}

class EveryCase : public testing::TestWithParam<std::tuple<int, Ask, const char*>> {};

TEST_P(EveryCase, WeServe) {
    const auto& [number, ask, group] = GetParam();
    const Case& c = kCases[number];
    Core core;
    ServerOptions options = server_options();
    options.ticket_keys = std::make_shared<TicketKeys>();
    options.ticket_keys->rotate(time(nullptr));
    if (c.aead == Aead::kNone) options.parameters.cipher_suites = {c.suite};
    if (std::string(c.suite).starts_with("DHE")) options.parameters.cipher_suites = {c.suite};
    options.parameters.groups = {"X25519", "P-256", "P-384"};
    options.parameters.alpn = {"h2", "http/1.1"};
    if (ask != Ask::kNothing) {
        options.client_certificate = ask == Ask::kRequired ? ServerOptions::ClientCertificate::kRequired : ServerOptions::ClientCertificate::kOptional;
        options.verification.trusted_ca_pem = authority().pem();
        options.verification.require_spiffe = true;
    }
    OurEnd ours(core);
    ours.serve(make(std::move(options)));
    TheirEnd theirs(false, [&](SSL_CTX* ctx) {
        choose(ctx, c, group);
        trust(ctx, authority());
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, nullptr);
        SSL_CTX_set1_sigalgs_list(ctx, c.key == KeyKind::kRsa2048 ? "RSA-PSS+SHA256:RSA+SHA256:ECDSA+SHA256" : "ECDSA+SHA256");
        if (c.version == Version::kTls13 && c.key == KeyKind::kRsa2048) SSL_CTX_set1_sigalgs_list(ctx, "RSA-PSS+SHA256:RSA+SHA256");
        if (ask == Ask::kOptional || ask == Ask::kRequired) use_certificate(ctx, client_certificate(c.key));
        SSL_CTX_set_alpn_protos(ctx, reinterpret_cast<const unsigned char*>("\x08http/1.1"), 9);
    }, nullptr, [](SSL* ssl) { SSL_set_tlsext_host_name(ssl, "Shop.Example"); });
    pump(core, ours, theirs);
    check(core, ours, theirs, c);
    if (HasFatalFailure()) return;
    EXPECT_EQ(ours.result->alpn, "http/1.1");
    EXPECT_EQ(ours.result->server_name, "shop.example");
    EXPECT_FALSE(ours.result->resumed);
    const PeerIdentity& peer = *ours.result->peer;
    EXPECT_EQ(peer.presented, ask == Ask::kOptional || ask == Ask::kRequired);
    EXPECT_EQ(peer.verified, peer.presented);
    if (peer.presented) {
        EXPECT_EQ(peer.principal(), "cluster.local/ns/shop/sa/client");
        EXPECT_EQ(peer.subject, "CN=client,O=Sluice tests");
    }
    if (c.version == Version::kTls13 && c.aead != Aead::kNone) {
        EXPECT_EQ(theirs.sessions.size(), 2u) << "tickets";
    }
    ours.result.reset();
    EXPECT_EQ(core.handshaker->live(), 0u);
}

TEST_P(EveryCase, WeConnect) {
    const auto& [number, ask, group] = GetParam();
    const Case& c = kCases[number];
    Core core;
    ClientOptions options = client_options();
    if (ask == Ask::kOptional || ask == Ask::kRequired) options.certificates = {source(client_certificate(c.key), "client")};
    if (c.aead == Aead::kNone || std::string(c.suite).starts_with("DHE")) options.parameters.cipher_suites = {c.suite};
    options.parameters.groups = {group};
    if (std::string(group) != "P-256") options.parameters.groups.push_back("P-256");
    ClientPeer peer;
    peer.sni = peer.verify_host = "a.shop.example";
    peer.alpn = {"istio", "http/1.1"};
    TheirEnd theirs(true, [&](SSL_CTX* ctx) {
        choose(ctx, c, group);
        CertificateSpec spec;
        spec.names = {"DNS:*.shop.example", "URI:spiffe://cluster.local/ns/shop/sa/web"};
        spec.key = c.key;
        use_certificate(ctx, authority().issue(spec));
        if (ask != Ask::kNothing) {
            trust(ctx, authority());
            SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (ask == Ask::kRequired ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
            SSL_CTX_set_session_id_context(ctx, reinterpret_cast<const unsigned char*>("x"), 1);
        }
        SSL_CTX_set_alpn_select_cb(ctx, [](SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in, unsigned, void*) {
            *out = in + 1, *size = in[0];
            return SSL_TLSEXT_ERR_OK;
        }, nullptr);
    });
    OurEnd ours(core);
    ours.connect(make(std::move(options)), peer, {IpAddress::v4(0x0a000001), 443});
    pump(core, ours, theirs);
    check(core, ours, theirs, c);
    if (HasFatalFailure()) return;
    EXPECT_EQ(ours.result->alpn, "istio");
    EXPECT_STREQ(SSL_get_servername(theirs.ssl(), TLSEXT_NAMETYPE_host_name), "a.shop.example");
    EXPECT_TRUE(ours.result->peer->verified);
    EXPECT_EQ(ours.result->peer->principal(), "cluster.local/ns/shop/sa/web");
    EXPECT_EQ(SSL_get0_peer_certificate(theirs.ssl()) != nullptr, ask == Ask::kOptional || ask == Ask::kRequired);
    EXPECT_EQ(ours.take_tickets, c.version == Version::kTls13 && c.aead != Aead::kNone);
    EXPECT_EQ(core.handshaker->live(), c.aead == Aead::kNone || ours.take_tickets ? 1u : 0u);
    if (ours.take_tickets) core.handshaker->finish(*std::exchange(ours.handshake, nullptr));
    core.poll_all();
    ours.result.reset();
    EXPECT_EQ(core.handshaker->live(), 0u);
}

INSTANTIATE_TEST_SUITE_P(All, EveryCase,
                         testing::Combine(testing::Range(0, static_cast<int>(std::size(kCases))),
                                          testing::Values(Ask::kNothing, Ask::kOptional, Ask::kOptionalWithout, Ask::kRequired),
                                          testing::Values("X25519", "P-256", "P-384")));

TEST(Handover, ASecondFlightInAnyCut) {
    for (const Case& c : kCases)
        for (const size_t cut : {size_t{1}, size_t{2}, size_t{7}, size_t{63}, size_t{600}}) {
            if (c.aead == Aead::kNone) continue;
            Core core;
            ServerOptions options = server_options();
            if (std::string(c.suite).starts_with("DHE")) options.parameters.cipher_suites = {c.suite};
            OurEnd server(core);
            server.serve(make(std::move(options)));
            TheirEnd client(false, [&](SSL_CTX* ctx) { choose(ctx, c, "X25519"); });
            pump(core, server, client, cut);
            check(core, server, client, c);
            if (testing::Test::HasFatalFailure()) FAIL() << c.suite << " in pieces of " << cut;

            ClientOptions connect = client_options();
            if (std::string(c.suite).starts_with("DHE")) connect.parameters.cipher_suites = {c.suite};
            OurEnd ours(core);
            ours.connect(make(std::move(connect)));
            TheirEnd theirs(true, [&](SSL_CTX* ctx) {
                choose(ctx, c, "X25519");
                CertificateSpec spec;
                spec.key = c.key;
                use_certificate(ctx, authority().issue(spec));
            });
            pump(core, ours, theirs, cut);
            check(core, ours, theirs, c);
            if (testing::Test::HasFatalFailure()) FAIL() << c.suite << " in pieces of " << cut << ", as a client";
        }
}

/// What comes behind the handshake in the same segment, and while the job is out, is handed on in order.
TEST(Handover, BytesBehindTheHandshakeAreHandedOn) {
    for (const Version version : {Version::kTls12, Version::kTls13}) {
        Core core;
        OurEnd server(core);
        server.serve(make(server_options()));
        TheirEnd client(false, [&](SSL_CTX* ctx) {
            SSL_CTX_set_max_proto_version(ctx, version == Version::kTls12 ? TLS1_2_VERSION : TLS1_3_VERSION);
        });
        while (!client.done) {
            client.run();
            if (client.done) break;
            server.give(client.take());
            core.poll_all();
            client.give(server.take());
            if (version == Version::kTls12 && server.result) break;
        }
        client.run();
        ASSERT_TRUE(client.done);
        if (version == Version::kTls13) {
            client.write("early ");
            const std::string flight = client.take();
            client.write("bird");
            server.give(flight);          // Finished and a record
            server.give(client.take());   // and while that is being worked on
            core.poll_all();
            ASSERT_TRUE(server.result);
            EvpRecords records(server.result->keys);
            std::string bytes = text_of(server.result->leftover);
            EXPECT_EQ(records.open(bytes), "early ");
            EXPECT_EQ(records.open(bytes), "bird");
            EXPECT_EQ(bytes, "");
        } else {
            client.write("early bird");
            std::string bytes = client.take();
            EvpRecords records(server.result->keys);
            EXPECT_EQ(records.open(bytes), "early bird");
        }
    }
}

/// A client that uploads at once sends more than a handshake may have before the core knows that the handshake is over.
TEST(Handover, AnUploadBehindTheHandshakeIsNoLongHandshake) {
    HandshakeLimits limits;
    limits.bytes_max = 8000;
    Core core(limits);
    OurEnd server(core);
    server.serve(make(server_options()));
    TheirEnd client(false, {});
    client.run();
    server.give(client.take());
    core.poll_all();
    client.give(server.take());
    client.run();
    ASSERT_TRUE(client.done);
    EXPECT_TRUE(server.give(client.take()));   // Finished: the job is out until the next poll
    std::string sent;
    for (int i = 0; i < 20; i++) {
        const std::string text(1500, static_cast<char>('a' + i));
        client.write(text);
        sent += text;
        EXPECT_TRUE(server.give(client.take()));
    }
    EXPECT_FALSE(server.held.empty());
    core.poll_all();
    ASSERT_TRUE(server.result) << server.reason;
    EvpRecords records(server.result->keys);
    std::string bytes = text_of(server.result->leftover), got;
    while (!bytes.empty()) {
        const auto piece = records.open(bytes);
        ASSERT_TRUE(piece);
        got += *piece;
    }
    EXPECT_TRUE(got == sent);
}

}  // namespace
}  // namespace sluice::tls::test
