// A hash table from text to a number, filled once on the control thread and then only read: hosts, paths, prefixes, values.
// In: (space, text, value); texts of different spaces never meet, so one table serves every virtual host. Out: the value.
// Owns copies of the texts. Open addressing with linear probing, at most half full; look-ups allocate nothing.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace sluice::route {

class StringTable {
 public:
    static constexpr uint32_t kNone = UINT32_MAX;

    StringTable() : slots_(16) {}
    void reserve(size_t entries);
    /// False if (space, text) was there already: then the old value stays.
    bool insert(uint32_t space, std::string_view text, uint32_t value);
    size_t size() const { return size_; }

    /// kNone if absent. `space` keeps the tables of different virtual hosts apart.
    uint32_t find(uint32_t space, std::string_view text) const {
        const uint64_t hash = hash_of(space, text);
        for (size_t at = hash & mask();; at = (at + 1) & mask()) {
            const Slot& slot = slots_[at];
            if (slot.value == kNone) return kNone;
            if (slot.hash == hash && slot.space == space && slot.size == text.size() &&
                std::memcmp(texts_.data() + slot.offset, text.data(), text.size()) == 0) {
                return slot.value;
            }
        }
    }

 private:
    struct Slot {
        uint64_t hash = 0;
        uint32_t offset = 0, size = 0;  // into texts_
        uint32_t space = 0;
        uint32_t value = kNone;         // kNone = empty slot
    };
    static uint64_t hash_of(uint32_t space, std::string_view text) {
        return XXH3_64bits_withSeed(text.data(), text.size(), space);
    }
    size_t mask() const { return slots_.size() - 1; }
    void rehash(size_t slots);

    std::vector<Slot> slots_;
    std::string texts_;
    size_t size_ = 0;
};

}  // namespace sluice::route
