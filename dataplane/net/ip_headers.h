// IPv4, IPv6, ICMP and ARP headers as they lie on the wire, and the numbers in them.
// Plain packed structs laid over packet bytes whose length was checked first. Own nothing.
// RFC 791, 8200, 792, 4443, 826, 4861.
#pragma once

#include <cstdint>

#include "base/endian.h"
#include "base/ip_address.h"

namespace sluice::net {

struct Ipv4Header {
    uint8_t version_ihl;
    uint8_t tos;
    be16_t total_length;
    be16_t id;
    be16_t fragment;  // 0x4000 do not fragment, 0x2000 more fragments, 0x1fff offset
    uint8_t ttl;
    uint8_t protocol;
    uint16_t checksum;  // memory order
    uint8_t source[4];
    uint8_t destination[4];
} __attribute__((packed));
static_assert(sizeof(Ipv4Header) == 20);

inline constexpr uint16_t kIpv4DontFragment = 0x4000;
inline constexpr uint16_t kIpv4MoreFragments = 0x2000;
inline constexpr uint16_t kIpv4OffsetMask = 0x1fff;

struct Ipv6Header {
    be32_t version_class_flow;
    be16_t payload_length;
    uint8_t next_header;
    uint8_t hop_limit;
    uint8_t source[16];
    uint8_t destination[16];
} __attribute__((packed));
static_assert(sizeof(Ipv6Header) == 40);

struct IcmpHeader {
    uint8_t type;
    uint8_t code;
    uint16_t checksum;  // memory order
    be32_t rest;        // echo: id and sequence; errors: unused, pointer or MTU
} __attribute__((packed));
static_assert(sizeof(IcmpHeader) == 8);

enum : uint8_t {  // RFC 792
    kIcmpEchoReply = 0, kIcmpUnreachable = 3, kIcmpRedirect = 5, kIcmpEcho = 8, kIcmpTimeExceeded = 11, kIcmpParameterProblem = 12,
};
enum : uint8_t {  // RFC 4443, 4861
    kIcmp6Unreachable = 1, kIcmp6PacketTooBig = 2, kIcmp6TimeExceeded = 3, kIcmp6ParameterProblem = 4,
    kIcmp6Echo = 128, kIcmp6EchoReply = 129, kIcmp6RouterSolicit = 133, kIcmp6RouterAdvert = 134,
    kIcmp6NeighborSolicit = 135, kIcmp6NeighborAdvert = 136, kIcmp6Redirect = 137,
};

struct ArpPacket {  // RFC 826 for Ethernet and IPv4
    be16_t hardware_type, protocol_type;
    uint8_t hardware_length, protocol_length;
    be16_t operation;
    uint8_t sender_mac[6];
    uint8_t sender_ip[4];
    uint8_t target_mac[6];
    uint8_t target_ip[4];
} __attribute__((packed));
static_assert(sizeof(ArpPacket) == 28);

inline constexpr uint16_t kTcpHeaderMinBytes = 20;
inline constexpr uint16_t kIpv4MinMtu = 552;    // floor of a learnt path MTU, against spoofed "fragmentation needed"
inline constexpr uint16_t kIpv6MinMtu = 1280;   // RFC 8200 5

inline IpAddress ip_from_v4(const uint8_t* four) { return IpAddress::v4(load_be32(four)); }

inline bool is_link_local(const IpAddress& a) {
    if (a.is_v4()) return a.bytes[12] == 169 && a.bytes[13] == 254;
    return a.bytes[0] == 0xfe && (a.bytes[1] & 0xc0) == 0x80;
}
inline bool is_loopback(const IpAddress& a) {
    if (a.is_v4()) return a.bytes[12] == 127;
    IpAddress one{};
    one.bytes[15] = 1;
    return a == one;
}
/// ::a.b.c.d, which means nothing any more (RFC 4291 2.5.5.1); :: and ::1 are not meant.
inline bool is_v4_compatible(const IpAddress& a) {
    for (size_t i = 0; i < 12; i++)
        if (a.bytes[i] != 0) return false;
    return true;
}
/// ff02::1:ffXX:XXXX (RFC 4291 2.7.1).
inline IpAddress solicited_node(const IpAddress& a) {
    IpAddress m{};
    m.bytes = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a.bytes[13], a.bytes[14], a.bytes[15]};
    return m;
}
inline IpAddress all_nodes() {
    IpAddress m{};
    m.bytes[0] = 0xff, m.bytes[1] = 2, m.bytes[15] = 1;
    return m;
}

}  // namespace sluice::net
