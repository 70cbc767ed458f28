// Where the harness's packets live: DPDK's EAL, started once a process, and an mbuf pool for each stack that grows in steps.
// In: how large mbufs must be and how many there may ever be. Out: mbufs, and how many are lent out.
// Owns the pool and the anonymous pages under it. A stack that sends little touches little: 2.5 MB at the start.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <span>
#include <vector>

#include "base/rng.h"

namespace sluice::harness {

/// Starts EAL on the first call (no hugepages, devices, files or telemetry) and restores the thread's CPU affinity.
/// Null if it runs, else why not.
const char* start_eal();

class PacketMemory {
 public:
    /// `room`: bytes of a packet that fit into one mbuf. pool() is null if there was no memory.
    PacketMemory(uint32_t room, uint32_t mbufs_max);
    ~PacketMemory();
    PacketMemory(const PacketMemory&) = delete;
    PacketMemory& operator=(const PacketMemory&) = delete;

    rte_mempool* pool() const { return pool_; }
    /// A copy of `packet` in as many mbufs as it takes, or with `pieces` in more, cut where it says; null if there are none left.
    rte_mbuf* copy(std::span<const uint8_t> packet, Rng* pieces = nullptr) const;
    /// Keeps mbufs in stock as far as the limit goes. Called between packets, never while one is worked on.
    void restock();
    uint32_t in_use() const;
    uint64_t bytes_in_use() const;
    /// `left` mbufs more are lent, and those that come back meanwhile, until give_back().
    void withhold(uint32_t left);
    void give_back();

 private:
    bool grow();

    rte_mempool* pool_ = nullptr;
    uint32_t element_bytes_ = 0;
    std::vector<void*> withheld_;
};

}  // namespace sluice::harness
