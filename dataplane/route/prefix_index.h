// The longest of many prefixes that starts a text, in O(log of the number of distinct prefix lengths) hash probes, whatever
// the number of prefixes: binary search on lengths with markers (Waldvogel, Varghese, Turner, Plattner, SIGCOMM 1997). One
// length is one probe, and a few (the usual case) are probed side by side, where a radix tree takes a dependent cache miss for each branching byte.
// The index owns nothing: texts lie in the table's StringTable, lengths in one array shared by all indexes of the table.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "route/string_table.h"

namespace sluice::route {

/// For sorted distinct texts: of each one, the index of the longest other text that is its prefix, or StringTable::kNone.
std::vector<uint32_t> parents_of(std::span<const std::string_view> sorted);

class PrefixIndex {
 public:
    /// `sorted` are distinct texts; a look-up that ends at sorted[i] gives values[i] (less than kMarker).
    void build(StringTable& table, std::vector<uint32_t>& lengths, uint32_t space, std::span<const std::string_view> sorted,
               std::span<const uint32_t> values);
    /// Value of the longest prefix of `text`, or StringTable::kNone.
    uint32_t find(const StringTable& table, const std::vector<uint32_t>& lengths, std::string_view text) const {
        return count_ <= kFewLengths ? find_among_few(table, text) : find_by_halves(table, lengths, text);
    }
    bool empty() const { return count_ == 0; }
    /// Bytes of the longest prefix: no look-up reads further.
    uint32_t longest() const { return longest_; }

 private:
    static constexpr uint32_t kMarker = StringTable::kNone - 1;  // a longer prefix goes on here; nothing ends at or before it
    static constexpr uint32_t kFewLengths = 4;

    /// All lengths lie in the index itself and are probed at once: their cache misses overlap. No marker is needed.
    uint32_t find_among_few(const StringTable& table, std::string_view text) const {
        uint64_t hashes[kFewLengths];
        uint32_t fitting = 0;
        for (; fitting < count_ && few_[fitting] <= text.size(); fitting++) {
            hashes[fitting] = StringTable::hash_of(space_, text.substr(0, few_[fitting]));
            table.prefetch(hashes[fitting]);
        }
        while (fitting > 0) {
            fitting--;
            const uint32_t hit = table.find(space_, text.substr(0, few_[fitting]), hashes[fitting]);
            if (hit != StringTable::kNone) return hit;
        }
        return StringTable::kNone;
    }
    uint32_t find_by_halves(const StringTable& table, const std::vector<uint32_t>& lengths, std::string_view text) const {
        uint32_t best = StringTable::kNone;
        uint32_t low = begin_, high = begin_ + count_;
        while (low < high) {
            const uint32_t middle = low + (high - low) / 2;
            const uint32_t length = lengths[middle];
            const uint32_t hit = length > text.size() ? StringTable::kNone : table.find(space_, text.substr(0, length));
            if (hit == StringTable::kNone) {
                high = middle;
                continue;
            }
            if (hit != kMarker) best = hit;
            low = middle + 1;
        }
        return best;
    }

    uint32_t begin_ = 0, count_ = 0;  // of lengths
    uint32_t space_ = 0;
    uint32_t longest_ = 0;
    uint32_t few_[kFewLengths] = {};  // the lengths, where they are few
};

}  // namespace sluice::route
