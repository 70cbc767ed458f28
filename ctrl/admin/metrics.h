// The families of a scrape, each room's in a file of its own (metrics_*.cc), written in the order of the catalogue.
// In: the sources, the tables in force. Out: calls on a writer. Any thread; counters of several cores are added up here.
#pragma once

#include "ctrl/admin/metrics_writer.h"
#include "ctrl/admin/sources.h"

namespace sluice::admin {

void write_istio_metrics(const Sources& sources, const Tables& tables, MetricWriter& out);
void write_http_metrics(const Sources& sources, const Tables& tables, MetricWriter& out);
void write_cluster_metrics(const Sources& sources, const Tables& tables, MetricWriter& out);
void write_tls_metrics(const Sources& sources, const Tables& tables, MetricWriter& out);
void write_server_metrics(const Sources& sources, const Tables& tables, MetricWriter& out);
void write_config_metrics(const Sources& sources, MetricWriter& out);
void write_core_metrics(const Sources& sources, MetricWriter& out);
void write_port_metrics(const Sources& sources, MetricWriter& out);
void write_drop_metrics(const Sources& sources, MetricWriter& out);
void write_layer_metrics(const Sources& sources, MetricWriter& out);

/// All of them.
void write_metrics(const Sources& sources, MetricWriter& out);

template <typename Pick>
uint64_t total(const Sources& s, Pick pick) {
    return telemetry::sum(std::span<const telemetry::CoreStats* const>(s.cores), pick);
}

}  // namespace sluice::admin
