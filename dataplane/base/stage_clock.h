// Where a core's cycles go, by stage: each enter() charges the time since the last one to the stage that was current.
// In: stage changes, turn ends. Out: cumulative cycles per stage, readable from other threads, and what measuring itself costs.
// In one turn of eight the stages of a request are told apart; the cycles of the others are shared out as those had them.
// One per core. A turn that found nothing to do is not charged to any stage, but for what it took beyond the usual: kInterrupted.
#pragma once

#include <rte_cycles.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>
#include <utility>

namespace sluice {

enum class Stage : uint8_t {
    kDriverRx, kNet, kTcp, kTls, kHttp, kRoute, kUpstream, kProxy, kLog, kTx, kDriverTx, kControl, kLoop, kInterrupted,
};
inline constexpr size_t kStages = 14;
inline constexpr std::array<std::string_view, kStages> kStageNames = {
    "driver_rx", "net", "tcp", "tls", "http", "route", "upstream", "proxy", "log", "tx", "driver_tx", "control", "loop", "interrupted"};

class StageClock {
 public:
    /// Charges the current stage and makes `stage` current; returns the one before.
    Stage enter(Stage stage) {
        const Stage before = current_;
        current_ = stage;
        // A request goes in and out of these ten times and more: the clock is read there in some turns only, see end_turn().
        if (!fine_ && of_request(before) && of_request(stage)) return before;
        const uint64_t now = rte_rdtsc();
        turn_[static_cast<size_t>(before)] += now - since_;
        since_ = now;
        entered_++;
        return before;
    }
    void begin_turn(uint64_t now) {
        since_ = now;
        current_ = Stage::kLoop;
    }
    /// `worked`: the turn's cycles are added to the totals; else they are forgotten (the worker counts them as idle).
    void end_turn(uint64_t now, bool worked) {
        turn_[static_cast<size_t>(current_)] += now - since_;
        since_ = now;
        if (worked) {
            if (fine_) learn_shares();
            else share_out();
            for (size_t i = 0; i < kStages; i++) totals_[i].store(totals_[i].load(std::memory_order_relaxed) + turn_[i], std::memory_order_relaxed);
            enters_.store(enters_.load(std::memory_order_relaxed) + entered_, std::memory_order_relaxed);
            fine_ = ++turns_ % kFineEvery < kFineTurns;
        }
        turn_.fill(0);
        entered_ = 0;
    }
    /// Cycles that no enter() saw.
    void charge(Stage stage, uint64_t cycles) {
        auto& total = totals_[static_cast<size_t>(stage)];
        total.store(total.load(std::memory_order_relaxed) + cycles, std::memory_order_relaxed);
    }
    /// Any thread.
    uint64_t total(Stage stage) const { return totals_[static_cast<size_t>(stage)].load(std::memory_order_relaxed); }
    /// How often a stage was entered in turns that worked: each costs cost_of_enter() cycles.
    uint64_t enters() const { return enters_.load(std::memory_order_relaxed); }
    /// Measured on this CPU, once: the best of several tries, since any of them may be interrupted.
    static uint64_t cost_of_enter() {
        constexpr uint64_t kTries = 16, kTimes = 1024;
        StageClock clock;
        uint64_t best = UINT64_MAX;
        for (uint64_t attempt = 0; attempt < kTries; attempt++) {
            const uint64_t start = rte_rdtsc();
            for (uint64_t i = 0; i < kTimes; i++) clock.enter(i & 1 ? Stage::kNet : Stage::kTcp);
            best = std::min(best, (rte_rdtsc() - start) / kTimes);
        }
        return best;
    }

 private:
    static constexpr uint32_t kFineEvery = 31, kFineTurns = 4;   // in a row: the first of them finds cold code. No power of two, lest work that comes in rounds is seen in one of them
    static constexpr unsigned kShareBits = 16;
    static constexpr uint64_t kLearntMax = uint64_t{1} << 22;    // a millisecond or two of work, then what is older counts half
    static constexpr std::array kOfRequest = {Stage::kHttp, Stage::kRoute, Stage::kUpstream, Stage::kProxy, Stage::kLog};
    static constexpr bool of_request(Stage stage) {
        return stage == Stage::kHttp || stage == Stage::kRoute || stage == Stage::kUpstream || stage == Stage::kProxy || stage == Stage::kLog;
    }
    /// What a request's stages are of all of them together, by the turns that looked.
    void learn_shares() {
        uint64_t sum = 0;
        for (size_t i = 0; i < kOfRequest.size(); i++) sum += learnt_[i] += turn_[static_cast<size_t>(kOfRequest[i])];
        if (sum == 0) return;
        for (size_t i = 0; i < kOfRequest.size(); i++) shares_[i] = static_cast<uint32_t>((learnt_[i] << kShareBits) / sum);
        if (sum < kLearntMax) return;
        for (uint64_t& cycles : learnt_) cycles /= 2;
    }
    /// A turn that did not look: its cycles in these stages, all of them, go to each by its share.
    void share_out() {
        uint64_t all = 0;
        for (const Stage stage : kOfRequest) all += std::exchange(turn_[static_cast<size_t>(stage)], 0);
        uint64_t left = all;
        for (size_t i = 0; i < kOfRequest.size(); i++) {
            const uint64_t part = all * shares_[i] >> kShareBits;
            turn_[static_cast<size_t>(kOfRequest[i])] = part;
            left -= part;
        }
        turn_[static_cast<size_t>(Stage::kProxy)] += left;
    }

    uint64_t since_ = 0;
    Stage current_ = Stage::kLoop;
    bool fine_ = true;
    uint32_t turns_ = 0;
    std::array<uint64_t, kStages> turn_{};
    uint64_t entered_ = 0;
    std::array<uint64_t, kOfRequest.size()> learnt_{};
    std::array<uint32_t, kOfRequest.size()> shares_{};
    std::atomic<uint64_t> enters_{0};
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
