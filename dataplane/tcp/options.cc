// What the layer above may set and ask of a living connection: options, quick ACKs, and all that TCP_INFO would tell.
// In: Options, as for connect() and listen(). Out: changed control blocks, or an Info. Owns nothing.
// A walk over the records in flight for an Info; nothing here runs per segment. RFC 9293 3.9.1, RFC 6691 (MSS).
#include <algorithm>

#include "tcp/stack_impl.h"

namespace sluice::tcp {

namespace {
uint16_t to_seconds(Duration d) { return static_cast<uint16_t>(std::clamp<int64_t>(d.us / 1'000'000, 1, UINT16_MAX)); }
}  // namespace

void Stack::Impl::apply_options(Tcb& t, const Options& options) {
    t.receive_limit = std::max<uint32_t>(options.receive_buffer_bytes, 1);
    t.send_limit = std::max<uint32_t>(options.send_buffer_bytes, 1);
    t.no_delay = options.no_delay;
    t.corked = options.cork;
    t.keepalive = options.keepalive;
    t.keepalive_idle_s = to_seconds(options.keepalive_idle);
    t.keepalive_interval_s = to_seconds(options.keepalive_interval);
    t.keepalive_probes = options.keepalive_probes;
    t.user_timeout_ds = static_cast<uint16_t>(std::clamp<int64_t>((options.user_timeout.us + 99'999) / 100'000, 0, UINT16_MAX));
    t.dscp = (options.dscp == Options::kDscpOfStack ? config.dscp : options.dscp) & 63;
    const bool of_stack = options.congestion == Options::Congestion::kOfStack;
    t.congestion.use(of_stack ? config.congestion == StackConfig::Congestion::kCubic
                              : options.congestion == Options::Congestion::kCubic);
}

/// The MSS of our SYNs: what a packet of the route's MTU holds without options (RFC 6691), less if the layer above says so.
uint16_t Stack::Impl::offered_mss(const IpAddress& remote, uint32_t mtu, uint32_t max_segment) {
    const uint32_t fits = mtu - (remote.is_v4() ? 40u : 60u);
    return static_cast<uint16_t>(max_segment != 0 ? std::min(fits, max_segment) : fits);
}

void Connection::configure(const Options& options) {
    Tcb& t = *static_cast<Tcb*>(this);
    Stack::Impl& stack = *t.stack;
    const uint32_t receive_limit = t.receive_limit;
    stack.apply_options(t, options);
    if (!t.in_demux) return;
    if (t.receive_limit > receive_limit) stack.offer_window(t);
    stack.want_output(t);  // what Nagle or a cork held back
    stack.schedule(t, stack.latest);
}

void Connection::set_quick_ack(bool quick) {
    Tcb& t = *static_cast<Tcb*>(this);
    t.interactive = !quick;
    t.quick_ack = quick;
    if (!quick || t.ack_at == Instant::never() || !t.in_demux) return;
    t.ack_now = true;
    t.stack->want_output(t);
}

Info Connection::info(bool segments) const {
    const Tcb& t = *static_cast<const Tcb*>(this);
    const Stack::Impl& stack = *t.stack;
    Info info;
    info.state = t.state;
    info.soft_error = t.soft_error;
    info.timestamps = t.timestamps, info.sack = t.sack, info.window_scale = t.window_scale, info.ecn = t.ecn;
    info.quick_ack = !t.interactive;
    info.snd_shift = t.snd_shift, info.rcv_shift = t.rcv_shift;
    info.backoff = t.backoff, info.probes = t.keepalive_sent;
    info.snd_mss = t.snd_mss, info.rcv_mss = t.rcv_mss, info.path_mtu = t.path_mtu;
    for (const TxRecord* record = segments ? t.tx_head : nullptr; record; record = record->next) {
        const uint32_t n = std::max<uint32_t>(1, (record->payload_bytes + t.snd_mss - 1) / t.snd_mss);
        info.unacked += n;
        if (record->has(TxRecord::kSacked)) info.sacked += n;
        if (record->has(TxRecord::kLost)) info.lost += n;
        if (record->has(TxRecord::kInRetransmit)) info.retransmitting += n;
    }
    if (!t.sack) info.sacked = t.sacked_bytes / t.snd_mss;
    if (t.state == State::kSynSent || t.state == State::kSynReceived) info.unacked = 1;  // the SYN
    info.cwnd = t.congestion.cwnd, info.ssthresh = t.congestion.ssthresh;
    info.snd_wnd = t.snd_wnd, info.unsent_bytes = t.unsent_bytes;
    info.retransmits = t.retransmits;
    info.rto = t.rtt.backed_off(t.backoff, stack.config.max_rto);
    info.delayed_ack = stack.config.delayed_ack;
    info.smoothed_rtt = {t.rtt.srtt_us}, info.rtt_variance = {t.rtt.rttvar_us};
    info.min_rtt = {t.min_rtt_us == UINT32_MAX ? 0 : t.min_rtt_us};
    info.bytes_acked = t.bytes_sent - (t.send_queue.bytes() - t.una_skip - t.unsent_bytes);
    info.bytes_received = t.bytes_received;
    return info;
}

}  // namespace sluice::tcp
