// Cost of an edit: xDS resources built into a Snapshot, published, retired. Run on a quiet machine:
//   build/perf/micro_snapshot --benchmark_min_time=0.5
// "whole" builds everything from nothing; "unchanged" finds that every part is as before; "one_endpoint" is an edit that moves
// one endpoint among many clusters. Times are of the control thread: workers only load one pointer.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "ctrl/apply/apply.h"

namespace sluice {
namespace {

constexpr long kEndpointsEach = 10, kRoutesEach = 10;

void set_endpoints(xds::ResourceSet& set, long cluster, long shift) {
    envoy::config::endpoint::v3::ClusterLoadAssignment assignment;
    assignment.set_cluster_name("cluster-" + std::to_string(cluster));
    auto& locality = *assignment.add_endpoints();
    for (long i = 0; i < kEndpointsEach; i++) {
        const long n = cluster * kEndpointsEach + i;
        auto& address = *locality.add_lb_endpoints()->mutable_endpoint()->mutable_address()->mutable_socket_address();
        address.set_address("10." + std::to_string(n >> 16) + "." + std::to_string(n >> 8 & 255) + "." + std::to_string(n & 255));
        address.set_port_value(static_cast<uint32_t>(8000 + (i == 0 ? shift : 0)));
    }
    set.endpoints[assignment.cluster_name()] = std::move(assignment);
}

/// `size` endpoints in clusters of ten, and as many routes on virtual hosts of ten.
xds::ResourceSet world(long size) {
    xds::ResourceSet set;
    envoy::config::route::v3::RouteConfiguration table;
    table.set_name("http.80");
    for (long c = 0; c < size / kEndpointsEach; c++) {
        const std::string name = "cluster-" + std::to_string(c);
        envoy::config::cluster::v3::Cluster cluster;
        cluster.set_name(name);
        cluster.set_type(envoy::config::cluster::v3::Cluster::EDS);
        cluster.mutable_eds_cluster_config()->mutable_eds_config()->mutable_ads();
        set.clusters[name] = std::move(cluster);
        set_endpoints(set, c, 0);
        auto& host = *table.add_virtual_hosts();
        host.set_name("host-" + std::to_string(c));
        host.add_domains("host-" + std::to_string(c) + ".example");
        for (long r = 0; r < kRoutesEach; r++) {
            auto& route = *host.add_routes();
            route.mutable_match()->set_prefix("/service-" + std::to_string(r) + "/");
            route.mutable_route()->set_cluster(name);
        }
    }
    set.routes["http.80"] = std::move(table);
    return set;
}

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
        set_endpoints(set, state.range(0) / kEndpointsEach / 2, static_cast<long>(revision % 1000));
        state.ResumeTiming();
        publish(publisher, set, ++revision);
    }
}

#define SIZES ->Arg(100)->Arg(10'000)->Arg(100'000)->Unit(benchmark::kMillisecond)
BENCHMARK(whole) SIZES;
BENCHMARK(unchanged) SIZES;
BENCHMARK(one_endpoint) SIZES;

}  // namespace
}  // namespace sluice

BENCHMARK_MAIN();
