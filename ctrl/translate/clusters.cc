// Services and their subsets -> Clusters and ClusterLoadAssignments.
// In: a service of the registry. Out: one EDS cluster for each of its ports and subsets, with its endpoints.
// Owns nothing.
// Envoy v3 Cluster, ClusterLoadAssignment; defaults as istiod's: least request, 10 s to connect, no limits.
#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "ctrl/translate/parts.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"

namespace sluice::translate {
namespace {

namespace cluster = envoy::config::cluster::v3;
namespace core = envoy::config::core::v3;
namespace endpoint = envoy::config::endpoint::v3;
using DestinationRuleObject = model::Object<istio::DestinationRule>;

constexpr uint32_t kNoLimit = UINT32_MAX;
constexpr char kHttpOptions[] = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

// What holds for one port of one subset.
struct Policy {
    istio::LoadBalancerSettings load_balancer;
    istio::ConnectionPoolSettings connection_pool;
    std::optional<istio::ClientTLSSettings> tls;
    std::string tls_path = {};   // in the rule
};

// Istio: a field of the policy replaces what was there; one for the port replaces all of it, and what it leaves
// out is the default.
void apply_policy(const istio::TrafficPolicy& policy, const std::string& path, uint32_t port, Policy& out) {
    for (int i = 0; i < policy.port_level_settings_size(); ++i) {
        const istio::PortTrafficPolicy& of_port = policy.port_level_settings(i);
        if (of_port.port().number() != port) continue;
        out = {of_port.load_balancer(), of_port.connection_pool(), std::nullopt};
        if (of_port.has_tls()) out.tls = of_port.tls(), out.tls_path = fmt::format("{}.portLevelSettings[{}].tls", path, i);
        return;
    }
    if (policy.has_tls()) out.tls = policy.tls(), out.tls_path = path + ".tls";
    if (policy.has_load_balancer()) out.load_balancer = policy.load_balancer();
    if (policy.has_connection_pool()) out.connection_pool = policy.connection_pool();
}

struct Target {
    const model::Service& service;
    const istio::ServicePort& port;
    const DestinationRuleObject* rule;
    const istio::Subset* subset;  // null: the whole service
    std::string subset_path;      // in the rule

    std::string name() const { return cluster_name(port.number(), subset ? subset->name() : "", service.host); }
};

// The rule's policy, then its subset's.
Policy effective_policy(const Target& target) {
    Policy policy;
    if (target.rule) apply_policy(target.rule->spec.traffic_policy(), "spec.trafficPolicy", target.port.number(), policy);
    if (target.subset) apply_policy(target.subset->traffic_policy(), target.subset_path + ".trafficPolicy", target.port.number(), policy);
    return policy;
}

cluster::Cluster::LbPolicy balancer(const istio::LoadBalancerSettings& settings) {
    switch (settings.simple()) {
        case istio::LoadBalancerSettings::ROUND_ROBIN: return cluster::Cluster::ROUND_ROBIN;
        case istio::LoadBalancerSettings::RANDOM: return cluster::Cluster::RANDOM;
        default: return cluster::Cluster::LEAST_REQUEST;
    }
}

uint32_t limit(int32_t value) { return value > 0 ? static_cast<uint32_t>(value) : kNoLimit; }

void set_limits(const istio::ConnectionPoolSettings& pool, cluster::Cluster& out) {
    auto& thresholds = *out.mutable_circuit_breakers()->add_thresholds();
    thresholds.mutable_max_connections()->set_value(limit(pool.tcp().max_connections()));
    thresholds.mutable_max_pending_requests()->set_value(limit(pool.http().http1_max_pending_requests()));
    thresholds.mutable_max_requests()->set_value(limit(pool.http().http2_max_requests()));
    thresholds.mutable_max_retries()->set_value(kNoLimit);
    if (!pool.http().has_idle_timeout() && pool.http().max_requests_per_connection() == 0) return;
    envoy::extensions::upstreams::http::v3::HttpProtocolOptions options;
    auto& common = *options.mutable_common_http_protocol_options();
    if (pool.http().has_idle_timeout()) *common.mutable_idle_timeout() = pool.http().idle_timeout();
    if (pool.http().max_requests_per_connection() > 0)
        common.mutable_max_requests_per_connection()->set_value(
            static_cast<uint32_t>(pool.http().max_requests_per_connection()));
    options.mutable_explicit_http_config()->mutable_http_protocol_options();
    (*out.mutable_typed_extension_protocol_options())[kHttpOptions].PackFrom(options);
}

// Mutual TLS without a rule: as istiod, of services within the mesh whose endpoints announce it.
bool announces_mutual_tls(const Target& target, const std::vector<model::ServiceEndpoint>& endpoints) {
    return target.service.entry->spec.location() == istio::ServiceEntry::MESH_INTERNAL &&
           std::any_of(endpoints.begin(), endpoints.end(), [](const auto& one) { return one.mutual_tls; });
}

// spiffe://cluster.local/ns/shop/sa/reviews, also under the trust domain's older names.
std::vector<std::string> identities_of(const Context& context, const Target& target, const std::vector<model::ServiceEndpoint>& endpoints) {
    std::set<std::string> accounts, out(target.service.entry->spec.subject_alt_names().begin(), target.service.entry->spec.subject_alt_names().end());
    for (const auto& one : endpoints)
        if (!one.service_account.empty()) accounts.insert(one.service_account);
    for (const std::string& account : accounts) {
        out.insert(fmt::format("spiffe://{}/ns/{}/sa/{}", context.node.trust_domain, target.service.ns, account));
        for (const std::string& alias : context.node.trust_domain_aliases) out.insert(fmt::format("spiffe://{}/ns/{}/sa/{}", alias, target.service.ns, account));
    }
    return {out.begin(), out.end()};
}

void set_transport_socket(Context& context, const Target& target, const Policy& policy, const std::vector<model::ServiceEndpoint>& endpoints, cluster::Cluster& out) {
    Backend backend{target.rule, policy.tls_path, target.service.host,
                    fmt::format("outbound_.{}_.{}_.{}", target.port.number(), target.subset ? target.subset->name() : "", target.service.host),
                    identities_of(context, target, endpoints)};
    if (policy.tls) {
        if (policy.tls->mode() == istio::ClientTLSSettings::DISABLE) return;
        const auto tls = client_context(context, *policy.tls, backend);
        return set_socket(&tls, *out.mutable_transport_socket());
    }
    if (!announces_mutual_tls(target, endpoints)) return;
    istio::ClientTLSSettings automatic;
    automatic.set_mode(istio::ClientTLSSettings::ISTIO_MUTUAL);
    backend.rule = target.service.entry, backend.path = "spec";
    const auto tls = client_context(context, automatic, backend);
    auto& mutual = *out.add_transport_socket_matches();
    mutual.set_name("tlsMode-istio");
    (*mutual.mutable_match()->mutable_fields())["tlsMode"].set_string_value("istio");
    set_socket(&tls, *mutual.mutable_transport_socket());
    auto& disabled = *out.add_transport_socket_matches();
    disabled.set_name("tlsMode-disabled");
    disabled.mutable_match();
    set_socket(nullptr, *disabled.mutable_transport_socket());
}

std::vector<model::ServiceEndpoint> endpoints_of(const Context& context, const Target& target) {
    std::vector<model::ServiceEndpoint> out = model::endpoints_of(context.mesh, target.service, target.port);
    if (target.subset) std::erase_if(out, [&](const auto& one) { return !model::has_labels(one.labels, target.subset->labels()); });
    return out;
}

cluster::Cluster build_cluster(Context& context, const Target& target, const std::vector<model::ServiceEndpoint>& endpoints) {
    const Policy policy = effective_policy(target);
    cluster::Cluster out;
    out.set_name(target.name());
    out.set_alt_stat_name(target.name() + ";");
    out.set_type(cluster::Cluster::EDS);
    auto& eds = *out.mutable_eds_cluster_config();
    eds.set_service_name(target.name());
    eds.mutable_eds_config()->mutable_ads();
    eds.mutable_eds_config()->mutable_initial_fetch_timeout();
    eds.mutable_eds_config()->set_resource_api_version(core::V3);
    out.set_lb_policy(balancer(policy.load_balancer));
    out.mutable_common_lb_config()->mutable_healthy_panic_threshold();
    out.mutable_connect_timeout()->set_seconds(10);
    if (policy.connection_pool.tcp().has_connect_timeout())
        *out.mutable_connect_timeout() = policy.connection_pool.tcp().connect_timeout();
    set_limits(policy.connection_pool, out);
    set_transport_socket(context, target, policy, endpoints, out);

    core::Metadata& metadata = *out.mutable_metadata();
    if (target.rule) describe(*target.rule, target.subset_path, metadata);
    if (target.subset)
        (*(*metadata.mutable_filter_metadata())["istio"].mutable_fields())["subset"].set_string_value(
            target.subset->name());
    name_service(target.service, metadata);
    // What a reader of `pc clusters` looks for is who defines the service, or the subset.
    if (!target.subset)
        xds::set_provenance(metadata, {target.service.entry->source("spec.hosts"), target.service.entry->id(), "spec.hosts"});
    return out;
}

// region/zone/subzone
core::Locality locality_of(const std::string& text) {
    core::Locality out;
    const size_t first = text.find('/');
    const size_t second = first == std::string::npos ? first : text.find('/', first + 1);
    out.set_region(text.substr(0, first));
    if (first != std::string::npos)
        out.set_zone(text.substr(first + 1, second == std::string::npos ? second : second - first - 1));
    if (second != std::string::npos) out.set_sub_zone(text.substr(second + 1));
    return out;
}

endpoint::ClusterLoadAssignment build_endpoints(const Target& target, std::vector<model::ServiceEndpoint> found_endpoints) {
    endpoint::ClusterLoadAssignment out;
    out.set_cluster_name(target.name());
    std::map<std::string, std::vector<model::ServiceEndpoint>> by_locality;
    const bool internal = target.service.entry->spec.location() == istio::ServiceEntry::MESH_INTERNAL;
    for (model::ServiceEndpoint& found : found_endpoints) by_locality[found.locality].push_back(std::move(found));
    for (const auto& [locality, endpoints] : by_locality) {
        auto& group = *out.add_endpoints();
        *group.mutable_locality() = locality_of(locality);
        uint32_t weight = 0;
        for (const model::ServiceEndpoint& found : endpoints) {
            auto& one = *group.add_lb_endpoints();
            auto& address = *one.mutable_endpoint()->mutable_address()->mutable_socket_address();
            address.set_address(found.address);
            address.set_port_value(found.port);
            one.mutable_load_balancing_weight()->set_value(found.weight);
            name_workload(target.service, found, *one.mutable_metadata());
            if (found.mutual_tls && internal)
                (*(*one.mutable_metadata()->mutable_filter_metadata())["envoy.transport_socket_match"].mutable_fields())["tlsMode"].set_string_value("istio");
            if (one.metadata().filter_metadata().empty()) one.clear_metadata();
            weight += found.weight;
        }
        group.mutable_load_balancing_weight()->set_value(weight);
    }
    return out;
}

void build(Context& context, const Target& target, ServiceResources& out) {
    std::vector<model::ServiceEndpoint> endpoints = endpoints_of(context, target);
    out.clusters.push_back(build_cluster(context, target, endpoints));
    out.endpoints.push_back(build_endpoints(target, std::move(endpoints)));
}

}  // namespace

ServiceResources build_service(Context& context, const model::Service& service) {
    ServiceResources out;
    const DestinationRuleObject* rule = context.registry.rule_for(service, {context.node.ns, context.node.labels});
    for (const istio::ServicePort& port : service.entry->spec.ports()) {
        build(context, {service, port, rule, nullptr, "spec"}, out);
        for (int i = 0; rule && i < rule->spec.subsets_size(); ++i)
            build(context, {service, port, rule, &rule->spec.subsets(i), fmt::format("spec.subsets[{}]", i)}, out);
    }
    return out;
}

}  // namespace sluice::translate
