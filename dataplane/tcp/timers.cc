// Time: one wheel node a connection, armed for the earliest of its deadlines and left alone when that moves later.
// In: the time. Out: connections that have something to send, or are given up. Owns nothing.
// RFC 6298 (retransmission), RFC 9293 3.8.4 (keep-alive), 3.8.6.1 (zero-window probes), 3.6 (TIME-WAIT).
#include <algorithm>

#include "tcp/stack_impl.h"

namespace sluice::tcp {

namespace {

/// The Instant at which the low 32 bits of the millisecond clock read `at_ms`, seen from `now`.
Instant from_ms(uint32_t at_ms, Instant now) {
    const auto ahead = static_cast<int32_t>(at_ms - static_cast<uint32_t>(now.us / 1000));
    return ahead <= 0 ? now : Instant{now.us - now.us % 1000} + milliseconds(ahead);
}

bool due_ms(uint32_t at_ms, Instant now) { return static_cast<int32_t>(static_cast<uint32_t>(now.us / 1000) - at_ms) >= 0; }

/// RFC 9293 3.8.4: only an idle connection is probed; text on its way has its own timer.
bool keeps_alive(const Tcb& t) { return t.keepalive && t.synchronized() && !t.in_flight() && t.unsent_bytes == 0; }

}  // namespace

Instant Stack::Impl::deadline(const Tcb& t, Instant now) const {
    Instant at = std::min(t.xmit_at, t.ack_at);
    if (t.linger_at_ms != 0) at = std::min(at, from_ms(t.linger_at_ms, now));
    if (keeps_alive(t)) {
        const uint32_t wait_s = t.keepalive_sent == 0 ? t.keepalive_idle_s : t.keepalive_interval_s;
        const uint32_t since = t.keepalive_sent == 0 ? t.last_receive_ms : t.last_send_ms;
        at = std::min(at, from_ms(since + wait_s * 1000, now));
    }
    return at;
}

void Stack::Impl::schedule(Tcb& t, Instant now) {
    if (!t.in_demux) return;
    const Instant at = deadline(t, now);
    if (at == Instant::never() || (t.timer.armed() && t.timer.at() <= at + TimerWheel::kTick)) return;
    wheel.arm(t.timer, at);
}

void Stack::Impl::handle_timeout(Instant now) {
    wheel.advance(now, [&](TimerNode& node) { timer_fired(Tcb::of(node), now); });
    while (TimeWait* w = time_wait_queue.front()) {
        if (w->expires_at > now) break;
        forget(*w);
    }
}

void Stack::Impl::timer_fired(Tcb& t, Instant now) {
    if (t.linger_at_ms != 0 && due_ms(t.linger_at_ms, now)) {
        abort(t, Error::kTimedOut);
        return free_if_done(t);
    }
    if (t.ack_at <= now) {
        t.ack_at = Instant::never();
        t.ack_now = true;
        want_output(t);
    }
    if (t.xmit_at <= now) transmit_timer_fired(t, now);
    if (t.state != State::kClosed && keeps_alive(t)) keepalive_timer(t, now);
    if (t.in_demux) schedule(t, now);
    free_if_done(t);
}

void Stack::Impl::transmit_timer_fired(Tcb& t, Instant now) {
    const XmitTimer kind = t.xmit_timer;
    t.xmit_timer = XmitTimer::kNone;
    t.xmit_at = Instant::never();
    switch (kind) {
        case XmitTimer::kHandshake: return handshake_timeout(t, now);
        case XmitTimer::kRetransmit: return retransmit_timeout(t, now);
        case XmitTimer::kReorder:
            rack_detect(t, now);
            if (t.recovery == Recovery::kOpen && t.lost_bytes > 0) enter_recovery(t, true);
            if (t.recovery == Recovery::kRecovery) proportional_reduction(t, 0, false);
            arm_transmit_timer(t, now, true);
            return want_output(t);
        case XmitTimer::kTailProbe:
            t.tail_probe_now = true;
            // Should the probe find no mbuf, the retransmission timer stands behind it.
            set_transmit_timer(t, XmitTimer::kRetransmit, now + t.rtt.backed_off(t.backoff, config.max_rto));
            return want_output(t);
        case XmitTimer::kPersist: {
            const bool given_up = t.user_timeout_ds != 0 && ms(now) - t.last_progress_ms >= t.user_timeout_ds * 100u;
            if (given_up || t.keepalive_sent >= kRetransmitTries) return give_up(t);
            t.keepalive_sent++;  // unanswered so far; any segment from the peer clears it
            if (t.usable_window() > 0) t.persist_override = true;
            else t.probe_now = true;
            if (t.backoff < 15) t.backoff++;
            arm_transmit_timer(t, now, true);
            return want_output(t);
        }
        case XmitTimer::kNone: return;
    }
}

void Stack::Impl::handshake_timeout(Tcb& t, Instant now) {
    const uint8_t tries = t.passive ? kSynAckTries : kHandshakeTries;
    const bool given_up = t.user_timeout_ds != 0 && ms(now) - t.last_progress_ms >= t.user_timeout_ds * 100u;
    if (++t.backoff > tries || given_up) return give_up(t);
    t.syn_pending = true;
    // Armed again when it leaves; this is for the case that it cannot.
    set_transmit_timer(t, XmitTimer::kHandshake, now + t.rtt.backed_off(t.backoff, config.max_rto));
    want_output(t);
}

void Stack::Impl::keepalive_timer(Tcb& t, Instant now) {
    const bool probing = t.keepalive_sent > 0;
    const uint32_t due = probing ? t.last_send_ms + t.keepalive_interval_s * 1000u
                                 : t.last_receive_ms + t.keepalive_idle_s * 1000u;
    if (!due_ms(due, now)) return;
    if (t.keepalive_sent >= t.keepalive_probes) return give_up(t);
    t.keepalive_sent++;
    counters.keepalive_probes++;
    t.last_send_ms = ms(now);
    t.probe_now = true;
    want_output(t);
}

}  // namespace sluice::tcp
