// What a control plane tells one proxy: named xDS resources, one map per type, whole state of the world.
// In: whoever computes or receives them (ctrl/translate, later the ADS client). Out: ctrl/apply.
// Plain values: the set owns its messages; std::map keeps the order stable for dumps and hashes.
// xDS v3 as published by Envoy (generated from its protos, see ctrl/xds/meson.build).
#pragma once

#include <map>
#include <string>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"

namespace sluice::xds {

struct ResourceSet {
    std::map<std::string, envoy::config::listener::v3::Listener> listeners;
    std::map<std::string, envoy::config::route::v3::RouteConfiguration> routes;
    std::map<std::string, envoy::config::cluster::v3::Cluster> clusters;
    std::map<std::string, envoy::config::endpoint::v3::ClusterLoadAssignment> endpoints;
};

// Where a resource, virtual host or route came from. Carried in metadata.filter_metadata["sluice"]
// as {source: "mesh/reviews.yaml:9", object: "VirtualService shop/reviews", field: "spec.http[0]"}; all may be empty.
struct Provenance {
    std::string source;      // file:line
    std::string object;      // kind namespace/name
    std::string field = {};  // of the object, what the resource was made of

    bool operator==(const Provenance&) const = default;
};

inline constexpr char kProvenanceKey[] = "sluice";

void set_provenance(envoy::config::core::v3::Metadata& metadata, const Provenance& provenance);
Provenance provenance(const envoy::config::core::v3::Metadata& metadata);

}  // namespace sluice::xds
