// TCP sequence numbers: 32-bit, compared modulo 2^32 (RFC 9293 3.4). No operator<: say before() or after().
#pragma once

#include <cstdint>

namespace sluice {

struct Seq {
    uint32_t v = 0;
    friend constexpr bool operator==(Seq, Seq) = default;
    constexpr Seq operator+(uint32_t n) const { return {v + n}; }
    constexpr Seq operator-(uint32_t n) const { return {v - n}; }
    /// Distance from `o` to this, modulo 2^32.
    constexpr uint32_t operator-(Seq o) const { return v - o.v; }
    constexpr bool before(Seq o) const { return static_cast<int32_t>(v - o.v) < 0; }
    constexpr bool after(Seq o) const { return static_cast<int32_t>(v - o.v) > 0; }
    constexpr bool at_or_before(Seq o) const { return !after(o); }
    constexpr bool at_or_after(Seq o) const { return !before(o); }
    /// True if lo <= this < lo + length.
    constexpr bool in_window(Seq lo, uint32_t length) const { return v - lo.v < length; }
};

}  // namespace sluice
