// Round-trip estimate and retransmission timeout of one connection (RFC 6298).
// In: round-trip samples of segments sent once (Karn), or by timestamps. Out: smoothed RTT, RTO.
// A plain value inside the control block; owns nothing.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "base/time.h"

namespace sluice::tcp {

struct RttEstimator {
    uint32_t srtt_us = 0;  // 0: no sample yet
    uint32_t rttvar_us = 0;
    uint32_t rto_us = 1'000'000;  // RFC 6298 (2.1): 1 second before the first sample

    void sample(Duration rtt, Duration rto_min, Duration rto_max) {
        const int64_t r = std::clamp<int64_t>(rtt.us, 1, 60'000'000);
        if (srtt_us == 0) {  // (2.2)
            srtt_us = static_cast<uint32_t>(r);
            rttvar_us = static_cast<uint32_t>(r / 2);
        } else {  // (2.3), beta = 1/4, alpha = 1/8
            const int64_t deviation = std::abs(static_cast<int64_t>(srtt_us) - r);
            rttvar_us = static_cast<uint32_t>((3 * static_cast<int64_t>(rttvar_us) + deviation) / 4);
            srtt_us = static_cast<uint32_t>(std::max<int64_t>(1, (7 * static_cast<int64_t>(srtt_us) + r) / 8));
        }
        const int64_t granularity_us = 1000;
        const int64_t rto = srtt_us + std::max<int64_t>(granularity_us, 4 * static_cast<int64_t>(rttvar_us));
        // (2.4) asks for a minimum of 1 s; like every deployed stack we take rto_min (200 ms): spurious timeouts of
        // delayed ACKs are avoided by it, and a second would be a long stall inside a data centre.
        rto_us = static_cast<uint32_t>(std::clamp(rto, rto_min.us, rto_max.us));
    }
    /// (5.5): double it, `backoff` times.
    Duration backed_off(uint8_t backoff, Duration rto_max) const {
        return {std::min<int64_t>(static_cast<int64_t>(rto_us) << std::min<uint8_t>(backoff, 20), rto_max.us)};
    }
};

}  // namespace sluice::tcp
