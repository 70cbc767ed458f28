// Four-tuple to connection: open addressing with linear probing over 8-byte entries, hashed by keyed SipHash so that a
// peer cannot choose collisions (THREATS.md 9). In: the tuple's hash. Out: a reference that the caller checks against
// the whole tuple. Sized once for every connection and TIME-WAIT entry at half load; a look-up reads one cache line.
// Holds indexes into pools, owns no connection. Removal shifts entries back, so no tombstones gather.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "base/ip_address.h"
#include "base/large_memory.h"
#include "base/siphash.h"

namespace sluice::tcp {

/// SipHash of a tuple: two words for IPv4, five for IPv6.
inline uint32_t hash_tuple(const SipKey& key, const FourTuple& tuple) {
    SipHash13 hash(key);
    const uint64_t ports = static_cast<uint64_t>(tuple.local.port) << 16 | tuple.remote.port;
    auto load = [](const uint8_t* p) {
        uint64_t w;
        std::memcpy(&w, p, 8);
        return w;
    };
    if (tuple.remote.ip.is_v4()) {
        uint32_t local, remote;
        std::memcpy(&local, tuple.local.ip.bytes.data() + 12, 4);
        std::memcpy(&remote, tuple.remote.ip.bytes.data() + 12, 4);
        hash.word(static_cast<uint64_t>(local) << 32 | remote);
    } else {
        hash.word(load(tuple.local.ip.bytes.data()));
        hash.word(load(tuple.local.ip.bytes.data() + 8));
        hash.word(load(tuple.remote.ip.bytes.data()));
        hash.word(load(tuple.remote.ip.bytes.data() + 8));
    }
    return static_cast<uint32_t>(hash.finish(ports, 4));
}

class Demux {
 public:
    /// What an entry refers to: a connection's or a TIME-WAIT entry's slot in its pool.
    struct Ref {
        uint32_t index;
        bool time_wait;
    };

    /// Room for `entries_max` entries.
    explicit Demux(uint32_t entries_max)
        : mask_(std::bit_ceil(entries_max < 32 ? 64u : entries_max * 2) - 1), memory_((size_t{mask_} + 1) * sizeof(Entry)),
          entries_(static_cast<Entry*>(memory_.data())) {}

    /// First entry with this hash for which matches(Ref) holds.
    template <typename Matches>
    bool find(uint32_t hash, Ref& out, Matches&& matches) const {
        for (uint32_t at = hash & mask_;; at = (at + 1) & mask_) {
            const Entry& entry = entries_[at];
            if (entry.ref == 0) return false;
            if (entry.hash != hash) continue;
            out = unpack(entry.ref);
            if (matches(out)) return true;
        }
    }
    void insert(uint32_t hash, Ref ref) {
        uint32_t at = hash & mask_;
        while (entries_[at].ref != 0) at = (at + 1) & mask_;
        entries_[at] = {hash, pack(ref)};
        size_++;
    }
    void erase(uint32_t hash, Ref ref) {
        uint32_t at = hash & mask_;
        const uint32_t packed = pack(ref);
        for (; entries_[at].ref != packed; at = (at + 1) & mask_) {
            if (entries_[at].ref == 0) return;
        }
        size_--;
        // Knuth 6.4 algorithm R: move back whatever would no longer be found.
        for (uint32_t hole = at, next = (at + 1) & mask_;; next = (next + 1) & mask_) {
            const Entry& candidate = entries_[next];
            if (candidate.ref == 0) {
                entries_[hole] = {};
                return;
            }
            if (((next - candidate.hash) & mask_) >= ((next - hole) & mask_)) {
                entries_[hole] = candidate;
                hole = next;
            }
        }
    }
    template <typename Visit>
    void for_each(Visit&& visit) const {
        for (uint32_t at = 0; size_ > 0 && at <= mask_; at++) {
            if (entries_[at].ref != 0) visit(unpack(entries_[at].ref));
        }
    }
    void prefetch(uint32_t hash) const { __builtin_prefetch(&entries_[hash & mask_]); }
    uint32_t size() const { return size_; }

 private:
    struct Entry {
        uint32_t hash;
        uint32_t ref;  // 0: empty
    };
    static uint32_t pack(Ref ref) { return (ref.index << 1 | (ref.time_wait ? 1 : 0)) + 1; }
    static Ref unpack(uint32_t packed) { return {(packed - 1) >> 1, ((packed - 1) & 1) != 0}; }

    uint32_t mask_;
    uint32_t size_ = 0;
    LargeMemory memory_;
    Entry* entries_;
};

}  // namespace sluice::tcp
