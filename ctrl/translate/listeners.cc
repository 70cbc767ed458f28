// Gateway servers -> Listeners.
// In: a group of servers that share a socket. Out: one Listener; a filter chain for plain HTTP, one for each HTTPS server.
// Owns nothing.
// Envoy v3 Listener, HttpConnectionManager, FileAccessLog; names and values as istiod's for a gateway.
#include <fmt/format.h>

#include "ctrl/translate/parts.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"

namespace sluice::translate {
namespace {

namespace core = envoy::config::core::v3;
namespace hcm = envoy::extensions::filters::network::http_connection_manager::v3;

// Istio's default JSON fields, in Envoy's format commands.
constexpr std::pair<const char*, const char*> kJsonFields[] = {
    {"authority", "%REQ(:AUTHORITY)%"},
    {"bytes_received", "%BYTES_RECEIVED%"},
    {"bytes_sent", "%BYTES_SENT%"},
    {"downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"},
    {"downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"},
    {"duration", "%DURATION%"},
    {"method", "%REQ(:METHOD)%"},
    {"path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"},
    {"protocol", "%PROTOCOL%"},
    {"request_id", "%REQ(X-REQUEST-ID)%"},
    {"response_code", "%RESPONSE_CODE%"},
    {"response_code_details", "%RESPONSE_CODE_DETAILS%"},
    {"response_flags", "%RESPONSE_FLAGS%"},
    {"route_name", "%ROUTE_NAME%"},
    {"start_time", "%START_TIME%"},
    {"upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"},
    {"upstream_host", "%UPSTREAM_HOST%"},
    {"user_agent", "%REQ(USER-AGENT)%"},
    {"x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"},
};

void set_address(core::Address& out, const std::string& address, uint32_t port) {
    out.mutable_socket_address()->set_address(address);
    out.mutable_socket_address()->set_port_value(port);
}

void add_access_log(const ProxyNode& node, hcm::HttpConnectionManager& manager) {
    if (node.access_log_path.empty()) return;
    envoy::extensions::access_loggers::file::v3::FileAccessLog file;
    file.set_path(node.access_log_path);
    if (node.access_log_json) {
        auto& fields = *file.mutable_log_format()->mutable_json_format()->mutable_fields();
        for (const auto& [name, format] : kJsonFields) fields[name].set_string_value(format);
    }
    auto& log = *manager.add_access_log();
    log.set_name("envoy.access_loggers.file");
    log.mutable_typed_config()->PackFrom(file);
}

hcm::HttpConnectionManager connection_manager(const ProxyNode& node, const ServerGroup& group) {
    hcm::HttpConnectionManager manager;
    manager.set_stat_prefix("outbound_" + group.listener_name());
    auto& rds = *manager.mutable_rds();
    rds.set_route_config_name(group.route_name());
    rds.mutable_config_source()->mutable_ads();
    rds.mutable_config_source()->mutable_initial_fetch_timeout();
    rds.mutable_config_source()->set_resource_api_version(core::V3);
    // A gateway is the edge: X-Forwarded-For begins with the peer's own address.
    manager.mutable_use_remote_address()->set_value(true);
    manager.mutable_normalize_path()->set_value(true);
    manager.set_path_with_escaped_slashes_action(hcm::HttpConnectionManager::KEEP_UNCHANGED);
    manager.mutable_stream_idle_timeout();  // 0: off, as istiod has it
    manager.set_xff_num_trusted_hops(node.num_trusted_proxies);
    // Unless the topology says otherwise, what a client says of its certificate is dropped; what the handshake proved is told.
    auto forward = hcm::HttpConnectionManager::SANITIZE_SET;
    hcm::HttpConnectionManager::ForwardClientCertDetails_Parse(node.forward_client_cert, &forward);
    manager.set_forward_client_cert_details(forward);
    auto& details = *manager.mutable_set_current_client_cert_details();
    details.mutable_subject()->set_value(true);
    details.set_cert(true), details.set_dns(true), details.set_uri(true);
    add_access_log(node, manager);
    auto& router = *manager.add_http_filters();
    router.set_name("envoy.filters.http.router");
    router.mutable_typed_config()->PackFrom(envoy::extensions::filters::http::router::v3::Router());
    return manager;
}

// `mixed`: plain text and TLS share the port, told apart by the first bytes.
void add_chain(Context& context, const ServerGroup& group, bool mixed, envoy::config::listener::v3::FilterChain& out) {
    const ServerGroup::Member& first = group.members.front();
    if (mixed) out.mutable_filter_chain_match()->set_transport_protocol(group.tls ? "tls" : "raw_buffer");
    auto& filter = *out.add_filters();
    filter.set_name("envoy.filters.network.http_connection_manager");
    filter.mutable_typed_config()->PackFrom(connection_manager(context.node, group));
    if (!group.tls) return;
    for (const std::string& name : server_names(first.server())) out.mutable_filter_chain_match()->add_server_names(name);
    const auto tls = server_context(context, first);
    set_socket(&tls, *out.mutable_transport_socket());
    out.mutable_transport_socket_connect_timeout()->set_seconds(15);
    describe(*first.gateway, first.path(), *out.mutable_metadata());
}

}  // namespace

envoy::config::listener::v3::Listener build_listener(Context& context, const ServerGroup& group) {
    envoy::config::listener::v3::Listener listener;
    listener.set_name(group.listener_name());
    listener.set_traffic_direction(core::OUTBOUND);
    const auto& addresses = context.node.listen_addresses;
    if (!group.bind.empty() || addresses.empty()) {
        set_address(*listener.mutable_address(), group.bind.empty() ? "0.0.0.0" : group.bind, group.port);
    } else {
        set_address(*listener.mutable_address(), addresses.front(), group.port);
        for (size_t i = 1; i < addresses.size(); ++i)
            set_address(*listener.add_additional_addresses()->mutable_address(), addresses[i], group.port);
    }
    const std::vector<ServerGroup> chains = group.by_routes();
    const bool any_tls = chains.back().tls, mixed = any_tls && !chains.front().tls;
    for (const ServerGroup& chain : chains) add_chain(context, chain, mixed, *listener.add_filter_chains());
    if (any_tls) {
        auto& inspector = *listener.add_listener_filters();
        inspector.set_name("envoy.filters.listener.tls_inspector");
        inspector.mutable_typed_config()->PackFrom(envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector());
    }
    const ServerGroup::Member& first = group.members.front();
    describe(*first.gateway, first.path(), *listener.mutable_metadata());
    return listener;
}

}  // namespace sluice::translate
