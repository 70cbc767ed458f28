// A part of a Snapshot: immutable once published, shared by the snapshots that have it unchanged. What outlives one turn of
// a worker holds a Pin on the part it uses (never on the root): a counter of that core alone, which retirement waits for.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace sluice::snapshot {

/// Base of everything that may be pinned. `slot` indexes every core's CorePins; given by the Publisher when the part is first
/// published (hence mutable), not reused until the part is freed.
struct Part {
    mutable uint32_t slot = UINT32_MAX;
    uint64_t content_hash = 0;
};

inline constexpr uint32_t kPartsMax = 1 << 18;

/// One core's pin counts. Written by that core alone with plain (relaxed) stores; read by the control thread when it retires parts.
class CorePins {
 public:
    CorePins() : counts_(new std::atomic<uint32_t>[kPartsMax]()) {}
    ~CorePins() { delete[] counts_; }
    CorePins(const CorePins&) = delete;
    CorePins& operator=(const CorePins&) = delete;
    void pin(const Part* part) {
        auto& count = counts_[part->slot];
        count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    void unpin(const Part* part) {
        auto& count = counts_[part->slot];
        count.store(count.load(std::memory_order_relaxed) - 1, std::memory_order_release);
    }
    uint32_t count(uint32_t slot) const { return counts_[slot].load(std::memory_order_acquire); }

 private:
    std::atomic<uint32_t>* counts_;
};

/// Keeps one part alive. Must be taken in the turn that loaded the root (or from another pinned part).
template <typename T>
class Pin {
 public:
    Pin() = default;
    Pin(CorePins& pins, const T* part) : pins_(&pins), part_(part) { pins_->pin(part_); }
    Pin(Pin&& o) noexcept : pins_(o.pins_), part_(std::exchange(o.part_, nullptr)) {}
    Pin& operator=(Pin&& o) noexcept {
        if (this != &o) {
            reset();
            pins_ = o.pins_;
            part_ = std::exchange(o.part_, nullptr);
        }
        return *this;
    }
    ~Pin() { reset(); }
    void reset() {
        if (part_) pins_->unpin(std::exchange(part_, nullptr));
    }
    const T* get() const { return part_; }
    const T* operator->() const { return part_; }
    const T& operator*() const { return *part_; }
    explicit operator bool() const { return part_ != nullptr; }

 private:
    CorePins* pins_ = nullptr;
    const T* part_ = nullptr;
};

}  // namespace sluice::snapshot
