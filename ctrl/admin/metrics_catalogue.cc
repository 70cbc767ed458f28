// The list put together, looked up, and written as docs/metrics.md.
#include "ctrl/admin/metrics_catalogue.h"

#include <fmt/format.h>

#include <unordered_map>

#include "telemetry/core_stats.h"

namespace sluice::admin {

namespace {

constexpr char kIntroduction[] = R"(# Metrics

Written by `build/ctrl/admin/metrics_doc` from the list that the gateway exports from (`ctrl/admin/metrics_catalogue*.cc`): change the
list, not this file. A test holds the two together, and another one a live gateway's scrape against the list.

`GET /stats/prometheus` on the management endpoint. `?filter=REGEX` (RE2, as Envoy's) keeps the series whose name or labels it
matches, `?usedonly` those that are not 0. The answer is Prometheus text (0.0.4), or OpenMetrics 1.0 for a client that accepts
`application/openmetrics-text`; gzip if it accepts that. `sluicectl stats [FILTER] [--delta 5s]` shows the same names.

- Workers only add to counters of their own core. The endpoint adds the cores up when it is asked, on a thread that stays off the
  workers' cores.
- A counter starts at 0 with the process, and again when a cluster or listener of that name is made anew after it had been deleted.
- In OpenMetrics, Envoy's counters whose names do not end in `_total` are of type `unknown`: that format wants the suffix, dashboards want
  the names.
- Histograms have Envoy's default buckets, which are Istio's: 0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000,
  60000, 300000, 600000, 1800000, 3600000. Those of a listener or cluster appear with their first value.
)";

constexpr char kIstioText[] = R"(Names, labels and buckets of Istio's standard metrics, for what the gateway proxies. HTTP only: TCP is not proxied yet, so there is no
`istio_tcp_*`; and no `istio_request_messages_total`, which counts gRPC messages.

| label | value |
|---|---|
| `reporter` | `source`: a gateway is the client of what it proxies to |
| `source_workload`, `source_app`, `source_version`, `source_canonical_service`, `source_canonical_revision` | of the gateway: `node.labels` (`service.istio.io/workload-name`, `app`, `version`, `service.istio.io/canonical-name`, ...); without, `node.id` is the workload |
| `source_workload_namespace` | `node.namespace` |
| `source_principal`, `destination_principal` | the first URI in the gateway's and in the backend's certificate, `spiffe://cluster.local/ns/shop/sa/reviews`, of the connection that carried the request last; `unknown` without TLS, without such a name, or where the backend's certificate was not verified. Clients' identities are not labels, as Istio has it where the reporter is the source: they are in the access log and in X-Forwarded-Client-Cert |
| `source_cluster`, `destination_cluster` | the label `topology.istio.io/cluster` of the node; of the endpoint, from the control plane; else `unknown` |
| `destination_service`, `destination_service_name`, `destination_service_namespace` | the ServiceEntry's host, its first part for `NAME.NAMESPACE.svc...` and else the host, its namespace; `unknown` for a request that reached no cluster |
| `destination_workload`, `destination_workload_namespace`, `destination_app`, `destination_version`, `destination_canonical_service`, `destination_canonical_revision` | of the endpoint that was chosen: a WorkloadEntry's name or the label `service.istio.io/workload-name`, and the labels `app` and `version` (or their canonical forms); `unknown` where nothing is said. A namespace that the backend's SPIFFE ID proves counts before it |
| `request_protocol` | `http`, or `grpc` for a POST of `application/grpc` |
| `response_code` | `0` if no answer was begun |
| `grpc_response_status` | with `grpc` only; empty if the answer told none |
| `response_flags` | Envoy's, `-` for none |
| `connection_security_policy` | `unknown`, as Istio has it where the reporter is the source |

Label sets are bounded whatever clients and backends do: %SETS% in all, %EACH% for one destination. Neither host names nor paths nor methods
are labels. Requests beyond are counted under `response_code="other"`, of their destination where there is room for that; they are told by
`sluice_requests_of_other_label_sets_total`. Principals are bounded too, %PRINCIPALS% pairs of them: what backends show beyond is `other`, and told by
`sluice_connections_of_other_principals_total`. Sizes are those of bodies, as Istio documents them.)";

std::string istio_text() {
    std::string text = kIstioText;
    text.replace(text.find("%SETS%"), 6, fmt::format("{}", telemetry::kSeriesMax));
    text.replace(text.find("%EACH%"), 6, fmt::format("{}", telemetry::kSeriesOfDestination));
    text.replace(text.find("%PRINCIPALS%"), 12, fmt::format("{}", telemetry::Principals::kMax));
    return text;
}

std::string words(const SeriesBound& bound) {
    constexpr const char* kNames[] = {"", "listeners", "clusters", "cores", "ports"};
    const std::string name = kNames[static_cast<size_t>(bound.per)];
    if (name.empty()) return fmt::format("{}", bound.times);
    return bound.times == 1 ? name : fmt::format("{} x {}", name, bound.times);
}

/// Lines of a scrape for each of `per`.
uint32_t lines(SeriesBound::Per per) {
    uint32_t sum = 0;
    for (const auto& section : metric_catalogue())
        for (const auto& metric : section.metrics)
            if (metric.bound.per == per) sum += metric.bound.times * (metric.kind == MetricKind::kHistogram ? static_cast<uint32_t>(telemetry::kBuckets) + 2 : 1);
    return sum;
}

std::string labels_of(const Metric& metric) {
    if (metric.labels.empty()) return "";
    if (metric.labels.starts_with("reporter,")) return "those above";
    std::string out;
    for (size_t at = 0; at < metric.labels.size();) {
        const size_t end = std::min(metric.labels.find(", ", at), metric.labels.size());
        out += fmt::format("{}`{}`", out.empty() ? "" : ", ", metric.labels.substr(at, end - at));
        at = end + 2;
    }
    return out;
}

}  // namespace

std::string_view to_string(MetricKind kind) {
    switch (kind) {
        case MetricKind::kCounter: return "counter";
        case MetricKind::kGauge: return "gauge";
        case MetricKind::kHistogram: break;
    }
    return "histogram";
}

const std::vector<MetricSection>& metric_catalogue() {
    static const std::vector<MetricSection> kList = {
        {"Requests, as Istio counts them", "", istio_metrics()},
        {"Listeners and their HTTP, as Envoy counts them", "Listeners that share an HTTP connection manager's `stat_prefix` are added up under it.", envoy_http_metrics()},
        {"Clusters, as Envoy counts them", "", envoy_cluster_metrics()},
        {"TLS", "A version, suite or reason appears with its first handshake.", tls_metrics()},
        {"Server, as Envoy and Prometheus' clients count it", "", envoy_server_metrics()},
        {"Requests, what Envoy has no name for", "", request_metrics()},
        {"Configuration and management", "", config_metrics()},
        {"Cores", "`core` is the processor's number.", core_metrics()},
        {"Ports", "", port_metrics()},
        {"Drops", "", drop_metrics()},
        {"Ethernet and IP", "Every packet that comes in and goes no further is counted once, by reason.", layer_metrics("sluice_net_")},
        {"TCP", "", layer_metrics("sluice_tcp_")},
    };
    return kList;
}

const Metric* find_metric(std::string_view name) {
    static const auto kByName = [] {
        std::unordered_map<std::string_view, const Metric*> all;
        for (const auto& section : metric_catalogue())
            for (const auto& metric : section.metrics) all.emplace(metric.name, &metric);
        return all;
    }();
    const auto found = kByName.find(name);
    return found == kByName.end() ? nullptr : found->second;
}

std::string metrics_document() {
    using Per = SeriesBound::Per;
    std::string out = kIntroduction;
    out += fmt::format("\nA scrape has at most {} lines, and {} for each listener, {} for each cluster, {} for each core, {} for each port.\n",
                       lines(Per::kGateway), lines(Per::kListener), lines(Per::kCluster), lines(Per::kCore), lines(Per::kPort));
    for (const auto& section : metric_catalogue()) {
        const std::string text = &section == metric_catalogue().data() ? istio_text() : std::string(section.text);
        out += fmt::format("\n## {}\n\n{}{}| metric | type | unit | labels | series | meaning |\n|---|---|---|---|---|---|\n", section.title, text, text.empty() ? "" : "\n\n");
        for (const auto& m : section.metrics)
            out += fmt::format("| `{}` | {} | {} | {} | {} | {} |\n", m.name, to_string(m.kind), m.unit, labels_of(m), words(m.bound), m.help);
    }
    return out;
}

}  // namespace sluice::admin
