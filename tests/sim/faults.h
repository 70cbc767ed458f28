// Allocations that fail: every Nth, on average, from the object pools (list nodes, records, runs,
// control blocks) and of mbufs.
// In: how often, and whether it may happen just now. Out: take() and rte_pktmbuf_alloc() that find nothing.
// The object pools ask through a hook compiled in for the simulation alone; the mbuf pool has its own mempool operations.
// Owns the mbuf pool, one for the process.
#pragma once

#include <rte_mempool.h>

#include <cstdint>

namespace sluice::sim {

struct Faults {
    uint32_t every_object = 0, every_mbuf = 0;  // 0: never
    static void set(const Faults& faults);
    static uint64_t happened();
    static rte_mempool* mbufs();
    static unsigned mbufs_in_use();

    /// Faults happen while one of these lives: in the stack's calls, not in the test's own.
    struct Armed {
        Armed();
        ~Armed();
    };
};

}  // namespace sluice::sim
