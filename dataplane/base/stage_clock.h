// Where a core's cycles go, by stage: each enter() charges the time since the last one to the stage that was current.
// In: stage changes, turn ends. Out: cumulative cycles per stage, readable from other threads. One per core.
// A turn that found nothing to do is not charged to any stage.
#pragma once

#include <rte_cycles.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

namespace sluice {

enum class Stage : uint8_t {
    kDriverRx, kNet, kTcp, kHttp, kRoute, kUpstream, kProxy, kLog, kTx, kDriverTx, kOther,
};
inline constexpr size_t kStages = 11;
inline constexpr std::array<std::string_view, kStages> kStageNames = {
    "driver_rx", "net", "tcp", "http", "route", "upstream", "proxy", "log", "tx", "driver_tx", "other"};

class StageClock {
 public:
    /// Charges the current stage and makes `stage` current; returns the one before.
    Stage enter(Stage stage) {
        const uint64_t now = rte_rdtsc();
        turn_[static_cast<size_t>(current_)] += now - since_;
        since_ = now;
        const Stage before = current_;
        current_ = stage;
        return before;
    }
    void begin_turn(uint64_t now) {
        since_ = now;
        current_ = Stage::kOther;
    }
    /// `worked`: the turn's cycles are added to the totals; else they are forgotten (the worker counts them as idle).
    void end_turn(uint64_t now, bool worked) {
        turn_[static_cast<size_t>(current_)] += now - since_;
        since_ = now;
        for (size_t i = 0; i < kStages; i++) {
            if (worked) totals_[i].store(totals_[i].load(std::memory_order_relaxed) + turn_[i], std::memory_order_relaxed);
            turn_[i] = 0;
        }
    }
    /// Any thread.
    uint64_t total(Stage stage) const { return totals_[static_cast<size_t>(stage)].load(std::memory_order_relaxed); }

 private:
    uint64_t since_ = 0;
    Stage current_ = Stage::kOther;
    std::array<uint64_t, kStages> turn_{};
    std::array<std::atomic<uint64_t>, kStages> totals_{};
};

/// Charges a scope to a stage, and what follows to the one before.
class StageScope {
 public:
    StageScope(StageClock& clock, Stage stage) : clock_(clock), before_(clock.enter(stage)) {}
    ~StageScope() { clock_.enter(before_); }
    StageScope(const StageScope&) = delete;
    StageScope& operator=(const StageScope&) = delete;

 private:
    StageClock& clock_;
    Stage before_;
};

}  // namespace sluice
