// One core's TCP as its functions see it: pools, tables, lists, and a line for each step of a segment's life.
// In and out: as stack.h says; each group of functions below lives in the file named over it.
// Owns connections, TIME-WAIT entries, listeners, and all slices queued in them. RFC 9293.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/pool.h"
#include "base/rng.h"
#include "base/siphash.h"
#include "base/timer_wheel.h"
#include "tcp/connection_impl.h"
#include "tcp/demux.h"
#include "tcp/intrusive_list.h"
#include "tcp/segment.h"
#include "tcp/stack.h"
#include "tcp/syn_cookie.h"

namespace sluice::tcp {

struct Listener {
    SocketAddress local;
    Options options;
    void* user = nullptr;
    uint32_t half_open = 0;     // connections in the handshake that point here
    bool accepting = true;
    bool closed = false;        // no longer in the table; dies with its last half-open connection
    Listener* next = nullptr;   // in its bucket
};

/// What is left of a connection after both FINs: enough to answer, nothing more (RFC 9293 3.6.1).
struct TimeWait {
    FourTuple tuple;
    uint32_t hash = 0;
    Seq snd_nxt, rcv_nxt;
    uint32_t ts_recent = 0, ts_offset = 0;
    bool timestamps = false;
    uint16_t window = 0;        // as last put on the wire
    uint32_t last_ack_ms = 0;
    Instant expires_at{};
    ListLink<TimeWait> link;
};

/// Round trips and deliveries one ACK tells of.
struct AckSample {
    uint32_t delivered = 0;      // bytes newly acknowledged or SACKed
    uint32_t payload_acked = 0;  // bytes of the stream newly acknowledged
    Duration rtt{-1};            // of the newest record sent once; -1: none
    Instant resent_at{};         // when the newest record of those sent more than once last left
    bool fin_acked = false;
    bool duplicate = false;      // a D-SACK was seen (RFC 2883)
};

inline constexpr uint16_t kMssMin = 216;           // a peer that asks for less gets this: bounds work per byte (CVE-2019-11479)
inline constexpr uint16_t kPathMtuMin4 = 576, kPathMtuMin6 = 1280;  // less is not believed: fragments are the IP layer's affair
inline constexpr Duration kRaisePathMtuAfter = seconds(600);  // larger than a router said, or than was found (RFC 1191 6.3, RFC 8899 5.1.1)
inline constexpr uint16_t kMssDefault4 = 536, kMssDefault6 = 1220;  // RFC 9293 MUST-15
inline constexpr uint8_t kHandshakeTries = 6, kSynAckTries = 5, kRetransmitTries = 15;
inline constexpr uint32_t kLingerMs = 60'000;      // FIN-WAIT-2 and orphans without progress
inline constexpr uint32_t kChallengeGapMs = 500;   // RFC 5961 10, per connection
inline constexpr uint32_t kChallengesPerSecond = 4000;  // of a core, on average: each second's number is drawn
inline constexpr uint8_t kQuickAcks = 16;          // full segments acknowledged one by one at the start and after a gap
inline constexpr uint32_t kStretchSegments = 8;     // in a backlog: what one ACK speaks for at most (Linux merges up to 44 on receive)
inline constexpr Duration kStretchDelay{1024};      // and how long it waits for more
inline constexpr uint32_t kCopyBreakBytes = 512;   // payload below is copied behind its header: cheaper than another mbuf
inline constexpr uint32_t kJoinBytesMax = 512;     // a message's head that is copied in front of its body
inline constexpr uint32_t kPiecesMax = 8;          // mbufs of payload in a segment; more are copied together
inline constexpr uint32_t kCutPiecesMax = 32;      // the same in a frame that the port cuts
inline constexpr uint16_t kSmallInFlightMax = 1024;  // pieces in flight beyond which only full segments are added
inline constexpr uint32_t kControlMax = 256;       // answers without a connection waiting to leave
inline constexpr uint32_t kRejectsPerSecond = 1000;

/// A remote towards which every source port was taken. Finding that out costs a look at the whole range, too much for each request.
struct NoPorts {
    IpAddress local;
    SocketAddress remote;
    Instant until{};
};
inline constexpr Duration kNoPortsFor = milliseconds(100);

/// What outlasts the connections of one slot.
struct SlotLife {
    uint32_t generation;   // counts openings and ends: odd while a connection is in it
    uint32_t opened_ms;
};

struct Stack::Impl {
    Impl(Stack& owner, const StackConfig& config, rte_mempool* pool, SliceNodePool& nodes, Environment& environment);
    ~Impl();

    // receive.cc: a segment's way in.
    void prefetch(std::span<const net::DatagramIn> burst) const;
    bool handle_segment(net::DatagramIn& in, Instant now);
    void segment_arrives(Tcb& t, Segment& s, net::DatagramIn& in, Instant now);
    void in_syn_sent(Tcb& t, Segment& s, net::DatagramIn& in, Instant now);
    bool acceptable(Tcb& t, const Segment& s, Instant now);
    bool handshake_ack(Tcb& t, const Segment& s, Instant now);
    void take_payload(Tcb& t, const Segment& s, net::DatagramIn& in, Instant now);
    void take_fin(Tcb& t, Instant now);
    void challenge(Tcb& t, Instant now);
    void take_marks(Tcb& t, const Segment& s);
    void report_duplicate(Tcb& t, SackBlock block);
    void schedule_ack(Tcb& t, const Segment& s, uint32_t accepted, Instant now);
    bool stretches_ack(const Tcb& t, uint32_t owed_bytes) const;
    void send_owed_ack(Tcb& t, Instant now);

    // ack.cc: what the peer has got.
    bool handle_ack(Tcb& t, const Segment& s, Instant now);
    void pop_acked(Tcb& t, Seq ack, AckSample& sample, Instant now);
    void apply_sack(Tcb& t, const Segment& s, AckSample& sample, Instant now);
    void mark_sacked(Tcb& t, TxRecord& record, AckSample& sample, Instant now);
    void widen_reordering(Tcb& t, Instant now);
    void drop_acked_payload(Tcb& t, uint32_t bytes);
    void after_ack(Tcb& t, const AckSample& sample, Instant now);

    // recovery.cc: what is lost, and when it is sent again.
    void rack_update(Tcb& t, const TxRecord& record, Instant now);
    void rack_detect(Tcb& t, Instant now);
    void recover(Tcb& t, const Segment& s, const AckSample& sample, bool dup_ack, uint32_t acked, Instant now);
    void enter_recovery(Tcb& t, bool congestion);
    void reduce_for_mark(Tcb& t, uint32_t acked);
    void undo_if_spurious(Tcb& t, const Segment& s);
    void take_back(Tcb& t);
    void frto_step(Tcb& t, const AckSample& sample, bool dup_ack, uint32_t acked);
    void leave_recovery(Tcb& t);
    void proportional_reduction(Tcb& t, uint32_t delivered, bool safe_ack);
    void mark_lost(Tcb& t, TxRecord& record, Instant now);
    void retransmit_timeout(Tcb& t, Instant now);
    void arm_transmit_timer(Tcb& t, Instant now, bool restart);
    void set_transmit_timer(Tcb& t, XmitTimer kind, Instant at);

    // path_mtu.cc: what size of packet the path takes.
    uint16_t mss_for(const Tcb& t, uint16_t mtu) const;
    void set_path_mtu(Tcb& t, uint16_t mtu);
    void lower_path_mtu(Tcb& t, uint16_t mtu, Duration wait, Instant now);
    void search_from(Tcb& t, Instant at);
    void path_mtu_told(Tcb& t, uint16_t mtu, Instant now);
    void suspect_black_hole(Tcb& t, Instant now);
    uint32_t mtu_probe_bytes(Tcb& t, Instant now);
    void mtu_probe_sent(Tcb& t);
    void mtu_probe_acked(Tcb& t, TxRecord& record, Instant now);
    void mtu_probe_failed(Tcb& t, TxRecord& record, Instant now);
    bool only_probe_lost(Tcb& t);

    // transmit.cc: a segment's way out; frame.cc builds the bytes.
    bool poll_transmit(net::DatagramOut& out, Instant now);
    bool emit(Tcb& t, net::DatagramOut& out, Instant now);
    bool emit_handshake(Tcb& t, net::DatagramOut& out, Instant now);
    bool emit_lost(Tcb& t, net::DatagramOut& out, Instant now);
    bool emit_tail_probe(Tcb& t, net::DatagramOut& out, Instant now);
    bool transmit_new(Tcb& t, uint32_t length, net::DatagramOut& out, Instant now, uint8_t record_flags = 0);
    bool emit_new(Tcb& t, net::DatagramOut& out, Instant now);
    bool emit_record(Tcb& t, TxRecord& record, net::DatagramOut& out, Instant now);
    bool emit_bare(Tcb& t, Seq seq, net::DatagramOut& out, Instant now);
    bool has_output(const Tcb& t) const;
    uint32_t sendable(const Tcb& t, uint32_t mss) const;
    bool split_record(Tcb& t, TxRecord& record, uint32_t payload_bytes);
    void sent_ack(Tcb& t);
    void add_sack(Tcb& t, HeaderFields& f, std::array<SackBlock, 4>& blocks) const;
    uint16_t advertise_window(Tcb& t);
    HeaderFields header_for(Tcb& t, Seq seq, uint8_t flags, Instant now);

    // frame.cc
    /// `fresh`: the payload was never sent before, and may leave in its own mbufs.
    bool build(Tcb& t, const HeaderFields& fields, const TxRecord* payload, bool fresh, net::DatagramOut& out);
    rte_mbuf* frame_of_two(const TxRecord& record, std::span<const uint8_t> header);
    rte_mbuf* frame_in_place(const Tcb& t, const TxRecord& record, std::span<const uint8_t> header);
    rte_mbuf* frame_of_copy(const Tcb& t, const TxRecord* payload, std::span<const uint8_t> header, bool fresh);
    rte_mbuf* attach_payload(const TxRecord& record, bool fresh, uint32_t skip);
    void copy_payload(const TxRecord& record, uint8_t* to);
    void push_control(const FourTuple& tuple, const HeaderFields& fields);
    void reset_for(const FourTuple& tuple, const Segment& s);

    // listen.cc: passive opens, cookies; connect.cc: active opens; time_wait.cc.
    Listener* find_listener(const SocketAddress& local) const;
    void syn_arrives(Listener& l, const FourTuple& tuple, uint32_t hash, const Segment& s, Seq iss_floor, bool use_floor, Instant now);
    void send_cookie(Listener& l, const FourTuple& tuple, const Segment& s, Instant now);
    bool cookie_arrives(Listener& l, const FourTuple& tuple, uint32_t hash, Segment& s, net::DatagramIn& in, Instant now);
    bool completes_other_cookie(const Tcb& t, const Segment& s, Instant now) const;
    void accepted(Tcb& t, Instant now);
    void close_listener(Listener* listener);
    void drop_half_open(Tcb& t);
    Connection* connect(const SocketAddress& remote, const IpAddress& source_ip, const Options& options, void* user,
                        Instant now, Error* error);
    bool choose_port(FourTuple& tuple, uint32_t& hash, Seq* iss_floor, bool& reuse, Instant now);
    bool port_free(const FourTuple& tuple, uint32_t& hash, bool take_time_wait, Seq* iss_floor, bool& reuse, Instant now);
    bool time_wait_arrives(TimeWait& w, const Segment& s, Instant now, Seq& iss_floor);
    void enter_time_wait(Tcb& t, Instant now);
    void forget(TimeWait& w);
    void answer(const TimeWait& w, Instant now);
    TimeWait* find_time_wait(const FourTuple& tuple, uint32_t hash) const;

    // connection.cc: a connection's beginning and end.
    Tcb* create(const FourTuple& tuple, uint32_t hash, const Options& options, const net::RouteInfo& route, Instant now);
    void take_options(Tcb& t, const Segment& syn);
    bool agrees_to_ecn(const Tcb& t, const Segment& syn) const;
    void apply_route(Tcb& t, const net::RouteInfo& route);
    void established(Tcb& t, Instant now);
    void fail(Tcb& t, Error error);
    void give_up(Tcb& t) { fail(t, t.soft_error != Error::kNone ? t.soft_error : Error::kTimedOut); }  // nothing came back for too long
    void abort(Tcb& t, Error error);
    void close(Tcb& t);
    void free_if_done(Tcb& t);
    void purge_send(Tcb& t);
    void offer_window(Tcb& t);

    // options.cc: what the layer above sets and asks.
    void apply_options(Tcb& t, const Options& options);
    static uint16_t offered_mss(const IpAddress& remote, uint32_t mtu, uint32_t max_segment);

    // timers.cc
    void handle_timeout(Instant now);
    void timer_fired(Tcb& t, Instant now);
    void transmit_timer_fired(Tcb& t, Instant now);
    void handshake_timeout(Tcb& t, Instant now);
    void keepalive_timer(Tcb& t, Instant now);
    Instant deadline(const Tcb& t, Instant now) const;
    void schedule(Tcb& t, Instant now);

    // Small and hot.
    static uint32_t ms(Instant now) { return static_cast<uint32_t>(now.us / 1000); }
    void event(Tcb& t, uint16_t events) {
        if (t.released) return;
        t.pending_events = static_cast<uint16_t>(t.pending_events | events);
        if (!ready.contains(&t)) ready.push_back(&t);
    }
    void want_output(Tcb& t) {
        if (!output.contains(&t)) output.push_back(&t);
    }
    Tcb* find(const FourTuple& tuple, uint32_t hash) const;
    SlotLife& life(uint32_t slot) const { return static_cast<SlotLife*>(slot_memory.data())[slot]; }
    Instant at_ms(uint32_t low_ms) const;
    Seq initial_sequence(const FourTuple& tuple, Instant now) const;
    uint32_t timestamp_offset(const FourTuple& tuple) const;

    Stack& owner;
    const StackConfig config;
    rte_mempool* const pool;
    SliceNodePool& nodes;
    Environment& environment;
    SipKey demux_key, sequence_key, timestamp_key, port_key;
    SynCookies cookies;
    Pool<Tcb> tcbs;
    LargeMemory slot_memory;                                   // SlotLife by slot of tcbs
    Pool<TimeWait> time_waits;
    Pool<Listener> listeners;
    RunPool runs;
    TxRecordPool records;
    Demux demux;
    TimerWheel wheel;
    std::vector<Listener*> listener_buckets;
    IntrusiveList<Tcb, &Tcb::output_link> output;
    IntrusiveList<Tcb, &Tcb::output_link> closed;              // off all tables, the handle not yet released
    IntrusiveList<Tcb, &Tcb::ready_link> ready;
    IntrusiveList<TimeWait, &TimeWait::link> time_wait_queue;  // all wait equally long: the first expires first
    std::vector<net::DatagramOut> control;                     // ring of kControlMax
    uint32_t control_head = 0, control_count = 0;
    Tcb* last_emitted = nullptr;     // whose route hint comes back with the next poll_transmit
    bool backlog = false;            // segments come in large bursts
    bool starved = false;            // no mbuf or record was to be had
    Instant output_retry_at = Instant::never();                // ... try again then
    uint32_t half_open = 0;
    uint64_t challenge_second = UINT64_MAX;
    uint32_t challenges_left = 0;
    Instant cookies_until{};         // SYN cookies are believed until then
    Instant reject_refill_at{};
    uint32_t reject_tokens = kRejectsPerSecond;
    std::array<uint32_t, 256> port_counters{};                 // RFC 6056 3.3.4, algorithm 4
    std::array<NoPorts, 16> no_ports{};                        // by hash of the remote: looked through in vain lately
    Instant latest{};                // the last `now` we were given, for calls that bring none
    Counters counters{};
};

inline Stack::Impl& impl_of(Tcb& t) { return *t.stack; }

}  // namespace sluice::tcp
