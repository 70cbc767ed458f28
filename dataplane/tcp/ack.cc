// What the peer has got: cumulative ACKs, SACK blocks, windows, and our FIN's end (RFC 9293 3.10.7.4 fifth, RFC 2018).
// In: an acceptable segment. Out: send records and payload let go, round-trip samples, recovery informed, events.
// Frees what was acknowledged. A SACK block marks only records it covers whole: no record is cut into pieces
// smaller than a segment (CVE-2019-11477), and the walk is bounded by what is in flight.
#include <algorithm>

#include "tcp/stack_impl.h"

namespace sluice::tcp {

namespace {

/// Walks `n` bytes on from (node, offset), and past what is empty there: empty slices are let go with those before them.
void advance_position(const SliceNode*& node, uint32_t& offset, uint32_t n) {
    while (node && (n > 0 || offset == node->slice.size())) {
        const uint32_t left = node->slice.size() - offset;
        if (n < left) {
            offset += n;
            return;
        }
        n -= left;
        node = node->next;
        offset = 0;
    }
}

}  // namespace

/// False: the segment ends here.
bool Stack::Impl::handle_ack(Tcb& t, const Segment& s, Instant now) {
    if (s.ack.after(t.snd_nxt) || s.ack.before(t.snd_una - t.snd_wnd_max)) {  // RFC 5961 5.2
        challenge(t, now);
        return false;
    }
    if (s.ack.before(t.snd_una)) return true;  // an old one; its text may be new
    const uint32_t acked = s.ack - t.snd_una;
    const uint32_t window = s.window << t.snd_shift;
    const bool dup_ack = acked == 0 && s.length() == 0 && t.in_flight() && window == t.snd_wnd;
    if (t.snd_wl1.before(s.seq) || (t.snd_wl1 == s.seq && t.snd_wl2.at_or_before(s.ack))) {
        t.snd_wnd = window;
        t.snd_wnd_max = std::max(t.snd_wnd_max, window);
        t.snd_wl1 = s.seq;
        t.snd_wl2 = s.ack;
    }
    AckSample sample;
    if (acked > 0) pop_acked(t, s.ack, sample, now);
    if (t.sack && s.sack_count > 0) apply_sack(t, s, sample, now);
    // Nothing sent once was acknowledged: a timestamp can still tell that it was the last transmission that arrived.
    // An older echo tells nothing: that ACK may have been lost and repeated minutes later (Karn; RFC 7323 4.1).
    if (sample.rtt.us < 0 && sample.resent_at.us != 0 && t.timestamps &&
        static_cast<int32_t>(s.ts_echo - (ms(sample.resent_at) + t.ts_offset)) >= 0) {
        sample.rtt = now - sample.resent_at;
    }
    if (sample.rtt.us >= 0) {
        t.rtt.sample(sample.rtt, config.min_rto, config.max_rto);
        t.min_rtt_us = std::min(t.min_rtt_us, static_cast<uint32_t>(std::max<int64_t>(sample.rtt.us, 1)));
    }
    recover(t, s, sample, dup_ack, acked, now);
    if (acked > 0) {
        t.backoff = 0;
        t.soft_error = Error::kNone;
        t.last_progress_ms = ms(now);
        after_ack(t, sample, now);
    }
    if (t.state == State::kClosed || t.state == State::kTimeWait) return false;
    arm_transmit_timer(t, now, acked > 0 || sample.delivered > 0);
    return true;
}

/// Takes records off the front up to `ack`, and their payload off the send queue.
void Stack::Impl::pop_acked(Tcb& t, Seq ack, AckSample& sample, Instant now) {
    const uint32_t total = ack - t.snd_una;
    bool repaired = false;
    while (TxRecord* record = t.tx_head) {
        if (record->end().after(ack)) {
            if (record->seq.before(ack)) {  // part of it: the record now starts at the ACK
                const uint32_t part = ack - record->seq;
                if (record->has(TxRecord::kSacked)) t.sacked_bytes -= part;
                else sample.delivered += part;
                if (record->has(TxRecord::kLost)) t.lost_bytes -= part;
                if (record->has(TxRecord::kInRetransmit)) t.retrans_bytes -= part;
                advance_position(record->node, record->offset, part);
                record->seq = ack;
                record->payload_bytes -= part;
                sample.payload_acked += part;
            }
            break;
        }
        if (record->has(TxRecord::kSacked)) {
            t.sacked_bytes -= record->length();
        } else {
            sample.delivered += record->length();
            if (!record->has(TxRecord::kEverRetransmitted)) {
                sample.rtt = now - record->sent_at;
                // Below something that was SACKed, yet it arrived by itself: the network reorders (RFC 8985 6.2 step 3).
                if (t.sack_high.after(record->end())) t.reordering_seen = true;
            } else {
                repaired = true;
                sample.resent_at = std::max(sample.resent_at, record->sent_at);
            }
            rack_update(t, *record, now);
        }
        if (record->has(TxRecord::kLost)) t.lost_bytes -= record->length();
        if (record->has(TxRecord::kInRetransmit)) t.retrans_bytes -= record->length();
        if (record->has(TxRecord::kFinal)) sample.fin_acked = true;
        sample.payload_acked += record->payload_bytes;
        if (record->has(TxRecord::kMtuProbe)) mtu_probe_acked(t, *record, now);
        t.tx_head = record->next;
        if (!t.tx_head) t.tx_tail = nullptr;
        records.give(record);
        t.records_out--;
    }
    // What lay behind a hole arrived long ago: the ACK waited for the repeat, and measures nothing (Karn).
    if (repaired) sample.rtt = {-1};
    if (!t.sack) t.sacked_bytes -= std::min(t.sacked_bytes, total > t.snd_mss ? total - t.snd_mss : 0);
    t.snd_una = ack;
    if (t.sack_high.before(ack)) t.sack_high = ack;
    if (t.recovery == Recovery::kOpen) {  // marks of times gone by must not come round again
        if (t.cwnd_limit_end.before(ack - total)) t.cwnd_limit_end = ack - total;
        if (t.recovery_point.before(ack - total)) t.recovery_point = ack - total;
    }
    drop_acked_payload(t, sample.payload_acked);
}

/// The first slice is let go when all of it is acknowledged: records point into it until then.
void Stack::Impl::drop_acked_payload(Tcb& t, uint32_t bytes) {
    t.una_skip += bytes;
    while (const SliceNode* first = t.send_queue.head()) {
        if (t.una_skip < first->slice.size()) break;
        if (t.cursor == first) {
            if (t.cursor_offset < first->slice.size()) break;  // an empty slice not yet passed by
            t.cursor = first->next;
            t.cursor_offset = 0;
        }
        t.una_skip -= first->slice.size();
        t.send_queue.pop_front();
    }
}

void Stack::Impl::apply_sack(Tcb& t, const Segment& s, AckSample& sample, Instant now) {
    std::array<SackBlock, 4> blocks;
    unsigned count = 0;
    for (unsigned i = 0; i < s.sack_count; i++) {
        const SackBlock& b = s.sack[i];
        if (!b.start.before(b.end)) continue;
        if (b.end.at_or_before(t.snd_una)) {  // RFC 2883 4: a first block below the ACK reports a duplicate
            if (i == 0) sample.duplicate = true;
            continue;
        }
        if (b.start.before(t.snd_una) || b.end.after(t.snd_nxt)) continue;
        if (i == 0 && s.sack_count > 1 && b.start.at_or_after(s.sack[1].start) && b.end.at_or_before(s.sack[1].end)) {
            sample.duplicate = true;
        }
        blocks[count++] = b;
    }
    if (sample.duplicate) widen_reordering(t, now);
    if (count == 0) return;
    for (TxRecord* record = t.tx_head; record; record = record->next) {
        if (record->has(TxRecord::kSacked)) continue;
        for (unsigned i = 0; i < count; i++) {
            const SackBlock& b = blocks[i];
            if (b.end.at_or_before(record->seq) || b.start.at_or_after(record->end())) continue;
            // A frame that the port cut into segments is judged by segment.
            if (record->payload_bytes > t.snd_mss) {
                const uint32_t edge = b.start.after(record->seq) ? b.start - record->seq
                                      : b.end.before(record->end()) ? b.end - record->seq : 0;
                if (edge != 0 && edge % t.snd_mss == 0 && edge < record->payload_bytes) (void)split_record(t, *record, edge);
            }
            if (b.start.at_or_before(record->seq) && b.end.at_or_after(record->end())) {
                mark_sacked(t, *record, sample, now);
                break;
            }
        }
    }
}

/// RFC 8985 6.2 step 4: we repeated what was only late. Once a round trip, however many reports it brings.
void Stack::Impl::widen_reordering(Tcb& t, Instant now) {
    t.reordering_seen = true;
    t.rack_reo_persist = 16;
    const auto since_ms = static_cast<uint16_t>(ms(now) - t.dsack_round_ms);
    if (t.rack_reo_multiplier > 1 && since_ms < std::min(t.rtt.srtt_us / 1000, 60'000u)) return;
    t.dsack_round_ms = static_cast<uint16_t>(ms(now));
    if (t.rack_reo_multiplier < 20) t.rack_reo_multiplier++;
}

void Stack::Impl::mark_sacked(Tcb& t, TxRecord& record, AckSample& sample, Instant now) {
    const uint32_t length = record.length();
    if (!record.has(TxRecord::kEverRetransmitted)) {
        sample.rtt = now - record.sent_at;
        if (record.end().before(t.sack_high)) t.reordering_seen = true;
    }
    rack_update(t, record, now);
    if (record.has(TxRecord::kLost)) t.lost_bytes -= length;
    if (record.has(TxRecord::kInRetransmit)) t.retrans_bytes -= length;
    record.flags = static_cast<uint8_t>((record.flags & ~(TxRecord::kLost | TxRecord::kInRetransmit)) | TxRecord::kSacked);
    t.sacked_bytes += length;
    sample.delivered += length;
    if (record.end().after(t.sack_high)) t.sack_high = record.end();
    if (record.has(TxRecord::kMtuProbe)) mtu_probe_acked(t, record, now);
}

/// Room in the send buffer, and the states that our FIN's ACK ends.
void Stack::Impl::after_ack(Tcb& t, const AckSample& sample, Instant now) {
    if (t.want_writable && t.send_queue.bytes() - t.una_skip < t.send_limit) {
        t.want_writable = false;
        event(t, kWritable);
    }
    if (t.want_sent && t.send_queue.empty()) event(t, kSent);
    if (t.released && t.linger_at_ms != 0) t.linger_at_ms = (ms(now) + kLingerMs) | 1;
    if (!sample.fin_acked) return;
    switch (t.state) {
        case State::kFinWait1:
            t.state = State::kFinWait2;
            if (t.released) t.linger_at_ms = (ms(now) + kLingerMs) | 1;
            return;
        case State::kClosing: return enter_time_wait(t, now);
        case State::kLastAck: return close(t);
        default: return;
    }
}

}  // namespace sluice::tcp
