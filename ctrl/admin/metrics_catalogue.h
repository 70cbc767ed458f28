// Every metric there is: name, type, unit, labels, meaning and how many series it may have. What is not in here cannot be
// exported; docs/metrics.md is written from it. In: nothing. Out: the list, and look-ups by name. Constant.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::admin {

enum class MetricKind : uint8_t { kCounter, kGauge, kHistogram };
std::string_view to_string(MetricKind kind);

/// How many series: so many for each of something, or in all.
struct SeriesBound {
    enum class Per : uint8_t { kGateway, kListener, kCluster, kCore, kPort };
    Per per = Per::kGateway;
    uint32_t times = 1;
};

struct Metric {
    std::string_view name;
    MetricKind kind = MetricKind::kCounter;
    std::string_view unit;     // bytes, milliseconds, seconds, cycles; empty: a number of things
    std::string_view labels;   // "listener, reason"; empty: one series
    SeriesBound bound;
    std::string_view help;
};

/// The sections of the list, in the order of docs/metrics.md.
struct MetricSection {
    std::string_view title, text;
    std::vector<Metric> metrics;
};
const std::vector<MetricSection>& metric_catalogue();
/// nullptr: there is no such metric.
const Metric* find_metric(std::string_view name);

/// docs/metrics.md.
std::string metrics_document();

// The parts of the list: metrics_catalogue_*.cc
std::vector<Metric> istio_metrics();
std::vector<Metric> envoy_http_metrics();
std::vector<Metric> envoy_cluster_metrics();
std::vector<Metric> tls_metrics();
std::vector<Metric> envoy_server_metrics();
std::vector<Metric> request_metrics();
std::vector<Metric> config_metrics();
std::vector<Metric> core_metrics();
std::vector<Metric> port_metrics();
std::vector<Metric> drop_metrics();
std::vector<Metric> layer_metrics(std::string_view prefix);   // sluice_net_ or sluice_tcp_
/// What a counter of net::Counters or tcp::Counters counts; empty: nobody has said.
std::string_view layer_counter_help(std::string_view field);
}  // namespace sluice::admin
