// Host and port as one piece of text ("example.com:8443", "[2001:db8::1]"): checked, split, made comparable.
// In: text from a Host field, an absolute-form or authority-form target, or :authority. Out: views of it. Owns nothing.
// RFC 3986 3.2.2 and 3.2.3, RFC 9110 7.2. Strict: no userinfo, no "%", no empty host or port.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace sluice::http {

struct Authority {
    std::string_view host;  // with brackets if an IPv6 literal
    uint16_t port = 0;      // 0 = none given
    bool is_ipv6_literal = false;
};

/// False if `text` is not uri-host [":" port]. *out is then unspecified.
[[nodiscard]] bool parse_authority(std::string_view text, Authority* out);

/// Without a port and one trailing dot ("example.com.:80" -> "example.com"); empty if `text` is not an authority.
std::string_view host_without_port(std::string_view text);
/// Lower-case copy into `buffer` for look-ups in tables of lower-case hosts, a trailing dot dropped; empty if it does not fit.
std::string_view fold_host(std::string_view host, std::span<char> buffer);
/// The port of `authority`, or 443 for "https" and 80 for anything else.
uint16_t effective_port(const Authority& authority, std::string_view scheme);

/// A DNS name is at most 253 characters; a longer reg-name cannot be looked up and is refused.
inline constexpr uint32_t kHostBytesMax = 255;

}  // namespace sluice::http
