// Quantiles and the correction for coordinated omission (see latency.h).
// In and out: see the header. Nothing here runs while requests are timed.
#include "perf/load_generator/latency.h"

#include <algorithm>
#include <cmath>

namespace sluice::perf {

void Latency::add(const Latency& other) {
    for (uint32_t i = 0; i < kBuckets; i++) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    sum_ += other.sum_;
    max_ = std::max(max_, other.max_);
}

void Latency::clear() {
    std::fill(buckets_.begin(), buckets_.end(), 0);
    count_ = sum_ = max_ = 0;
}

uint64_t Latency::quantile(double q) const {
    if (count_ == 0) return 0;
    const auto wanted = std::max<uint64_t>(1, static_cast<uint64_t>(std::ceil(q * static_cast<double>(count_))));
    uint64_t seen = 0;
    for (uint32_t i = 0; i < kBuckets; i++) {
        seen += buckets_[i];
        if (seen >= wanted) return std::min(upper(i), max_);
    }
    return max_;
}

Latency Latency::corrected(uint64_t expected_ns) const {
    Latency out = *this;
    if (expected_ns == 0) return out;
    for (uint32_t i = 0; i < kBuckets; i++) {
        if (buckets_[i] == 0) continue;
        const uint64_t value = std::min(upper(i), max_);
        for (uint64_t missing = value; missing >= 2 * expected_ns;) {
            missing -= expected_ns;
            out.record(missing, buckets_[i]);
        }
    }
    return out;
}

}  // namespace sluice::perf
