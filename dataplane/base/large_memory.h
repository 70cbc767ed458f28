// Memory for pools and tables that are touched at random: zeroed, in huge pages where it is large and the system gives them.
// In: how many bytes, at start. Out: their address; pages appear as they are used. Owns them until destruction.
// A million control blocks lie on 131,072 pages of 4 KiB: each look-up would miss the TLB (docs/decisions/0064-huge-pages.md).
#pragma once

#include <cstddef>

namespace sluice {

class LargeMemory {
 public:
    /// Below this, ordinary pages: little is lost, and an almost empty pool stays small.
    static constexpr size_t kHugeBytesMin = 4u << 20;
    static constexpr size_t kAlignment = 64;

    explicit LargeMemory(size_t bytes, size_t huge_bytes_min = kHugeBytesMin);
    ~LargeMemory();
    LargeMemory(const LargeMemory&) = delete;
    LargeMemory& operator=(const LargeMemory&) = delete;

    void* data() const { return data_; }

 private:
    void* data_ = nullptr;
    size_t mapped_bytes_ = 0;  // 0: it came from the heap
};

}  // namespace sluice
