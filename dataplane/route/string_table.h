// A hash table from text to a number, filled once on the control thread and then only read: hosts, paths, prefixes, values.
// In: (space, text, value); texts of different spaces never meet, so one table serves every virtual host. Out: the value.
// A slot is one cache line with the text in it, so that a look-up in a table larger than the caches costs one miss; only longer
// texts lie apart. Owns copies of the texts. Open addressing with linear probing, at most half full; look-ups allocate nothing.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "base/large_memory.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace sluice::route {

class StringTable {
 public:
    static constexpr uint32_t kNone = UINT32_MAX;
    static constexpr size_t kHugeBytesMin = 1u << 20;   // random places of it are looked at for every request

    void reserve(size_t entries);
    /// False if (space, text) was there already: then the old value stays.
    bool insert(uint32_t space, std::string_view text, uint32_t value);
    size_t size() const { return size_; }

    static uint64_t hash_of(uint32_t space, std::string_view text) { return XXH3_64bits_withSeed(text.data(), text.size(), space); }
    /// For a caller that has something else to do until the slot is there.
    void prefetch(uint64_t hash) const {
        if (slots_) __builtin_prefetch(&slot(hash & mask_));
    }
    /// kNone if absent. `space` keeps the tables of different virtual hosts apart.
    uint32_t find(uint32_t space, std::string_view text) const { return find(space, text, hash_of(space, text)); }
    uint32_t find(uint32_t space, std::string_view text, uint64_t hash) const {
        const size_t at = place_of(space, text, hash);
        return at == kNowhere ? kNone : slot(at).value;
    }
    /// Where the entry is: for what a caller keeps beside the table, by place. kNowhere if absent.
    size_t place_of(uint32_t space, std::string_view text, uint64_t hash) const {
        if (size_ == 0) return kNowhere;
        for (size_t at = hash & mask_;; at = (at + 1) & mask_) {
            const Slot& slot = this->slot(at);
            if (slot.used == 0) return kNowhere;
            if (slot.hash == hash && slot.space == space && slot.size == text.size() && std::memcmp(text_of(slot), text.data(), text.size()) == 0) return at;
        }
    }
    static constexpr size_t kNowhere = SIZE_MAX;
    size_t places() const { return slots_ ? mask_ + 1 : 0; }
    uint32_t value_at(size_t place) const { return slot(place).value; }
    /// Where the entry of this hash most likely is.
    size_t home_of(uint64_t hash) const { return hash & mask_; }
    /// Calls f(place, space, value) for every entry.
    template <typename F>
    void for_each(F&& f) const {
        for (size_t at = 0; at < places(); at++)
            if (slot(at).used != 0) f(at, slot(at).space, slot(at).value);
    }

 private:
    static constexpr size_t kInlineBytes = 40;
    struct alignas(64) Slot {
        uint64_t hash;
        uint32_t space;
        uint32_t value;
        uint32_t size;
        uint32_t used;                  // 0 = empty slot, as zeroed memory is
        union {
            char text[kInlineBytes];    // of up to kInlineBytes; else
            uint64_t offset;            // into texts_
        };
    };
    static_assert(sizeof(Slot) == 64);
    Slot& slot(size_t at) const { return static_cast<Slot*>(slots_->data())[at]; }
    const char* text_of(const Slot& slot) const { return slot.size <= kInlineBytes ? slot.text : texts_.data() + slot.offset; }
    Slot& empty_slot(uint64_t hash) const {
        size_t at = hash & mask_;
        while (slot(at).used != 0) at = (at + 1) & mask_;
        return slot(at);
    }
    void rehash(size_t slots);

    std::unique_ptr<LargeMemory> slots_;
    size_t mask_ = 0;                   // slots - 1
    std::string texts_;                 // of those too long for their slots
    size_t size_ = 0;
};

}  // namespace sluice::route
