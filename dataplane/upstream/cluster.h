// Clusters and their endpoints as the data plane sees them: immutable parts of a Snapshot (xDS Cluster, ClusterLoadAssignment).
// Mutable state (pools, breakers, balancer positions) lives per core in upstream/, indexed by the stable ids here.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip_address.h"
#include "base/time.h"
#include "snapshot/part.h"
#include "tls/context.h"

namespace sluice::upstream {

enum class LbPolicy : uint8_t { kRoundRobin, kLeastRequest, kRandom };

/// Who serves, in the words of Istio's standard metrics. An empty text is shown as "unknown".
struct Destination {
    uint32_t id = UINT32_MAX;                 // stable for the same texts; UINT32_MAX: not told apart
    std::string service, service_name, service_namespace;        // reviews.shop.svc.cluster.local, reviews, shop
    std::string workload, workload_namespace, app, version;      // reviews-v1, shop, reviews, v1
    std::string canonical_service, canonical_revision, cluster;
};

struct Endpoint {
    uint32_t id = 0;          // stable for (cluster, address) while it exists; not reused until retired
    SocketAddress address;
    uint32_t weight = 1;      // load_balancing_weight times locality weight
    uint8_t priority = 0;
    std::string locality;     // region/zone/subzone
    uint32_t destination_id = UINT32_MAX;     // of EndpointSet::destinations
    uint8_t transport_socket = 0;             // of Cluster::transport_sockets: chosen at build time by the endpoint's metadata
};

/// Why an endpoint that is configured is never picked (xDS health_status).
enum class LeftOut : uint8_t { kUnhealthy, kDraining, kTimeout };

struct LeftOutEndpoint : Endpoint {
    LeftOut why = LeftOut::kUnhealthy;
};

/// One cluster's endpoints, replaced whole when EDS changes; unchanged sets are shared between snapshots.
struct EndpointSet : snapshot::Part {
    std::vector<Endpoint> endpoints;          // those of priority 0 first
    std::vector<LeftOutEndpoint> left_out;    // known and not used: their connections end with what they carry
    std::vector<Destination> destinations;    // one for each workload

    // Made of the endpoints by index_endpoints(), for look-ups whose cost does not grow with the set.
    std::vector<uint32_t> cumulative_weight;  // for weighted picks over endpoints of the lowest priority; same order
    std::vector<uint32_t> guide;              // where to begin in it: see endpoint_set.cc; empty where weights are equal
    uint32_t guide_shift = 0;
    std::vector<uint32_t> sorted_ids;         // of all endpoints
    uint32_t lowest_priority_count = 0;       // how many endpoints share the best priority
    bool equal_weights = true;

    bool has(uint32_t endpoint_id) const { return std::binary_search(sorted_ids.begin(), sorted_ids.end(), endpoint_id); }
};

/// Fills in what look-ups need once `endpoints` are there, those of the best priority first. Weights of the best priority that
/// add up to more than 32 bits are scaled down, in proportion. Control thread.
void index_endpoints(EndpointSet& set);

/// How connections to an endpoint are carried (envoy Cluster.transport_socket and transport_socket_matches).
struct TransportSocket {
    std::string name;                                      // tlsMode-istio; empty: the cluster's own
    bool tls = false;                                      // else plain text
    /// Of Snapshot::client_contexts, which has what it is now: a rotated certificate never touches a cluster.
    uint32_t context_id = UINT32_MAX;
    tls::ClientPeer peer;
    /// Of all that a connection must have been made with to be used again, secrets left out: hash_settings(). A rotated certificate
    /// goes to new connections; other names, trust or parameters leave those made before to no request.
    uint64_t settings_hash = 0;
};
/// Fills in what look-ups need once `endpoints` are there, those of the best priority first. Weights of the best priority that
/// add up to more than 32 bits are scaled down, in proportion. Control thread.
void index_endpoints(EndpointSet& set);
/// Of what `peer` asks and of `parameters`, any text that stands for the context's settings. Never 0, which is plain text.
uint64_t hash_settings(const tls::ClientPeer& peer, std::string_view parameters);

struct Cluster : snapshot::Part {
    uint32_t id = 0;                  // stable index into Snapshot::clusters
    std::string name;                 // outbound|9080|v1|reviews.shop.svc.cluster.local
    std::string source, object;       // where a user wrote it: mesh/reviews.yaml:9, DestinationRule shop/reviews
    LbPolicy policy = LbPolicy::kRoundRobin;
    uint32_t least_request_choices = 2;
    Duration connect_timeout = seconds(10);
    Duration idle_timeout = seconds(3600);           // of a pooled connection
    uint32_t max_connections = 1024 * 1024 * 1024;   // circuit_breakers, priority DEFAULT
    uint32_t max_pending_requests = 1024 * 1024 * 1024, max_requests = 1024 * 1024 * 1024;
    uint32_t max_requests_per_connection = 0;        // 0 = no limit
    Destination destination;                         // of requests that found no endpoint: without a workload
    std::shared_ptr<const EndpointSet> endpoints;
    std::vector<TransportSocket> transport_sockets;  // empty: plain text for all
};

/// How connections to `endpoint` are carried; nullptr: in plain text.
inline const TransportSocket* socket_of(const Cluster& cluster, const Endpoint& endpoint) {
    if (cluster.transport_sockets.empty()) return nullptr;
    static const TransportSocket unknown{.name = {}, .tls = true, .peer = {}};
    if (endpoint.transport_socket >= cluster.transport_sockets.size()) return &unknown;   // never in plain text by mistake
    const TransportSocket& socket = cluster.transport_sockets[endpoint.transport_socket];
    return socket.tls ? &socket : nullptr;
}

}  // namespace sluice::upstream
