// What a publish costs a worker: its longest turn while it takes over a snapshot of 100,000 endpoints and as many routes. Run on a
// quiet machine:
//   build/perf/micro_publish --benchmark_min_time=0.5
// A core's proxy on a network without packets holds idle connections to `connections` endpoints. "unchanged": only the root is
// new; "one_endpoint": one of them moved; "every_cluster": one of ten endpoints moved in each cluster, so that a tenth of the
// connections end; "emptied": all clusters go, and all connections with them. The build runs on the same core before, so its
// caches are those of a core that just did something else. "longest_turn" is the median over publishes of the longest turn until
// all is done, "worst_turn" the longest of all (what else ran on the core is in it), both in TSC cycles; "turns" how many it took.
#include <benchmark/benchmark.h>
#include <x86intrin.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "ctrl/apply/apply.h"
#include "filter/router.h"
#include "perf/snapshot_world.h"
#include "proxy/downstream.h"
#include "proxy/engine.h"
#include "proxy/upstream_connection.h"
#include "tests/proxy/fake_network.h"

namespace sluice {
namespace {

using namespace sluice::perf;
using proxy::test::FakeNetwork;

constexpr long kSize = 100'000;

/// The worker's half, without a worker: what is called once a turn is called by hand.
class Worker {
 public:
    explicit Worker(snapshot::Publisher& publisher)
        : engine_(config(), network_, publisher.reader(0), test::test_mempool(), nodes_, stats_, nullptr, stages_, nullptr) {
        network_.after_event = [this] { engine_.settle(); };
    }
    ~Worker() {
        engine_.core().upstreams.for_each([](upstream::PooledConnection& c) { static_cast<proxy::UpstreamConnection&>(c).close(); });
        engine_.settle();
    }
    uint64_t turn() {
        const uint64_t start = __rdtsc();
        engine_.turn(now_);
        engine_.settle();
        engine_.quiescent();
        return __rdtsc() - start;
    }
    bool done() { return !engine_.core().upstreams.reconciling(); }
    uint32_t connections() { return engine_.core().upstreams.connections(); }
    /// Idle connections, one an endpoint, spread over the clusters of `root`.
    void connect(const snapshot::Snapshot& root, uint32_t connections) {
        auto& core = engine_.core();
        while (this->connections() != 0) core.upstreams.for_each([](upstream::PooledConnection& c) { static_cast<proxy::UpstreamConnection&>(c).close(); });
        engine_.settle();
        network_.upstreams.clear();
        for (uint32_t i = 0; i < connections; i++) {
            const auto& cluster = root.clusters[i % root.clusters.size()];
            const auto& endpoints = cluster->endpoints->endpoints;
            proxy::UpstreamFailure failure;
            auto* connection = core.upstream_connections.take(core);
            if (!connection || !connection->open(*cluster, endpoints[i / root.clusters.size() % endpoints.size()], &failure)) std::abort();
            network_.upstreams.back()->accept_connection();
        }
    }

 private:
    static proxy::CoreConfig config() {
        proxy::CoreConfig config;
        config.seed = 7;
        config.connections_max = config.streams_max = 64;
        config.arena_chunks = 64;
        return config;
    }
    Instant now_{1'000'000};
    SliceNodePool nodes_{1024};
    FakeNetwork network_{nodes_, &now_};
    telemetry::CoreStats stats_;
    StageClock stages_;
    proxy::Engine engine_;
};

void publish(snapshot::Publisher& publisher, const xds::ResourceSet& set, uint64_t revision) {
    auto built = apply::build(set, publisher.current(), publisher, revision, "");
    if (!built || !publisher.publish(std::move(*built))) std::abort();
}

/// Idle connections are closed and opened between publishes, outside of the clock. `edit(set, n)` makes the n-th edit.
template <typename Edit>
void adopt(benchmark::State& state, Edit&& edit) {
    const xds::ResourceSet original = world(kSize);
    xds::ResourceSet set = original;
    snapshot::Publisher publisher(1);
    auto worker = std::make_unique<Worker>(publisher);
    uint64_t revision = 0;
    std::vector<uint64_t> longest;
    double turns = 0;
    for (auto _ : state) {
        publish(publisher, original, ++revision);
        while (worker->turn(), !worker->done()) {}
        publisher.reclaim();
        worker->connect(*publisher.current(), static_cast<uint32_t>(state.range(0)));
        while (worker->turn(), !worker->done()) {}
        set = original;
        edit(set, static_cast<long>(revision % 1000));
        publish(publisher, set, ++revision);
        longest.push_back(0);
        do {
            longest.back() = std::max(longest.back(), worker->turn());
            turns++;
        } while (!worker->done());
        publisher.reclaim();
    }
    turns /= static_cast<double>(longest.size());
    std::sort(longest.begin(), longest.end());
    state.counters["longest_turn"] = static_cast<double>(longest[longest.size() / 2]);
    state.counters["worst_turn"] = static_cast<double>(longest.back());
    state.counters["turns"] = turns;
    worker.reset();
}

void unchanged(benchmark::State& state) {
    adopt(state, [](xds::ResourceSet&, long) {});
}
void one_endpoint(benchmark::State& state) {
    adopt(state, [](xds::ResourceSet& set, long n) { set_endpoints(set, assignment_of(kSize / kEndpointsEach / 2, n)); });
}
void every_cluster(benchmark::State& state) {
    adopt(state, [](xds::ResourceSet& set, long n) {
        for (long c = 0; c < kSize / kEndpointsEach; c++) set_endpoints(set, assignment_of(c, n));
    });
}
void emptied(benchmark::State& state) {
    adopt(state, [](xds::ResourceSet& set, long) {
        set.clusters.clear();
        set.endpoints.clear();
        set.routes.clear();
    });
}

#define CONNECTIONS ->Arg(0)->Arg(1'000)->Arg(16'000)->Iterations(8)->Unit(benchmark::kMillisecond)
BENCHMARK(unchanged) CONNECTIONS;
BENCHMARK(one_endpoint) CONNECTIONS;
BENCHMARK(every_cluster) CONNECTIONS;
BENCHMARK(emptied) CONNECTIONS;

}  // namespace
}  // namespace sluice

BENCHMARK_MAIN();
