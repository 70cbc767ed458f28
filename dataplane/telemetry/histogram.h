// A log-linear histogram (HDR-like): 16 buckets for each power of two, so a value is known within 1/16 at any size. One core
// writes, others read and add up. Fixed size; recording is a shift, an add and a store.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "telemetry/stat_array.h"

namespace sluice::telemetry {

inline constexpr uint32_t kHistogramSubBits = 4;
inline constexpr uint32_t kHistogramMaxBits = 36;   // values above 2^36 - 1 (19 hours in us) count as that
inline constexpr uint32_t kHistogramBuckets = (kHistogramMaxBits - kHistogramSubBits + 1) << kHistogramSubBits;

constexpr uint32_t histogram_bucket(uint64_t value) {
    value = std::min<uint64_t>(value, (uint64_t{1} << kHistogramMaxBits) - 1);
    if (value < (1u << kHistogramSubBits)) return static_cast<uint32_t>(value);
    const auto shift = static_cast<uint32_t>(std::bit_width(value)) - kHistogramSubBits - 1;
    return (shift << kHistogramSubBits) + static_cast<uint32_t>(value >> shift);
}
/// The largest value that falls into `bucket`.
constexpr uint64_t histogram_upper(uint32_t bucket) {
    if (bucket < (2u << kHistogramSubBits)) return bucket;
    const uint32_t shift = (bucket >> kHistogramSubBits) - 1;
    const uint64_t mantissa = (bucket & ((1u << kHistogramSubBits) - 1)) | (1u << kHistogramSubBits);
    return ((mantissa + 1) << shift) - 1;
}

class Histogram {
 public:
    void record(uint64_t value) {
        buckets_[histogram_bucket(value)].add();
        sum_.add(value);
    }
    uint64_t bucket(uint32_t i) const { return buckets_[i].get(); }
    uint64_t sum() const { return sum_.get(); }

 private:
    std::array<Counter, kHistogramBuckets> buckets_;
    Counter sum_;
};

/// A reader's sum of histograms over cores.
struct HistogramSum {
    std::array<uint64_t, kHistogramBuckets> buckets{};
    uint64_t count = 0, sum = 0;

    void add(const Histogram& h) {
        for (uint32_t i = 0; i < kHistogramBuckets; i++) {
            buckets[i] += h.bucket(i);
            count += h.bucket(i);
        }
        sum += h.sum();
    }
    /// The upper end of the bucket that holds quantile q of the values; 0 if there are none.
    uint64_t quantile(double q) const;
    /// How many values are at most `value`, to the resolution of the buckets.
    uint64_t at_most(uint64_t value) const;
};

}  // namespace sluice::telemetry
