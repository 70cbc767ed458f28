// A bounded queue of records of any size from one thread to one other, in one block of memory. Wait-free. The producer writes
// a record in place, the consumer reads it in place; full = the producer drops and counts. Records start at multiples of 8.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace sluice {

class ByteRing {
 public:
    /// A power of two of bytes, at least `bytes`. A record may be a quarter of it.
    explicit ByteRing(uint32_t bytes)
        : mask_(std::bit_ceil(bytes) - 1), block_(std::make_unique<std::byte[]>(size_t{mask_} + 1)) {}
    ByteRing(const ByteRing&) = delete;
    ByteRing& operator=(const ByteRing&) = delete;
    uint32_t record_bytes_max() const { return (mask_ + 1) / 4 - kHead; }

    /// Producer: `bytes` of room in one piece, or null. What is not committed was never there.
    std::byte* reserve(uint32_t bytes) {
        if (bytes > record_bytes_max()) return nullptr;
        const uint32_t size = whole(bytes);
        const uint32_t offset = static_cast<uint32_t>(tail_.load(std::memory_order_relaxed)) & mask_;
        const uint32_t to_end = mask_ + 1 - offset;
        gap_ = size > to_end ? to_end : 0;
        const uint64_t end = tail_.load(std::memory_order_relaxed) + gap_ + size;
        if (end - head_seen_ > uint64_t{mask_} + 1) {
            head_seen_ = head_.load(std::memory_order_acquire);
            if (end - head_seen_ > uint64_t{mask_} + 1) return nullptr;
        }
        if (gap_) *head_at(offset) = {gap_, kGap};
        reserved_ = gap_ ? 0 : offset;
        return block_.get() + reserved_ + kHead;
    }
    /// Producer: the record reserved last, `bytes` of it.
    void commit(uint32_t bytes) {
        *head_at(reserved_) = {whole(bytes), bytes};
        tail_.store(tail_.load(std::memory_order_relaxed) + gap_ + whole(bytes), std::memory_order_release);
    }

    /// Consumer: the oldest record, valid until pop(); empty if there is none.
    std::span<const std::byte> front() {
        for (;;) {
            const uint64_t head = head_.load(std::memory_order_relaxed);
            if (head == tail_seen_ && head == (tail_seen_ = tail_.load(std::memory_order_acquire))) return {};
            const Head& record = *head_at(static_cast<uint32_t>(head) & mask_);
            if (record.bytes != kGap) return {reinterpret_cast<const std::byte*>(&record + 1), record.bytes};
            head_.store(head + record.whole, std::memory_order_release);
        }
    }
    void pop() {
        const uint64_t head = head_.load(std::memory_order_relaxed);
        head_.store(head + head_at(static_cast<uint32_t>(head) & mask_)->whole, std::memory_order_release);
    }

 private:
    struct Head {
        uint32_t whole;   // bytes to the next record
        uint32_t bytes;   // of this one; kGap: none, the block's end follows
    };
    static constexpr uint32_t kHead = sizeof(Head), kGap = UINT32_MAX;
    static uint32_t whole(uint32_t bytes) { return (bytes + kHead + 7) & ~7u; }
    Head* head_at(uint32_t offset) { return reinterpret_cast<Head*>(block_.get() + offset); }

    uint32_t mask_;
    std::unique_ptr<std::byte[]> block_;
    alignas(64) std::atomic<uint64_t> head_{0};
    uint64_t tail_seen_ = 0;                    // consumer's
    alignas(64) std::atomic<uint64_t> tail_{0};
    uint64_t head_seen_ = 0;                    // producer's
    uint32_t gap_ = 0, reserved_ = 0;
};

}  // namespace sluice
