// The readers of each kind of resource, and what they share while one set is built.
// In: resources that the field walk let through. Out: parts of a Snapshot; false (with Nacks) where a value is wrong.
// Internal to ctrl/apply. Control thread.
#pragma once

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "ctrl/apply/apply.h"
#include "ctrl/apply/at.h"
#include "ctrl/apply/origin.h"
#include "ctrl/apply/secrets.h"
#include "ctrl/xds/resources.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "snapshot/snapshot.h"

namespace sluice::apply {

class ClientContexts;
using HcmProto = envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;

/// One build.
struct Build {
    const xds::ResourceSet& resources;
    const snapshot::Snapshot* previous;
    const Origin* before;              // of `previous`; nullptr: it was not built here
    snapshot::Publisher& publisher;
    NackSink& sink;
    const OwnAccessLog& own_log;
    Origin& origin;                    // of the Snapshot in the making
    Secrets& secrets;
    const TlsInputs& tls;
    ClientContexts& client_contexts;
    std::vector<uint32_t> origin_contexts{};   // of the cluster that is being read
    std::vector<bool> has_cluster{};   // by id: this set's clusters
    bool same_clusters = false;        // names and ids are those of `previous`

    /// Once the clusters are read.
    uint32_t cluster_id(std::string_view name) const {
        const uint32_t id = publisher.find_id(snapshot::Publisher::IdKind::kCluster, name);
        return id < has_cluster.size() && has_cluster[id] ? id : UINT32_MAX;
    }
};

using xds::content_hash;
uint64_t mix(uint64_t hash, std::string_view text);
uint64_t mix(uint64_t hash, uint64_t value);

/// 0 .. 10 years, to the microsecond; anything shorter than one rounds up to it.
bool read_duration(const google::protobuf::Duration& in, Duration& out, const At& at);

// headers.cc
using HeaderOptions = google::protobuf::RepeatedPtrField<envoy::config::core::v3::HeaderValueOption>;
using HeaderNames = google::protobuf::RepeatedPtrField<std::string>;
bool read_header_ops(const HeaderOptions& add, const HeaderNames& remove, route::HeaderOps& out, const At& at,
                     std::string_view add_field, std::string_view remove_field);
/// Text that goes into a request line or a Location: printable ASCII without spaces.
bool read_uri_text(const std::string& in, std::string& out, const At& at);

// route_match.cc
bool read_match(const envoy::config::route::v3::RouteMatch& in, route::RouteMatch& out, const At& at);
bool read_header_match(const envoy::config::route::v3::HeaderMatcher& in, route::RouteMatch::Named& out, const At& at);

// routes.cc
/// `chain`: names of the HTTP filters that serve this table, for typed_per_filter_config.
using RouteResource = xds::Resource<envoy::config::route::v3::RouteConfiguration>;
struct RouteRequest {
    std::string name;                       // of the table
    std::optional<RouteResource> config;    // inline, or once it is found; shares
    std::vector<std::string> chain;
};
std::shared_ptr<const route::RouteTable> read_routes(Build& build, const RouteRequest& request);

// listeners.cc
struct ReadChain {
    RouteRequest routes;                                                // inline, or only the name
    std::unique_ptr<HcmProto> manager;                                  // owns the inline RouteConfiguration
    std::shared_ptr<const tls::ServerContext> tls;
};
struct ReadListener {
    std::vector<std::shared_ptr<const snapshot::Listener>> listeners;   // one an address
    std::vector<ReadChain> chains;                                      // of each, in the same order
};
bool read_listener(Build& build, const envoy::config::listener::v3::Listener& in, ReadListener& out);
// chains.cc
using FilterChainProto = envoy::config::listener::v3::FilterChain;
bool read_chain_match(const FilterChainProto& in, route::ChainMatch& out, const At& at);
/// For people: "sni shop.example"; empty: matches all.
std::string describe(const route::ChainMatch& match);
// tls_contexts.cc
/// `out` stays nullptr where the socket is plain text, or a secret is not there yet.
struct ServerSocket {
    bool tls = false;
    std::string mode;   // for people: SIMPLE, MUTUAL, OPTIONAL_MUTUAL, ISTIO_MUTUAL
    std::shared_ptr<const tls::ServerContext> context;
};
bool read_server_socket(Build& build, const envoy::config::core::v3::TransportSocket& in, bool identity_certificates, ServerSocket& out, const At& at);
bool read_transport_sockets(Build& build, const envoy::config::cluster::v3::Cluster& in, upstream::Cluster& out, const At& at);
/// Which of the cluster's sockets an endpoint takes, by its metadata envoy.transport_socket_match.
uint8_t choose_transport_socket(const envoy::config::cluster::v3::Cluster& in, const envoy::config::core::v3::Metadata& endpoint);
// http_manager.cc
bool read_manager(const Build& build, const HcmProto& in, snapshot::HttpConnectionManager& out, const At& at);
// access_logs.cc
bool read_access_logs(const Build& build, const HcmProto& in, snapshot::HttpConnectionManager& out, const At& at);
// access_log_filters.cc
/// A predicate over entries; headers it looks at are added to the captures. Empty (with Nacks) where a value is wrong.
telemetry::AccessLogSet::Filter read_log_filter(const envoy::config::accesslog::v3::AccessLogFilter& in,
                                                telemetry::AccessLogCaptures& captures, const At& at);

// clusters.cc
using ClusterResource = xds::Resource<envoy::config::cluster::v3::Cluster>;
/// What holds a cluster's endpoints.
struct Assignment {
    const envoy::config::endpoint::v3::ClusterLoadAssignment* message = nullptr;   // nullptr: none yet
    uint64_t hash = 0;
};
struct ClusterRequest {
    const std::string& name;   // in the set
    const ClusterResource& resource;
    Assignment assignment;
    uint32_t id = 0;
};
std::shared_ptr<const upstream::Cluster> read_cluster(Build& build, const ClusterRequest& request);
// destinations.cc
/// Both without an id.
upstream::Destination read_service(std::string_view cluster_name, const envoy::config::core::v3::Metadata& metadata);
upstream::Destination read_workload(const upstream::Destination& service, const envoy::config::core::v3::Metadata& metadata);
/// All texts of it: what its id stands for.
std::string key_of(const upstream::Destination& destination);

// endpoints.cc
struct EndpointOptions {
    uint32_t cluster_id = 0;
    bool weigh_localities = false;
    upstream::Destination service;   // whom the endpoints serve for
    const envoy::config::cluster::v3::Cluster* cluster = nullptr;   // whose transport sockets they choose from
};
std::shared_ptr<const upstream::EndpointSet> read_endpoints(Build& build,
                                                            const envoy::config::endpoint::v3::ClusterLoadAssignment& in,
                                                            const EndpointOptions& options, const At& at);
bool read_address(const envoy::config::core::v3::Address& in, SocketAddress& out, const At& at);

}  // namespace sluice::apply
