// The one table of supported, ignorable and refused xDS fields, and its look-up.
// In: descriptors of the generated Envoy API. Out: the rule of a field or of an extension type.
// Adding support for a field means a row here and a reader that uses it; docs name the ignorable ones from here.
#include "ctrl/apply/field_table.h"

#include <algorithm>
#include <string>
#include <unordered_map>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/extensions/filters/http/cors/v3/cors.pb.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"

namespace sluice::apply {
namespace {

#define LISTENER "envoy.config.listener.v3."
#define ROUTE "envoy.config.route.v3."
#define CLUSTER "envoy.config.cluster.v3."
#define ENDPOINT "envoy.config.endpoint.v3."
#define CORE "envoy.config.core.v3."
#define MATCHER "envoy.type.matcher.v3."
#define HCM "envoy.extensions.filters.network.http_connection_manager.v3."
#define UPSTREAM_HTTP "envoy.extensions.upstreams.http.v3."
#define TLS "envoy.extensions.transport_sockets.tls.v3."
#define LOG "envoy.config.accesslog.v3."

constexpr auto kRead = Rule::kRead;
constexpr auto kOpaque = Rule::kOpaque;
constexpr auto kIgnore = Rule::kIgnore;
constexpr auto kOnly = Rule::kOnly;
constexpr auto kRefuse = Rule::kRefuse;

constexpr FieldRule kFields[] = {
    // Listener
    {LISTENER "Listener", "name address additional_addresses filter_chains default_filter_chain listener_filters listener_filters_timeout "
     "continue_on_listener_filters_timeout", kRead},
    {LISTENER "Listener", "metadata", kOpaque},
    {LISTENER "Listener", "traffic_direction stat_prefix", kIgnore, "names statistics"},
    {LISTENER "Listener", "connection_balance_config max_connections_to_accept_per_socket_event enable_reuse_port tcp_backlog_size",
     kIgnore, "of kernel sockets and threads; connections are spread over cores by their own hash"},
    {LISTENER "Listener", "bind_to_port", kOnly, "true"},
    {LISTENER "Listener", "use_original_dst", kOnly, "false"},
    {LISTENER "Listener", "access_log", kRefuse, "access logs of connections are not supported yet"},
    {LISTENER "Listener", "filter_chain_matcher", kRefuse, "choosing among filter chains by a matcher tree is not supported yet: give filter_chain_match"},
    {LISTENER "AdditionalAddress", "address", kRead},
    {LISTENER "FilterChain", "name filters filter_chain_match transport_socket transport_socket_connect_timeout", kRead},
    {LISTENER "FilterChain", "metadata", kIgnore, "informative"},
    {LISTENER "FilterChainMatch",
     "destination_port prefix_ranges server_names transport_protocol application_protocols source_type source_prefix_ranges source_ports", kRead},
    {CORE "CidrRange", "address_prefix prefix_len", kRead},
    {LISTENER "Filter", "typed_config", kRead},
    {LISTENER "Filter", "name", kIgnore, "the type within typed_config decides"},
    {LISTENER "ListenerFilter", "typed_config", kRead},
    {LISTENER "ListenerFilter", "name", kIgnore, "the type within typed_config decides"},
    {CORE "Address", "socket_address", kRead},
    {CORE "SocketAddress", "address port_value", kRead},
    {CORE "SocketAddress", "protocol", kOnly, "TCP"},
    {CORE "TransportSocket", "typed_config", kRead},
    {CORE "TransportSocket", "name", kIgnore, "the type within typed_config decides"},

    // HTTP connection manager
    {HCM "HttpConnectionManager",
     "stat_prefix rds route_config http_filters common_http_protocol_options http_protocol_options server_name "
     "server_header_transformation max_request_headers_kb stream_idle_timeout request_timeout request_headers_timeout drain_timeout "
     "delayed_close_timeout access_log use_remote_address xff_num_trusted_hops generate_request_id preserve_external_request_id "
     "normalize_path merge_slashes request_id_extension", kRead},
    {HCM "HttpConnectionManager", "path_with_escaped_slashes_action", kOnly, "KEEP_UNCHANGED|REJECT_REQUEST|UNESCAPE_AND_FORWARD"},
    {HCM "HttpConnectionManager", "codec_type", kOnly, "HTTP1"},
    {HCM "HttpConnectionManager", "http2_protocol_options http3_protocol_options", kIgnore, "HTTP/1.1 alone is spoken so far"},
    {HCM "HttpConnectionManager", "forward_client_cert_details set_current_client_cert_details", kRead},
    {HCM "HttpConnectionManager.SetCurrentClientCertDetails", "subject cert chain dns uri", kRead},
    {HCM "HttpConnectionManager",
     "skip_xff_append always_set_request_id_in_response stream_error_on_invalid_http_message strip_any_host_port "
     "strip_matching_host_port strip_trailing_host_dot append_x_forwarded_port represent_ipv4_remote_address_as_ipv4_mapped_ipv6",
     kOnly, "false"},
    {HCM "HttpConnectionManager", "tracing", kRefuse, "tracing is not supported yet"},
    {HCM "HttpConnectionManager", "upgrade_configs", kRefuse, "upgrades (WebSocket, CONNECT) are not supported yet"},
    {HCM "HttpConnectionManager", "scoped_routes", kRefuse, "scoped routes are not supported yet"},
    {HCM "HttpConnectionManager", "local_reply_config", kRefuse, "custom local replies are not supported yet"},
    {HCM "Rds", "route_config_name", kRead},
    {HCM "Rds", "config_source", kIgnore, "resources are handed to us whole"},
    {HCM "HttpFilter", "name typed_config", kRead},
    {HCM "HttpFilter", "is_optional", kIgnore, "a filter that is not supported is refused either way"},
    {HCM "HttpFilter", "disabled", kOnly, "false"},
    {HCM "RequestIDExtension", "typed_config", kRead},
    {CORE "HttpProtocolOptions", "idle_timeout max_headers_count max_requests_per_connection", kRead},
    {CORE "HttpProtocolOptions", "headers_with_underscores_action", kOnly, "ALLOW"},
    {CORE "Http1ProtocolOptions", "allow_absolute_url accept_http_10", kOnly, "true"},
    {CORE "Http1ProtocolOptions", "allow_chunked_length send_fully_qualified_url allow_custom_methods", kOnly, "false"},
    {LOG "AccessLog", "typed_config filter", kRead},
    {LOG "AccessLog", "name", kIgnore, "the type within typed_config decides"},
    {LOG "AccessLogFilter",
     "status_code_filter duration_filter not_health_check_filter runtime_filter and_filter or_filter header_filter "
     "response_flag_filter grpc_status_filter log_type_filter", kRead},
    {LOG "AccessLogFilter", "traceable_filter", kRefuse, "there is no tracing yet"},
    {LOG "AccessLogFilter", "metadata_filter", kRefuse, "no filter keeps metadata"},
    {LOG "AccessLogFilter", "extension_filter", kRefuse, "not supported"},
    {LOG "StatusCodeFilter", "comparison", kRead},
    {LOG "DurationFilter", "comparison", kRead},
    {LOG "ComparisonFilter", "op value", kRead},
    {LOG "RuntimeFilter", "percent_sampled use_independent_randomness", kRead},
    {LOG "RuntimeFilter", "runtime_key", kIgnore, "there is no runtime layer: the default holds"},
    {LOG "AndFilter", "filters", kRead},
    {LOG "OrFilter", "filters", kRead},
    {LOG "HeaderFilter", "header", kRead},
    {LOG "ResponseFlagFilter", "flags", kRead},
    {LOG "GrpcStatusFilter", "statuses exclude", kRead},
    {LOG "LogTypeFilter", "types exclude", kRead},
    {CORE "RuntimeUInt32", "default_value", kRead},
    {CORE "RuntimeUInt32", "runtime_key", kIgnore, "there is no runtime layer: the default holds"},
    {"envoy.type.v3.FractionalPercent", "numerator denominator", kRead},
    {"envoy.extensions.access_loggers.file.v3.FileAccessLog", "path log_format", kRead},
    {"envoy.extensions.access_loggers.file.v3.FileAccessLog", "format", kOpaque},
    {"envoy.extensions.access_loggers.file.v3.FileAccessLog", "json_format typed_json_format", kRefuse, "write log_format.json_format"},
    {CORE "SubstitutionFormatString", "text_format_source omit_empty_values", kRead},
    {CORE "SubstitutionFormatString", "text_format json_format", kOpaque},
    {CORE "SubstitutionFormatString", "content_type", kIgnore, "of local replies"},
    {CORE "SubstitutionFormatString", "json_format_options", kIgnore, "keys are always sorted"},
    {CORE "SubstitutionFormatString", "formatters", kIgnore, "all operators there are, are known without"},
    {"envoy.extensions.filters.http.router.v3.Router", "dynamic_stats suppress_grpc_request_failure_code_stats", kIgnore, "statistics only"},
    {"envoy.extensions.filters.http.router.v3.Router", "start_child_span", kIgnore, "of tracing, which is refused where it is asked for"},
    {"envoy.extensions.filters.http.router.v3.Router", "suppress_envoy_headers respect_expected_rq_timeout", kOnly, "false"},

    // RouteConfiguration
    {ROUTE "RouteConfiguration",
     "name virtual_hosts request_headers_to_add request_headers_to_remove response_headers_to_add response_headers_to_remove "
     "validate_clusters max_direct_response_body_size_bytes ignore_port_in_host_matching", kRead},
    {ROUTE "RouteConfiguration", "metadata", kOpaque},
    {ROUTE "RouteConfiguration", "most_specific_header_mutations_wins ignore_path_parameters_in_path_matching", kOnly, "false"},
    {ROUTE "VirtualHost",
     "name domains routes request_headers_to_add request_headers_to_remove response_headers_to_add response_headers_to_remove "
     "typed_per_filter_config", kRead},
    {ROUTE "VirtualHost", "metadata", kOpaque},
    {ROUTE "VirtualHost", "require_tls", kRead},
    {ROUTE "VirtualHost", "include_request_attempt_count", kRefuse, "x-envoy-attempt-count is not supported yet"},
    {ROUTE "VirtualHost", "retry_policy", kRefuse, "retries are not supported yet"},
    {ROUTE "Route",
     "name match route redirect direct_response request_headers_to_add request_headers_to_remove response_headers_to_add "
     "response_headers_to_remove typed_per_filter_config", kRead},
    {ROUTE "Route", "metadata", kOpaque},
    {ROUTE "Route", "decorator tracing", kIgnore, "of tracing, which is refused where it is asked for"},
    {ROUTE "Route", "stat_prefix", kIgnore, "names statistics"},
    {ROUTE "RouteMatch", "prefix path safe_regex path_separated_prefix case_sensitive headers query_parameters", kRead},
    {ROUTE "HeaderMatcher",
     "name exact_match safe_regex_match present_match prefix_match suffix_match contains_match string_match invert_match "
     "treat_missing_header_as_empty", kRead},
    {ROUTE "QueryParameterMatcher", "name string_match present_match", kRead},
    {MATCHER "StringMatcher", "exact prefix suffix contains safe_regex ignore_case", kRead},
    {MATCHER "RegexMatcher", "regex", kRead},
    {MATCHER "RegexMatcher", "google_re2", kOnly, "{}"},
    {MATCHER "RegexMatchAndSubstitute", "pattern substitution", kRead},
    {ROUTE "RouteAction",
     "cluster weighted_clusters prefix_rewrite regex_rewrite host_rewrite_literal timeout idle_timeout", kRead},
    {ROUTE "RouteAction", "max_grpc_timeout", kIgnore, "of gRPC, which comes with HTTP/2"},
    {ROUTE "RouteAction", "cluster_not_found_response_code", kOnly, "SERVICE_UNAVAILABLE"},
    {ROUTE "RouteAction", "auto_host_rewrite append_x_forwarded_host", kOnly, "false"},
    {ROUTE "RouteAction", "priority", kOnly, "DEFAULT"},
    {ROUTE "RouteAction", "retry_policy", kRefuse, "retries are not supported yet"},
    {ROUTE "RouteAction", "request_mirror_policies", kRefuse, "mirroring is not supported yet"},
    {ROUTE "RouteAction", "hash_policy", kRefuse, "consistent hashing is not supported yet"},
    {ROUTE "RouteAction", "upgrade_configs", kRefuse, "upgrades (WebSocket, CONNECT) are not supported yet"},
    {ROUTE "RouteAction", "cors", kRefuse, "CORS is not supported yet"},
    {ROUTE "WeightedCluster", "clusters total_weight", kRead},
    {ROUTE "WeightedCluster", "runtime_key_prefix", kIgnore, "there is no runtime layer to override weights from"},
    {ROUTE "WeightedCluster.ClusterWeight",
     "name weight request_headers_to_add request_headers_to_remove response_headers_to_add response_headers_to_remove "
     "host_rewrite_literal", kRead},
    {ROUTE "RedirectAction",
     "https_redirect scheme_redirect host_redirect port_redirect path_redirect prefix_rewrite regex_rewrite response_code strip_query",
     kRead},
    {ROUTE "DirectResponseAction", "status body", kRead},
    {CORE "DataSource", "inline_string inline_bytes", kOpaque},
    {CORE "HeaderValueOption", "header append_action", kRead},
    {CORE "HeaderValueOption", "keep_empty_value", kOnly, "false"},
    {CORE "HeaderValueOption", "append", kRefuse, "append is deprecated: use append_action"},
    {CORE "HeaderValue", "key value", kRead},

    // Cluster
    {CLUSTER "Cluster",
     "name eds_cluster_config connect_timeout load_assignment circuit_breakers typed_extension_protocol_options "
     "max_requests_per_connection least_request_lb_config common_lb_config transport_socket transport_socket_matches", kRead},
    {CLUSTER "Cluster", "filters", kRead},
    {CLUSTER "Cluster", "metadata", kOpaque},
    {CLUSTER "Cluster", "type", kOnly, "STATIC|EDS"},
    {CLUSTER "Cluster", "lb_policy", kOnly, "ROUND_ROBIN|LEAST_REQUEST|RANDOM"},
    {CLUSTER "Cluster", "alt_stat_name", kIgnore, "names statistics"},
    {CLUSTER "Cluster", "dns_refresh_rate dns_jitter dns_lookup_family respect_dns_ttl typed_dns_resolver_config", kIgnore,
     "of DNS clusters, which are refused by their type"},
    {CLUSTER "Cluster", "cleanup_interval original_dst_lb_config", kIgnore, "of ORIGINAL_DST clusters, which are refused by their type"},
    {CLUSTER "Cluster", "wait_for_warm_on_init", kIgnore, "resources are handed to us whole"},
    {CLUSTER "Cluster.TransportSocketMatch", "name transport_socket", kRead},
    {CLUSTER "Cluster.TransportSocketMatch", "match", kOpaque},
    {CLUSTER "Cluster", "outlier_detection", kRefuse, "outlier detection is not supported yet"},
    {CLUSTER "Cluster", "health_checks", kRefuse, "active health checks are not supported yet"},
    {CLUSTER "Cluster", "lb_subset_config", kRefuse, "subset load balancing is not supported yet"},
    {CLUSTER "Cluster", "upstream_connection_options", kRefuse, "TCP keep-alive of upstream connections is not configurable yet"},
    {CLUSTER "Cluster.EdsClusterConfig", "service_name", kRead},
    {CLUSTER "Cluster.EdsClusterConfig", "eds_config", kIgnore, "resources are handed to us whole"},
    {CLUSTER "Cluster.LeastRequestLbConfig", "choice_count", kRead},
    {CLUSTER "Cluster.CommonLbConfig", "healthy_panic_threshold", kOnly, "0%"},
    {CLUSTER "Cluster.CommonLbConfig", "locality_weighted_lb_config", kRead},
    {CLUSTER "Cluster.CommonLbConfig", "update_merge_window", kIgnore, "an endpoint change is applied at once"},
    {CLUSTER "Cluster.CommonLbConfig", "override_host_status", kIgnore, "of stateful sessions, which are refused where they are asked for"},
    {CLUSTER "Cluster.CommonLbConfig", "close_connections_on_host_set_change", kOnly, "false"},
    {CLUSTER "CircuitBreakers", "thresholds", kRead},
    {CLUSTER "CircuitBreakers.Thresholds", "max_connections max_pending_requests max_requests", kRead},
    {CLUSTER "CircuitBreakers.Thresholds", "priority", kOnly, "DEFAULT"},
    {CLUSTER "CircuitBreakers.Thresholds", "max_retries", kIgnore, "of retries, which are refused where they are asked for"},
    {CLUSTER "CircuitBreakers.Thresholds", "track_remaining", kIgnore, "statistics only"},
    {CLUSTER "Filter", "typed_config", kRead},
    {CLUSTER "Filter", "name", kIgnore, "the type within typed_config decides"},
    {UPSTREAM_HTTP "HttpProtocolOptions", "common_http_protocol_options explicit_http_config use_downstream_protocol_config", kRead},
    {UPSTREAM_HTTP "HttpProtocolOptions", "upstream_http_protocol_options", kRead},
    {CORE "UpstreamHttpProtocolOptions", "auto_sni auto_san_validation", kRead},
    {CORE "UpstreamHttpProtocolOptions", "override_auto_sni_header", kRefuse, "connections are pooled by endpoint, not by request"},
    {UPSTREAM_HTTP "HttpProtocolOptions.ExplicitHttpConfig", "http_protocol_options", kRead},
    {UPSTREAM_HTTP "HttpProtocolOptions.ExplicitHttpConfig", "http2_protocol_options", kRefuse, "HTTP/2 to backends is not supported yet"},
    {UPSTREAM_HTTP "HttpProtocolOptions.UseDownstreamHttpConfig", "http_protocol_options", kRead},
    {UPSTREAM_HTTP "HttpProtocolOptions.UseDownstreamHttpConfig", "http2_protocol_options http3_protocol_options", kIgnore,
     "used for downstream HTTP/2 and HTTP/3 only"},

    // ClusterLoadAssignment
    {ENDPOINT "ClusterLoadAssignment", "cluster_name endpoints", kRead},
    {ENDPOINT "LocalityLbEndpoints", "locality lb_endpoints load_balancing_weight priority", kRead},
    {ENDPOINT "LocalityLbEndpoints", "metadata proximity", kIgnore, "informative"},
    {ENDPOINT "LbEndpoint", "endpoint health_status load_balancing_weight", kRead},
    {ENDPOINT "LbEndpoint", "metadata", kOpaque},   // names workloads; TLS and subsets are refused where they are asked for
    {ENDPOINT "Endpoint", "address", kRead},
    {ENDPOINT "Endpoint", "hostname", kIgnore, "of auto_host_rewrite, refused where it is asked for"},
    {ENDPOINT "Endpoint", "health_check_config", kIgnore, "of health checks, refused where they are asked for"},
    {CORE "Locality", "region zone sub_zone", kRead},

    // TLS
    {TLS "DownstreamTlsContext",
     "common_tls_context require_client_certificate session_ticket_keys session_ticket_keys_sds_secret_config disable_stateless_session_resumption", kRead},
    {TLS "DownstreamTlsContext", "disable_stateful_session_resumption", kIgnore, "sessions are resumed by tickets alone"},
    {TLS "DownstreamTlsContext", "session_timeout", kIgnore, "a ticket opens as long as its key lives"},
    {TLS "DownstreamTlsContext", "full_scan_certs_on_sni_mismatch", kIgnore, "a certificate is chosen by the client's algorithms, a chain by its server name"},
    {TLS "DownstreamTlsContext", "require_sni prefer_client_ciphers", kOnly, "false"},
    {TLS "DownstreamTlsContext", "ocsp_staple_policy", kOnly, "LENIENT_STAPLING"},
    {TLS "UpstreamTlsContext", "common_tls_context sni max_session_keys", kRead},
    {TLS "UpstreamTlsContext", "allow_renegotiation", kOnly, "false"},
    {TLS "UpstreamTlsContext", "enforce_rsa_key_usage", kIgnore, "key usage is always looked at"},
    {TLS "UpstreamTlsContext", "auto_host_sni auto_sni_san_validation", kRefuse, "the name of each endpoint is not known: give sni"},
    {TLS "CommonTlsContext",
     "tls_params tls_certificates tls_certificate_sds_secret_configs validation_context validation_context_sds_secret_config combined_validation_context "
     "alpn_protocols", kRead},
    {TLS "CommonTlsContext", "key_log", kRefuse, "keys are logged where the gateway's own file says so (tls.keyLog)"},
    {TLS "CommonTlsContext", "custom_handshaker custom_tls_certificate_selector", kRefuse, "handshakes are the gateway's own"},
    {TLS "CommonTlsContext.CombinedCertificateValidationContext", "default_validation_context validation_context_sds_secret_config", kRead},
    {TLS "TlsParameters", "tls_minimum_protocol_version tls_maximum_protocol_version cipher_suites ecdh_curves", kRead},
    {TLS "TlsParameters", "signature_algorithms compliance_policies", kRefuse, "not supported"},
    {TLS "SdsSecretConfig", "name", kRead},
    {TLS "SdsSecretConfig", "sds_config", kIgnore, "resources are handed to us whole"},
    {TLS "Secret", "name tls_certificate validation_context session_ticket_keys", kRead},
    {TLS "Secret", "generic_secret", kOpaque},
    {TLS "TlsCertificate", "certificate_chain private_key ocsp_staple", kRead},
    {TLS "TlsCertificate", "watched_directory", kIgnore, "certificates come inline"},
    {TLS "TlsCertificate", "password pkcs12 private_key_provider", kRefuse, "give certificate_chain and private_key as PEM without a password"},
    {TLS "TlsSessionTicketKeys", "keys", kRead},
    {TLS "CertificateValidationContext",
     "trusted_ca crl verify_certificate_spki verify_certificate_hash match_typed_subject_alt_names match_subject_alt_names trust_chain_verification "
     "only_verify_leaf_cert_crl max_verify_depth custom_validator_config", kRead},
    {TLS "CertificateValidationContext", "watched_directory", kIgnore, "certificates come inline"},
    {TLS "CertificateValidationContext", "allow_expired_certificate", kOnly, "false"},
    {TLS "CertificateValidationContext", "require_signed_certificate_timestamp", kOnly, "false"},
    {TLS "SPIFFECertValidatorConfig", "trust_domains trust_bundles", kRead},
    {TLS "SPIFFECertValidatorConfig.TrustDomain", "name trust_bundle", kRead},
    {CORE "TypedExtensionConfig", "typed_config", kRead},
    {CORE "TypedExtensionConfig", "name", kIgnore, "the type within typed_config decides"},
    {TLS "CertificateValidationContext", "system_root_certs ca_certificate_provider_instance", kRefuse, "give trusted_ca inline"},
    {TLS "SubjectAltNameMatcher", "san_type matcher", kRead},
};

constexpr ExtensionRule kExtensions[] = {
    {HCM "HttpConnectionManager", kRead},
    {"envoy.extensions.filters.http.router.v3.Router", kRead},
    {"envoy.extensions.access_loggers.file.v3.FileAccessLog", kRead},
    {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions", kRead},
    {"envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer", kRead},
    {TLS "DownstreamTlsContext", kRead},
    {TLS "UpstreamTlsContext", kRead},
    {TLS "SPIFFECertValidatorConfig", kRead},
    // Without a field they do nothing until a route configures them, which is refused there.
    {"envoy.extensions.filters.http.fault.v3.HTTPFault", kRead},
    {"envoy.extensions.filters.http.cors.v3.Cors", kRead},
    {"envoy.extensions.filters.http.grpc_stats.v3.FilterConfig", kIgnore, "statistics only"},
    {"envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig", kIgnore, "request ids are UUIDs; its options are of tracing"},
    {"envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector", kIgnore, "the first bytes are looked at where some chain's match needs it"},
    {"envoy.extensions.filters.listener.http_inspector.v3.HttpInspector", kIgnore, "HTTP alone is proxied"},
    // Istio's: labels on metrics, and ALPN of TLS to backends.
    {"stats.PluginConfig", kIgnore, "Istio's metrics come from our own telemetry"},
    {"io.istio.http.peer_metadata.Config", kIgnore, "labels of metrics"},
    {"envoy.tcp.metadataexchange.config.MetadataExchange", kIgnore, "labels of metrics"},
    {"istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig", kIgnore, "what it would offer backends of the mesh is offered without it"},
    // Better words for what people will meet.
    {"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", kRefuse, "TCP proxying is not supported yet"},
};

#undef LISTENER
#undef ROUTE
#undef CLUSTER
#undef ENDPOINT
#undef CORE
#undef MATCHER
#undef HCM
#undef UPSTREAM_HTTP
#undef TLS
#undef LOG

struct Table {
    std::unordered_map<const google::protobuf::FieldDescriptor*, const FieldRule*> rules;
    std::string errors;

    Table() {
        link_extensions();
        for (const FieldRule& row : kFields) add(row);
    }
    /// A static library gives the linker only what is referred to; these are found by name alone.
    static void link_extensions() {
        envoy::extensions::access_loggers::file::v3::FileAccessLog::descriptor();
        envoy::extensions::filters::http::cors::v3::Cors::descriptor();
        envoy::extensions::filters::http::fault::v3::HTTPFault::descriptor();
        envoy::extensions::filters::http::router::v3::Router::descriptor();
        envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager::descriptor();
        envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer::descriptor();
        envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext::descriptor();
        envoy::extensions::transport_sockets::tls::v3::SPIFFECertValidatorConfig::descriptor();
        envoy::extensions::upstreams::http::v3::HttpProtocolOptions::descriptor();
    }
    void add(const FieldRule& row) {
        const auto* message = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(row.message);
        if (!message) {
            errors += std::string("no message ") + row.message + "\n";
            return;
        }
        std::string_view names = row.fields;
        while (!names.empty()) {
            const size_t space = std::min(names.find(' '), names.size());
            const auto* field = message->FindFieldByName(std::string(names.substr(0, space)));
            names.remove_prefix(std::min(space + 1, names.size()));
            if (!field || !rules.emplace(field, &row).second) {
                errors += std::string(row.message) + ": a field of \"" + row.fields + "\" is unknown or in the table twice\n";
            }
        }
    }
};

const Table& table() {
    static const Table instance;
    return instance;
}

}  // namespace

const FieldRule* find_rule(const google::protobuf::FieldDescriptor* field) {
    const auto found = table().rules.find(field);
    return found == table().rules.end() ? nullptr : found->second;
}

const ExtensionRule* find_extension(std::string_view type) {
    for (const ExtensionRule& row : kExtensions) {
        if (type == row.type) return &row;
    }
    return nullptr;
}

std::string table_errors() { return table().errors; }

}  // namespace sluice::apply
