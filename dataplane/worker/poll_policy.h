// How a worker waits when a turn found nothing: busy (never), or adaptive: spin, giving way to whoever shares the core
// (a software port's receive thread in the kernel, above all), then sleep up to a bound.
// In: whether the last turn worked, the time, the next deadline. Out: what to do before the next turn. Pure; no clock.
// What an empty turn costs is learnt here too, so that utilisation can be told while spinning.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.h"

namespace sluice::worker {

struct PollConfig {
    bool busy = false;
    Duration spin = microseconds(400);        // after the last work: latency under load. Each empty turn yields the CPU
    Duration yield_after = microseconds(30);  // gaps between batches of middling size are spun through: fuller batches cost less
    Duration sleep_min = microseconds(50);    // then asleep, doubling
    Duration sleep_max = microseconds(500);
    // Where threads that give way to the worker wait for its CPU (handshakes, on a machine with no other): it rests after each empty
    // turn, and at full load now and then, so that they have a sixth of the CPU at least.
    Duration rest = microseconds(100);   // shorter ones cost more in waking up than they give in latency
    Duration full_load_rest = microseconds(200), full_load_rest_every = milliseconds(1);
};

class PollPolicy {
 public:
    enum class Action : uint8_t { kNone, kYield, kSleep };
    struct Decision {
        Action action = Action::kNone;
        Duration duration{};
    };

    explicit PollPolicy(const PollConfig& config) : config_(config), sleep_(config.sleep_min) {}

    Decision after_turn(bool worked, Instant now, Instant next_deadline, bool others_wait = false) {
        if (now - window_start_ >= kWindow) {
            frames_last_window_ = now - window_start_ < kWindow * 2 ? frames_ : 0;
            frames_ = 0;
            window_start_ = now;
        }
        if (others_wait) [[unlikely]] {
            if (worked) last_work_ = now;
            return rest_for_others(worked, now, next_deadline);
        }
        others_waited_since_ = Instant::never();
        if (worked) {
            last_work_ = now;
            sleep_ = config_.sleep_min;
            if (config_.busy || batch_ < kLargeBatch) return {};
            batch_ = 0;
            return {Action::kYield, {}};
        }
        const Duration idle = now - last_work_;
        if (config_.busy) return {};
        if (idle < config_.spin) return {gives_way(idle) ? Action::kYield : Action::kNone, {}};
        Duration wait = sleep_;
        sleep_ = std::min(sleep_ * 2, config_.sleep_max);
        if (next_deadline <= now) return {};
        if (next_deadline != Instant::never()) wait = std::min(wait, next_deadline - now);
        return {Action::kSleep, wait};
    }

    /// Frames that the turn received.
    void received(uint32_t frames) {
        if (resting_) batch_ = 0, resting_ = false;
        batch_ += frames;
        frames_ += frames;
    }

 private:
    // A lone frame's sender waits for its answer, and a long batch means that the kernel's queue (256 frames on veth) is about to
    // overflow: both want the receive thread to run now. Else waiting a little longer makes the next batch fuller. Small batches at a
    // high rate are no lone frames: giving way to each would wake the thread for every frame, and stay so.
    static constexpr uint32_t kSmallBatch = 4, kLargeBatch = 96;
    static constexpr uint32_t kSlowFrames = 40;   // a window
    static constexpr Duration kWindow = milliseconds(1);
    bool gives_way(Duration idle) {
        resting_ = true;
        const bool lone = batch_ <= kSmallBatch && frames_last_window_ <= kSlowFrames && frames_ <= kSlowFrames;
        return lone || idle >= config_.yield_after;
    }

    Decision rest_for_others(bool worked, Instant now, Instant next_deadline) {
        if (others_waited_since_ == Instant::never()) others_waited_since_ = now;
        const bool overdue = now - others_waited_since_ >= config_.full_load_rest_every;
        if (worked && !overdue) return {};
        Duration wait = overdue ? config_.full_load_rest : config_.rest;
        if (!overdue && next_deadline <= now) return {};
        if (!overdue && next_deadline != Instant::never()) wait = std::min(wait, next_deadline - now);
        others_waited_since_ = now + wait;
        return {Action::kSleep, wait};
    }

    PollConfig config_;
    Instant others_waited_since_ = Instant::never();   // since they last had the CPU
    uint32_t batch_ = 0;     // frames since the last empty turn, or since way was given
    uint32_t frames_ = 0, frames_last_window_ = 0;
    bool resting_ = false;
    Instant last_work_, window_start_;
    Duration sleep_;
};

/// The usual cost of an empty turn in cycles: a moving average that an interrupted turn cannot raise.
class EmptyTurnCost {
 public:
    /// Counts one empty turn; returns how many of its cycles were idle. The rest was stolen or is work we did not notice.
    uint64_t idle_part(uint64_t cycles) {
        if (cost_ == 0) cost_ = cycles;
        const uint64_t counted = std::min(cycles, cost_ * 2);
        cost_ = (cost_ * 63 + counted + 32) / 64;
        return std::min(cycles, cost_ * 2);
    }
    uint64_t cost() const { return cost_; }

 private:
    uint64_t cost_ = 0;
};

}  // namespace sluice::worker
