// Congestion windows: NewReno (RFC 5681) and CUBIC (RFC 9438), one small value in each control block.
// In: bytes acknowledged, losses, timeouts, with the time and the smoothed RTT. Out: cwnd and ssthresh in bytes.
// Which bytes are lost and when they are sent again is recovery.cc's business. Owns nothing.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace sluice::tcp {

struct Congestion {
    uint32_t cwnd = 0;
    uint32_t ssthresh = UINT32_MAX;
    // CUBIC, in segments and seconds, RFC 9438 4.1.
    float w_max = 0, k_s = 0, cwnd_prior = 0;
    float w_est = 0;  // the Reno-friendly window; for NewReno: bytes acknowledged towards the next segment of growth
    uint32_t epoch_ms = 0;
    bool in_epoch = false;
    bool cubic = true;

    bool slow_start() const { return cwnd < ssthresh; }
    void start(uint32_t initial_cwnd, bool use_cubic) { cwnd = initial_cwnd, cubic = use_cubic; }
    /// Growth and reductions follow the other rules from here on; the windows stay.
    void use(bool use_cubic) {
        if (cubic != use_cubic) w_max = w_est = cwnd_prior = 0, in_epoch = false;
        cubic = use_cubic;
    }
    /// `acked` new bytes were acknowledged while the window was the limit, outside of recovery.
    void on_ack(uint32_t acked, uint32_t mss, Instant now, Duration srtt);
    /// A loss episode begins: sets ssthresh; cwnd is left to recovery (RFC 6937), which ends by settle().
    void on_loss(uint32_t flight, uint32_t mss);
    /// Retransmission timeout: one segment, slow start again.
    void on_timeout(uint32_t flight, uint32_t mss);
    /// The last reduction was for nothing (RFC 4015).
    void undo(uint32_t mss);
    /// Idle longer than an RTO: start again from at most the initial window (RFC 5681 4.1).
    void on_idle(uint32_t initial_cwnd) {
        if (cwnd > initial_cwnd) cwnd = initial_cwnd;
        in_epoch = false;
    }

 private:
    void grow_cubic(uint32_t acked, uint32_t mss, Instant now, Duration srtt);
    uint32_t reduced(uint32_t flight, uint32_t mss);
};

}  // namespace sluice::tcp
