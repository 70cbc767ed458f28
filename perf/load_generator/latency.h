// Latencies of a run in nanoseconds: an HDR histogram, 256 buckets for each power of two, so a value is known within 0.4 %.
// In: values. Out: quantiles, mean, largest; a copy corrected for coordinated omission. Fixed size, no allocation after
// construction; recording is a shift, an add and a store. One writer.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace sluice::perf {

class Latency {
 public:
    static constexpr uint32_t kSubBits = 8, kMaxBits = 40;   // up to 18 minutes
    static constexpr uint32_t kBuckets = (kMaxBits - kSubBits + 1) << kSubBits;

    Latency() : buckets_(kBuckets) {}
    void record(uint64_t ns, uint64_t times = 1) {
        buckets_[bucket(ns)] += times;
        count_ += times;
        sum_ += ns * times;
        if (ns > max_) max_ = ns;
    }
    void add(const Latency& other);
    void clear();

    /// The upper end of the bucket that holds quantile q (0 to 1), never above the largest value; 0 if there is none.
    uint64_t quantile(double q) const;
    uint64_t count() const { return count_; }
    uint64_t max() const { return max_; }
    double mean() const { return count_ ? static_cast<double>(sum_) / static_cast<double>(count_) : 0; }

    /// For a closed loop that would have sent every `expected_ns`: while it waited for an answer of `v`, it left out requests
    /// that would have taken v - expected, v - 2 expected, ... (HdrHistogram's correction).
    Latency corrected(uint64_t expected_ns) const;

    static constexpr uint32_t bucket(uint64_t value) {
        constexpr uint64_t kLargest = (uint64_t{1} << kMaxBits) - 1;
        if (value > kLargest) value = kLargest;
        if (value < (1u << kSubBits)) return static_cast<uint32_t>(value);
        const auto shift = static_cast<uint32_t>(std::bit_width(value)) - kSubBits - 1;
        return (shift << kSubBits) + static_cast<uint32_t>(value >> shift);
    }
    /// The largest value of a bucket.
    static constexpr uint64_t upper(uint32_t bucket) {
        if (bucket < (2u << kSubBits)) return bucket;
        const uint32_t shift = (bucket >> kSubBits) - 1;
        const uint64_t mantissa = (bucket & ((1u << kSubBits) - 1)) | (1u << kSubBits);
        return ((mantissa + 1) << shift) - 1;
    }

 private:
    std::vector<uint64_t> buckets_;
    uint64_t count_ = 0, sum_ = 0, max_ = 0;
};

}  // namespace sluice::perf
