// IP packets as they cross a simulated wire: read, checked, marked, damaged, made. In: bytes. Out: bytes.
// Written from the RFCs and not from the stack's own code, so that both must be right. RFC 791, 8200, 1071, 792, 4443, 1191, 8201.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ip_address.h"

namespace sluice::sim {

struct Packet {
    IpAddress source, destination;
    std::vector<uint8_t> bytes;  // from the IP header on
    bool damaged = false;

    bool v4() const { return bytes[0] >> 4 == 4; }
    uint32_t ip_bytes() const { return v4() ? 20 : 40; }  // the stack sends neither options nor extensions
    uint8_t protocol() const { return bytes[v4() ? 9 : 6]; }
    uint8_t* transport() { return bytes.data() + ip_bytes(); }
    const uint8_t* transport() const { return bytes.data() + ip_bytes(); }
    uint32_t transport_bytes() const { return static_cast<uint32_t>(bytes.size()) - ip_bytes(); }
    uint8_t ecn() const;
    /// Congestion experienced (RFC 3168 5).
    void mark();
};

/// What a host put on its wire. `wrong` is what no receiver would take: lengths, checksums, a packet beyond the host's MTU.
Packet parse(const uint8_t* bytes, size_t length, uint32_t mtu, std::string& wrong);
/// A TCP packet; its checksum is filled in.
Packet tcp_packet(const IpAddress& source, const IpAddress& destination, const std::vector<uint8_t>& segment);
/// What a router says of a packet that is too large for its next link.
Packet too_big(const Packet& packet, uint16_t mtu);

}  // namespace sluice::sim
