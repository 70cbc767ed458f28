// A core's end of the exception path (see exception.h): who sees a frame, and the copies in and out of the rings.
// Layouts: IEEE 802.3, 802.1Q, RFC 791, RFC 8200, RFC 792, RFC 4443. Nothing is validated here: only bytes inside the first
// mbuf are looked at, and what the stack would drop it still drops.
#include "worker/exception.h"

#include <cstring>

#include "base/endian.h"
#include "net/datagram.h"
#include "net/ip_headers.h"

namespace sluice::worker {

namespace {

constexpr uint8_t kIpv6FragmentHeader = 44;

/// Echo requests to our addresses are answered here, so the kernel, which may have the same addresses, must not see them.
/// Errors are validated on both sides: they count only for who has the connection that they quote.
Audience of_ipv4(const uint8_t* ip, uint32_t bytes) {
    const auto* h = reinterpret_cast<const net::Ipv4Header*>(ip);
    const uint32_t header_bytes = (h->version_ihl & 0xfu) * 4;
    if (bytes < sizeof *h || bytes < header_bytes + 1) return Audience::kGateway;
    const bool fragment = (h->fragment.value() & (net::kIpv4MoreFragments | net::kIpv4OffsetMask)) != 0;
    if (h->protocol == net::kProtocolTcp) return Audience::kGateway;
    if (h->protocol != net::kProtocolIcmp) return fragment ? Audience::kKernel : Audience::kGateway;
    return fragment || ip[header_bytes] == net::kIcmpEcho ? Audience::kGateway : Audience::kBoth;
}

Audience of_ipv6(const uint8_t* ip, uint32_t bytes) {
    const auto* h = reinterpret_cast<const net::Ipv6Header*>(ip);
    if (bytes < sizeof *h + 1) return Audience::kGateway;
    if (h->destination[0] == 0xff) return Audience::kBoth;   // ND, MLD, router advertisements
    const uint8_t first = ip[sizeof *h];                     // a fragment header's next header, or ICMP's type
    if (h->next_header == kIpv6FragmentHeader)
        return first == net::kProtocolTcp || first == net::kProtocolIcmp6 ? Audience::kGateway : Audience::kKernel;
    return h->next_header == net::kProtocolIcmp6 && first != net::kIcmp6Echo ? Audience::kBoth : Audience::kGateway;
}

}  // namespace

Audience audience(const rte_mbuf* frame, const net::MacAddress& own) {
    if (frame->data_len < net::kEthernetHeaderBytes) return Audience::kGateway;
    const auto* bytes = rte_pktmbuf_mtod(frame, const uint8_t*);
    if (!net::is_group_mac(bytes) && std::memcmp(bytes, own.data(), own.size()) != 0) return Audience::kGateway;
    uint32_t at = net::kEthernetHeaderBytes;
    if (load_be16(bytes + at - 2) == net::kEtherTypeVlan && frame->data_len >= at + net::kVlanTagBytes) at += net::kVlanTagBytes;
    switch (load_be16(bytes + at - 2)) {
        case net::kEtherTypeArp: return Audience::kBoth;
        case net::kEtherTypeIpv4: return of_ipv4(bytes + at, frame->data_len - at);
        case net::kEtherTypeIpv6: return of_ipv6(bytes + at, frame->data_len - at);
        default: return Audience::kGateway;
    }
}

bool ExceptionEnd::to_kernel(const rte_mbuf* frame) {
    const bool stripped = (frame->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0 && frame->data_len >= net::kEthernetHeaderBytes;
    const uint32_t bytes = frame->pkt_len + (stripped ? net::kVlanTagBytes : 0u);
    uint8_t* room = bytes <= FrameRing::kFrameBytesMax ? to_kernel_.reserve() : nullptr;
    if (!room) {
        ++dropped_;
        return false;
    }
    uint8_t* to = room;
    uint32_t skip = 0;
    if (stripped) {   // the TAP shows the wire: the port took the tag off, here it is again
        constexpr uint32_t kMacs = 12;
        std::memcpy(to, rte_pktmbuf_mtod(frame, const uint8_t*), kMacs);
        store_be16(to + kMacs, net::kEtherTypeVlan);
        store_be16(to + kMacs + 2, frame->vlan_tci);
        to += kMacs + net::kVlanTagBytes;
        skip = kMacs;
    }
    for (const rte_mbuf* s = frame; s; s = s->next, skip = 0) {
        std::memcpy(to, rte_pktmbuf_mtod_offset(s, const uint8_t*, skip), s->data_len - skip);
        to += s->data_len - skip;
    }
    to_kernel_.commit(bytes);
    return true;
}

rte_mbuf* ExceptionEnd::from_kernel(rte_mempool* pool) {
    if (!sends_) return nullptr;
    const std::span<const uint8_t> frame = port_.from_kernel.front();
    if (frame.empty()) return nullptr;
    rte_mbuf* m = rte_pktmbuf_alloc(pool);
    char* to = m ? rte_pktmbuf_append(m, static_cast<uint16_t>(frame.size())) : nullptr;
    if (to) {
        std::memcpy(to, frame.data(), frame.size());
        ++sent_;
    } else {
        rte_pktmbuf_free(m);
        m = nullptr;
        ++dropped_;
    }
    port_.from_kernel.pop();
    return m;
}

}  // namespace sluice::worker
