// ASCII text helpers of the look-up: case and plain scanning, without locale, allocation or tables.
// In and out: views and bytes. Owns nothing.
// RFC 9110 5.1: field names are case-insensitive; RFC 3986 6.2.2.1: so are hosts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace sluice::route {

constexpr char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

/// `out` has room for text.size() bytes.
inline void to_lower(std::string_view text, char* out) {
    for (size_t i = 0; i < text.size(); i++) out[i] = to_lower(text[i]);  // vectorised by the compiler
}
inline std::string to_lower(std::string_view text) {
    std::string lower(text);
    to_lower(text, lower.data());
    return lower;
}

/// `lower` is lower case already.
inline bool equals_lower(std::string_view text, std::string_view lower) {
    if (text.size() != lower.size()) return false;
    for (size_t i = 0; i < text.size(); i++) {
        if (to_lower(text[i]) != lower[i]) return false;
    }
    return true;
}

inline bool is_ascii(std::string_view text) {
    uint8_t high = 0;
    for (char c : text) high |= static_cast<uint8_t>(c);
    return high < 0x80;
}

/// The path without query and fragment.
inline std::string_view without_query(std::string_view path) {
    for (size_t i = 0; i < path.size(); i++) {
        if (path[i] == '?' || path[i] == '#') return path.substr(0, i);
    }
    return path;
}

}  // namespace sluice::route
