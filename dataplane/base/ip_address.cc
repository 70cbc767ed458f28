// Text forms of addresses: strict in, canonical out (RFC 4291 2.2, RFC 5952 through inet_ntop).
#include "base/ip_address.h"

#include <arpa/inet.h>

#include <charconv>

namespace sluice {

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
    char buf[INET6_ADDRSTRLEN];
    if (text.empty() || text.size() >= sizeof buf) return std::nullopt;
    std::memcpy(buf, text.data(), text.size());
    buf[text.size()] = 0;
    if (text.find('\0') != text.npos) return std::nullopt;
    in_addr v4_addr;
    if (inet_pton(AF_INET, buf, &v4_addr) == 1) return v4(ntohl(v4_addr.s_addr));
    in6_addr v6_addr;
    if (inet_pton(AF_INET6, buf, &v6_addr) == 1) return v6(&v6_addr);
    return std::nullopt;
}

std::string IpAddress::to_string() const {
    char buf[INET6_ADDRSTRLEN];
    if (is_v4()) inet_ntop(AF_INET, bytes.data() + 12, buf, sizeof buf);
    else inet_ntop(AF_INET6, bytes.data(), buf, sizeof buf);
    return buf;
}

bool IpPrefix::contains(const IpAddress& a) const {
    if (a.is_v4() != address.is_v4()) return false;
    const unsigned bits = address.is_v4() ? 96u + length : length;
    const unsigned whole = bits / 8;
    if (std::memcmp(a.bytes.data(), address.bytes.data(), whole) != 0) return false;
    if (bits % 8 == 0) return true;
    const auto mask = static_cast<uint8_t>(0xff << (8 - bits % 8));
    return ((a.bytes[whole] ^ address.bytes[whole]) & mask) == 0;
}

std::optional<IpPrefix> IpPrefix::parse(std::string_view text) {
    const auto slash = text.find('/');
    const auto address = IpAddress::parse(text.substr(0, slash));
    if (!address) return std::nullopt;
    const unsigned max = address->is_v4() ? 32 : 128;
    unsigned length = max;
    if (slash != text.npos) {
        const auto digits = text.substr(slash + 1);
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
        if (error != std::errc{} || end != digits.data() + digits.size() || length > max) return std::nullopt;
    }
    return IpPrefix{*address, static_cast<uint8_t>(length)};
}

std::string IpPrefix::to_string() const { return address.to_string() + "/" + std::to_string(length); }

std::string SocketAddress::to_string() const {
    return (ip.is_v4() ? ip.to_string() : "[" + ip.to_string() + "]") + ":" + std::to_string(port);
}

}  // namespace sluice
