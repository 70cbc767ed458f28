// Cluster (EDS and STATIC) with its endpoints -> upstream::Cluster.
// In: a cluster and the set's ClusterLoadAssignments. Out: the part; the previous one if neither of the two changed.
// An EDS cluster without an assignment has no endpoints yet: requests to it are answered 503 UH. Envoy cluster.v3.
#include "ctrl/apply/field_walk.h"
#include "ctrl/apply/readers.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"

namespace sluice::apply {
namespace {

namespace pb = envoy::config::cluster::v3;
using HttpOptions = envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
constexpr char kHttpOptionsKey[] = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
constexpr uint32_t kEnvoyLimit = 1024;  // of connections, pending and active requests, where nothing is said

bool read_policy(const pb::Cluster& in, upstream::Cluster& out, const At& at) {
    switch (in.lb_policy()) {
        case pb::Cluster::ROUND_ROBIN: out.policy = upstream::LbPolicy::kRoundRobin; break;
        case pb::Cluster::LEAST_REQUEST: out.policy = upstream::LbPolicy::kLeastRequest; break;
        case pb::Cluster::RANDOM: out.policy = upstream::LbPolicy::kRandom; break;
        default: return at.child("lb_policy").refuse("an unknown value");
    }
    if (in.has_least_request_lb_config() && in.least_request_lb_config().has_choice_count()) {
        const uint32_t choices = in.least_request_lb_config().choice_count().value();
        if (choices < 2 || choices > 64) return at.child("least_request_lb_config.choice_count").refuse("must be 2 to 64");
        out.least_request_choices = choices;
    }
    return true;
}

bool read_breakers(const pb::Cluster& in, upstream::Cluster& out, const At& at) {
    out.max_connections = out.max_pending_requests = out.max_requests = kEnvoyLimit;
    if (in.circuit_breakers().thresholds_size() > 1) return at.child("circuit_breakers.thresholds", 1).refuse("thresholds are given twice");
    for (const auto& limits : in.circuit_breakers().thresholds()) {
        if (limits.has_max_connections()) out.max_connections = limits.max_connections().value();
        if (limits.has_max_pending_requests()) out.max_pending_requests = limits.max_pending_requests().value();
        if (limits.has_max_requests()) out.max_requests = limits.max_requests().value();
    }
    return true;
}

bool read_http_options(const pb::Cluster& in, upstream::Cluster& out, const At& at) {
    if (in.has_max_requests_per_connection()) out.max_requests_per_connection = in.max_requests_per_connection().value();
    for (const auto& [key, any] : in.typed_extension_protocol_options()) {
        const At here = at.child("typed_extension_protocol_options");
        HttpOptions options;
        if (key != kHttpOptionsKey || !any.UnpackTo(&options)) return here.refuse("extension " + key + " is not supported");
        const auto& common = options.common_http_protocol_options();
        if (common.has_max_headers_count()) return here.refuse("max_headers_count is not supported for backends yet");
        if (common.has_max_requests_per_connection()) out.max_requests_per_connection = common.max_requests_per_connection().value();
        if (common.has_idle_timeout() && !read_duration(common.idle_timeout(), out.idle_timeout, here.child("idle_timeout"))) return false;
    }
    return true;
}

/// Filters that the walk let through are those that change nothing.
bool read_rest(Build& build, const pb::Cluster& in, upstream::Cluster& out, const At& at) {
    return read_transport_sockets(build, in, out, at) &&
           (!in.has_connect_timeout() || read_duration(in.connect_timeout(), out.connect_timeout, at.child("connect_timeout")));
}

const upstream::Cluster* previous_cluster(const Build& build, uint32_t id) {
    return build.previous && id < build.previous->clusters.size() ? build.previous->clusters[id].get() : nullptr;
}

}  // namespace

std::shared_ptr<const upstream::Cluster> read_cluster(Build& build, const ClusterRequest& request) {
    const pb::Cluster& in = *request.resource;
    const uint32_t id = request.id;
    const auto [assignment, assignment_hash] = request.assignment;
    const upstream::Cluster* before = previous_cluster(build, id);
    build.origin_contexts.clear();
    build.sink.begin("envoy.config.cluster.v3.Cluster", request.name);
    const At at(build.sink, &in.metadata());
    if (in.name() != request.name) return at.child("name").refuse(in.name().empty() ? "is missing" : "is not the resource's name"), nullptr;
    const EndpointOptions options{id, in.common_lb_config().has_locality_weighted_lb_config(), read_service(in.name(), in.metadata()), &in};
    // An endpoint set carries the service's names too, and which transport socket each endpoint chose.
    uint64_t endpoints_hash = mix(mix(assignment_hash, uint64_t{options.weigh_localities}), key_of(options.service));
    for (const auto& match : in.transport_socket_matches()) endpoints_hash = content_hash(match.match(), endpoints_hash);
    if (!check_fields(in, build.sink)) return nullptr;
    auto cluster = std::make_shared<upstream::Cluster>();
    cluster->content_hash = mix(request.resource.hash(), assignment_hash);
    cluster->id = id;
    cluster->name = in.name();
    cluster->destination = options.service;
    cluster->destination.id = build.publisher.id_of(snapshot::Publisher::IdKind::kDestination, key_of(options.service));
    const xds::Provenance place = xds::provenance(in.metadata());
    cluster->source = place.source;
    cluster->object = place.object;
    if (in.type() == pb::Cluster::EDS && in.has_load_assignment()) return at.child("load_assignment").refuse("not of an EDS cluster"), nullptr;
    if (!(read_policy(in, *cluster, at) & read_breakers(in, *cluster, at) & read_http_options(in, *cluster, at) & read_rest(build, in, *cluster, at))) return nullptr;

    if (before && before->endpoints && before->endpoints->content_hash == endpoints_hash) {
        cluster->endpoints = before->endpoints;
        return cluster;
    }
    if (!assignment) {
        cluster->endpoints = std::make_shared<upstream::EndpointSet>();
        return cluster;
    }
    if (in.type() == pb::Cluster::EDS) {
        build.sink.begin("envoy.config.endpoint.v3.ClusterLoadAssignment", assignment->cluster_name());
        if (!check_fields(*assignment, build.sink)) return nullptr;
        cluster->endpoints = read_endpoints(build, *assignment, options, At(build.sink, &in.metadata()));
    } else {
        cluster->endpoints = read_endpoints(build, *assignment, options, at.child("load_assignment"));
    }
    if (!cluster->endpoints) return nullptr;
    const_cast<upstream::EndpointSet&>(*cluster->endpoints).content_hash = endpoints_hash;
    return cluster;
}

}  // namespace sluice::apply
