// Requests counted by what Istio's standard metrics tell apart: destination, principals, response code and flags, protocol, gRPC status.
// The combinations met so far are one table for all cores, that every request reads and only a new combination writes; each core
// counts in cells of its own, by the combination's place in it. In: a finished request. Out: cells that readers add up.
// Bounded: kSeriesMax combinations in all, kSeriesOfDestination for one destination; what is beyond is counted as "other".
// docs/decisions/0100-request-series.md
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "telemetry/bucket_histogram.h"
#include "telemetry/principals.h"
#include "telemetry/stat_array.h"

namespace sluice::telemetry {

inline constexpr uint32_t kSeriesMax = 4096;            // combinations in all
inline constexpr uint32_t kSeriesOfDestination = 48;    // combinations of one destination; what is beyond shares one more
inline constexpr uint32_t kDestinationIdsMax = 0xffff;
inline constexpr uint32_t kNoDestination = 0xffff;      // the request reached no cluster
inline constexpr uint16_t kOtherStatus = 0x3ff;         // the one more
inline constexpr uint8_t kNoGrpcStatus = 0x1f;

struct RequestKey {
    uint32_t destination = kNoDestination;   // upstream::Destination::id
    uint16_t status = 0;                     // 0: no answer was begun
    uint16_t flags = 0;                      // bits of enum ResponseFlag
    bool grpc = false;
    uint8_t grpc_status = kNoGrpcStatus;     // 0 to 16 where it is known
    PrincipalsId principals = kNoPrincipals; // 15 bits

    bool is_other() const { return status == kOtherStatus; }
    /// Never 0 or 1, which mean something else in the table.
    uint64_t packed() const {
        return uint64_t{1} << 63 | uint64_t{principals & 0x7fffu} << 48 | uint64_t{destination} << 32 | uint64_t{status & 0x3ffu} << 22 |
               uint64_t{flags} << 6 | uint64_t{grpc_status & 0x1fu} << 1 | uint64_t{grpc};
    }
    static RequestKey unpack(uint64_t key) {
        return {static_cast<uint32_t>(key >> 32 & 0xffff), static_cast<uint16_t>(key >> 22 & 0x3ff), static_cast<uint16_t>(key >> 6 & 0xffff),
                (key & 1) != 0, static_cast<uint8_t>(key >> 1 & 0x1f), static_cast<PrincipalsId>(key >> 48 & 0x7fff)};
    }
};

/// One combination on one core.
struct alignas(64) RequestCell {
    BucketHistogram duration_us;             // its count is the number of requests
    BucketHistogram request_bytes, response_bytes;
};

/// The combinations: shared by the cores of a gateway, outlives them.
class RequestSeries {
 public:
    static constexpr uint32_t kPlaces = 2 * kSeriesMax;
    static constexpr uint32_t kOverflowPlace = kPlaces;   // of what the table has no room for

    RequestSeries();
    RequestSeries(const RequestSeries&) = delete;
    RequestSeries& operator=(const RequestSeries&) = delete;

    /// Any worker. The place of a combination, which is given one if it has none; kOverflowPlace if there is no room.
    uint32_t place_of(const RequestKey& key) {
        const uint64_t packed = key.packed();
        for (uint32_t at = home(packed);; at = (at + 1) & (kPlaces - 1)) {
            const uint64_t there = keys_[at].load(std::memory_order_acquire);
            if (there == packed) return at;
            if (there == kEmpty) return insert(key);
        }
    }
    /// Control thread, while no core counts for the destination: its places become free; `clear(place)` empties the cells.
    template <typename Clear>
    void forget(uint32_t destination, Clear&& clear) {
        if (destination >= kNoDestination) return;
        for (uint32_t at = 0; at < kPlaces; at++) {
            const uint64_t there = keys_[at].load(std::memory_order_relaxed);
            if (there <= kGone || RequestKey::unpack(there).destination != destination) continue;
            clear(at);
            keys_[at].store(kGone, std::memory_order_release);
            used_.fetch_sub(1, std::memory_order_relaxed);
        }
        of_destination_[destination].store(0, std::memory_order_relaxed);
        sweep();
    }
    /// Readers: calls f(place, key) for every combination. A combination may be there twice, for a moment two cores met it in.
    template <typename F>
    void for_each(F&& f) const {
        for (uint32_t at = 0; at < kPlaces; at++) {
            const uint64_t there = keys_[at].load(std::memory_order_acquire);
            if (there > kGone) f(at, RequestKey::unpack(there));
        }
    }
    uint32_t used() const { return used_.load(std::memory_order_relaxed); }
    Principals& principals() { return principals_; }
    const Principals& principals() const { return principals_; }
    /// Control thread, now and then: pairs of principals that nobody has any more.
    uint32_t collect_principals(std::span<const PrincipalUses* const> cores);

 private:
    static constexpr uint64_t kEmpty = 0, kGone = 1;
    static constexpr uint32_t kLoadMax = kPlaces * 3 / 4;   // places that are not empty: a search always ends soon
    static uint32_t home(uint64_t packed) { return static_cast<uint32_t>(packed * 0x9e3779b97f4a7c15ull >> 51); }
    static_assert(kPlaces == 1u << 13, "home() takes the upper 13 bits");
    uint32_t insert(const RequestKey& key);
    bool reserve(const RequestKey& key);
    void unreserve(const RequestKey& key);
    std::pair<uint32_t, bool> claim(uint64_t packed);
    void sweep();

    Principals principals_;
    std::unique_ptr<std::atomic<uint64_t>[]> keys_;
    std::unique_ptr<std::atomic<uint8_t>[]> of_destination_;   // combinations it has, without "other"
    alignas(64) std::atomic<uint32_t> used_{0};
    std::atomic<uint32_t> taken_{0};                           // places that are not empty: used ones and those that are gone
};

/// One core's cells. Pages are touched on first use only.
class RequestCells {
 public:
    RequestCells() : cells_(RequestSeries::kPlaces) {}
    RequestCell& operator[](uint32_t place) { return cells_[place]; }
    const RequestCell& operator[](uint32_t place) const { return cells_[place]; }
    void clear(uint32_t place) { cells_.clear(place); }
    void record(uint32_t place, uint64_t duration_us, uint64_t request_bytes, uint64_t response_bytes) {
        RequestCell& cell = cells_[place];
        cell.duration_us.record_us(duration_us);
        cell.request_bytes.record_bytes(request_bytes);
        cell.response_bytes.record_bytes(response_bytes);
    }

 private:
    StatArray<RequestCell> cells_;   // its one element more is kOverflowPlace
};

}  // namespace sluice::telemetry
