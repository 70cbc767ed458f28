// The list of metrics about TLS: Envoy's ssl.* of listeners and clusters, and ours. In: nothing. Out: the list. Constant.
#include "ctrl/admin/metrics_catalogue.h"
#include "telemetry/tls_stats.h"

namespace sluice::admin {

namespace {

using Per = SeriesBound::Per;
constexpr SeriesBound each(Per per, size_t times = 1) { return {per, static_cast<uint32_t>(times)}; }
constexpr auto C = MetricKind::kCounter, G = MetricKind::kGauge;
constexpr std::string_view kAddress = "envoy_listener_address", kName = "envoy_cluster_name";
constexpr SeriesBound kOne, kListeners = each(Per::kListener), kClusters = each(Per::kCluster);
constexpr size_t kSuites = telemetry::kCountedSuites.size() + 1, kGroups = telemetry::kCountedGroups.size() + 1;

}  // namespace

std::vector<Metric> tls_metrics() {
    return {
        {"envoy_listener_no_filter_chain_match", C, "", kAddress, kListeners, "Connections closed because no server takes them: a name that nobody has"},
        {"envoy_listener_downstream_pre_cx_timeout", C, "", kAddress, kListeners, "Connections whose first bytes did not come in time"},
        {"envoy_listener_downstream_pre_cx_active", G, "", kAddress, kListeners, "Connections whose first bytes or handshake are awaited"},
        {"envoy_listener_ssl_handshake", C, "", kAddress, kListeners, "Handshakes of clients done"},
        {"envoy_listener_ssl_session_reused", C, "", kAddress, kListeners, "Of these, sessions resumed"},
        {"envoy_listener_ssl_no_certificate", C, "", kAddress, kListeners, "Of these, clients without a certificate"},
        {"envoy_listener_ssl_connection_error", C, "", kAddress, kListeners, "TLS that failed for other reasons than certificates"},
        {"envoy_listener_ssl_fail_verify_no_cert", C, "", kAddress, kListeners, "Clients refused because they showed no certificate"},
        {"envoy_listener_ssl_fail_verify_error", C, "", kAddress, kListeners, "Clients refused because of their certificate"},
        {"envoy_listener_ssl_fail_verify_san", C, "", kAddress, kListeners, "Clients refused because of the names in their certificate"},
        {"envoy_listener_ssl_fail_verify_cert_hash", C, "", kAddress, kListeners, "Clients refused because neither their certificate nor its key is pinned"},
        {"envoy_listener_ssl_versions", C, "", "envoy_listener_address, envoy_ssl_version", each(Per::kListener, 2), "Handshakes by version"},
        {"envoy_listener_ssl_ciphers", C, "", "envoy_listener_address, envoy_ssl_cipher", each(Per::kListener, kSuites), "Handshakes by cipher suite"},
        {"envoy_listener_ssl_curves", C, "", "envoy_listener_address, envoy_ssl_curve", each(Per::kListener, kGroups), "Handshakes by group of the key exchange"},
        {"envoy_cluster_ssl_handshake", C, "", kName, kClusters, "Handshakes with backends done"},
        {"envoy_cluster_ssl_session_reused", C, "", kName, kClusters, "Of these, sessions resumed"},
        {"envoy_cluster_ssl_no_certificate", C, "", kName, kClusters, "Of these, backends without a certificate"},
        {"envoy_cluster_ssl_connection_error", C, "", kName, kClusters, "TLS that failed for other reasons than certificates"},
        {"envoy_cluster_ssl_fail_verify_no_cert", C, "", kName, kClusters, "Backends refused because they showed no certificate"},
        {"envoy_cluster_ssl_fail_verify_error", C, "", kName, kClusters, "Backends refused because of their certificate"},
        {"envoy_cluster_ssl_fail_verify_san", C, "", kName, kClusters, "Backends refused because of the names in their certificate"},
        {"envoy_cluster_ssl_fail_verify_cert_hash", C, "", kName, kClusters, "Backends refused because neither their certificate nor its key is pinned"},
        {"envoy_cluster_ssl_versions", C, "", "envoy_cluster_name, envoy_ssl_version", each(Per::kCluster, 2), "Handshakes by version"},
        {"envoy_cluster_ssl_ciphers", C, "", "envoy_cluster_name, envoy_ssl_cipher", each(Per::kCluster, kSuites), "Handshakes by cipher suite"},
        {"envoy_cluster_ssl_curves", C, "", "envoy_cluster_name, envoy_ssl_curve", each(Per::kCluster, kGroups), "Handshakes by group of the key exchange"},
        {"sluice_tls_handshake_failures_total", C, "", "envoy_listener_address, reason", each(Per::kListener, telemetry::kTlsFailures), "Handshakes of clients that failed, by reason"},
        {"sluice_tls_upstream_handshake_failures_total", C, "", "envoy_cluster_name, reason", each(Per::kCluster, telemetry::kTlsFailures), "Handshakes with backends that failed, by reason"},
        {"sluice_tls_truncated_total", C, "", kAddress, kListeners, "Clients that ended without close_notify where bytes were missing or might be"},
        {"sluice_tls_upstream_truncated_total", C, "", kName, kClusters, "Backends that did"},
        {"sluice_tls_fallbacks_total", C, "", kAddress, kListeners, "Clients' connections whose records OpenSSL keeps"},
        {"sluice_tls_upstream_fallbacks_total", C, "", kName, kClusters, "Backends' connections whose records OpenSSL keeps"},
        {"sluice_tls_no_secret_total", C, "", kAddress, kListeners, "Connections closed because their server's certificate is not there"},
        {"sluice_tls_upstream_no_secret_total", C, "", kName, kClusters, "Connections not made because the certificate or roots for them are not there"},
        {"sluice_tls_found_total", C, "", kAddress, kListeners, "Connections that began with a TLS hello"},
        {"sluice_tls_not_found_total", C, "", kAddress, kListeners, "Connections that began with something else"},
        {"sluice_tls_bad_hellos_total", C, "", kAddress, kListeners, "Connections closed because of a malformed hello"},
        {"sluice_tls_openssl_objects", G, "", "", kOne, "OpenSSL's connection objects alive: handshakes under way, and connections whose records OpenSSL keeps"},
        {"sluice_tls_records_received_total", C, "", "", kOne, "Records opened by the record layer"},
        {"sluice_tls_records_sent_total", C, "", "", kOne, "Records sealed by it"},
        {"sluice_tls_received_bytes_total", C, "bytes", "", kOne, "Plain bytes out of records"},
        {"sluice_tls_sent_bytes_total", C, "bytes", "", kOne, "Plain bytes into records"},
        {"sluice_tls_key_updates_received_total", C, "", "", kOne, "KeyUpdates of peers"},
        {"sluice_tls_key_updates_sent_total", C, "", "", kOne, "KeyUpdates of ours"},
        {"sluice_tls_alerts_received_total", C, "", "", kOne, "Alerts of peers after the handshake"},
        {"sluice_tls_alerts_sent_total", C, "", "", kOne, "Alerts of ours after the handshake"},
        {"sluice_tls_bad_macs_total", C, "", "", kOne, "Records that could not be opened"},
        {"sluice_tls_bad_records_total", C, "", "", kOne, "Records that are malformed"},
        {"sluice_tls_floods_total", C, "", "", kOne, "Connections ended because of too many records without data"},
        {"sluice_tls_keys_expanded_total", C, "", "", kOne, "Keys expanded"},
        {"sluice_tls_keys_evicted_total", C, "", "", kOne, "Expanded keys given to another connection"},
    };
}

}  // namespace sluice::admin
