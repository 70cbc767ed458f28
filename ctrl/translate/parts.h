// What the parts of a translation share, and their entry points.
// In: mesh, registry, node. Out: resources of one unit (a listener, a service, a virtual host), its findings, the secrets it asks for.
// Borrows mesh and node for the length of a call; private to this room.
// Names as istiod writes them.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ctrl/model/registry.h"
#include "ctrl/translate/secrets.h"
#include "ctrl/translate/translate.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"

namespace sluice::translate {

struct Context {
    const model::MeshConfig& mesh;
    const model::Registry& registry;
    const ProxyNode& node;
    std::vector<Diagnostic>& errors;   // of the unit at hand
    SecretAsks& asks;                  // likewise
};

// outbound|9080|v1|reviews.shop.svc.cluster.local
std::string cluster_name(uint32_t port, std::string_view subset, std::string_view host);

// {config: /apis/networking.istio.io/v1/namespaces/shop/virtual-service/reviews} for "istio", and our own
// provenance: the line of `path` in the object's file.
void describe(const model::ObjectBase& object, std::string_view path, envoy::config::core::v3::Metadata& metadata);

// identity_labels.cc: who serves, for the labels of metrics.
std::string service_name(std::string_view host);
void name_service(const model::Service& service, envoy::config::core::v3::Metadata& metadata);
void name_workload(const model::Service& service, const model::ServiceEndpoint& endpoint, envoy::config::core::v3::Metadata& metadata);

// A socket that several Gateways may share.
struct ServerGroup {
    struct Member {
        const model::Object<istio::Gateway>* gateway;
        int index;  // of its server

        const istio::Server& server() const { return gateway->spec.servers(index); }
        std::string path() const { return "spec.servers[" + std::to_string(index) + "]"; }
        bool tls() const;   // HTTPS
    };
    uint32_t port = 0;
    std::string bind;  // empty: the node's listen addresses
    std::vector<Member> members;
    bool tls = false;   // of one HTTPS server, or of those of plain HTTP; a whole socket: false

    std::string listener_name() const;  // 0.0.0.0_80
    std::string route_name() const;     // http.80, https.443.https.edge.shop
    // What has routes of its own: the servers of plain HTTP together, each HTTPS server for itself.
    std::vector<ServerGroup> by_routes() const;
};

// Servers of the Gateways that select the node, by port and address.
std::vector<ServerGroup> group_servers(Context& context);
void warn_unselected(const Context& context, std::vector<Diagnostic>& warnings);

envoy::config::listener::v3::Listener build_listener(Context& context, const ServerGroup& group);

// The clusters of one service, and their endpoints: workloads are the mesh's.
struct ServiceResources {
    std::vector<envoy::config::cluster::v3::Cluster> clusters;
    std::vector<envoy::config::endpoint::v3::ClusterLoadAssignment> endpoints;   // of each
};
ServiceResources build_service(Context& context, const model::Service& service);

// The routes of one VirtualService for the Gateways it is reached through on this port.
void append_routes(Context& context, const model::Object<istio::VirtualService>& service,
                   const std::set<std::string>& gateways, const ServerGroup& group, envoy::config::route::v3::VirtualHost& out);

// tls.cc: transport sockets, and the secrets they name.
namespace tls_pb = envoy::extensions::transport_sockets::tls::v3;
tls_pb::DownstreamTlsContext server_context(Context& context, const ServerGroup::Member& member);
// What is to be verified of a backend, and by what name it is called.
struct Backend {
    const model::ObjectBase* rule = nullptr;   // that says so; null: nobody, endpoints announce it
    std::string path;                          // of `tls` in it
    std::string host;                          // of the service
    std::string istio_sni;                     // outbound_.9080_.v1_.reviews.shop.svc.cluster.local
    std::vector<std::string> identities;       // SPIFFE IDs of its endpoints
};
tls_pb::UpstreamTlsContext client_context(Context& context, const istio::ClientTLSSettings& tls, const Backend& backend);
// The transport socket of a context; without one, plain text.
void set_socket(const google::protobuf::Message* tls, envoy::config::core::v3::TransportSocket& out);
// Server names of a server's hosts, "*" left out where it stands beside others.
std::vector<std::string> server_names(const istio::Server& server);

}  // namespace sluice::translate
