// A segment's way in, in the order of RFC 9293 3.10.7: header, sequence, RST, SYN, ACK, text, FIN.
// In: a datagram whose IP layer is checked. Out: changed control blocks, bytes in receive queues, events, ACKs owed.
// Takes over the mbuf: its payload becomes slices, the rest is freed. RFC 9293, 7323 (PAWS), 5961 (blind attacks), 1337.
#include <algorithm>

#include "base/checksum.h"
#include "tcp/stack_impl.h"

namespace sluice::tcp {

namespace {

constexpr size_t kPrefetchMax = 64;  // segments of a burst whose connections stay in the core's own cache together

bool checksum_ok(const net::DatagramIn& in) {
    const uint64_t sum = pseudo_header_sum(in.source, in.destination, net::kProtocolTcp, in.payload_length);
    return checksum_finish(checksum_add_mbuf(in.mbuf, in.payload_offset, in.payload_length, sum)) == 0;
}

/// The payload as slices; takes the mbuf over. False if list nodes ran out (everything is then freed).
bool slice_payload(net::DatagramIn& in, const Segment& s, SliceQueue& out) {
    uint32_t skip = in.payload_offset + s.header_bytes;
    uint32_t left = s.payload_bytes;
    rte_mbuf* m = std::exchange(in.mbuf, nullptr);
    bool room = true;
    while (m) {
        rte_mbuf* const next = std::exchange(m->next, nullptr);
        m->nb_segs = 1;
        const uint32_t offset = std::min<uint32_t>(skip, m->data_len);
        const uint32_t n = std::min<uint32_t>(left, m->data_len - offset);
        skip -= offset, left -= n;
        Slice slice(m, m->data_off + offset, n);  // frees m if it is not queued
        if (n > 0 && room) room = out.push_back(std::move(slice));
        m = next;
    }
    return room && left == 0;
}

}  // namespace

Tcb* Stack::Impl::find(const FourTuple& tuple, uint32_t hash) const {
    Demux::Ref ref;
    const bool found = demux.find(hash, ref, [&](Demux::Ref r) { return !r.time_wait && tcbs.at(r.index)->tuple == tuple; });
    return found ? tcbs.at(ref.index) : nullptr;
}

/// Two rounds, since an entry must be there before it says where the control block is.
void Stack::Impl::prefetch(std::span<const net::DatagramIn> burst) const {
    std::array<uint32_t, kPrefetchMax> hashes;
    uint32_t count = 0;
    for (const net::DatagramIn& in : burst.first(std::min<size_t>(burst.size(), kPrefetchMax))) {
        if (in.payload_length < sizeof(WireHeader) || uint32_t{in.payload_offset} + sizeof(WireHeader) > in.mbuf->data_len) continue;
        const auto* wire = rte_pktmbuf_mtod_offset(in.mbuf, const WireHeader*, in.payload_offset);
        hashes[count] = hash_tuple(demux_key, {{in.destination, wire->destination_port.value()}, {in.source, wire->source_port.value()}});
        demux.prefetch(hashes[count++]);
    }
    Demux::Ref ref;
    for (uint32_t i = 0; i < count; i++) {
        if (!demux.find(hashes[i], ref, [](Demux::Ref r) { return !r.time_wait; })) continue;
        const auto* t = reinterpret_cast<const char*>(tcbs.at(ref.index));
        for (size_t line = 0; line < sizeof(Tcb); line += 64) __builtin_prefetch(t + line, 1);
    }
}

bool Stack::Impl::handle_segment(net::DatagramIn& in, Instant now) {
    counters.segments_in++;
    rte_mbuf* const m = in.mbuf;
    std::optional<Segment> parsed;
    if (m->data_len > in.payload_offset) {
        const uint32_t contiguous = std::min<uint32_t>(m->data_len - in.payload_offset, in.payload_length);
        parsed = parse_segment({rte_pktmbuf_mtod_offset(m, const uint8_t*, in.payload_offset), contiguous}, in.payload_length);
    }
    const bool whole = uint32_t{in.payload_offset} + in.payload_length <= m->pkt_len;
    // MUST-57, MUST-63: addressed to or from many is no connection.
    if (!parsed || !whole || in.source.is_multicast() || in.source.is_unspecified() || in.destination.is_multicast()) {
        counters.bad_header++;
        rte_pktmbuf_free(m);
        return true;
    }
    if (!in.l4_checksum_verified && !checksum_ok(in)) {  // MUST-3
        counters.bad_checksum++;
        rte_pktmbuf_free(m);
        return true;
    }
    Segment& s = *parsed;
    s.ecn = in.ecn;
    s.merged_bytes = in.merged_bytes;
    const auto* wire = rte_pktmbuf_mtod_offset(m, const WireHeader*, in.payload_offset);
    const FourTuple tuple{{in.destination, wire->destination_port.value()}, {in.source, wire->source_port.value()}};
    const uint32_t hash = hash_tuple(demux_key, tuple);

    Tcb* t = find(tuple, hash);
    if (t && completes_other_cookie(*t, s, now)) {
        close(*t);
        free_if_done(*t);
        t = nullptr;
    }
    if (t) {
        segment_arrives(*t, s, in, now);
        free_if_done(*t);
        if (in.mbuf) rte_pktmbuf_free(std::exchange(in.mbuf, nullptr));
        return true;
    }
    Seq iss_floor;
    bool reopen = false;
    if (TimeWait* w = find_time_wait(tuple, hash)) {
        reopen = time_wait_arrives(*w, s, now, iss_floor);
        if (!reopen) {
            rte_pktmbuf_free(std::exchange(in.mbuf, nullptr));
            return true;
        }
    }
    Listener* l = find_listener(tuple.local);
    if (!l) {
        counters.no_connection++;
        return false;
    }
    // 3.10.7.2, LISTEN: RST is ignored, ACK is answered with RST (unless it completes a cookie), SYN opens.
    if (s.has(kRst)) {
    } else if (s.has(kAck)) {
        // While cookies are out, this may have overtaken the segment that proves its cookie: silence, it will be repeated.
        if (!cookie_arrives(*l, tuple, hash, s, in, now) && now > cookies_until) reset_for(tuple, s);
    } else if (s.has(kSyn) && !s.has(kFin)) {
        syn_arrives(*l, tuple, hash, s, iss_floor, reopen, now);
    }
    if (in.mbuf) rte_pktmbuf_free(std::exchange(in.mbuf, nullptr));
    return true;
}

/// A repeated SYN made a half-open connection after a cookie had answered the first one: the ACK decides for the cookie.
bool Stack::Impl::completes_other_cookie(const Tcb& t, const Segment& s, Instant now) const {
    return t.state == State::kSynReceived && t.passive && now <= cookies_until && s.has(kAck) && !s.has(kSyn | kRst) &&
           s.ack != t.snd_nxt && cookies.check(t.tuple, s.seq - 1, s.ack - 1, now).has_value();
}

/// Where segments get lost, so do ACKs, and one for a whole burst is soon none: a sender that recovers then waits for its timeout.
/// So what is owed for the segment before is not put together with what this one will bring (RFC 5681 4.2).
void Stack::Impl::send_owed_ack(Tcb& t, Instant now) {
    if (control_count >= kControlMax / 2) return;  // at the end of the turn, then
    net::DatagramOut& out = control[(control_head + control_count) % kControlMax];
    out = {};
    if (emit_bare(t, t.snd_nxt, out, now)) control_count++;
}

void Stack::Impl::segment_arrives(Tcb& t, Segment& s, net::DatagramIn& in, Instant now) {
    if (t.lossy && t.ack_now && t.sack && t.receives() && s.payload_bytes > 0) send_owed_ack(t, now);
    if (t.state == State::kSynSent) {
        in_syn_sent(t, s, in, now);
        return schedule(t, now);
    }
    // Both sides opened at once: SYN-ACK crosses ours. Its SYN is old, its ACK is what we wait for (figure 8).
    const bool repeats_syn = t.state == State::kSynReceived && s.has(kSyn) && !s.has(kRst) && s.seq + 1 == t.rcv_nxt;
    if (repeats_syn && s.has(kAck)) {
        s.flags = static_cast<uint8_t>(s.flags & ~(kSyn | kEce | kCwr));
        s.seq = s.seq + 1;
    } else if (repeats_syn) {
        if (!s.has(kEce)) t.ecn = false;  // it gave up asking: something on the path eats such SYNs (RFC 3168 6.1.1.1)
        t.syn_pending = true;  // our SYN-ACK was lost
        return want_output(t);
    }
    if (acceptable(t, s, now) && s.has(kAck) && (t.state != State::kSynReceived || handshake_ack(t, s, now))) {
        t.last_receive_ms = ms(now);
        t.keepalive_sent = 0;
        if (s.has(kCwr) || s.ecn == kCongestionExperienced) take_marks(t, s);
        if (handle_ack(t, s, now) && t.receives()) {
            // URG is left unread: urgent bytes arrive in line like all others (RFC 6093 3.1).
            if (s.payload_bytes > 0) take_payload(t, s, in, now);
            if (s.has(kFin) && t.receives()) {
                t.peer_fin_early = true;
                t.rcv_fin_seq = s.seq + s.payload_bytes;
            }
            if (t.peer_fin_early && t.rcv_nxt == t.rcv_fin_seq) take_fin(t, now);
        }
    }
    if (t.state == State::kClosed || t.state == State::kTimeWait) return;
    if (has_output(t)) want_output(t);
    schedule(t, now);
}

/// Steps one to four of 3.10.7.4. False: the segment ends here, answered where it must be.
bool Stack::Impl::acceptable(Tcb& t, const Segment& s, Instant now) {
    // RFC 7323 5.3 R1. A connection idle for 24 days cannot tell old from new (5.5).
    if (t.timestamps && !s.has(kRst)) {
        if (!s.has_timestamp) return false;  // RFC 7323 3.2
        const bool stale = static_cast<int32_t>(s.ts_value - t.ts_recent) < 0 &&
                           ms(now) - t.last_receive_ms < 24u * 86400 * 1000;
        if (stale) {
            counters.paws_dropped++;
            // Most of them are repeats' late originals: the sender learns that nothing was lost (RFC 2883).
            const Seq end = s.seq + s.payload_bytes;
            if (s.seq.before(t.rcv_nxt)) report_duplicate(t, {s.seq, end.after(t.rcv_nxt) ? t.rcv_nxt : end});
            if (s.length() > 0) t.ack_now = true;
            else challenge(t, now);
            return false;
        }
    }
    const uint32_t window = t.offered_window();
    const uint32_t length = s.length();
    // A bare ACK may lie on the window's right edge: the peer has filled the window and lost some of it on the way.
    bool in_window = s.seq.in_window(t.rcv_nxt, window + 1);
    if (length > 0) {
        // A closed window still lets in what comes with a probe: ACK, RST (RFC 9293 3.10.7.4), the text is trimmed to nothing.
        in_window = window == 0 ? s.seq == t.rcv_nxt
                                : s.seq.in_window(t.rcv_nxt, window) || (s.end() - 1).in_window(t.rcv_nxt, window);
    }
    if (!in_window) {
        counters.duplicates++;
        if (s.has(kRst)) return false;
        if (s.payload_bytes > 0 && s.end().at_or_before(t.rcv_nxt)) report_duplicate(t, {s.seq, s.seq + s.payload_bytes});
        if (length > 0 && !s.has(kSyn)) t.ack_now = true;  // a repeat: our ACK was lost
        else challenge(t, now);
        return false;
    }
    if (s.has(kRst)) {  // RFC 5961 3.2
        if (s.seq != t.rcv_nxt) {
            challenge(t, now);
            return false;
        }
        counters.resets_in++;
        fail(t, t.state == State::kSynReceived ? Error::kRefused : Error::kReset);
        return false;
    }
    if (s.has(kSyn)) {  // RFC 5961 4.2
        challenge(t, now);
        return false;
    }
    // RFC 7323 4.3 (2): only what stands at or before the last ACK moves ts_recent.
    if (t.timestamps && s.has_timestamp && s.seq.at_or_before(t.last_ack_sent)) {
        t.ts_recent = s.ts_value;
    }
    return true;
}

/// RFC 3168 6.1.3: a mark is echoed on every ACK until the sender says that it has reduced its window; a mark on that very
/// segment is a new one. Whoever marks packets believes that we agreed, so we echo even if we do not send ECT ourselves.
void Stack::Impl::take_marks(Tcb& t, const Segment& s) {
    if (config.ecn == StackConfig::Ecn::kOff) return;
    if (s.has(kCwr)) t.ecn_echo = false;
    if (s.ecn != kCongestionExperienced || s.payload_bytes == 0) return;
    counters.ecn_marks_in++;
    t.ecn_echo = true;
    t.ack_now = true;
}

/// The next ACK names text that came twice, so that the peer learns what it repeated in vain (RFC 2883).
void Stack::Impl::report_duplicate(Tcb& t, SackBlock block) {
    if (!t.sack || !block.start.before(block.end)) return;
    t.duplicate = block;
    t.has_duplicate = true;
    t.ack_now = true;
    t.lossy = true;  // the sender recovers; one ACK names one duplicate
    t.quick_acks = kQuickAcks;
}

void Stack::Impl::challenge(Tcb& t, Instant now) {
    const auto tick = static_cast<uint16_t>(ms(now) / 8);
    if (static_cast<uint16_t>(tick - t.last_challenge) < kChallengeGapMs / 8) return;
    // And of the core together, so that a flood over many connections is not answered one for one (RFC 5961 7). How many
    // a second is drawn anew each time: what is left of it tells nothing of others' connections (CVE-2016-5696).
    if (const auto second = static_cast<uint64_t>(now.us) / 1'000'000; second != challenge_second) {
        challenge_second = second;
        SipHash24 h(sequence_key);
        h.word(second);
        challenges_left = kChallengesPerSecond / 2 + static_cast<uint32_t>(h.finish() % kChallengesPerSecond);
    }
    if (challenges_left == 0) return;
    challenges_left--;
    t.last_challenge = tick;
    counters.challenge_acks++;
    t.ack_now = true;
}

/// 3.10.7.3.
void Stack::Impl::in_syn_sent(Tcb& t, Segment& s, net::DatagramIn&, Instant now) {
    const bool ack_ok = s.has(kAck) && s.ack == t.snd_nxt;
    if (s.has(kAck) && !ack_ok) {
        if (!s.has(kRst)) reset_for(t.tuple, s);
        return;
    }
    if (s.has(kRst)) {
        if (!ack_ok) return;
        counters.resets_in++;
        return fail(t, Error::kRefused);
    }
    if (!s.has(kSyn)) return;
    t.rcv_nxt = s.seq + 1;
    t.rcv_adv = t.rcv_nxt + std::min<uint32_t>(t.receive_limit, 65535);
    t.last_ack_sent = t.rcv_nxt;
    t.last_receive_ms = ms(now);
    take_options(t, s);
    t.snd_wnd = t.snd_wnd_max = s.window;  // never scaled on a SYN
    t.snd_wl1 = s.seq;
    t.snd_wl2 = s.ack;
    if (!ack_ok) {  // simultaneous open
        t.state = State::kSynReceived;
        t.syn_pending = true;
        return want_output(t);
    }
    if (t.backoff == 0) t.rtt.sample(now - (t.xmit_at - t.rtt.backed_off(0, config.max_rto)), config.min_rto, config.max_rto);
    t.snd_una = s.ack;
    established(t, now);
    counters.connected++;
    event(t, kConnected | kWritable);
    t.ack_now = true;  // text on a SYN is left to be sent again: there is no Fast Open here
    want_output(t);
}

/// 3.10.7.4, fifth, SYN-RECEIVED. True if the handshake is done.
bool Stack::Impl::handshake_ack(Tcb& t, const Segment& s, Instant now) {
    if (s.ack != t.snd_nxt) {
        if (now > cookies_until) reset_for(t.tuple, s);
        return false;
    }
    if (t.passive && !t.listener->accepting) {  // silence: our SYN-ACK goes out again, the peer answers again
        counters.listen_overflow++;
        return false;
    }
    if (t.backoff == 0) t.rtt.sample(now - (t.xmit_at - t.rtt.backed_off(0, config.max_rto)), config.min_rto, config.max_rto);
    t.snd_una = s.ack;
    t.snd_wnd = s.window << t.snd_shift;
    t.snd_wnd_max = std::max(t.snd_wnd_max, t.snd_wnd);
    t.snd_wl1 = s.seq;
    t.snd_wl2 = s.ack;
    t.syn_pending = false;
    if (!t.passive) {
        established(t, now);
        counters.connected++;
        event(t, kConnected | kWritable);
        return true;
    }
    accepted(t, now);
    return t.state == State::kEstablished;
}

/// Seventh: the text. Takes in.mbuf.
void Stack::Impl::take_payload(Tcb& t, const Segment& s, net::DatagramIn& in, Instant now) {
    if (t.released) return abort(t, Error::kAborted);  // nobody will read it (RFC 2525 2.17)
    Seq seq = s.seq;
    SliceQueue bytes(nodes);
    if (!slice_payload(in, s, bytes)) {
        counters.no_memory++;  // as if lost on the wire: the peer will send it again
        return;
    }
    if (seq.before(t.rcv_nxt)) {
        const auto known = static_cast<uint32_t>(std::min<uint64_t>(t.rcv_nxt - seq, bytes.bytes()));
        report_duplicate(t, {seq, seq + known});
        bytes.consume(known);
        seq = t.rcv_nxt;
    }
    const uint32_t room = t.rcv_adv.after(seq) ? t.rcv_adv - seq : 0;
    if (bytes.bytes() > room) {
        SliceQueue fits(nodes);
        const bool cut = bytes.split_to(room, fits);
        bytes.clear();
        if (!cut) return void(counters.no_memory++);
        t.ack_now = true;  // the sender must learn that the window is full
        bytes.append(std::move(fits));
    }
    const auto length = static_cast<uint32_t>(bytes.bytes());
    if (length == 0) {  // repeated text, or a probe of our closed window
        t.ack_now = true;
        return;
    }
    if (seq != t.rcv_nxt) {
        counters.out_of_order++;
        SackBlock known;
        if (!t.reassembly.insert(seq, std::move(bytes), runs, 2 * uint64_t{t.receive_limit} + 65536, known)) counters.no_memory++;
        report_duplicate(t, known);
        t.ack_now = true;  // RFC 5681 4.2: at once, so that the sender learns of the gap
        if (!t.sack && t.extra_acks < 15) t.extra_acks++;
        t.quick_acks = kQuickAcks;  // the peer will start again with few segments in flight: none of them may wait for a second
        t.lossy = true;
        return;
    }
    const bool had_gap = !t.reassembly.empty();
    if (length > kCopyBreakBytes || bytes.count() != 1 || !t.receive_queue.append_copy(bytes.front().span())) {
        t.receive_queue.append(std::move(bytes));
    }
    uint32_t accepted_bytes = length;
    t.rcv_nxt = t.rcv_nxt + length;
    if (had_gap) {
        t.quick_acks = kQuickAcks;
        const uint32_t more = t.reassembly.take(t.rcv_nxt, t.receive_queue, runs);
        t.rcv_nxt = t.rcv_nxt + more;
        accepted_bytes += more;
        t.ack_now = true;
    }
    t.rcv_unconsumed += accepted_bytes;
    t.bytes_received += accepted_bytes;
    counters.bytes_in += accepted_bytes;
    schedule_ack(t, s, length, now);
    event(t, kReadable);
}

/// RFC 9293 3.8.6.3 lets an ACK speak for more than two segments where they come in bursts. Not while something is missing, nor
/// while the peer may be waiting for its window.
bool Stack::Impl::stretches_ack(const Tcb& t, uint32_t owed_bytes) const {
    return backlog && !t.lossy && owed_bytes < kStretchSegments * uint32_t{t.rcv_mss} && owed_bytes < t.offered_window() / 2;
}

/// RFC 9293 3.8.6.3, RFC 5681 4.2: at least every second full-sized segment at once, all else within the delay.
void Stack::Impl::schedule_ack(Tcb& t, const Segment& s, uint32_t accepted_bytes, Instant now) {
    if (s.piece_bytes() > t.rcv_mss) {
        t.rcv_mss = static_cast<uint16_t>(std::min<uint32_t>(s.piece_bytes(), t.path_mtu));
    }
    const uint32_t owed = t.rcv_nxt - t.last_ack_sent;
    if (owed >= 2u * t.rcv_mss) {
        if (stretches_ack(t, owed)) t.ack_at = std::min(t.ack_at, now + kStretchDelay);
        else t.ack_now = true;
        // Requests and answers take no quick ACKs below: here the end of a lossy time is counted for them.
        if (t.lossy && t.interactive && t.quick_acks > 0 && --t.quick_acks == 0) t.lossy = false;
    } else if (t.quick_acks > 0 && !t.interactive && accepted_bytes >= t.rcv_mss && t.rcv_mss > 536) {
        if (--t.quick_acks == 0) t.lossy = false;  // the peer's slow start lives on ACKs; small requests wait for their answer to carry one
        t.ack_now = true;
    } else if (t.quick_ack && !t.interactive) {
        t.ack_now = true;
    } else if (t.ack_at == Instant::never()) {
        t.ack_at = now + config.delayed_ack;
    }
}

/// Eighth: FIN, all text before it received.
void Stack::Impl::take_fin(Tcb& t, Instant now) {
    t.rcv_nxt = t.rcv_nxt + 1;
    t.peer_fin = true;
    t.peer_fin_early = false;
    t.ack_now = true;
    event(t, kPeerClosed);
    switch (t.state) {
        case State::kEstablished: t.state = State::kCloseWait; return;
        case State::kFinWait1: t.state = State::kClosing; return;  // our FIN is not acknowledged, or handle_ack had moved on
        case State::kFinWait2: enter_time_wait(t, now); return;
        default: return;
    }
}

}  // namespace sluice::tcp
