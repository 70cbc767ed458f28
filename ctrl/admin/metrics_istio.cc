// Istio's standard metrics: label sets that requests had so far, with who serves looked up in the tables in force.
// A destination that has left the tables is no longer shown; Istio: extensions/stats.
#include <unordered_map>

#include "ctrl/admin/metrics.h"

namespace sluice::admin {

namespace {

using telemetry::BucketSum;
using telemetry::RequestKey;
using telemetry::RequestSeries;
using upstream::Destination;

struct Series {
    RequestKey key;
    std::string labels;
    BucketSum duration_us, request_bytes, response_bytes;
};

std::string_view known(std::string_view text) { return text.empty() ? std::string_view("unknown") : text; }

std::string_view label_of(const Sources& s, std::initializer_list<const char*> names) {
    for (const char* name : names)
        if (const auto found = s.node_labels.find(name); found != s.node_labels.end() && !found->second.empty()) return found->second;
    return {};
}

/// The gateway's own: the same for all of its series.
std::string source_labels(const Sources& s) {
    const std::string_view workload_label = label_of(s, {"service.istio.io/workload-name"});
    const std::string_view workload = workload_label.empty() ? std::string_view(s.node_id) : workload_label;
    const std::string_view name = label_of(s, {"service.istio.io/canonical-name", "app.kubernetes.io/name", "app"});
    const std::string_view revision = label_of(s, {"service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"});
    return label_text({{"reporter", "source"}, {"source_workload", known(workload)}, {"source_workload_namespace", known(s.node_namespace)},
                       {"source_principal", "unknown"}, {"source_app", known(label_of(s, {"app"}))}, {"source_version", known(label_of(s, {"version"}))},
                       {"source_canonical_service", name.empty() ? known(workload) : name}, {"source_canonical_revision", revision.empty() ? "latest" : revision},
                       {"source_cluster", known(label_of(s, {"topology.istio.io/cluster"}))}});
}

std::string destination_labels(const Destination& d) {
    return label_text({{"destination_workload", known(d.workload)}, {"destination_workload_namespace", known(d.workload_namespace)},
                       {"destination_principal", "unknown"}, {"destination_app", known(d.app)}, {"destination_version", known(d.version)},
                       {"destination_canonical_service", known(d.canonical_service)},
                       {"destination_canonical_revision", known(d.canonical_revision)}, {"destination_service", known(d.service)},
                       {"destination_service_name", known(d.service_name)}, {"destination_service_namespace", known(d.service_namespace)},
                       {"destination_cluster", known(d.cluster)}});
}

std::string request_labels(const RequestKey& key) {
    const bool other = key.is_other();
    std::string text = label_text({{"request_protocol", other ? "unknown" : key.grpc ? "grpc" : "http"},
                                   {"response_code", other ? "other" : std::to_string(key.status)}});
    if (key.grpc) text = add_label(std::move(text), "grpc_response_status", key.grpc_status == telemetry::kNoGrpcStatus ? "" : std::to_string(key.grpc_status));
    text = add_label(std::move(text), "response_flags", other ? "other" : telemetry::response_flags(key.flags));
    return add_label(std::move(text), "connection_security_policy", "unknown");
}

/// Labels by Destination::id, of all that the tables name.
std::unordered_map<uint32_t, std::string> all_destinations(const Tables& tables) {
    std::unordered_map<uint32_t, std::string> out;
    out.emplace(telemetry::kNoDestination, destination_labels({}));
    const auto add = [&](const Destination& d) {
        if (d.id < telemetry::kNoDestination && !out.contains(d.id)) out.emplace(d.id, destination_labels(d));
    };
    for (const auto& cluster : tables.clusters) {
        if (!cluster) continue;
        add(cluster->destination);
        if (!cluster->endpoints) continue;
        for (const auto& destination : cluster->endpoints->destinations) add(destination);
    }
    return out;
}

std::vector<Series> all_series(const Sources& s, const Tables& tables) {
    std::vector<Series> out;
    if (s.cores.empty()) return out;
    const std::string source = source_labels(s);
    const auto destinations = all_destinations(tables);
    std::unordered_map<uint64_t, size_t> by_key;   // a key may have two places
    const auto add = [&](uint32_t place, const RequestKey& key) {
        const auto destination = destinations.find(key.destination);
        if (destination == destinations.end()) return;
        const auto [at, is_new] = by_key.emplace(key.packed(), out.size());
        if (is_new) out.push_back({key, source + ',' + destination->second + ',' + request_labels(key), {}, {}, {}});
        Series& series = out[at->second];
        for (const telemetry::CoreStats* core : s.cores) {
            const auto& cell = core->request_cell(place);
            series.duration_us.add(cell.duration_us);
            series.request_bytes.add(cell.request_bytes);
            series.response_bytes.add(cell.response_bytes);
        }
    };
    s.cores.front()->series().for_each(add);
    add(RequestSeries::kOverflowPlace, {.destination = telemetry::kNoDestination, .status = telemetry::kOtherStatus});
    if (out.back().duration_us.count == 0 && out.back().key.is_other()) out.pop_back();
    return out;
}

}  // namespace

void write_istio_metrics(const Sources& s, const Tables& tables, MetricWriter& out) {
    const auto all = all_series(s, tables);
    out.begin("istio_requests_total");
    for (const auto& series : all) out.add(series.labels, series.duration_us.count);
    out.begin("istio_request_duration_milliseconds");
    for (const auto& series : all) out.add(series.labels, series.duration_us, 1000);
    out.begin("istio_request_bytes");
    for (const auto& series : all) out.add(series.labels, series.request_bytes, 1);
    out.begin("istio_response_bytes");
    for (const auto& series : all) out.add(series.labels, series.response_bytes, 1);
    if (s.cores.empty()) return;
    uint64_t other = 0;
    for (const auto& series : all)
        if (series.key.is_other()) other += series.duration_us.count;
    out.one("sluice_request_label_sets", s.cores.front()->series().used());
    out.one("sluice_request_label_sets_max", telemetry::kSeriesMax);
    out.one("sluice_requests_of_other_label_sets_total", other);
}

}  // namespace sluice::admin
