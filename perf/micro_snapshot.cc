// Cost of an edit: xDS resources built into a Snapshot, published, retired. Run on a quiet machine:
//   build/perf/micro_snapshot --benchmark_min_time=0.5
// "whole" builds everything from nothing; "unchanged" finds that every part is as before; "one_endpoint" is an edit that moves
// one endpoint among many clusters, from its new assignment on. Times are of the control thread; what a worker does is in micro_publish.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "ctrl/apply/apply.h"
#include "perf/snapshot_world.h"

namespace sluice {
namespace {

using namespace sluice::perf;

void publish(snapshot::Publisher& publisher, const xds::ResourceSet& set, uint64_t revision) {
    auto built = apply::build(set, publisher.current(), publisher, revision, "");
    if (!built || !publisher.publish(std::move(*built))) std::abort();
    publisher.reclaim();
}

void whole(benchmark::State& state) {
    const xds::ResourceSet set = world(state.range(0));
    for (auto _ : state) {
        state.PauseTiming();
        auto publisher = std::make_unique<snapshot::Publisher>(1);
        publisher->reader(0).offline();
        state.ResumeTiming();
        publish(*publisher, set, 1);
        state.PauseTiming();
        publisher.reset();
        state.ResumeTiming();
    }
}

void unchanged(benchmark::State& state) {
    const xds::ResourceSet set = world(state.range(0));
    snapshot::Publisher publisher(1);
    publisher.reader(0).offline();
    uint64_t revision = 0;
    publish(publisher, set, ++revision);
    for (auto _ : state) publish(publisher, set, ++revision);
}

void one_endpoint(benchmark::State& state) {
    xds::ResourceSet set = world(state.range(0));
    snapshot::Publisher publisher(1);
    publisher.reader(0).offline();
    uint64_t revision = 0;
    publish(publisher, set, ++revision);
    for (auto _ : state) {
        state.PauseTiming();
        auto assignment = assignment_of(state.range(0) / kEndpointsEach / 2, static_cast<long>(revision % 1000) + 1);
        state.ResumeTiming();
        set_endpoints(set, std::move(assignment));
        publish(publisher, set, ++revision);
    }
}

/// As a set that comes new from whoever computes it, and shares with the last one what did not change.
void one_endpoint_in_a_copy(benchmark::State& state) {
    xds::ResourceSet set = world(state.range(0));
    snapshot::Publisher publisher(1);
    publisher.reader(0).offline();
    uint64_t revision = 0;
    publish(publisher, set, ++revision);
    for (auto _ : state) {
        state.PauseTiming();
        auto assignment = assignment_of(state.range(0) / kEndpointsEach / 2, static_cast<long>(revision % 1000) + 1);
        state.ResumeTiming();
        xds::ResourceSet next = set;
        set_endpoints(next, std::move(assignment));
        publish(publisher, next, ++revision);
        state.PauseTiming();
        set = std::move(next);
        state.ResumeTiming();
    }
}

/// All endpoints are one cluster's: its assignment is read anew as a whole.
void one_endpoint_of_one_cluster(benchmark::State& state) {
    xds::ResourceSet set;
    set.clusters["cluster-0"] = cluster_of("cluster-0");
    set_endpoints(set, assignment_of(0, 0, 1, state.range(0)));
    snapshot::Publisher publisher(1);
    publisher.reader(0).offline();
    uint64_t revision = 0;
    publish(publisher, set, ++revision);
    for (auto _ : state) {
        state.PauseTiming();
        auto assignment = assignment_of(0, static_cast<long>(revision % 1000) + 1, 1, state.range(0));
        state.ResumeTiming();
        set_endpoints(set, std::move(assignment));
        publish(publisher, set, ++revision);
    }
}

/// One route of one virtual host changes: that host is compiled, and a table of it and the others.
void one_route(benchmark::State& state) {
    xds::ResourceSet set = world(state.range(0));
    snapshot::Publisher publisher(1);
    publisher.reader(0).offline();
    uint64_t revision = 0;
    publish(publisher, set, ++revision);
    for (auto _ : state) {
        state.PauseTiming();
        using Table = xds::Resource<envoy::config::route::v3::RouteConfiguration>;
        const Table before = set.routes.at("http.80");
        auto hosts = before.hosts();
        hosts[hosts.size() / 2].edit([&](auto& host) { host.mutable_routes(0)->mutable_match()->set_prefix("/edited-" + std::to_string(revision) + "/"); });
        state.ResumeTiming();
        set.routes["http.80"] = Table(before.head(), std::move(hosts));
        publish(publisher, set, ++revision);
    }
}

#define SIZES ->Arg(100)->Arg(10'000)->Arg(100'000)->Unit(benchmark::kMillisecond)
BENCHMARK(whole) SIZES;
BENCHMARK(unchanged) SIZES;
BENCHMARK(one_endpoint) SIZES;
BENCHMARK(one_endpoint_in_a_copy)->Arg(100'000)->Unit(benchmark::kMillisecond);
BENCHMARK(one_endpoint_of_one_cluster)->Arg(1'000)->Arg(100'000)->Unit(benchmark::kMillisecond);
BENCHMARK(one_route)->Arg(100'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace sluice

BENCHMARK_MAIN();
