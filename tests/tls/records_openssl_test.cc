// Our record layer against OpenSSL's own after a real handshake, as server and as client: data both ways, key updates both ways, tickets,
// close_notify, alerts. What OpenSSL takes and sends is the judge.
#include <gtest/gtest.h>
#include <openssl/err.h>

#include <cstdlib>

#include "tests/tls/openssl_peer.h"

namespace sluice::tls::test {
namespace {

using Status = Records::Status;

uint64_t seed() {
    const char* given = std::getenv("SLUICE_SEED");
    return given ? std::strtoull(given, nullptr, 0) : 20261127;
}

struct Pairing {
    Suite suite;
    Role ours;
};

std::vector<Pairing> pairings(bool tls13_only) {
    std::vector<Pairing> all;
    for (const Suite& suite : suites()) {
        if (tls13_only && suite.version != Version::kTls13) continue;
        all.push_back({suite, Role::kServer});
        all.push_back({suite, Role::kClient});
    }
    return all;
}

std::string name_of(const ::testing::TestParamInfo<Pairing>& info) {
    std::string name = std::string(info.param.ours == Role::kServer ? "Server_" : "Client_") + info.param.suite.name;
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
}

class AgainstOpenssl : public ::testing::TestWithParam<Pairing> {
 protected:
    AgainstOpenssl() : rng(seed()), peer(GetParam().suite, GetParam().ours), in(memory.nodes), plain(memory.nodes), out(memory.nodes) {
        TrafficKeys keys = peer.keys();
        records.emplace(memory.engine, keys);
    }
    void send(const Bytes& text) {
        push_cut(plain, text, rng);
        ASSERT_TRUE(records->seal(plain, out, Instant{now_us += 1000}));
        peer.to_peer(taken(out));
    }
    Status receive(Bytes& text) {
        push_cut(in, peer.from_peer(), rng);
        const Status status = records->open(in, plain, UINT64_MAX);
        text = taken(plain);
        return status;
    }
    void expect_both_ways(size_t bytes) {
        const Bytes text = random_bytes(rng, bytes);
        send(text);
        ASSERT_EQ(peer.read(), text);
        ASSERT_TRUE(peer.write(text));
        Bytes received;
        ASSERT_EQ(receive(received), Status::kOk);
        ASSERT_EQ(received, text);
    }
    void control() {
        ASSERT_TRUE(records->take_control(out));
        peer.to_peer(taken(out));
    }
    Memory memory;
    Rng rng;
    OpensslPeer peer;
    std::optional<Records> records;
    SliceQueue in, plain, out;
    uint64_t now_us = 0;
};
INSTANTIATE_TEST_SUITE_P(Records, AgainstOpenssl, ::testing::ValuesIn(pairings(false)), name_of);
class AgainstOpenssl13 : public AgainstOpenssl {};
INSTANTIATE_TEST_SUITE_P(Records, AgainstOpenssl13, ::testing::ValuesIn(pairings(true)), name_of);

TEST_P(AgainstOpenssl, DataBothWays) {
    SCOPED_TRACE("SLUICE_SEED=" + std::to_string(seed()));
    for (int i = 0; i < 60; i++) expect_both_ways(i < 20 ? static_cast<size_t>(i + 1) : rng.between(1, 100'000));
}

TEST_P(AgainstOpenssl, CloseNotifyBothWays) {
    expect_both_ways(100);
    records->close_notify();
    ASSERT_TRUE(records->has_control());
    control();
    EXPECT_FALSE(records->has_control());
    EXPECT_TRUE(peer.read().empty());
    EXPECT_EQ(peer.last_error(), SSL_ERROR_ZERO_RETURN);
    SSL_shutdown(peer.ssl());
    Bytes received;
    EXPECT_EQ(receive(received), Status::kClosed);
    EXPECT_EQ(receive(received), Status::kClosed);
    push(plain, Bytes(10, 'x'));
    EXPECT_FALSE(records->seal(plain, out, Instant{}));
}

TEST_P(AgainstOpenssl, OurAlertIsReadAsOne) {
    ERR_clear_error();
    records->send_alert(Alert::kAccessDenied);
    control();
    EXPECT_TRUE(peer.read().empty());
    EXPECT_EQ(peer.last_error(), SSL_ERROR_SSL);
    EXPECT_EQ(ERR_GET_REASON(ERR_peek_error()), SSL_R_TLSV1_ALERT_ACCESS_DENIED);
    Bytes received;
    EXPECT_EQ(receive(received), Status::kError);
}

TEST_P(AgainstOpenssl, ABadMacEndsItWithTheRightAlert) {
    ERR_clear_error();
    ASSERT_TRUE(peer.write(Bytes(1000, 'x')));
    Bytes wire = peer.from_peer();
    wire[wire.size() - 20] ^= 1;
    push_cut(in, wire, rng);
    EXPECT_EQ(records->open(in, plain, UINT64_MAX), Status::kError);
    EXPECT_TRUE(plain.empty());
    EXPECT_TRUE(in.empty());
    EXPECT_EQ(records->alert(), Alert::kBadRecordMac);
    control();
    peer.read();
    EXPECT_EQ(ERR_GET_REASON(ERR_peek_error()), SSL_R_SSLV3_ALERT_BAD_RECORD_MAC);
    EXPECT_EQ(memory.engine.counters().bad_mac, 1u);
}

TEST_P(AgainstOpenssl, OpensslRefusesARenegotiationAsWeDo) {
    if (GetParam().suite.version != Version::kTls12) {   // there is none in 1.3
        EXPECT_EQ(SSL_renegotiate(peer.ssl()), 0);
        return;
    }
    ASSERT_EQ(SSL_renegotiate(peer.ssl()), 1);
    SSL_do_handshake(peer.ssl());   // HelloRequest or ClientHello
    Bytes received;
    EXPECT_EQ(receive(received), Status::kError);
    EXPECT_EQ(records->alert(), Alert::kNoRenegotiation);
    ERR_clear_error();
    control();
    peer.read();
    EXPECT_EQ(peer.last_error(), SSL_ERROR_SSL);
}

TEST_P(AgainstOpenssl13, KeyUpdatesOfThePeer) {
    for (const int kind : {SSL_KEY_UPDATE_NOT_REQUESTED, SSL_KEY_UPDATE_REQUESTED, SSL_KEY_UPDATE_REQUESTED}) {
        expect_both_ways(1000);
        ASSERT_EQ(SSL_key_update(peer.ssl(), kind), 1);
        ASSERT_TRUE(peer.write(Bytes(3000, 'y')));
        Bytes received;
        ASSERT_EQ(receive(received), Status::kOk);
        EXPECT_EQ(received, Bytes(3000, 'y'));
        EXPECT_EQ(records->has_control(), kind == SSL_KEY_UPDATE_REQUESTED);
    }
    expect_both_ways(50'000);
    EXPECT_FALSE(records->has_control());   // went in front of the data
    EXPECT_EQ(memory.engine.counters().key_updates_in, 3u);
    EXPECT_EQ(memory.engine.counters().key_updates_out, 2u);
}

TEST_P(AgainstOpenssl13, AnAnsweredKeyUpdateWithoutDataBehind) {
    ASSERT_EQ(SSL_key_update(peer.ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
    SSL_do_handshake(peer.ssl());
    Bytes received;
    ASSERT_EQ(receive(received), Status::kOk);
    ASSERT_TRUE(records->has_control());
    control();
    EXPECT_TRUE(peer.read().empty());
    EXPECT_EQ(peer.last_error(), SSL_ERROR_WANT_READ);
    expect_both_ways(1000);
}

TEST_P(AgainstOpenssl13, ManyKeyUpdatesBothWaysWithDataBetween) {
    for (int i = 0; i < 200; i++) {
        ASSERT_EQ(SSL_key_update(peer.ssl(), i % 3 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        expect_both_ways(rng.between(1, 5000));
    }
    EXPECT_EQ(memory.engine.counters().key_updates_in, 200u);
}

class ClientTickets : public ::testing::TestWithParam<Suite> {};
INSTANTIATE_TEST_SUITE_P(Records, ClientTickets, ::testing::ValuesIn(suites().begin(), suites().begin() + 3),
                         [](const auto& info) { return std::string(info.param.name); });

// OpenSSL keeps the keys of resumption: it gets each ticket's record as it came, and makes sessions of them.
TEST_P(ClientTickets, GoToOpensslAsTheyCame) {
    OpensslPeer peer(GetParam(), Role::kClient, 3);
    Memory memory;
    Rng rng(seed());
    SliceQueue in(memory.nodes), plain(memory.nodes);
    TrafficKeys keys = peer.keys();
    Records records(memory.engine, keys);
    static int sessions;
    sessions = 0;
    SSL_CTX_sess_set_new_cb(SSL_get_SSL_CTX(peer.our_ssl()), [](SSL*, SSL_SESSION*) { return sessions++, 0; });
    ASSERT_TRUE(peer.write(Bytes(100, 'x')));
    push_cut(in, peer.from_peer(), rng);
    int tickets = 0;
    Status status;
    while ((status = records.open(in, plain, UINT64_MAX)) == Status::kPostHandshake) {
        tickets++;
        EXPECT_FALSE(records.application_data_seen());
        const auto record = records.post_handshake_record();
        peer.to_our_ssl(record);
        uint8_t byte;
        EXPECT_EQ(SSL_read(peer.our_ssl(), &byte, 1), -1);
    }
    EXPECT_EQ(status, Status::kOk);
    EXPECT_EQ(tickets, 3);
    EXPECT_EQ(sessions, 3);
    EXPECT_EQ(taken(plain), Bytes(100, 'x'));
    EXPECT_TRUE(records.application_data_seen());
    // Tickets that come later are valid and passed over.
    ASSERT_EQ(SSL_new_session_ticket(peer.ssl()), 1);
    ASSERT_TRUE(peer.write(Bytes(10, 'y')));
    push_cut(in, peer.from_peer(), rng);
    EXPECT_EQ(records.open(in, plain, UINT64_MAX), Status::kOk);
    EXPECT_EQ(taken(plain), Bytes(10, 'y'));
}

}  // namespace
}  // namespace sluice::tls::test
