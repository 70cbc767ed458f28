// A bounded queue from one thread to one other. Wait-free; each side keeps a copy of the other's index so that the shared
// cache lines move once per batch. In: items copied. Out: items copied. Owns its array; full = the caller drops and counts.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <type_traits>
#include <vector>

namespace sluice {

template <typename T>
    requires std::is_trivially_copyable_v<T>
class SpscRing {
 public:
    explicit SpscRing(uint32_t capacity) : items_(std::bit_ceil(capacity)), mask_(static_cast<uint32_t>(items_.size()) - 1) {}

    /// Producer. False if full.
    [[nodiscard]] bool push(const T& item) {
        const uint32_t tail = tail_.load(std::memory_order_relaxed);
        if (tail - head_seen_ > mask_) {
            head_seen_ = head_.load(std::memory_order_acquire);
            if (tail - head_seen_ > mask_) return false;
        }
        items_[tail & mask_] = item;
        tail_.store(tail + 1, std::memory_order_release);
        return true;
    }
    /// Consumer. False if empty.
    [[nodiscard]] bool pop(T& out) {
        const uint32_t head = head_.load(std::memory_order_relaxed);
        if (head == tail_seen_) {
            tail_seen_ = tail_.load(std::memory_order_acquire);
            if (head == tail_seen_) return false;
        }
        out = items_[head & mask_];
        head_.store(head + 1, std::memory_order_release);
        return true;
    }
    /// Any thread, approximate.
    uint32_t size() const { return tail_.load(std::memory_order_relaxed) - head_.load(std::memory_order_relaxed); }
    uint32_t capacity() const { return mask_ + 1; }

 private:
    std::vector<T> items_;
    uint32_t mask_;
    alignas(64) std::atomic<uint32_t> head_{0};
    uint32_t tail_seen_ = 0;   // consumer's
    alignas(64) std::atomic<uint32_t> tail_{0};
    uint32_t head_seen_ = 0;   // producer's
};

}  // namespace sluice
