// Small text makers for the data plane: numbers, addresses and times into a caller's buffer, without allocation.
// In: a value and a buffer of at least the size named. Out: how many characters were written.
#pragma once

#include <charconv>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "base/ip_address.h"

namespace sluice::filter {

inline constexpr size_t kIpTextMax = 46, kSocketTextMax = kIpTextMax + 8;

/// RFC 5952 text for IPv6, dotted quad for IPv4. `out` holds kIpTextMax.
size_t write_ip(const IpAddress& address, char* out);
/// "192.0.2.1:80" or "[2001:db8::1]:80". `out` holds kSocketTextMax.
size_t write_socket_address(const SocketAddress& address, char* out);
/// "2026-11-22T23:30:00.123Z", 24 characters.
inline constexpr size_t kIsoTimeSize = 24;
void write_iso_time(uint64_t unix_us, char* out);
/// RFC 9110 5.6.7 IMF-fixdate: "Sun, 22 Nov 2026 23:30:00 GMT", 29 characters.
inline constexpr size_t kHttpDateSize = 29;
void write_http_date(uint64_t unix_s, char* out);

inline size_t write_number(uint64_t n, char* out, size_t room = 20) {
    return static_cast<size_t>(std::to_chars(out, out + room, n).ptr - out);
}

}  // namespace sluice::filter
