// Receive side scaling: a port that hashes by Toeplitz puts each packet into the queue of the core that owns its connection, so
// nothing is handed over. In: an ethdev, a key, a table of cores. Out: both programmed and read back, and the same hash in
// software. Owns nothing; control thread but for toeplitz(). The hash is Microsoft's RSS one, by DPDK's rte_thash.
#pragma once

#include <array>
#include <cstdint>

#include "base/ip_address.h"

namespace sluice::worker {

inline constexpr uint32_t kRssKeyBytes = 40;       // what an IPv6 4-tuple needs; longer keys are filled up with random bytes
inline constexpr uint32_t kRssKeyBytesMax = 64;
inline constexpr uint32_t kRssTableMax = 2048;

using RssKey = std::array<uint8_t, kRssKeyBytesMax>;

/// Entries of the port's redirection table; 0 if the port cannot hash TCP over both IPv4 and IPv6, or not into a table that
/// the hash's low bits index.
uint32_t rss_table_size(uint16_t ethdev);
/// Sets the key, and the table so that entry i is queue (i mod table_entries) mod queues. True if the port then says that it
/// has both.
bool program_rss(uint16_t ethdev, const RssKey& key, uint32_t table_entries, uint32_t queues);

class Toeplitz {
 public:
    explicit Toeplitz(const RssKey& key);
    /// Of a segment from `remote` to `local`, as the port computes it.
    uint32_t hash(const FourTuple& t) const;

 private:
    std::array<uint32_t, kRssKeyBytes / 4> key_;   // in the order that rte_softrss_be wants
};

}  // namespace sluice::worker
