// IPv6 in: validation, the extension header chain (bounded), to the payload. IPv6 out: the header before a segment.
// In: frames, segments. Out: DatagramIn for the transport, or the frame's end. Takes over the frame in every case.
// RFC 8200, RFC 5095 (type 0 routing refused), RFC 6946 (atomic fragments), RFC 4291 2.5.5.2 (mapped addresses never on a wire).
#include <cstring>

#include "base/checksum.h"
#include "net/impl.h"

namespace sluice::net {

namespace {
constexpr uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kDestinationOptions = 60;
constexpr int kExtensionsMax = 6;            // RFC 8504 5.3: limits are ours to set
constexpr uint32_t kExtensionBytesMax = 256;
constexpr uint32_t kOptionsMax = 8;

/// Unknown options that must not be skipped (RFC 8200 4.2: the two high bits) or are malformed: false.
bool options_skippable(const uint8_t* p, uint32_t length) {
    for (uint32_t n = 0; length > 0; n++) {
        if (p[0] == 0) {  // Pad1
            p++, length--;
            if (n > kOptionsMax) return false;
            continue;
        }
        if (n > kOptionsMax || length < 2 || p[1] + 2u > length || p[0] >> 6 != 0) return false;
        length -= p[1] + 2u;
        p += p[1] + 2u;
    }
    return true;
}

enum class Chain : uint8_t { kFine, kBad, kFragmented, kSourceRouted };

/// Walks the extension headers in the first mbuf. `offset` and `next` move to the upper layer's.
Chain walk_extensions(const rte_mbuf* frame, uint32_t& offset, uint32_t end, uint8_t& next) {
    const uint32_t first = offset;
    for (int n = 0;; n++) {
        if (next != kHopByHop && next != kRouting && next != kFragment && next != kDestinationOptions) return Chain::kFine;
        if (n == kExtensionsMax || offset - first > kExtensionBytesMax || (next == kHopByHop && n != 0)) return Chain::kBad;
        if (offset + 8 > end || offset + 8 > frame->data_len) return Chain::kBad;
        const auto* p = rte_pktmbuf_mtod_offset(frame, const uint8_t*, offset);
        const uint32_t bytes = next == kFragment ? 8 : (p[1] + 1u) * 8;
        if (offset + bytes > end || offset + bytes > frame->data_len) return Chain::kBad;
        if (next == kFragment) {
            if ((load_be16(p + 2) & 0xfff9) != 0) return Chain::kFragmented;  // offset or more: not atomic
        } else if (next == kRouting) {
            if (p[3] != 0) return Chain::kSourceRouted;   // segments left: we forward for no one
        } else if (!options_skippable(p + 2, bytes - 2)) {
            return Chain::kBad;
        }
        next = p[0];
        offset += bytes;
    }
}
}  // namespace

Verdict Stack::Impl::handle_ipv6(rte_mbuf* frame, const LinkHeader& link, uint8_t port, Instant now, DatagramIn& out) {
    if (frame->data_len < link.length + sizeof(Ipv6Header)) return drop(frame, counters.rx_bad_ip);
    const auto* h = rte_pktmbuf_mtod_offset(frame, const Ipv6Header*, link.length);
    const uint32_t vcf = h->version_class_flow.value();
    uint32_t offset = link.length + uint32_t{sizeof *h};
    const uint32_t end = offset + h->payload_length.value();
    if (vcf >> 28 != 6 || end > frame->pkt_len) return drop(frame, counters.rx_bad_ip);
    out.source = IpAddress::v6(h->source);
    out.destination = IpAddress::v6(h->destination);
    out.mbuf = frame;
    out.ecn = (vcf >> 20) & 3;
    out.port = port;
    const bool unspecified = out.source.is_unspecified();
    if (out.source.is_v4() || out.destination.is_v4() || is_loopback(out.destination) ||
        (!unspecified && !good_source(out.source, port)))
        return drop(frame, counters.rx_martian);
    const bool unicast_to_us = routes.is_local_on(out.destination, port);
    bool group_of_ours = out.destination == all_nodes();
    if (!unicast_to_us && out.destination.is_multicast() && !group_of_ours)
        for (const LocalAddress& l : routes.locals())
            group_of_ours |= l.port == port && !l.ip.is_v4() && out.destination == solicited_node(l.ip);
    if (!unicast_to_us && !group_of_ours) {
        counters.rx_not_ours++;
        out.protocol = 0;
        return Verdict::kException;
    }
    uint8_t next = h->next_header;
    const uint8_t hop_limit = h->hop_limit;
    switch (walk_extensions(frame, offset, end, next)) {
        case Chain::kFine: break;
        case Chain::kBad: return drop(frame, counters.rx_bad_ip);
        case Chain::kFragmented: return drop(frame, counters.rx_fragment_dropped);
        case Chain::kSourceRouted: return drop(frame, counters.rx_source_routed);
    }
    out.payload_offset = static_cast<uint16_t>(offset);
    out.payload_length = static_cast<uint16_t>(end - offset);
    out.protocol = next;
    frame->l2_len = link.length & 0x7f;
    frame->l3_len = (offset - link.length) & 0x1ff;
    if (!verify_l4(frame, port, out.l4_checksum_verified)) return drop(frame, counters.rx_bad_checksum);
    if (next == kProtocolIcmp6) {
        handle_icmp6(out, hop_limit, now);
        return Verdict::kConsumed;
    }
    if (unspecified || !unicast_to_us || link.group) return drop(frame, counters.rx_martian);
    if (next == kProtocolTcp) return Verdict::kTransport;
    counters.rx_no_protocol++;
    return Verdict::kException;
}

bool Stack::Impl::write_ipv6(DatagramOut& out, const PortState&, uint8_t hop_limit) {
    rte_mbuf* m = out.mbuf;
    const uint32_t length = m->pkt_len;
    auto* h = reinterpret_cast<Ipv6Header*>(rte_pktmbuf_prepend(m, sizeof(Ipv6Header)));
    if (!h) return false;
    h->version_class_flow = be32_t(0x60000000u | static_cast<uint32_t>(out.ecn & 3) << 20);
    h->payload_length = be16_t(static_cast<uint16_t>(length));
    h->next_header = out.protocol;
    h->hop_limit = hop_limit;
    std::memcpy(h->source, out.source.bytes.data(), 16);
    std::memcpy(h->destination, out.destination.bytes.data(), 16);
    m->l3_len = sizeof(Ipv6Header);
    return true;
}

}  // namespace sluice::net
