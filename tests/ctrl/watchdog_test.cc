// A core whose counter stands still is named once, and once more when it moves; virtual time.
#include <gtest/gtest.h>

#include "ctrl/control/watchdog.h"

namespace sluice::control {
namespace {

using std::chrono::milliseconds;

TEST(Watchdog, ACoreThatStandsStillIsNamedOnceAndWhenItMovesAgain) {
    std::vector<std::pair<std::string, bool>> said;
    Watchdog watchdog({"worker 0 on CPU 2", "worker 1 on CPU 3"}, [&](const std::string& text, bool stalled) { said.emplace_back(text, stalled); });
    Watchdog::Clock::time_point now{};
    uint64_t beats[2] = {};
    const auto look = [&](int ms, bool first, bool second) {
        now += milliseconds(ms);
        beats[0] += first, beats[1] += second;
        return watchdog.look(beats, now);
    };
    EXPECT_TRUE(look(5000, false, false)) << "the first look only remembers";
    for (int i = 0; i < 100; i++) EXPECT_TRUE(look(200, true, true));
    for (int i = 0; i < 9; i++) EXPECT_TRUE(look(200, true, false)) << i;
    EXPECT_TRUE(said.empty());
    EXPECT_FALSE(look(200, true, false));
    EXPECT_FALSE(look(200, true, false));
    ASSERT_EQ(said.size(), 1u);
    EXPECT_TRUE(said[0].first.starts_with("worker 1 on CPU 3 has not turned for 2.0 s")) << said[0].first;
    EXPECT_TRUE(said[0].second);
    EXPECT_TRUE(look(200, true, true));
    ASSERT_EQ(said.size(), 2u);
    EXPECT_EQ(said[1].first, "worker 1 on CPU 3 turns again after 2.4 s");
    EXPECT_FALSE(said[1].second);
    EXPECT_TRUE(look(1900, false, true));
    EXPECT_FALSE(look(200, false, true));
    EXPECT_EQ(said.size(), 3u);
}

}  // namespace
}  // namespace sluice::control
