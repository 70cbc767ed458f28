// Builds what the cores share (see tables.h). The only tables are those of one listener, one route, one cluster and one endpoint.
#include "perf/proxied_path/tables.h"

#include <cstdio>
#include <cstdlib>
#include <string>

#include "filter/router.h"
#include "perf/proxied_path/check.h"

namespace sluice::perf {

namespace {

/// Both directions of a connection hash alike by a key that repeats every 16 bits.
worker::RssKey symmetric_key() {
    worker::RssKey key;
    for (size_t i = 0; i < key.size(); i++) key[i] = i % 2 == 0 ? 0x6d : 0x5a;
    return key;
}

worker::OwnerTable owners_of(uint32_t cores) { return cores == 1 ? worker::OwnerTable(1, 7) : worker::OwnerTable(cores, symmetric_key(), 128); }

/// Everything on port 80 to the one backend, as perf/peers/load_mesh.yaml has it.
std::unique_ptr<snapshot::Snapshot> make_snapshot(snapshot::Publisher& publisher) {
    using Id = snapshot::Publisher::IdKind;
    auto root = std::make_unique<snapshot::Snapshot>();
    root->revision = 1;
    const std::string name = "outbound|9080||web.shop.svc.cluster.local";
    auto endpoints = std::make_shared<upstream::EndpointSet>();
    endpoints->endpoints.push_back({.id = publisher.id_of(Id::kEndpoint, "web"),
                                    .address = {IpAddress::v4(kBackendIp), kBackendPort},
                                    .weight = 1,
                                    .priority = 0,
                                    .locality = {}});
    upstream::index_endpoints(*endpoints);
    auto cluster = std::make_shared<upstream::Cluster>();
    cluster->name = name;
    cluster->id = publisher.id_of(Id::kCluster, name);
    cluster->endpoints = endpoints;
    root->clusters.resize(cluster->id + 1);
    root->clusters[cluster->id] = cluster;

    route::VirtualHostInput host;
    host.virtual_host.name = "*:80";
    host.virtual_host.domains = {"*"};
    route::Route route;
    route.name = "all";
    route.matched_prefix_bytes = 1;
    route.total_weight = 1;
    route.clusters.emplace_back();
    route.clusters.back().cluster_name = name;
    route.clusters.back().cluster_id = cluster->id;
    host.matches.push_back({route::RouteMatch::Path::kPrefix, "/", false, {}, {}});
    host.virtual_host.routes.push_back(std::move(route));
    std::vector<route::VirtualHostInput> hosts;
    hosts.push_back(std::move(host));
    auto table = route::RouteTable::build("http.80", std::move(hosts), {}, {});
    CHECK(table.has_value());
    root->routes.push_back(*table);

    auto listener = std::make_shared<snapshot::Listener>();
    listener->name = "0.0.0.0_80";
    listener->address = {IpAddress::v4(0), 80};
    listener->id = publisher.id_of(Id::kListener, listener->name);
    snapshot::FilterChain& chain = listener->chains.emplace_back();
    chain.id = publisher.id_of(Id::kChain, listener->name);
    chain.http.filters.push_back({.factory = &filter::router_factory(), .name = "router", .config = {}});
    root->listeners.push_back(listener);
    root->chains.resize(chain.id + 1);
    root->chains[chain.id].routes = table->get();
    return root;
}

}  // namespace

SharedTables::SharedTables(uint32_t cores_of_gateway)
    : cores(cores_of_gateway), owners(owners_of(cores)), gateway_exchange(cores), peers_exchange(cores), publisher(cores) {
    for (uint32_t core = 0; core < cores; core++) {
        stats.push_back(std::make_unique<telemetry::CoreStats>(telemetry::StatLimits(), &series));
        logs.push_back(std::make_unique<telemetry::AccessLogRing>());
    }
    CHECK(publisher.publish(make_snapshot(publisher)));
}

}  // namespace sluice::perf
