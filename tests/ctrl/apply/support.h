// Resources from protobuf text, and builds of them, for the tests of ctrl/apply.
// In: text format, Any expanded by type URL. Out: a ResourceSet; a published Snapshot, or refusals as "field: message".
#pragma once

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ctrl/apply/apply.h"

namespace sluice::apply::test {

template <typename Message>
Message parse(const std::string& text) {
    Message message;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
    return message;
}

inline constexpr char kRouterFilter[] =
    R"(http_filters { name: "envoy.filters.http.router" typed_config { [type.googleapis.com/envoy.extensions.filters.http.router.v3.Router] {} } })";

/// A listener on 0.0.0.0:80 whose manager asks for routes "http.80"; `manager` and `listener` are added to them.
inline std::string listener_text(const std::string& manager = "", const std::string& listener = "") {
    const bool placed = listener.starts_with("address");
    return std::string("name: \"0.0.0.0_80\" ") + (placed ? "" : R"(address { socket_address { address: "0.0.0.0" port_value: 80 } })") +
           R"( filter_chains { filters { name: "hcm" typed_config {
            [type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager] {
                stat_prefix: "s" )" + std::string(manager.find("route_config") == std::string::npos ? "rds { route_config_name: \"http.80\" } " : "") +
           manager + " " + (manager.find("http_filters") == std::string::npos ? kRouterFilter : "") + "} } } } " + listener;
}

inline std::string cluster_text(const std::string& name, const std::string& more = "") {
    return "name: \"" + name + "\" type: EDS eds_cluster_config { eds_config { ads {} } } " + more;
}

inline std::string endpoint_text(const std::string& address, int port = 8080, const std::string& more = "") {
    return "lb_endpoints { endpoint { address { socket_address { address: \"" + address + "\" port_value: " + std::to_string(port) + " } } } " + more + "} ";
}

/// One virtual host for "*" with these routes.
inline std::string routes_text(const std::string& routes, const std::string& more = "") {
    return "name: \"http.80\" virtual_hosts { name: \"any\" domains: \"*\" " + routes + "} " + more;
}

struct World {
    xds::ResourceSet resources;
    std::unique_ptr<snapshot::Publisher> publisher_ = std::make_unique<snapshot::Publisher>(1);
    snapshot::Publisher& publisher = *publisher_;
    snapshot::Reader reader = publisher.reader(0);
    uint64_t revision = 0;

    void listener(const std::string& text) {
        auto message = parse<envoy::config::listener::v3::Listener>(text);
        resources.listeners[message.name()] = message;
    }
    void routes(const std::string& text) {
        auto message = parse<envoy::config::route::v3::RouteConfiguration>(text);
        resources.routes[message.name()] = message;
    }
    void cluster(const std::string& text) {
        auto message = parse<envoy::config::cluster::v3::Cluster>(text);
        resources.clusters[message.name()] = message;
    }
    void endpoints(const std::string& text) {
        auto message = parse<envoy::config::endpoint::v3::ClusterLoadAssignment>(text);
        resources.endpoints[message.cluster_name()] = message;
    }
    /// Builds and publishes; refusals as "field: message", empty when all is well.
    std::vector<std::string> apply() {
        auto built = build(resources, publisher.current(), publisher, ++revision, "v");
        if (!built) {
            std::vector<std::string> refusals;
            for (const Nack& nack : built.error()) refusals.push_back(nack.field + ": " + nack.message);
            return refusals;
        }
        EXPECT_TRUE(publisher.publish(std::move(*built)));
        reader.quiescent();
        publisher.reclaim();
        return {};
    }
    const snapshot::Snapshot& now() const { return *publisher.current(); }
    const upstream::Cluster* find_cluster(const std::string& name) const {
        for (const auto& cluster : now().clusters) {
            if (cluster && cluster->name == name) return cluster.get();
        }
        return nullptr;
    }
};

using Refusals = std::vector<std::string>;

}  // namespace sluice::apply::test
