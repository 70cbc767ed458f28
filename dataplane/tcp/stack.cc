// The stack's front: construction, the calls of stack.h that are one line, rejects and ICMP errors.
// In and out: stack.h. Everything is allocated here, once; the pools' pages appear as they are used.
// Destruction lets go of every mbuf. RFC 9293 3.10.7.1 (CLOSED), 3.9.2.2 and RFC 5927 (ICMP).
#include "tcp/stack.h"

#include <algorithm>

#include "tcp/stack_impl.h"

namespace sluice::tcp {

namespace {
SipKey next_key(Rng& rng) { return {rng.next(), rng.next()}; }
}  // namespace

Stack::Impl::Impl(Stack& stack, const StackConfig& stack_config, rte_mempool* mbufs, SliceNodePool& slice_nodes,
                  Environment& env)
    : owner(stack), config(stack_config), pool(mbufs), nodes(slice_nodes), environment(env), cookies({}),
      tcbs(config.connections_max), slot_memory(size_t{config.connections_max} * sizeof(SlotLife)), time_waits(config.connections_max), listeners(config.listeners_max),
      runs(std::clamp<uint32_t>(config.connections_max, 1024, 65536)), records(std::max<uint32_t>(nodes.capacity(), 1024)),
      demux(2 * config.connections_max), listener_buckets(std::bit_ceil(std::max<uint32_t>(config.listeners_max, 16))),
      control(kControlMax) {
    Rng rng(config.seed);
    demux_key = next_key(rng);
    sequence_key = next_key(rng);
    timestamp_key = next_key(rng);
    port_key = next_key(rng);
    cookies = SynCookies(next_key(rng));
    for (auto& counter : port_counters) counter = static_cast<uint32_t>(rng.next());
}

Stack::Impl::~Impl() {
    for (; control_count > 0; control_count--, control_head = (control_head + 1) % kControlMax) {
        rte_pktmbuf_free(control[control_head].mbuf);
    }
    // Connections still lent out: those not released are dead handles from here on.
    while (Tcb* t = closed.pop_front()) t->receive_queue.clear();
    demux.for_each([&](Demux::Ref ref) {
        if (ref.time_wait) return;
        Tcb* t = tcbs.at(ref.index);
        purge_send(*t);
        t->reassembly.clear(runs);
        t->receive_queue.clear();
        wheel.cancel(t->timer);
    });
}

Stack::Stack(const StackConfig& config, rte_mempool* header_pool, SliceNodePool& nodes, Environment& environment)
    : impl_(std::make_unique<Impl>(*this, config, header_pool, nodes, environment)) {}
Stack::~Stack() = default;

void Stack::close_listener(Listener* listener) { impl_->close_listener(listener); }

Connection* Stack::connect(const SocketAddress& remote, const IpAddress& source_ip, const Options& options, void* user,
                           Instant now, Error* error) {
    impl_->latest = now;
    return impl_->connect(remote, source_ip, options, user, now, error);
}

void Stack::set_backlog(bool backlog) { impl_->backlog = backlog; }
void Stack::prefetch(std::span<const net::DatagramIn> burst) const { impl_->prefetch(burst); }

bool Stack::handle_segment(net::DatagramIn& datagram, Instant now) {
    impl_->latest = now;
    return impl_->handle_segment(datagram, now);
}

void Stack::reject(const net::DatagramIn& in, Instant now) {
    Impl& s = *impl_;
    if (now >= s.reject_refill_at) {
        s.reject_refill_at = now + seconds(1);
        s.reject_tokens = kRejectsPerSecond;
    }
    if (s.reject_tokens == 0 || in.mbuf->data_len <= in.payload_offset) return;
    const uint32_t contiguous = std::min<uint32_t>(in.mbuf->data_len - in.payload_offset, in.payload_length);
    const auto* wire = rte_pktmbuf_mtod_offset(in.mbuf, const WireHeader*, in.payload_offset);
    const auto segment = parse_segment({reinterpret_cast<const uint8_t*>(wire), contiguous}, in.payload_length);
    if (!segment || segment->has(kRst)) return;
    s.reject_tokens--;
    s.reset_for({{in.destination, wire->destination_port.value()}, {in.source, wire->source_port.value()}}, *segment);
}

/// RFC 5927: an error counts only if it quotes something now in flight; none of them ends an established connection.
bool Stack::handle_icmp_error(const net::IcmpError& e, Instant now) {
    Impl& s = *impl_;
    s.latest = now;
    Tcb* t = s.find(e.tuple, hash_tuple(s.demux_key, e.tuple));
    if (!t || Seq{e.sequence}.before(t->snd_una) || !Seq{e.sequence}.before(t->snd_nxt)) return false;
    using Kind = net::IcmpError::Kind;
    if (e.kind == Kind::kFragmentationNeeded) {
        if (e.path_mtu == 0 || e.path_mtu >= t->path_mtu) return true;
        s.path_mtu_told(*t, std::max(e.path_mtu, e.tuple.remote.ip.is_v4() ? kPathMtuMin4 : kPathMtuMin6), now);
        for (TxRecord* r = t->tx_head; r; r = r->next) {  // too large for the path: gone (RFC 1191 6.4), not congestion
            if (r->payload_bytes > t->snd_mss && !r->has(TxRecord::kSacked)) s.mark_lost(*t, *r, now);
        }
        if (!t->synchronized() || t->lost_bytes == 0) return true;
        if (t->recovery == Recovery::kOpen) s.enter_recovery(*t, false);
        s.want_output(*t);
        return true;
    }
    const bool opening = t->state == State::kSynSent || t->state == State::kSynReceived;
    const Error error = e.kind == Kind::kPortUnreachable ? Error::kRefused : Error::kUnreachable;
    t->soft_error = error;
    if (!opening) return true;  // retransmission goes on; if it does so in vain, this is why
    s.fail(*t, error);
    s.free_if_done(*t);
    return true;
}

void Stack::handle_timeout(Instant now) {
    impl_->latest = now;
    impl_->handle_timeout(now);
}

Instant Stack::poll_timeout() const {
    const Impl& s = *impl_;
    Instant at = std::min(s.wheel.next(), s.output_retry_at);
    if (!s.time_wait_queue.empty()) at = std::min(at, s.time_wait_queue.front()->expires_at);
    return at;
}

bool Stack::poll_transmit(net::DatagramOut& out, Instant now) {
    impl_->latest = now;
    return impl_->poll_transmit(out, now);
}

bool Stack::poll_event(ConnectionEvent& out) {
    Tcb* t = impl_->ready.pop_front();
    if (!t) return false;
    out = {t, std::exchange(t->pending_events, uint16_t{0})};
    return true;
}

Stack::Usage Stack::usage() const {
    const Impl& s = *impl_;
    return {s.tcbs.in_use(), s.time_waits.in_use(), s.runs.in_use(), s.records.in_use(), s.control_count, s.wheel.armed()};
}
uint32_t Stack::connections() const { return impl_->tcbs.in_use(); }
uint32_t Stack::half_open() const { return impl_->half_open; }
uint32_t Stack::time_wait() const { return impl_->time_waits.in_use(); }

uint64_t Stack::bytes_in_use() const {
    const Impl& s = *impl_;
    auto bytes = []<typename T>(const Pool<T>& pool) { return uint64_t{pool.in_use()} * sizeof(T); };
    return bytes(s.tcbs) + bytes(s.time_waits) + bytes(s.listeners) + bytes(s.runs) + bytes(s.records) + bytes(s.nodes);
}

Connection* Stack::find(ConnectionId id) const {
    const Impl& s = *impl_;
    if (id.slot >= s.tcbs.touched() || (id.generation & 1) == 0 || s.life(id.slot).generation != id.generation) return nullptr;
    return s.tcbs.at(id.slot);
}

Connection* Stack::next(uint32_t& cursor, uint32_t& slots) const {
    const Impl& s = *impl_;
    for (; cursor < s.tcbs.touched() && slots > 0; slots--) {
        const uint32_t slot = cursor++;
        if (s.life(slot).generation & 1) return s.tcbs.at(slot);
    }
    return nullptr;
}

uint32_t Stack::slots() const { return impl_->tcbs.touched(); }

void Stack::reap(ConnectionId id) {
    if (Connection* connection = find(id)) impl_->free_if_done(*static_cast<Tcb*>(connection));
}

const Counters& Stack::counters() const { return impl_->counters; }
SliceNodePool& Stack::nodes() const { return impl_->nodes; }
rte_mempool* Stack::pool() const { return impl_->pool; }

}  // namespace sluice::tcp
