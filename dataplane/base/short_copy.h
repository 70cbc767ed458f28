// Copies of text that is mostly short, as names and values are: two words that overlap cost less than a call of memcpy(), which may also
// not be given the null of an empty view. In: where to, a view. Out: behind the copy. Owns nothing.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>
#include <string_view>

namespace sluice {

template <typename Word>
void copy_ends(char* at, const char* from, size_t n) {
    Word first, last;
    std::memcpy(&first, from, sizeof first);
    std::memcpy(&last, from + n - sizeof last, sizeof last);
    std::memcpy(at, &first, sizeof first);
    std::memcpy(at + n - sizeof last, &last, sizeof last);
}

[[gnu::always_inline]] inline char* copy_short(char* at, std::string_view text) {
    const size_t n = text.size();
    const char* from = text.data();
    if (n > 64) std::memcpy(at, from, n);
    else if (n > 32) copy_ends<__m256i>(at, from, n);
    else if (n >= 16) copy_ends<__m128i>(at, from, n);
    else if (n >= 8) copy_ends<uint64_t>(at, from, n);
    else if (n >= 4) copy_ends<uint32_t>(at, from, n);
    else if (n >= 2) copy_ends<uint16_t>(at, from, n);
    else if (n == 1) *at = *from;
    return at + n;
}

}  // namespace sluice
