// Two cores of a gateway write no cache line that the other touches, with requests of several kinds; and a line they do share is found
// among all of the rest. What comes now and then (news of a neighbour) may be in a round, not in every one.
#include <gtest/gtest.h>

#include "base/clock.h"
#include "perf/line_recorder/cores.h"
#include "perf/line_recorder/names.h"
#include "tests/support/eal.h"

namespace sluice::perf {
namespace {

class CoresShareNothing : public ::testing::Test {
 protected:
    CoresShareNothing() {
        test::test_eal();
        TscClock::calibrate();
    }
    static Sharing record(const PathSetup& path, bool plant = false) {
        const SharingSetup setup{.requests = 300, .rounds = 3, .warmup = 1000, .path = path, .plant = plant};
        const Sharing found = record_cores(setup);
        for (const RecordedLines& core : found.cores) {
            EXPECT_EQ(core.lost, 0u);
            EXPECT_GT(core.accesses, 100u * setup.requests) << "instrumented code ran";
        }
        EXPECT_GT(found.read_by_both, 20u) << "both worked by the same snapshot";
        EXPECT_EQ(found.strays, 0u);
        return found;
    }
    static std::string text(const std::vector<SharedLine>& lines) {
        std::string all;
        for (const SharedLine& line : lines)
            for (const LineAccess& access : line.access) all += code_name(access.written ? access.store.at : access.load.at) + "\n";
        return all;
    }
};

TEST_F(CoresShareNothing, WithSmallAnswers) {
    const Sharing found = record({.connections = 64, .idle_connections = 0, .body_bytes = 1024});
    EXPECT_TRUE(found.every_round.empty()) << text(found.every_round);
}

TEST_F(CoresShareNothing, WithLargeAnswers) {
    const Sharing found = record({.connections = 8, .idle_connections = 0, .body_bytes = 65536});
    EXPECT_TRUE(found.every_round.empty()) << text(found.every_round);
}

TEST_F(CoresShareNothing, AmongIdleConnections) {
    const Sharing found = record({.connections = 8, .idle_connections = 2000, .body_bytes = 0});
    EXPECT_TRUE(found.every_round.empty()) << text(found.every_round);
}

TEST_F(CoresShareNothing, AndACounterTheyShareIsFound) {
    const Sharing found = record({.connections = 8, .idle_connections = 0, .body_bytes = 0}, true);
    ASSERT_EQ(found.every_round.size(), 1u) << text(found.every_round);
    EXPECT_TRUE(found.every_round[0].same_bytes());
}

}  // namespace
}  // namespace sluice::perf
