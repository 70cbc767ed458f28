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

/// The gateway's own: the same for all of its series but for who it is to the backend.
std::string source_labels(const Sources& s, std::string_view principal) {
    const std::string_view workload_label = label_of(s, {"service.istio.io/workload-name"});
    const std::string_view workload = workload_label.empty() ? std::string_view(s.node_id) : workload_label;
    const std::string_view name = label_of(s, {"service.istio.io/canonical-name", "app.kubernetes.io/name", "app"});
    const std::string_view revision = label_of(s, {"service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"});
    return label_text({{"reporter", "source"}, {"source_workload", known(workload)}, {"source_workload_namespace", known(s.node_namespace)},
                       {"source_principal", known(principal)}, {"source_app", known(label_of(s, {"app"}))}, {"source_version", known(label_of(s, {"version"}))},
                       {"source_canonical_service", name.empty() ? known(workload) : name}, {"source_canonical_revision", revision.empty() ? "latest" : revision},
                       {"source_cluster", known(label_of(s, {"topology.istio.io/cluster"}))}});
}

/// NAMESPACE of spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT; empty for other names.
std::string_view namespace_of(std::string_view principal) {
    constexpr std::string_view kNs = "/ns/";
    const size_t at = principal.find(kNs);
    if (!principal.starts_with("spiffe://") || at == principal.npos) return {};
    const std::string_view rest = principal.substr(at + kNs.size());
    const size_t end = rest.find('/');
    return end == rest.npos ? std::string_view() : rest.substr(0, end);
}

/// What a workload proved counts before what the tables say of it.
std::string destination_labels(const Destination& d, std::string_view principal) {
    const std::string_view proved = namespace_of(principal);
    return label_text({{"destination_workload", known(d.workload)}, {"destination_workload_namespace", known(proved.empty() ? d.workload_namespace : proved)},
                       {"destination_principal", known(principal)}, {"destination_app", known(d.app)}, {"destination_version", known(d.version)},
                       {"destination_canonical_service", known(d.canonical_service)},
                       {"destination_canonical_revision", known(d.canonical_revision)}, {"destination_service", known(d.service)},
                       {"destination_service_name", known(d.service_name)},
                       {"destination_service_namespace", known(d.service_namespace.empty() ? proved : d.service_namespace)},
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

/// By Destination::id, all that the tables name.
std::unordered_map<uint32_t, const Destination*> all_destinations(const Tables& tables) {
    static const Destination none;
    std::unordered_map<uint32_t, const Destination*> out{{telemetry::kNoDestination, &none}};
    for (const auto& cluster : tables.clusters) {
        if (!cluster) continue;
        if (cluster->destination.id < telemetry::kNoDestination) out.emplace(cluster->destination.id, &cluster->destination);
        if (!cluster->endpoints) continue;
        for (const auto& destination : cluster->endpoints->destinations)
            if (destination.id < telemetry::kNoDestination) out.emplace(destination.id, &destination);
    }
    return out;
}

/// The labels of who is at both ends, made once for each destination and pair of principals.
class Ends {
 public:
    Ends(const Sources& s, const Tables& tables, const telemetry::Principals& principals)
        : sources_(s), destinations_(all_destinations(tables)), principals_(principals) {}
    /// nullptr: the destination has left the tables.
    const std::string* labels(const RequestKey& key) {
        const auto destination = destinations_.find(key.destination);
        if (destination == destinations_.end()) return nullptr;
        std::string& text = made_[uint64_t{key.principals} << 32 | key.destination | uint64_t{key.is_other()} << 63];
        if (text.empty()) {
            const auto names = names_of(key);
            text = source_labels(sources_, names.source) + ',' + destination_labels(*destination->second, names.destination);
        }
        return &text;
    }

 private:
    telemetry::Principals::Names names_of(const RequestKey& key) const {
        if (key.is_other() || key.principals == telemetry::kOtherPrincipals) return {"other", "other"};
        return principals_.names(key.principals);
    }
    const Sources& sources_;
    const std::unordered_map<uint32_t, const Destination*> destinations_;
    const telemetry::Principals& principals_;
    std::unordered_map<uint64_t, std::string> made_;
};

std::vector<Series> all_series(const Sources& s, const Tables& tables) {
    std::vector<Series> out;
    if (s.cores.empty()) return out;
    const RequestSeries& series = s.cores.front()->series();
    const auto reading = series.principals().reading();
    Ends ends(s, tables, series.principals());
    std::unordered_map<std::string, size_t> by_labels;   // a combination may have two places, a pair of principals two numbers
    const auto add = [&](uint32_t place, const RequestKey& key) {
        const std::string* both = ends.labels(key);
        if (!both) return;
        std::string labels = *both + ',' + request_labels(key);
        const auto [at, is_new] = by_labels.emplace(labels, out.size());
        if (is_new) out.push_back({key, std::move(labels), {}, {}, {}});
        Series& one = out[at->second];
        for (const telemetry::CoreStats* core : s.cores) {
            const auto& cell = core->request_cell(place);
            one.duration_us.add(cell.duration_us);
            one.request_bytes.add(cell.request_bytes);
            one.response_bytes.add(cell.response_bytes);
        }
    };
    series.for_each(add);
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
    uint64_t other_principals = 0;
    for (const telemetry::CoreStats* core : s.cores) other_principals += core->other_principals.get();
    out.one("sluice_principal_pairs", s.cores.front()->series().principals().used());
    out.one("sluice_principal_pairs_max", telemetry::Principals::kMax);
    out.one("sluice_connections_of_other_principals_total", other_principals);
}

}  // namespace sluice::admin
