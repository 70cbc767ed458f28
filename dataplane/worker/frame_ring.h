// A bounded queue of frames as bytes, from one thread to one other: what a core and the exception thread hand each other.
// Bytes, not mbufs: a frame buffer is taken and given back by its own core alone, since a thread that the kernel stops in the
// middle of a shared pool's ring would stop the cores with it. Owns its slots; full = the producer drops and counts.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <span>

#include "base/limits.h"

namespace sluice::worker {

class FrameRing {
 public:
    static constexpr uint32_t kFrameBytesMax = limits::kMbufRoomBytes;

    explicit FrameRing(uint32_t capacity)
        : mask_(std::bit_ceil(capacity) - 1), slots_(std::make_unique_for_overwrite<Slot[]>(mask_ + 1)) {}

    /// Producer: kFrameBytesMax of room for the next frame; null if full. What is not committed was never there.
    uint8_t* reserve() {
        const uint32_t tail = tail_.load(std::memory_order_relaxed);
        if (tail - head_seen_ > mask_) {
            head_seen_ = head_.load(std::memory_order_acquire);
            if (tail - head_seen_ > mask_) return nullptr;
        }
        return slots_[tail & mask_].data;
    }
    void commit(uint32_t bytes) {
        const uint32_t tail = tail_.load(std::memory_order_relaxed);
        slots_[tail & mask_].bytes = static_cast<uint16_t>(bytes);
        tail_.store(tail + 1, std::memory_order_release);
    }

    /// Consumer: the oldest frame, valid until pop(); empty if there is none.
    std::span<const uint8_t> front() {
        const uint32_t head = head_.load(std::memory_order_relaxed);
        if (head == tail_seen_) {
            tail_seen_ = tail_.load(std::memory_order_acquire);
            if (head == tail_seen_) return {};
        }
        const Slot& slot = slots_[head & mask_];
        return {slot.data, slot.bytes};
    }
    void pop() { head_.store(head_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }

 private:
    struct Slot {
        uint16_t bytes;
        uint8_t data[kFrameBytesMax];
    };
    uint32_t mask_;
    std::unique_ptr<Slot[]> slots_;   // pages appear as they are used
    alignas(64) std::atomic<uint32_t> head_{0};
    uint32_t tail_seen_ = 0;   // consumer's
    alignas(64) std::atomic<uint32_t> tail_{0};
    uint32_t head_seen_ = 0;   // producer's
};

}  // namespace sluice::worker
