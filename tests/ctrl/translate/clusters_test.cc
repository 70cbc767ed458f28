// Services, subsets and policies -> clusters and endpoints.
// In: mesh YAML. Out: JSON of clusters and load assignments.
// Shapes and defaults are those of a recorded istiod (docs/istio.md).
// Envoy v3 Cluster, ClusterLoadAssignment.
#include "tests/ctrl/translate/mesh.h"

namespace sluice::translate {
namespace {

std::string rule(const std::string& policy, const std::string& subsets = "[]") {
    return "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: ratings, namespace: "
           "shop}\n"
           "spec: {host: ratings, trafficPolicy: " +
           policy + ", subsets: " + subsets + "}\n";
}

constexpr char kRatings[] = "outbound|9080||ratings.shop.svc.cluster.local";

TEST(Clusters, OneForEachPortAndSubset) {
    std::vector<std::string> names;
    const xds::ResourceSet set = translated(kBase);
    for (const auto& [name, cluster] : set.clusters) {
        EXPECT_EQ(cluster->name(), name);
        EXPECT_TRUE(set.endpoints.contains(cluster->eds_cluster_config().service_name())) << name;
        names.push_back(name);
    }
    EXPECT_THAT(names, testing::ElementsAre("outbound|9080|v1|reviews.shop.svc.cluster.local",
                                            "outbound|9080|v2|reviews.shop.svc.cluster.local", kRatings,
                                            "outbound|9080||reviews.shop.svc.cluster.local",
                                            "outbound|9081||ratings.shop.svc.cluster.local"));
    EXPECT_EQ(set.endpoints.size(), set.clusters.size());
}

TEST(Clusters, DefaultsAreIstiods) {
    EXPECT_TRUE(is_json(*translated(kBase).clusters.at(kRatings), R"({
      "name": "outbound|9080||ratings.shop.svc.cluster.local", "alt_stat_name": "outbound|9080||ratings.shop.svc.cluster.local;",
      "type": "EDS", "lb_policy": "LEAST_REQUEST", "connect_timeout": "10s", "common_lb_config": {"healthy_panic_threshold": {}},
      "eds_cluster_config": {"service_name": "outbound|9080||ratings.shop.svc.cluster.local",
        "eds_config": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}},
      "circuit_breakers": {"thresholds": [{"max_connections": 4294967295, "max_pending_requests": 4294967295,
        "max_requests": 4294967295, "max_retries": 4294967295}]}})"));
}

TEST(Clusters, PoliciesAreCarried) {
    const xds::ResourceSet set = translated(
        kBase +
        rule("{loadBalancer: {simple: RANDOM}, connectionPool: {tcp: {maxConnections: 100, connectTimeout: 2s}, "
             "http: {http1MaxPendingRequests: 10, http2MaxRequests: 50, maxRequestsPerConnection: 5, idleTimeout: "
             "30s}}}"));
    EXPECT_TRUE(is_json(*set.clusters.at(kRatings), R"({
      "name": "outbound|9080||ratings.shop.svc.cluster.local", "alt_stat_name": "outbound|9080||ratings.shop.svc.cluster.local;",
      "type": "EDS", "lb_policy": "RANDOM", "connect_timeout": "2s", "common_lb_config": {"healthy_panic_threshold": {}},
      "eds_cluster_config": {"service_name": "outbound|9080||ratings.shop.svc.cluster.local",
        "eds_config": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}},
      "circuit_breakers": {"thresholds": [{"max_connections": 100, "max_pending_requests": 10, "max_requests": 50, "max_retries": 4294967295}]},
      "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "common_http_protocol_options": {"idle_timeout": "30s", "max_requests_per_connection": 5},
        "explicit_http_config": {"http_protocol_options": {}}}}})"));
}

TEST(Clusters, ASubsetsPolicyReplacesTheRules) {
    const xds::ResourceSet set = translated(
        kBase + rule("{loadBalancer: {simple: ROUND_ROBIN}, connectionPool: {tcp: {connectTimeout: 2s}}}",
                     "[{name: a, trafficPolicy: {loadBalancer: {simple: RANDOM}}}, {name: b}, {name: c, trafficPolicy: {loadBalancer: {simple: LEAST_CONN}}}]"));
    const auto cluster = [&](const char* subset) {
        return *set.clusters.at(std::string("outbound|9080|") + subset + "|ratings.shop.svc.cluster.local");
    };
    EXPECT_EQ(set.clusters.at(kRatings)->lb_policy(), envoy::config::cluster::v3::Cluster::ROUND_ROBIN);
    EXPECT_EQ(cluster("a").lb_policy(), envoy::config::cluster::v3::Cluster::RANDOM);
    EXPECT_EQ(cluster("a").connect_timeout().seconds(), 2) << "what the subset does not say is the rule's";
    EXPECT_EQ(cluster("b").lb_policy(), envoy::config::cluster::v3::Cluster::ROUND_ROBIN);
    EXPECT_EQ(cluster("c").lb_policy(), envoy::config::cluster::v3::Cluster::LEAST_REQUEST);
    EXPECT_EQ(cluster("a").metadata().filter_metadata().at("istio").fields().at("subset").string_value(), "a");
}

TEST(Clusters, APortsPolicyReplacesAllOfTheRules) {
    const xds::ResourceSet set = translated(
        kBase + rule("{loadBalancer: {simple: ROUND_ROBIN}, connectionPool: {tcp: {connectTimeout: 2s}}, tls: {mode: DISABLE}, "
                     "portLevelSettings: [{port: {number: 9081}, loadBalancer: {simple: RANDOM}}]}",
                     "[{name: a, trafficPolicy: {portLevelSettings: [{port: {number: 9080}, connectionPool: {tcp: {maxConnections: 7}}}]}}]"));
    const auto cluster = [&](const char* port, const char* subset) {
        return *set.clusters.at(std::string("outbound|") + port + "|" + subset + "|ratings.shop.svc.cluster.local");
    };
    using envoy::config::cluster::v3::Cluster;
    EXPECT_EQ(cluster("9080", "").lb_policy(), Cluster::ROUND_ROBIN);
    EXPECT_EQ(cluster("9080", "").connect_timeout().seconds(), 2);
    EXPECT_EQ(cluster("9081", "").lb_policy(), Cluster::RANDOM);
    EXPECT_EQ(cluster("9081", "").connect_timeout().seconds(), 10) << "left out for the port: the default";
    EXPECT_EQ(cluster("9080", "a").lb_policy(), Cluster::LEAST_REQUEST) << "left out for the subset's port: the default";
    EXPECT_EQ(cluster("9080", "a").circuit_breakers().thresholds(0).max_connections().value(), 7u);
    EXPECT_EQ(cluster("9081", "a").lb_policy(), Cluster::RANDOM) << "the subset says nothing of this port";
}

TEST(Endpoints, AreThoseWithTheSubsetsLabels) {
    const xds::ResourceSet set = translated(kBase);
    EXPECT_TRUE(is_json(*set.endpoints.at("outbound|9080|v2|reviews.shop.svc.cluster.local"), R"({
      "cluster_name": "outbound|9080|v2|reviews.shop.svc.cluster.local", "endpoints": [{"locality": {}, "load_balancing_weight": 1,
      "lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": "10.0.0.22", "port_value": 9080}}}, "load_balancing_weight": 1}]}]})"));
    EXPECT_EQ(set.endpoints.at("outbound|9080||reviews.shop.svc.cluster.local")->endpoints(0).lb_endpoints_size(), 2);
}

TEST(Endpoints, AreGroupedByLocality) {
    const xds::ResourceSet set = translated(R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a, namespace: shop}
spec:
  hosts: [a.example]
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]
  resolution: STATIC
  endpoints:
  - {address: 10.0.0.1, locality: us/b/c, weight: 2}
  - {address: 10.0.0.2, locality: eu}
  - {address: "2001:db8::1", locality: us/b/c, ports: {http: 9090}}
)");
    EXPECT_TRUE(is_json(*set.endpoints.at("outbound|80||a.example"), R"({"cluster_name": "outbound|80||a.example", "endpoints": [
      {"locality": {"region": "eu"}, "load_balancing_weight": 1,
       "lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": "10.0.0.2", "port_value": 8080}}}, "load_balancing_weight": 1}]},
      {"locality": {"region": "us", "zone": "b", "sub_zone": "c"}, "load_balancing_weight": 3, "lb_endpoints": [
       {"endpoint": {"address": {"socket_address": {"address": "10.0.0.1", "port_value": 8080}}}, "load_balancing_weight": 2},
       {"endpoint": {"address": {"socket_address": {"address": "2001:db8::1", "port_value": 9090}}}, "load_balancing_weight": 1}]}]})"));
}

// check() warns of it (SLC0132).
TEST(Endpoints, OfASubsetThatSelectsNoneAreNone) {
    const xds::ResourceSet set = translated(kBase + rule("{}", "[{name: v9, labels: {version: v9}}]"));
    EXPECT_EQ(set.endpoints.at("outbound|9080|v9|ratings.shop.svc.cluster.local")->endpoints_size(), 0);
}

TEST(Clusters, AreOfServicesExportedToTheProxyOnly) {
    const std::string yaml =
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a, namespace: shop}\n"
        "spec: {hosts: [a.example], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: 10.0.0.9}], exportTo: ['.']}\n";
    EXPECT_TRUE(translated(yaml).clusters.empty());
    ProxyNode node = edge_node();
    node.ns = "shop";
    EXPECT_EQ(translated(yaml, node).clusters.size(), 1u);
}

TEST(IdentityLabels, ServicesAndWorkloadsAreNamedAsIstiodNamesThem) {
    const xds::ResourceSet set = translated(R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a, namespace: shop}
spec:
  hosts: [a.shop.svc.cluster.local, api.example.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  workloadSelector: {labels: {app: a}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm-7, namespace: shop}
spec: {address: 10.0.0.7, labels: {app: a, version: v3}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: b, namespace: shop}
spec:
  hosts: [b.shop.svc.cluster.local]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints:
  - {address: 10.0.0.8, labels: {service.istio.io/workload-name: b-deployment, service.istio.io/canonical-name: bee, app: b}}
  - {address: 10.0.0.9}
)");
    const auto service = [&](const char* cluster) {
        const auto& first = set.clusters.at(cluster)->metadata().filter_metadata().at("istio").fields().at("services").list_value().values(0);
        const auto& fields = first.struct_value().fields();
        return fields.at("host").string_value() + " " + fields.at("name").string_value() + " " + fields.at("namespace").string_value();
    };
    EXPECT_EQ(service("outbound|80||a.shop.svc.cluster.local"), "a.shop.svc.cluster.local a shop");
    EXPECT_EQ(service("outbound|80||api.example.com"), "api.example.com api.example.com shop");
    const auto workload = [&](const char* cluster, int i) {
        const auto& metadata = set.endpoints.at(cluster)->endpoints(0).lb_endpoints(i).metadata().filter_metadata();
        return metadata.contains("istio") ? metadata.at("istio").fields().at("workload").string_value() : std::string("nothing");
    };
    EXPECT_EQ(workload("outbound|80||a.shop.svc.cluster.local", 0), "vm-7;shop;a;v3;");
    EXPECT_EQ(workload("outbound|80||b.shop.svc.cluster.local", 0), "b-deployment;shop;bee;latest;");
    EXPECT_EQ(workload("outbound|80||b.shop.svc.cluster.local", 1), "nothing");
}

}  // namespace
}  // namespace sluice::translate
