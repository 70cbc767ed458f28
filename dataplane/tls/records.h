// TLS records of one connection after its handshake, by ipsec-mb on mbufs: opened in place, sealed in one pass into fresh mbufs.
// In: the receive queue of the transport, plain slices to send. Out: plain slices, sealed slices, alerts and key updates handled here.
// A Records object holds raw keys and sequence numbers (at most 256 bytes); expanded keys are lent by its core's RecordEngine while it
// is active. Single core; no allocation. RFC 8446 5, 4.6.3, 5.5, 6; RFC 5288, RFC 7905 for 1.2.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/slice.h"
#include "base/time.h"
#include "tls/types.h"

namespace sluice::tls {

struct RecordCounters {
    uint64_t records_in = 0, records_out = 0, bytes_in = 0, bytes_out = 0;   // plain bytes
    uint64_t opened_in_place = 0, gathered = 0;                              // records that lay in one mbuf, and those over several
    uint64_t key_updates_in = 0, key_updates_out = 0, alerts_in = 0, alerts_out = 0;
    uint64_t bad_mac = 0, bad_record = 0, floods = 0, no_mbuf = 0;
    uint64_t keys_expanded = 0, keys_evicted = 0;
};

class Records;

inline constexpr uint64_t kKeyRecordsMax = uint64_t{1} << 23;   // sealed with one 1.3 key; RFC 8446 5.5 allows AES-GCM 2^24.5

/// What the connections of one core share: the multi-buffer manager, mbufs, and the pool of expanded keys (least recently used go).
class RecordEngine {
 public:
    /// `nodes` and `mbufs` outlive it, it outlives all Records. `expanded_max`: directions with expanded keys at once (1 KiB each).
    /// `key_records_max`: records that a 1.3 key seals (tests take less).
    RecordEngine(rte_mempool* mbufs, SliceNodePool& nodes, uint32_t expanded_max, uint64_t key_records_max = kKeyRecordsMax);
    ~RecordEngine();
    RecordEngine(const RecordEngine&) = delete;
    const RecordCounters& counters() const;

    struct Impl;   // record_engine.h

 private:
    friend class Records;
    std::unique_ptr<Impl> impl_;
};

/// Sizes of sealed records. Small ones, one TCP segment each, until kYoungBytes were sent without a pause of kPause: a receiver can use
/// each segment as it comes. Then the largest that fill whole mbufs (docs/tls.md, Records).
inline constexpr uint32_t kSegmentBytes = 1448;              // an MTU of 1500 less IPv4, TCP and timestamps; Records::set_segment_bytes()
inline constexpr uint32_t kSegmentBytesMin = 1200;
inline constexpr uint32_t kYoungBytes = 64 * 1024;
inline constexpr Duration kPause = seconds(1);
/// Limits on what a peer may send without data, and on keys.
inline constexpr uint32_t kRecordsWithoutDataMax = 32;       // in a row: empty records, key updates, tickets (BoringSSL's 32)
inline constexpr uint32_t kWarningAlertsMax = 4;             // in a row (BoringSSL's 4)
inline constexpr uint32_t kTicketMessageMax = 64 * 1024 + 512;

class Records {
 public:
    /// Takes over `keys` and wipes them. keys.aead is not kNone.
    Records(RecordEngine& engine, TrafficKeys& keys);
    ~Records();   // wipes; gives expanded keys back
    Records(const Records&) = delete;

    enum class Status : uint8_t {
        kOk,            // what was whole has been opened, or `plain_max` is reached
        kClosed,        // close_notify: no plain byte follows
        kPostHandshake, // a 1.3 client got a post-handshake message (a ticket): post_handshake_record() is it, as it came; call open() again
        kPeerAlert,     // the peer ended it by alert()
        kError,         // alert() has been queued for the peer by the next take_control(); the connection must end
    };
    /// Opens whole records at the front of `in` and appends their plain bytes to `plain` until it holds `plain_max` bytes or more.
    /// Takes what it opened out of `in`, at most one record's worth stays there uncut. Writes into the mbufs of `in`: nobody else may
    /// look at the bytes of its slices (others may hold other bytes of the same mbufs). After anything but kOk and kPostHandshake `in`
    /// is dropped, and so is what is given later.
    Status open(SliceQueue& in, SliceQueue& plain, uint64_t plain_max);
    /// Seals all of `plain` and appends records to `out`. Record sizes: small while young or after a pause, 16 KiB in bulk (dynamic). `now` tells pauses.
    /// False: mbufs ran out; what was not sealed is still in `plain`. Also after close_notify(), send_alert() or an error. Only reads
    /// the bytes of `plain`, which others may hold too. Puts key updates that wait in front.
    [[nodiscard]] bool seal(SliceQueue& plain, SliceQueue& out, Instant now);
    /// Answers of the record layer itself that wait to be sent: key updates, alerts. Appended to `out`. False: mbufs ran out, ask again.
    bool take_control(SliceQueue& out);
    bool has_control() const { return control_ != 0; }
    /// An alert is among them. Without one they may wait for the next data, which takes them along (RFC 8446 4.6.3).
    bool has_alert() const { return (control_ & kSendAlert) != 0; }
    /// Queues close_notify; seal() is not called any more.
    void close_notify();
    /// Queues a fatal alert of the layer above.
    void send_alert(Alert alert);
    /// Valid until the next open() of any connection of this core.
    std::span<const uint8_t> post_handshake_record() const;
    Alert alert() const { return alert_; }
    /// Bytes that n plain bytes take on the wire at most, for send room: n / (1 + overhead).
    static uint64_t plain_room(uint64_t wire_bytes);
    /// Application data was received, or something else that OpenSSL did not see: a 1.3 client's tickets come no more.
    bool application_data_seen() const { return tickets_over_; }
    /// A record or part of one is in `in`, without its end: closing now would be a truncation.
    bool in_record(const SliceQueue& in) const { return !in.empty(); }
    /// What TCP puts into one segment: sealed mbufs hold so many bytes, so that each can leave as a frame of its own. Clamped.
    void set_segment_bytes(uint32_t bytes);
    /// For tests of the last record: numbers of the next record of each direction.
    void set_sequence_for_test(uint64_t receive, uint64_t transmit);

    /// One direction: DirectionKeys, folded so that two of them fit beside the rest.
    struct Direction {
        uint8_t key[32];
        uint8_t secret[48];        // 1.2 AES-GCM, transmit: the first 8 bytes are explicit nonce less sequence
        uint8_t iv[12];
        uint32_t slot;             // of the expanded key, if the engine still says so
        uint64_t sequence;
    };

 private:
    enum State : uint8_t { kOpen, kPeerClosed, kPeerAlerted, kFailed };
    enum Control : uint8_t { kAnswerUpdate = 1, kAskUpdate = 2, kSendAlert = 4 };
    struct Header;

    // record_open.cc
    Status open_record(SliceQueue& in, SliceQueue& plain, const Header& header);
    Status open_copy(SliceQueue& in, SliceQueue& plain, const Header& header);
    bool check_header(const Header& header, Alert& why) const;
    bool decrypt(SliceQueue& in, const Header& header);
    Status dispatch(SliceQueue& in, SliceQueue& plain, const Header& header, uint8_t type, uint32_t bytes);
    Status fail(SliceQueue& in, Alert why);
    // record_seal.cc
    uint32_t next_record_bytes(uint64_t available) const;
    template <typename Source>
    bool seal_record(Source& source, uint32_t bytes, uint8_t type, SliceQueue& out);
    bool seal_control(std::span<const uint8_t> content, uint8_t type, SliceQueue& out);
    bool update_transmit_key(SliceQueue& out);
    // record_control.cc
    Status handle_alert(SliceQueue& in, const uint8_t content[2]);
    bool handshake_piece(std::span<const uint8_t> piece, bool last_piece, Alert& why);
    bool handshake_header_done(Alert& why);
    bool handshake_message_done(uint8_t last_byte, bool record_done, Alert& why);

    uint32_t overhead() const { return kRecordHeaderBytes + explicit_bytes() + inner_type_bytes() + kTagBytes; }
    uint32_t explicit_bytes() const { return version_ == Version::kTls12 && aead_ != Aead::kChaCha20Poly1305 ? 8 : 0; }
    uint32_t inner_type_bytes() const { return version_ == Version::kTls13 ? 1 : 0; }

    RecordEngine::Impl* engine_;
    Direction receive_, transmit_;
    uint32_t sealed_at_ = 0;            // about milliseconds
    uint32_t young_bytes_ = 0;          // sealed since the start or the last pause, up to kYoungBytes
    uint32_t handshake_left_ = 0;       // of the message whose header is handshake_header_
    uint8_t handshake_header_[4] = {};
    uint8_t handshake_have_ = 0;        // bytes of it
    uint16_t segment_bytes_ = kSegmentBytes;
    Role role_;
    Version version_;
    Aead aead_;
    Digest digest_;
    State state_ = kOpen;
    Alert alert_ = Alert::kCloseNotify;
    uint8_t control_ = 0;               // Control bits
    uint8_t without_data_ = 0, warnings_ = 0;
    bool tickets_over_ = false;
    bool closing_ = false;              // close_notify or an alert of ours is queued or sent
    bool ticket_in_record_ = false;
};
static_assert(sizeof(Records) <= 256);

}  // namespace sluice::tls
