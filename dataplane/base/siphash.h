// SipHash (Aumasson, Bernstein): a keyed hash that a peer cannot steer without the key.
// In: a 128-bit key and bytes or 64-bit words. Out: 64 bits. Stateless; owns nothing.
// SipHash-2-4 where a forged value would be believed (cookies, ISNs), 1-3 where only collisions hurt (tables).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace sluice {

struct SipKey {
    uint64_t k0 = 0, k1 = 0;
};

template <int kCompression, int kFinalization>
class BasicSipHash {
 public:
    explicit constexpr BasicSipHash(const SipKey& key)
        : v0_(key.k0 ^ 0x736f6d6570736575), v1_(key.k1 ^ 0x646f72616e646f6d),
          v2_(key.k0 ^ 0x6c7967656e657261), v3_(key.k1 ^ 0x7465646279746573) {}

    constexpr void word(uint64_t m) {
        v3_ ^= m;
        for (int i = 0; i < kCompression; i++) round();
        v0_ ^= m;
        length_ += 8;
    }
    /// `tail` holds the last `n` < 8 bytes in its low end.
    constexpr uint64_t finish(uint64_t tail = 0, unsigned n = 0) {
        length_ += n;
        word(tail | length_ << 56);
        v2_ ^= 0xff;
        for (int i = 0; i < kFinalization; i++) round();
        return v0_ ^ v1_ ^ v2_ ^ v3_;
    }
    static uint64_t hash(const SipKey& key, std::span<const uint8_t> bytes) {
        BasicSipHash h(key);
        size_t at = 0;
        for (; at + 8 <= bytes.size(); at += 8) {
            uint64_t m;
            std::memcpy(&m, bytes.data() + at, 8);
            h.word(m);
        }
        uint64_t tail = 0;
        const auto rest = static_cast<unsigned>(bytes.size() - at);
        for (unsigned i = 0; i < rest; i++) tail |= static_cast<uint64_t>(bytes[at + i]) << (8 * i);
        return h.finish(tail, rest);
    }

 private:
    constexpr void round() {
        v0_ += v1_, v2_ += v3_;
        v1_ = std::rotl(v1_, 13) ^ v0_, v3_ = std::rotl(v3_, 16) ^ v2_;
        v0_ = std::rotl(v0_, 32);
        v2_ += v1_, v0_ += v3_;
        v1_ = std::rotl(v1_, 17) ^ v2_, v3_ = std::rotl(v3_, 21) ^ v0_;
        v2_ = std::rotl(v2_, 32);
    }
    uint64_t v0_, v1_, v2_, v3_;
    uint64_t length_ = 0;
};

using SipHash24 = BasicSipHash<2, 4>;
using SipHash13 = BasicSipHash<1, 3>;

}  // namespace sluice
