// A segment's way out: one call, one segment, the most urgent first. Written as a ladder, read top to bottom.
// In: control blocks with output pending. Out: datagrams; sequence numbers, records and timers moved on accordingly.
// The caller owns what comes out; payload stays in the send queue until acknowledged. RFC 9293 3.8, RFC 5681.
#include <algorithm>

#include "tcp/stack_impl.h"

namespace sluice::tcp {

namespace {

/// Moves (node, offset) off the end of a slice if there is a next one.
void normalize(const SliceNode*& node, uint32_t& offset) {
    while (node && offset == node->slice.size() && node->next) {
        node = node->next;
        offset = 0;
    }
}

void advance_cursor(const SliceNode*& node, uint32_t& offset, uint32_t n) {
    normalize(node, offset);
    while (n > 0) {
        const uint32_t part = std::min(n, node->slice.size() - offset);
        offset += part;
        n -= part;
        normalize(node, offset);
    }
}

/// Unsent bytes, at most `limit`, that lie in few enough mbufs to go into one frame.
uint32_t attachable(const Tcb& t, uint32_t limit) {
    uint32_t bytes = 0, offset = t.cursor_offset, pieces = 0;
    for (const SliceNode* node = t.cursor; node && bytes < limit && pieces < kCutPiecesMax; node = node->next, offset = 0) {
        bytes += node->slice.size() - offset;
        pieces++;
    }
    return bytes;
}

/// Where a frame takes one mbuf, text that lies in nearly full ones is cut where they end: they leave as they are, where full
/// segments across two of them would be copied. At most `length` bytes, and never less than three quarters of it but before such an mbuf.
uint32_t cut_at_mbuf(const Tcb& t, uint32_t length) {
    const uint32_t nearly_full = length - length / 4;
    uint32_t bytes = 0, offset = t.cursor_offset;
    for (const SliceNode* node = t.cursor; node; node = node->next, offset = 0) {
        const uint32_t left = node->slice.size() - offset;
        if (bytes + left >= length) return bytes > 0 && bytes + left > length && left >= nearly_full && left <= length ? bytes : length;
        bytes += left;
        if (bytes >= nearly_full) return node->next && node->next->slice.size() >= nearly_full ? bytes : length;
    }
    return length;
}

uint32_t sack_option_bytes(const Tcb& t) {
    const uint32_t blocks = t.reassembly.runs() + (t.has_duplicate ? 1u : 0u);
    if (!t.sack || blocks == 0) return 0;
    return 4 + 8 * std::min<uint32_t>(blocks, t.timestamps ? 3 : 4);
}

}  // namespace

bool Stack::Impl::poll_transmit(net::DatagramOut& out, Instant now) {
    if (last_emitted) {  // what the IP layer learnt while sending the last one
        if (out.route_hint != 0) last_emitted->route_hint = out.route_hint;
        last_emitted = nullptr;
    }
    if (control_count > 0) {
        out = std::exchange(control[control_head], {});
        control_head = (control_head + 1) % kControlMax;
        control_count--;
        counters.segments_out++;
        return true;
    }
    starved = false;
    output_retry_at = Instant::never();
    while (Tcb* t = output.front()) {
        if (emit(*t, out, now)) {
            t->last_send_ms = ms(now);
            last_emitted = t;
            counters.segments_out++;
            schedule(*t, now);
            return true;
        }
        output.remove(t);
        if (starved) {  // no mbuf or record: again in a while, and another one goes first
            output.push_back(t);
            output_retry_at = now + milliseconds(1);
            return false;
        }
        // Held back by the window alone: the persist timer must ask (RFC 9293 3.8.6.1).
        if (t->synchronized() && t->xmit_timer == XmitTimer::kNone) arm_transmit_timer(*t, now, false);
        schedule(*t, now);
    }
    return false;
}

bool Stack::Impl::emit(Tcb& t, net::DatagramOut& out, Instant now) {
    if (t.syn_pending) return emit_handshake(t, out, now);
    if (!t.synchronized()) return false;
    if (emit_lost(t, out, now)) return true;
    if (!starved && t.tail_probe_now && emit_tail_probe(t, out, now)) return true;
    if (!starved && emit_new(t, out, now)) return true;
    if (t.probe_now) {  // an old number: whoever lives there answers with an ACK
        if (!emit_bare(t, t.snd_una - 1, out, now)) return false;
        t.probe_now = false;
        return true;
    }
    if (t.extra_acks > 1) {
        if (!emit_bare(t, t.snd_nxt, out, now)) return false;
        t.extra_acks--;
        t.ack_now = true;
        return true;
    }
    return t.ack_now && emit_bare(t, t.snd_nxt, out, now);
}

/// Anything that emit() would look at; cheap and may err on the side of yes.
bool Stack::Impl::has_output(const Tcb& t) const {
    return t.ack_now || t.probe_now || t.syn_pending || t.tail_probe_now || t.unsent_bytes > 0 ||
           t.lost_bytes > t.retrans_bytes || (t.fin_queued && !t.fin_sent);
}

HeaderFields Stack::Impl::header_for(Tcb& t, Seq seq, uint8_t flags, Instant now) {
    HeaderFields f;
    f.source_port = t.tuple.local.port;
    f.destination_port = t.tuple.remote.port;
    f.seq = seq;
    f.ack = t.rcv_nxt;
    f.flags = t.ecn_echo && !(flags & (kSyn | kRst)) ? static_cast<uint8_t>(flags | kEce) : flags;
    f.timestamp = t.timestamps;
    f.ts_value = ms(now) + t.ts_offset;
    f.ts_echo = t.ts_recent;
    return f;
}

/// SYN and SYN-ACK: options as offered, or as agreed.
bool Stack::Impl::emit_handshake(Tcb& t, net::DatagramOut& out, Instant now) {
    const bool answer = t.state == State::kSynReceived;
    HeaderFields f = header_for(t, t.snd_una, static_cast<uint8_t>(answer ? kSyn | kAck : kSyn), now);
    if (!answer) f.ack = Seq{0};
    // RFC 3168 6.1.1; a repeated SYN asks no more, lest something on the path drops it for asking (6.1.1.1).
    if (answer && t.ecn) f.flags |= kEce;
    if (!answer && config.ecn == StackConfig::Ecn::kOn && t.backoff == 0) f.flags |= kEce | kCwr;
    f.mss = offered_mss(t.tuple.remote.ip, t.mtu_max, t.max_segment);  // of what comes in: the path out may be another
    f.window = static_cast<uint16_t>(std::min<uint32_t>(t.receive_limit, 65535));
    f.sack_permitted = t.sack;
    // RFC 7323 2.2: who offered gets an answer, a shift of 0 too, or it would not scale what we then read as scaled.
    if (answer ? t.window_scale : config.window_scale) f.window_shift = t.rcv_shift;
    if (!build(t, f, nullptr, false, out)) return false;
    t.syn_pending = false;
    t.ack_now = false;
    t.last_ack_sent = t.rcv_nxt;
    if (t.backoff > 0) {
        counters.retransmits++;
        t.retransmits++;
    }
    set_transmit_timer(t, XmitTimer::kHandshake, now + t.rtt.backed_off(t.backoff, config.max_rto));
    return true;
}

/// What recovery marked lost, lowest first, as far as cwnd allows.
bool Stack::Impl::emit_lost(Tcb& t, net::DatagramOut& out, Instant now) {
    if (t.lost_bytes <= t.retrans_bytes) return false;
    if (t.frto == Frto::kNewSent || (t.frto == Frto::kRepeated && t.retrans_bytes > 0)) return false;  // RFC 5682: one, then new
    for (TxRecord* record = t.tx_head; record; record = record->next) {
        if (!record->has(TxRecord::kLost) || record->has(TxRecord::kInRetransmit)) continue;
        const uint32_t pipe = t.pipe();
        if (pipe > 0 && pipe + std::min<uint32_t>(record->length(), t.snd_mss) > t.congestion.cwnd) return false;
        if (record->payload_bytes > t.snd_mss && !split_record(t, *record, t.snd_mss)) return false;
        return emit_record(t, *record, out, now);
    }
    return false;
}

/// Cuts a record in two, the first keeping `payload_bytes` (0 < payload_bytes < its own). False if no record was to be had.
bool Stack::Impl::split_record(Tcb& t, TxRecord& record, uint32_t payload_bytes) {
    if (t.records_out == UINT16_MAX) return false;
    TxRecord* rest = records.take();
    if (!rest) {
        counters.no_memory++;
        starved = true;
        return false;
    }
    t.records_out++;
    *rest = record;
    advance_cursor(rest->node, rest->offset, payload_bytes);
    rest->seq = record.seq + payload_bytes;
    rest->payload_bytes = record.payload_bytes - payload_bytes;
    record.payload_bytes = payload_bytes;
    record.flags = static_cast<uint8_t>(record.flags & ~TxRecord::kFinal);
    record.next = rest;
    if (t.tx_tail == &record) t.tx_tail = rest;
    return true;
}

/// Sends a record that was sent before.
bool Stack::Impl::emit_record(Tcb& t, TxRecord& record, net::DatagramOut& out, Instant now) {
    const bool last = record.end() == t.snd_nxt && t.unsent_bytes == 0;
    const uint8_t flags = static_cast<uint8_t>(kAck | (last && record.payload_bytes > 0 ? kPsh : 0) | (record.has(TxRecord::kFinal) ? kFin : 0));
    HeaderFields f = header_for(t, record.seq, flags, now);
    std::array<SackBlock, 4> blocks;
    // Blocks only where they leave room: a repeat never grows beyond the path's MTU.
    const bool room = record.payload_bytes + sack_option_bytes(t) <= t.snd_mss;
    if (room) add_sack(t, f, blocks);
    f.window = advertise_window(t);
    if (!build(t, f, &record, false, out)) return false;
    if (room) sent_ack(t);
    record.sent_at = now;
    if (record.has(TxRecord::kLost) && !record.has(TxRecord::kInRetransmit)) {
        record.flags |= TxRecord::kInRetransmit;
        t.retrans_bytes += record.length();
    }
    record.flags |= TxRecord::kEverRetransmitted;
    if (!t.retrans_stamped && t.recovery != Recovery::kOpen) {
        t.retrans_stamped = true;
        t.retrans_stamp = f.ts_value;
    }
    t.prr_out += record.length();
    counters.retransmits++;
    t.retransmits++;
    arm_transmit_timer(t, now, false);
    return true;
}

/// RFC 8985 7.3: new text if there is some, else the last record again, so that an ACK or SACK comes back.
bool Stack::Impl::emit_tail_probe(Tcb& t, net::DatagramOut& out, Instant now) {
    t.tail_probe_now = false;
    if (!t.tx_tail || t.recovery != Recovery::kOpen) return false;
    const uint32_t length = sendable(t, t.snd_mss - sack_option_bytes(t));
    const bool fresh = t.sends() && length > 0;
    if (!fresh && t.tx_tail->payload_bytes > t.snd_mss) {  // of a frame that the port cut, the last segment is enough
        if (!split_record(t, *t.tx_tail, (t.tx_tail->payload_bytes - 1) / t.snd_mss * t.snd_mss)) {
            t.tail_probe_now = true;
            return false;
        }
    }
    if (!(fresh ? transmit_new(t, length, out, now) : emit_record(t, *t.tx_tail, out, now))) {
        t.tail_probe_now = true;
        return false;
    }
    t.tail_probe_out = true;
    t.tail_probe_resent = !fresh;
    t.tail_probe_end = t.snd_nxt;
    counters.tlp_probes++;
    set_transmit_timer(t, XmitTimer::kRetransmit, now + t.rtt.backed_off(t.backoff, config.max_rto));
    return true;
}

/// New bytes that the peer's window and silly-window avoidance let go now (RFC 9293 3.8.6.2.1), at most one segment.
uint32_t Stack::Impl::sendable(const Tcb& t, uint32_t mss) const {
    const uint32_t usable = t.usable_window();
    const uint32_t length = std::min({t.unsent_bytes, usable, mss});
    if (length == 0 || length == mss) return length;
    if (length == t.unsent_bytes) {  // the last piece: Nagle (RFC 9293 3.7.4) waits until nothing is in flight
        if (t.corked && !t.fin_queued && !t.persist_override) return 0;
        return t.no_delay || t.fin_queued || !t.in_flight() ? length : 0;
    }
    return usable >= t.snd_wnd_max / 2 || t.persist_override ? length : 0;
}

bool Stack::Impl::emit_new(Tcb& t, net::DatagramOut& out, Instant now) {
    if (!t.sends()) return false;
    const uint32_t mss = t.snd_mss - sack_option_bytes(t);  // kMssMin leaves room for every option
    uint32_t length = sendable(t, mss);
    // A flight of crumbs would make every ACK a long walk: beyond some, crumbs wait for each other (CVE-2019-11478).
    if (t.records_out >= kSmallInFlightMax && length < mss) return false;
    const bool fin_only = t.fin_queued && !t.fin_sent && t.unsent_bytes == 0;
    if (length == 0 && !(fin_only && t.usable_window() > 0)) return false;
    if (!t.in_flight() && ms(now) - t.last_send_ms > t.rtt.rto_us / 1000) {
        t.congestion.on_idle(config.initial_cwnd_segments * t.snd_mss);
    }
    const uint32_t pipe = t.pipe();
    if (pipe > 0 && pipe + std::max<uint32_t>(length, 1) > t.congestion.cwnd) {
        t.cwnd_limit_end = t.snd_nxt;
        return false;
    }
    if (t.path_mtu < t.mtu_max && length == mss) {
        if (const uint32_t probe = mtu_probe_bytes(t, now)) return transmit_new(t, probe, out, now, TxRecord::kMtuProbe);
    }
    // CWR is for one segment, and ports copy it to each of theirs.
    if (t.tso && length == t.snd_mss && !t.cwr_now) {  // as many whole segments as fit: the port cuts them (none while SACK blocks go along)
        const uint32_t room = std::min({t.unsent_bytes, t.usable_window(),
                                        t.congestion.cwnd > pipe ? t.congestion.cwnd - pipe : 0, 65000u});
        length = std::max(length, std::min(room, attachable(t, room)) / mss * mss);
    }
    if (!t.multi_segment && length == mss && length < t.unsent_bytes && t.records_out < kSmallInFlightMax && t.no_delay) length = cut_at_mbuf(t, length);
    if (transmit_new(t, length, out, now)) return true;
    if (length <= mss || !starved) return false;
    starved = false;  // a long frame takes many mbufs: one segment may still find its own
    return transmit_new(t, mss, out, now);
}

/// Sends `length` bytes of new text, and FIN if they are the last.
bool Stack::Impl::transmit_new(Tcb& t, uint32_t length, net::DatagramOut& out, Instant now, uint8_t record_flags) {
    const bool fin = t.fin_queued && length == t.unsent_bytes && t.usable_window() > length;
    if (t.records_out == UINT16_MAX) return false;
    TxRecord* const kept = records.take();
    if (!kept) {
        counters.no_memory++;
        starved = true;
        return false;
    }
    TxRecord& record = *kept;
    record.seq = t.snd_nxt;
    record.payload_bytes = length;
    record.flags = static_cast<uint8_t>(record_flags | (fin ? TxRecord::kFinal : 0));
    record.sent_at = now;
    normalize(t.cursor, t.cursor_offset);
    record.node = t.cursor;
    record.offset = t.cursor_offset;
    const uint8_t flags = static_cast<uint8_t>(kAck | (length == t.unsent_bytes && length > 0 ? kPsh : 0) | (fin ? kFin : 0));
    HeaderFields f = header_for(t, record.seq, flags, now);
    std::array<SackBlock, 4> blocks;
    if (record_flags == 0) add_sack(t, f, blocks);
    f.window = advertise_window(t);
    if (t.ecn && length > 0) {  // RFC 3168 6.1.2, 6.1.5: new text only, never a repeat
        f.ecn_capable = true;
        if (t.cwr_now) f.flags |= kCwr;
    }
    if (!build(t, f, &record, true, out)) {
        records.give(kept);
        return false;
    }
    if (length > 0) t.cwr_now = false;
    if (t.ack_at != Instant::never()) t.interactive = true;  // an answer carries the ACK: no need to hurry with it next time
    sent_ack(t);

    t.records_out++;
    if (record_flags != 0) mtu_probe_sent(t);
    (t.tx_tail ? t.tx_tail->next : t.tx_head) = kept;
    t.tx_tail = kept;
    if (length > 0) advance_cursor(t.cursor, t.cursor_offset, length);
    t.unsent_bytes -= length;
    if (!t.in_flight()) t.last_progress_ms = ms(now);
    t.snd_nxt = kept->end();
    t.bytes_sent += length;
    counters.bytes_out += length;
    t.persist_override = false;
    if (t.recovery == Recovery::kRecovery) t.prr_out += kept->length();
    if (t.pipe() + t.snd_mss > t.congestion.cwnd) t.cwnd_limit_end = t.snd_nxt;
    if (fin) {
        t.fin_sent = true;
        t.state = t.state == State::kCloseWait ? State::kLastAck : State::kFinWait1;
    }
    if (t.xmit_timer == XmitTimer::kPersist) t.backoff = 0;
    if (t.xmit_timer != XmitTimer::kRetransmit) arm_transmit_timer(t, now, true);
    return true;
}

/// A segment without text: an ACK or a probe.
bool Stack::Impl::emit_bare(Tcb& t, Seq seq, net::DatagramOut& out, Instant now) {
    HeaderFields f = header_for(t, seq, kAck, now);
    std::array<SackBlock, 4> blocks;
    add_sack(t, f, blocks);
    f.window = advertise_window(t);
    if (!build(t, f, nullptr, false, out)) return false;
    sent_ack(t);
    return true;
}

/// D-SACK first, then the runs, last grown first; write_header takes as many as fit.
void Stack::Impl::add_sack(Tcb& t, HeaderFields& f, std::array<SackBlock, 4>& blocks) const {
    if (!t.sack) return;
    unsigned count = 0;
    if (t.has_duplicate) blocks[count++] = t.duplicate;
    if (!t.reassembly.empty()) count += t.reassembly.sack_blocks(std::span(blocks).subspan(count));
    f.sack = {blocks.data(), count};
}

void Stack::Impl::sent_ack(Tcb& t) {
    t.last_ack_sent = t.rcv_nxt;
    t.ack_now = false;
    t.has_duplicate = false;
    t.ack_at = Instant::never();
    if (t.extra_acks == 1) t.extra_acks = 0;
}

/// The window to write, and the new right edge. It never moves back (SHLD-14) and moves on only by a segment or half
/// of the buffer (RFC 9293 3.8.6.2.2).
uint16_t Stack::Impl::advertise_window(Tcb& t) {
    const uint32_t current = t.offered_window();
    uint32_t window = current;
    if (t.read_enabled && t.receive_limit > t.rcv_unconsumed) {
        const uint32_t room = t.receive_limit - t.rcv_unconsumed;
        if (room >= current + std::min<uint32_t>(t.receive_limit / 2, t.rcv_mss)) window = room;
    }
    uint32_t field = window >> t.rcv_shift;
    if (field << t.rcv_shift < current) field++;  // scaling must not take back what was offered
    field = std::min(field, 65535u);
    t.rcv_adv = t.rcv_nxt + (field << t.rcv_shift);
    return static_cast<uint16_t>(field);
}

}  // namespace sluice::tcp
