// Cost of a whole proxied request: the real worker, TCP and proxy, between a generator and a backend in the same process.
// Run on a quiet machine:
//   build/perf/micro_proxy --benchmark_min_time=0.5
// "cycles" are TSC ticks of the gateway's turns for each request in the best batch, the stages are its parts; frames come and go over DPDK's ring
// driver, copied between the two ends as a wire does it. What another core's cache would cost is not in it: perf/load has that.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <string>

#include "perf/proxied_path/path.h"
#include "tests/support/eal.h"

namespace {

using namespace sluice;

constexpr uint32_t kRequestsOfBatch = 2048;

// The driver is none here, and the time between two turns is the peers'.
constexpr std::array kCounted = {Stage::kNet, Stage::kTcp, Stage::kHttp, Stage::kRoute, Stage::kUpstream, Stage::kProxy, Stage::kLog, Stage::kTx};
using Costs = std::array<double, kCounted.size()>;

Costs cost_of(perf::ProxiedPath& scene, uint32_t requests) {
    std::array<uint64_t, kCounted.size()> before;
    const uint64_t done = scene.requests();
    for (size_t i = 0; i < kCounted.size(); i++) before[i] = scene.cycles(kCounted[i]);
    scene.run(requests);
    Costs costs;
    for (size_t i = 0; i < kCounted.size(); i++)
        costs[i] = static_cast<double>(scene.cycles(kCounted[i]) - before[i]) / static_cast<double>(scene.requests() - done);
    return costs;
}

/// `connections` clients that each send the next request when they have their answer of `body` bytes.
void proxied_request(benchmark::State& state, uint32_t connections, uint32_t body) {
    static int number = 0;
    test::test_eal();
    TscClock::calibrate();
    perf::SharedTables tables(1);
    perf::ProxiedPath scene("m" + std::to_string(number++), tables, 0, {.connections = connections, .body_bytes = body});
    scene.run(4 * kRequestsOfBatch);
    const uint64_t frames = scene.frames(), requests = scene.requests();
    // A few turns of a batch tell stages apart (base/stage_clock.h): the sum is the best batch's, the stages are of them all.
    Costs all{};
    double best_sum = 1e18;
    for (auto _ : state) {
        const Costs costs = cost_of(scene, kRequestsOfBatch);
        best_sum = std::min(best_sum, std::accumulate(costs.begin(), costs.end(), 0.0));
        for (size_t i = 0; i < all.size(); i++) all[i] += costs[i];
    }
    const double part = best_sum / std::accumulate(all.begin(), all.end(), 0.0);
    state.counters["cycles"] = best_sum;
    state.counters["frames"] = static_cast<double>(scene.frames() - frames) / static_cast<double>(scene.requests() - requests);
    for (size_t i = 0; i < kCounted.size(); i++) state.counters[std::string(kStageNames[static_cast<size_t>(kCounted[i])])] = all[i] * part;
}
BENCHMARK_CAPTURE(proxied_request, 1KiB_64_connections, 64, 1024);
BENCHMARK_CAPTURE(proxied_request, 0B_64_connections, 64, 0);
BENCHMARK_CAPTURE(proxied_request, 1KiB_1024_connections, 1024, 1024);

}  // namespace

BENCHMARK_MAIN();
