// Congestion windows: NewReno (RFC 5681) and CUBIC (RFC 9438), HyStart++ before either (RFC 9406), one small value in each
// control block. In: bytes acknowledged, round-trip samples, losses, marks, timeouts, with the time and the smoothed RTT.
// Out: cwnd and ssthresh in bytes. Which bytes are lost and when they are sent again is recovery.cc's business. Owns nothing.
#pragma once

#include <cstdint>

#include "base/seq.h"
#include "base/time.h"

namespace sluice::tcp {

struct Congestion {
    uint32_t cwnd = 0;
    uint32_t ssthresh = UINT32_MAX;
    union {
        struct {  // CUBIC, in segments and seconds, RFC 9438 4.1
            float w_max, k_s, cwnd_prior;
            float w_est;  // the Reno-friendly window; for NewReno: bytes acknowledged towards the next segment of growth
            uint32_t epoch_ms;
        };
        struct {  // the first slow start, RFC 9406 4.2; only one of the two is needed at a time
            uint32_t last_min_us, current_min_us, css_baseline_us;
            Seq window_end;
            uint16_t samples, css_rounds;
        } round;
    };
    bool in_epoch = false;
    bool cubic = true;
    enum class Start : uint8_t { kSlow, kConservative /* CSS */, kOver } start_phase = Start::kSlow;

    Congestion() : w_max(0), k_s(0), cwnd_prior(0), w_est(0), epoch_ms(0) {}
    bool slow_start() const { return cwnd < ssthresh; }
    void start(uint32_t initial_cwnd, bool use_cubic);
    /// Growth and reductions follow the other rules from here on; the windows stay.
    void use(bool use_cubic) {
        if (cubic != use_cubic && !hystart()) w_max = w_est = cwnd_prior = 0, in_epoch = false;
        cubic = use_cubic;
    }
    /// True while the first slow start lasts: on_round() wants to know of every ACK.
    bool hystart() const { return start_phase != Start::kOver; }
    /// An ACK up to `snd_una`, with a round-trip sample or a negative one: has the queue begun to grow?
    void on_round(Seq snd_una, Seq snd_nxt, Duration rtt);
    /// `acked` new bytes were acknowledged while the window was the limit, outside of recovery.
    void on_ack(uint32_t acked, uint32_t mss, Instant now, Duration srtt);
    /// A loss episode begins: sets ssthresh; cwnd is left to recovery (RFC 6937), which ends by settle().
    void on_loss(uint32_t flight, uint32_t mss);
    /// Something is repeated, but not for congestion: the window stays, and growth goes on as congestion avoidance.
    void hold(uint32_t mss);
    /// The network marked instead of dropping (RFC 3168, 8511): cwnd falls at once, and by less.
    void on_mark(uint32_t flight, uint32_t mss);
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
    uint32_t reduced(uint32_t flight, uint32_t mss, float beta);
    void end_hystart();
};
static_assert(sizeof(Congestion) == 32);

}  // namespace sluice::tcp
