// TIME-WAIT as a small entry instead of a control block: answers a repeated FIN, keeps old segments out, lets a new SYN in.
// In: segments for a closed connection. Out: ACKs, or leave to open the tuple again (RFC 9293 3.6.1, RFC 6191).
// Entries come from a pool; when it is empty the oldest makes room. RST ends none of them (RFC 1337).
#include <algorithm>

#include "tcp/stack_impl.h"

namespace sluice::tcp {

TimeWait* Stack::Impl::find_time_wait(const FourTuple& tuple, uint32_t hash) const {
    if (time_wait_queue.empty()) return nullptr;
    Demux::Ref ref;
    const bool found = demux.find(hash, ref, [&](Demux::Ref r) { return r.time_wait && time_waits.at(r.index)->tuple == tuple; });
    return found ? time_waits.at(ref.index) : nullptr;
}

void Stack::Impl::forget(TimeWait& w) {
    demux.erase(w.hash, {time_waits.index_of(&w), true});
    time_wait_queue.remove(&w);
    time_waits.give(&w);
}

/// Both FINs are through. The control block leaves the table; what is left to do needs few bytes.
void Stack::Impl::enter_time_wait(Tcb& t, Instant now) {
    if (time_waits.available() == 0) forget(*time_wait_queue.front());
    TimeWait* w = time_waits.take();
    if (!w) return close(t);  // unheard of; then a late segment meets CLOSED
    w->tuple = t.tuple;
    w->hash = hash_tuple(demux_key, t.tuple);
    w->snd_nxt = t.snd_nxt;
    w->rcv_nxt = t.rcv_nxt;
    w->timestamps = t.timestamps;
    w->ts_recent = t.ts_recent;
    w->ts_offset = t.ts_offset;
    w->window = advertise_window(t);
    w->expires_at = now + config.time_wait;
    w->last_ack_ms = ms(now) - kChallengeGapMs;
    const bool owes_ack = t.ack_now || t.last_ack_sent != t.rcv_nxt;
    close(t);
    t.state = State::kTimeWait;
    demux.insert(w->hash, {time_waits.index_of(w), true});
    time_wait_queue.push_back(w);
    if (owes_ack) answer(*w, now);
}

void Stack::Impl::answer(const TimeWait& w, Instant now) {
    HeaderFields f;
    f.source_port = w.tuple.local.port;
    f.destination_port = w.tuple.remote.port;
    f.seq = w.snd_nxt;
    f.ack = w.rcv_nxt;
    f.flags = kAck;
    f.window = w.window;
    f.timestamp = w.timestamps;
    f.ts_value = ms(now) + w.ts_offset;
    f.ts_echo = w.ts_recent;
    push_control(w.tuple, f);
}

/// True if `s` is a SYN that may open the tuple again; the entry is then gone and the new ISN must lie after iss_floor.
bool Stack::Impl::time_wait_arrives(TimeWait& w, const Segment& s, Instant now, Seq& iss_floor) {
    if (s.has(kRst)) return false;
    const bool newer_stamp = w.timestamps && s.has_timestamp && static_cast<int32_t>(s.ts_value - w.ts_recent) > 0;
    if (s.has(kSyn) && !s.has(kAck)) {
        const bool same_stamp = w.timestamps && s.has_timestamp && s.ts_value == w.ts_recent;
        const bool above = s.seq.after(w.rcv_nxt) && (!w.timestamps || !s.has_timestamp || same_stamp);
        if (newer_stamp || above) {
            iss_floor = w.snd_nxt;
            counters.time_wait_reused++;
            forget(w);
            return true;
        }
    }
    if (s.has(kFin) && s.end() == w.rcv_nxt) {  // our last ACK was lost: another 2 MSL
        w.expires_at = now + config.time_wait;
        time_wait_queue.remove(&w);
        time_wait_queue.push_back(&w);
        if (newer_stamp) w.ts_recent = s.ts_value;
        answer(w, now);
    } else if (s.length() > 0 && ms(now) - w.last_ack_ms >= kChallengeGapMs) {
        w.last_ack_ms = ms(now);
        answer(w, now);
    }
    return false;
}

}  // namespace sluice::tcp
