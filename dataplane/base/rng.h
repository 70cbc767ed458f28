// Pseudo-random numbers from a seed: the same seed gives the same run (simulations, jitter, balancers).
// In: a 64-bit seed. Out: uniform numbers. Not for secrets: what a peer must not guess is a keyed hash (base/siphash.h).
// Blackman and Vigna's xoshiro256++, seeded by splitmix64. A plain value, no memory of its own. Single core.
#pragma once

#include <bit>
#include <cstdint>

namespace sluice {

class Rng {
 public:
    explicit constexpr Rng(uint64_t seed) {
        for (auto& word : state_) word = splitmix(seed);
    }
    constexpr uint64_t next() {
        const uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
        const uint64_t t = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= t;
        state_[3] = std::rotl(state_[3], 45);
        return result;
    }
    /// Uniform in [0, n), n > 0: the high half of a product (Lemire); its bias, under n / 2^64, is not corrected.
    constexpr uint64_t below(uint64_t n) {
        return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * n) >> 64);
    }
    /// Uniform in [low, high].
    constexpr uint64_t between(uint64_t low, uint64_t high) { return low + below(high - low + 1); }
    /// True with probability p.
    constexpr bool chance(double p) { return unit() < p; }
    /// Uniform in [0, 1).
    constexpr double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
    /// A generator whose stream is unrelated to what this one gives next.
    constexpr Rng split() { return Rng(next()); }

 private:
    static constexpr uint64_t splitmix(uint64_t& x) {
        x += 0x9e3779b97f4a7c15;
        uint64_t z = x;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    uint64_t state_[4]{};
};

}  // namespace sluice
