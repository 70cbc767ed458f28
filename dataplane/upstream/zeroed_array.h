// An array of zero pages taken from the kernel at start: indexed by stable ids, as large as the limit says, paid for only
// where touched. In: an id. Out: the element, or nullptr beyond the limit. Owns its memory. Single core.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <type_traits>

namespace sluice::upstream {

/// T must be valid as zero bytes and need no destructor.
template <typename T>
class ZeroedArray {
    static_assert(std::is_trivially_destructible_v<T>);

 public:
    explicit ZeroedArray(uint32_t size) : size_(size) {
        void* memory = mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) {  // at start only: without these tables there is no gateway
            std::perror("sluice: no memory for upstream tables");
            std::abort();
        }
        items_ = static_cast<T*>(memory);
    }
    ~ZeroedArray() { munmap(items_, bytes()); }
    ZeroedArray(const ZeroedArray&) = delete;
    ZeroedArray& operator=(const ZeroedArray&) = delete;

    T* find(uint32_t id) { return id < size_ ? &items_[id] : nullptr; }
    const T* find(uint32_t id) const { return id < size_ ? &items_[id] : nullptr; }
    uint32_t size() const { return size_; }

 private:
    size_t bytes() const { return sizeof(T) * (size_t{size_} + 1); }
    T* items_;
    uint32_t size_;
};

}  // namespace sluice::upstream
