// What the IP layer and the transport layer tell each other about one packet. Neither knows the other's insides:
// the worker (or a simulation) carries these between them.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "base/ip_address.h"
#include "base/time.h"

namespace sluice::net {

/// IP protocol numbers we know.
enum : uint8_t { kProtocolIcmp = 1, kProtocolTcp = 6, kProtocolUdp = 17, kProtocolIcmp6 = 58 };

/// Why a packet is not for the transports here.
enum class Foreign : uint8_t { kVlan, kAddress, kProtocol };

/// A received IP payload, its headers validated: the payload lies in `mbuf` (ownership moves with the struct's user: whoever
/// takes the datagram frees the mbuf) from data offset `payload_offset` (from rte_pktmbuf_mtod) over `payload_length` bytes.
struct DatagramIn {
    IpAddress source;
    IpAddress destination;
    rte_mbuf* mbuf = nullptr;
    uint16_t payload_offset = 0;
    uint16_t payload_length = 0;  // IP's length, link padding excluded
    uint8_t protocol = 0;
    uint8_t ecn = 0;              // the two ECN bits (RFC 3168)
    uint8_t port = 0;             // our port's index
    bool l4_checksum_verified = false;  // by the NIC; else the transport checks it
    uint16_t merged_bytes = 0;    // payload of each TCP segment that the port merged into this one (LRO); 0: it came as it is
    bool is_fragment : 1 = false; // one part of a datagram: Stack::handle_fragment takes it, no transport does
    bool more_fragments : 1 = false;
    Foreign foreign = Foreign::kProtocol;   // Verdict::kException
    uint16_t fragment_offset = 0;   // bytes
    uint32_t fragment_id = 0;
};

/// A transport segment to be sent. `mbuf` (owned) begins with the transport header; headroom is left for IP and link headers
/// (kTransportHeadroom). The transport has written its checksum field: complete if `checksum_complete`, else the
/// pseudo-header sum for the port to finish (the IP layer finishes it in software where the port cannot).
struct DatagramOut {
    IpAddress source;
    IpAddress destination;
    rte_mbuf* mbuf = nullptr;
    uint8_t protocol = 0;
    uint8_t ecn = 0;
    uint8_t dscp = 0;
    bool checksum_complete = false;
    uint16_t l4_header_length = 0;
    uint16_t tso_segment_bytes = 0;  // non-zero: to be cut by the port into segments of this payload
    uint32_t route_hint = 0;         // opaque next-hop cache of the IP layer, kept per connection; 0 = look it up
};

/// Room before the transport header: link (14 + VLAN 4) + IPv6 40, rounded up; RTE_PKTMBUF_HEADROOM (128) covers it.
inline constexpr uint16_t kTransportHeadroom = 64;

/// An ICMP error that quotes one of our TCP segments, validated as far as IP goes (RFC 5927: the transport checks the sequence).
struct IcmpError {
    enum class Kind : uint8_t { kNetUnreachable, kHostUnreachable, kPortUnreachable, kProhibited, kFragmentationNeeded, kTimeExceeded };
    Kind kind{};
    FourTuple tuple;          // local is us
    uint32_t sequence = 0;    // of the quoted segment
    uint16_t path_mtu = 0;    // for kFragmentationNeeded, 0 if unknown
};

/// What the transport asks of the IP layer without sending: the source to use and the packet size that fits.
struct RouteInfo {
    IpAddress source;
    uint16_t mtu = 0;         // bytes of an IP packet, path MTU included
    uint16_t link_mtu = 0;    // what the first link takes; 0: the same
    Instant path_mtu_until{}; // mtu < link_mtu: when that is forgotten
    uint8_t port = 0;
    bool tso = false;
    bool tx_checksum = false;      // the port finishes TCP checksums
    bool multi_segment = false;    // the port takes chained mbufs: payload may be attached without copying
};

}  // namespace sluice::net
