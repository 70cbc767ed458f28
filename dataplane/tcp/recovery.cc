// What is lost, and when it is sent again: RACK-TLP (RFC 8985) with SACK, NewReno (RFC 6582) without, RTO (RFC 6298)
// under both; how much may leave meanwhile by proportional rate reduction (RFC 6937).
// In: what an ACK delivered, or an expired timer. Out: records marked lost, cwnd, the transmission timer.
// Works on a connection's records in place, owns nothing.
#include <algorithm>

#include "tcp/stack_impl.h"

namespace sluice::tcp {

namespace {

/// Order of transmission (RFC 8985 6.2 step 2: RACK_sent_after).
bool sent_after(uint32_t sent_us, Seq end, uint32_t other_us, Seq other_end) {
    const auto later = static_cast<int32_t>(sent_us - other_us);
    return later > 0 || (later == 0 && end.after(other_end));
}

constexpr Duration kWorstDelayedAck = milliseconds(200);  // RFC 8985 7.2: WCDelAckT

}  // namespace

void Stack::Impl::mark_lost(Tcb& t, TxRecord& record, Instant now) {
    if (record.has(TxRecord::kInRetransmit)) {
        record.flags = static_cast<uint8_t>(record.flags & ~TxRecord::kInRetransmit);
        t.retrans_bytes -= record.length();
    }
    if (record.has(TxRecord::kLost)) return;
    record.flags |= TxRecord::kLost;
    t.lost_bytes += record.length();
    if (record.has(TxRecord::kMtuProbe)) mtu_probe_failed(t, record, now);
}

/// RFC 8985 6.2 steps 1 and 2: the latest sent of all that was delivered.
void Stack::Impl::rack_update(Tcb& t, const TxRecord& record, Instant now) {
    const auto rtt_us = static_cast<uint32_t>(std::max<int64_t>((now - record.sent_at).us, 1));
    // Faster than anything yet: it was an earlier transmission that arrived.
    if (record.has(TxRecord::kEverRetransmitted) && rtt_us < t.min_rtt_us) return;
    const auto sent_us = static_cast<uint32_t>(record.sent_at.us);
    if (t.rack_rtt_us != 0 && !sent_after(sent_us, record.end(), t.rack_sent_us, t.rack_end)) return;
    t.rack_rtt_us = rtt_us;
    t.rack_sent_us = sent_us;
    t.rack_end = record.end();
}

/// RFC 8985 6.2 step 5: lost is what was sent a reordering window before something that was delivered.
void Stack::Impl::rack_detect(Tcb& t, Instant now) {
    if (t.rack_rtt_us == 0) return;
    uint32_t reorder_us = 0;
    const bool enough = t.recovery != Recovery::kOpen || t.sacked_bytes >= 3u * t.snd_mss;
    if (t.reordering_seen || !enough) {
        reorder_us = std::min(t.rack_reo_multiplier * (t.min_rtt_us / 4), t.rtt.srtt_us);
    }
    int64_t wait_us = 0;
    for (TxRecord* record = t.tx_head; record; record = record->next) {
        if (record->has(TxRecord::kSacked)) continue;
        if (record->has(TxRecord::kLost) && !record->has(TxRecord::kInRetransmit)) continue;
        const auto sent_us = static_cast<uint32_t>(record->sent_at.us);
        if (!sent_after(t.rack_sent_us, t.rack_end, sent_us, record->end())) continue;
        const int64_t left_us = int64_t{t.rack_rtt_us} + reorder_us - (now - record->sent_at).us;
        if (left_us <= 0) mark_lost(t, *record, now);
        else wait_us = std::max(wait_us, left_us);
    }
    if (wait_us > 0) set_transmit_timer(t, XmitTimer::kReorder, now + Duration{wait_us});
    else if (t.xmit_timer == XmitTimer::kReorder) set_transmit_timer(t, XmitTimer::kNone, Instant::never());
}

/// `congestion`: false where packets were too large rather than too many.
void Stack::Impl::enter_recovery(Tcb& t, bool congestion) {
    counters.fast_recoveries++;
    // RFC 3168 6.1.2: a window that was reduced for a mark is not reduced again for its losses.
    const bool reduced = t.ecn && t.snd_una.before(t.recovery_point);
    t.recovery = Recovery::kRecovery;
    t.retrans_stamped = false;
    t.recovery_point = t.snd_nxt;
    t.prr_flight = std::max<uint32_t>(t.snd_nxt - t.snd_una, 1);
    t.prr_delivered = t.prr_out = 0;
    if (!congestion || only_probe_lost(t) || reduced) {
        t.congestion.hold(t.snd_mss);
    } else {
        t.congestion.on_loss(t.snd_nxt - t.snd_una, t.snd_mss);
        t.cwr_now = t.ecn;
    }
}

/// RFC 3168 6.1.2: a mark is congestion like a loss, once a window; nothing is sent again. RFC 8511 asks for less of it.
void Stack::Impl::reduce_for_mark(Tcb& t, uint32_t acked) {
    if (t.recovery != Recovery::kOpen || t.snd_una.before(t.recovery_point)) return;
    counters.ecn_reductions++;
    t.recovery_point = t.snd_nxt;
    t.congestion.on_mark(t.snd_nxt - t.snd_una + acked, t.snd_mss);  // what was in flight when the mark was made
    t.cwr_now = true;
}

/// RFC 9937 6.2: cwnd follows deliveries down to ssthresh, then back up to it. `safe_ack`: progress and no new loss.
void Stack::Impl::proportional_reduction(Tcb& t, uint32_t delivered, bool safe_ack) {
    const uint32_t pipe = t.pipe();
    const uint32_t ssthresh = t.congestion.ssthresh;
    t.prr_delivered += delivered;
    int64_t send = 0;
    if (pipe > ssthresh) {
        const uint64_t share = (uint64_t{t.prr_delivered} * ssthresh + t.prr_flight - 1) / t.prr_flight;
        send = static_cast<int64_t>(share) - t.prr_out;
    } else {
        int64_t limit = std::max<int64_t>(int64_t{t.prr_delivered} - t.prr_out, delivered);
        if (safe_ack) limit += t.snd_mss;  // slow start reduction bound
        send = std::min<int64_t>(int64_t{ssthresh} - pipe, limit);
    }
    if (t.prr_out == 0) send = std::max<int64_t>(send, t.snd_mss);  // the first repeat leaves at once
    t.congestion.cwnd = pipe + static_cast<uint32_t>(std::max<int64_t>(send, 0));
}

/// RFC 3522, 4015: the first ACK after a retransmission echoes a stamp older than it, so the original had only been late.
void Stack::Impl::undo_if_spurious(Tcb& t, const Segment& s) {
    if (!t.retrans_stamped || !t.timestamps || t.recovery == Recovery::kOpen) return;
    t.retrans_stamped = false;
    if (static_cast<int32_t>(s.ts_echo - t.retrans_stamp) < 0) take_back(t);
}

/// Nothing was lost after all: what is marked so is in flight, and cwnd is what it was.
void Stack::Impl::take_back(Tcb& t) {
    for (TxRecord* record = t.tx_head; record; record = record->next) {
        record->flags = static_cast<uint8_t>(record->flags & ~(TxRecord::kLost | TxRecord::kInRetransmit));
    }
    t.lost_bytes = t.retrans_bytes = 0;
    if (!t.sack) t.sacked_bytes = 0;
    t.dup_acks = 0;
    t.recovery = Recovery::kOpen;
    t.recovery_point = t.snd_una;
    t.frto = Frto::kOff;
    t.reordering_seen = true;
    t.cwr_now = false;
    t.congestion.undo(t.snd_mss);
    counters.spurious++;
}

/// RFC 5682 2.1 and 3.1: after a timeout one segment is repeated, then new text is sent; if the next ACK too moves on, it
/// acknowledges text sent once, so the timeout was for nothing. Anything else is answered by ordinary recovery.
void Stack::Impl::frto_step(Tcb& t, const AckSample& sample, bool dup_ack, uint32_t acked) {
    if (t.recovery != Recovery::kLoss) {
        t.frto = Frto::kOff;
    } else if (acked > 0 && t.frto == Frto::kNewSent) {
        take_back(t);
    } else if (acked > 0 && t.snd_una.before(t.recovery_point) && t.sends() && sendable(t, t.snd_mss) > 0) {
        t.frto = Frto::kNewSent;
        t.congestion.cwnd = 2u * t.snd_mss;  // of new text: the rest counts as lost and not in the pipe
    } else if (acked > 0 || dup_ack || sample.delivered > 0) {
        t.frto = Frto::kOff;
    }
}

/// All that was in flight when recovery began has arrived (RFC 8985 6.2 step 4: the reordering window may shrink again).
void Stack::Impl::leave_recovery(Tcb& t) {
    if (t.recovery == Recovery::kRecovery) t.congestion.cwnd = std::max(t.congestion.ssthresh, 2u * t.snd_mss);
    t.recovery = Recovery::kOpen;
    t.frto = Frto::kOff;
    t.dup_acks = 0;
    t.retrans_stamped = false;
    if (t.rack_reo_persist > 0) t.rack_reo_persist--;
    else t.rack_reo_multiplier = 1;
    if (!t.sack) t.sacked_bytes = 0;
}

void Stack::Impl::recover(Tcb& t, const Segment& s, const AckSample& sample, bool dup_ack, uint32_t acked, Instant now) {
    if (t.tail_probe_out) {  // RFC 8985 7.4
        const bool reached = s.ack.at_or_after(t.tail_probe_end);
        if ((reached && (!t.tail_probe_resent || sample.duplicate)) ||
            (dup_ack && s.ack == t.tail_probe_end && s.sack_count == 0)) {
            t.tail_probe_out = false;
        } else if (s.ack.after(t.tail_probe_end)) {  // the probe repaired a loss, which is congestion
            t.tail_probe_out = false;
            if (t.recovery == Recovery::kOpen) {
                t.congestion.on_loss(t.snd_nxt - t.snd_una, t.snd_mss);
                t.congestion.cwnd = std::min(t.congestion.cwnd, t.congestion.ssthresh);
            }
        }
    }
    if (acked > 0) undo_if_spurious(t, s);
    if (t.frto != Frto::kOff) frto_step(t, sample, dup_ack, acked);
    const bool was_recovering = t.recovery != Recovery::kOpen;
    const uint32_t lost_before = t.lost_bytes;
    if (was_recovering && t.snd_una.at_or_after(t.recovery_point)) leave_recovery(t);
    if (t.sack) {
        if (t.sacked_bytes > 0 || was_recovering) rack_detect(t, now);
    } else if (dup_ack) {  // RFC 5681 3.2: each says that one segment has left the network
        if (t.dup_acks < 3) t.dup_acks++;
        t.sacked_bytes += t.snd_mss;
        if (t.recovery == Recovery::kOpen && t.dup_acks >= 3 && t.tx_head) mark_lost(t, *t.tx_head, now);
    } else if (acked > 0) {
        t.dup_acks = 0;
        // RFC 6582 3.2: a partial ACK names the next hole.
        if (t.recovery == Recovery::kRecovery && t.tx_head && !t.tx_head->has(TxRecord::kLost)) mark_lost(t, *t.tx_head, now);
    }
    if (!t.sack) t.sacked_bytes = std::min(t.sacked_bytes, (t.snd_nxt - t.snd_una) - t.lost_bytes);
    if (t.recovery == Recovery::kOpen && t.lost_bytes > 0) enter_recovery(t, true);
    const bool echoed = t.ecn && s.has(kEce);
    if (echoed) reduce_for_mark(t, acked);
    const uint32_t delivered = sample.delivered + (!t.sack && dup_ack ? t.snd_mss : 0);
    if (t.recovery == Recovery::kRecovery) {
        proportional_reduction(t, delivered, acked > 0 && t.lost_bytes <= lost_before);
    } else if (acked > 0 && t.frto != Frto::kNewSent && !echoed && (s.ack - acked).before(t.cwnd_limit_end)) {
        // Only a window that was used may grow (RFC 9438 5.8).
        if (t.congestion.hystart()) t.congestion.on_round(t.snd_una, t.snd_nxt, sample.rtt);
        t.congestion.on_ack(acked, t.snd_mss, now, {t.rtt.srtt_us});
    }
}

/// RFC 6298 (5.4)-(5.7).
void Stack::Impl::retransmit_timeout(Tcb& t, Instant now) {
    const uint32_t waited_ms = ms(now) - t.last_progress_ms;
    if (t.backoff >= kRetransmitTries || (t.user_timeout_ds != 0 && waited_ms >= t.user_timeout_ds * 100u)) {
        return give_up(t);
    }
    counters.timeouts++;
    suspect_black_hole(t, now);
    // RFC 2018 8: the receiver may have thrown away what it had SACKed.
    const bool reneged = t.tx_head && t.tx_head->has(TxRecord::kSacked);
    for (TxRecord* record = t.tx_head; record; record = record->next) {
        if (record->has(TxRecord::kSacked)) {
            if (!reneged) continue;
            record->flags = static_cast<uint8_t>(record->flags & ~TxRecord::kSacked);
            t.sacked_bytes -= record->length();
        }
        mark_lost(t, *record, now);
    }
    if (!t.sack) t.sacked_bytes = 0;
    // RFC 5681 (4): ssthresh falls once an episode, not with each repeat of one segment.
    t.frto = Frto::kOff;
    if (t.recovery != Recovery::kLoss) {
        // Timestamps will tell if it was for nothing; without them F-RTO asks (RFC 5682).
        if (!t.timestamps && t.recovery == Recovery::kOpen && !reneged) t.frto = Frto::kRepeated;
        t.congestion.on_timeout(t.snd_nxt - t.snd_una, t.snd_mss);
        t.retrans_stamped = false;
        t.cwr_now = t.ecn;
    }
    t.mtu_probe_lost = false;
    t.congestion.cwnd = t.snd_mss;
    t.recovery = Recovery::kLoss;
    t.recovery_point = t.snd_nxt;
    t.dup_acks = 0;
    t.tail_probe_out = t.tail_probe_now = false;
    t.backoff++;
    set_transmit_timer(t, XmitTimer::kRetransmit, now + t.rtt.backed_off(t.backoff, config.max_rto));
    want_output(t);
}

void Stack::Impl::set_transmit_timer(Tcb& t, XmitTimer kind, Instant at) {
    t.xmit_timer = kind;
    t.xmit_at = at;
}

/// `restart`: news from the peer, or something was sent; else a running timer goes on (RFC 6298 (5.1)).
void Stack::Impl::arm_transmit_timer(Tcb& t, Instant now, bool restart) {
    if (!t.in_flight()) {
        const bool waiting = t.sends() && (t.unsent_bytes > 0 || (t.fin_queued && !t.fin_sent));
        if (!waiting) return set_transmit_timer(t, XmitTimer::kNone, Instant::never());
        if (t.xmit_timer == XmitTimer::kPersist) return;
        // RFC 9293 3.8.6.1: a closed window, or one too small to be worth sending into.
        return set_transmit_timer(t, XmitTimer::kPersist, now + t.rtt.backed_off(t.backoff, config.max_rto));
    }
    if (t.xmit_timer == XmitTimer::kReorder && t.xmit_at > now) return;
    const bool runs_already = t.xmit_timer == XmitTimer::kRetransmit || t.xmit_timer == XmitTimer::kTailProbe;
    if (runs_already && !restart) return;
    const Duration rto = t.rtt.backed_off(t.backoff, config.max_rto);
    if (t.sack && t.recovery == Recovery::kOpen && !t.tail_probe_out && t.rtt.srtt_us != 0 && t.sacked_bytes == 0 &&
        t.backoff == 0) {  // RFC 8985 7.2
        Duration probe{2 * int64_t{t.rtt.srtt_us}};
        const bool one_segment = t.tx_head && t.tx_head == t.tx_tail && t.tx_head->payload_bytes <= t.snd_mss;
        if (one_segment) probe = probe + kWorstDelayedAck;
        if (probe < rto) return set_transmit_timer(t, XmitTimer::kTailProbe, now + probe);
    }
    set_transmit_timer(t, XmitTimer::kRetransmit, now + rto);
}

}  // namespace sluice::tcp
