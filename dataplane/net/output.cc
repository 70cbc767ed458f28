// The way out: next hop, IP header, link header, checksum, and the wait for a neighbour that is not yet resolved.
// In: transport segments, and packets of this room. Out: frames in the ports' transmit queues. Owns what waits, bounded.
// RFC 1122 2.3.2 (packets saved while resolving), RFC 4861 7.2.2, RFC 1071.
#include <cstring>
#include <utility>

#include "base/checksum.h"
#include "net/impl.h"

namespace sluice::net {

namespace {
/// DatagramOut::route_hint: 0 = look it up; top bit = a port without link layer; else a NeighborTable handle.
constexpr uint32_t kHintPort = 0x80000000;

/// Where the transport's checksum field lies in its header.
uint32_t checksum_offset(uint8_t protocol) {
    return protocol == kProtocolTcp ? 16 : protocol == kProtocolUdp ? 6 : 2;
}

/// Completes a checksum whose field holds the pseudo-header sum.
void finish_checksum(rte_mbuf* m, uint8_t protocol) {
    const uint16_t sum = checksum_finish(checksum_add_mbuf(m, 0, m->pkt_len, 0));
    store_checksum(rte_pktmbuf_mtod_offset(m, uint8_t*, checksum_offset(protocol)), sum);
}

/// Asks the port to complete it, and to cut the segment if it is a large one.
void request_offload(DatagramOut& out, bool v4) {
    rte_mbuf* m = out.mbuf;
    m->l4_len = out.l4_header_length & 0xff;
    m->ol_flags |= (v4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6) |
                   (out.protocol == kProtocolUdp ? RTE_MBUF_F_TX_UDP_CKSUM : RTE_MBUF_F_TX_TCP_CKSUM);
    if (out.tso_segment_bytes != 0) {
        m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG | (v4 ? RTE_MBUF_F_TX_IP_CKSUM : 0);
        m->tso_segsz = out.tso_segment_bytes;
    }
}
}  // namespace

bool Stack::Impl::output(DatagramOut& out, Instant now, uint8_t hop_limit, bool dont_fragment) {
    // RFC 6864 4.1: any id on an atomic datagram; foretold by nobody (RFC 6274 3.5).
    return output_packet(out, now, hop_limit, dont_fragment ? kIpv4DontFragment : uint16_t{0}, random.next16());
}

/// `fragment` and `id` are the IPv4 header's.
bool Stack::Impl::output_packet(DatagramOut& out, Instant now, uint8_t hop_limit, uint16_t fragment, uint16_t id) {
    rte_mbuf* m = out.mbuf;
    out.mbuf = nullptr;
    Neighbor* n = nullptr;
    uint8_t port_index = 0;
    if (out.route_hint & kHintPort) {
        port_index = static_cast<uint8_t>(out.route_hint);
    } else if (out.route_hint != 0 && (n = neighbors.find_handle(out.route_hint)) != nullptr) {
        port_index = n->port;
    } else {
        out.route_hint = 0;
        const RouteEntry* r = routes.find(out.destination, out.source);
        if (!r) {
            drop(m, counters.no_route);
            return false;
        }
        port_index = r->port;
        if (ports[port_index].config.link_layer) {
            n = neighbors.find_or_add(port_index, r->next_hop(out.destination), now);
            if (!n) {
                drop(m, counters.neighbor_full);
                return false;
            }
        } else {
            out.route_hint = kHintPort | port_index;
        }
    }
    PortState& port = ports[port_index];
    const bool v4 = out.destination.is_v4();
    const uint32_t ip_header_bytes = v4 ? sizeof(Ipv4Header) : sizeof(Ipv6Header);
    const bool cut_by_port = out.tso_segment_bytes != 0 && port.config.tso;
    if ((!cut_by_port && m->pkt_len + ip_header_bytes > port.config.mtu) || m->pkt_len + ip_header_bytes > 65535) {
        drop(m, counters.tx_too_big);
        return false;
    }
    if (cut_by_port) counters.tx_cut_by_port++;
    out.mbuf = m;
    if (!out.checksum_complete) {
        if (port.config.tx_tcp_checksum) request_offload(out, v4);
        else finish_checksum(m, out.protocol);
    }
    const bool room = v4 ? write_ipv4(out, port, hop_limit, fragment, id) : write_ipv6(out, port, hop_limit);
    out.mbuf = nullptr;
    if (!room) {
        drop(m, counters.tx_no_mbuf);
        return false;
    }
    const uint16_t ether_type = v4 ? kEtherTypeIpv4 : kEtherTypeIpv6;
    if (!n) return emit(m, port_index, nullptr, ether_type);
    if (!n->has_mac()) return wait_for(*n, m, ether_type, now);
    out.route_hint = neighbors.handle(*n);
    if (neighbors.use(*n, now)) solicit(*n, now);
    return emit(m, port_index, n->mac.data(), ether_type);
}

/// Prepends the port's link header and queues the frame.
bool Stack::Impl::emit(rte_mbuf* frame, uint8_t port_index, const uint8_t* destination_mac, uint16_t ether_type) {
    const PortState& port = ports[port_index];
    if (port.link_header_bytes != 0) {
        auto* h = reinterpret_cast<uint8_t*>(rte_pktmbuf_prepend(frame, port.link_header_bytes));
        if (!h) {
            drop(frame, counters.tx_no_mbuf);
            return false;
        }
        std::memcpy(h, port.link_header.data(), port.link_header_bytes);
        if (destination_mac) std::memcpy(h, destination_mac, 6);
        store_be16(h + port.link_header_bytes - 2, ether_type);
        frame->l2_len = port.link_header_bytes & 0x7f;
    }
    return queue_frame(frame, port_index);
}

bool Stack::Impl::queue_frame(rte_mbuf* frame, uint8_t port) {
    const uint32_t bytes = frame->pkt_len;
    if (!ports[port].transmit.push(frame)) {
        drop(frame, counters.tx_queue_full);
        return false;
    }
    counters.tx_frames++;
    counters.tx_bytes += bytes;
    return true;
}

/// Keeps `frame` until the neighbour answers. The oldest waiting packet of all makes room; one neighbour may hold half.
bool Stack::Impl::wait_for(Neighbor& n, rte_mbuf* frame, uint16_t ether_type, Instant now) {
    const PortState& port = ports[n.port];
    auto* h = reinterpret_cast<uint8_t*>(rte_pktmbuf_prepend(frame, port.link_header_bytes));
    if (!h) {
        drop(frame, counters.tx_no_mbuf);
        return false;
    }
    std::memcpy(h, port.link_header.data(), port.link_header_bytes);
    store_be16(h + port.link_header_bytes - 2, ether_type);
    frame->l2_len = port.link_header_bytes & 0x7f;
    if (n.state == Neighbor::State::kFailed) {  // it did not answer a moment ago
        counters.neighbor_unresolved++;
        local_error(frame, n.port, IcmpError::Kind::kHostUnreachable);
        rte_pktmbuf_free(frame);
        return false;
    }
    n.used = now;
    if (n.pending >= pending.size() / 2) {
        drop(frame, counters.pending_dropped);
        return false;
    }
    PendingPacket& slot = pending[pending_next];
    pending_next = (pending_next + 1) % static_cast<uint32_t>(pending.size());
    if (slot.mbuf) {
        neighbors.at(slot.neighbor).pending--;
        drop(slot.mbuf, counters.pending_dropped);
    }
    slot = {frame, neighbors.index(n)};
    n.pending++;
    if (n.state == Neighbor::State::kFree) {
        neighbors.start(n, now);
        solicit(n, now);
    }
    return true;
}

/// The neighbour answered (or never will): sends (or drops) what waits for it, in order.
void Stack::Impl::flush_pending(Neighbor& n, bool failed) {
    const uint16_t index = neighbors.index(n);
    for (uint32_t i = 0; i < pending.size() && n.pending > 0; i++) {
        PendingPacket& slot = pending[(pending_next + i) % pending.size()];
        if (!slot.mbuf || slot.neighbor != index) continue;
        rte_mbuf* frame = std::exchange(slot.mbuf, nullptr);
        n.pending--;
        if (failed) {
            counters.neighbor_unresolved++;
            local_error(frame, n.port, IcmpError::Kind::kHostUnreachable);
            rte_pktmbuf_free(frame);
            continue;
        }
        std::memcpy(rte_pktmbuf_mtod(frame, uint8_t*), n.mac.data(), 6);
        queue_frame(frame, n.port);
    }
}

/// Asks for the neighbour's MAC: the one who had it (kProbe), or everyone, and that at a limited rate: whoever can make us send to
/// addresses that are not there makes us ask (RFC 6583).
void Stack::Impl::solicit(Neighbor& n, Instant now) {
    const RouteEntry hop{{}, {}, n.port, true};
    const LocalAddress* source = routes.choose_source(hop, n.ip);
    if (!source) return;
    const uint8_t* unicast = n.state == Neighbor::State::kProbe ? n.mac.data() : nullptr;
    if (!unicast && !solicit_bucket.take(now, random)) {
        counters.neighbor_solicit_limited++;   // its next question comes in RetransTimer
        return;
    }
    if (n.ip.is_v4()) send_arp(n.port, 1, unicast ? unicast : kBroadcastMac.data(), source->ip, nullptr, n.ip);
    else send_neighbor_solicit(n.port, n.ip, source->ip, unicast);
}

void Stack::Impl::heard(uint8_t port, const IpAddress& ip, const MacAddress& mac, bool solicited, bool override_mac,
                        Instant now) {
    if (config.share_neighbors) {
        NeighborUpdate update;
        update.ip = ip, update.mac = mac, update.port = port;
        update.solicited = solicited, update.override_mac = override_mac;
        updates.push(update);
    }
    if (const Neighbor* known = neighbors.find(port, ip); known && known->has_mac() && known->mac != mac) counters.neighbor_conflict++;
    if (Neighbor* n = neighbors.learn(port, ip, mac, solicited, override_mac, now)) flush_pending(*n, false);
}

rte_mbuf* Stack::Impl::make_packet(uint16_t bytes) {
    rte_mbuf* m = rte_pktmbuf_alloc(pool);
    if (m && rte_pktmbuf_append(m, bytes)) return m;
    rte_pktmbuf_free(m);
    counters.tx_no_mbuf++;
    return nullptr;
}

}  // namespace sluice::net
