// Which core owns a connection: bucket_table[hash of the 4-tuple], one function for demultiplexing, upstream source ports and
// ICMP errors alike (DESIGN.md, A worker core), and for where fragments, which have no ports, meet. The hash is the ports' own
// Toeplitz where they steer by it, else a keyed one that costs less. In: a 4-tuple or a fragment. Out: a core's index. Immutable
// once cores run.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>

#include "base/ip_address.h"
#include "net/datagram.h"
#include "worker/rss.h"

namespace sluice::worker {

class OwnerTable {
 public:
    static constexpr uint32_t kBuckets = 1024;

    OwnerTable(uint32_t cores, uint64_t seed)
        : cores_(cores), key_{mix(seed ^ 0x2d358dccaa6c78a5, 0x8bb84b93962eacc9) | 1, mix(seed ^ 0x4b33a62ed433d4a3, 0x4d5a2da51de1aa47) | 1} {
        fill(kBuckets);
    }
    /// Ports hash by `key` into a table of `entries` (a power of two), entry i being core i mod cores (program_rss).
    OwnerTable(uint32_t cores, const RssKey& key, uint32_t entries) : cores_(cores), key_{}, toeplitz_(key) { fill(entries); }

    uint32_t cores() const { return cores_; }
    bool by_rss() const { return toeplitz_.has_value(); }

    uint32_t owner(const FourTuple& t) const {
        if (cores_ == 1) return 0;
        if (toeplitz_) return owner_of_hash(toeplitz_->hash(t));
        return buckets_[hash(t.local, t.remote) & mask_];
    }
    /// With by_rss() only: what the port computed, or is to compute.
    uint32_t owner_of_hash(uint32_t rss_hash) const { return buckets_[rss_hash & mask_]; }
    uint32_t rss_hash(const FourTuple& t) const { return toeplitz_->hash(t); }

    /// Where the fragments of one datagram meet. RFC 8200 4.5: addresses and id name it, RFC 791: the protocol too.
    uint32_t collector(const net::DatagramIn& fragment) const {
        const uint16_t low = static_cast<uint16_t>(fragment.fragment_id), high = static_cast<uint16_t>(fragment.fragment_id >> 16);
        const uint16_t protocol = fragment.source.is_v4() ? fragment.protocol : uint16_t{0};
        return owner({{fragment.destination, low}, {fragment.source, static_cast<uint16_t>(high ^ protocol)}});
    }

 private:
    void fill(uint32_t entries) {
        mask_ = entries - 1;
        for (uint32_t i = 0; i < entries; i++) buckets_[i] = static_cast<uint8_t>(i % cores_);
    }
    static uint64_t mix(uint64_t a, uint64_t b) {
        const unsigned __int128 m = static_cast<unsigned __int128>(a) * b;
        return static_cast<uint64_t>(m) ^ static_cast<uint64_t>(m >> 64);
    }
    static uint64_t word(const IpAddress& a, int at) {
        uint64_t w;
        std::memcpy(&w, a.bytes.data() + at, 8);
        return w;
    }
    uint64_t hash(const SocketAddress& local, const SocketAddress& remote) const {
        const uint64_t ports = uint64_t{local.port} << 16 | remote.port;
        uint64_t h = mix(word(local.ip, 0) ^ key_[0], word(local.ip, 8) ^ key_[1]);
        h = mix(h ^ word(remote.ip, 0), word(remote.ip, 8) ^ key_[0]);
        return mix(h ^ ports, key_[1]);
    }

    uint32_t cores_;
    uint32_t mask_ = 0;
    uint64_t key_[2];
    std::optional<Toeplitz> toeplitz_;
    std::array<uint8_t, kRssTableMax> buckets_{};
    static_assert(kBuckets <= kRssTableMax);
};

}  // namespace sluice::worker
