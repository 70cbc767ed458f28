// Listeners, HTTP and clusters: Envoy's names, and ours where Envoy has none. Listeners that share an HTTP connection manager's
// stat_prefix are one series, as in Envoy; those of one address are told apart by it.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "ctrl/admin/metrics.h"

namespace sluice::admin {

namespace {

using telemetry::BucketHistogram;
using telemetry::BucketSum;
using telemetry::ClusterStats;
using telemetry::Counter;
using telemetry::CoreStats;
using telemetry::ListenerStats;

/// Listeners that are one series, by their labels.
using Group = std::vector<const snapshot::Listener*>;
using Groups = std::map<std::string, Group>;

std::string envoy_address(const SocketAddress& address) {
    std::string text = address.to_string();
    std::replace(text.begin(), text.end(), ':', '_');   // Envoy: 0.0.0.0_80, [__]_80
    return text;
}

struct ListenerGroups {
    Groups by_prefix, by_address;
    explicit ListenerGroups(const Tables& tables) {
        for (const auto& l : tables.listeners) {
            if (!l) continue;
            const std::string prefix = l->chains.empty() ? std::string() : l->chains.front().http.stat_prefix;
            by_prefix[label_text({{"envoy_http_conn_manager_prefix", prefix.empty() ? l->name : prefix}})].push_back(l.get());
            by_address[label_text({{"envoy_listener_address", envoy_address(l->address)}})].push_back(l.get());
        }
    }
};

/// A number of a listener's statistics on one core.
using ListenerNumber = uint64_t (*)(const ListenerStats&);
uint64_t answers(const ListenerStats& l) {
    uint64_t n = 0;
    for (const Counter& c : l.responses.classes) n += c.get();
    return n;
}
uint64_t protocol_errors(const ListenerStats& l) {
    uint64_t n = 0;
    for (const Counter& c : l.protocol_errors) n += c.get();
    return n;
}

uint64_t sum(const Sources& s, const Group& group, ListenerNumber number) {
    uint64_t n = 0;
    for (const CoreStats* core : s.cores)
        for (const auto* l : group) n += number(core->listener(l->id));
    return n;
}

constexpr std::pair<std::string_view, ListenerNumber> kHttp[] = {
    {"envoy_http_downstream_cx_total", [](const ListenerStats& l) { return l.connections.get(); }},
    {"envoy_http_downstream_cx_active", [](const ListenerStats& l) { return l.connections_active.get(); }},
    {"envoy_http_downstream_cx_destroy", [](const ListenerStats& l) { return l.connections.get() - l.connections_active.get(); }},
    {"envoy_http_downstream_cx_http1_total", [](const ListenerStats& l) { return l.connections.get(); }},
    {"envoy_http_downstream_cx_http1_active", [](const ListenerStats& l) { return l.connections_active.get(); }},
    {"envoy_http_downstream_cx_protocol_error", protocol_errors},
    {"envoy_http_downstream_cx_rx_bytes_total", [](const ListenerStats& l) { return l.wire_received.get(); }},
    {"envoy_http_downstream_cx_tx_bytes_total", [](const ListenerStats& l) { return l.wire_sent.get(); }},
    {"envoy_http_downstream_rq_total", [](const ListenerStats& l) { return l.requests.get(); }},
    {"envoy_http_downstream_rq_active", [](const ListenerStats& l) { return l.requests_active.get(); }},
    {"envoy_http_downstream_rq_http1_total", [](const ListenerStats& l) { return l.requests.get(); }},
    {"envoy_http_downstream_rq_completed", answers},
    {"envoy_http_downstream_rq_rx_reset", [](const ListenerStats& l) { return l.resets.get(); }},
    {"envoy_http_downstream_rq_timeout", [](const ListenerStats& l) { return l.timeouts.get(); }},
    {"envoy_http_downstream_rq_idle_timeout", [](const ListenerStats& l) { return l.idle_timeouts.get(); }},
    {"envoy_http_no_route", [](const ListenerStats& l) { return l.no_route.get(); }},
    {"envoy_http_no_cluster", [](const ListenerStats& l) { return l.no_cluster.get(); }},
    {"envoy_http_rq_redirect", [](const ListenerStats& l) { return l.redirects.get(); }},
    {"envoy_http_rq_direct_response", [](const ListenerStats& l) { return l.direct_responses.get(); }},
    {"sluice_downstream_body_received_bytes_total", [](const ListenerStats& l) { return l.bytes_received.get(); }},
    {"sluice_downstream_body_sent_bytes_total", [](const ListenerStats& l) { return l.bytes_sent.get(); }},
};
constexpr std::pair<std::string_view, ListenerNumber> kListener[] = {
    {"envoy_listener_downstream_cx_total", [](const ListenerStats& l) { return l.connections.get(); }},
    {"envoy_listener_downstream_cx_active", [](const ListenerStats& l) { return l.connections_active.get(); }},
    {"envoy_listener_downstream_cx_destroy", [](const ListenerStats& l) { return l.connections.get() - l.connections_active.get(); }},
    {"envoy_listener_http_downstream_rq_completed", answers},
};

void write_classes(const Sources& s, std::string_view name, const Groups& groups, MetricWriter& out) {
    out.begin(name);
    for (const auto& [labels, group] : groups) {
        for (size_t i = 0; i < 5; i++) {
            uint64_t n = 0;
            for (const CoreStats* core : s.cores)
                for (const auto* l : group) n += core->listener(l->id).responses.classes[i].get();
            out.add(add_label(labels, "envoy_response_code_class", std::to_string(i + 1)), n);
        }
    }
}

void write_lengths(const Sources& s, std::string_view name, const Groups& groups, MetricWriter& out) {
    out.begin(name);
    for (const auto& [labels, group] : groups) {
        BucketSum sum;
        for (const CoreStats* core : s.cores)
            for (const auto* l : group) sum.add(core->listener(l->id).connection_us);
        out.add(labels, sum, 1000);
    }
}

/// Out of the finer histogram that quantiles are read from.
void write_durations(const Sources& s, const Groups& groups, MetricWriter& out) {
    out.begin("envoy_http_downstream_rq_time");
    for (const auto& [labels, group] : groups) {
        telemetry::HistogramSum fine;
        for (const CoreStats* core : s.cores)
            for (const auto* l : group) fine.add(core->listener(l->id).request_duration_us);
        BucketSum sum;
        sum.count = fine.count, sum.sum = fine.sum;
        uint64_t before = 0;
        for (size_t i = 0; i < telemetry::kBucketBounds.size(); i++) {
            const uint64_t upto = fine.at_most(static_cast<uint64_t>(telemetry::kBucketBounds[i] * 1000));
            sum.buckets[i] = upto - std::exchange(before, upto);
        }
        sum.buckets.back() = fine.count - before;
        out.add(labels, sum, 1000);
    }
}

void write_protocol_errors(const Sources& s, const Groups& groups, MetricWriter& out) {
    out.begin("sluice_http_protocol_errors_total");
    for (const auto& [labels, group] : groups) {
        for (size_t i = 1; i < telemetry::kProtocolErrors; i++) {
            uint64_t n = 0;
            for (const CoreStats* core : s.cores)
                for (const auto* l : group) n += core->listener(l->id).protocol_errors[i].get();
            if (n) out.add(add_label(labels, "reason", http::h1::to_string(static_cast<http::h1::Error>(i))), n);
        }
    }
}

struct ClusterCounter {
    std::string_view name;
    Counter ClusterStats::*field;
    Counter ClusterStats::*less = nullptr;   // taken off
};
constexpr ClusterCounter kCluster[] = {
    {"envoy_cluster_upstream_cx_total", &ClusterStats::connections},
    {"envoy_cluster_upstream_cx_active", &ClusterStats::connections_open},
    {"envoy_cluster_upstream_cx_http1_total", &ClusterStats::connections},
    {"envoy_cluster_upstream_cx_destroy", &ClusterStats::connections, &ClusterStats::connections_open},
    {"envoy_cluster_upstream_cx_connect_fail", &ClusterStats::connect_failures},
    {"envoy_cluster_upstream_cx_connect_timeout", &ClusterStats::connect_timeouts},
    {"envoy_cluster_upstream_cx_none_healthy", &ClusterStats::no_healthy},
    {"envoy_cluster_upstream_cx_protocol_error", &ClusterStats::protocol_errors},
    {"envoy_cluster_upstream_cx_idle_timeout", &ClusterStats::idle_closed},
    {"envoy_cluster_upstream_cx_max_requests", &ClusterStats::served_closed},
    {"envoy_cluster_upstream_cx_rx_bytes_total", &ClusterStats::wire_received},
    {"envoy_cluster_upstream_cx_tx_bytes_total", &ClusterStats::wire_sent},
    {"envoy_cluster_upstream_rq_total", &ClusterStats::requests},
    {"envoy_cluster_upstream_rq_active", &ClusterStats::requests_active},
    {"envoy_cluster_upstream_rq_pending_total", &ClusterStats::pending_total},
    {"envoy_cluster_upstream_rq_pending_active", &ClusterStats::pending_active},
    {"envoy_cluster_upstream_rq_pending_overflow", &ClusterStats::overflows},
    {"envoy_cluster_upstream_rq_cancelled", &ClusterStats::cancelled},
    {"envoy_cluster_upstream_rq_tx_reset", &ClusterStats::cut},
    {"envoy_cluster_upstream_rq_timeout", &ClusterStats::request_timeouts},
    {"envoy_cluster_upstream_rq_rx_reset", &ClusterStats::resets},
    {"envoy_cluster_upstream_rq_retry", &ClusterStats::retries},
    {"sluice_cluster_upstream_cx_idle", &ClusterStats::connections_idle},
    {"sluice_cluster_body_received_bytes_total", &ClusterStats::bytes_received},
    {"sluice_cluster_body_sent_bytes_total", &ClusterStats::bytes_sent},
};
constexpr std::pair<std::string_view, BucketHistogram ClusterStats::*> kClusterTimes[] = {
    {"envoy_cluster_upstream_cx_connect_ms", &ClusterStats::connect_us},
    {"envoy_cluster_upstream_cx_length_ms", &ClusterStats::connection_us},
    {"envoy_cluster_upstream_rq_time", &ClusterStats::request_us},
};

struct NamedCluster {
    const upstream::Cluster* cluster;
    std::string labels;
};
using NamedClusters = std::vector<NamedCluster>;

void write_answers(const Sources& s, const NamedClusters& clusters, MetricWriter& out) {
    const auto of_class = [&](const upstream::Cluster& c, size_t i) {
        return total(s, [&](const CoreStats& core) -> const auto& { return core.cluster(c.id).responses.classes[i]; });
    };
    out.begin("envoy_cluster_upstream_rq_completed");
    for (const auto& [c, labels] : clusters) {
        uint64_t n = 0;
        for (size_t i = 0; i < 5; i++) n += of_class(*c, i);
        out.add(labels, n);
    }
    out.begin("envoy_cluster_upstream_rq_xx");
    for (const auto& [c, labels] : clusters)
        for (size_t i = 0; i < 5; i++) out.add(add_label(labels, "envoy_response_code_class", std::to_string(i + 1)), of_class(*c, i));
    out.begin("envoy_cluster_upstream_rq");
    for (const auto& [c, labels] : clusters) {
        for (size_t i = 0; i < telemetry::kKnownStatus.size(); i++) {
            const uint64_t n = total(s, [&](const CoreStats& core) -> const auto& { return core.cluster(c->id).codes.counts[i]; });
            if (n) out.add(add_label(labels, "envoy_response_code", std::to_string(telemetry::kKnownStatus[i])), n);
        }
    }
}

void write_membership(const Sources& s, const NamedClusters& clusters, MetricWriter& out) {
    out.begin("envoy_cluster_membership_total");
    for (const auto& [c, labels] : clusters) out.add(labels, c->endpoints ? c->endpoints->endpoints.size() + c->endpoints->left_out.size() : 0);
    out.begin("envoy_cluster_membership_healthy");
    for (const auto& [c, labels] : clusters) {
        uint64_t n = 0;
        for (size_t i = 0; c->endpoints && i < c->endpoints->endpoints.size(); i++)
            n += telemetry::summarize_endpoint(s.cores, c->endpoints->endpoints[i].id).down_since_us == 0;
        out.add(labels, n);
    }
}

/// DESIGN.md's bytes_copied{reason}: what the layers copied, added to what the proxy says it copied.
void write_copies(const Sources& s, MetricWriter& out) {
    const auto tcp = s.tcp ? s.tcp() : tcp::Counters{};
    const auto net = s.net ? s.net() : net::Counters{};
    out.begin("sluice_bytes_copied_total");
    for (size_t i = 0; i < static_cast<size_t>(telemetry::CopyReason::kCount); i++) {
        const auto reason = static_cast<telemetry::CopyReason>(i);
        uint64_t bytes = total(s, [&](const CoreStats& c) -> const auto& { return c.bytes_copied[i]; });
        if (reason == telemetry::CopyReason::kCopyBreak) bytes += tcp.bytes_copied_tx;      // short payload, into the segment
        if (reason == telemetry::CopyReason::kLinearized) bytes += net.bytes_linearized;    // for ports without chained frames
        out.add(label_text({{"reason", telemetry::to_string(reason)}}), bytes);
    }
    out.one("sluice_bytes_attached_total", tcp.bytes_attached_tx + total(s, [](const CoreStats& c) -> const auto& { return c.bytes_attached; }));
}

}  // namespace

void write_http_metrics(const Sources& s, const Tables& tables, MetricWriter& out) {
    const ListenerGroups groups(tables);
    for (const auto& [name, number] : kHttp) {
        out.begin(name);
        for (const auto& [labels, group] : groups.by_prefix) out.add(labels, sum(s, group, number));
    }
    write_classes(s, "envoy_http_downstream_rq_xx", groups.by_prefix, out);
    write_durations(s, groups.by_prefix, out);
    write_lengths(s, "envoy_http_downstream_cx_length_ms", groups.by_prefix, out);
    write_protocol_errors(s, groups.by_prefix, out);
    for (const auto& [name, number] : kListener) {
        out.begin(name);
        for (const auto& [labels, group] : groups.by_address) out.add(labels, sum(s, group, number));
    }
    write_classes(s, "envoy_listener_http_downstream_rq_xx", groups.by_address, out);
    write_lengths(s, "envoy_listener_downstream_cx_length_ms", groups.by_address, out);
    out.begin("sluice_response_flags_total");
    for (uint32_t i = 0; i < telemetry::kResponseFlags; i++)
        out.add(label_text({{"flag", telemetry::response_flags(1u << i)}}), total(s, [&](const CoreStats& c) -> const auto& { return c.flags[i]; }));
    write_copies(s, out);
    if (!s.access_log) return;
    out.one("sluice_access_log_lines_total", s.access_log->lines());
    out.one("sluice_access_log_dropped_total", s.access_log->dropped());
    out.one("sluice_access_log_write_failed_total", s.access_log->write_failed());
    out.one("sluice_access_log_truncated_total", s.access_log->truncated());
}

void write_cluster_metrics(const Sources& s, const Tables& tables, MetricWriter& out) {
    NamedClusters clusters;
    for (const auto& c : tables.clusters)
        if (c) clusters.push_back({c.get(), label_text({{"envoy_cluster_name", c->name}})});
    for (const auto& counter : kCluster) {
        out.begin(counter.name);
        for (const auto& [c, labels] : clusters) {
            uint64_t n = total(s, [&](const CoreStats& core) -> const auto& { return core.cluster(c->id).*counter.field; });
            if (counter.less) n -= total(s, [&](const CoreStats& core) -> const auto& { return core.cluster(c->id).*counter.less; });
            out.add(labels, n);
        }
    }
    write_answers(s, clusters, out);
    for (const auto& [name, field] : kClusterTimes) {
        out.begin(name);
        for (const auto& [c, labels] : clusters) {
            BucketSum sum;
            for (const CoreStats* core : s.cores) sum.add(core->cluster(c->id).*field);
            out.add(labels, sum, 1000);
        }
    }
    write_membership(s, clusters, out);
}

}  // namespace sluice::admin
