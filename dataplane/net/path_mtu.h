// Path MTUs learnt from ICMP, per destination: a fixed table of sets (keyed hash, 4 ways), so that a flood of forged errors
// costs no memory and displaces only its own set. Entries expire after 10 minutes (RFC 1191 6.3, RFC 8201 5.3).
// In: destination, MTU, time. Out: the smaller MTU if one is known. Owns its table.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>

#include "base/ip_address.h"
#include "base/time.h"

namespace sluice::net {

inline constexpr Duration kPathMtuLifetime = seconds(600);

class PathMtuCache {
 public:
    explicit PathMtuCache(uint64_t seed) : table_(std::make_unique<std::array<Set, kSets>>()), key_(seed | 1) {}

    struct Known {
        uint16_t mtu = 0;    // 0 if nothing is known
        Instant until{};
    };
    Known find(const IpAddress& destination, Instant now) const {
        if (used_ == 0) return {};
        for (const Entry& e : set(destination))
            if (e.mtu != 0 && e.expires > now && e.destination == destination) return {e.mtu, e.expires};
        return {};
    }
    /// Only ever lowers a live entry: an attacker who can forge errors cannot make us send too large packets.
    void learn(const IpAddress& destination, uint16_t mtu, Instant now) {
        Set& ways = set(destination);
        Entry* target = nullptr;
        for (Entry& e : ways)
            if (e.mtu != 0 && e.destination == destination) target = &e;
        if (target && target->expires > now && target->mtu <= mtu) return;
        if (!target) target = std::min_element(ways.begin(), ways.end(),
                                               [](const Entry& a, const Entry& b) { return a.expires < b.expires; });
        if (target->mtu == 0) used_++;
        *target = Entry{destination, now + kPathMtuLifetime, mtu};
    }
    uint32_t used() const { return used_; }
    static constexpr uint32_t capacity() { return kSets * kWays; }

 private:
    static constexpr uint32_t kSets = 256, kWays = 4;
    struct Entry {
        IpAddress destination;
        Instant expires;
        uint16_t mtu = 0;
    };
    using Set = std::array<Entry, kWays>;
    uint32_t hash(const IpAddress& a) const {
        uint64_t x, y;
        std::memcpy(&x, a.bytes.data(), 8);
        std::memcpy(&y, a.bytes.data() + 8, 8);
        const unsigned __int128 m = static_cast<unsigned __int128>(x ^ key_) * (y ^ (key_ * 0x9e3779b97f4a7c15));
        return (static_cast<uint32_t>(m >> 64) ^ static_cast<uint32_t>(m)) % kSets;
    }
    Set& set(const IpAddress& a) { return (*table_)[hash(a)]; }
    const Set& set(const IpAddress& a) const { return (*table_)[hash(a)]; }

    std::unique_ptr<std::array<Set, kSets>> table_;
    uint64_t key_;
    uint32_t used_ = 0;
};

}  // namespace sluice::net
