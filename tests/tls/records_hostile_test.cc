// What a hostile or broken peer may send after the handshake, and what it gets: the right alert, a counter, and not one plain byte of the
// record that was refused. RFC 8446 4.6.3, 5, 6; RFC 5246 7.2; limits as BoringSSL's. Records are made by OpenSSL's EVP.
#include <gtest/gtest.h>

#include "tests/tls/record_harness.h"

namespace sluice::tls::test {
namespace {

using Status = Records::Status;

constexpr uint8_t kTicket = 4, kUpdate = 24;

Bytes message(uint8_t type, const Bytes& body) {
    Bytes bytes = {type, static_cast<uint8_t>(body.size() >> 16), static_cast<uint8_t>(body.size() >> 8), static_cast<uint8_t>(body.size())};
    bytes.insert(bytes.end(), body.begin(), body.end());
    return bytes;
}
Bytes key_update(uint8_t request) { return message(kUpdate, {request}); }
/// In order, also where each part takes the next sequence number.
Bytes join(std::initializer_list<Bytes> parts) {
    Bytes all;
    for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
}

/// One connection of ours with a peer that says what it likes.
class Hostile : public ::testing::Test {
 protected:
    void start(const Suite& suite, Role role = Role::kServer) {
        Rng rng(7);
        TrafficKeys keys = random_keys(suite, role, rng);
        peer.emplace(mirror(keys));
        records.emplace(memory.engine, keys);
    }
    void start13(Role role = Role::kServer) { start(suites()[0], role); }
    void start12(Role role = Role::kServer) { start(suites()[3], role); }
    Status give(const Bytes& wire) {
        push(in, wire);
        return records->open(in, plain, UINT64_MAX);
    }
    void expect_refused(const Bytes& wire, Alert alert) {
        const uint64_t before = plain.bytes();
        ASSERT_EQ(give(wire), Status::kError);
        EXPECT_EQ(records->alert(), alert) << to_string(records->alert());
        EXPECT_EQ(plain.bytes(), before);
        EXPECT_TRUE(in.empty());
        expect_alert_sent(alert);
        // It stays so, whatever comes.
        EXPECT_EQ(give(peer->seal(kDataType, Bytes(10, 'x'))), Status::kError);
        EXPECT_EQ(plain.bytes(), before);
        EXPECT_TRUE(in.empty());
        EXPECT_FALSE(records->has_control());
        push(plain, Bytes(1, 'x'));
        EXPECT_FALSE(records->seal(plain, out, Instant{}));
        EXPECT_TRUE(out.empty());
    }
    void expect_alert_sent(Alert alert) {
        ASSERT_TRUE(records->has_control());
        ASSERT_TRUE(records->take_control(out));
        Bytes wire = taken(out);
        const auto record = peer->open(wire);
        EXPECT_TRUE(wire.empty());
        EXPECT_EQ(record.type, kAlertType);
        EXPECT_EQ(record.content, (Bytes{2, static_cast<uint8_t>(alert)}));
    }
    void expect_data(const Bytes& text = Bytes(100, 'd')) {
        ASSERT_EQ(give(peer->seal(kDataType, text)), Status::kOk);
        ASSERT_EQ(taken(plain), text);
    }
    const RecordCounters& counters() const { return memory.engine.counters(); }

    Memory memory;
    std::optional<ReferenceRecords> peer;
    std::optional<Records> records;
    SliceQueue in{memory.nodes}, plain{memory.nodes}, out{memory.nodes};
};

// --- Integrity ---

TEST_F(Hostile, AnyChangedBitIsABadMac) {
    const Bytes good = [&] {
        start13();
        return peer->seal(kDataType, Bytes(40, 'x'));
    }();
    for (const Suite& suite : suites()) {
        start(suite);
        const size_t size = peer->seal(kDataType, Bytes(40, 'x')).size();
        for (size_t at = 5; at < size; at++) {
            start(suite);
            Bytes wire = peer->seal(kDataType, Bytes(40, 'x'));
            wire[at] ^= static_cast<uint8_t>(1u << at % 8);
            expect_refused(wire, Alert::kBadRecordMac);
            plain.clear();
        }
    }
    EXPECT_GT(counters().bad_mac, 300u);
    EXPECT_EQ(counters().records_in, 0u);
}

TEST_F(Hostile, RecordsReplayedSkippedOrFromTheOtherDirection) {
    start13();
    const Bytes first = peer->seal(kDataType, Bytes(10, 'x'));
    EXPECT_EQ(give(first), Status::kOk);
    plain.clear();
    expect_refused(first, Alert::kBadRecordMac);
    plain.clear();
    start12();
    (void)peer->seal(kDataType, Bytes(10, 'x'));
    expect_refused(peer->seal(kDataType, Bytes(10, 'x')), Alert::kBadRecordMac);
    plain.clear();
    start13();
    push(plain, Bytes(10, 'x'));
    ASSERT_TRUE(records->seal(plain, out, Instant{}));
    peer->keys().receive.sequence++;
    expect_refused(taken(out), Alert::kBadRecordMac);
}

TEST_F(Hostile, AGoodRecordBehindABadOneIsNotOpened) {
    start13();
    Bytes wire = peer->seal(kDataType, Bytes(10, 'a'));
    Bytes bad = peer->seal(kDataType, Bytes(10, 'b'));
    bad.back() ^= 1;
    ASSERT_EQ(give(join({wire, bad, peer->seal(kDataType, Bytes(10, 'c'))})), Status::kError);
    EXPECT_EQ(taken(plain), Bytes(10, 'a'));   // what was good before stays
    EXPECT_TRUE(in.empty());
}

TEST_F(Hostile, ABadRecordAnswersAlikeWhereverItIsBad) {
    // Wrong padding, type or content behind a wrong tag look like any wrong tag: no oracle.
    for (const size_t padding : {0, 1, 100}) {
        start13();
        Bytes wire = peer->seal(99, {}, padding);
        wire.back() ^= 1;
        expect_refused(wire, Alert::kBadRecordMac);
        plain.clear();
    }
}

// --- Headers ---

TEST_F(Hostile, LengthsBeyondTheLimitAreRefusedByTheHeaderAlone) {
    start13();
    EXPECT_EQ(give({23, 3, 3, 0x40, 0x11}), Status::kOk);   // 2^14 + 17: as long as it may be
    start13();
    in.clear();
    expect_refused({23, 3, 3, 0x41, 0x01}, Alert::kRecordOverflow);   // 2^14 + 257
    plain.clear();
    start12();
    expect_refused({23, 3, 3, 0x48, 0x01}, Alert::kRecordOverflow);   // 2^14 + 2049
    plain.clear();
    start12();
    expect_refused({23, 3, 3, 0xff, 0xff}, Alert::kRecordOverflow);
    EXPECT_EQ(counters().bad_record, 3u);
}

TEST_F(Hostile, PlaintextOfTheLargestSizeAndOneMore) {
    for (const Suite& suite : suites()) {
        start(suite);
        expect_data(Bytes(kPlaintextMax, 'x'));
        const bool tls13 = suite.version == Version::kTls13;
        if (tls13) {
            ASSERT_EQ(give(peer->seal(kDataType, Bytes(1, 'x'), kPlaintextMax - 1)), Status::kOk);
            EXPECT_EQ(taken(plain), Bytes(1, 'x'));
            expect_refused(peer->seal_inner(Bytes(kPlaintextMax + 2, 'x')), Alert::kRecordOverflow);   // inner 2^14 + 2
        } else {
            expect_refused(peer->seal(kDataType, Bytes(kPlaintextMax + 1, 'x')), Alert::kRecordOverflow);
        }
        plain.clear();
    }
}

TEST_F(Hostile, RecordsTooShortForATag) {
    for (const Suite& suite : suites()) {
        start(suite);
        expect_refused(join({{23, 3, 3, 0, 15}, Bytes(15, 0)}), Alert::kBadRecordMac);
        plain.clear();
        start(suite);
        expect_refused({23, 3, 3, 0, 0}, Alert::kBadRecordMac);
        plain.clear();
    }
}

TEST_F(Hostile, WrongVersionBytes) {
    for (const uint16_t version : {0x0300, 0x0301, 0x0302, 0x0304, 0x0203, 0xfefd, 0x0000}) {
        for (const size_t i : {size_t{0}, size_t{3}}) {
            start(suites()[i]);
            expect_refused(peer->seal_inner(Bytes{'x', kDataType}, kDataType, version), Alert::kProtocolVersion);
            plain.clear();
        }
    }
}

TEST_F(Hostile, TlsOnlyAfterTheHandshakeNoPlaintextOfAnyKind) {
    for (const uint8_t type : {20, 21, 22, 24, 0, 255}) {
        start13();
        expect_refused(Bytes{type, 3, 3, 0, 2, 1, 0}, Alert::kUnexpectedMessage);   // an unprotected alert, a change_cipher_spec, ...
        plain.clear();
    }
    for (const uint8_t type : {20, 24, 0, 255}) {
        start12();
        expect_refused(Bytes{type, 3, 3, 0, 1, 1}, Alert::kUnexpectedMessage);
        plain.clear();
    }
    start12();
    expect_refused(Bytes{21, 3, 3, 0, 2, 1, 0}, Alert::kBadRecordMac);   // an unprotected close_notify truncates nothing
    plain.clear();
    start13();
    expect_refused(Bytes{'G', 'E', 'T', ' ', '/'}, Alert::kProtocolVersion);
}

TEST_F(Hostile, AProtected13RecordWithAnotherOuterType) {
    for (const uint8_t type : {20, 21, 22}) {
        start13();
        expect_refused(peer->seal_inner(Bytes{'x', kDataType}, type), Alert::kUnexpectedMessage);
        plain.clear();
    }
}

// --- Contents ---

TEST_F(Hostile, InnerPlaintextOfZerosAlone) {
    for (const size_t size : {size_t{0}, size_t{1}, size_t{100}, size_t{kPlaintextMax + 1}}) {
        start13();
        expect_refused(peer->seal_inner(Bytes(size, 0)), Alert::kUnexpectedMessage);
        plain.clear();
    }
}

TEST_F(Hostile, UnknownInnerTypes) {
    for (const uint8_t type : {1, 20, 24, 255}) {
        start13();
        expect_refused(peer->seal(type, Bytes(10, 'x')), Alert::kUnexpectedMessage);
        plain.clear();
    }
}

TEST_F(Hostile, EmptyRecordsAreToleratedNotInFloods) {
    for (const Suite& suite : suites()) {
        start(suite);
        for (int round = 0; round < 3; round++) {
            for (uint32_t i = 0; i < kRecordsWithoutDataMax; i++) ASSERT_EQ(give(peer->seal(kDataType, {})), Status::kOk);
            expect_data();
        }
        const uint64_t floods = counters().floods;
        for (uint32_t i = 0; i < kRecordsWithoutDataMax; i++) ASSERT_EQ(give(peer->seal(kDataType, {})), Status::kOk);
        expect_refused(peer->seal(kDataType, {}), Alert::kUnexpectedMessage);
        EXPECT_EQ(counters().floods, floods + 1);
        plain.clear();
    }
}

TEST_F(Hostile, EmptyRecordsInOneCallStopAtTheLimitToo) {
    start13();
    Bytes wire;
    for (int i = 0; i < 1000; i++) wire = join({wire, peer->seal(kDataType, {})});
    EXPECT_EQ(give(wire), Status::kError);
    EXPECT_EQ(counters().records_in, kRecordsWithoutDataMax + 1);
}

TEST_F(Hostile, EmptyAlertAndHandshakeRecords) {
    for (const size_t i : {size_t{0}, size_t{3}}) {
        for (const uint8_t type : {kAlertType, kHandshakeType}) {
            start(suites()[i]);
            expect_refused(peer->seal(type, {}), Alert::kUnexpectedMessage);
            plain.clear();
        }
    }
}

// --- Alerts ---

TEST_F(Hostile, AlertsOfTheWrongSize) {
    for (const size_t i : {size_t{0}, size_t{3}}) {
        for (const Bytes& content : {Bytes{1}, Bytes{1, 0, 1}, Bytes{1, 0, 1, 0}}) {
            start(suites()[i]);
            expect_refused(peer->seal(kAlertType, content), Alert::kDecodeError);
            plain.clear();
        }
    }
}

TEST_F(Hostile, AFatalAlertOfThePeerIsReportedAndNotAnswered) {
    for (const size_t i : {size_t{0}, size_t{3}}) {
        start(suites()[i]);
        EXPECT_EQ(give(join({peer->seal(kAlertType, Bytes{2, 45}), peer->seal(kDataType, Bytes(10, 'x'))})), Status::kPeerAlert);
        EXPECT_EQ(records->alert(), Alert::kCertificateExpired);
        EXPECT_FALSE(records->has_control());
        EXPECT_TRUE(plain.empty());
        EXPECT_TRUE(in.empty());
        EXPECT_EQ(give(peer->seal(kDataType, Bytes(10, 'x'))), Status::kPeerAlert);
        push(plain, Bytes(1, 'x'));
        EXPECT_FALSE(records->seal(plain, out, Instant{}));
        records->close_notify();
        EXPECT_FALSE(records->has_control());
        plain.clear();
    }
}

TEST_F(Hostile, In13TheLevelOfAnAlertMeansNothing) {
    start13();
    EXPECT_EQ(give(peer->seal(kAlertType, Bytes{1, 40})), Status::kPeerAlert);
    EXPECT_EQ(records->alert(), Alert::kHandshakeFailure);
    start13();
    EXPECT_EQ(give(peer->seal(kAlertType, Bytes{2, 0})), Status::kClosed);
    start13();
    EXPECT_EQ(give(peer->seal(kAlertType, Bytes{2, 90})), Status::kOk);
    start13();
    EXPECT_EQ(give(peer->seal(kAlertType, Bytes{77, 200})), Status::kPeerAlert);   // unknown ones are errors
}

TEST_F(Hostile, WarningsAreToleratedNotInFloods) {
    for (const bool tls13 : {true, false}) {
        tls13 ? start13() : start12();
        const Bytes warning = {1, static_cast<uint8_t>(tls13 ? 90 : 112)};   // user_canceled; unrecognized_name
        for (int round = 0; round < 3; round++) {
            for (uint32_t i = 0; i < kWarningAlertsMax; i++) ASSERT_EQ(give(peer->seal(kAlertType, warning)), Status::kOk);
            expect_data();
        }
        for (uint32_t i = 0; i < kWarningAlertsMax; i++) ASSERT_EQ(give(peer->seal(kAlertType, warning)), Status::kOk);
        expect_refused(peer->seal(kAlertType, warning), Alert::kUnexpectedMessage);
        plain.clear();
    }
    EXPECT_EQ(counters().floods, 2u);
    start12();
    expect_refused(peer->seal(kAlertType, Bytes{3, 80}), Alert::kIllegalParameter);   // no such level
}

TEST_F(Hostile, WhatFollowsCloseNotifyIsIgnoredAndTheOtherDirectionGoesOn) {
    start13();
    ASSERT_EQ(give(join({peer->seal(kDataType, Bytes(5, 'a')), peer->seal(kAlertType, Bytes{1, 0}), peer->seal(kDataType, Bytes(5, 'b')), Bytes(50, 'z')})),
              Status::kClosed);
    EXPECT_EQ(taken(plain), Bytes(5, 'a'));
    EXPECT_TRUE(in.empty());
    push(plain, Bytes(5, 'c'));
    ASSERT_TRUE(records->seal(plain, out, Instant{}));
    Bytes wire = taken(out);
    EXPECT_EQ(peer->open(wire).content, Bytes(5, 'c'));
    records->close_notify();
    ASSERT_TRUE(records->take_control(out));
    wire = taken(out);
    EXPECT_EQ(peer->open(wire).content, (Bytes{1, 0}));
}

// --- Key updates ---

TEST_F(Hostile, KeyUpdateFloods) {
    for (const uint8_t request : {0, 1}) {
        start13();
        for (uint32_t i = 0; i < kRecordsWithoutDataMax; i++) {
            ASSERT_EQ(give(peer->seal(kHandshakeType, key_update(request))), Status::kOk);
            ReferenceRecords::update(peer->keys().transmit, peer->keys());
        }
        if (request == 1) {   // one answer for all
            ASSERT_TRUE(records->take_control(out));
            Bytes wire = taken(out);
            const auto answer = peer->open(wire);
            EXPECT_EQ(answer.type, kHandshakeType);
            EXPECT_EQ(answer.content, key_update(0));
            EXPECT_TRUE(wire.empty());
            ReferenceRecords::update(peer->keys().receive, peer->keys());
        }
        EXPECT_FALSE(records->has_control());
        expect_refused(peer->seal(kHandshakeType, key_update(request)), Alert::kUnexpectedMessage);
        plain.clear();
    }
    EXPECT_EQ(counters().floods, 2u);
}

TEST_F(Hostile, KeyUpdatesThatAreMalformed) {
    const std::pair<Bytes, Alert> cases[] = {
        {message(kUpdate, {2}), Alert::kIllegalParameter},
        {message(kUpdate, {255}), Alert::kIllegalParameter},
        {message(kUpdate, {}), Alert::kDecodeError},
        {message(kUpdate, {0, 0}), Alert::kDecodeError},
        {join({key_update(0), key_update(0)}), Alert::kUnexpectedMessage},   // a key change ends its record
        {join({key_update(0), {kUpdate}}), Alert::kUnexpectedMessage},
    };
    for (const auto& [content, alert] : cases) {
        start13();
        expect_refused(peer->seal(kHandshakeType, content), alert);
        plain.clear();
    }
}

TEST_F(Hostile, AKeyUpdateCutOverRecordsAndData) {
    start13();
    for (const uint8_t byte : key_update(0)) ASSERT_EQ(give(peer->seal(kHandshakeType, Bytes{byte})), Status::kOk);
    ReferenceRecords::update(peer->keys().transmit, peer->keys());
    expect_data();
    ASSERT_EQ(give(peer->seal(kHandshakeType, Bytes{kUpdate, 0})), Status::kOk);
    expect_refused(peer->seal(kDataType, Bytes(10, 'x')), Alert::kUnexpectedMessage);   // RFC 8446 5.1: no record between
}

TEST_F(Hostile, ARecordUnderTheOldKeyAfterAKeyUpdate) {
    start13();
    const auto old_keys = peer->keys();
    ASSERT_EQ(give(peer->seal(kHandshakeType, key_update(0))), Status::kOk);
    ReferenceRecords old(old_keys);
    (void)old.seal(kDataType, {});
    expect_refused(old.seal(kDataType, Bytes(10, 'x')), Alert::kBadRecordMac);
}

TEST_F(Hostile, OurKeyChangesBeforeItsLimit) {
    for (size_t i = 0; i < 3; i++) {
        start(suites()[i]);
        records->set_sequence_for_test(0, kKeyRecordsMax - 1);
        peer->keys().receive.sequence = kKeyRecordsMax - 1;
        push(plain, Bytes(3000, 'x'));
        ASSERT_TRUE(records->seal(plain, out, Instant{}));
        Bytes wire = taken(out), opened = peer->open(wire).content;
        const auto update = peer->open(wire);
        EXPECT_EQ(update.type, kHandshakeType);
        EXPECT_EQ(update.content, key_update(0));
        ReferenceRecords::update(peer->keys().receive, peer->keys());
        while (!wire.empty()) opened = join({opened, peer->open(wire).content});
        EXPECT_EQ(opened, Bytes(3000, 'x'));
    }
    EXPECT_EQ(counters().key_updates_out, 3u);
    static_assert(kKeyRecordsMax * 2 < 23'726'566, "RFC 8446 5.5: 2^24.5");
}

TEST_F(Hostile, APeerThatNeverChangesItsKeyIsAskedTo) {
    start13();
    const uint64_t ask_at = kKeyRecordsMax + kKeyRecordsMax / 2;
    records->set_sequence_for_test(ask_at - 1, 0);
    peer->keys().transmit.sequence = ask_at - 1;
    expect_data();
    ASSERT_TRUE(records->has_control());
    ASSERT_TRUE(records->take_control(out));
    Bytes wire = taken(out);
    EXPECT_EQ(peer->open(wire).content, key_update(1));
}

TEST_F(Hostile, SequenceNumbersNeverWrap) {
    for (const Suite& suite : suites()) {
        start(suite);
        records->set_sequence_for_test(UINT64_MAX - 1, peer->keys().receive.sequence);
        peer->keys().transmit.sequence = UINT64_MAX - 1;
        expect_data();
        expect_refused(peer->seal(kDataType, Bytes(10, 'x')), Alert::kInternalError);
        plain.clear();
        if (suite.version == Version::kTls13) continue;   // changes its key long before
        start(suite);
        records->set_sequence_for_test(0, UINT64_MAX);
        push(plain, Bytes(10, 'x'));
        EXPECT_FALSE(records->seal(plain, out, Instant{}));
        EXPECT_TRUE(out.empty());
        records->send_alert(Alert::kInternalError);
        EXPECT_TRUE(records->take_control(out));   // nothing can be said any more
        EXPECT_FALSE(records->has_control());
        EXPECT_TRUE(out.empty());
        plain.clear();
    }
}

TEST_F(Hostile, NoncesOfManyRecordsAreAllDifferent) {
    start12();   // explicit: visible
    std::vector<Bytes> nonces;
    for (int i = 0; i < 100; i++) {
        push(plain, Bytes(4000, 'x'));
        ASSERT_TRUE(records->seal(plain, out, Instant{}));
        for (Bytes wire = taken(out); !wire.empty();) {
            nonces.emplace_back(wire.begin() + 5, wire.begin() + 13);
            ASSERT_EQ(peer->open(wire).type, kDataType);
        }
    }
    std::sort(nonces.begin(), nonces.end());
    EXPECT_EQ(std::adjacent_find(nonces.begin(), nonces.end()), nonces.end());
}

// --- Handshake messages ---

TEST_F(Hostile, AServerGetsNoHandshakeMessageButKeyUpdate) {
    for (const uint8_t type : {0, 1, 2, 4, 5, 8, 11, 13, 15, 20, 254}) {
        start13();
        expect_refused(peer->seal(kHandshakeType, message(type, Bytes(40, 0))), Alert::kUnexpectedMessage);
        plain.clear();
    }
}

TEST_F(Hostile, AClientGetsTicketsAndKeyUpdatesAlone) {
    for (const uint8_t type : {0, 1, 2, 5, 8, 11, 13, 15, 20, 254}) {   // 13: post-handshake authentication was not offered
        start13(Role::kClient);
        expect_refused(peer->seal(kHandshakeType, message(type, Bytes(40, 0))), Alert::kUnexpectedMessage);
        plain.clear();
    }
    start13(Role::kClient);
    expect_refused(peer->seal(kHandshakeType, message(kTicket, Bytes(13, 0))), Alert::kDecodeError);
    plain.clear();
    start13(Role::kClient);
    expect_refused(peer->seal(kHandshakeType, Bytes{kTicket, 0xff, 0xff, 0xff}), Alert::kIllegalParameter);
}

TEST_F(Hostile, TicketsCutAndJoinedAreHandedOnRecordByRecord) {
    start13(Role::kClient);
    const Bytes ticket = message(kTicket, Bytes(300, 1));
    const Bytes two_and_a_part = join({ticket, ticket, Bytes(ticket.begin(), ticket.begin() + 2)});
    const Bytes rest(ticket.begin() + 2, ticket.end());
    Bytes wire[3] = {peer->seal(kHandshakeType, two_and_a_part), peer->seal(kHandshakeType, rest), peer->seal(kHandshakeType, ticket, 50)};
    push(in, join({wire[0], wire[1], wire[2]}));
    for (const Bytes& record : wire) {
        ASSERT_EQ(records->open(in, plain, UINT64_MAX), Status::kPostHandshake);
        const auto kept = records->post_handshake_record();
        EXPECT_EQ(Bytes(kept.begin(), kept.end()), record);
    }
    EXPECT_EQ(records->open(in, plain, UINT64_MAX), Status::kOk);
    expect_data();
    EXPECT_TRUE(records->application_data_seen());
    EXPECT_EQ(give(peer->seal(kHandshakeType, ticket)), Status::kOk);   // too late for OpenSSL, whose numbers are behind
}

TEST_F(Hostile, TicketFloods) {
    start13(Role::kClient);
    const Bytes ticket = message(kTicket, Bytes(30, 1));
    for (uint32_t i = 0; i < kRecordsWithoutDataMax; i++) ASSERT_EQ(give(peer->seal(kHandshakeType, ticket)), Status::kPostHandshake);
    expect_refused(peer->seal(kHandshakeType, ticket), Alert::kUnexpectedMessage);
    EXPECT_EQ(counters().floods, 1u);
}

TEST_F(Hostile, AfterAnythingThatOpensslDidNotSeeNoTicketIsHandedOn) {
    start13(Role::kClient);
    ASSERT_EQ(give(peer->seal(kHandshakeType, key_update(0))), Status::kOk);
    ReferenceRecords::update(peer->keys().transmit, peer->keys());
    EXPECT_TRUE(records->application_data_seen());
    EXPECT_EQ(give(peer->seal(kHandshakeType, message(kTicket, Bytes(30, 1)))), Status::kOk);
    start13(Role::kClient);
    ASSERT_EQ(give(peer->seal(kAlertType, Bytes{1, 90})), Status::kOk);
    EXPECT_TRUE(records->application_data_seen());
}

TEST_F(Hostile, RenegotiationIsRefusedOnBothEnds) {
    start12();
    expect_refused(peer->seal(kHandshakeType, message(1, Bytes(100, 0))), Alert::kNoRenegotiation);   // ClientHello
    plain.clear();
    start12(Role::kClient);
    expect_refused(peer->seal(kHandshakeType, message(0, {})), Alert::kNoRenegotiation);              // HelloRequest
    plain.clear();
    start12(Role::kClient);
    expect_refused(peer->seal(kHandshakeType, message(4, Bytes(20, 0))), Alert::kUnexpectedMessage);
}

// --- The layer above ---

TEST_F(Hostile, TheFirstAlertStandsAndIsSentOnce) {
    start13();
    records->send_alert(Alert::kInternalError);
    records->send_alert(Alert::kDecodeError);
    records->close_notify();
    expect_alert_sent(Alert::kInternalError);
    EXPECT_FALSE(records->has_control());
    EXPECT_EQ(give(peer->seal(kDataType, Bytes(5, 'x'))), Status::kError);
    EXPECT_TRUE(plain.empty());
}

TEST_F(Hostile, AnAlertWaitsWhereMbufsAreOut) {
    start13();
    records->send_alert(Alert::kInternalError);
    memory.nodes.withhold(0);
    EXPECT_FALSE(records->take_control(out));
    EXPECT_TRUE(records->has_control());
    memory.nodes.restore();
    expect_alert_sent(Alert::kInternalError);
}

}  // namespace
}  // namespace sluice::tls::test
