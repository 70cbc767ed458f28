// A mesh of any size as xDS resources, for benches of edits and of publication: clusters of ten endpoints, virtual hosts of ten
// routes, all under one RouteConfiguration. In: how many endpoints and routes. Out: a ResourceSet that a bench edits.
// The caller owns it.
#pragma once

#include <string>

#include "ctrl/xds/resources.h"

namespace sluice::perf {

inline constexpr long kEndpointsEach = 10, kRoutesEach = 10;

/// The assignment of one cluster of `endpoints`; `shift` moves the port of its first `moved` endpoints.
inline envoy::config::endpoint::v3::ClusterLoadAssignment assignment_of(long cluster, long shift = 0, long moved = 1, long endpoints = kEndpointsEach) {
    envoy::config::endpoint::v3::ClusterLoadAssignment assignment;
    assignment.set_cluster_name("cluster-" + std::to_string(cluster));
    auto& locality = *assignment.add_endpoints();
    for (long i = 0; i < endpoints; i++) {
        const long n = cluster * endpoints + i;
        auto& address = *locality.add_lb_endpoints()->mutable_endpoint()->mutable_address()->mutable_socket_address();
        address.set_address("10." + std::to_string(n >> 16) + "." + std::to_string(n >> 8 & 255) + "." + std::to_string(n & 255));
        address.set_port_value(static_cast<uint32_t>(8000 + (i < moved ? shift : 0)));
    }
    return assignment;
}

inline void set_endpoints(xds::ResourceSet& set, envoy::config::endpoint::v3::ClusterLoadAssignment assignment) {
    const std::string name = assignment.cluster_name();
    set.endpoints[name] = std::move(assignment);
}

inline envoy::config::cluster::v3::Cluster cluster_of(const std::string& name) {
    envoy::config::cluster::v3::Cluster cluster;
    cluster.set_name(name);
    cluster.set_type(envoy::config::cluster::v3::Cluster::EDS);
    cluster.mutable_eds_cluster_config()->mutable_eds_config()->mutable_ads();
    return cluster;
}

/// `size` endpoints in clusters of ten, and as many routes on virtual hosts of ten.
inline xds::ResourceSet world(long size) {
    xds::ResourceSet set;
    envoy::config::route::v3::RouteConfiguration table;
    table.set_name("http.80");
    for (long c = 0; c < size / kEndpointsEach; c++) {
        const std::string name = "cluster-" + std::to_string(c);
        set.clusters[name] = cluster_of(name);
        set_endpoints(set, assignment_of(c));
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

}  // namespace sluice::perf
