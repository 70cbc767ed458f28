// IPv6 in: validation, the extension header chain (bounded), to the payload. IPv6 out: the header before a segment.
// In: frames, segments. Out: DatagramIn for the transport, or the frame's end. Takes over the frame in every case.
// RFC 8200, RFC 6946 (atomic fragments), RFC 4291 2.5.5.2 (mapped addresses never on a wire), RFC 6437 (flow labels).
#include <cstring>

#include "base/checksum.h"
#include "net/extensions.h"
#include "net/impl.h"

namespace sluice::net {

namespace {
/// RFC 6437 3: the same for all packets of a flow, and not to be guessed.
uint32_t flow_label(const SipKey& key, const DatagramOut& d) {
    SipHash13 h(key);
    for (const IpAddress* a : {&d.source, &d.destination}) {
        uint64_t words[2];
        std::memcpy(words, a->bytes.data(), 16);
        h.word(words[0]);
        h.word(words[1]);
    }
    uint32_t ports = 0;
    if (d.protocol == kProtocolTcp && d.mbuf->data_len >= 4) std::memcpy(&ports, rte_pktmbuf_mtod(d.mbuf, const void*), 4);
    h.word(uint64_t{ports} << 8 | d.protocol);
    const auto label = static_cast<uint32_t>(h.finish()) & 0xfffff;
    return label != 0 ? label : 1;   // 0 says that there is none
}
/// Who has our address says so from that address (RFC 4862 5.4.4).
bool is_neighbor_advert(const rte_mbuf* frame, uint32_t ip) {
    const auto* h = rte_pktmbuf_mtod_offset(frame, const Ipv6Header*, ip);
    const uint32_t icmp = ip + uint32_t{sizeof *h};
    return h->next_header == kProtocolIcmp6 && icmp < frame->data_len &&
           *rte_pktmbuf_mtod_offset(frame, const uint8_t*, icmp) == kIcmp6NeighborAdvert;
}
}  // namespace

Verdict Stack::Impl::handle_ipv6(rte_mbuf* frame, const LinkHeader& link, uint8_t port, Instant now, DatagramIn& out) {
    if (frame->data_len < link.length + sizeof(Ipv6Header)) return drop(frame, counters.rx_bad_ip);
    const auto* h = rte_pktmbuf_mtod_offset(frame, const Ipv6Header*, link.length);
    const uint32_t vcf = h->version_class_flow.value();
    const uint32_t start = link.length + uint32_t{sizeof *h}, end = start + h->payload_length.value();
    if (vcf >> 28 != 6 || end > frame->pkt_len) return drop(frame, counters.rx_bad_ip);
    out.source = IpAddress::v6(h->source);
    out.destination = IpAddress::v6(h->destination);
    out.mbuf = frame;
    out.ecn = (vcf >> 20) & 3;
    out.port = port;
    const bool unspecified = out.source.is_unspecified();
    const LocalAddress* local = routes.local_on(out.destination, port);
    if (!local && !group_of_ours(out.destination, port)) {
        counters.rx_not_ours++;
        out.foreign = Foreign::kAddress;
        out.protocol = 0;
        return Verdict::kException;
    }
    if (uint64_t* why = refuse_addresses6(frame, link, out)) return drop(frame, *why);
    if (local && !local->usable()) return drop(frame, counters.rx_destination_duplicate);
    if (local && link.group) return drop(frame, counters.rx_destination_group);
    frame->l2_len = link.length & 0x7f;
    out.payload_offset = static_cast<uint16_t>(start);
    out.payload_length = h->payload_length.value();
    const uint8_t hop_limit = h->hop_limit;
    const Chain chain = walk_packet(frame);
    if (chain.end != ChainEnd::kUpperLayer && refuse_chain(chain, out, now)) {
        rte_pktmbuf_free(frame);
        return Verdict::kConsumed;
    }
    // Only ICMPv6 speaks to groups, and only ND has no source: for them, group and source are its own to check.
    const bool to_us_alone = local && !unspecified;
    out.payload_offset = static_cast<uint16_t>(chain.offset);
    out.payload_length = static_cast<uint16_t>(end - chain.offset);
    out.protocol = chain.next;
    frame->l3_len = (chain.offset - link.length) & 0x1ff;
    if (!to_us_alone && (chain.end == ChainEnd::kFragment || chain.next != kProtocolIcmp6))
        return drop(frame, unspecified ? counters.rx_source_reserved : counters.rx_destination_group);
    if (chain.end == ChainEnd::kFragment) {
        const auto* fragment = rte_pktmbuf_mtod_offset(frame, const uint8_t*, chain.fragment);
        out.more_fragments = (fragment[3] & 1) != 0;
        out.fragment_offset = load_be16(fragment + 2) & 0xfff8;
        out.fragment_id = load_be32(fragment + 4);
        out.l4_checksum_verified = false;
        return fragment_arrives(out, now);
    }
    if (!verify_l4(frame, port, out.l4_checksum_verified)) return drop(frame, counters.rx_bad_checksum);
    note_merged(out);
    return deliver6(out, hop_limit, now);
}

/// Null, or the counter of why no packet may have these addresses.
uint64_t* Stack::Impl::refuse_addresses6(const rte_mbuf* frame, const LinkHeader& link, const DatagramIn& d) {
    if (d.source.is_v4() || d.destination.is_v4()) return &counters.rx_source_mapped;
    if (is_loopback(d.destination)) return &counters.rx_destination_loopback;
    if (d.source.is_unspecified()) return nullptr;   // duplicate address detection; others are refused below
    uint64_t* const why = refuse_source(d.source, d.port);
    return why == &counters.rx_source_ours && is_neighbor_advert(frame, link.length) ? nullptr : why;
}

/// All nodes, and the solicited-node groups of our addresses, those in doubt included: their defence is heard there.
bool Stack::Impl::group_of_ours(const IpAddress& destination, uint8_t port) const {
    if (!destination.is_multicast()) return false;
    if (destination == all_nodes()) return true;
    for (const LocalAddress& l : routes.locals())
        if (l.port == port && !l.ip.is_v4() && destination == solicited_node(l.ip)) return true;
    return false;
}

/// A whole datagram to us.
Verdict Stack::Impl::deliver6(DatagramIn& d, uint8_t hop_limit, Instant now) {
    if (d.protocol == kProtocolTcp) return Verdict::kTransport;
    if (d.protocol == kProtocolIcmp6) {
        handle_icmp6(d, hop_limit, now);
        return Verdict::kConsumed;
    }
    counters.rx_no_protocol++;
    d.foreign = Foreign::kProtocol;
    return Verdict::kException;
}

/// Counts why the chain ends before an upper layer, and answers where the RFCs say so. False: it is a fragment, which may go on.
bool Stack::Impl::refuse_chain(const Chain& chain, const DatagramIn& d, Instant now) {
    switch (chain.end) {
        case ChainEnd::kUpperLayer:
        case ChainEnd::kFragment: return false;
        case ChainEnd::kMalformed: counters.rx_bad_ip++; break;
        case ChainEnd::kTooLong: counters.rx_extension_limit++; break;
        case ChainEnd::kSourceRouted: counters.rx_source_routed++; break;
        case ChainEnd::kDiscard:
        case ChainEnd::kUnknownOption:
        case ChainEnd::kMisplaced: counters.rx_bad_extension++; break;
    }
    if (chain.answered)
        send_error(d, kIcmp6ParameterProblem, chain.problem_code, chain.problem - d.mbuf->l2_len, now, chain.answer_groups);
    return true;
}

bool Stack::Impl::write_ipv6(DatagramOut& out, const PortState&, uint8_t hop_limit) {
    rte_mbuf* m = out.mbuf;
    const uint32_t length = m->pkt_len;
    const uint32_t label = flow_label(flow_key, out);
    auto* h = reinterpret_cast<Ipv6Header*>(rte_pktmbuf_prepend(m, sizeof(Ipv6Header)));
    if (!h) return false;
    h->version_class_flow = be32_t(0x60000000u | static_cast<uint32_t>(out.dscp << 2 | (out.ecn & 3)) << 20 | label);
    h->payload_length = be16_t(static_cast<uint16_t>(length));
    h->next_header = out.protocol;
    h->hop_limit = hop_limit;
    std::memcpy(h->source, out.source.bytes.data(), 16);
    std::memcpy(h->destination, out.destination.bytes.data(), 16);
    m->l3_len = sizeof(Ipv6Header);
    return true;
}

}  // namespace sluice::net
