// Numbers, addresses and dates as text (RFC 5952, RFC 9110 5.6.7), written by hand: no locale, no allocation.
#include "filter/text.h"

#include <arpa/inet.h>

namespace sluice::filter {
namespace {

struct Civil {
    uint64_t year;
    unsigned month, day, hour, minute, second, weekday;
};

/// Days since 1970 to a date, by whole eras of 400 years (proleptic Gregorian calendar starting in March).
Civil civil(uint64_t unix_s) {
    Civil c{};
    const uint64_t days = unix_s / 86400;
    const auto rest = static_cast<unsigned>(unix_s % 86400);
    c.hour = rest / 3600, c.minute = rest / 60 % 60, c.second = rest % 60;
    c.weekday = static_cast<unsigned>((days + 4) % 7);  // 1970-01-01 was a Thursday
    const uint64_t z = days + 719468, era = z / 146097, doe = z % 146097;
    const uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    const uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    c.day = static_cast<unsigned>(doy - (153 * mp + 2) / 5 + 1);
    c.month = static_cast<unsigned>(mp < 10 ? mp + 3 : mp - 9);
    c.year = yoe + era * 400 + (c.month <= 2 ? 1 : 0);
    return c;
}

char* two(char* out, unsigned n) {
    out[0] = static_cast<char>('0' + n / 10 % 10);
    out[1] = static_cast<char>('0' + n % 10);
    return out + 2;
}
char* four(char* out, uint64_t n) {
    out = two(out, static_cast<unsigned>(n / 100));
    return two(out, static_cast<unsigned>(n % 100));
}
char* put(char* out, const char* text, size_t n) {
    std::memcpy(out, text, n);
    return out + n;
}

}  // namespace

size_t write_ip(const IpAddress& address, char* out) {
    if (address.is_v4()) {
        char* at = out;
        for (int i = 12; i < 16; i++) {
            if (i > 12) *at++ = '.';
            at += write_number(address.bytes[static_cast<size_t>(i)], at, 3);
        }
        return static_cast<size_t>(at - out);
    }
    char text[INET6_ADDRSTRLEN];
    if (!inet_ntop(AF_INET6, address.bytes.data(), text, sizeof text)) return 0;
    const size_t n = std::strlen(text);
    std::memcpy(out, text, n);
    return n;
}

size_t write_socket_address(const SocketAddress& address, char* out) {
    char* at = out;
    const bool v6 = !address.ip.is_v4();
    if (v6) *at++ = '[';
    at += write_ip(address.ip, at);
    if (v6) *at++ = ']';
    *at++ = ':';
    at += write_number(address.port, at, 5);
    return static_cast<size_t>(at - out);
}

void write_iso_time(uint64_t unix_us, char* out) {
    const Civil c = civil(unix_us / 1'000'000);
    const auto ms = static_cast<unsigned>(unix_us / 1000 % 1000);
    char* at = four(out, c.year);
    *at++ = '-';
    at = two(at, c.month);
    *at++ = '-';
    at = two(at, c.day);
    *at++ = 'T';
    at = two(at, c.hour);
    *at++ = ':';
    at = two(at, c.minute);
    *at++ = ':';
    at = two(at, c.second);
    *at++ = '.';
    *at++ = static_cast<char>('0' + ms / 100);
    at = two(at, ms % 100);
    *at = 'Z';
}

void write_http_date(uint64_t unix_s, char* out) {
    static constexpr char kDays[] = "SunMonTueWedThuFriSat", kMonths[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const Civil c = civil(unix_s);
    char* at = put(out, kDays + 3 * c.weekday, 3);
    at = put(at, ", ", 2);
    at = two(at, c.day);
    *at++ = ' ';
    at = put(at, kMonths + 3 * (c.month - 1), 3);
    *at++ = ' ';
    at = four(at, c.year);
    *at++ = ' ';
    at = two(at, c.hour);
    *at++ = ':';
    at = two(at, c.minute);
    *at++ = ':';
    at = two(at, c.second);
    put(at, " GMT", 4);
}

}  // namespace sluice::filter
