// Giving and taking back of stable ids.
// In: keys. Out: ids; the smallest free ones are not sought, any will do.
// Owns the keys. Control thread only.
#include "snapshot/ids.h"

namespace sluice::snapshot {

uint32_t IdTable::id_of(std::string_view key) {
    if (const auto known = ids_.find(key); known != ids_.end()) {
        entries_[known->second].round = round_;
        return known->second;
    }
    uint32_t id = 0;
    if (!free_.empty()) {
        id = free_.back();
        free_.pop_back();
        if (on_reuse_) on_reuse_(id);
    } else if (entries_.size() < limit_) {
        id = end();
        entries_.emplace_back();
    } else {
        return UINT32_MAX;
    }
    const auto [entry, added] = ids_.emplace(std::string(key), id);
    entries_[id] = {&entry->first, 0, round_};
    return id;
}

void IdTable::sweep() {
    for (uint32_t id = 0; id < entries_.size(); id++) {
        Entry& entry = entries_[id];
        // The round before this one is that of the snapshot in force.
        if (!entry.key || entry.parts != 0 || entry.round + 1 >= round_) continue;
        ids_.erase(ids_.find(std::string_view(*entry.key)));
        entry.key = nullptr;
        free_.push_back(id);
    }
}

}  // namespace sluice::snapshot
