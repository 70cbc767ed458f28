// The public face of the room: construction, demultiplexing by ethertype, look-ups, time.
// In and out: see stack.h. Owns the tables and what is queued; frees it at the end.
// RFC 894, 2464, 4291 2.8 (a host's own addresses).
#include "net/stack.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "net/extensions.h"
#include "net/impl.h"

namespace sluice::net {

namespace {
/// EUI-64 interface identifier (RFC 4291 appendix A).
IpAddress link_local_address(const MacAddress& mac) {
    IpAddress a{};
    a.bytes = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, static_cast<uint8_t>(mac[0] ^ 2), mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]};
    return a;
}

constexpr uint32_t kClaimsToldPerS = 20;   // of one core to the one that decides
constexpr uint32_t kReassemblyPart = 16;   // of the pool: fragments never starve the queues

uint64_t reassembly_bytes(const StackConfig& config, const rte_mempool* pool) {
    return std::min(config.reassembly_bytes_max, uint64_t{pool->size} * pool->elt_size / kReassemblyPart);
}

std::vector<PortConfig> complete(std::vector<PortConfig> ports) {
    for (PortConfig& p : ports) {
        bool v6 = false, has_link_local = false;
        for (const IpPrefix& a : p.addresses) {
            v6 |= !a.address.is_v4();
            has_link_local |= !a.address.is_v4() && is_link_local(a.address);
        }
        if (p.link_layer && v6 && !has_link_local) p.addresses.push_back({link_local_address(p.mac), 64});
    }
    return ports;
}
}  // namespace

PortState::PortState(const PortConfig& c, uint32_t queue_frames) : config(c), transmit(std::bit_ceil(queue_frames)) {
    if (!c.link_layer) return;
    std::memcpy(link_header.data() + 6, c.mac.data(), 6);
    link_header_bytes = kEthernetHeaderBytes;
    if (c.vlan != 0) {
        store_be16(link_header.data() + 12, kEtherTypeVlan);
        store_be16(link_header.data() + 14, c.vlan & kVlanIdMask);
        link_header_bytes += kVlanTagBytes;
    }
}

Stack::Impl::Impl(const StackConfig& c, rte_mempool* mbufs)
    : config(c),
      pool(mbufs),
      port_configs(complete(c.ports)),
      routes(port_configs),
      neighbors(c.neighbors_max, c.seed),
      path_mtu(c.seed * 0x9e3779b97f4a7c15 + 1),
      random(derive_key(c.seed, 1)),
      flow_key(derive_key(c.seed, 2)),
      reassembler({c.reassembly_datagrams_max, c.reassembly_fragments_max, reassembly_bytes(c, mbufs)}, derive_key(c.seed, 3)),
      error_bucket(c.icmp_errors_per_s),
      echo_bucket(c.echo_replies_per_s),
      answer_bucket(c.neighbor_answers_per_s),
      solicit_bucket(c.neighbor_solicits_per_s),
      claim_bucket(kClaimsToldPerS),
      pending(std::max<uint32_t>(c.pending_packets_max, 2)),
      errors(64),
      updates(c.share_neighbors ? 256 : 1),
      started(!c.announce) {
    for (const PortConfig& p : port_configs) ports.emplace_back(p, c.transmit_queue_frames);
}

Stack::Impl::~Impl() {
    for (PendingPacket& p : pending) rte_pktmbuf_free(p.mbuf);
    rte_mbuf* frame;
    for (PortState& p : ports)
        while (p.transmit.pop(frame)) rte_pktmbuf_free(frame);
}

Stack::Stack(const StackConfig& config, rte_mempool* pool) : impl_(std::make_unique<Impl>(config, pool)) {}
Stack::~Stack() = default;

Verdict Stack::handle_frame(rte_mbuf* frame, uint8_t port, Instant now, DatagramIn& out) {
    Impl& s = *impl_;
    s.now_hint = now;
    s.counters.rx_frames++;
    s.counters.rx_bytes += frame->pkt_len;
    out.protocol = 0;
    out.mbuf = frame;
    out.port = port;
    out.is_fragment = false;
    out.merged_bytes = 0;
    const PortConfig& config = s.ports[port].config;
    LinkHeader link;
    if (config.link_layer) {
        switch (parse_link_header(frame, config.mac, config.vlan, link)) {
            case LinkVerdict::kOurs: break;
            case LinkVerdict::kBad: return s.drop(frame, s.counters.rx_bad_link);
            case LinkVerdict::kOtherHost: return s.drop(frame, s.counters.rx_other_host);
            case LinkVerdict::kOtherVlan: s.counters.rx_other_vlan++; out.foreign = Foreign::kVlan; return Verdict::kException;   // the kernel's at most
            case LinkVerdict::kStackedVlan: return s.drop(frame, s.counters.rx_stacked_vlan);
        }
    } else {
        if (frame->data_len == 0) return s.drop(frame, s.counters.rx_bad_link);
        link.ether_type = *rte_pktmbuf_mtod(frame, const uint8_t*) >> 4 == 6 ? kEtherTypeIpv6 : kEtherTypeIpv4;
    }
    switch (link.ether_type) {
        case kEtherTypeIpv4: return s.handle_ipv4(frame, link, port, now, out);
        case kEtherTypeIpv6: return s.handle_ipv6(frame, link, port, now, out);
        case kEtherTypeArp: s.handle_arp(frame, link, port, now); return Verdict::kConsumed;
        default: s.counters.rx_no_protocol++; out.foreign = Foreign::kProtocol; return Verdict::kException;
    }
}

Verdict Stack::handle_fragment(DatagramIn& d, Instant now) { return impl_->reassemble(d, now); }

void Stack::send_port_unreachable(const DatagramIn& d, Instant now) {
    if (d.protocol == 0) return;
    const bool port = d.protocol == kProtocolUdp || d.protocol == kProtocolTcp;
    if (d.destination.is_v4()) {
        impl_->send_error(d, kIcmpUnreachable, port ? 3 : 2, 0, now);
    } else if (port) {
        impl_->send_error(d, kIcmp6Unreachable, 4, 0, now);
    } else {   // RFC 8200 4: the pointer names the next-header field
        impl_->send_error(d, kIcmp6ParameterProblem, 1, walk_packet(d.mbuf).next_field - d.mbuf->l2_len, now);
    }
}

bool Stack::poll_icmp_error(IcmpError& out) { return impl_->errors.pop(out); }

std::optional<RouteInfo> Stack::route(const IpAddress& destination, const IpAddress& source) const {
    if (impl_->routes.is_broadcast(destination)) return std::nullopt;   // no connection leads to many (RFC 9293 MUST-46)
    const RouteEntry* r = impl_->routes.find(destination, source);
    if (!r) return std::nullopt;
    RouteInfo info;
    info.source = source;
    if (source.is_unspecified()) {
        const LocalAddress* chosen = impl_->routes.choose_source(*r, destination);
        if (!chosen) return std::nullopt;
        info.source = chosen->ip;
    }
    const PortConfig& port = impl_->ports[r->port].config;
    const PathMtuCache::Known learnt = impl_->path_mtu.find(destination, impl_->now_hint);
    info.mtu = info.link_mtu = port.mtu;
    if (learnt.mtu != 0 && learnt.mtu < port.mtu) info.mtu = learnt.mtu, info.path_mtu_until = learnt.until;
    info.port = r->port;
    info.tso = port.tso;
    info.tx_checksum = port.tx_tcp_checksum;
    info.multi_segment = port.multi_segment;
    return info;
}

bool Stack::is_local(const IpAddress& address) const { return impl_->routes.local(address) != nullptr; }

void Stack::update_path_mtu(const IpAddress& destination, uint16_t mtu, Instant now) {
    impl_->path_mtu.learn(destination, std::max(mtu, destination.is_v4() ? kIpv4MinMtu : kIpv6MinMtu), now);
}

bool Stack::send(DatagramOut& out, Instant now) { return impl_->output(out, now, impl_->config.hop_limit, true); }

uint16_t Stack::poll_transmit(uint8_t port, rte_mbuf** frames, uint16_t max) {
    uint16_t n = 0;
    while (n < max && impl_->ports[port].transmit.pop(frames[n])) n++;
    return n;
}

uint16_t Stack::transmit_room(uint8_t port) const { return static_cast<uint16_t>(impl_->ports[port].transmit.room()); }

bool Stack::poll_neighbor_update(NeighborUpdate& out) { return impl_->updates.pop(out); }

void Stack::handle_neighbor_update(const NeighborUpdate& u, Instant now) {
    Impl& s = *impl_;
    if (u.kind == NeighborUpdate::Kind::kHeard) {
        if (Neighbor* n = s.neighbors.learn(u.port, u.ip, u.mac, u.solicited, u.override_mac, now)) s.flush_pending(*n, false);
        return;
    }
    LocalAddress* l = s.routes.local_on(u.ip, u.port);
    if (!l) return;
    if (u.kind == NeighborUpdate::Kind::kClaimed) {
        if (s.config.announce) s.judge_claim(*l, u.mac, u.probe, now);
    } else if (!s.config.announce) {
        s.set_address_state(*l, u.state, u.mac);
    }
}

void Stack::handle_timeout(Instant now) {
    Impl& s = *impl_;
    s.now_hint = now;
    if (!s.started) {
        s.started = true;
        s.start_addresses(now);
    }
    s.handle_address_timeout(now);
    s.expire_fragments(now);
    s.neighbors.handle_timeout(now, [&s, now](Neighbor& n, NeighborTable::Due due) {
        if (due == NeighborTable::Due::kFailed) s.flush_pending(n, true);
        else s.solicit(n, now);
    });
}

Instant Stack::poll_timeout() const {
    const Impl& s = *impl_;
    if (!s.started) return Instant{0};
    return std::min({s.neighbors.poll_timeout(), s.address_deadline, s.reassembler.poll_timeout()});
}
const Counters& Stack::counters() const { return impl_->counters; }
void Stack::count_linearized(uint64_t bytes) { impl_->counters.bytes_linearized += bytes; }
std::span<const PortConfig> Stack::ports() const { return impl_->port_configs; }

}  // namespace sluice::net
