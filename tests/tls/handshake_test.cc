// What a handshake refuses, and how it says so on both ends; limits; cancelling at every step.
#include <gtest/gtest.h>

#include <random>

#include "tests/tls/ends.h"

namespace sluice::tls::test {
namespace {

using Choice = std::function<void(ServerOptions&, ClientOptions&, ClientPeer&)>;

/// Both ends are ours.
struct Both {
    explicit Both(const Choice& choice = {}, size_t cut = SIZE_MAX) : client(core), server(core) {
        ServerOptions s = server_options();
        ClientOptions c = client_options();
        ClientPeer peer;
        peer.sni = peer.verify_host = "shop.example";
        if (choice) choice(s, c, peer);
        server.serve(make(std::move(s)));
        client.connect(make(std::move(c)), peer);
        pump(core, client, server, cut);
    }
    Core core;
    OurEnd client, server;
};
void expect_failed(const OurEnd& end, Failure failure, Alert alert, const std::string& says) {
    ASSERT_TRUE(end.failure) << "it did not fail";
    EXPECT_EQ(*end.failure, failure) << to_string(*end.failure) << ": " << end.reason;
    EXPECT_EQ(end.alert, alert) << to_string(end.alert);
    EXPECT_NE(end.reason.find(says), std::string::npos) << end.reason;
}
void with_client(ServerOptions& s, ClientOptions& c, const CertificateSpec& spec, const CertificateAuthority& ca = authority()) {
    s.client_certificate = ServerOptions::ClientCertificate::kRequired;
    s.verification.trusted_ca_pem = authority().pem();
    c.certificates = {source(ca.issue(spec), "client")};
}
void only(Version version, Parameters& a, Parameters& b) { a.min_version = a.max_version = b.min_version = b.max_version = version; }

TEST(Handshakes, BothEndsOurs) {
    for (const Version version : {Version::kTls12, Version::kTls13}) {
        Both both([&](ServerOptions& s, ClientOptions& c, ClientPeer&) {
            only(version, s.parameters, c.parameters);
            CertificateSpec spec;
            spec.names = {"URI:spiffe://cluster.local/ns/a/sa/b"};
            with_client(s, c, spec);
            s.identity_certificates = true;
        });
        ASSERT_TRUE(both.client.result && both.server.result);
        EXPECT_EQ(both.client.result->keys.cipher_suite, both.server.result->keys.cipher_suite);
        EXPECT_EQ(both.client.result->keys.transmit.key, both.server.result->keys.receive.key);
        EXPECT_EQ(both.client.result->keys.receive.key, both.server.result->keys.transmit.key);
        EXPECT_EQ(both.server.result->peer->principal(), "cluster.local/ns/a/sa/b");
        EXPECT_TRUE(both.server.result->peer->pem_url_encoded.starts_with("-----BEGIN%20CERTIFICATE-----%0A"));
        EXPECT_EQ(both.server.result->peer->pem_url_encoded.find_first_of("\n =+/"), std::string::npos);
        EXPECT_EQ(both.server.result->peer->sha256.size(), 64u);
        EXPECT_TRUE(both.client.result->peer->pem_url_encoded.empty());
        EXPECT_EQ(both.core.handshaker->counters().done_full, 2u);
    }
}

TEST(Handshakes, AServerThatIsNotWanted) {
    for (const Version version : {Version::kTls12, Version::kTls13}) {
        const auto refused = [&](const Choice& choice, Failure failure, Alert alert, const std::string& says) {
            Both both([&](ServerOptions& s, ClientOptions& c, ClientPeer& p) {
                only(version, s.parameters, c.parameters);
                choice(s, c, p);
            });
            expect_failed(both.client, failure, alert, says);
            expect_failed(both.server, Failure::kPeerAlert, alert, std::string("alert ") + to_string(alert));
            EXPECT_EQ(both.core.handshaker->live(), 0u);
        };
        refused([](auto&, auto& c, auto&) { c.verification.trusted_ca_pem = stranger().pem(); }, Failure::kUnknownCa, Alert::kUnknownCa, "subject CN=shop");
        refused([](auto&, auto&, auto& p) { p.verify_host = "bank.example"; }, Failure::kWrongName, Alert::kBadCertificate, "host bank.example");
        refused([](auto&, auto&, auto& p) { p.subject_alt_names = {{SanMatcher::Type::kUri, SanMatcher::Kind::kExact, "spiffe://cluster.local/ns/shop/sa/bank"}}; },
                Failure::kWrongName, Alert::kBadCertificate, "none of its names");
        refused([](auto&, auto& c, auto&) { c.verification.certificate_sha256 = {std::string(64, '0')}; }, Failure::kWrongPin, Alert::kBadCertificate, "not pinned: certificate hash ");
        refused([](ServerOptions& s, ClientOptions&, ClientPeer& p) {
            CertificateSpec spec;
            spec.server_auth = false;
            s.certificates = {source(authority().issue(spec))};
            p.verify_host.clear();
        }, Failure::kWrongPurpose, Alert::kUnsupportedCertificate, "purpose");
        refused([](ServerOptions& s, ClientOptions& c, ClientPeer& p) {
            const Issued issued = authority().issue({});
            s.certificates = {source(issued)};
            c.verification.crl_pem = authority().crl({issued.serial});
            p.verify_host.clear();
        }, Failure::kRevoked, Alert::kCertificateRevoked, "revoked");
    }
}

TEST(Handshakes, AClientThatIsNotWanted) {
    for (const Version version : {Version::kTls12, Version::kTls13}) {
        const auto refused = [&](const Choice& choice, Failure failure, Alert alert, const std::string& says) {
            Both both([&](ServerOptions& s, ClientOptions& c, ClientPeer& p) {
                only(version, s.parameters, c.parameters);
                choice(s, c, p);
            });
            expect_failed(both.server, failure, alert, says);
            // In 1.3 the client has finished before the server looks: it learns by an alert in a record.
            if (version == Version::kTls12) expect_failed(both.client, Failure::kPeerAlert, alert, to_string(alert));
            else {
                ASSERT_TRUE(both.client.result);
                std::string bytes(both.client.result->leftover.begin(), both.client.result->leftover.end());
                uint8_t type = 0;
                EvpRecords records(both.client.result->keys);
                const auto got = records.open(bytes, &type);
                ASSERT_TRUE(got);
                EXPECT_EQ(type, 21);
                EXPECT_EQ(static_cast<uint8_t>((*got)[1]), static_cast<uint8_t>(alert));
            }
        };
        CertificateSpec good;
        good.names = {"URI:spiffe://cluster.local/ns/a/sa/b"};
        refused([&](auto& s, auto& c, auto&) { with_client(s, c, good); c.certificates.clear(); }, Failure::kNoCertificate,
                version == Version::kTls13 ? Alert::kCertificateRequired : Alert::kHandshakeFailure, "did not return a certificate");
        refused([&](auto& s, auto& c, auto&) { with_client(s, c, good, stranger()); }, Failure::kUnknownCa, Alert::kUnknownCa, "issuer CN=stranger");
        refused([&](auto& s, auto& c, auto&) {
            CertificateSpec spec = good;
            spec.client_auth = false;
            with_client(s, c, spec);
        }, Failure::kWrongPurpose, Alert::kUnsupportedCertificate, "purpose");
        refused([&](auto& s, auto& c, auto&) {
            with_client(s, c, {});
            s.verification.require_spiffe = true;
        }, Failure::kWrongName, Alert::kBadCertificate, "0 URI names");
        refused([&](auto& s, auto& c, auto&) {
            CertificateSpec spec;
            spec.names = {"URI:spiffe://cluster.local/ns/a/sa/b", "URI:spiffe://cluster.local/ns/a/sa/c"};
            with_client(s, c, spec);
            s.verification.require_spiffe = true;
        }, Failure::kWrongName, Alert::kBadCertificate, "2 URI names");
        refused([&](auto& s, auto& c, auto&) {
            with_client(s, c, good);
            s.verification.subject_alt_names = {{SanMatcher::Type::kUri, SanMatcher::Kind::kPrefix, "spiffe://other/"}};
        }, Failure::kWrongName, Alert::kBadCertificate, "spiffe://cluster.local/ns/a/sa/b");
        refused([&](auto& s, auto& c, auto&) {
            with_client(s, c, good);
            s.verification.trusted_ca_pem.clear();
            s.verification.trust_domains = {{"other.example", authority().pem()}};
        }, Failure::kUnknownCa, Alert::kUnknownCa, "trust domain cluster.local is not trusted");
    }
}

/// Certificates whose time is over or to come: our contexts would not load them, so the other end is OpenSSL.
TEST(Handshakes, ExpiredAndNotYetValid) {
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION})
        for (const bool expired : {true, false}) {
            Core core;
            CertificateSpec spec;
            spec.not_before_s = expired ? -7200 : 3600;
            spec.not_after_s = expired ? -3600 : 7200;
            const Failure failure = expired ? Failure::kExpired : Failure::kNotYetValid;
            const Alert alert = expired ? Alert::kCertificateExpired : Alert::kBadCertificate;
            const auto set_up = [&](SSL_CTX* ctx) {
                SSL_CTX_set_max_proto_version(ctx, version);
                use_certificate(ctx, authority().issue(spec));
            };
            TheirEnd theirs(true, set_up);
            OurEnd ours(core);
            ours.connect(make(client_options()));
            pump(core, ours, theirs);
            expect_failed(ours, failure, alert, expired ? "has expired" : "not yet valid");
            EXPECT_EQ(theirs.alert_received, static_cast<int>(alert));

            ServerOptions options = server_options();
            options.client_certificate = ServerOptions::ClientCertificate::kOptional;
            options.verification.trusted_ca_pem = authority().pem();
            TheirEnd client(false, set_up);
            OurEnd server(core);
            server.serve(make(std::move(options)));
            pump(core, server, client);
            expect_failed(server, failure, alert, expired ? "has expired" : "not yet valid");
        }
}

TEST(Handshakes, UntrustedButAccepted) {
    for (const Version version : {Version::kTls12, Version::kTls13}) {
        Both both([&](ServerOptions& s, ClientOptions& c, ClientPeer&) {
            only(version, s.parameters, c.parameters);
            CertificateSpec spec;
            spec.names = {"URI:spiffe://cluster.local/ns/a/sa/b"};
            with_client(s, c, spec, stranger());
            s.verification.accept_untrusted = true;
            c.verification = {};
            c.verification.accept_untrusted = true;
        });
        ASSERT_TRUE(both.server.result && both.client.result);
        EXPECT_TRUE(both.server.result->peer->presented);
        EXPECT_FALSE(both.server.result->peer->verified);
        EXPECT_EQ(both.server.result->peer->principal(), "") << "what is not proved is no identity";
        EXPECT_FALSE(both.client.result->peer->verified);
    }
}

TEST(Handshakes, NothingInCommon) {
    const auto refused = [](const Choice& choice, Failure failure, Alert alert) {
        Both both(choice);
        expect_failed(both.server, failure, alert, "");
        expect_failed(both.client, Failure::kPeerAlert, alert, "");
    };
    refused([](auto& s, auto& c, auto&) { s.parameters.min_version = Version::kTls13, c.parameters.max_version = Version::kTls12; }, Failure::kVersion, Alert::kProtocolVersion);
    refused([](auto& s, auto& c, auto&) { s.parameters.max_version = Version::kTls12, c.parameters.min_version = Version::kTls13; }, Failure::kVersion, Alert::kProtocolVersion);
    refused([](auto& s, auto& c, auto&) { s.parameters.cipher_suites = {"TLS_AES_128_GCM_SHA256"}, c.parameters.cipher_suites = {"TLS_AES_256_GCM_SHA384"}; },
            Failure::kNoCipher, Alert::kHandshakeFailure);
    refused([](auto& s, auto& c, auto&) {
        only(Version::kTls12, s.parameters, c.parameters);
        s.parameters.cipher_suites = {"ECDHE-RSA-AES128-GCM-SHA256"}, c.parameters.cipher_suites = {"ECDHE-ECDSA-AES128-GCM-SHA256"};
    }, Failure::kNoCipher, Alert::kHandshakeFailure);
    refused([](auto& s, auto& c, auto&) {
        only(Version::kTls13, s.parameters, c.parameters);
        s.parameters.groups = {"P-384"}, c.parameters.groups = {"X25519"};
    }, Failure::kNoCipher, Alert::kHandshakeFailure);
}

TEST(Handshakes, AlpnByOurOrderAndNoneIsNoError) {
    const auto chosen = [](std::vector<std::string> server, std::vector<std::string> client) {
        Both both([&](ServerOptions& s, ClientOptions& c, ClientPeer&) { s.parameters.alpn = server, c.parameters.alpn = client; });
        EXPECT_TRUE(both.server.result && both.client.result);
        EXPECT_EQ(both.server.result->alpn, both.client.result->alpn);
        return both.server.result->alpn;
    };
    EXPECT_EQ(chosen({"h2", "http/1.1"}, {"http/1.1", "h2"}), "h2");
    EXPECT_EQ(chosen({"h2", "http/1.1"}, {"istio", "http/1.1"}), "http/1.1");
    EXPECT_EQ(chosen({"h2"}, {"http/1.1"}), "");
    EXPECT_EQ(chosen({}, {"http/1.1"}), "");
    EXPECT_EQ(chosen({"h2"}, {}), "");
}

TEST(Handshakes, TheClientsAlgorithmsChooseTheCertificate) {
    for (const bool rsa : {false, true}) {
        Core core;
        OurEnd server(core);
        server.serve(make(server_options()));
        TheirEnd client(false, [&](SSL_CTX* ctx) { SSL_CTX_set1_sigalgs_list(ctx, rsa ? "RSA-PSS+SHA256" : "ECDSA+SHA256"); });
        pump(core, server, client);
        ASSERT_TRUE(server.result && client.done);
        EXPECT_EQ(server.result->certificate, rsa ? 1u : 0u);
        EXPECT_EQ(EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_get0_peer_certificate(client.ssl()))), rsa ? EVP_PKEY_RSA : EVP_PKEY_EC);
    }
}

TEST(Handshakes, StaplesAndNamesOfAuthoritiesAreSent) {
    Core core;
    ServerOptions options = server_options();
    options.certificates[0].ocsp_staple = "not looked at";
    options.client_certificate = ServerOptions::ClientCertificate::kOptional;
    options.verification.trusted_ca_pem = authority().pem() + stranger().pem();
    OurEnd server(core);
    server.serve(make(std::move(options)));
    TheirEnd client(false, {}, nullptr, [](SSL* ssl) { SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp); });
    pump(core, server, client);
    ASSERT_TRUE(server.result && client.done);
    const unsigned char* staple = nullptr;
    const long size = SSL_get_tlsext_status_ocsp_resp(client.ssl(), &staple);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(staple), size > 0 ? static_cast<size_t>(size) : 0), "not looked at");
    EXPECT_EQ(sk_X509_NAME_num(SSL_get0_peer_CA_list(client.ssl())), 2);
}

TEST(Handshakes, DowngradeIsNoticed) {
    Core core;
    OurEnd server(core);
    server.serve(make(server_options()));
    TheirEnd client(false, [](SSL_CTX* ctx) {
        SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
        SSL_CTX_set_mode(ctx, SSL_MODE_SEND_FALLBACK_SCSV);
    });
    pump(core, server, client);
    expect_failed(server, Failure::kVersion, Alert::kInappropriateFallback, "");
    for (const int version : {TLS1_VERSION, TLS1_1_VERSION}) {
        OurEnd old_server(core);
        old_server.serve(make(server_options()));
        TheirEnd old(false, [&](SSL_CTX* ctx) {
            SSL_CTX_set_security_level(ctx, 0);
            SSL_CTX_set_min_proto_version(ctx, version);
            SSL_CTX_set_max_proto_version(ctx, version);
            SSL_CTX_set_cipher_list(ctx, "ALL:@SECLEVEL=0");
        });
        pump(core, old_server, old);
        expect_failed(old_server, Failure::kVersion, Alert::kProtocolVersion, "");
    }
}

TEST(Handshakes, RenegotiationIsRefusedWhereOpensslKeepsTheRecords) {
    Core core;
    ServerOptions options = server_options();
    options.parameters.cipher_suites = {"ECDHE-ECDSA-AES128-SHA"};
    options.parameters.max_version = Version::kTls12;
    OurEnd server(core);
    server.serve(make(std::move(options)));
    TheirEnd client(false, [](SSL_CTX* ctx) { SSL_CTX_set_cipher_list(ctx, "ECDHE-ECDSA-AES128-SHA"); });
    pump(core, server, client);
    ASSERT_TRUE(server.result && server.result->fallback);
    EXPECT_EQ(core.handshaker->counters().fallbacks, 1u);
    SSL_renegotiate(client.ssl());
    client.done = false;
    client.run();
    SliceQueue wire(core.nodes), plain(core.nodes);
    ASSERT_TRUE(wire.push_back(sluice::test::heap_slice(client.take())));
    server.result->fallback->open(wire, plain, sluice::test::test_mempool());
    ASSERT_TRUE(server.result->fallback->seal(plain, wire, sluice::test::test_mempool()));
    std::string answer(wire.bytes(), '\0');
    wire.peek(0, std::span(reinterpret_cast<uint8_t*>(answer.data()), answer.size()));
    client.give(answer);
    client.run();
    EXPECT_FALSE(client.done);
    EXPECT_EQ(client.alert_received, static_cast<int>(Alert::kNoRenegotiation));
}

TEST(Handshakes, PlainTextAndNoise) {
    Core core;
    const auto context = make(server_options());
    const auto outcome = [&](std::string_view bytes, size_t cut = SIZE_MAX) {
        OurEnd server(core);
        server.serve(context);
        server.give(bytes, cut);
        core.poll_all();
        return std::pair(server.failure, server.output);
    };
    for (const char* request : {"GET / HTTP/1.1\r\n\r\n", "POST /a HTTP/1.1\r\n", "DELETE / HTTP/1.1\r\n", "OPTIONS * HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\n"})
        for (const size_t cut : {size_t{1}, SIZE_MAX}) {
            const auto [failure, output] = outcome(request, cut);
            ASSERT_TRUE(failure) << request;
            EXPECT_EQ(*failure, Failure::kPlainHttp);
            EXPECT_EQ(output, "") << "no TLS for who speaks HTTP";
        }
    EXPECT_EQ(outcome("GE").first, std::nullopt) << "may become anything yet";
    for (const std::string_view noise : {std::string_view("hello, world: hello"), std::string_view("\x16\x03\x01\x00\x02\x01\x00", 7), std::string_view("\x16\x03\x01\xff\xff", 5),
                                         std::string_view("\x15\x03\x01\x00\x02\x02\x28", 7), std::string_view("\x17\x03\x03\x00\x01\x00\x00\x00\x00", 9), std::string_view("GEX / HTTP/1.1")}) {
        const auto [failure, output] = outcome(noise);
        if (noise.size() == 7 && noise[0] == 0x16) continue;   // half a hello
        ASSERT_TRUE(failure) << noise;
        EXPECT_NE(*failure, Failure::kPlainHttp);
    }
}

TEST(Handshakes, ThePeerCloses) {
    Core core;
    const auto context = make(server_options());
    for (const bool begun : {false, true}) {
        OurEnd server(core);
        server.serve(context);
        TheirEnd client(false, {});
        client.run();
        const std::string hello = client.take();
        if (begun) server.give(hello);
        core.handshaker->peer_closed(*server.handshake);
        core.poll_all();
        ASSERT_TRUE(server.failure);
        EXPECT_EQ(*server.failure, Failure::kPeerClosed);
        EXPECT_EQ(server.output.empty(), !begun) << "what was to be sent is sent";
    }
    OurEnd client(core);
    client.connect(make(client_options()));
    core.poll_all();
    core.handshaker->peer_closed(*client.handshake);
    core.poll_all();
    ASSERT_TRUE(client.failure);
    EXPECT_EQ(*client.failure, Failure::kPeerClosed);
    EXPECT_EQ(core.handshaker->live(), 0u);
}

TEST(Handshakes, LimitsOfBytesAndNumber) {
    HandshakeLimits limits;
    limits.handshakes_max = 3;
    limits.bytes_max = 2000;
    Core core(limits);
    const auto context = make(server_options());
    {
        OurEnd a(core), b(core), c(core), d(core);
        a.serve(context), b.serve(context), c.serve(context), d.serve(context);
        EXPECT_TRUE(a.handshake && b.handshake && c.handshake);
        EXPECT_EQ(d.handshake, nullptr);
        EXPECT_EQ(core.handshaker->counters().failed[static_cast<size_t>(Failure::kTooMany)], 1u);
        // A hello that never ends, in records that look right.
        std::string endless = std::string("\x16\x03\x01\x10\x00\x01\x00\x40\x00", 9) + std::string(4096, 'x');
        EXPECT_FALSE(a.give(endless));
        core.poll_all();
        ASSERT_TRUE(a.failure);
        EXPECT_EQ(*a.failure, Failure::kTooLarge);
        b.give(endless.substr(0, 1500));
        core.poll_all();
        EXPECT_FALSE(b.failure);
        EXPECT_FALSE(b.give(endless.substr(1500)));
        core.poll_all();
        ASSERT_TRUE(b.failure);
        EXPECT_EQ(*b.failure, Failure::kTooLarge);
        EXPECT_EQ(core.handshaker->live(), 0u);
    }
    OurEnd again(core);
    again.serve(context);
    EXPECT_NE(again.handshake, nullptr) << "places come back";
}

TEST(Handshakes, CancelledAtEveryStepLeavesNothing) {
    for (int step = 0; step < 12; step++)
        for (const bool in_callback : {false, true}) {
            Core core;
            const auto server_context = make(server_options());
            const auto client_context = make(client_options());
            OurEnd server(core), client(core);
            server.serve(server_context);
            client.connect(client_context);
            int at = 0;
            bool cancelled = false;
            const auto maybe = [&] {
                if (at++ != step || cancelled) return;
                cancelled = true;
                for (OurEnd* end : {&server, &client})
                    if (end->handshake) core.handshaker->cancel(*std::exchange(end->handshake, nullptr));
            };
            if (in_callback) server.in_callback = client.in_callback = maybe;
            for (int i = 0; i < 10; i++) {
                if (!in_callback) maybe();
                core.handshaker->poll(kNow);
                if (server.handshake) server.give(client.take());
                if (!in_callback) maybe();
                core.handshaker->poll(kNow);
                if (client.handshake) client.give(server.take());
            }
            if (client.handshake) core.handshaker->cancel(*std::exchange(client.handshake, nullptr));
            if (server.handshake) core.handshaker->cancel(*std::exchange(server.handshake, nullptr));
            core.poll_all();
            EXPECT_EQ(core.handshaker->live(), 0u) << step;
            EXPECT_EQ(core.nodes.in_use(), 0u);
        }
}

/// A server's chain longer than anything: several kilobytes pass in any cut.
TEST(Handshakes, LongChains) {
    CertificateAuthority at = authority();
    for (int i = 0; i < 8; i++) {
        CertificateSpec middle;
        middle.common_name = "intermediate " + std::to_string(i);
        middle.key = KeyKind::kRsa2048;
        middle.key_number = i % 2;
        at = CertificateAuthority(at, middle);
    }
    for (const size_t cut : {size_t{100}, SIZE_MAX}) {
        Both both([&](ServerOptions& s, ClientOptions& c, ClientPeer& p) {
            s.certificates = {source(at.issue({}))};
            s.client_certificate = ServerOptions::ClientCertificate::kRequired;
            s.verification.trusted_ca_pem = authority().pem();
            c.certificates = {source(at.issue({}), "client")};
            p.verify_host.clear();
        }, cut);
        ASSERT_TRUE(both.server.result && both.client.result) << both.server.reason << both.client.reason;
    }
}

/// Every single flipped byte of every flight ends in a failure or in a connection with the same keys, never in anything else.
TEST(Handshakes, FlippedBytes) {
    std::mt19937 random(20261127);
    const auto server_context = make(server_options());
    const auto client_context = make(client_options());
    int failures = 0;
    for (int round = 0; round < 300; round++) {
        Core core({64, 128 * 1024, 64});
        OurEnd server(core), client(core);
        server.serve(server_context);
        client.connect(client_context);
        const int flight = static_cast<int>(random() % 3);
        int at = 0;
        for (int idle = 0; idle < 2;) {
            core.poll_all();
            std::string to_server = client.take(), to_client = server.take();
            idle = to_server.empty() && to_client.empty() ? idle + 1 : 0;
            for (std::string* bytes : {&to_server, &to_client})
                if (!bytes->empty() && at++ == flight) (*bytes)[random() % bytes->size()] ^= static_cast<char>(1u << (random() % 8));
            server.give(to_server);
            client.give(to_client);
        }
        failures += server.failure || client.failure;
        if (server.result && client.result) {
            EXPECT_EQ(server.result->keys.receive.key, client.result->keys.transmit.key);
        }
    }
    EXPECT_GT(failures, 200);
}

}  // namespace
}  // namespace sluice::tls::test
