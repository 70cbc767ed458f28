// DPDK's EAL for tests: started once per process, no hugepages, no devices. Call test_eal() before the first mbuf.
#pragma once

#include <rte_mbuf.h>

#include <span>
#include <string_view>

#include "base/slice.h"

namespace sluice::test {

/// Starts EAL on first call (--no-huge --no-pci --no-shconf --no-telemetry); keeps the thread's CPU affinity.
void test_eal();
/// A process-wide mbuf pool with 2 KiB of room in each mbuf.
rte_mempool* test_mempool();
/// A Slice over an exact-size heap copy of `bytes`, attached as an external buffer: address sanitizer sees its edges.
Slice heap_slice(std::span<const uint8_t> bytes);
Slice heap_slice(std::string_view text);

}  // namespace sluice::test
