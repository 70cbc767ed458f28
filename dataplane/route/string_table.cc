// Filling of the hash table; look-ups are inline in the header.
// In: texts and values from the builder. Out: a table at most half full, so that probes stay short.
// Control thread only.
#include "route/string_table.h"

#include <bit>
#include <utility>

namespace sluice::route {

void StringTable::reserve(size_t entries) {
    const size_t slots = std::bit_ceil(entries * 2 + 16);
    if (slots > slots_.size()) rehash(slots);
}

bool StringTable::insert(uint32_t space, std::string_view text, uint32_t value) {
    if (find(space, text) != kNone) return false;
    if ((size_ + 1) * 2 > slots_.size()) rehash(slots_.size() * 2);
    const uint64_t hash = hash_of(space, text);
    size_t at = hash & mask();
    while (slots_[at].value != kNone) at = (at + 1) & mask();
    slots_[at] = {hash, static_cast<uint32_t>(texts_.size()), static_cast<uint32_t>(text.size()), space, value};
    texts_.append(text);
    size_++;
    return true;
}

void StringTable::rehash(size_t slots) {
    std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(slots));
    for (const Slot& slot : old) {
        if (slot.value == kNone) continue;
        size_t at = slot.hash & mask();
        while (slots_[at].value != kNone) at = (at + 1) & mask();
        slots_[at] = slot;
    }
}

}  // namespace sluice::route
