// Growth and reduction of the congestion window. Window arithmetic in bytes, CUBIC's curve in segments and seconds.
// In and out: see congestion.h. No memory of its own. RFC 5681 3.1, RFC 9438 4, RFC 3465 (L = 2).
#include "tcp/congestion.h"

#include <algorithm>
#include <cmath>

namespace sluice::tcp {

namespace {
constexpr float kCubicC = 0.4f;      // RFC 9438 5
constexpr float kCubicBeta = 0.7f;   // RFC 9438 4.6
constexpr uint32_t kCwndMax = 1u << 30;
}  // namespace

void Congestion::on_ack(uint32_t acked, uint32_t mss, Instant now, Duration srtt) {
    if (slow_start()) {
        // RFC 5681 3.1 grows by min(acked, SMSS) an ACK; appropriate byte counting takes all of it, because one ACK
        // stands for a whole burst here as it does behind any large receive offload.
        const uint32_t growth = std::min(acked, ssthresh - cwnd);
        cwnd = std::min(cwnd + growth, kCwndMax);
        acked -= growth;
        if (acked == 0) return;
    }
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

uint32_t Congestion::reduced(uint32_t flight, uint32_t mss) {
    in_epoch = false;
    w_est = 0;
    const uint32_t floor = 2 * mss;
    const auto window = static_cast<float>(cwnd) / static_cast<float>(mss);
    cwnd_prior = window;
    if (!cubic) return std::max(flight / 2, floor);  // RFC 5681 (4)
    w_max = window < w_max ? window * (1 + kCubicBeta) / 2 : window;  // RFC 9438 4.7: fast convergence
    // 4.6 allows the flight size instead of cwnd where the application was the limit.
    const uint32_t base = std::min(cwnd, std::max(flight, floor));
    return std::max(static_cast<uint32_t>(static_cast<float>(base) * kCubicBeta), floor);
}

void Congestion::undo(uint32_t mss) {
    const auto before = static_cast<uint32_t>(cwnd_prior * static_cast<float>(mss));
    cwnd = std::max(cwnd, before);
    ssthresh = std::max(ssthresh, before);
    w_max = std::max(w_max, cwnd_prior);
    in_epoch = false;
}

void Congestion::on_loss(uint32_t flight, uint32_t mss) { ssthresh = reduced(flight, mss); }

void Congestion::on_timeout(uint32_t flight, uint32_t mss) {
    ssthresh = reduced(flight, mss);
    cwnd = mss;  // RFC 5681: the loss window
}

}  // namespace sluice::tcp
