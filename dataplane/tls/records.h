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

/// What the connections of one core share: the multi-buffer manager, mbufs, and the pool of expanded keys (least recently used go).
class RecordEngine {
 public:
    /// `nodes` and `mbufs` outlive it. `expanded_max`: directions with expanded keys at once.
    RecordEngine(rte_mempool* mbufs, SliceNodePool& nodes, uint32_t expanded_max);
    ~RecordEngine();
    RecordEngine(const RecordEngine&) = delete;
    const RecordCounters& counters() const;

 private:
    friend class Records;
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

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
    /// Takes what it opened out of `in`, at most one record's worth stays there uncut.
    Status open(SliceQueue& in, SliceQueue& plain, uint64_t plain_max);
    /// Seals all of `plain` and appends records to `out`. Record sizes: small while young or after a pause, 16 KiB in bulk (dynamic). `now` tells pauses.
    /// False: mbufs ran out; what was not sealed is still in `plain`.
    [[nodiscard]] bool seal(SliceQueue& plain, SliceQueue& out, Instant now);
    /// Answers of the record layer itself that wait to be sent: key updates, alerts. Appended to `out`.
    bool take_control(SliceQueue& out);
    bool has_control() const;
    /// Queues close_notify; seal() is not called any more.
    void close_notify();
    /// Queues a fatal alert of the layer above.
    void send_alert(Alert alert);
    /// Valid until the next open().
    std::span<const uint8_t> post_handshake_record() const;
    Alert alert() const;
    /// Bytes that n plain bytes take on the wire at most, for send room: n / (1 + overhead).
    static uint64_t plain_room(uint64_t wire_bytes);
    /// Application data was received: a 1.3 client's tickets come no more.
    bool application_data_seen() const;
    /// A record or part of one is in `in`, without its end: closing now would be a truncation.
    bool in_record(const SliceQueue& in) const { return !in.empty(); }

 private:
    // The record room's: at most 256 bytes in all.
    alignas(8) unsigned char state_[240];
};

}  // namespace sluice::tls
