// An IPv4 or IPv6 address, and one with a port. IPv4 is held as v4-mapped IPv6 (RFC 4291 2.5.5.2), so both
// hash and compare as 16 bytes. Parsing and printing are for the control thread and logs.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

struct IpAddress {
    std::array<uint8_t, 16> bytes{};  // network order; all zero = unspecified IPv6

    static constexpr IpAddress v4(uint32_t host_order) {
        IpAddress a;
        a.bytes[10] = a.bytes[11] = 0xff;
        for (int i = 0; i < 4; i++) a.bytes[12 + i] = static_cast<uint8_t>(host_order >> (24 - 8 * i));
        return a;
    }
    static IpAddress v6(const void* network_bytes16) {
        IpAddress a;
        std::memcpy(a.bytes.data(), network_bytes16, 16);
        return a;
    }
    bool is_v4() const {
        static constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
        return std::memcmp(bytes.data(), kMapped, 12) == 0;
    }
    /// Only for is_v4(): host order.
    uint32_t v4_value() const {
        return static_cast<uint32_t>(bytes[12]) << 24 | static_cast<uint32_t>(bytes[13]) << 16 |
               static_cast<uint32_t>(bytes[14]) << 8 | bytes[15];
    }
    /// 0.0.0.0 or ::
    bool is_unspecified() const { return is_v4() ? v4_value() == 0 : *this == IpAddress{}; }
    bool is_multicast() const { return is_v4() ? bytes[12] >> 4 == 0xe : bytes[0] == 0xff; }

    friend bool operator==(const IpAddress&, const IpAddress&) = default;
    friend auto operator<=>(const IpAddress& a, const IpAddress& b) {
        return std::memcmp(a.bytes.data(), b.bytes.data(), 16) <=> 0;
    }

    /// Strict: dotted quad without leading zeros, or RFC 4291 text. No zone, no brackets.
    static std::optional<IpAddress> parse(std::string_view text);
    std::string to_string() const;
};

/// An address with its prefix length, e.g. 192.0.2.0/24 (length counts in the family's own bits).
struct IpPrefix {
    IpAddress address;
    uint8_t length = 0;
    bool contains(const IpAddress& a) const;
    static std::optional<IpPrefix> parse(std::string_view text);
    std::string to_string() const;
    friend bool operator==(const IpPrefix&, const IpPrefix&) = default;
};

struct SocketAddress {
    IpAddress ip;
    uint16_t port = 0;  // host order
    friend auto operator<=>(const SocketAddress&, const SocketAddress&) = default;
    /// "192.0.2.1:80" or "[2001:db8::1]:80".
    std::string to_string() const;
};

/// A TCP connection's name on the wire, as seen from this host.
struct FourTuple {
    SocketAddress local;
    SocketAddress remote;
    friend bool operator==(const FourTuple&, const FourTuple&) = default;
};

}  // namespace sluice
