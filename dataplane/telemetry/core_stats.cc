// Words for the enums, and sums over cores. Reader side only: nothing here runs on a worker.
#include "telemetry/core_stats.h"

#include <cmath>

namespace sluice::telemetry {

std::string_view to_string(FailureReason reason) {
    switch (reason) {
        case FailureReason::kNone: return "none";
        case FailureReason::kRefused: return "refused";
        case FailureReason::kConnectTimeout: return "connect timeout";
        case FailureReason::kUnreachable: return "unreachable";
        case FailureReason::kReset: return "reset";
        case FailureReason::kClosedEarly: return "closed before a response";
        case FailureReason::kRequestTimeout: return "request timeout";
        case FailureReason::kProtocolError: return "protocol error";
        case FailureReason::kNoPorts: return "no source ports left";
        case FailureReason::kTls: return "TLS handshake failed";
        case FailureReason::kCount: break;
    }
    return "unknown";
}

std::string_view to_string(CopyReason reason) {
    switch (reason) {
        case CopyReason::kHeader: return "header";
        case CopyReason::kCopyBreak: return "copy_break";
        case CopyReason::kLinearized: return "linearized";
        case CopyReason::kCompacted: return "compacted";
        case CopyReason::kCount: break;
    }
    return "unknown";
}

EndpointSummary summarize_endpoint(std::span<const CoreStats* const> cores, uint32_t id) {
    EndpointSummary out;
    uint64_t down_since = UINT64_MAX;
    for (const CoreStats* core : cores) {
        const EndpointStats& e = core->endpoint(id);
        out.requests += e.requests.get();
        out.active += e.requests_active.get();
        out.failures += e.failures.get();
        out.connect_failures += e.connect_failures.get();
        out.responses_5xx += e.responses_5xx.get();
        out.last_success_us = std::max(out.last_success_us, e.last_success_us.get());
        if (const uint64_t at = e.last_failure_us(); at > out.last_failure_us) {
            out.last_failure_us = at;
            out.last_failure_reason = e.last_failure_reason();
        }
        if (const uint64_t since = e.down_since_us.get()) down_since = std::min(down_since, since);
    }
    // Another core's success after the last failure speaks for the endpoint.
    if (down_since != UINT64_MAX && out.last_failure_us > out.last_success_us) {
        out.down_since_us = std::max(down_since, out.last_success_us);
    }
    return out;
}

uint64_t HistogramSum::quantile(double q) const {
    if (count == 0) return 0;
    const auto rank = std::max<uint64_t>(1, static_cast<uint64_t>(std::ceil(q * static_cast<double>(count))));
    uint64_t seen = 0;
    for (uint32_t i = 0; i < kHistogramBuckets; i++) {
        seen += buckets[i];
        if (seen >= rank) return histogram_upper(i);
    }
    return histogram_upper(kHistogramBuckets - 1);
}

uint64_t HistogramSum::at_most(uint64_t value) const {
    uint64_t seen = 0;
    for (uint32_t i = 0; i < kHistogramBuckets && histogram_upper(i) <= value; i++) seen += buckets[i];
    return seen;
}

}  // namespace sluice::telemetry
