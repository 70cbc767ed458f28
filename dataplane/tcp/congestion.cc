// Growth and reduction of the congestion window. Window arithmetic in bytes, CUBIC's curve in segments and seconds.
// In and out: see congestion.h. No memory of its own. RFC 5681 3.1, RFC 9438 4, RFC 3465 (without its limit L), RFC 9406 4.
#include "tcp/congestion.h"

#include <algorithm>
#include <cmath>

namespace sluice::tcp {

namespace {
constexpr float kCubicC = 0.4f;      // RFC 9438 5
constexpr float kCubicBeta = 0.7f;   // RFC 9438 4.6
constexpr float kRenoBeta = 0.5f;    // RFC 5681 (4)
constexpr float kCubicBetaMark = 0.85f, kRenoBetaMark = 0.8f;  // RFC 8511 3.1
// RFC 9406 4.3.
constexpr uint32_t kRttThreshMinUs = 4000, kRttThreshMaxUs = 16000, kRttDivisor = 8, kRttSamples = 8;
constexpr uint32_t kCssGrowthDivisor = 4, kCssRounds = 5;
constexpr uint32_t kCwndMax = 1u << 30;
}  // namespace

void Congestion::start(uint32_t initial_cwnd, bool use_cubic) {
    cwnd = initial_cwnd;
    cubic = use_cubic;
    start_phase = Start::kSlow;
    round = {UINT32_MAX, UINT32_MAX, UINT32_MAX, {}, 0, 0};
}

/// The rounds' memory becomes the curve's.
void Congestion::end_hystart() {
    if (!hystart()) return;
    start_phase = Start::kOver;
    w_max = k_s = cwnd_prior = w_est = 0;
    epoch_ms = 0;
}

void Congestion::on_round(Seq snd_una, Seq snd_nxt, Duration rtt) {
    if (round.last_min_us == UINT32_MAX && round.current_min_us == UINT32_MAX && round.samples == 0) round.window_end = snd_una;
    if (snd_una.at_or_after(round.window_end)) {  // a round is over
        round.window_end = snd_nxt;
        round.last_min_us = round.current_min_us;
        round.current_min_us = UINT32_MAX;
        round.samples = 0;
        if (start_phase == Start::kConservative && ++round.css_rounds >= kCssRounds) {
            ssthresh = cwnd;  // the queue kept growing: congestion avoidance from here
            return end_hystart();
        }
    }
    if (rtt.us < 0) return;
    round.current_min_us = std::min(round.current_min_us, static_cast<uint32_t>(std::min<int64_t>(rtt.us, 60'000'000)));
    if (round.samples < kRttSamples) round.samples++;
    if (round.samples < kRttSamples) return;
    if (start_phase == Start::kConservative) {
        if (round.current_min_us < round.css_baseline_us) start_phase = Start::kSlow;  // it was only jitter
    } else if (round.last_min_us != UINT32_MAX) {
        const uint32_t thresh_us = std::clamp(round.last_min_us / kRttDivisor, kRttThreshMinUs, kRttThreshMaxUs);
        if (round.current_min_us < round.last_min_us + thresh_us) return;
        round.css_baseline_us = round.current_min_us;
        round.css_rounds = 0;
        start_phase = Start::kConservative;
    }
}

void Congestion::on_ack(uint32_t acked, uint32_t mss, Instant now, Duration srtt) {
    if (slow_start()) {
        // RFC 5681 3.1 grows by min(acked, SMSS) an ACK; appropriate byte counting takes all of it, because one ACK
        // stands for a whole burst here as it does behind any large receive offload.
        const uint32_t slower = start_phase == Start::kConservative ? kCssGrowthDivisor : 1;
        const uint32_t growth = std::min(acked / slower, ssthresh - cwnd);
        cwnd = std::min(cwnd + growth, kCwndMax);
        acked -= std::min(acked, growth * slower);
        if (acked == 0 || slow_start()) return;
    }
    end_hystart();  // a ssthresh of our own ends it as well (RFC 9406 4.2: only the initial slow start)
    if (cubic) return grow_cubic(acked, mss, now, srtt);
    w_est += static_cast<float>(acked);  // RFC 5681 3.1 (3): one SMSS for each cwnd of bytes
    if (w_est >= static_cast<float>(cwnd)) {
        w_est -= static_cast<float>(cwnd);
        cwnd = std::min(cwnd + mss, kCwndMax);
    }
}

void Congestion::grow_cubic(uint32_t acked, uint32_t mss, Instant now, Duration srtt) {
    const auto window = static_cast<float>(cwnd) / static_cast<float>(mss);
    const auto now_ms = static_cast<uint32_t>(now.us / 1000);
    if (!in_epoch) {  // RFC 9438 4.2: a new congestion avoidance stage
        in_epoch = true;
        epoch_ms = now_ms;
        w_est = window;
        if (w_max <= window) {
            w_max = window;
            k_s = 0;
        } else {
            k_s = std::cbrt((w_max - window) / kCubicC);
        }
        if (cwnd_prior == 0) cwnd_prior = window;
    }
    const float segments_acked = static_cast<float>(acked) / static_cast<float>(mss);
    // 4.3: the Reno-friendly window; alpha is 1 once w_est has caught up with what was lost.
    const float alpha = w_est >= cwnd_prior ? 1.0f : 3 * (1 - kCubicBeta) / (1 + kCubicBeta);
    w_est += alpha * segments_acked / window;
    const float t = static_cast<float>(now_ms - epoch_ms) / 1000;
    const float rtt_s = static_cast<float>(srtt.us) / 1e6f;
    auto w_cubic = [this](float at) { return kCubicC * (at - k_s) * (at - k_s) * (at - k_s) + w_max; };
    float target;
    if (w_cubic(t) < w_est) {
        target = std::max(window, w_est);
        cwnd = std::max(cwnd, static_cast<uint32_t>(target * static_cast<float>(mss)));
        return;
    }
    target = std::clamp(w_cubic(t + rtt_s), window, 1.5f * window);  // 4.2
    const float growth = (target - window) / window * segments_acked;  // 4.4, 4.5: cwnd + (target - cwnd) / cwnd an ACK
    cwnd = std::min(cwnd + static_cast<uint32_t>(growth * static_cast<float>(mss)), kCwndMax);
}

uint32_t Congestion::reduced(uint32_t flight, uint32_t mss, float beta) {
    end_hystart();
    in_epoch = false;
    w_est = 0;
    const uint32_t floor = 2 * mss;
    const auto window = static_cast<float>(cwnd) / static_cast<float>(mss);
    cwnd_prior = window;
    // RFC 5681 (4) takes the flight; RFC 9438 4.6 allows it instead of cwnd where the application was the limit.
    uint32_t base = flight;
    if (cubic) {
        w_max = window < w_max ? window * (1 + kCubicBeta) / 2 : window;  // RFC 9438 4.7: fast convergence
        base = std::min(cwnd, std::max(flight, floor));
    }
    return std::max(static_cast<uint32_t>(static_cast<float>(base) * beta), floor);
}

void Congestion::hold(uint32_t mss) {
    end_hystart();
    ssthresh = cwnd;
    cwnd_prior = static_cast<float>(cwnd) / static_cast<float>(mss);
}

void Congestion::on_mark(uint32_t flight, uint32_t mss) {
    ssthresh = reduced(flight, mss, cubic ? kCubicBetaMark : kRenoBetaMark);
    cwnd = std::min(cwnd, ssthresh);
}

void Congestion::undo(uint32_t mss) {
    const auto before = static_cast<uint32_t>(cwnd_prior * static_cast<float>(mss));
    cwnd = std::max(cwnd, before);
    ssthresh = std::max(ssthresh, before);
    w_max = std::max(w_max, cwnd_prior);
    in_epoch = false;
}

void Congestion::on_loss(uint32_t flight, uint32_t mss) {
    ssthresh = reduced(flight, mss, cubic ? kCubicBeta : kRenoBeta);
}

void Congestion::on_timeout(uint32_t flight, uint32_t mss) {
    ssthresh = reduced(flight, mss, cubic ? kCubicBeta : kRenoBeta);
    cwnd = mss;  // RFC 5681: the loss window
}

}  // namespace sluice::tcp
