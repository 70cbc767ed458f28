// Two cores of a gateway proxy requests at the same time, each in its own thread over the tables that a gateway's cores share, and their
// accesses are recorded in rounds. In: how many requests, what kind. Out: the lines that one wrote and the other touched: in every round,
// which is what comes with requests, or in some, which is what comes now and then (news of a neighbour). Owns what it makes until it returns.
#pragma once

#include <array>
#include <vector>

#include "perf/line_recorder/recorder.h"
#include "perf/proxied_path/path.h"

namespace sluice::perf {

inline constexpr uint32_t kSharingCores = 2;

struct SharingSetup {
    uint32_t requests = 2000;      // of each core in each round
    uint32_t rounds = 3, warmup = 5000;
    PathSetup path;
    bool plant = false;            // a counter that the cores share, which must be found
};

struct Sharing {
    std::array<RecordedLines, kSharingCores> cores;   // of the last round; `lost` of all
    std::vector<SharedLine> every_round, some_rounds; // as the last round that had them saw them
    uint64_t read_by_both = 0;                        // lines, in the last round
    uint64_t strays = 0;                              // segments that one core handed to the other: a port without RSS would
};

/// EAL is started, the clock calibrated.
Sharing record_cores(const SharingSetup& setup);

}  // namespace sluice::perf
