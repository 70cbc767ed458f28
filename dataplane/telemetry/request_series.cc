// New combinations: rare, so here and not in the header. Cores may meet in insert(); places are claimed by compare-and-swap.
#include "telemetry/request_series.h"

#include <optional>

namespace sluice::telemetry {

RequestSeries::RequestSeries()
    : keys_(new std::atomic<uint64_t>[kPlaces]()), of_destination_(new std::atomic<uint8_t>[kDestinationIdsMax + 1]()) {}

/// One combination more against the destination's share and the table's size; false if either is used up. Looks before it
/// writes: a stream of refused combinations makes no shared line dirty.
bool RequestSeries::reserve(const RequestKey& key) {
    if (used_.load(std::memory_order_relaxed) >= kSeriesMax || taken_.load(std::memory_order_relaxed) >= kLoadMax) return false;
    if (!key.is_other()) {
        auto& share = of_destination_[key.destination];
        if (share.load(std::memory_order_relaxed) >= kSeriesOfDestination) return false;
        if (share.fetch_add(1, std::memory_order_relaxed) >= kSeriesOfDestination) {
            share.fetch_sub(1, std::memory_order_relaxed);
            return false;
        }
    }
    if (used_.fetch_add(1, std::memory_order_relaxed) < kSeriesMax) return true;
    unreserve(key);
    return false;
}

void RequestSeries::unreserve(const RequestKey& key) {
    if (!key.is_other()) of_destination_[key.destination].fetch_sub(1, std::memory_order_relaxed);
    used_.fetch_sub(1, std::memory_order_relaxed);
}

uint32_t RequestSeries::insert(const RequestKey& key) {
    if (!reserve(key)) {
        // With its destination where that is possible.
        return key.is_other() ? kOverflowPlace : place_of({.destination = key.destination, .status = kOtherStatus});
    }
    const auto [place, is_new] = claim(key.packed());
    if (!is_new) unreserve(key);
    return place;
}

/// A place for a combination that was not there a moment ago; another core may have put it there since.
std::pair<uint32_t, bool> RequestSeries::claim(uint64_t packed) {
    while (true) {
        std::optional<uint32_t> gone;   // the first place on the way that may be used again
        uint32_t at = home(packed);
        uint64_t there = keys_[at].load(std::memory_order_acquire);
        while (there != packed && there != kEmpty) {
            if (there == kGone && !gone) gone = at;
            at = (at + 1) & (kPlaces - 1);
            there = keys_[at].load(std::memory_order_acquire);
        }
        if (there == packed) return {at, false};
        const uint32_t place = gone.value_or(at);
        uint64_t expected = gone ? kGone : kEmpty;
        if (!keys_[place].compare_exchange_strong(expected, packed, std::memory_order_acq_rel)) continue;
        if (!gone) taken_.fetch_add(1, std::memory_order_relaxed);
        return {place, true};
    }
}

uint32_t RequestSeries::collect_principals(std::span<const PrincipalUses* const> cores) {
    return principals_.collect(cores, [this](auto& named) {
        for_each([&](uint32_t, const RequestKey& key) {
            if (key.principals < named.size()) named[key.principals] = true;
        });
    });
}

/// Places that are gone and after which nothing follows are empty again, so that searches stay short. A core that is on its way
/// past such a place may put a combination behind it: that one is then met once more and has two places, which readers add up.
void RequestSeries::sweep() {
    for (uint32_t i = 2 * kPlaces; i-- > 0;) {   // twice around: a run may span the end
        const uint32_t at = i & (kPlaces - 1);
        uint64_t gone = kGone;
        if (keys_[(at + 1) & (kPlaces - 1)].load(std::memory_order_relaxed) != kEmpty) continue;
        if (keys_[at].compare_exchange_strong(gone, kEmpty, std::memory_order_acq_rel)) taken_.fetch_sub(1, std::memory_order_relaxed);
    }
}

}  // namespace sluice::telemetry
