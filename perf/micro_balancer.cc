// Cost of choosing an endpoint: each policy over few and many endpoints, of equal and of unequal weight. Run on a quiet machine:
//   build/perf/micro_balancer --benchmark_min_time=0.5
// "cycles" are TSC ticks for one choice in the best batch of 64: the claim is that it does not grow with the set (but by the
// cache misses of a weighted search, log n).
#include <benchmark/benchmark.h>
#include <x86intrin.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "upstream/pool.h"

namespace {

using namespace sluice;
using namespace sluice::upstream;

constexpr int kBatch = 64;

Cluster cluster_of(LbPolicy policy, long endpoints, bool equal) {
    auto set = std::make_shared<EndpointSet>();
    for (long i = 0; i < endpoints; i++) {
        Endpoint endpoint;
        endpoint.id = static_cast<uint32_t>(i);
        endpoint.address = {IpAddress::v4(0x0a000000u + static_cast<uint32_t>(i)), 9080};
        endpoint.weight = equal ? 1 : 1 + static_cast<uint32_t>(i * 7919 % 100);
        set->endpoints.push_back(std::move(endpoint));
    }
    index_endpoints(*set);
    Cluster cluster;
    cluster.policy = policy;
    cluster.endpoints = std::move(set);
    return cluster;
}

void pick(benchmark::State& state, LbPolicy policy, bool equal) {
    const Cluster cluster = cluster_of(policy, state.range(0), equal);
    Pools pools;
    Rng rng(17);
    // What least request compares: some requests are under way everywhere.
    for (const Endpoint& endpoint : cluster.endpoints->endpoints)
        for (uint64_t n = rng.below(4); n > 0; n--)
            if (!pools.start_request(cluster, endpoint.id)) std::abort();
    uint64_t best = UINT64_MAX;
    while (state.KeepRunningBatch(kBatch)) {
        const uint64_t start = __rdtsc();
        for (int i = 0; i < kBatch; i++) {
            const int chosen = pools.pick(cluster, rng);
            if (chosen < 0) std::abort();
            benchmark::DoNotOptimize(chosen);
        }
        best = std::min<uint64_t>(best, __rdtsc() - start);
    }
    state.counters["cycles"] = static_cast<double>(best) / kBatch;
}

#define SIZES ->Arg(3)->Arg(100)->Arg(10'000)
BENCHMARK_CAPTURE(pick, round_robin, LbPolicy::kRoundRobin, true) SIZES;
BENCHMARK_CAPTURE(pick, round_robin_weighted, LbPolicy::kRoundRobin, false) SIZES;
BENCHMARK_CAPTURE(pick, least_request, LbPolicy::kLeastRequest, true) SIZES;
BENCHMARK_CAPTURE(pick, least_request_weighted, LbPolicy::kLeastRequest, false) SIZES;
BENCHMARK_CAPTURE(pick, random, LbPolicy::kRandom, true) SIZES;
BENCHMARK_CAPTURE(pick, random_weighted, LbPolicy::kRandom, false) SIZES;

/// A request's whole account with the pools: choose, start, finish.
void request(benchmark::State& state) {
    const Cluster cluster = cluster_of(LbPolicy::kLeastRequest, state.range(0), true);
    Pools pools;
    Rng rng(17);
    uint64_t best = UINT64_MAX;
    while (state.KeepRunningBatch(kBatch)) {
        const uint64_t start = __rdtsc();
        for (int i = 0; i < kBatch; i++) {
            const uint32_t id = cluster.endpoints->endpoints[static_cast<size_t>(pools.pick(cluster, rng))].id;
            if (!pools.start_request(cluster, id)) std::abort();
            pools.finish_request(cluster.id, id);
        }
        best = std::min<uint64_t>(best, __rdtsc() - start);
    }
    state.counters["cycles"] = static_cast<double>(best) / kBatch;
}
BENCHMARK(request) SIZES;

}  // namespace

BENCHMARK_MAIN();
