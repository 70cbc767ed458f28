// Mapping and unmapping (see large_memory.h). A 2 MiB boundary is found by mapping 2 MiB more and giving both ends back.
// In and out: see the header. What the system refuses comes from the heap, whose failure ends the program at start.
#include "base/large_memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <new>

namespace sluice {

namespace {

constexpr size_t kPageBytes = 4096, kHugePageBytes = 2u << 20;
constexpr size_t kMapBytesMin = 64 * 1024;

size_t rounded_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

/// Null if the system refuses.
void* map(size_t bytes) {
    void* const at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? nullptr : at;
}

void* map_huge(size_t bytes) {
    auto* const begin = static_cast<uint8_t*>(map(bytes + kHugePageBytes));
    if (!begin) return nullptr;
    auto* const data = reinterpret_cast<uint8_t*>(rounded_up(reinterpret_cast<uintptr_t>(begin), kHugePageBytes));
    if (data > begin) munmap(begin, static_cast<size_t>(data - begin));
    const auto behind = static_cast<size_t>(begin + kHugePageBytes - data);
    if (behind > 0) munmap(data + bytes, behind);
    madvise(data, bytes, MADV_HUGEPAGE);  // advice: without it the pages are small
    return data;
}

}  // namespace

LargeMemory::LargeMemory(size_t bytes, size_t huge_bytes_min) {
    mapped_bytes_ = rounded_up(bytes, bytes >= huge_bytes_min ? kHugePageBytes : kPageBytes);
    if (bytes >= huge_bytes_min) data_ = map_huge(mapped_bytes_);
    else if (bytes >= kMapBytesMin) data_ = map(mapped_bytes_);
    if (data_) return;
    mapped_bytes_ = 0;
    data_ = ::operator new(bytes, std::align_val_t{kAlignment});
    std::memset(data_, 0, bytes);
}

LargeMemory::~LargeMemory() {
    if (mapped_bytes_ > 0) munmap(data_, mapped_bytes_);
    else ::operator delete(data_, std::align_val_t{kAlignment});
}

}  // namespace sluice
