// Fragments: what a part of a datagram must look like before it may wait for the others, and the datagram once it is whole.
// In: datagrams whose IP headers were validated and whose fragment fields are filled in. Out: whole datagrams; errors about those that
// never became whole. Takes mbufs over. RFC 791 3.2, RFC 8200 4.5, RFC 1858 and 3128 (tiny fragments), RFC 7112 (header
// chain in the first one), RFC 6980 (ND is never fragmented).
#include <cstring>

#include "base/checksum.h"
#include "net/extensions.h"
#include "net/impl.h"

namespace sluice::net {

namespace {
constexpr uint32_t kDatagramMax = 65535;
constexpr uint8_t kErroneousField = 0, kIncompleteChain = 3;   // RFC 4443 3.4, RFC 7112 5
constexpr uint8_t kReassemblyTimeExceeded = 1;
constexpr uint32_t kExpiriesPerTurn = 32;

/// The upper layer's own header, of `protocol`, lies whole in the `left` bytes from `offset`.
bool has_upper_header(const DatagramIn& f, uint8_t protocol, uint32_t offset, uint32_t left) {
    if (protocol != kProtocolTcp) return left >= sizeof(IcmpHeader);
    if (left < kTcpHeaderMinBytes || offset + kTcpHeaderMinBytes > f.mbuf->data_len) return false;
    const uint32_t header = (*rte_pktmbuf_mtod_offset(f.mbuf, const uint8_t*, offset + 12) >> 4) * 4u;
    return header <= left && offset + header <= f.mbuf->data_len;
}

bool is_reassembled(const DatagramIn& f) {
    if (f.source.is_v4()) return f.protocol == kProtocolTcp || f.protocol == kProtocolIcmp;
    return f.protocol != kProtocolUdp;   // anything else may be an extension header with TCP behind it
}
}  // namespace

/// A fragment as it arrived: checked alone, then kept here or offered to the core that collects its datagram.
Verdict Stack::Impl::fragment_arrives(DatagramIn& f, Instant now) {
    f.is_fragment = true;
    if (!is_reassembled(f)) {   // somebody else's: passed on as it is; an error may not be sent about a part (RFC 1122 3.2.2)
        counters.rx_no_protocol++;
        f.foreign = Foreign::kProtocol;
        f.protocol = 0;
        return Verdict::kException;
    }
    if (!(f.source.is_v4() ? good_fragment4(f) : good_fragment6(f, now))) {
        rte_pktmbuf_free(f.mbuf);
        return Verdict::kConsumed;
    }
    if (config.share_fragments) return Verdict::kFragment;
    return reassemble(f, now);
}

bool Stack::Impl::good_fragment4(const DatagramIn& f) {
    const uint32_t header_bytes = f.payload_offset - f.mbuf->l2_len;
    if (f.payload_length == 0 || (f.more_fragments && f.payload_length % 8 != 0) ||
        header_bytes + f.fragment_offset + f.payload_length > kDatagramMax) {
        counters.fragments_bad++;
        return false;
    }
    // RFC 3128 4.2: the second eight bytes of a TCP header come with the first, or not at all.
    const bool inside_header = f.protocol == kProtocolTcp && f.fragment_offset == 8;
    if (inside_header || (f.fragment_offset == 0 && !has_upper_header(f, f.protocol, f.payload_offset, f.payload_length))) {
        counters.fragments_tiny_first++;
        return false;
    }
    return true;
}

bool Stack::Impl::good_fragment6(const DatagramIn& f, Instant now) {
    const uint32_t ip = f.mbuf->l2_len, fragment_header = f.payload_offset - 8u;
    const uint32_t before = fragment_header - ip - uint32_t{sizeof(Ipv6Header)};   // extension headers of each fragment
    if (f.payload_length == 0 || (f.more_fragments && f.payload_length % 8 != 0)) {
        counters.fragments_bad++;
        if (f.payload_length != 0) send_error(f, kIcmp6ParameterProblem, kErroneousField, 4, now);   // RFC 8200 4.5: at the length
        return false;
    }
    if (before + f.fragment_offset + f.payload_length > kDatagramMax) {
        counters.fragments_bad++;
        send_error(f, kIcmp6ParameterProblem, kErroneousField, fragment_header + 2 - ip, now);
        return false;
    }
    if (f.fragment_offset != 0) return true;
    const uint32_t end = uint32_t{f.payload_offset} + f.payload_length;
    const Chain chain = walk_extensions(f.mbuf, fragment_header, f.payload_offset, end, false);
    if (chain.end == ChainEnd::kMalformed ||
        (chain.end == ChainEnd::kUpperLayer && !has_upper_header(f, chain.next, chain.offset, end - chain.offset))) {
        counters.fragments_tiny_first++;
        send_error(f, kIcmp6ParameterProblem, kIncompleteChain, 0, now);
        return false;
    }
    return chain.end == ChainEnd::kUpperLayer || !refuse_chain(chain, f, now);
}

Verdict Stack::Impl::reassemble(DatagramIn& f, Instant now) {
    counters.rx_fragments++;
    DatagramIn whole;
    const Reassembler::Result result = reassembler.add(f, now, whole);
    counters.fragments_evicted = reassembler.evicted();
    f.mbuf = nullptr;
    switch (result) {
        case Reassembler::Result::kKept: return Verdict::kConsumed;
        case Reassembler::Result::kDuplicate: counters.fragments_duplicate++; return Verdict::kConsumed;
        case Reassembler::Result::kAbandoned: counters.fragments_abandoned++; return Verdict::kConsumed;
        case Reassembler::Result::kRefused: counters.fragments_refused++; return Verdict::kConsumed;
        case Reassembler::Result::kWhole: break;
    }
    counters.fragments_reassembled++;
    f = whole;
    return f.source.is_v4() ? whole4(f, now) : whole6(f, now);
}

/// The first fragment's header becomes the datagram's, for whoever gets it as a packet (an exception port, an ICMP quote).
Verdict Stack::Impl::whole4(DatagramIn& d, Instant now) {
    auto* h = rte_pktmbuf_mtod_offset(d.mbuf, Ipv4Header*, d.mbuf->l2_len);
    const uint32_t header_bytes = d.payload_offset - d.mbuf->l2_len;
    h->total_length = be16_t(static_cast<uint16_t>(header_bytes + d.payload_length));
    h->fragment = be16_t(0);
    h->checksum = 0;
    h->checksum = checksum_finish(checksum_add(h, header_bytes));
    return deliver4(d, now);
}

/// The fragment header stays and becomes that of an atomic fragment.
Verdict Stack::Impl::whole6(DatagramIn& d, Instant now) {
    const uint32_t ip = d.mbuf->l2_len, start = d.payload_offset;
    auto* h = rte_pktmbuf_mtod_offset(d.mbuf, Ipv6Header*, ip);
    h->payload_length = be16_t(static_cast<uint16_t>(start - ip - sizeof(Ipv6Header) + d.payload_length));
    std::memset(rte_pktmbuf_mtod_offset(d.mbuf, uint8_t*, start - 6), 0, 2);
    const Chain chain = walk_extensions(d.mbuf, start - 8, start, start + d.payload_length, false);
    if (chain.end != ChainEnd::kUpperLayer) {   // seen to be good in the first fragment
        counters.rx_bad_extension++;
        rte_pktmbuf_free(d.mbuf);
        return Verdict::kConsumed;
    }
    d.payload_length = static_cast<uint16_t>(start + d.payload_length - chain.offset);
    d.payload_offset = static_cast<uint16_t>(chain.offset);
    d.protocol = chain.next;
    return deliver6(d, 0, now);   // hop limit 0: neighbour discovery refuses it (RFC 6980)
}

/// RFC 792, RFC 8200 4.5: the sender is told, if the first fragment came.
void Stack::Impl::expire_fragments(Instant now) {
    DatagramIn first;
    for (uint32_t n = 0; n < kExpiriesPerTurn && reassembler.expire(now, first); n++) {
        counters.fragments_timeout++;
        if (!first.mbuf) continue;
        const uint8_t type = first.source.is_v4() ? uint8_t{kIcmpTimeExceeded} : uint8_t{kIcmp6TimeExceeded};
        send_error(first, type, kReassemblyTimeExceeded, 0, now);
        rte_pktmbuf_free(first.mbuf);
    }
}

}  // namespace sluice::net
