// Building metric families, and those of the layers below HTTP: ports, net, TCP, worker cores.
#pragma once

#include <prometheus/metric_family.h>

#include <string>
#include <vector>

#include "ctrl/admin/sources.h"

namespace sluice::admin {

class Families {
 public:
    using Labels = std::vector<prometheus::ClientMetric::Label>;
    void begin(std::string name, std::string help, prometheus::MetricType type);
    void add(Labels labels, uint64_t value);
    void add(prometheus::ClientMetric metric) { families_.back().metric.push_back(std::move(metric)); }
    void one(std::string name, std::string help, prometheus::MetricType type, uint64_t value) {
        begin(std::move(name), std::move(help), type);
        add({}, value);
    }
    /// Without families that hold nothing.
    std::vector<prometheus::MetricFamily> take();

 private:
    std::vector<prometheus::MetricFamily> families_;
};

void layer_metrics(const Sources& sources, Families& out);

}  // namespace sluice::admin
