// Writing metric families: Prometheus text, OpenMetrics, or the JSON of /v1/stats. In: families by their names in the catalogue,
// samples with their labels as text. Out: the body. A family that is not in the catalogue is a mistake of ours and throws.
// Prometheus text format 0.0.4; OpenMetrics 1.0. One thread.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "ctrl/admin/json.h"
#include "ctrl/admin/metrics_catalogue.h"
#include "telemetry/bucket_histogram.h"

namespace sluice::admin {

/// `a="x",b="y"`: escaped, and valid UTF-8 whatever the values hold.
std::string label_text(std::initializer_list<std::pair<std::string_view, std::string_view>> labels);
/// One more behind a text that is already made; either may be empty.
std::string add_label(std::string labels, std::string_view name, std::string_view value);

/// What a metric's family is called in OpenMetrics.
std::string_view openmetrics_family(const Metric& metric);

/// Which samples are wanted, by "name{labels}"; none given: all.
using SampleFilter = std::function<bool(std::string_view name_and_labels)>;

class MetricWriter {
 public:
    virtual ~MetricWriter() = default;
    /// The next family; it is written only if it has samples.
    void begin(std::string_view name);
    void add(std::string_view labels, uint64_t value);
    void add_real(std::string_view labels, double value);
    /// Nothing if there is no value yet: `units` of the values make one of the buckets' (1000 for microseconds).
    void add(std::string_view labels, const telemetry::BucketSum& sum, uint32_t units);
    void one(std::string_view name, uint64_t value) {
        begin(name);
        add("", value);
    }
    void one_real(std::string_view name, double value) {
        begin(name);
        add_real("", value);
    }

    SampleFilter filter;
    bool used_only = false;   // leaves out what is 0

 protected:
    virtual void header(const Metric& metric) = 0;
    virtual void sample(std::string_view labels, uint64_t value) = 0;
    virtual void sample_real(std::string_view labels, double value) = 0;
    virtual void histogram(std::string_view labels, const telemetry::BucketSum& sum, uint32_t units) = 0;
    const Metric& metric() const { return *metric_; }

 private:
    bool wanted(std::string_view labels);

    const Metric* metric_ = nullptr;
    bool header_written_ = false;
    std::string scratch_;
};

class TextWriter final : public MetricWriter {
 public:
    enum class Format : uint8_t { kPrometheus, kOpenMetrics };
    explicit TextWriter(Format format) : format_(format) {}
    std::string take();

 private:
    void header(const Metric& metric) override;
    void sample(std::string_view labels, uint64_t value) override;
    void sample_real(std::string_view labels, double value) override;
    void histogram(std::string_view labels, const telemetry::BucketSum& sum, uint32_t units) override;
    void begin_line(std::string_view suffix, std::string_view labels);

    Format format_;
    std::string out_;
};

/// {"name{labels}": value}; of a histogram its ".count" alone.
class JsonWriter final : public MetricWriter {
 public:
    Json take() { return std::move(out_); }

 private:
    void header(const Metric&) override {}
    void sample(std::string_view labels, uint64_t value) override { out_[key(labels)] = value; }
    void sample_real(std::string_view labels, double value) override { out_[key(labels)] = value; }
    void histogram(std::string_view labels, const telemetry::BucketSum& sum, uint32_t) override { out_[key(labels) + ".count"] = sum.count; }
    std::string key(std::string_view labels) const {
        return labels.empty() ? std::string(metric().name) : fmt::format("{}{{{}}}", metric().name, labels);
    }

    Json out_ = Json::object();
};

}  // namespace sluice::admin
