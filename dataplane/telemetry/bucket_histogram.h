// A histogram with Envoy's default buckets, which are Istio's too: 0.5 to 3,600,000, and one for what is above. One core writes,
// others read and add up. In: whole numbers of a unit finer than the buckets' (microseconds for milliseconds) or the same (bytes).
// 168 bytes, so that thousands may be kept; telemetry/histogram.h is the one to use where quantiles matter more than size.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "telemetry/stat_array.h"

namespace sluice::telemetry {

/// Envoy: envoy.config.metrics.v3.HistogramBucketSettings, where nothing is said.
inline constexpr std::array<double, 19> kBucketBounds = {0.5,  1,    5,    10,    25,    50,    100,    250,    500,     1000,
                                                         2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000};
inline constexpr size_t kBuckets = kBucketBounds.size() + 1;

/// Which bucket a value falls into, values being 1/PerUnit of the bounds' unit: by its power of two, then at most four steps.
template <uint32_t PerUnit>
class BucketTable {
 public:
    consteval BucketTable() {
        for (size_t i = 0; i < kBucketBounds.size(); i++) upper_[i] = static_cast<uint64_t>(kBucketBounds[i] * PerUnit);
        upper_[kBucketBounds.size()] = UINT64_MAX;
        for (uint32_t bits = 0; bits <= 64; bits++) {
            const uint64_t smallest = bits == 0 ? 0 : uint64_t{1} << (bits - 1);
            uint8_t at = 0;
            while (upper_[at] < smallest) at++;
            first_[bits] = at;
        }
    }
    size_t find(uint64_t value) const {
        size_t at = first_[static_cast<size_t>(std::bit_width(value))];
        while (value > upper_[at]) at++;
        return at;
    }

 private:
    std::array<uint64_t, kBuckets> upper_{};
    std::array<uint8_t, 65> first_{};
};
inline constexpr BucketTable<1> kByteBuckets;
inline constexpr BucketTable<1000> kMillisecondBuckets;   // of values in microseconds

struct BucketHistogram {
    std::array<Counter, kBuckets> buckets;
    Counter sum;   // in the unit of the values

    void record_bytes(uint64_t bytes) { record(kByteBuckets.find(bytes), bytes); }
    void record_us(uint64_t us) { record(kMillisecondBuckets.find(us), us); }

 private:
    void record(size_t bucket, uint64_t value) {
        buckets[bucket].add();
        sum.add(value);
    }
};

/// A reader's sum of such histograms over cores.
struct BucketSum {
    std::array<uint64_t, kBuckets> buckets{};
    uint64_t count = 0, sum = 0;

    void add(const BucketHistogram& h) {
        for (size_t i = 0; i < kBuckets; i++) {
            const uint64_t n = h.buckets[i].get();
            buckets[i] += n;
            count += n;
        }
        sum += h.sum.get();
    }
};

}  // namespace sluice::telemetry
