// Character classes of HTTP and URI text, as one table of flags and one AVX2 step for tokens.
// In: bytes of any value. Out: flags, lengths. Owns nothing. RFC 9110 5.6.2 (token), RFC 3986 2 and 3.2.2.
#pragma once

#include <immintrin.h>

#include <array>
#include <cstdint>
#include <string_view>

namespace sluice::http {

enum CharClass : uint8_t {
    kTokenChar = 1,       // RFC 9110 5.6.2 tchar
    kHostChar = 2,        // reg-name without "%" and ",": see authority.cc
    kUnreservedChar = 4,  // RFC 3986 2.3
    kTargetChar = 8,      // visible ASCII that may stand in a request target
    kHexDigit = 16,
    kPathPlainChar = 32,  // path byte that never needs canonicalisation, whatever its neighbours
};

namespace detail {
constexpr std::array<uint8_t, 256> make_char_classes() {
    std::array<uint8_t, 256> table{};
    auto mark = [&](std::string_view chars, unsigned flags) {
        for (char c : chars) table[static_cast<uint8_t>(c)] |= static_cast<uint8_t>(flags);
    };
    constexpr std::string_view kAlphaDigit = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    mark(kAlphaDigit, kTokenChar | kHostChar | kUnreservedChar);
    mark("!#$%&'*+-.^_`|~", kTokenChar);
    mark("-._~", kHostChar | kUnreservedChar);
    mark("!$&'()*+;=", kHostChar);
    mark("0123456789abcdefABCDEF", kHexDigit);
    for (unsigned c = 0x21; c < 0x7f; c++) {
        if (c != '#') table[c] |= kTargetChar;
        if (c != '#' && c != '%' && c != '\\' && c != '/' && c != '.' && c != '?') table[c] |= kPathPlainChar;
    }
    return table;
}
}  // namespace detail

inline constexpr std::array<uint8_t, 256> kCharClasses = detail::make_char_classes();

constexpr bool is_char(char c, uint8_t classes) { return (kCharClasses[static_cast<uint8_t>(c)] & classes) != 0; }
constexpr bool is_space_or_tab(char c) { return c == ' ' || c == '\t'; }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }
/// 0..15; only for kHexDigit characters.
constexpr unsigned hex_value(char c) { return is_digit(c) ? static_cast<unsigned>(c - '0') : (static_cast<unsigned>(c) | 0x20u) - 'a' + 10; }

/// Non-empty and of token characters only.
constexpr bool is_token(std::string_view text) {
    for (char c : text)
        if (!is_char(c, kTokenChar)) return false;
    return !text.empty();
}

/// How many of the 32 bytes at `p` (all readable) are token characters before the first that is not.
inline uint32_t token_prefix32(const char* p) {
    // A byte is a tchar if bit (byte >> 4) is set in the entry that its low nibble selects; bytes above 0x7f select nothing.
    static constexpr auto kByLowNibble = [] {
        std::array<uint8_t, 32> table{};
        for (unsigned c = 0; c < 128; c++)
            if (is_char(static_cast<char>(c), kTokenChar)) {
                table[c & 15] |= static_cast<uint8_t>(1u << (c >> 4));
                table[16 + (c & 15)] |= static_cast<uint8_t>(1u << (c >> 4));
            }
        return table;
    }();
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    const __m256i low_nibbles = _mm256_and_si256(bytes, _mm256_set1_epi8(15));
    const __m256i high_nibbles = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(15));
    const __m256i allowed = _mm256_shuffle_epi8(
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kByLowNibble.data())), low_nibbles);
    const __m256i high_bit = _mm256_shuffle_epi8(
        _mm256_setr_epi8(1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0),
        high_nibbles);
    const __m256i refused = _mm256_cmpeq_epi8(_mm256_and_si256(allowed, high_bit), _mm256_setzero_si256());
    const auto mask = static_cast<uint32_t>(_mm256_movemask_epi8(refused));
    return mask ? static_cast<uint32_t>(__builtin_ctz(mask)) : 32;
}

}  // namespace sluice::http
