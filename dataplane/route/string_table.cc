// Filling of the hash table; look-ups are inline in the header.
// In: texts and values from the builder. Out: a table at most half full, so that probes stay short.
// Control thread only.
#include "route/string_table.h"

#include <bit>
#include <utility>

namespace sluice::route {

void StringTable::reserve(size_t entries) {
    const size_t slots = std::bit_ceil(entries * 2 + 16);
    if (!slots_ || slots > mask_ + 1) rehash(slots);
}

bool StringTable::insert(uint32_t space, std::string_view text, uint32_t value) {
    const uint64_t hash = hash_of(space, text);
    if (find(space, text, hash) != kNone) return false;
    if (!slots_ || (size_ + 1) * 2 > mask_ + 1) rehash(slots_ ? (mask_ + 1) * 2 : 16);
    Slot& slot = empty_slot(hash);
    slot.hash = hash;
    slot.space = space;
    slot.value = value;
    slot.size = static_cast<uint32_t>(text.size());
    slot.used = 1;
    if (text.size() <= kInlineBytes) {
        if (!text.empty()) std::memcpy(slot.text, text.data(), text.size());
    } else {
        slot.offset = texts_.size();
        texts_.append(text);
    }
    size_++;
    return true;
}

void StringTable::rehash(size_t slots) {
    const auto old = std::exchange(slots_, std::make_unique<LargeMemory>(slots * sizeof(Slot), kHugeBytesMin));
    const size_t old_slots = old ? mask_ + 1 : 0;
    mask_ = slots - 1;
    for (size_t at = 0; at < old_slots; at++) {
        const Slot& slot = static_cast<const Slot*>(old->data())[at];
        if (slot.used != 0) empty_slot(slot.hash) = slot;
    }
}

}  // namespace sluice::route
