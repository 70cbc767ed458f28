// Cycles by stage: all of a worked turn's are in the totals, whether its stages were told apart or shared out.
#include "base/stage_clock.h"

#include <gtest/gtest.h>

#include <numeric>

namespace sluice {
namespace {

uint64_t sum(const StageClock& clock) {
    uint64_t cycles = 0;
    for (size_t i = 0; i < kStages; i++) cycles += clock.total(static_cast<Stage>(i));
    return cycles;
}

/// Stays in the current stage until so many cycles have gone by.
void spend(uint64_t cycles) {
    const uint64_t until = rte_rdtsc() + cycles;
    while (rte_rdtsc() < until) {
    }
}

/// A turn with one request in it; returns its cycles.
uint64_t turn(StageClock& clock, bool worked, uint64_t http_cycles, uint64_t proxy_cycles) {
    const uint64_t begin = rte_rdtsc();
    clock.begin_turn(begin);
    clock.enter(Stage::kTcp);
    clock.enter(Stage::kProxy);
    {
        const StageScope scope(clock, Stage::kHttp);
        if (http_cycles > 0) spend(http_cycles);
    }
    if (proxy_cycles > 0) spend(proxy_cycles);
    clock.enter(Stage::kLoop);
    const uint64_t end = rte_rdtsc();
    clock.end_turn(end, worked);
    return end - begin;
}

TEST(StageClock, EveryCycleOfATurnThatWorkedIsInTheTotals) {
    StageClock clock;
    uint64_t cycles = 0;
    for (int i = 0; i < 200; i++) {
        cycles += turn(clock, true, 500, 500);
        turn(clock, false, 0, 0);
        ASSERT_EQ(sum(clock), cycles) << "turn " << i;
    }
}

TEST(StageClock, MostTurnsDoNotReadTheClockWithinARequest) {
    StageClock clock;
    for (int i = 0; i < 310; i++) turn(clock, true, 0, 0);
    // Five changes of stage, two of them within the request: all are read in 4 of 31 turns, three in the others.
    EXPECT_EQ(clock.enters(), 310u * 3 + 40u * 2);
}

TEST(StageClock, TurnsThatDoNotLookShareOutAsTheOthersSaw) {
    // A turn that looks and loses its CPU meanwhile learns wrong shares: then another clock is tried.
    bool shared_out = false;
    for (int attempt = 0; attempt < 20 && !shared_out; attempt++) {
        StageClock clock;
        for (int i = 0; i < 4; i++) turn(clock, true, 200'000, 0);   // those that look
        const uint64_t before = clock.total(Stage::kProxy);
        uint64_t cycles = 0;
        for (int i = 0; i < 20; i++) cycles += turn(clock, true, 0, 20'000);
        shared_out = clock.total(Stage::kProxy) - before < cycles / 2;   // though all of it was spent there
    }
    EXPECT_TRUE(shared_out);
}

}  // namespace
}  // namespace sluice
