// A connection's beginning and end, and the handle that the layer above holds.
// In: calls of the layer above, and the stack's own decisions. Out: changed control blocks, segments owed, memory returned.
// A Tcb lives while it is in the demux table or its handle is not released. RFC 9293 3.6, 3.10.1-3.10.5; RFC 2525 2.17.
#include <algorithm>

#include "tcp/stack_impl.h"

namespace sluice::tcp {

namespace {
Tcb& tcb(Connection* c) { return *static_cast<Tcb*>(c); }
const Tcb& tcb(const Connection* c) { return *static_cast<const Tcb*>(c); }

/// Smallest shift under which the whole buffer can be offered (RFC 7323 2.3).
uint8_t shift_for(uint32_t buffer_bytes) {
    uint8_t shift = 0;
    while (shift < kWindowShiftMax && buffer_bytes >> shift > 65535) shift++;
    return shift;
}
}  // namespace

Tcb* Stack::Impl::create(const FourTuple& tuple, uint32_t hash, const Options& options, const net::RouteInfo& route,
                         Instant now) {
    Tcb* t = tcbs.take(nodes);
    if (!t) {
        counters.no_memory++;
        return nullptr;
    }
    SlotLife& slot = life(tcbs.index_of(t));
    slot.generation++;
    slot.opened_ms = ms(now);
    t->stack = this;
    t->tuple = tuple;
    apply_options(*t, options);
    t->max_segment = options.max_segment;
    t->rcv_shift = config.window_scale ? shift_for(options.receive_buffer_bytes) : 0;
    t->ts_offset = timestamp_offset(tuple);
    t->quick_acks = kQuickAcks;
    t->last_receive_ms = t->last_send_ms = t->last_progress_ms = ms(now);
    t->last_challenge = static_cast<uint16_t>((ms(now) - kChallengeGapMs) / 8);
    apply_route(*t, route);
    demux.insert(hash, {tcbs.index_of(t), false});
    t->in_demux = true;
    return t;
}

void Stack::Impl::apply_route(Tcb& t, const net::RouteInfo& route) {
    const uint16_t least = t.tuple.remote.ip.is_v4() ? kPathMtuMin4 : kPathMtuMin6;
    const uint16_t mtu = std::max(route.mtu, least);
    t.mtu_max = std::max(route.link_mtu, mtu);
    t.tx_checksum = route.tx_checksum;
    t.multi_segment = route.multi_segment;
    t.tso = route.tso && route.multi_segment && route.tx_checksum;  // the port completes each part
    set_path_mtu(t, mtu);
    if (mtu < t.mtu_max) search_from(t, route.path_mtu_until);
}

/// RFC 3168 6.1.1: a SYN asks by ECE and CWR, a SYN-ACK agrees by ECE alone (both bits together are an echo of ours by
/// something that knows neither). After a SYN of ours without them nothing we send is ECT (6.1.1.1).
bool Stack::Impl::agrees_to_ecn(const Tcb& t, const Segment& syn) const {
    if (config.ecn == StackConfig::Ecn::kOff) return false;
    if (!t.passive && (config.ecn != StackConfig::Ecn::kOn || t.backoff > 0)) return false;
    const uint8_t bits = syn.flags & (kEce | kCwr);
    return bits == (syn.has(kAck) ? kEce : kEce | kCwr);
}

/// What the peer's SYN agrees to. Options it did not offer are off from here on.
void Stack::Impl::take_options(Tcb& t, const Segment& syn) {
    t.sack = config.sack && syn.sack_permitted;
    t.timestamps = config.timestamps && syn.has_timestamp;
    t.ecn = agrees_to_ecn(t, syn);
    if (t.timestamps) t.ts_recent = syn.ts_value;
    t.window_scale = config.window_scale && syn.has_window_scale;
    if (t.window_scale) {
        t.snd_shift = syn.window_shift;
    } else {
        t.snd_shift = t.rcv_shift = 0;
    }
    const uint32_t asked = syn.has_mss ? syn.mss : t.tuple.remote.ip.is_v4() ? kMssDefault4 : kMssDefault6;
    t.peer_mss = static_cast<uint16_t>(std::max<uint32_t>(kMssMin, t.max_segment != 0 ? std::min(asked, t.max_segment) : asked));
    const std::optional<net::RouteInfo> route = environment.route(t.tuple.remote.ip, t.tuple.local.ip);
    net::RouteInfo same;
    same.mtu = t.path_mtu, same.link_mtu = t.mtu_max, same.path_mtu_until = latest + kRaisePathMtuAfter;
    same.tso = t.tso, same.tx_checksum = t.tx_checksum, same.multi_segment = t.multi_segment;
    apply_route(t, route.value_or(same));
}

void Stack::Impl::established(Tcb& t, Instant now) {
    t.state = State::kEstablished;
    // RFC 6298 (5.7): a SYN that had to be repeated says the path is slow.
    if (t.backoff > 0 && t.rtt.srtt_us == 0) t.rtt.rto_us = 3'000'000;
    // RFC 6928 2: after a lost SYN the initial window is one segment.
    const uint32_t segments = t.backoff > 1 ? 1 : config.initial_cwnd_segments;
    t.congestion.start(segments * t.snd_mss, t.congestion.cubic);
    t.backoff = 0;
    if (t.ecn) counters.ecn_connections++;
    t.cwnd_limit_end = t.sack_high = t.recovery_point = t.snd_una;
    t.last_progress_ms = ms(now);
    set_transmit_timer(t, XmitTimer::kNone, Instant::never());
}

/// Lets go of everything to be sent.
void Stack::Impl::purge_send(Tcb& t) {
    while (TxRecord* record = t.tx_head) {
        t.tx_head = record->next;
        records.give(record);
    }
    t.records_out = 0;
    t.tx_tail = nullptr;
    t.cursor = nullptr;
    t.cursor_offset = t.una_skip = t.unsent_bytes = 0;
    t.lost_bytes = t.retrans_bytes = t.sacked_bytes = 0;
    t.snd_una = t.snd_nxt;
    t.send_queue.clear();
}

/// CLOSED: off all tables and timers. What was received can still be read until release().
void Stack::Impl::close(Tcb& t) {
    if (!t.in_demux) return;
    if (t.state == State::kSynReceived && t.passive) drop_half_open(t);
    t.state = State::kClosed;
    t.in_demux = false;
    demux.erase(hash_tuple(demux_key, t.tuple), {tcbs.index_of(&t), false});
    wheel.cancel(t.timer);
    output.remove(&t);
    t.xmit_timer = XmitTimer::kNone;
    t.xmit_at = t.ack_at = Instant::never();
    t.ack_now = t.probe_now = t.syn_pending = t.tail_probe_now = false;
    t.extra_acks = 0;
    t.peer_fin_early = false;
    purge_send(t);
    t.reassembly.clear(runs);
    closed.push_back(&t);
}

/// Ends by the peer's or the network's doing.
void Stack::Impl::fail(Tcb& t, Error error) {
    if (t.state == State::kSynSent || (t.state == State::kSynReceived && !t.passive)) counters.connect_failed++;
    t.error = error;
    close(t);
    event(t, kFailed);
}

/// Ends by our doing: the peer is told by RST.
void Stack::Impl::abort(Tcb& t, Error error) {
    if (t.state != State::kSynSent && t.in_demux) {
        HeaderFields f = header_for(t, t.snd_nxt, kRst | kAck, {});
        f.timestamp = false;  // RFC 7323 3.2 asks for none on RST
        counters.resets_out++;
        push_control(t.tuple, f);
    }
    fail(t, error);
}

void Stack::Impl::free_if_done(Tcb& t) {
    if (!t.released || t.in_demux) return;
    ready.remove(&t);
    closed.remove(&t);
    if (last_emitted == &t) last_emitted = nullptr;
    life(tcbs.index_of(&t)).generation++;
    tcbs.give(&t);
}

// The handle.

void* Connection::user() const { return tcb(this).user; }
void Connection::set_user(void* user) { tcb(this).user = user; }
void* Connection::listener_user() const { return tcb(this).passive ? tcb(this).listener_user : nullptr; }
FourTuple Connection::tuple() const { return tcb(this).tuple; }
State Connection::state() const { return tcb(this).state; }
Error Connection::error() const { return tcb(this).error; }
ConnectionId Connection::id() const {
    const Tcb& t = tcb(this);
    const uint32_t slot = t.stack->tcbs.index_of(&t);
    return {slot, t.stack->life(slot).generation};
}
/// Milliseconds of the past, of which the low 32 bits were kept.
Instant Stack::Impl::at_ms(uint32_t low_ms) const {
    const uint64_t ago = ms(latest) - low_ms;
    return {latest.us - std::min(latest.us, (ago & UINT32_MAX) * 1000)};
}
Instant Connection::opened_at() const {
    const Tcb& t = tcb(this);
    return t.stack->at_ms(t.stack->life(t.stack->tcbs.index_of(&t)).opened_ms);
}
Instant Connection::last_active_at() const {
    const Tcb& t = tcb(this);
    return std::max(t.stack->at_ms(t.last_receive_ms), t.stack->at_ms(t.last_send_ms));
}
Duration Connection::smoothed_rtt() const { return {tcb(this).rtt.srtt_us}; }
uint64_t Connection::bytes_received() const { return tcb(this).bytes_received; }
uint64_t Connection::bytes_sent() const { return tcb(this).bytes_sent; }
SliceQueue& Connection::receive_queue() { return tcb(this).receive_queue; }
Stack& Connection::stack() const { return tcb(this).stack->owner; }
void Connection::set_want_sent(bool want) { tcb(this).want_sent = want; }
uint64_t Connection::unacknowledged() const { return tcb(this).send_queue.bytes() - tcb(this).una_skip; }

/// A window update is worth a segment when the peer was near the end of what it may send, or half the buffer came free.
void Stack::Impl::offer_window(Tcb& t) {
    if (!t.receives() || !t.read_enabled) return;
    const uint32_t free = t.receive_limit > t.rcv_unconsumed ? t.receive_limit - t.rcv_unconsumed : 0;
    const uint32_t room = std::min(free, 65535u << t.rcv_shift);  // what the window field can say
    const uint32_t offered = t.offered_window();
    if (room < offered + std::min<uint32_t>(t.receive_limit / 2, t.rcv_mss)) return;
    const uint32_t gain = room - offered;
    if (gain < std::min(t.receive_limit, 65535u << t.rcv_shift) / 2 && offered >= 2u * t.rcv_mss) return;  // the next ACK will say it
    t.ack_now = true;
    want_output(t);
}

void Connection::consumed(uint64_t n) {
    Tcb& t = tcb(this);
    t.rcv_unconsumed -= static_cast<uint32_t>(std::min<uint64_t>(n, t.rcv_unconsumed));
    t.stack->offer_window(t);
}

void Connection::set_read_enabled(bool enabled) {
    Tcb& t = tcb(this);
    t.read_enabled = enabled;
    t.stack->offer_window(t);
}

uint64_t Connection::send_room() {
    Tcb& t = tcb(this);
    if ((!t.sends() && t.state != State::kSynSent && t.state != State::kSynReceived) || t.fin_queued) return 0;
    const uint64_t queued = t.send_queue.bytes() - t.una_skip;
    if (queued >= t.send_limit) t.want_writable = true;
    return queued >= t.send_limit ? 0 : t.send_limit - queued;
}

namespace {

/// Small texts behind others are copied into mbufs that they share, so that a writer of single bytes towards a peer who takes nothing
/// pins an mbuf for thousands of them and not one for each. False: it is not small, nothing waits, or there is no mbuf for that.
bool gather_small(Tcb& t, const SliceQueue& data) {
    SliceQueue& queue = t.send_queue;
    if (data.bytes() > kCopyBreakBytes || queue.empty()) return false;
    if (queue.tail_room() < data.bytes()) {
        rte_mbuf* const m = rte_pktmbuf_alloc(t.stack->pool);
        if (!m || !queue.push_back(Slice(m, m->data_off, 0))) return false;
    }
    for (const SliceNode* node = data.head(); node; node = node->next)
        if (!queue.append_copy(node->slice.span())) return false;   // cannot be: there is room
    return true;
}

}  // namespace

bool Connection::write(SliceQueue&& data) {
    Tcb& t = tcb(this);
    const bool open = t.sends() || t.state == State::kSynSent || t.state == State::kSynReceived;
    if (!open || t.fin_queued || t.send_queue.bytes() - t.una_skip + data.bytes() > 2 * uint64_t{t.send_limit} + 65536) {
        data.clear();
        return false;
    }
    const auto n = static_cast<uint32_t>(data.bytes());
    if (n == 0) return true;
    if (gather_small(t, data)) data.clear();
    else t.send_queue.append(std::move(data));
    if (!t.cursor) t.cursor = t.send_queue.head();
    t.unsent_bytes += n;
    t.stack->want_output(t);
    return true;
}

uint64_t Connection::write_copy(std::span<const uint8_t> bytes) {
    Tcb& t = tcb(this);
    const auto wanted = static_cast<uint32_t>(std::min<uint64_t>(bytes.size(), send_room()));
    uint32_t done = 0;
    while (done < wanted) {
        if (t.send_queue.tail_room() == 0) {
            rte_mbuf* const m = rte_pktmbuf_alloc(t.stack->pool);
            if (!m || !t.send_queue.push_back(Slice(m, m->data_off, 0))) {
                t.stack->counters.no_memory++;
                break;
            }
        }
        const uint32_t part = std::min(wanted - done, t.send_queue.tail_room());
        if (!t.send_queue.append_copy(bytes.subspan(done, part))) break;
        done += part;
    }
    if (done == 0) return 0;
    if (!t.cursor) t.cursor = t.send_queue.head();
    t.unsent_bytes += done;
    t.stack->want_output(t);
    return done;
}

void Connection::shutdown_write() {
    Tcb& t = tcb(this);
    if (t.fin_queued) return;
    t.fin_queued = true;
    if (t.in_demux) t.stack->want_output(t);
}

void Connection::abort() {
    Tcb& t = tcb(this);
    if (t.in_demux) t.stack->abort(t, Error::kAborted);
}

void Connection::release() {
    Tcb& t = tcb(this);
    Stack::Impl& stack = *t.stack;
    t.released = true;
    t.pending_events = 0;
    t.want_sent = t.want_writable = false;
    stack.ready.remove(&t);
    if (!t.in_demux) return stack.free_if_done(t);
    // Nobody will read what is left: the peer must not believe it arrived.
    if (!t.receive_queue.empty() || t.state == State::kSynSent || t.state == State::kSynReceived) {
        stack.abort(t, Error::kAborted);
        return stack.free_if_done(t);
    }
    t.rcv_unconsumed = 0;
    t.read_enabled = true;
    t.fin_queued = true;
    // Progress keeps an orphan alive, a silent or stalling peer does not. The time is the stack's latest.
    t.linger_at_ms = (Stack::Impl::ms(stack.latest) + kLingerMs) | 1;
    stack.want_output(t);
    stack.schedule(t, stack.latest);
}

}  // namespace sluice::tcp
