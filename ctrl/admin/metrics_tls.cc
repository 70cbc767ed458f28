// TLS of listeners and clusters: Envoy's ssl.* statistics by its names, every reason for a failed handshake, and what record layers count.
// In: counters of the cores. Out: calls on a writer. Suites, versions and reasons appear with their first handshake. Any thread.
#include <algorithm>
#include <array>
#include <map>

#include "ctrl/admin/metrics.h"
#include "tls/types.h"

namespace sluice::admin {

namespace {

using telemetry::Counter;
using telemetry::CoreStats;
using telemetry::ListenerStats;
using telemetry::TlsStats;

/// Whose handshakes are one series: listeners of one address, or one cluster.
struct Party {
    std::string labels;
    std::vector<uint32_t> ids;
};

std::string envoy_address(const SocketAddress& address) {
    std::string text = address.to_string();
    std::replace(text.begin(), text.end(), ':', '_');   // Envoy: 0.0.0.0_443, [__]_443
    return text;
}

std::vector<Party> listeners_of(const Tables& tables) {
    std::map<std::string, std::vector<uint32_t>> by_address;
    for (const auto& l : tables.listeners)
        if (l) by_address[label_text({{"envoy_listener_address", envoy_address(l->address)}})].push_back(l->id);
    std::vector<Party> out;
    for (auto& [labels, ids] : by_address) out.push_back({labels, std::move(ids)});
    return out;
}

std::vector<Party> clusters_of(const Tables& tables) {
    std::vector<Party> out;
    for (const auto& c : tables.clusters)
        if (c) out.push_back({label_text({{"envoy_cluster_name", c->name}}), {c->id}});
    return out;
}

/// One side: its statistics on a core, its names of metrics in the order of kEnvoy, kVersions and so on.
struct Side {
    const TlsStats& (*of)(const CoreStats& core, uint32_t id);
    std::array<std::string_view, 8> envoy;
    std::string_view versions, ciphers, curves, failures, truncated, fallbacks, no_secret;
};
constexpr Counter TlsStats::*kEnvoy[] = {
    &TlsStats::handshakes,        &TlsStats::session_reused,      &TlsStats::no_certificate, &TlsStats::connection_errors,
    &TlsStats::fail_verify_no_cert, &TlsStats::fail_verify_error, &TlsStats::fail_verify_san,      &TlsStats::fail_verify_cert_hash};

constexpr Side kClients{
    [](const CoreStats& core, uint32_t id) -> const TlsStats& { return core.listener(id).tls; },
    {"envoy_listener_ssl_handshake", "envoy_listener_ssl_session_reused", "envoy_listener_ssl_no_certificate", "envoy_listener_ssl_connection_error",
     "envoy_listener_ssl_fail_verify_no_cert", "envoy_listener_ssl_fail_verify_error", "envoy_listener_ssl_fail_verify_san",
     "envoy_listener_ssl_fail_verify_cert_hash"},
    "envoy_listener_ssl_versions", "envoy_listener_ssl_ciphers", "envoy_listener_ssl_curves", "sluice_tls_handshake_failures_total", "sluice_tls_truncated_total",
    "sluice_tls_fallbacks_total", "sluice_tls_no_secret_total"};
constexpr Side kBackends{
    [](const CoreStats& core, uint32_t id) -> const TlsStats& { return core.cluster(id).tls; },
    {"envoy_cluster_ssl_handshake", "envoy_cluster_ssl_session_reused", "envoy_cluster_ssl_no_certificate", "envoy_cluster_ssl_connection_error",
     "envoy_cluster_ssl_fail_verify_no_cert", "envoy_cluster_ssl_fail_verify_error", "envoy_cluster_ssl_fail_verify_san",
     "envoy_cluster_ssl_fail_verify_cert_hash"},
    "envoy_cluster_ssl_versions", "envoy_cluster_ssl_ciphers", "envoy_cluster_ssl_curves", "sluice_tls_upstream_handshake_failures_total", "sluice_tls_upstream_truncated_total",
    "sluice_tls_upstream_fallbacks_total", "sluice_tls_upstream_no_secret_total"};

/// `pick`: CoreStats and an id -> a counter.
template <typename Pick>
uint64_t sum(const Sources& s, const Party& party, Pick pick) {
    uint64_t n = 0;
    for (const CoreStats* core : s.cores)
        for (const uint32_t id : party.ids) n += pick(*core, id).get();
    return n;
}

template <typename Pick>
void write_each(const Sources& s, const std::vector<Party>& parties, std::string_view name, Pick pick, MetricWriter& out) {
    out.begin(name);
    for (const Party& party : parties) out.add(party.labels, sum(s, party, pick));
}

/// One label more, of `count` values; those that never happened are left out.
template <typename Pick, typename Text>
void write_kinds(const Sources& s, const std::vector<Party>& parties, std::string_view name, std::string_view label, size_t count, Text text, Pick pick, MetricWriter& out) {
    out.begin(name);
    for (const Party& party : parties)
        for (size_t i = 0; i < count; i++)
            if (const uint64_t n = sum(s, party, [&](const CoreStats& core, uint32_t id) -> const auto& { return pick(core, id, i); }))
                out.add(add_label(party.labels, label, text(i)), n);
}

const char* version_text(size_t i) { return tls::to_string(i == 0 ? tls::Version::kTls12 : tls::Version::kTls13); }
const char* suite_text(size_t i) { return i < telemetry::kCountedSuites.size() ? tls::cipher_suite_name(telemetry::kCountedSuites[i]) : "other"; }
const char* group_text(size_t i) { return i < telemetry::kCountedGroups.size() ? tls::group_name(telemetry::kCountedGroups[i]) : "other"; }
const char* failure_text(size_t i) { return tls::to_string(static_cast<tls::Failure>(i)); }

void write_side(const Sources& s, const Side& side, const std::vector<Party>& parties, MetricWriter& out) {
    for (size_t i = 0; i < side.envoy.size(); i++)
        write_each(s, parties, side.envoy[i], [&](const CoreStats& core, uint32_t id) -> const auto& { return side.of(core, id).*kEnvoy[i]; }, out);
    write_kinds(s, parties, side.versions, "envoy_ssl_version", 2, version_text,
                [&](const CoreStats& core, uint32_t id, size_t k) -> const auto& { return side.of(core, id).versions[k]; }, out);
    write_kinds(s, parties, side.ciphers, "envoy_ssl_cipher", telemetry::kCountedSuites.size() + 1, suite_text,
                [&](const CoreStats& core, uint32_t id, size_t k) -> const auto& { return side.of(core, id).suites[k]; }, out);
    write_kinds(s, parties, side.curves, "envoy_ssl_curve", telemetry::kCountedGroups.size() + 1, group_text,
                [&](const CoreStats& core, uint32_t id, size_t k) -> const auto& { return side.of(core, id).groups[k]; }, out);
    write_kinds(s, parties, side.failures, "reason", telemetry::kTlsFailures, failure_text,
                [&](const CoreStats& core, uint32_t id, size_t k) -> const auto& { return side.of(core, id).failed[k]; }, out);
    write_each(s, parties, side.truncated, [&](const CoreStats& core, uint32_t id) -> const auto& { return side.of(core, id).truncated; }, out);
    write_each(s, parties, side.fallbacks, [&](const CoreStats& core, uint32_t id) -> const auto& { return side.of(core, id).fallbacks; }, out);
}

constexpr std::pair<std::string_view, Counter ListenerStats::*> kFirstBytes[] = {
    {"envoy_listener_no_filter_chain_match", &ListenerStats::no_filter_chain_match},
    {"envoy_listener_downstream_pre_cx_timeout", &ListenerStats::inspect_timeouts},
    {"envoy_listener_downstream_pre_cx_active", &ListenerStats::arriving},
    {"sluice_tls_found_total", &ListenerStats::tls_found},
    {"sluice_tls_not_found_total", &ListenerStats::tls_not_found},
    {"sluice_tls_bad_hellos_total", &ListenerStats::bad_hellos},
    {"sluice_tls_no_secret_total", &ListenerStats::no_secret},
};

void write_records(const TlsRuntime& tls, MetricWriter& out) {
    const tls::RecordCounters& r = tls.records;
    out.one("sluice_tls_openssl_objects", tls.openssl_objects);
    out.one("sluice_tls_records_received_total", r.records_in);
    out.one("sluice_tls_records_sent_total", r.records_out);
    out.one("sluice_tls_received_bytes_total", r.bytes_in);
    out.one("sluice_tls_sent_bytes_total", r.bytes_out);
    out.one("sluice_tls_key_updates_received_total", r.key_updates_in);
    out.one("sluice_tls_key_updates_sent_total", r.key_updates_out);
    out.one("sluice_tls_alerts_received_total", r.alerts_in);
    out.one("sluice_tls_alerts_sent_total", r.alerts_out);
    out.one("sluice_tls_bad_macs_total", r.bad_mac);
    out.one("sluice_tls_bad_records_total", r.bad_record);
    out.one("sluice_tls_floods_total", r.floods);
    out.one("sluice_tls_keys_expanded_total", r.keys_expanded);
    out.one("sluice_tls_keys_evicted_total", r.keys_evicted);
}

}  // namespace

void write_tls_metrics(const Sources& s, const Tables& tables, MetricWriter& out) {
    const std::vector<Party> listeners = listeners_of(tables), clusters = clusters_of(tables);
    for (const auto& [name, field] : kFirstBytes)
        write_each(s, listeners, name, [field = field](const CoreStats& core, uint32_t id) -> const auto& { return core.listener(id).*field; }, out);
    write_side(s, kClients, listeners, out);
    write_side(s, kBackends, clusters, out);
    write_each(s, clusters, kBackends.no_secret, [](const CoreStats& core, uint32_t id) -> const auto& { return core.cluster(id).no_secret; }, out);
    if (s.tls) write_records(s.tls(), out);
}

}  // namespace sluice::admin
