// Who is at both ends of connections to backends, for the labels source_principal and destination_principal: each pair of names met is one
// small number that all cores share, so that a request's key has room for it. In: names that handshakes proved. Out: a number, and for readers
// the names again. Bounded: kMax pairs and what they are called; what is beyond is kOther. A pair that no connection, request or
// combination (request_series.h) has any more gives its place back. docs/decisions/0158-principals-as-labels.md
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string_view>

#include "base/siphash.h"
#include "telemetry/stat_array.h"

namespace sluice::telemetry {

/// A pair's number: its place in the table and one.
using PrincipalsId = uint16_t;
inline constexpr PrincipalsId kNoPrincipals = 0;         // no connection over TLS: both are unknown
inline constexpr PrincipalsId kOtherPrincipals = 0x7fff; // there was no room to tell them apart

class PrincipalUses;

/// Shared by the cores of a gateway, outlives them.
class Principals {
 public:
    static constexpr uint32_t kMax = 4096, kPlaces = 2 * kMax;
    static constexpr size_t kBytesMax = 1268;            // of both names; longer ones are kOther
    struct Names {
        std::string_view source, destination;            // empty: unknown
    };

    Principals();
    Principals(const Principals&) = delete;
    Principals& operator=(const Principals&) = delete;

    /// Any worker, once a handshake. Takes a use in `uses`, the worker's own; to be given back there.
    PrincipalsId take(const Names& names, PrincipalUses& uses);
    /// By number.
    using Marks = std::array<bool, kPlaces + 1>;
    /// Control thread, now and then: frees what has no use in `cores` and what `named`, which is asked for all at once, does not mark. Does
    /// nothing while there is plenty of room, or somebody reads. Returns how many went.
    uint32_t collect(std::span<const PrincipalUses* const> cores, const std::function<void(Marks&)>& named);
    /// Readers hold this while they look at combinations and names(): no name goes away meanwhile.
    std::shared_lock<std::shared_mutex> reading() const { return std::shared_lock(mutex_); }
    /// Of a number that somebody has a use of, or that a combination names.
    Names names(PrincipalsId id) const;
    uint32_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
    enum State : uint64_t { kEmpty = 0, kGone = 1, kWriting = 2, kReady = 3, kLeaving = 4, kStateMask = 7 };
    struct Place {
        std::atomic<uint64_t> word;                      // hash and state
        uint16_t source_bytes, destination_bytes;
        char text[kBytesMax];
        Names names() const { return {{text, source_bytes}, {text + source_bytes, destination_bytes}}; }
    };
    static constexpr uint32_t kLoadMax = kPlaces * 3 / 4;   // places that are not empty: a search always ends soon
    static constexpr uint32_t kPlenty = kMax / 2;           // so few are not worth collecting

    uint64_t hash(const Names& names) const;
    PrincipalsId add(uint64_t hash, const Names& names, PrincipalUses& uses);
    uint32_t free_leaving(const Marks& kept);
    void sweep();

    SipKey key_;
    StatArray<Place> places_{kPlaces};
    mutable std::shared_mutex mutex_;                    // of readers and collect(): workers have nothing to do with it
    alignas(64) std::atomic<uint32_t> used_{0};
    std::atomic<uint32_t> taken_{0};                     // places that are not empty: used ones and those that are gone
};

/// How many connections and requests of one core have each number. One writer.
class PrincipalUses {
 public:
    PrincipalUses() : uses_(Principals::kPlaces) {}
    void add(PrincipalsId id) {
        if (counted(id)) uses_[id - 1u].store(get(id) + 1, std::memory_order_relaxed);
    }
    void drop(PrincipalsId id) {   // after what the use was for, as collect() sees it
        if (counted(id)) uses_[id - 1u].store(get(id) - 1, std::memory_order_release);
    }
    uint32_t of_place(uint32_t place) const { return uses_[place].load(std::memory_order_acquire); }

 private:
    static bool counted(PrincipalsId id) { return id - 1u < Principals::kPlaces; }
    uint32_t get(PrincipalsId id) const { return uses_[id - 1u].load(std::memory_order_relaxed); }
    StatArray<std::atomic<uint32_t>> uses_;
};

/// One use, given back at the end.
class PrincipalUse {
 public:
    PrincipalUse() = default;
    PrincipalUse(const PrincipalUse&) = delete;
    PrincipalUse& operator=(const PrincipalUse&) = delete;
    ~PrincipalUse() { reset(); }
    /// Somebody else has a use of `id` now.
    void share(PrincipalUses& uses, PrincipalsId id) {
        uses.add(id);
        adopt(uses, id);
    }
    /// The caller's use becomes this one.
    void adopt(PrincipalUses& uses, PrincipalsId id) {
        reset();
        uses_ = &uses, id_ = id;
    }
    void reset() {
        if (uses_) uses_->drop(id_);
        uses_ = nullptr, id_ = kNoPrincipals;
    }
    PrincipalsId id() const { return id_; }

 private:
    PrincipalUses* uses_ = nullptr;
    PrincipalsId id_ = kNoPrincipals;
};

}  // namespace sluice::telemetry
