// What a proxied request costs the gateway, by stage. In: a path and how many requests it is to proxy. Out: TSC cycles a request.
// The driver is none here, and the time between two turns is the peers': neither is counted. Owns nothing.
#pragma once

#include <array>

#include "perf/proxied_path/path.h"

namespace sluice::perf {

inline constexpr std::array kCountedStages = {Stage::kNet, Stage::kTcp, Stage::kHttp, Stage::kRoute, Stage::kUpstream, Stage::kProxy, Stage::kLog, Stage::kTx};
using StageCosts = std::array<double, kCountedStages.size()>;

inline StageCosts cost_of(ProxiedPath& path, uint32_t requests) {
    std::array<uint64_t, kCountedStages.size()> before;
    const uint64_t done = path.requests();
    for (size_t i = 0; i < before.size(); i++) before[i] = path.cycles(kCountedStages[i]);
    path.run(requests);
    StageCosts costs;
    for (size_t i = 0; i < costs.size(); i++)
        costs[i] = static_cast<double>(path.cycles(kCountedStages[i]) - before[i]) / static_cast<double>(path.requests() - done);
    return costs;
}

}  // namespace sluice::perf
