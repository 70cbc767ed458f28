// The list of metrics about traffic: Istio's, Envoy's, and ours of requests. Names and labels are those of the two projects;
// bounds count series, a histogram's 22 lines as one.
#include "ctrl/admin/metrics_catalogue.h"

#include "telemetry/core_stats.h"

namespace sluice::admin {

namespace {

using Per = SeriesBound::Per;
constexpr SeriesBound each(Per per, uint32_t times = 1) { return {per, times}; }
constexpr auto C = MetricKind::kCounter, G = MetricKind::kGauge, H = MetricKind::kHistogram;
constexpr std::string_view kIstioLabels =
    "reporter, source_workload, source_workload_namespace, source_principal, source_app, source_version, source_canonical_service, "
    "source_canonical_revision, source_cluster, destination_workload, destination_workload_namespace, destination_principal, "
    "destination_app, destination_version, destination_canonical_service, destination_canonical_revision, destination_service, "
    "destination_service_name, destination_service_namespace, destination_cluster, request_protocol, response_code, "
    "grpc_response_status, response_flags, connection_security_policy";
constexpr SeriesBound kIstioBound = each(Per::kGateway, telemetry::kSeriesMax + 1);
constexpr std::string_view kPrefix = "envoy_http_conn_manager_prefix", kAddress = "envoy_listener_address", kName = "envoy_cluster_name";
constexpr SeriesBound kOne, kListeners = each(Per::kListener), kClusters = each(Per::kCluster);

}  // namespace

std::vector<Metric> istio_metrics() {
    return {
        {"istio_requests_total", C, "", kIstioLabels, kIstioBound, "Requests finished"},
        {"istio_request_duration_milliseconds", H, "milliseconds", kIstioLabels, kIstioBound, "How long requests took, from their first byte to the answer's last"},
        {"istio_request_bytes", H, "bytes", kIstioLabels, kIstioBound, "Bodies of requests"},
        {"istio_response_bytes", H, "bytes", kIstioLabels, kIstioBound, "Bodies of answers"},
    };
}

std::vector<Metric> envoy_http_metrics() {
    return {
        {"envoy_http_downstream_cx_total", C, "", kPrefix, kListeners, "Connections accepted"},
        {"envoy_http_downstream_cx_active", G, "", kPrefix, kListeners, "Connections open"},
        {"envoy_http_downstream_cx_destroy", C, "", kPrefix, kListeners, "Connections ended"},
        {"envoy_http_downstream_cx_http1_total", C, "", kPrefix, kListeners, "HTTP/1 connections accepted"},
        {"envoy_http_downstream_cx_http1_active", G, "", kPrefix, kListeners, "HTTP/1 connections open"},
        {"envoy_http_downstream_cx_protocol_error", C, "", kPrefix, kListeners, "Connections ended because of a malformed request"},
        {"envoy_http_downstream_cx_rx_bytes_total", C, "bytes", kPrefix, kListeners, "Bytes of HTTP read from clients: heads, framing and bodies"},
        {"envoy_http_downstream_cx_tx_bytes_total", C, "bytes", kPrefix, kListeners, "Bytes of HTTP written to clients"},
        {"envoy_http_downstream_cx_length_ms", H, "milliseconds", kPrefix, kListeners, "How long connections lasted"},
        {"envoy_http_downstream_rq_total", C, "", kPrefix, kListeners, "Requests read"},
        {"envoy_http_downstream_rq_active", G, "", kPrefix, kListeners, "Requests in progress"},
        {"envoy_http_downstream_rq_http1_total", C, "", kPrefix, kListeners, "HTTP/1 requests read"},
        {"envoy_http_downstream_rq_completed", C, "", kPrefix, kListeners, "Requests that an answer was begun for"},
        {"envoy_http_downstream_rq_xx", C, "", "envoy_http_conn_manager_prefix, envoy_response_code_class", each(Per::kListener, 5), "Answers by class"},
        {"envoy_http_downstream_rq_time", H, "milliseconds", kPrefix, kListeners, "How long requests took, known to 1/16"},
        {"envoy_http_downstream_rq_rx_reset", C, "", kPrefix, kListeners, "Requests whose client left before the answer was complete"},
        {"envoy_http_downstream_rq_timeout", C, "", kPrefix, kListeners, "Requests that were not complete within their time"},
        {"envoy_http_downstream_rq_idle_timeout", C, "", kPrefix, kListeners, "Requests that stood still for too long"},
        {"envoy_http_no_route", C, "", kPrefix, kListeners, "Requests that no route matched"},
        {"envoy_http_no_cluster", C, "", kPrefix, kListeners, "Requests whose cluster is not known"},
        {"envoy_http_rq_redirect", C, "", kPrefix, kListeners, "Requests answered with a redirect by their route"},
        {"envoy_http_rq_direct_response", C, "", kPrefix, kListeners, "Requests answered by their route"},
        {"envoy_listener_downstream_cx_total", C, "", kAddress, kListeners, "Connections accepted"},
        {"envoy_listener_downstream_cx_active", G, "", kAddress, kListeners, "Connections open"},
        {"envoy_listener_downstream_cx_destroy", C, "", kAddress, kListeners, "Connections ended"},
        {"envoy_listener_downstream_cx_length_ms", H, "milliseconds", kAddress, kListeners, "How long connections lasted"},
        {"envoy_listener_http_downstream_rq_completed", C, "", kAddress, kListeners, "Requests that an answer was begun for"},
        {"envoy_listener_http_downstream_rq_xx", C, "", "envoy_listener_address, envoy_response_code_class", each(Per::kListener, 5), "Answers by class"},
    };
}

std::vector<Metric> envoy_cluster_metrics() {
    return {
        {"envoy_cluster_upstream_cx_total", C, "", kName, kClusters, "Connections made or tried"},
        {"envoy_cluster_upstream_cx_active", G, "", kName, kClusters, "Connections open"},
        {"envoy_cluster_upstream_cx_http1_total", C, "", kName, kClusters, "HTTP/1 connections made or tried"},
        {"envoy_cluster_upstream_cx_destroy", C, "", kName, kClusters, "Connections ended"},
        {"envoy_cluster_upstream_cx_connect_fail", C, "", kName, kClusters, "Requests that failed because their connection could not be made"},
        {"envoy_cluster_upstream_cx_connect_timeout", C, "", kName, kClusters, "Requests that failed because their connection took too long"},
        {"envoy_cluster_upstream_cx_connect_ms", H, "milliseconds", kName, kClusters, "How long it took to connect"},
        {"envoy_cluster_upstream_cx_length_ms", H, "milliseconds", kName, kClusters, "How long connections lasted"},
        {"envoy_cluster_upstream_cx_none_healthy", C, "", kName, kClusters, "Requests without an endpoint"},
        {"envoy_cluster_upstream_cx_protocol_error", C, "", kName, kClusters, "Answers that were not HTTP"},
        {"envoy_cluster_upstream_cx_idle_timeout", C, "", kName, kClusters, "Connections closed because they were idle for too long"},
        {"envoy_cluster_upstream_cx_max_requests", C, "", kName, kClusters, "Connections closed because they had served their number of requests"},
        {"envoy_cluster_upstream_cx_rx_bytes_total", C, "bytes", kName, kClusters, "Bytes of HTTP read from endpoints: heads, framing and bodies"},
        {"envoy_cluster_upstream_cx_tx_bytes_total", C, "bytes", kName, kClusters, "Bytes of HTTP written to endpoints"},
        {"envoy_cluster_upstream_rq_total", C, "", kName, kClusters, "Requests sent"},
        {"envoy_cluster_upstream_rq_active", G, "", kName, kClusters, "Requests in progress"},
        {"envoy_cluster_upstream_rq_pending_total", C, "", kName, kClusters, "Requests that had to wait for a connection"},
        {"envoy_cluster_upstream_rq_pending_active", G, "", kName, kClusters, "Requests that wait for a connection"},
        {"envoy_cluster_upstream_rq_pending_overflow", C, "", kName, kClusters, "Requests refused by a circuit breaker"},
        {"envoy_cluster_upstream_rq_cancelled", C, "", kName, kClusters, "Requests given up while they waited for a connection"},
        {"envoy_cluster_upstream_rq_tx_reset", C, "", kName, kClusters, "Requests given up on a connection, before their answer was complete"},
        {"envoy_cluster_upstream_rq_timeout", C, "", kName, kClusters, "Requests that timed out"},
        {"envoy_cluster_upstream_rq_rx_reset", C, "", kName, kClusters, "Requests whose connection was closed or reset"},
        {"envoy_cluster_upstream_rq_retry", C, "", kName, kClusters, "Requests sent once more"},
        {"envoy_cluster_upstream_rq_completed", C, "", kName, kClusters, "Requests that an answer came for"},
        {"envoy_cluster_upstream_rq_xx", C, "", "envoy_cluster_name, envoy_response_code_class", each(Per::kCluster, 5), "Answers by class"},
        {"envoy_cluster_upstream_rq", C, "", "envoy_cluster_name, envoy_response_code", each(Per::kCluster, 62), "Answers by code, for codes of HTTP's registry, from the first one on"},
        {"envoy_cluster_upstream_rq_time", H, "milliseconds", kName, kClusters, "From the whole request to the end of the answer"},
        {"envoy_cluster_membership_total", G, "", kName, kClusters, "Endpoints, those left out of load balancing too"},
        {"envoy_cluster_membership_healthy", G, "", kName, kClusters, "Endpoints that are picked and have had no failure after their last success"},
    };
}

std::vector<Metric> request_metrics() {
    return {
        {"sluice_downstream_body_received_bytes_total", C, "bytes", kPrefix, kListeners, "Bodies of requests"},
        {"sluice_downstream_body_sent_bytes_total", C, "bytes", kPrefix, kListeners, "Bodies of answers"},
        {"sluice_http_protocol_errors_total", C, "", "envoy_http_conn_manager_prefix, reason", each(Per::kListener, telemetry::kProtocolErrors - 1), "Requests refused as malformed, by reason, from the first one on"},
        {"sluice_response_flags_total", C, "", "flag", each(Per::kGateway, 16), "Requests finished by Envoy's response flag"},
        {"sluice_cluster_upstream_cx_idle", G, "", kName, kClusters, "Connections open and idle in pools"},
        {"sluice_cluster_body_received_bytes_total", C, "bytes", kName, kClusters, "Bodies of answers from endpoints"},
        {"sluice_cluster_body_sent_bytes_total", C, "bytes", kName, kClusters, "Bodies of requests to endpoints"},
        {"sluice_request_label_sets", G, "", "", kOne, "Label sets of istio_requests_total that are in use"},
        {"sluice_request_label_sets_max", G, "", "", kOne, "How many there may be"},
        {"sluice_requests_of_other_label_sets_total", C, "", "", kOne, "Requests counted as response_code=\"other\" because there was no room to tell them apart"},
        {"sluice_principal_pairs", G, "", "", kOne, "Pairs of source and destination principal that are told apart now"},
        {"sluice_principal_pairs_max", G, "", "", kOne, "How many there may be"},
        {"sluice_connections_of_other_principals_total", C, "", "", kOne, "Connections to backends whose requests are counted under principals \"other\" because there was no room to tell theirs apart"},
        {"sluice_access_log_lines_total", C, "", "", kOne, "Access log lines written"},
        {"sluice_access_log_dropped_total", C, "", "", kOne, "Access log records dropped because a ring was full"},
        {"sluice_access_log_write_failed_total", C, "", "", kOne, "Access log lines lost to a failing file"},
        {"sluice_access_log_truncated_total", C, "", "", kOne, "Access log records with a field cut"},
        {"sluice_bytes_copied_total", C, "bytes", "reason", each(Per::kGateway, 4), "Bytes that were copied, by reason"},
        {"sluice_bytes_attached_total", C, "bytes", "", kOne, "Payload bytes handed to a port without a copy"},
    };
}

}  // namespace sluice::admin
