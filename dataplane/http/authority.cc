// Splits and checks host[:port]. One pass over a table; IPv6 literals go through the address parser.
#include "http/authority.h"

#include "base/ip_address.h"
#include "http/chars.h"

namespace sluice::http {
namespace {

// Port digits to 1..65535. RFC 3986 allows an empty port, a zero and leading zeros; nobody means them, and two readers
// of "h:00080" may differ, so they are refused.
bool parse_port(std::string_view digits, uint16_t* port) {
    if (digits.empty() || digits.size() > 5 || digits[0] == '0') return false;
    uint32_t value = 0;
    for (char c : digits) {
        if (!is_digit(c)) return false;
        value = value * 10 + static_cast<uint32_t>(c - '0');
    }
    if (value > 65535) return false;
    *port = static_cast<uint16_t>(value);
    return true;
}

bool parse_ipv6_authority(std::string_view text, Authority* out) {
    const size_t close = text.find(']');
    if (close == text.npos) return false;
    const auto address = text.substr(1, close - 1);
    // A colon is in every IPv6 text and in no IPv4 one; zones ("%25eth0") and IPvFuture fail in the address parser.
    if (address.find(':') == address.npos || !IpAddress::parse(address)) return false;
    out->host = text.substr(0, close + 1);
    out->port = 0;
    out->is_ipv6_literal = true;
    const auto rest = text.substr(close + 1);
    return rest.empty() || (rest[0] == ':' && parse_port(rest.substr(1), &out->port));
}

}  // namespace

bool parse_authority(std::string_view text, Authority* out) {
    if (text.empty()) return false;
    if (text[0] == '[') return parse_ipv6_authority(text, out);
    size_t n = 0;
    while (n < text.size() && is_char(text[n], kHostChar)) n++;
    // RFC 9110 4.2.1: an http URI with an empty host is invalid.
    if (n == 0 || n > kHostBytesMax) return false;
    out->host = text.substr(0, n);
    out->port = 0;
    out->is_ipv6_literal = false;
    return n == text.size() || (text[n] == ':' && parse_port(text.substr(n + 1), &out->port));
}

std::string_view host_without_port(std::string_view text) {
    Authority authority;
    if (!parse_authority(text, &authority)) return {};
    auto host = authority.host;
    if (host.size() > 1 && host.back() == '.') host.remove_suffix(1);
    return host;
}

std::string_view fold_host(std::string_view host, std::span<char> buffer) {
    if (host.size() > 1 && host.back() == '.') host.remove_suffix(1);
    if (host.size() > buffer.size()) return {};
    for (size_t i = 0; i < host.size(); i++) buffer[i] = to_lower(host[i]);
    return {buffer.data(), host.size()};
}

uint16_t effective_port(const Authority& authority, std::string_view scheme) {
    if (authority.port) return authority.port;
    return scheme == "https" ? 443 : 80;
}

}  // namespace sluice::http
