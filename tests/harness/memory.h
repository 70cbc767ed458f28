// Where the harness's packets live: DPDK's EAL, started once a process, and an mbuf pool for each stack that grows in steps.
// In: how large mbufs must be and how many there may ever be. Out: mbufs, and how many are lent out.
// Owns the pool and the anonymous pages under it. A stack that sends little touches little: 2.5 MB at the start.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <span>

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
    /// A copy of `packet` in as many mbufs as it takes; null if there are none left.
    rte_mbuf* copy(std::span<const uint8_t> packet) const;
    /// Keeps mbufs in stock as far as the limit goes. Called between packets, never while one is worked on.
    void restock();
    uint32_t in_use() const;
    uint64_t bytes_in_use() const;

 private:
    bool grow();

    rte_mempool* pool_ = nullptr;
    uint32_t element_bytes_ = 0;
};

}  // namespace sluice::harness
