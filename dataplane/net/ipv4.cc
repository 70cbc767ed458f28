// IPv4 in: validation from the link header to the payload. IPv4 out: the header in front of a transport segment.
// In: frames, segments. Out: DatagramIn for the transport, or the frame's end. Takes over the frame in every case.
// RFC 791, RFC 1122 3.2.1 and 3.3.6, RFC 6864 (ids), RFC 6274 (source routes refused).
#include <cstring>

#include "base/checksum.h"
#include "net/impl.h"

namespace sluice::net {

namespace {
constexpr uint8_t kOptionEnd = 0, kOptionNop = 1, kOptionLooseRoute = 131, kOptionStrictRoute = 137;

enum class Options : uint8_t { kFine, kMalformed, kSourceRouted };

/// Options are passed over, except that a sender may not choose our path (RFC 6274 3.13.2.3).
Options check_options(const uint8_t* p, uint32_t length) {
    while (length > 0) {
        if (p[0] == kOptionEnd) break;
        if (p[0] == kOptionNop) {
            p++, length--;
            continue;
        }
        if (length < 2 || p[1] < 2 || p[1] > length) return Options::kMalformed;
        if (p[0] == kOptionLooseRoute || p[0] == kOptionStrictRoute) return Options::kSourceRouted;
        length -= p[1];
        p += p[1];
    }
    return Options::kFine;
}
}  // namespace

/// Sources that no packet on a wire may have (RFC 1122 3.2.1.3, RFC 6890), our own, and those that this port does not lead to.
uint64_t* Stack::Impl::martian_source(const IpAddress& source, uint8_t port) {
    if (source.is_multicast() || routes.is_broadcast(source)) return &counters.rx_source_group;
    if (is_loopback(source)) return &counters.rx_source_loopback;
    if (routes.is_ours(source)) return &counters.rx_source_ours;
    if (source.is_v4() ? source.bytes[12] == 0 || source.bytes[12] >= 240 : is_v4_compatible(source)) return &counters.rx_source_reserved;
    if (routes.spoofed(source, port)) return &counters.rx_source_other_port;
    if (!routes.reachable(source, port, ports[port].config.strict_reverse_path)) return &counters.rx_source_no_route;
    return nullptr;
}

/// False: the port saw a wrong transport checksum. RX_L4_CKSUM_NONE contains the BAD bit: compare under the mask.
bool Stack::Impl::verify_l4(const rte_mbuf* frame, uint8_t port, bool& verified) {
    const uint64_t l4 = frame->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
    verified = ports[port].config.rx_checksum &&
               (l4 == RTE_MBUF_F_RX_L4_CKSUM_GOOD || l4 == RTE_MBUF_F_RX_L4_CKSUM_NONE);
    return !(ports[port].config.rx_checksum && l4 == RTE_MBUF_F_RX_L4_CKSUM_BAD);
}

/// A frame of several segments, put together by the port or never cut by a peer on this machine.
void Stack::Impl::note_merged(DatagramIn& d) {
    if ((d.mbuf->ol_flags & RTE_MBUF_F_RX_LRO) == 0) return;
    d.merged_bytes = d.mbuf->tso_segsz;
    counters.rx_merged++;
}

Verdict Stack::Impl::handle_ipv4(rte_mbuf* frame, const LinkHeader& link, uint8_t port, Instant now, DatagramIn& out) {
    if (frame->data_len < link.length + sizeof(Ipv4Header)) return drop(frame, counters.rx_bad_ip);
    const auto* h = rte_pktmbuf_mtod_offset(frame, const Ipv4Header*, link.length);
    const uint32_t header_bytes = (h->version_ihl & 0xfu) * 4;
    const uint32_t total = h->total_length.value();
    if (h->version_ihl >> 4 != 4 || header_bytes < sizeof *h || link.length + header_bytes > frame->data_len ||
        total < header_bytes || total > frame->pkt_len - link.length || h->ttl == 0)
        return drop(frame, counters.rx_bad_ip);
    const uint64_t ip_flags = frame->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
    if (!(ports[port].config.rx_checksum && ip_flags == RTE_MBUF_F_RX_IP_CKSUM_GOOD) &&
        checksum_finish(checksum_add(h, header_bytes)) != 0)
        return drop(frame, counters.rx_bad_checksum);
    if (header_bytes > sizeof *h) {
        switch (check_options(reinterpret_cast<const uint8_t*>(h + 1), header_bytes - uint32_t{sizeof *h})) {
            case Options::kFine: break;
            case Options::kMalformed: return drop(frame, counters.rx_bad_ip);
            case Options::kSourceRouted: return drop(frame, counters.rx_source_routed);
        }
    }
    out.source = ip_from_v4(h->source);
    out.destination = ip_from_v4(h->destination);
    out.mbuf = frame;
    out.payload_offset = static_cast<uint16_t>(link.length + header_bytes);
    out.payload_length = static_cast<uint16_t>(total - header_bytes);
    out.protocol = h->protocol;
    out.ecn = h->tos & 3;
    out.port = port;
    if (is_loopback(out.destination)) return drop(frame, counters.rx_destination_loopback);
    const LocalAddress* local = routes.local_on(out.destination, port);
    if (!local) {   // whoever takes it has routes of his own to check its source by
        counters.rx_not_ours++;
        out.foreign = Foreign::kAddress;
        out.protocol = 0;
        return Verdict::kException;
    }
    if (uint64_t* why = refuse_source(out.source, port)) return drop(frame, *why);
    if (!local->usable()) return drop(frame, counters.rx_destination_duplicate);
    // RFC 1122 3.3.6: a unicast datagram in a link broadcast is discarded.
    if (link.group) return drop(frame, counters.rx_destination_group);
    frame->l2_len = link.length & 0x7f;
    frame->l3_len = header_bytes & 0x1ff;
    if (const uint16_t fragment = h->fragment.value(); fragment & (kIpv4MoreFragments | kIpv4OffsetMask)) {
        out.more_fragments = (fragment & kIpv4MoreFragments) != 0;
        out.fragment_offset = static_cast<uint16_t>((fragment & kIpv4OffsetMask) * 8);
        out.fragment_id = h->id.value();
        out.l4_checksum_verified = false;
        return fragment_arrives(out, now);
    }
    if (!verify_l4(frame, port, out.l4_checksum_verified)) return drop(frame, counters.rx_bad_checksum);
    note_merged(out);
    return deliver4(out, now);
}

/// A whole datagram to us.
Verdict Stack::Impl::deliver4(DatagramIn& d, Instant now) {
    if (d.protocol == kProtocolTcp) return Verdict::kTransport;
    if (d.protocol == kProtocolIcmp) {
        handle_icmp4(d, now);
        return Verdict::kConsumed;
    }
    counters.rx_no_protocol++;
    d.foreign = Foreign::kProtocol;
    return Verdict::kException;
}

bool Stack::Impl::write_ipv4(DatagramOut& out, const PortState& port, uint8_t ttl, uint16_t fragment, uint16_t id) {
    rte_mbuf* m = out.mbuf;
    auto* h = reinterpret_cast<Ipv4Header*>(rte_pktmbuf_prepend(m, sizeof(Ipv4Header)));
    if (!h) return false;
    h->version_ihl = 0x45;
    h->tos = static_cast<uint8_t>(out.dscp << 2 | (out.ecn & 3));
    h->total_length = be16_t(static_cast<uint16_t>(m->pkt_len));
    h->id = be16_t(id);
    h->fragment = be16_t(fragment);
    h->ttl = ttl;
    h->protocol = out.protocol;
    h->checksum = 0;
    std::memcpy(h->source, out.source.bytes.data() + 12, 4);
    std::memcpy(h->destination, out.destination.bytes.data() + 12, 4);
    m->l3_len = sizeof(Ipv4Header);
    if (port.config.tx_ip_checksum) m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
    else h->checksum = checksum_finish(checksum_add(h, sizeof *h));
    return true;
}

}  // namespace sluice::net
