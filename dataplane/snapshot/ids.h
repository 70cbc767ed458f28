// Small stable numbers for keys: per-core state (pools, counters, balancer positions) is an array indexed by them.
// In: keys asked for while a snapshot is built, and the parts that carry their ids. Out: the id, the same while it is in use.
// An id is given to another key only after no live part carries it: a closing connection of a deleted cluster never writes
// into its successor's counters. Control thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace sluice::snapshot {

class IdTable {
 public:
    explicit IdTable(uint32_t limit) : limit_(limit) {}
    /// Called for each id that goes to another key than before: whoever keeps state by id starts it anew.
    void on_reuse(std::function<void(uint32_t id)> handler) { on_reuse_ = std::move(handler); }
    /// UINT32_MAX if all ids are in use.
    uint32_t id_of(std::string_view key);
    /// UINT32_MAX if the key has none; does not count as asking for it.
    uint32_t find(std::string_view key) const {
        const auto known = ids_.find(key);
        return known == ids_.end() ? UINT32_MAX : known->second;
    }
    void hold(uint32_t id) { entries_[id].parts++; }
    void release(uint32_t id) { entries_[id].parts--; }
    /// A snapshot was published: from now on keys must be asked for again.
    void next_round() { round_++; }
    /// Forgets keys that were not asked for in the last round or since, and that no part carries.
    void sweep();
    /// One more than the largest id given so far.
    uint32_t end() const { return static_cast<uint32_t>(entries_.size()); }
    uint32_t in_use() const { return static_cast<uint32_t>(ids_.size()); }

 private:
    struct Hash {
        using is_transparent = void;
        size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
    };
    struct Entry {
        const std::string* key = nullptr;  // in ids_; nullptr = free
        uint32_t parts = 0;                // live parts that carry the id
        uint64_t round = 0;                // when it was asked for last
    };
    std::unordered_map<std::string, uint32_t, Hash, std::equal_to<>> ids_;
    std::vector<Entry> entries_;           // by id
    std::vector<uint32_t> free_;
    uint64_t round_ = 1;
    uint32_t limit_;
    std::function<void(uint32_t)> on_reuse_;
};

}  // namespace sluice::snapshot
