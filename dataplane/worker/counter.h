// A counter written by one thread and read by any: telemetry without a lock, an atomic add or a shared cache line.
#pragma once

#include <atomic>
#include <cstdint>

namespace sluice::worker {

class RelaxedCounter {
 public:
    void add(uint64_t n) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
    void set(uint64_t n) { value_.store(n, std::memory_order_relaxed); }
    uint64_t get() const { return value_.load(std::memory_order_relaxed); }
    RelaxedCounter& operator++() { return add(1), *this; }

 private:
    std::atomic<uint64_t> value_{0};
};

}  // namespace sluice::worker
