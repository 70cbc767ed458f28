// Headers by the byte (see packet.h).
#include "tests/sim/packet.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace sluice::sim {

namespace {

constexpr uint8_t kIcmp = 1, kTcp = 6, kIcmp6 = 58;
constexpr uint8_t kEcnMask = 3;
constexpr uint32_t kQuotedMax4 = 576 - 20 - 8, kQuotedMax6 = 1280 - 40 - 8;

uint32_t word16(const uint8_t* p) { return static_cast<uint32_t>(p[0]) << 8 | p[1]; }
void put16(uint8_t* p, uint32_t value) { p[0] = static_cast<uint8_t>(value >> 8), p[1] = static_cast<uint8_t>(value); }

/// RFC 1071, over eight bytes at a time: ones' complement sums may be added in any width (section 2 (B)).
uint64_t sum(const uint8_t* p, size_t n, uint64_t start = 0) {
    uint64_t total = start;
    for (; n >= 4; p += 4, n -= 4) {
        uint32_t word;
        std::memcpy(&word, p, 4);
        total += __builtin_bswap32(word);
    }
    if (n >= 2) total += uint64_t{word16(p)} << 16, p += 2, n -= 2;
    if (n == 1) total += uint64_t{*p} << 24;
    return total;
}

uint32_t folded(uint64_t total) {
    while (total >> 16) total = (total & 0xffff) + (total >> 16);
    return static_cast<uint32_t>(total);
}

uint64_t pseudo(const Packet& p, uint8_t protocol) {
    const uint8_t* const ip = p.bytes.data();
    uint8_t rest[4] = {0, protocol, 0, 0};
    put16(rest + 2, p.transport_bytes());
    return sum(rest, 4, p.v4() ? sum(ip + 12, 8) : sum(ip + 8, 32));
}

void write_sum(uint8_t* field, uint64_t total) { put16(field, ~folded(total) & 0xffff); }

Packet ip_packet(const IpAddress& source, const IpAddress& destination, uint8_t protocol, size_t payload_bytes) {
    Packet p;
    p.source = source, p.destination = destination;
    const bool v4 = destination.is_v4();
    p.bytes.resize((v4 ? 20 : 40) + payload_bytes);
    uint8_t* const ip = p.bytes.data();
    if (v4) {
        ip[0] = 0x45, ip[6] = 0x40, ip[8] = 64, ip[9] = protocol;
        put16(ip + 2, static_cast<uint32_t>(p.bytes.size()));
        std::copy_n(source.bytes.begin() + 12, 4, ip + 12);
        std::copy_n(destination.bytes.begin() + 12, 4, ip + 16);
        write_sum(ip + 10, sum(ip, 20));
    } else {
        ip[0] = 0x60, ip[6] = protocol, ip[7] = 64;
        put16(ip + 4, static_cast<uint32_t>(payload_bytes));
        std::copy_n(source.bytes.begin(), 16, ip + 8);
        std::copy_n(destination.bytes.begin(), 16, ip + 24);
    }
    return p;
}

}  // namespace

uint8_t Packet::ecn() const { return v4() ? bytes[1] & kEcnMask : bytes[1] >> 4 & kEcnMask; }

void Packet::mark() {
    bytes[1] |= static_cast<uint8_t>(v4() ? kEcnMask : kEcnMask << 4);
    if (!v4()) return;
    put16(bytes.data() + 10, 0);
    write_sum(bytes.data() + 10, sum(bytes.data(), 20));
}

Packet parse(const uint8_t* bytes, size_t length, uint32_t mtu, std::string& wrong) {
    Packet p;
    p.bytes.assign(bytes, bytes + length);
    const size_t ip_bytes = length == 0 ? 0 : bytes[0] >> 4 == 4 ? 20 : 40;
    if (length < ip_bytes + 8 || length > mtu) {
        wrong = fmt::format("a packet of {} bytes", length);
        return p;
    }
    if (p.v4()) {
        p.source = IpAddress::v4(word16(bytes + 12) << 16 | word16(bytes + 14));
        p.destination = IpAddress::v4(word16(bytes + 16) << 16 | word16(bytes + 18));
        if (bytes[0] != 0x45 || word16(bytes + 2) != length) wrong = "an IPv4 header whose length is wrong";
        else if (folded(sum(bytes, 20)) != 0xffff) wrong = "a wrong IPv4 checksum";
    } else {
        p.source = IpAddress::v6(bytes + 8);
        p.destination = IpAddress::v6(bytes + 24);
        if (bytes[0] >> 4 != 6 || word16(bytes + 4) + 40 != length) wrong = "an IPv6 header whose length is wrong";
    }
    if (wrong.empty() && p.protocol() == kTcp && folded(sum(p.transport(), p.transport_bytes(), pseudo(p, kTcp))) != 0xffff) {
        wrong = "a wrong TCP checksum";
    }
    return p;
}

Packet tcp_packet(const IpAddress& source, const IpAddress& destination, const std::vector<uint8_t>& segment) {
    Packet p = ip_packet(source, destination, kTcp, segment.size());
    std::copy(segment.begin(), segment.end(), p.transport());
    put16(p.transport() + 16, 0);
    write_sum(p.transport() + 16, sum(p.transport(), p.transport_bytes(), pseudo(p, kTcp)));
    return p;
}

Packet too_big(const Packet& packet, uint16_t mtu) {
    const bool v4 = packet.v4();
    const size_t quoted = std::min<size_t>(packet.bytes.size(), v4 ? kQuotedMax4 : kQuotedMax6);
    Packet p = ip_packet(packet.destination, packet.source, v4 ? kIcmp : kIcmp6, 8 + quoted);
    uint8_t* const icmp = p.transport();
    icmp[0] = v4 ? 3 : 2, icmp[1] = v4 ? 4 : 0;
    put16(icmp + 6, mtu);
    std::copy_n(packet.bytes.begin(), quoted, icmp + 8);
    write_sum(icmp + 2, sum(icmp, p.transport_bytes(), v4 ? 0 : pseudo(p, kIcmp6)));
    return p;
}

}  // namespace sluice::sim
