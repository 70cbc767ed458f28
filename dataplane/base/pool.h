// A fixed number of objects of one type, allocated at start, handed out and taken back in O(1).
// Ownership: the pool owns the memory; take() lends an object (default-constructed in place), give() ends its life.
// take() returns nullptr when all are lent: the caller drops, counts and pushes back. Not thread safe: one per core.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

#include "base/large_memory.h"

namespace sluice {

template <typename T>
class Pool {
 public:
    explicit Pool(uint32_t capacity)
        : memory_(sizeof(Slot) * capacity), slots_(static_cast<Slot*>(memory_.data())), capacity_(capacity) {
        static_assert(alignof(Slot) <= LargeMemory::kAlignment);
    }
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    template <typename... Args>
    [[nodiscard]] T* take(Args&&... args) {
        Slot* slot = free_;
        if (slot) free_ = slot->next;
        else if (fresh_ < capacity_) slot = &slots_[fresh_++];  // untouched memory stays unmapped until used
        else return nullptr;
        in_use_++;
        return ::new (static_cast<void*>(slot)) T(std::forward<Args>(args)...);
    }
    void give(T* object) {
        object->~T();
        auto* slot = reinterpret_cast<Slot*>(object);
        slot->next = free_;
        free_ = slot;
        in_use_--;
    }
    uint32_t in_use() const { return in_use_; }
    uint32_t capacity() const { return capacity_; }
    /// Slots that were ever lent: those behind are untouched.
    uint32_t touched() const { return fresh_; }
    uint32_t available() const { return capacity_ - in_use_; }
    /// Slot number of a lent object, stable while lent.
    uint32_t index_of(const T* object) const {
        return static_cast<uint32_t>(reinterpret_cast<const Slot*>(object) - slots_);
    }
    /// The lent object in slot `index`.
    T* at(uint32_t index) const { return reinterpret_cast<T*>(&slots_[index]); }

    /// For tests of what an empty pool does: `left` objects more are lent, and those given back meanwhile, until restore().
    void withhold(uint32_t left) {
        Slot** link = &free_;
        for (; *link && left > 0; left--) link = &(*link)->next;
        withheld_ = std::exchange(*link, nullptr);
        withheld_capacity_ = std::exchange(capacity_, fresh_ + std::min(left, capacity_ - fresh_));
    }
    void restore() {
        while (Slot* slot = withheld_ ? free_ : nullptr) {
            free_ = slot->next;
            slot->next = withheld_;
            withheld_ = slot;
        }
        if (withheld_) free_ = std::exchange(withheld_, nullptr);
        capacity_ = withheld_capacity_;
    }

 private:
    union Slot {
        Slot() = delete;
        Slot* next;
        alignas(T) std::byte storage[sizeof(T)];
    };
    LargeMemory memory_;
    Slot* slots_;
    Slot* free_ = nullptr;
    uint32_t capacity_;
    uint32_t fresh_ = 0;
    uint32_t in_use_ = 0;
    Slot* withheld_ = nullptr;
    uint32_t withheld_capacity_ = 0;
};

}  // namespace sluice
