// One worker's access log queue: single producer, single consumer, records of variable size in one block of memory that is
// taken at start. push() copies the entry's texts behind its numbers: no allocation, no lock, no wait; a full ring drops and
// counts. The consumer reads records in place. Memory belongs to the ring; texts handed out live until the callback returns.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>

#include "telemetry/access_log.h"
#include "telemetry/stat_array.h"

namespace sluice::telemetry {

class AccessLogRing {
 public:
    /// Longest text kept of one field; what is cut counts in truncated().
    static constexpr uint32_t kFieldBytesMax = 4096;
    static constexpr uint32_t kTexts = 12;
    static constexpr uint32_t kRecordBytesMax = 512 + (kTexts + kCapturedHeadersMax) * kFieldBytesMax;

    /// `bytes` is rounded up to a power of two, at least four of the longest records.
    explicit AccessLogRing(uint32_t bytes = 1 << 20);
    AccessLogRing(const AccessLogRing&) = delete;
    AccessLogRing& operator=(const AccessLogRing&) = delete;

    /// Producer. False: the ring is full, the entry is dropped and counted.
    bool push(const AccessLogEntry& entry);

    /// Somebody reads along: listeners without an access log are to push their requests too. Consumer writes, producer reads.
    void want_all(bool wanted) { all_wanted_.store(wanted, std::memory_order_relaxed); }
    bool all_wanted() const { return all_wanted_.load(std::memory_order_relaxed); }

    /// Consumer: hands at most `max` entries to take(const AccessLogEntry&), oldest first; returns how many.
    template <typename Take>
    uint32_t drain(Take&& take, uint32_t max = UINT32_MAX) {
        const uint64_t head = head_.load(std::memory_order_acquire);
        uint64_t tail = tail_.load(std::memory_order_relaxed);
        uint32_t n = 0;
        Captured captured;
        while (tail != head && n < max) {
            AccessLogEntry entry;
            if (read(tail, entry, captured)) {
                take(static_cast<const AccessLogEntry&>(entry));
                n++;
            }
            tail_.store(tail, std::memory_order_release);
        }
        return n;
    }
    bool empty() const { return head_.load(std::memory_order_acquire) == tail_.load(std::memory_order_relaxed); }

    /// Positions: everything pushed before head() was read is taken once tail() has reached it.
    uint64_t head() const { return head_.load(std::memory_order_acquire); }
    uint64_t tail() const { return tail_.load(std::memory_order_acquire); }

    uint64_t pushed() const { return pushed_.get(); }
    uint64_t dropped() const { return dropped_.get(); }
    uint64_t truncated() const { return truncated_.get(); }
    uint32_t capacity_bytes() const { return mask_ + 1; }

 private:
    struct Record;
    using Captured = std::array<std::string_view, kCapturedHeadersMax>;
    /// Fills `entry` from the record at `at` and moves `at` behind it; false if it was only the gap at the block's end.
    bool read(uint64_t& at, AccessLogEntry& entry, Captured& captured) const;

    std::unique_ptr<std::byte[]> bytes_;
    uint32_t mask_;
    std::atomic<bool> all_wanted_{false};
    // The producer's line.
    alignas(64) std::atomic<uint64_t> head_{0};
    uint64_t known_tail_ = 0;
    Counter pushed_, dropped_, truncated_;
    // The consumer's line.
    alignas(64) std::atomic<uint64_t> tail_{0};
};

}  // namespace sluice::telemetry
