// Tickets: resumed where nothing changed, a full handshake where anything did.
#include <gtest/gtest.h>

#include "tests/tls/ends.h"

namespace sluice::tls::test {
namespace {

CertificateSpec client_spec() {
    CertificateSpec spec;
    spec.names = {"URI:spiffe://cluster.local/ns/a/sa/b"};
    return spec;
}
/// Verification's clock runs ahead while a Later lives; OpenSSL's own, of sessions, is the machine's.
int64_t ahead_s = 0;
int64_t shifted_clock() { return time(nullptr) + ahead_s; }
struct Later {
    explicit Later(int64_t seconds) { ahead_s = seconds; }
    ~Later() { ahead_s = 0; }
};
std::shared_ptr<TicketKeys> fresh_keys() {
    auto keys = std::make_shared<TicketKeys>();
    keys->rotate(time(nullptr));
    return keys;
}

/// Feeds the client's leftover records that are tickets to its Handshaker, as the record layer would. Returns how many there were.
int take_tickets(Core& core, OurEnd& client) {
    if (!client.take_tickets) return 0;
    std::string bytes(client.result->leftover.begin(), client.result->leftover.end());
    EvpRecords records(client.result->keys);
    int tickets = 0;
    while (!bytes.empty()) {
        const std::string before = bytes;
        uint8_t type = 0;
        if (!records.open(bytes, &type) || type != 22) break;
        const std::string record = before.substr(0, before.size() - bytes.size());
        core.handshaker->take_ticket(*client.handshake, {reinterpret_cast<const uint8_t*>(record.data()), record.size()});
        tickets++;
    }
    core.poll_all();
    core.handshaker->finish(*std::exchange(client.handshake, nullptr));
    core.poll_all();
    return tickets;
}

struct Outcome {
    bool done = false, resumed = false, presented = false, verified = false;
    int tickets = 0;
    std::string principal;
};
Outcome connect(Core& core, const std::shared_ptr<const ServerContext>& server_context, const std::shared_ptr<const ClientContext>& client_context, const ClientPeer& peer = {},
                const SocketAddress& remote = {}) {
    OurEnd server(core), client(core);
    server.serve(server_context);
    client.connect(client_context, peer, remote);
    pump(core, client, server);
    Outcome out;
    out.done = server.result && client.result;
    if (!out.done) return out;
    EXPECT_EQ(server.result->resumed, client.result->resumed);
    EXPECT_EQ(server.result->keys.transmit.key, client.result->keys.receive.key);
    // Records after a resumed handshake too: the sequence starts behind the tickets.
    out.tickets = take_tickets(core, client);
    std::string bytes(client.result->leftover.begin(), client.result->leftover.end());
    EvpRecords mine(server.result->keys), theirs(client.result->keys);
    bytes += mine.seal("data");
    for (int i = 0; i < out.tickets; i++) theirs.open(bytes);
    EXPECT_EQ(theirs.open(bytes), "data");
    out.resumed = server.result->resumed;
    out.presented = server.result->peer->presented;
    out.verified = server.result->peer->verified;
    out.principal = server.result->peer->principal();
    EXPECT_TRUE(client.result->peer->presented) << "also where no certificate was sent again";
    return out;
}

class Resumption : public testing::TestWithParam<Version> {
 protected:
    ServerOptions server(std::shared_ptr<TicketKeys> keys) const {
        ServerOptions options = server_options();
        options.parameters.min_version = options.parameters.max_version = GetParam();
        options.ticket_keys = std::move(keys);
        return options;
    }
    ServerOptions mutual(std::shared_ptr<TicketKeys> keys) const {
        ServerOptions options = server(std::move(keys));
        options.client_certificate = ServerOptions::ClientCertificate::kRequired;
        options.verification.trusted_ca_pem = authority().pem();
        options.verification.require_spiffe = true;
        options.verification.clock_s = shifted_clock;
        return options;
    }
    /// What the server says of this client.
    std::optional<Failure> refused(const std::shared_ptr<const ServerContext>& server_context, const std::shared_ptr<const ClientContext>& client_context) {
        OurEnd server(core), late(core);
        server.serve(server_context);
        late.connect(client_context);
        pump(core, late, server);
        return server.failure;
    }
    static ClientOptions client(bool certificate = true) {
        ClientOptions options = client_options();
        if (certificate) options.certificates = {source(authority().issue(client_spec()), "client")};
        return options;
    }
    Core core;
};

TEST_P(Resumption, ResumesAndKnowsTheClientStill) {
    const auto server_context = make(mutual(fresh_keys()));
    const auto client_context = make(client());
    const Outcome first = connect(core, server_context, client_context);
    ASSERT_TRUE(first.done);
    EXPECT_FALSE(first.resumed);
    EXPECT_EQ(first.tickets, GetParam() == Version::kTls13 ? 2 : 0);
    for (int i = 0; i < 3; i++) {
        const Outcome next = connect(core, server_context, client_context);
        ASSERT_TRUE(next.done);
        EXPECT_TRUE(next.resumed);
        EXPECT_TRUE(next.presented && next.verified);
        EXPECT_EQ(next.principal, "cluster.local/ns/a/sa/b");
        EXPECT_EQ(next.tickets, GetParam() == Version::kTls13 ? 1 : 0);
    }
    EXPECT_EQ(core.handshaker->counters().done_resumed, 6u);
    EXPECT_EQ(core.handshaker->live(), 0u);
}

TEST_P(Resumption, WithoutClientCertificates) {
    const auto server_context = make(server(fresh_keys()));
    const auto client_context = make(client(false));
    EXPECT_FALSE(connect(core, server_context, client_context).resumed);
    const Outcome next = connect(core, server_context, client_context);
    EXPECT_TRUE(next.resumed);
    EXPECT_FALSE(next.presented);
}

TEST_P(Resumption, NoKeysNoTickets) {
    const auto server_context = make(server(nullptr));
    const auto client_context = make(client(false));
    for (int i = 0; i < 2; i++) {
        const Outcome outcome = connect(core, server_context, client_context);
        EXPECT_TRUE(outcome.done);
        EXPECT_FALSE(outcome.resumed);
        EXPECT_EQ(outcome.tickets, 0);
    }
    const auto empty = std::make_shared<TicketKeys>();   // never rotated
    const auto keyless = make(server(empty));
    for (int i = 0; i < 2; i++) {
        const Outcome outcome = connect(core, keyless, client_context);
        EXPECT_TRUE(outcome.done);
        EXPECT_FALSE(outcome.resumed);
    }
}

TEST_P(Resumption, ServersThatShareKeysShareTickets) {
    const auto keys = fresh_keys();
    const auto client_context = make(client());
    ServerOptions renewed = mutual(keys);
    CertificateSpec spec;   // the same names, another certificate and key: what rotation brings
    spec.common_name = "shop", spec.key_number = 9;
    spec.names = {"DNS:shop.example", "DNS:*.shop.example", "URI:spiffe://cluster.local/ns/shop/sa/web"};
    renewed.certificates[0] = source(authority().issue(spec), "shop-ec");
    EXPECT_FALSE(connect(core, make(mutual(keys)), client_context).resumed);
    EXPECT_TRUE(connect(core, make(mutual(keys)), client_context).resumed);
    EXPECT_TRUE(connect(core, make(renewed), client_context).resumed);
}

TEST_P(Resumption, ChangedTrustIsAFullHandshake) {
    const auto keys = fresh_keys();
    using Change = std::function<void(ServerOptions&)>;
    const Change changes[] = {
        [](ServerOptions& s) { s.verification.trusted_ca_pem += stranger().pem(); },
        [](ServerOptions& s) { s.verification.subject_alt_names = {{SanMatcher::Type::kUri, SanMatcher::Kind::kPrefix, "spiffe://cluster.local/"}}; },
        [](ServerOptions& s) { s.verification.crl_pem = authority().crl({77}); },
        [](ServerOptions& s) { s.verification.require_spiffe = false; },
        [](ServerOptions& s) { s.client_certificate = ServerOptions::ClientCertificate::kOptional; },
        [](ServerOptions& s) { s.verification.trust_domains = {{"cluster.local", s.verification.trusted_ca_pem}}, s.verification.trusted_ca_pem.clear(); },
        [](ServerOptions& s) { s.certificates.pop_back(), s.certificates[0] = source(authority().issue({}), "another server"); },
        [](ServerOptions& s) { s.parameters.alpn = {"h2"}; },
    };
    for (const Change& change : changes) {
        const auto client_context = make(client());
        EXPECT_FALSE(connect(core, make(mutual(keys)), client_context).resumed);
        ServerOptions changed = mutual(keys);
        change(changed);
        const Outcome outcome = connect(core, make(changed), client_context);
        EXPECT_TRUE(outcome.done) << &change - changes;
        EXPECT_FALSE(outcome.resumed) << &change - changes;
    }
}

TEST_P(Resumption, ARefusedClientStaysRefused) {
    const auto keys = fresh_keys();
    const auto client_context = make(client());
    EXPECT_TRUE(connect(core, make(mutual(keys)), client_context).done);
    ServerOptions changed = mutual(keys);
    changed.verification.trusted_ca_pem = stranger().pem();
    // A 1.3 client takes it for done until the alert comes; the server does not.
    OurEnd server(core), client(core);
    server.serve(make(changed));
    client.connect(client_context);
    pump(core, client, server);
    ASSERT_TRUE(server.failure);
    EXPECT_EQ(*server.failure, Failure::kUnknownCa);
}

TEST_P(Resumption, TicketsWithoutClientCertificateDoNotOpenAServerThatAsks) {
    const auto keys = fresh_keys();
    const auto client_context = make(client());
    EXPECT_TRUE(connect(core, make(server(keys)), client_context).done);
    const Outcome outcome = connect(core, make(mutual(keys)), client_context);
    EXPECT_TRUE(outcome.done && outcome.presented);
    EXPECT_FALSE(outcome.resumed);
}

TEST_P(Resumption, AClientWhoseCertificateHasExpiredMeanwhile) {
    ClientOptions options = client(false);
    CertificateSpec spec = client_spec();
    spec.not_after_s = 3600;
    options.certificates = {source(authority().issue(spec), "client")};
    const auto client_context = make(std::move(options));
    const auto server_context = make(mutual(fresh_keys()));
    ASSERT_TRUE(connect(core, server_context, client_context).done);
    const Later later(3700);
    EXPECT_EQ(refused(server_context, client_context), Failure::kExpired) << "a ticket must not outlive its certificate";
}

/// Tickets keep the leaf alone: that another certificate of the chain has ended must be noticed all the same.
TEST_P(Resumption, AClientWhoseIntermediateHasExpiredMeanwhile) {
    CertificateSpec middle;
    middle.common_name = "short-lived", middle.not_after_s = 3600;
    const CertificateAuthority between(authority(), middle);
    ClientOptions options = client(false);
    options.certificates = {source(between.issue(client_spec()), "client")};
    const auto client_context = make(std::move(options));
    const auto server_context = make(mutual(fresh_keys()));
    EXPECT_FALSE(connect(core, server_context, client_context).resumed);
    for (int i = 0; i < 3; i++) EXPECT_TRUE(connect(core, server_context, client_context).resumed);   // tickets of tickets, too
    {
        const Later later(3500);
        EXPECT_TRUE(connect(core, server_context, client_context).resumed);
    }
    const Later later(3700);
    EXPECT_EQ(refused(server_context, client_context), Failure::kExpired);
}

TEST_P(Resumption, AClientIsHeldAgainstAListOnlyWhileTheListIsInDate) {
    ServerOptions listed = mutual(fresh_keys());
    listed.verification.crl_pem = authority().crl({77}, 3600);
    const auto server_context = make(std::move(listed));
    const auto client_context = make(client());
    EXPECT_FALSE(connect(core, server_context, client_context).resumed);
    EXPECT_TRUE(connect(core, server_context, client_context).resumed);
    const Later later(3700);
    EXPECT_EQ(refused(server_context, client_context), Failure::kBadCertificate) << "a full handshake would fail, so a ticket is worth nothing";
}

TEST_P(Resumption, AnIntermediateRevokedMeanwhile) {
    const auto keys = fresh_keys();
    CertificateSpec middle;
    middle.common_name = "between", middle.key_number = 3;
    const CertificateAuthority between(authority(), middle);
    const uint64_t serial = std::stoull(read_certificates(between.pem(), "between")->at(0).serial, nullptr, 16);
    ClientOptions options = client(false);
    options.certificates = {source(between.issue(client_spec()), "client")};
    const auto client_context = make(std::move(options));
    const auto listed = [&](const std::vector<uint64_t>& serials) {
        ServerOptions server = mutual(keys);
        server.verification.crl_pem = authority().crl(serials) + between.crl({});
        return make(std::move(server));
    };
    const auto before = listed({});
    EXPECT_FALSE(connect(core, before, client_context).resumed);
    EXPECT_TRUE(connect(core, before, client_context).resumed);
    EXPECT_EQ(refused(listed({serial}), client_context), Failure::kRevoked);
}

/// The same at the other end: a kept session of a server whose chain has ended is not offered.
TEST_P(Resumption, AServerWhoseIntermediateHasExpiredMeanwhile) {
    const auto keys = fresh_keys();
    CertificateSpec middle;
    middle.common_name = "short-lived", middle.not_after_s = 3600;
    const CertificateAuthority between(authority(), middle);
    middle.not_after_s = 24 * 3600;
    const CertificateAuthority renewed(authority(), middle);   // the same name and key
    CertificateSpec spec;
    spec.common_name = "shop", spec.names = {"DNS:shop.example"};
    const auto shop = [&](const CertificateAuthority& ca) {
        ServerOptions options = server(keys);
        options.certificates = {source(ca.issue(spec), "shop")};
        return make(std::move(options));
    };
    ClientOptions options = client(false);
    options.verification.clock_s = shifted_clock;
    const auto client_context = make(std::move(options));
    const auto old = shop(between);
    EXPECT_FALSE(connect(core, old, client_context).resumed);
    for (int i = 0; i < 3; i++) EXPECT_TRUE(connect(core, old, client_context).resumed);
    const Later later(3700);
    const Outcome outcome = connect(core, shop(renewed), client_context);
    EXPECT_TRUE(outcome.done);
    EXPECT_FALSE(outcome.resumed) << "the server would take the ticket: the client must not show it";
    OurEnd server(core), late(core);
    server.serve(old);
    late.connect(client_context, {}, SocketAddress{IpAddress::v4(1), 1});
    pump(core, late, server);
    ASSERT_TRUE(late.failure);
    EXPECT_EQ(*late.failure, Failure::kExpired);
}

TEST_P(Resumption, KeysRotate) {
    const auto keys = std::make_shared<TicketKeys>(3600, 2);
    keys->rotate(time(nullptr));
    const auto server_context = make(mutual(keys));
    const auto client_context = make(client());
    EXPECT_FALSE(connect(core, server_context, client_context).resumed);
    keys->rotate(time(nullptr));
    EXPECT_TRUE(connect(core, server_context, client_context).resumed) << "the old key opens still";
    EXPECT_TRUE(connect(core, server_context, client_context).resumed);
    keys->rotate(time(nullptr));
    keys->rotate(time(nullptr));
    keys->rotate(time(nullptr));
    const Outcome outcome = connect(core, server_context, client_context);
    EXPECT_TRUE(outcome.done);
    EXPECT_FALSE(outcome.resumed) << "no key is left that opens it";
}

TEST_P(Resumption, SessionsBelongToOnePeerAndWhatWasAskedOfIt) {
    const auto server_context = make(server(fresh_keys()));
    const auto client_context = make(client(false));
    ClientPeer peer;
    peer.sni = "shop.example";
    const SocketAddress here{IpAddress::v4(0x0a000001), 443}, there{IpAddress::v4(0x0a000002), 443};
    EXPECT_FALSE(connect(core, server_context, client_context, peer, here).resumed);
    EXPECT_FALSE(connect(core, server_context, client_context, peer, there).resumed);
    EXPECT_TRUE(connect(core, server_context, client_context, peer, here).resumed);
    ClientPeer strict = peer;
    strict.verify_host = "shop.example";
    EXPECT_FALSE(connect(core, server_context, client_context, strict, here).resumed);
    ClientPeer wanted = peer;
    wanted.subject_alt_names = {{SanMatcher::Type::kDns, SanMatcher::Kind::kExact, "shop.example"}};
    EXPECT_FALSE(connect(core, server_context, client_context, wanted, here).resumed);
    ClientPeer other = peer;
    other.sni = "a.shop.example";
    EXPECT_FALSE(connect(core, server_context, client_context, other, here).resumed);
    EXPECT_FALSE(connect(core, server_context, make(client(false)), peer, here).resumed) << "another context, another trust";
    EXPECT_TRUE(connect(core, server_context, client_context, strict, here).resumed);
}

TEST_P(Resumption, NoneWhereTheClientKeepsNone) {
    const auto server_context = make(server(fresh_keys()));
    ClientOptions options = client(false);
    options.sessions_max = 0;
    const auto client_context = make(std::move(options));
    for (int i = 0; i < 2; i++) {
        OurEnd server(core), client(core);
        server.serve(server_context);
        client.connect(client_context);
        pump(core, client, server);
        ASSERT_TRUE(client.result && server.result);
        EXPECT_FALSE(client.take_tickets);
        EXPECT_FALSE(client.result->resumed);
    }
}

INSTANTIATE_TEST_SUITE_P(Versions, Resumption, testing::Values(Version::kTls12, Version::kTls13));

/// TLS 1.3: each ticket once, so that two connections cannot be told to be of one client (RFC 8446 C.4); several are stocked.
TEST(Resumption13, TicketsAreUsedOnceAndSeveralAreStocked) {
    Core core;
    ServerOptions options = server_options();
    options.ticket_keys = fresh_keys();
    const auto server_context = make(std::move(options));
    const auto client_context = make(client_options());
    ASSERT_EQ(connect(core, server_context, client_context).tickets, 2);
    // Three at once, before any brings new tickets: two are resumed.
    int resumed = 0;
    for (int i = 0; i < 3; i++) {
        OurEnd server(core), client(core);
        server.serve(server_context);
        client.connect(client_context);
        pump(core, client, server);
        ASSERT_TRUE(client.result && server.result);
        resumed += client.result->resumed;
    }
    EXPECT_EQ(resumed, 2);
}

TEST(Resumption13, GarbageInsteadOfATicketEndsOnlyTheStocking) {
    Core core;
    ServerOptions options = server_options();
    options.ticket_keys = fresh_keys();
    const auto server_context = make(std::move(options));
    const auto client_context = make(client_options());
    OurEnd server(core), client(core);
    server.serve(server_context);
    client.connect(client_context);
    pump(core, client, server);
    ASSERT_TRUE(client.take_tickets);
    const std::string garbage = std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x');
    for (int i = 0; i < 3; i++) core.handshaker->take_ticket(*client.handshake, {reinterpret_cast<const uint8_t*>(garbage.data()), garbage.size()});
    core.poll_all();
    EXPECT_EQ(core.handshaker->live(), 0u) << "it has no more use";
    core.handshaker->finish(*std::exchange(client.handshake, nullptr));
    core.poll_all();
    EXPECT_EQ(core.handshaker->counters().tickets_taken, 0u);
}

// --- Early data (RFC 8446 4.2.10): never offered, never taken, and whoever sends some goes on without ---

class EarlyData : public testing::Test {
 protected:
    EarlyData() {
        options.ticket_keys = fresh_keys();
        const auto server_context = make(options);
        OurEnd server(core);
        server.serve(server_context);
        pump(core, server, first);
        first.read();
    }
    /// As if somebody else, with our ticket keys, had offered it. A copy each time: OpenSSL's client uses a session once.
    std::unique_ptr<SSL_SESSION, decltype(&SSL_SESSION_free)> forged() {
        SSL_SESSION* copy = SSL_SESSION_dup(first.sessions.at(0));
        SSL_SESSION_set_max_early_data(copy, 1 << 20);
        return {copy, SSL_SESSION_free};
    }
    /// A client that says "early" `times` in its first flight, then "late".
    void play(ServerOptions server_options, size_t times, size_t cut = SIZE_MAX) {
        const auto server_context = make(std::move(server_options));
        const auto session = forged();
        TheirEnd client(false, {}, session.get(), [&](SSL* ssl) {
            size_t written = 0;
            for (size_t i = 0; i < times; i++) EXPECT_EQ(SSL_write_early_data(ssl, "early", 5, &written), 1);
        });
        OurEnd server(core);
        server.serve(server_context);
        pump(core, server, client, cut);
        failure = server.failure, alert = server.alert;
        if (!server.result) return;
        ASSERT_TRUE(client.done);
        EXPECT_EQ(SSL_get_early_data_status(client.ssl()), SSL_EARLY_DATA_REJECTED);
        resumed = server.result->resumed;
        client.write("late");
        std::string bytes(server.result->leftover.begin(), server.result->leftover.end());
        bytes += client.take();
        EvpRecords records(server.result->keys);
        EXPECT_EQ(records.open(bytes), "late") << "what was early is nowhere";
        EXPECT_EQ(bytes, "");
    }

    Core core;
    ServerOptions options = server_options();
    TheirEnd first{false, {}};
    std::optional<Failure> failure;
    Alert alert = Alert::kCloseNotify;
    bool resumed = false;
};

TEST_F(EarlyData, IsNeverOffered) { EXPECT_EQ(SSL_SESSION_get_max_early_data(first.sessions.at(0)), 0u); }

TEST_F(EarlyData, SentAnywayIsPassedOverAndTheHandshakeGoesOn) {
    for (const size_t cut : {SIZE_MAX, size_t{100}, size_t{1}}) {
        resumed = false;
        play(options, 7, cut);
        EXPECT_FALSE(failure) << cut;
        EXPECT_TRUE(resumed) << "the ticket itself is good";
    }
}

TEST_F(EarlyData, WithATicketThatIsWorthNothing) {
    ServerOptions others = server_options();
    others.ticket_keys = fresh_keys();
    play(std::move(others), 7);
    EXPECT_FALSE(failure);
    EXPECT_FALSE(resumed);
}

TEST_F(EarlyData, BeforeAHelloRetryRequest) {
    options.parameters.groups = {"P-384"};   // OpenSSL's client shows X25519 first
    play(options, 7);
    EXPECT_FALSE(failure);
}

TEST_F(EarlyData, MoreThanIsPassedOverEndsTheConnection) {
    play(options, 3'000);
    EXPECT_EQ(failure, Failure::kProtocol);
    EXPECT_EQ(alert, Alert::kUnexpectedMessage);
}

}  // namespace
}  // namespace sluice::tls::test
