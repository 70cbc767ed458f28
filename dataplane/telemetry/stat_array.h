// A counter that one core writes and others read, and arrays of such things sized at start. Writing is a plain add and a
// relaxed store: no locked instruction. Memory is zero pages from the kernel, touched on first use, freed with the array.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <type_traits>

namespace sluice::telemetry {

/// Single writer. Gauges use sub(); sums over cores are right modulo 2^64 even when one core's part is "negative".
class Counter {
 public:
    void add(uint64_t n = 1) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
    void sub(uint64_t n = 1) { value_.store(value_.load(std::memory_order_relaxed) - n, std::memory_order_relaxed); }
    void set(uint64_t v) { value_.store(v, std::memory_order_relaxed); }
    uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
    std::atomic<uint64_t> value_{0};
};

/// `size` elements and one more for indices beyond. T must be valid as zero bytes and need no destructor.
template <typename T>
class StatArray {
    static_assert(std::is_trivially_destructible_v<T>);

 public:
    explicit StatArray(uint32_t size) : size_(size) {
        void* memory = mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) {   // at start only: without statistics there is no gateway
            std::perror("sluice: no memory for statistics");
            std::abort();
        }
        items_ = static_cast<T*>(memory);
    }
    ~StatArray() { munmap(items_, bytes()); }
    StatArray(const StatArray&) = delete;
    StatArray& operator=(const StatArray&) = delete;

    T& operator[](uint32_t i) { return items_[i < size_ ? i : size_]; }
    const T& operator[](uint32_t i) const { return items_[i < size_ ? i : size_]; }
    uint32_t size() const { return size_; }
    /// Only while no core uses the element.
    void clear(uint32_t i) {
        static_assert(sizeof(T) % sizeof(Counter) == 0);
        if (i >= size_) return;
        auto* words = reinterpret_cast<Counter*>(&items_[i]);
        for (size_t w = 0; w < sizeof(T) / sizeof(Counter); w++) words[w].set(0);
    }

 private:
    size_t bytes() const { return (size_t{size_} + 1) * sizeof(T); }
    T* items_;
    uint32_t size_;
};

}  // namespace sluice::telemetry
