// Cost of a whole proxied request: the real worker, TCP and proxy, between a generator and a backend in the same process.
// Run on a quiet machine:
//   build/perf/micro_proxy --benchmark_min_time=0.5
// "cycles" are TSC ticks of the gateway's turns for each request in the best batch, the stages are its parts; frames come and go over DPDK's ring
// driver, copied between the two ends as a wire does it. What another core's cache would cost is not in it: perf/load has that.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <numeric>
#include <string>

#include "base/clock.h"
#include "perf/proxied_path/cost.h"
#include "tests/support/eal.h"

namespace {

using namespace sluice;

constexpr uint32_t kRequestsOfBatch = 2048;

/// `connections` clients that each send the next request when they have their answer of `body` bytes.
void proxied_request(benchmark::State& state, uint32_t connections, uint32_t body) {
    static int number = 0;
    test::test_eal();
    TscClock::calibrate();
    perf::SharedTables tables(1);
    perf::ProxiedPath path("m" + std::to_string(number++), tables, 0, {.connections = connections, .body_bytes = body});
    path.run(4 * kRequestsOfBatch);
    const uint64_t frames = path.frames(), requests = path.requests();
    // A few turns of a batch tell stages apart (base/stage_clock.h): the sum is the best batch's, the stages are of them all.
    perf::StageCosts all{};
    double best_sum = 1e18;
    for (auto _ : state) {
        const perf::StageCosts costs = perf::cost_of(path, kRequestsOfBatch);
        best_sum = std::min(best_sum, std::accumulate(costs.begin(), costs.end(), 0.0));
        for (size_t i = 0; i < all.size(); i++) all[i] += costs[i];
    }
    const double part = best_sum / std::accumulate(all.begin(), all.end(), 0.0);
    state.counters["cycles"] = best_sum;
    state.counters["frames"] = static_cast<double>(path.frames() - frames) / static_cast<double>(path.requests() - requests);
    for (size_t i = 0; i < perf::kCountedStages.size(); i++) state.counters[std::string(kStageNames[static_cast<size_t>(perf::kCountedStages[i])])] = all[i] * part;
}
BENCHMARK_CAPTURE(proxied_request, 1KiB_64_connections, 64, 1024);
BENCHMARK_CAPTURE(proxied_request, 0B_64_connections, 64, 0);
BENCHMARK_CAPTURE(proxied_request, 1KiB_1024_connections, 1024, 1024);

}  // namespace

BENCHMARK_MAIN();
