// An open-addressed table that cores fill by compare-and-swap and the control thread alone empties. Who finds a place takes a use first and
// then looks whether it is still in force; who frees one says so first and then looks whether it has uses: one of the two sees the other.
#include "telemetry/principals.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <random>

namespace sluice::telemetry {

namespace {

uint32_t home(uint64_t hash) { return static_cast<uint32_t>(hash >> 51); }
static_assert(Principals::kPlaces == 1u << 13, "home() takes the upper 13 bits");
static_assert(Principals::kPlaces < kOtherPrincipals);
uint32_t next(uint32_t at) { return (at + 1) & (Principals::kPlaces - 1); }

uint32_t uses_of(std::span<const PrincipalUses* const> cores, uint32_t place) {
    uint32_t sum = 0;
    for (const PrincipalUses* core : cores) sum += core->of_place(place);
    return sum;
}

bool same(const Principals::Names& a, const Principals::Names& b) { return a.source == b.source && a.destination == b.destination; }

}  // namespace

Principals::Principals() {
    std::random_device random;
    const auto word = [&] { return uint64_t{random()} << 32 | random(); };
    key_ = {word(), word()};
}

/// Peers choose their names: they must not choose their places.
uint64_t Principals::hash(const Names& names) const {
    const auto of = [&](std::string_view text) {
        return SipHash13::hash(key_, {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    };
    const uint64_t mixed = of(names.source) * 3 + of(names.destination);
    return (mixed | (kStateMask + 1)) & ~uint64_t{kStateMask};   // never that of a place that is empty or gone
}

PrincipalsId Principals::take(const Names& names, PrincipalUses& uses) {
    if (names.source.empty() && names.destination.empty()) return kNoPrincipals;
    if (names.source.size() + names.destination.size() > kBytesMax) return kOtherPrincipals;
    const uint64_t wanted = hash(names);
    for (uint32_t at = home(wanted);; at = next(at)) {
        const uint64_t there = places_[at].word.load(std::memory_order_acquire);
        if (there == kEmpty) return add(wanted, names, uses);
        if (there != (wanted | kReady)) continue;
        const auto id = static_cast<PrincipalsId>(at + 1);
        uses.add(id);
        std::atomic_thread_fence(std::memory_order_seq_cst);
        if (places_[at].word.load(std::memory_order_acquire) == there && same(places_[at].names(), names)) return id;
        uses.drop(id);
    }
}

/// Two cores that meet a pair at once give it two numbers: readers add them up.
PrincipalsId Principals::add(uint64_t wanted, const Names& names, PrincipalUses& uses) {
    if (used_.load(std::memory_order_relaxed) >= kMax || taken_.load(std::memory_order_relaxed) >= kLoadMax) return kOtherPrincipals;
    if (used_.fetch_add(1, std::memory_order_relaxed) >= kMax) {
        used_.fetch_sub(1, std::memory_order_relaxed);
        return kOtherPrincipals;
    }
    for (uint32_t at = home(wanted);; at = next(at)) {
        uint64_t there = places_[at].word.load(std::memory_order_relaxed);
        if (there != kEmpty && there != kGone) continue;
        const bool was_empty = there == kEmpty;
        Place& place = places_[at];
        if (!place.word.compare_exchange_strong(there, wanted | kWriting, std::memory_order_acq_rel)) continue;
        if (was_empty) taken_.fetch_add(1, std::memory_order_relaxed);
        const auto id = static_cast<PrincipalsId>(at + 1);
        uses.add(id);
        place.source_bytes = static_cast<uint16_t>(names.source.size());
        place.destination_bytes = static_cast<uint16_t>(names.destination.size());
        if (!names.source.empty()) std::memcpy(place.text, names.source.data(), names.source.size());
        if (!names.destination.empty()) std::memcpy(place.text + names.source.size(), names.destination.data(), names.destination.size());
        place.word.store(wanted | kReady, std::memory_order_release);
        return id;
    }
}

Principals::Names Principals::names(PrincipalsId id) const {
    if (id - 1u >= kPlaces) return {};
    const Place& place = places_[id - 1u];
    const uint64_t state = place.word.load(std::memory_order_acquire) & kStateMask;
    return state == kReady || state == kLeaving ? place.names() : Names{};
}

uint32_t Principals::collect(std::span<const PrincipalUses* const> cores, const std::function<void(Marks&)>& named) {
    if (used() < kPlenty && taken_.load(std::memory_order_relaxed) < kMax) return 0;
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) return 0;
    // Uses before names: a request puts its number into a combination and then gives its use back.
    const auto kept = [&] {
        Marks marks{};
        for (uint32_t at = 0; at < kPlaces; at++) marks[at + 1] = uses_of(cores, at) != 0;
        named(marks);
        return marks;
    };
    const Marks before = kept();
    bool leaving = false;
    for (uint32_t at = 0; at < kPlaces; at++) {
        const uint64_t there = places_[at].word.load(std::memory_order_acquire);
        if ((there & kStateMask) != kReady || before[at + 1]) continue;
        places_[at].word.store((there & ~uint64_t{kStateMask}) | kLeaving, std::memory_order_relaxed);   // only this thread ends what is ready
        leaving = true;
    }
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const uint32_t gone = leaving ? free_leaving(kept()) : 0;
    sweep();
    return gone;
}

uint32_t Principals::free_leaving(const Marks& kept) {
    uint32_t gone = 0;
    for (uint32_t at = 0; at < kPlaces; at++) {
        const uint64_t there = places_[at].word.load(std::memory_order_relaxed);
        if ((there & kStateMask) != kLeaving) continue;
        if (kept[at + 1]) {
            places_[at].word.store((there & ~uint64_t{kStateMask}) | kReady, std::memory_order_release);
            continue;
        }
        places_[at].word.store(kGone, std::memory_order_release);
        used_.fetch_sub(1, std::memory_order_relaxed);
        gone++;
    }
    return gone;
}

/// Places that are gone and after which nothing follows are empty again, so that searches stay short.
void Principals::sweep() {
    for (uint32_t i = 2 * kPlaces; i-- > 0;) {   // twice around: a run may span the end
        const uint32_t at = i & (kPlaces - 1);
        uint64_t gone = kGone;
        if (places_[next(at)].word.load(std::memory_order_relaxed) != kEmpty) continue;
        if (places_[at].word.compare_exchange_strong(gone, kEmpty, std::memory_order_acq_rel)) taken_.fetch_sub(1, std::memory_order_relaxed);
    }
}

}  // namespace sluice::telemetry
