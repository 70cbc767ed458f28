// Ethernet II and 802.1Q headers: constants, the header as it lies on the wire, and one strict parser.
// In: a received frame. Out: ethertype and where its payload begins. Owns nothing. IEEE 802.3, 802.1Q (2022: 9.5, one C-TAG;
// stacked tags, 802.1ad, are refused); RFC 894, 2464.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <cstring>

#include "base/endian.h"

namespace sluice::net {

using MacAddress = std::array<uint8_t, 6>;

inline constexpr uint16_t kEtherTypeIpv4 = 0x0800;
inline constexpr uint16_t kEtherTypeArp = 0x0806;
inline constexpr uint16_t kEtherTypeVlan = 0x8100;
inline constexpr uint16_t kEtherTypeIpv6 = 0x86dd;
inline constexpr uint16_t kEtherTypeServiceVlan = 0x88a8;   // 802.1ad; 0x9100 before it was a standard
inline constexpr uint16_t kEtherTypeOldStackedVlan = 0x9100;
inline constexpr uint16_t kEthernetHeaderBytes = 14;
inline constexpr uint16_t kVlanTagBytes = 4;
inline constexpr uint16_t kVlanIdMask = 0x0fff;
inline constexpr MacAddress kBroadcastMac{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

struct EthernetHeader {
    uint8_t destination[6];
    uint8_t source[6];
    be16_t ether_type;
};
static_assert(sizeof(EthernetHeader) == kEthernetHeaderBytes);

inline bool is_group_mac(const uint8_t* mac) { return (mac[0] & 1) != 0; }
inline bool is_zero_mac(const uint8_t* mac) {
    static constexpr uint8_t kZero[6] = {};
    return std::memcmp(mac, kZero, 6) == 0;
}

inline bool is_vlan_type(uint16_t type) {
    return type == kEtherTypeVlan || type == kEtherTypeServiceVlan || type == kEtherTypeOldStackedVlan;
}

enum class LinkVerdict : uint8_t { kOurs, kBad, kOtherHost, kOtherVlan, kStackedVlan };

struct LinkHeader {
    uint16_t ether_type = 0;
    uint16_t length = 0;       // bytes before the payload
    bool group = false;        // sent to a broadcast or multicast address
};

/// `vlan` 0 takes untagged and priority-tagged (VID 0) frames; otherwise exactly that VID, in the frame or stripped by the port.
inline LinkVerdict parse_link_header(const rte_mbuf* frame, const MacAddress& own, uint16_t vlan, LinkHeader& out) {
    if (frame->data_len < kEthernetHeaderBytes) return LinkVerdict::kBad;
    const auto* h = rte_pktmbuf_mtod(frame, const EthernetHeader*);
    if (is_group_mac(h->source)) return LinkVerdict::kBad;
    out.group = is_group_mac(h->destination);
    if (!out.group && std::memcmp(h->destination, own.data(), 6) != 0) return LinkVerdict::kOtherHost;
    uint16_t tag = 0;
    out.ether_type = h->ether_type.value();
    out.length = kEthernetHeaderBytes;
    const bool stripped = (frame->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0;
    if (stripped) tag = frame->vlan_tci & kVlanIdMask;
    if (is_vlan_type(out.ether_type)) {
        if (frame->data_len < kEthernetHeaderBytes + kVlanTagBytes) return LinkVerdict::kBad;
        const auto* bytes = rte_pktmbuf_mtod(frame, const uint8_t*);
        const uint16_t inner = load_be16(bytes + 16);
        // A second tag would let a host on one VLAN reach another behind us: nothing below the first is looked at.
        if (stripped || out.ether_type != kEtherTypeVlan || is_vlan_type(inner)) return LinkVerdict::kStackedVlan;
        tag = load_be16(bytes + 14) & kVlanIdMask;
        out.ether_type = inner;
        out.length = kEthernetHeaderBytes + kVlanTagBytes;
    }
    if (frame->ol_flags & RTE_MBUF_F_RX_QINQ_STRIPPED) return LinkVerdict::kStackedVlan;
    return tag == vlan ? LinkVerdict::kOurs : LinkVerdict::kOtherVlan;
}

}  // namespace sluice::net
