// Big-endian integers as they lie on the wire.
// In and out: plain host integers through value() and the explicit constructor; no implicit conversion.
// Trivially copyable and unaligned, so header structs can be laid over packet bytes.
#pragma once

#include <bit>
#include <compare>
#include <concepts>
#include <cstdint>
#include <cstring>

namespace sluice {

template <std::unsigned_integral T>
class BigEndian {
 public:
    BigEndian() = default;
    constexpr explicit BigEndian(T host) noexcept : raw_(swap(host)) {}
    constexpr T value() const noexcept { return swap(raw_); }
    /// The bytes as they are in memory, for checksums and hashing.
    constexpr T raw() const noexcept { return raw_; }
    friend constexpr bool operator==(BigEndian, BigEndian) = default;

 private:
    static constexpr T swap(T v) noexcept {
        if constexpr (std::endian::native == std::endian::big || sizeof(T) == 1) return v;
        else if constexpr (sizeof(T) == 2) return __builtin_bswap16(v);
        else if constexpr (sizeof(T) == 4) return __builtin_bswap32(v);
        else return __builtin_bswap64(v);
    }
    T raw_;
} __attribute__((packed));

using be16_t = BigEndian<uint16_t>;
using be32_t = BigEndian<uint32_t>;
using be64_t = BigEndian<uint64_t>;
static_assert(sizeof(be16_t) == 2 && alignof(be16_t) == 1 && sizeof(be32_t) == 4);

inline uint16_t load_be16(const void* p) noexcept {
    uint16_t v;
    std::memcpy(&v, p, 2);
    return __builtin_bswap16(v);
}
inline uint32_t load_be32(const void* p) noexcept {
    uint32_t v;
    std::memcpy(&v, p, 4);
    return __builtin_bswap32(v);
}
inline void store_be16(void* p, uint16_t v) noexcept {
    v = __builtin_bswap16(v);
    std::memcpy(p, &v, 2);
}
inline void store_be32(void* p, uint32_t v) noexcept {
    v = __builtin_bswap32(v);
    std::memcpy(p, &v, 4);
}

}  // namespace sluice
