// Cycles of what a worker counts for one request, everything in its cache. Run on a quiet machine:
//   build/perf/micro_stats --benchmark_min_time=0.5
// "cycles" are TSC ticks per request in the best batch of 64. `plain`: listener, cluster, endpoint, route and flag counters;
// `with_envoys`: and codes, times and bytes for Envoy's names;
// `with_series`: and its label set of Istio's metrics.
#include <benchmark/benchmark.h>
#include <x86intrin.h>

#include <memory>
#include <random>
#include <vector>

#include "telemetry/core_stats.h"

namespace {

using namespace sluice::telemetry;

struct Requests {
    std::vector<uint32_t> cluster;
    std::vector<uint64_t> us;
    explicit Requests(uint32_t clusters) {
        std::mt19937 random(7);
        for (int i = 0; i < 4096; i++) {
            cluster.push_back(static_cast<uint32_t>(random() % clusters));
            us.push_back(200 + random() % 3000);
        }
    }
};

void count_plain(CoreStats& stats, uint32_t cluster, uint64_t us) {
    ListenerStats& listener = stats.listener(0);
    listener.requests.add();
    listener.requests_active.add();
    stats.route_hits(cluster).add();
    ClusterStats& c = stats.cluster(cluster);
    c.requests.add();
    c.requests_active.add();
    EndpointStats& endpoint = stats.endpoint(cluster);
    endpoint.requests.add();
    endpoint.requests_active.add();
    c.responses.add(200);
    endpoint.success(us);
    c.bytes_received.add(1024);
    c.requests_active.sub();
    endpoint.requests_active.sub();
    listener.requests_active.sub();
    listener.bytes_sent.add(1024);
    listener.request_duration_us.record(us);
    listener.responses.add(200);
    stats.add_flags(0);
}

/// What came to it with Envoy's names for all that dashboards ask for.
void count_more(CoreStats& stats, uint32_t cluster, uint64_t us) {
    ClusterStats& c = stats.cluster(cluster);
    c.codes.add(200);
    c.request_us.record_us(us);
    c.wire_sent.add(300);
    c.wire_received.add(1200);
    stats.listener(0).wire_received.add(300);
    stats.listener(0).wire_sent.add(1200);
}

template <typename Count>
void measure(benchmark::State& state, Count count) {
    constexpr size_t kBatch = 64;
    const auto clusters = static_cast<uint32_t>(state.range(0));
    auto stats = std::make_unique<CoreStats>();
    const Requests requests(clusters);
    uint64_t best = UINT64_MAX;
    size_t at = 0;
    for (auto _ : state) {
        const uint64_t start = __rdtsc();
        for (size_t i = 0; i < kBatch; i++) count(*stats, requests.cluster[at + i], requests.us[at + i]);
        best = std::min<uint64_t>(best, __rdtsc() - start);
        at = (at + kBatch) % requests.us.size();
    }
    state.counters["cycles"] = static_cast<double>(best) / kBatch;
}

void plain(benchmark::State& state) {
    measure(state, [](CoreStats& s, uint32_t cluster, uint64_t us) { count_plain(s, cluster, us); });
}
void with_envoys(benchmark::State& state) {
    measure(state, [](CoreStats& s, uint32_t cluster, uint64_t us) {
        count_plain(s, cluster, us);
        count_more(s, cluster, us);
    });
}
void with_series(benchmark::State& state) {
    measure(state, [](CoreStats& s, uint32_t cluster, uint64_t us) {
        count_plain(s, cluster, us);
        count_more(s, cluster, us);
        s.add_request({.destination = cluster, .status = 200}, us, 0, 1024);
    });
}
void series_only(benchmark::State& state) {
    measure(state, [](CoreStats& s, uint32_t cluster, uint64_t us) { s.add_request({.destination = cluster, .status = 200}, us, 0, 1024); });
}

BENCHMARK(plain)->Arg(1)->Arg(100);
BENCHMARK(with_envoys)->Arg(1)->Arg(100);
BENCHMARK(with_series)->Arg(1)->Arg(100);
BENCHMARK(series_only)->Arg(1)->Arg(100);

}  // namespace

BENCHMARK_MAIN();
