// Building of prefix indexes: which lengths there are, and which markers lead a binary search to each prefix.
// In: sorted distinct prefixes. Out: entries and markers in the StringTable. A marker carries the best prefix that ends at or
// before it, so a search that was led astray by it never has to turn back.
// Control thread only. Waldvogel et al., "Scalable High Speed IP Routing Lookups", SIGCOMM 1997.
#include "route/prefix_index.h"

#include <algorithm>

namespace sluice::route {

std::vector<uint32_t> parents_of(std::span<const std::string_view> sorted) {
    std::vector<uint32_t> parents(sorted.size(), StringTable::kNone);
    std::vector<uint32_t> open;  // each is a prefix of the next
    for (uint32_t i = 0; i < sorted.size(); i++) {
        while (!open.empty() && !sorted[i].starts_with(sorted[open.back()])) open.pop_back();
        if (!open.empty()) parents[i] = open.back();
        open.push_back(i);
    }
    return parents;
}

void PrefixIndex::build(StringTable& table, std::vector<uint32_t>& lengths, uint32_t space,
                        std::span<const std::string_view> sorted, std::span<const uint32_t> values) {
    space_ = space;
    begin_ = static_cast<uint32_t>(lengths.size());
    std::vector<uint32_t> distinct;
    for (std::string_view text : sorted) distinct.push_back(static_cast<uint32_t>(text.size()));
    std::sort(distinct.begin(), distinct.end());
    distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
    lengths.insert(lengths.end(), distinct.begin(), distinct.end());
    count_ = static_cast<uint32_t>(distinct.size());
    longest_ = distinct.empty() ? 0 : distinct.back();
    const bool few = count_ <= kFewLengths;
    if (few) std::copy(distinct.begin(), distinct.end(), few_);

    std::vector<std::string_view> markers;
    for (std::string_view text : sorted) {
        if (few) break;
        for (uint32_t low = 0, high = count_; low < high;) {
            const uint32_t middle = low + (high - low) / 2;
            if (distinct[middle] == text.size()) break;
            if (distinct[middle] > text.size()) {
                high = middle;
                continue;
            }
            // Neighbours in sorted order share most of their markers.
            if (const auto marker = text.substr(0, distinct[middle]); markers.empty() || markers.back() != marker) {
                markers.push_back(marker);
            }
            low = middle + 1;
        }
    }
    std::sort(markers.begin(), markers.end());
    markers.erase(std::unique(markers.begin(), markers.end()), markers.end());

    // One merge in sorted order; `open` holds the prefixes that start the text at hand, the longest last.
    std::vector<uint32_t> open;
    size_t next = 0;
    const auto enter = [&](std::string_view text) {
        while (!open.empty() && !text.starts_with(sorted[open.back()])) open.pop_back();
    };
    const auto take = [&] {
        enter(sorted[next]);
        table.insert(space, sorted[next], values[next]);
        open.push_back(static_cast<uint32_t>(next++));
    };
    for (std::string_view marker : markers) {
        while (next < sorted.size() && sorted[next] <= marker) take();
        enter(marker);
        table.insert(space, marker, open.empty() ? kMarker : values[open.back()]);  // a real prefix of this text stays
    }
    while (next < sorted.size()) take();
}

}  // namespace sluice::route
