// Metric families out of the counters: Envoy's names where Envoy has the thing, sluice_* for the rest. Counters are summed
// over cores at scrape. Cardinality is bounded by listeners and clusters; routes and endpoints are in /v1 instead.
#include <prometheus/text_serializer.h>
#include <fmt/format.h>

#include <sstream>

#include "ctrl/admin/json.h"
#include "ctrl/admin/metrics_layers.h"
#include "ctrl/admin/views.h"

namespace sluice::admin {

namespace {

using prometheus::MetricType;
using telemetry::ClusterStats;
using telemetry::CoreStats;
using telemetry::ListenerStats;

// Envoy's default buckets of downstream_rq_time and Istio's of request durations, in milliseconds.
constexpr double kBucketsMs[] = {0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000};

template <typename Pick>
uint64_t total(const Sources& s, Pick pick) {
    return telemetry::sum(std::span<const CoreStats* const>(s.cores), pick);
}

prometheus::ClientMetric duration_metric(const Sources& s, const snapshot::Listener& l) {
    telemetry::HistogramSum sum;
    for (const CoreStats* core : s.cores) sum.add(core->listener(l.id).request_duration_us);
    prometheus::ClientMetric m;
    m.label = {{"listener", l.name}};
    m.histogram.sample_count = sum.count;
    m.histogram.sample_sum = static_cast<double>(sum.sum) / 1000;
    for (const double ms : kBucketsMs) m.histogram.bucket.push_back({sum.at_most(static_cast<uint64_t>(ms * 1000)), ms});
    m.histogram.bucket.push_back({sum.count, std::numeric_limits<double>::infinity()});
    return m;
}

struct ListenerCounter {
    const char* name;
    const char* help;
    MetricType type;
    telemetry::Counter ListenerStats::*field;
};
constexpr ListenerCounter kListenerCounters[] = {
    {"envoy_http_downstream_cx_total", "Connections accepted", MetricType::Counter, &ListenerStats::connections},
    {"envoy_http_downstream_cx_active", "Connections open", MetricType::Gauge, &ListenerStats::connections_active},
    {"envoy_http_downstream_rq_total", "Requests read", MetricType::Counter, &ListenerStats::requests},
    {"envoy_http_downstream_rq_active", "Requests in progress", MetricType::Gauge, &ListenerStats::requests_active},
    {"envoy_http_no_route", "Requests that no route matched", MetricType::Counter, &ListenerStats::no_route},
    {"envoy_http_no_cluster", "Requests whose cluster is not known", MetricType::Counter, &ListenerStats::no_cluster},
    {"sluice_downstream_body_received_bytes_total", "Request body bytes", MetricType::Counter, &ListenerStats::bytes_received},
    {"sluice_downstream_body_sent_bytes_total", "Response body bytes", MetricType::Counter, &ListenerStats::bytes_sent},
};

struct ClusterCounter {
    const char* name;
    const char* help;
    MetricType type;
    telemetry::Counter ClusterStats::*field;
};
constexpr ClusterCounter kClusterCounters[] = {
    {"envoy_cluster_upstream_rq_total", "Requests sent", MetricType::Counter, &ClusterStats::requests},
    {"envoy_cluster_upstream_rq_active", "Requests in progress", MetricType::Gauge, &ClusterStats::requests_active},
    {"envoy_cluster_upstream_rq_retry", "Requests sent once more", MetricType::Counter, &ClusterStats::retries},
    {"envoy_cluster_upstream_rq_timeout", "Requests that timed out", MetricType::Counter, &ClusterStats::request_timeouts},
    {"envoy_cluster_upstream_rq_rx_reset", "Requests whose connection was reset", MetricType::Counter, &ClusterStats::resets},
    {"envoy_cluster_upstream_rq_pending_overflow", "Requests refused by a circuit breaker", MetricType::Counter, &ClusterStats::overflows},
    {"envoy_cluster_upstream_cx_none_healthy", "Requests without an endpoint", MetricType::Counter, &ClusterStats::no_healthy},
    {"envoy_cluster_upstream_cx_total", "Connections made", MetricType::Counter, &ClusterStats::connections},
    {"envoy_cluster_upstream_cx_active", "Connections open", MetricType::Gauge, &ClusterStats::connections_open},
    {"sluice_cluster_upstream_cx_idle", "Connections open and idle in pools", MetricType::Gauge, &ClusterStats::connections_idle},
    {"envoy_cluster_upstream_cx_connect_fail", "Connection attempts that failed", MetricType::Counter, &ClusterStats::connect_failures},
    {"envoy_cluster_upstream_cx_connect_timeout", "Connection attempts that timed out", MetricType::Counter, &ClusterStats::connect_timeouts},
    {"envoy_cluster_upstream_cx_protocol_error", "Responses that were not HTTP", MetricType::Counter, &ClusterStats::protocol_errors},
};

void listener_metrics(const Sources& s, const Tables& tables, Families& out) {
    for (const auto& counter : kListenerCounters) {
        out.begin(counter.name, counter.help, counter.type);
        for (const auto& l : tables.listeners)
            if (l) out.add({{"listener", l->name}}, total(s, [&](const CoreStats& c) -> const auto& { return c.listener(l->id).*counter.field; }));
    }
    out.begin("envoy_http_downstream_rq_xx", "Responses by class", MetricType::Counter);
    for (const auto& l : tables.listeners)
        for (size_t i = 0; l && i < 5; i++)
            out.add({{"listener", l->name}, {"envoy_response_code_class", std::to_string(i + 1)}},
                    total(s, [&](const CoreStats& c) -> const auto& { return c.listener(l->id).responses.classes[i]; }));
    out.begin("sluice_http_protocol_errors_total", "Requests refused as malformed, by reason", MetricType::Counter);
    for (const auto& l : tables.listeners) {
        for (size_t i = 1; l && i < telemetry::kProtocolErrors; i++) {
            const uint64_t n = total(s, [&](const CoreStats& c) -> const auto& { return c.listener(l->id).protocol_errors[i]; });
            if (n) out.add({{"listener", l->name}, {"reason", std::string(http::h1::to_string(static_cast<http::h1::Error>(i)))}}, n);
        }
    }
    out.begin("envoy_http_downstream_rq_time", "Request durations in milliseconds, to 1/16", MetricType::Histogram);
    for (const auto& l : tables.listeners)
        if (l) out.add(duration_metric(s, *l));
}

void cluster_metrics(const Sources& s, const Tables& tables, Families& out) {
    for (const auto& counter : kClusterCounters) {
        out.begin(counter.name, counter.help, counter.type);
        for (const auto& c : tables.clusters)
            if (c) out.add({{"envoy_cluster_name", c->name}}, total(s, [&](const CoreStats& core) -> const auto& { return core.cluster(c->id).*counter.field; }));
    }
    out.begin("envoy_cluster_upstream_rq_xx", "Responses by class", MetricType::Counter);
    for (const auto& c : tables.clusters)
        for (size_t i = 0; c && i < 5; i++)
            out.add({{"envoy_cluster_name", c->name}, {"envoy_response_code_class", std::to_string(i + 1)}},
                    total(s, [&](const CoreStats& core) -> const auto& { return core.cluster(c->id).responses.classes[i]; }));
    out.begin("envoy_cluster_membership_total", "Endpoints", MetricType::Gauge);
    for (const auto& c : tables.clusters)
        if (c) out.add({{"envoy_cluster_name", c->name}}, c->endpoints ? c->endpoints->endpoints.size() : 0);
}

/// DESIGN.md's bytes_copied{reason}: what the layers copied, added to what the proxy says it copied.
void copy_metrics(const Sources& s, Families& out) {
    const auto tcp = s.tcp ? s.tcp() : tcp::Counters{};
    const auto net = s.net ? s.net() : net::Counters{};
    out.begin("sluice_bytes_copied_total", "Bytes that were copied, by reason", MetricType::Counter);
    for (size_t i = 0; i < static_cast<size_t>(telemetry::CopyReason::kCount); i++) {
        const auto reason = static_cast<telemetry::CopyReason>(i);
        uint64_t bytes = total(s, [&](const CoreStats& c) -> const auto& { return c.bytes_copied[i]; });
        if (reason == telemetry::CopyReason::kCopyBreak) bytes += tcp.bytes_copied_tx;      // short payload, into the segment
        if (reason == telemetry::CopyReason::kLinearized) bytes += net.bytes_linearized;    // for ports without chained frames
        out.add({{"reason", std::string(telemetry::to_string(reason))}}, bytes);
    }
    out.one("sluice_bytes_attached_total", "Payload bytes handed to a port without a copy by TCP", MetricType::Counter,
            tcp.bytes_attached_tx + total(s, [](const CoreStats& c) -> const auto& { return c.bytes_attached; }));
}

void request_metrics(const Sources& s, Families& out) {
    out.begin("sluice_response_flags_total", "Finished requests by Envoy's response flag", MetricType::Counter);
    for (uint32_t i = 0; i < telemetry::kResponseFlags; i++)
        out.add({{"flag", telemetry::response_flags(1u << i)}}, total(s, [&](const CoreStats& c) -> const auto& { return c.flags[i]; }));
    if (!s.access_log) return;
    out.one("sluice_access_log_lines_total", "Access log lines written", MetricType::Counter, s.access_log->lines());
    out.one("sluice_access_log_dropped_total", "Access log records dropped because a ring was full", MetricType::Counter, s.access_log->dropped());
    out.one("sluice_access_log_write_failed_total", "Access log lines lost to a failing file", MetricType::Counter, s.access_log->write_failed());
    out.one("sluice_access_log_truncated_total", "Access log records with a field cut", MetricType::Counter, s.access_log->truncated());
}

void server_metrics(const Sources& s, Families& out) {
    const auto state = state_of(s);
    out.begin("sluice_build_info", "The version running", MetricType::Gauge);
    out.add({{"version", s.version}, {"node", s.node_id}}, uint64_t{1});
    out.one("envoy_server_uptime", "Seconds since start", MetricType::Gauge, static_cast<uint64_t>(seconds_since(s.started)));
    out.one("envoy_server_live", "1 while not draining", MetricType::Gauge, s.draining && s.draining() ? 0 : 1);
    out.one("sluice_config_revision", "Revision in force; 0: none yet", MetricType::Gauge, state.in_force.revision);
    out.one("sluice_config_applied_total", "Revisions put in force", MetricType::Counter, state.applied_total);
    out.one("sluice_config_refused_total", "Revisions refused", MetricType::Counter, state.refused_total);
    out.one("sluice_config_refused", "1 while the newest edit is refused", MetricType::Gauge, state.refused ? 1 : 0);
    if (!s.waiting) return;
    const auto [snapshots, parts] = s.waiting();
    out.one("sluice_snapshots_retiring", "Old snapshots that some core may still use", MetricType::Gauge, snapshots);
    out.one("sluice_parts_retiring", "Parts of old snapshots that something still pins", MetricType::Gauge, parts);
}

}  // namespace

std::vector<prometheus::MetricFamily> metrics(const Sources& s) {
    const auto tables = tables_of(s);
    Families out;
    server_metrics(s, out);
    listener_metrics(s, *tables, out);
    cluster_metrics(s, *tables, out);
    request_metrics(s, out);
    copy_metrics(s, out);
    layer_metrics(s, out);
    return out.take();
}

std::string metrics_text(const Sources& s) {
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, metrics(s));
    return std::move(out).str();
}

std::string stats_json(const Sources& s, const Request& request) {
    const std::string filter = request.parameter("filter");
    Json out = Json::object();
    for (const auto& family : metrics(s)) {
        for (const auto& m : family.metric) {
            std::string name = family.name;
            for (size_t i = 0; i < m.label.size(); i++)
                name += fmt::format("{}{}=\"{}\"{}", i ? "," : "{", m.label[i].name, m.label[i].value, i + 1 == m.label.size() ? "}" : "");
            if (!filter.empty() && name.find(filter) == std::string::npos) continue;
            switch (family.type) {
                case MetricType::Counter: out[name] = static_cast<uint64_t>(m.counter.value); break;
                case MetricType::Gauge: out[name] = static_cast<uint64_t>(m.gauge.value); break;
                default: out[name + ".count"] = m.histogram.sample_count;
            }
        }
    }
    return dump({{"unix_us", unix_us_now()}, {"stats", std::move(out)}});
}

}  // namespace sluice::admin
