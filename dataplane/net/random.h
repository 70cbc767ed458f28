// Numbers that an outsider cannot foretell, and token buckets whose level tells him nothing exact.
// In: a seed (secret), time. Out: 64 bits at a time; yes or no for one more packet. Own only their state; single core.
// RFC 7739 (fragment ids), RFC 6864 (IPv4 ids), RFC 4443 2.4 (f) and RFC 1812 4.3.2.8 (rates of what we originate).
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/siphash.h"
#include "base/time.h"

namespace sluice::net {

/// Two keys out of one seed (splitmix64, public domain constants), different for each `purpose`.
inline SipKey derive_key(uint64_t seed, uint64_t purpose) {
    const auto mixed = [](uint64_t z) {
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    };
    const uint64_t first = seed + purpose * 0x9e3779b97f4a7c15;
    return {mixed(first), mixed(first ^ 0xa0761d6478bd642f)};
}

/// SipHash of a counter: IPv4 ids that name no other packet's, and jitter.
class KeyedRandom {
 public:
    explicit KeyedRandom(const SipKey& key) : key_(key) {}
    uint64_t next() {
        SipHash13 h(key_);
        h.word(counter_++);
        return h.finish();
    }
    /// One hash serves four of them.
    uint16_t next16() {
        if (left_ == 0) pool_ = next(), left_ = 4;
        left_--;
        const auto value = static_cast<uint16_t>(pool_);
        pool_ >>= 16;
        return value;
    }

 private:
    SipKey key_;
    uint64_t counter_ = 0, pool_ = 0;
    uint32_t left_ = 0;
};

/// Tokens per second with a small burst, refilled by time; jittered so that counting answers tells nothing exact about
/// the level (the side channel of SAD DNS).
class TokenBucket {
 public:
    explicit TokenBucket(uint32_t per_s) : per_s_(per_s), burst_(per_s / 20 + 1), tokens_(burst_) {}
    bool take(Instant now, KeyedRandom& random) {
        const auto gained = static_cast<uint64_t>((now - last_).us) * per_s_ / 1'000'000;
        if (gained > 0) {
            tokens_ = std::min<uint64_t>(burst_ - random.next() % (burst_ / 4 + 1), tokens_ + gained);
            last_ = now;
        }
        if (tokens_ == 0) return false;
        tokens_--;
        return true;
    }

 private:
    uint64_t per_s_, burst_, tokens_;
    Instant last_;
};

}  // namespace sluice::net
