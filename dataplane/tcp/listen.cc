// Passive opens: listeners, SYNs, the backlog, and cookies once it is full (RFC 9293 3.10.7.2, RFC 4987 3.6).
// In: SYNs and the ACKs that end handshakes. Out: half-open connections, SYN-ACKs, accepted connections as events.
// Listeners come from a pool and outlive their last half-open connection.
#include <algorithm>

#include "tcp/stack_impl.h"

namespace sluice::tcp {

namespace {
constexpr Duration kCookiesBelieved = seconds(130);  // a cookie's life: after that no ACK without a connection is looked at

IpAddress any_of_family(const IpAddress& ip) { return ip.is_v4() ? IpAddress::v4(0) : IpAddress{}; }
}  // namespace

Listener* Stack::Impl::find_listener(const SocketAddress& local) const {
    Listener* any = nullptr;
    const IpAddress wildcard = any_of_family(local.ip);
    for (Listener* l = listener_buckets[local.port % listener_buckets.size()]; l; l = l->next) {
        if (l->local.port != local.port) continue;
        if (l->local.ip == local.ip) return l;  // the exact address wins
        if (l->local.ip == wildcard) any = l;
    }
    return any;
}

Listener* Stack::listen(const SocketAddress& local, void* user, const Options& options) {
    Impl& s = *impl_;
    Listener*& bucket = s.listener_buckets[local.port % s.listener_buckets.size()];
    for (Listener* l = bucket; l; l = l->next) {
        if (l->local == local) return nullptr;
    }
    Listener* l = s.listeners.take();
    if (!l) return nullptr;
    l->local = local;
    l->user = user;
    l->options = options;
    l->next = bucket;
    bucket = l;
    return l;
}

void Stack::set_options(Listener* listener, const Options& options) { listener->options = options; }

void Stack::set_accepting(Listener* listener, bool accepting) { listener->accepting = accepting; }

void Stack::Impl::close_listener(Listener* listener) {
    Listener** link = &listener_buckets[listener->local.port % listener_buckets.size()];
    while (*link && *link != listener) link = &(*link)->next;
    if (!*link) return;
    *link = listener->next;
    listener->closed = true;
    if (listener->half_open == 0) listeners.give(listener);
}

/// The handshake of `t` is over, one way or the other. Until now t.listener held its listener.
void Stack::Impl::drop_half_open(Tcb& t) {
    Listener* l = t.listener;
    half_open--;
    l->half_open--;
    t.listener_user = l->user;
    if (l->closed && l->half_open == 0) listeners.give(l);
}

void Stack::Impl::syn_arrives(Listener& l, const FourTuple& tuple, uint32_t hash, const Segment& s, Seq iss_floor,
                              bool use_floor, Instant now) {
    if (!l.accepting) {
        counters.listen_overflow++;
        return void(counters.syn_dropped++);
    }
    const auto route = environment.route(tuple.remote.ip, tuple.local.ip);
    if (!route) return void(counters.syn_dropped++);
    if (half_open >= config.syn_backlog || tcbs.available() == 0) {
        if (half_open >= config.syn_backlog) return send_cookie(l, tuple, s, now);
        counters.listen_overflow++;
        return void(counters.syn_dropped++);
    }
    Tcb* t = create(tuple, hash, l.options, *route, now);
    if (!t) return void(counters.syn_dropped++);
    t->passive = true;
    t->released = true;  // nobody holds a handle yet
    t->listener = &l;
    l.half_open++;
    half_open++;
    t->state = State::kSynReceived;
    t->rcv_nxt = s.seq + 1;
    t->rcv_adv = t->rcv_nxt + std::min<uint32_t>(t->receive_limit, 65535);
    t->last_ack_sent = t->rcv_nxt;
    t->snd_wnd = t->snd_wnd_max = s.window;
    t->snd_wl1 = s.seq;
    take_options(*t, s);
    t->snd_una = initial_sequence(tuple, now);
    // RFC 9293 3.6.1: a connection reopened out of TIME-WAIT starts above the old one's numbers.
    if (use_floor && !t->snd_una.after(iss_floor)) t->snd_una = iss_floor + 65536;
    t->snd_nxt = t->snd_una + 1;
    t->syn_pending = true;
    set_transmit_timer(*t, XmitTimer::kHandshake, now + t->rtt.backed_off(0, config.max_rto));
    want_output(*t);
    schedule(*t, now);
}

/// SYN-ACK whose ISN and timestamp hold all there is to remember.
void Stack::Impl::send_cookie(Listener& l, const FourTuple& tuple, const Segment& s, Instant now) {
    counters.listen_overflow++;
    cookies_until = now + kCookiesBelieved;
    const bool v4 = tuple.remote.ip.is_v4();
    const auto route = environment.route(tuple.remote.ip, tuple.local.ip);
    HeaderFields f;
    f.source_port = tuple.local.port;
    f.destination_port = tuple.remote.port;
    f.flags = kSyn | kAck;
    f.seq = cookies.make(tuple, s.seq, s.has_mss ? s.mss : v4 ? kMssDefault4 : kMssDefault6, now);
    f.ack = s.seq + 1;
    f.window = static_cast<uint16_t>(std::min<uint32_t>(l.options.receive_buffer_bytes, 65535));
    f.mss = offered_mss(tuple.remote.ip, route ? std::max(route->mtu, route->link_mtu) : 1280, l.options.max_segment);
    if (config.timestamps && s.has_timestamp) {
        CookieOptions options;
        options.sack = config.sack && s.sack_permitted;
        options.ecn = config.ecn != StackConfig::Ecn::kOff && (s.flags & (kEce | kCwr)) == (kEce | kCwr);
        if (options.ecn) f.flags |= kEce;
        if (config.window_scale && s.has_window_scale) options.window_shift = s.window_shift;
        f.timestamp = true;
        f.ts_value = SynCookies::stamp(ms(now) + timestamp_offset(tuple), options);
        f.ts_echo = s.ts_value;
        f.sack_permitted = options.sack;
        uint8_t shift = 0;
        while (shift < kWindowShiftMax && l.options.receive_buffer_bytes >> shift > 65535) shift++;
        if (options.window_shift) f.window_shift = shift;
    }
    counters.syn_cookies_sent++;
    push_control(tuple, f);
}

/// True if the ACK completes a cookie handshake; the segment is then taken like any other of the new connection.
bool Stack::Impl::cookie_arrives(Listener& l, const FourTuple& tuple, uint32_t hash, Segment& s, net::DatagramIn& in,
                                 Instant now) {
    if (now > cookies_until || s.has(kSyn)) return false;
    const auto mss = cookies.check(tuple, s.seq - 1, s.ack - 1, now);
    if (!mss) return false;
    if (!l.accepting) {
        counters.listen_overflow++;
        return true;
    }
    const auto route = environment.route(tuple.remote.ip, tuple.local.ip);
    if (!route || tcbs.available() == 0) {
        counters.listen_overflow++;
        return true;  // no room: silence, the peer repeats its text
    }
    Tcb* t = create(tuple, hash, l.options, *route, now);
    if (!t) return true;
    t->passive = t->released = true;
    if (!cookies.redeem(tuple, s.ack - 1)) {  // opened, and closed since: who still sends must learn it
        reset_for(tuple, s);
        close(*t);
        free_if_done(*t);
        return true;
    }
    counters.syn_cookies_good++;
    Segment syn;  // what the SYN must have said
    syn.has_mss = true;
    syn.mss = *mss;
    if (s.has_timestamp) {
        const CookieOptions options = SynCookies::unstamp(s.ts_echo);
        syn.has_timestamp = true;
        syn.ts_value = s.ts_value;
        syn.sack_permitted = options.sack;
        if (options.ecn) syn.flags = kEce | kCwr;
        syn.has_window_scale = options.window_shift.has_value();
        syn.window_shift = options.window_shift.value_or(0);
    }
    t->listener = &l;
    l.half_open++;
    half_open++;
    t->state = State::kSynReceived;
    t->rcv_nxt = s.seq;
    t->rcv_adv = t->rcv_nxt + std::min<uint32_t>(t->receive_limit, 65535);
    t->last_ack_sent = t->rcv_nxt;
    take_options(*t, syn);
    t->snd_una = s.ack - 1;
    t->snd_nxt = s.ack;
    t->backoff = 1;  // no round-trip sample: nobody knows when the cookie left
    segment_arrives(*t, s, in, now);
    if (t->rtt.srtt_us == 0) t->rtt.rto_us = 1'000'000;  // no SYN was repeated (RFC 6298 (2.1), not (5.7))
    if (t->state == State::kSynReceived) close(*t);
    free_if_done(*t);
    return true;
}

/// SYN-RECEIVED to ESTABLISHED on a listener.
void Stack::Impl::accepted(Tcb& t, Instant now) {
    if (t.listener->closed) return abort(t, Error::kAborted);
    drop_half_open(t);
    t.released = false;
    established(t, now);
    counters.accepted++;
    event(t, kAccepted | kWritable);
}

}  // namespace sluice::tcp
