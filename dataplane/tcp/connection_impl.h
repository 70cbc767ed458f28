// The transmission control block: all that one connection remembers, in RFC 9293's names, and its send records.
// In and out: plain data, worked on by Stack::Impl's functions (one file per concern: receive, ack, recovery, transmit...).
// A Tcb owns its queues' slices and its send records. What a segment touches fills the first three cache lines.
// An idle connection costs sizeof(Tcb) <= 512 bytes and nothing else.
#pragma once

#include <cstdint>

#include "base/ip_address.h"
#include "base/pool.h"
#include "base/seq.h"
#include "base/slice.h"
#include "base/timer_wheel.h"
#include "tcp/congestion.h"
#include "tcp/intrusive_list.h"
#include "tcp/reassembly.h"
#include "tcp/rto.h"
#include "tcp/stack.h"

namespace sluice::tcp {

/// One transmitted piece of the send queue: where its bytes lie, when it last left, what became of it (RFC 8985 5.2).
struct TxRecord {
    enum Flag : uint8_t {
        kFinal = 1 /* carries FIN */, kSacked = 2, kLost = 4, kInRetransmit = 8, kEverRetransmitted = 16, kMtuProbe = 32,
    };
    TxRecord* next = nullptr;
    const SliceNode* node = nullptr;  // first byte: this slice ...
    uint32_t offset = 0;              // ... at this offset
    Seq seq;
    uint32_t payload_bytes = 0;
    uint8_t flags = 0;
    Instant sent_at{};
    bool has(uint8_t any_of) const { return (flags & any_of) != 0; }
    uint32_t length() const { return payload_bytes + (has(kFinal) ? 1 : 0); }
    Seq end() const { return seq + length(); }
};
using TxRecordPool = Pool<TxRecord>;

/// What the one retransmission timer is waiting for.
enum class XmitTimer : uint8_t { kNone, kHandshake, kRetransmit, kTailProbe, kReorder, kPersist };

/// Loss recovery (RFC 6675, 6582, 8985).
enum class Recovery : uint8_t { kOpen, kRecovery, kLoss };

/// Was the timeout for nothing? Asked where no timestamps tell (RFC 5682 2.1).
enum class Frto : uint8_t { kOff, kRepeated /* step 1: the first segment left again */, kNewSent /* step 2b */ };

struct alignas(64) Tcb final : Connection {
    explicit Tcb(SliceNodePool& nodes) : receive_queue(nodes), send_queue(nodes) {}

    // First line: found by demux, checked, sequence state.
    FourTuple tuple;
    State state : 4 = State::kClosed;
    Error error : 4 = Error::kNone;
    Recovery recovery : 2 = Recovery::kOpen;
    XmitTimer xmit_timer : 3 = XmitTimer::kNone;
    Frto frto : 2 = Frto::kOff;
    uint16_t records_out = 0;  // how many pieces the bytes in flight are
    Seq rcv_nxt, rcv_adv;      // rcv_adv: right edge of the window we have offered
    Seq snd_una, snd_nxt;
    uint32_t snd_wnd = 0;

    // Second line: flags, windows, timestamps, acknowledgment.
    bool released : 1 = false, in_demux : 1 = false, passive : 1 = false, timestamps : 1 = false, sack : 1 = false;
    bool no_delay : 1 = true, keepalive : 1 = true, read_enabled : 1 = true;
    bool ack_now : 1 = false;           // an ACK must leave with this turn's output
    bool probe_now : 1 = false;         // keep-alive or zero-window probe
    bool syn_pending : 1 = false;       // SYN or SYN-ACK is to be sent
    bool fin_queued : 1 = false, fin_sent : 1 = false;
    bool peer_fin : 1 = false, peer_fin_early : 1 = false;  // early: its number is rcv_fin_seq, bytes before it are missing
    bool want_writable : 1 = false, want_sent : 1 = false;
    bool tail_probe_now : 1 = false, tail_probe_out : 1 = false, tail_probe_resent : 1 = false;
    bool persist_override : 1 = false;  // the persist timer says: send what fits (RFC 9293 3.8.6.2.1)
    bool reordering_seen : 1 = false, has_duplicate : 1 = false, retrans_stamped : 1 = false, interactive : 1 = false;
    bool tso : 1 = false, tx_checksum : 1 = false, multi_segment : 1 = false;
    bool ecn : 1 = false;               // both ends agreed: what we send new is ECT(0) (RFC 3168 6.1)
    bool ecn_echo : 1 = false;          // the network marked something: ECE on every ACK until CWR comes
    bool cwr_now : 1 = false;           // cwnd was reduced: the next new text says so
    uint8_t rcv_shift = 0, snd_shift = 0;
    uint16_t pending_events = 0;
    uint16_t snd_mss = 536;             // payload bytes of a full segment, timestamps deducted
    uint16_t rcv_mss = 536;             // largest payload seen: what "full-sized" means for ACKs (RFC 9293 3.8.6.3)
    Seq snd_wl1, snd_wl2;
    Seq last_ack_sent;
    uint32_t snd_wnd_max = 0;
    uint32_t ts_recent = 0, ts_offset = 0;
    uint32_t rcv_unconsumed = 0;        // bytes in receive_queue or taken from it and not yet consumed()
    uint32_t receive_limit = 0, send_limit = 0;
    uint32_t rack_rtt_us = 0, min_rtt_us = UINT32_MAX;

    // Third line: what is in flight, deadlines.
    uint32_t lost_bytes = 0, retrans_bytes = 0, sacked_bytes = 0;  // of records marked so
    uint32_t una_skip = 0;              // acknowledged bytes at the front of send_queue's first slice
    uint16_t mtu_max = 0;               // what the first link takes: the end of the search upward (path_mtu.cc)
    uint8_t mtu_search_at = 0;          // not before, in units of 8 seconds
    uint8_t mtu_rung : 4 = 0, mtu_tries : 2 = 0;            // the size to be tried, and how often it was lost
    bool mtu_probe_out : 1 = false, mtu_probe_lost : 1 = false;
    const SliceNode* cursor = nullptr;  // next unsent byte
    uint32_t cursor_offset = 0;
    uint32_t unsent_bytes = 0;
    TxRecord* tx_head = nullptr;
    TxRecord* tx_tail = nullptr;
    Instant xmit_at = Instant::never();
    Instant ack_at = Instant::never();  // delayed ACK
    RttEstimator rtt;
    uint16_t backoff : 5 = 0;           // of the retransmission, persist or handshake timer
    uint16_t dup_acks : 2 = 0;          // counted to three
    uint16_t quick_acks : 5 = 0;
    uint16_t extra_acks : 4 = 0;        // duplicate ACKs owed to a peer that counts them (no SACK)
    uint8_t keepalive_probes = 0;
    uint8_t keepalive_sent = 0;

    // Rarer.
    Congestion congestion;
    Seq recovery_point;                 // recovery ends when snd_una reaches it
    Seq cwnd_limit_end, sack_high, rack_end, tail_probe_end, rcv_fin_seq;
    uint32_t prr_delivered = 0, prr_out = 0;  // RFC 6937
    union {
        uint32_t prr_flight = 0;        // in recovery
        uint32_t max_segment;           // while opening: the limit of the layer above, 0 = none
    };
    uint32_t rack_sent_us = 0;          // low 32 bits: what is in flight is minutes old at most
    // Times in milliseconds, low 32 bits.
    uint32_t last_progress_ms = 0;      // since when nothing was acknowledged: user timeout (RFC 9293 3.9.1)
    uint32_t last_receive_ms = 0, last_send_ms = 0;
    uint32_t linger_at_ms = 0;          // 0 = none. FIN-WAIT-2 and orphans must not stay for ever
    uint16_t user_timeout_ds = 0;       // tenths of a second; 0 = by retransmission count
    uint16_t last_challenge = 0;        // in units of 8 ms
    uint16_t keepalive_idle_s = 0, keepalive_interval_s = 0;
    uint32_t retrans_stamp = 0;         // our timestamp on the first retransmission of this episode (RFC 3522)
    SackBlock duplicate;                // text that came twice, to be reported once (RFC 2883)
    uint32_t route_hint = 0;
    uint16_t path_mtu = 0;
    uint16_t peer_mss = 536;
    uint16_t dsack_round_ms = 0;        // low bits of when the reordering window was last widened (RFC 8985 6.2 step 4)
    uint8_t rack_reo_multiplier = 1, rack_reo_persist = 0;
    TimerNode timer;
    ListLink<Tcb> output_link, ready_link;
    // What follows each of them lies in its padding.
    [[no_unique_address]] SliceQueue receive_queue;
    bool window_scale : 1 = false, corked : 1 = false;
    bool lossy : 1 = false;             // a gap was seen lately: every segment has its own ACK
    uint8_t dscp : 6 = 0;
    Error soft_error : 4 = Error::kNone;  // a router said so; it ends nothing by itself (RFC 9293 MUST-47, MUST-56)
    bool quick_ack : 1 = false;         // no ACK waits, until an answer carries one
    [[no_unique_address]] SliceQueue send_queue;
    uint32_t retransmits = 0;
    Reassembly reassembly;
    Stack::Impl* stack = nullptr;
    void* user = nullptr;
    union {
        Listener* listener = nullptr;   // while half open (passive, not synchronized)
        void* listener_user;            // then what that listener was opened with
    };
    uint64_t bytes_received = 0, bytes_sent = 0;

    static Tcb& of(TimerNode& node);
    /// Bytes believed to be in the network (RFC 6675 4: pipe).
    uint32_t pipe() const { return (snd_nxt - snd_una) - sacked_bytes - lost_bytes + retrans_bytes; }
    bool in_flight() const { return snd_una != snd_nxt; }
    /// Room in the peer's window after what is in flight.
    uint32_t usable_window() const {
        const uint32_t flight = snd_nxt - snd_una;
        return snd_wnd > flight ? snd_wnd - flight : 0;
    }
    /// What is left of the window we have offered.
    uint32_t offered_window() const { return rcv_adv.after(rcv_nxt) ? rcv_adv - rcv_nxt : 0; }
    bool synchronized() const { return state >= State::kEstablished; }
    /// The peer's side is open: data may still come.
    bool receives() const {
        return state == State::kEstablished || state == State::kFinWait1 || state == State::kFinWait2;
    }
    /// Our side is open. It closes when FIN leaves, not when it is queued.
    bool sends() const { return state == State::kEstablished || state == State::kCloseWait; }
};

static_assert(sizeof(Tcb) <= 512, "an idle connection costs at most 512 bytes (docs/tcp.md)");

inline Tcb& Tcb::of(TimerNode& node) {
    return *reinterpret_cast<Tcb*>(reinterpret_cast<char*>(&node) - __builtin_offsetof(Tcb, timer));
}

}  // namespace sluice::tcp
