// Lines of the two text formats. Histograms are most of a scrape: their lines are put together from pieces made once.
#include "ctrl/admin/metrics_writer.h"

#include <fmt/compile.h>

#include <array>
#include <limits>
#include <stdexcept>

namespace sluice::admin {

namespace {

/// Bytes of the UTF-8 character that `text` begins with; 0: it begins with none (RFC 3629).
size_t utf8_size(std::string_view text) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(0);
    if (first < 0x80) return 1;
    const size_t size = first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xf0 && first < 0xf5 ? 4 : 0;
    if (size == 0 || text.size() < size) return 0;
    for (size_t i = 1; i < size; i++)
        if ((byte(i) & 0xc0) != 0x80) return 0;
    const bool overlong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
    const bool outside = (first == 0xed && byte(1) > 0x9f) || (first == 0xf4 && byte(1) > 0x8f);
    return overlong || outside ? 0 : size;
}

void escape(std::string_view value, std::string& out) {
    while (!value.empty()) {
        const size_t size = utf8_size(value);
        if (value[0] == '\\') out += "\\\\";
        else if (value[0] == '"') out += "\\\"";
        else if (value[0] == '\n') out += "\\n";
        else if (size == 0) out += "\xef\xbf\xbd";   // U+FFFD: one bad byte would cost the whole scrape
        else out += value.substr(0, size);
        value.remove_prefix(std::max<size_t>(size, 1));
    }
}

/// `le="0.5"} ` for each bucket. OpenMetrics wants every bound to look like a real number.
std::array<std::string, telemetry::kBuckets> bucket_texts(bool real) {
    std::array<std::string, telemetry::kBuckets> out;
    for (size_t i = 0; i < telemetry::kBucketBounds.size(); i++) {
        const double bound = telemetry::kBucketBounds[i];
        const bool whole = bound == static_cast<double>(static_cast<uint64_t>(bound));
        out[i] = whole ? fmt::format("le=\"{}{}\"}} ", static_cast<uint64_t>(bound), real ? ".0" : "") : fmt::format("le=\"{}\"}} ", bound);
    }
    out.back() = "le=\"+Inf\"} ";
    return out;
}

}  // namespace

std::string add_label(std::string labels, std::string_view name, std::string_view value) {
    if (!labels.empty()) labels += ',';
    labels += name;
    labels += "=\"";
    escape(value, labels);
    labels += '"';
    return labels;
}

std::string label_text(std::initializer_list<std::pair<std::string_view, std::string_view>> labels) {
    std::string out;
    for (const auto& [name, value] : labels) out = add_label(std::move(out), name, value);
    return out;
}

/// OpenMetrics: a counter's family is named without _total. One whose samples lack it, or whose family's name is another metric's
/// (Envoy has upstream_rq_total and upstream_rq), keeps its name and is of no known type.
std::string_view openmetrics_family(const Metric& metric) {
    constexpr std::string_view kTotal = "_total";
    if (metric.kind != MetricKind::kCounter || !metric.name.ends_with(kTotal)) return metric.name;
    const std::string_view family = metric.name.substr(0, metric.name.size() - kTotal.size());
    return find_metric(family) ? metric.name : family;
}

void MetricWriter::begin(std::string_view name) {
    metric_ = find_metric(name);
    if (!metric_) throw std::logic_error(fmt::format("metric {} is not in the catalogue", name));
    header_written_ = false;
}

bool MetricWriter::wanted(std::string_view labels) {
    if (filter) {
        scratch_ = metric_->name;
        if (!labels.empty()) scratch_.append("{").append(labels).append("}");
        if (!filter(scratch_)) return false;
    }
    if (!std::exchange(header_written_, true)) header(*metric_);
    return true;
}

void MetricWriter::add(std::string_view labels, uint64_t value) {
    if ((value != 0 || !used_only) && wanted(labels)) sample(labels, value);
}

void MetricWriter::add_real(std::string_view labels, double value) {
    if ((value != 0 || !used_only) && wanted(labels)) sample_real(labels, value);
}

void MetricWriter::add(std::string_view labels, const telemetry::BucketSum& sum, uint32_t units) {
    if (sum.count != 0 && wanted(labels)) histogram(labels, sum, units);
}

void TextWriter::header(const Metric& metric) {
    if (format_ == Format::kPrometheus) {
        fmt::format_to(std::back_inserter(out_), "# HELP {0} {1}\n# TYPE {0} {2}\n", metric.name, metric.help, to_string(metric.kind));
        return;
    }
    const std::string_view family = openmetrics_family(metric);
    const bool unknown = metric.kind == MetricKind::kCounter && family == metric.name;
    fmt::format_to(std::back_inserter(out_), "# TYPE {} {}\n", family, unknown ? "unknown" : to_string(metric.kind));
    if (!metric.unit.empty() && family.size() > metric.unit.size() && family.ends_with(metric.unit) && family[family.size() - metric.unit.size() - 1] == '_')
        fmt::format_to(std::back_inserter(out_), "# UNIT {} {}\n", family, metric.unit);
    std::string help;
    escape(metric.help, help);   // OpenMetrics: quotes too
    fmt::format_to(std::back_inserter(out_), "# HELP {} {}\n", family, help);
}

void TextWriter::begin_line(std::string_view suffix, std::string_view labels) {
    out_ += metric().name;
    out_ += suffix;
    if (labels.empty()) {
        out_ += ' ';
        return;
    }
    out_ += '{';
    out_ += labels;
    out_ += "} ";
}

void TextWriter::sample(std::string_view labels, uint64_t value) {
    begin_line("", labels);
    fmt::format_to(std::back_inserter(out_), FMT_COMPILE("{}\n"), value);
}

void TextWriter::sample_real(std::string_view labels, double value) {
    begin_line("", labels);
    fmt::format_to(std::back_inserter(out_), FMT_COMPILE("{}\n"), value);
}

void TextWriter::histogram(std::string_view labels, const telemetry::BucketSum& sum, uint32_t units) {
    static const auto kTexts = bucket_texts(false), kRealTexts = bucket_texts(true);
    const auto& texts = format_ == Format::kOpenMetrics ? kRealTexts : kTexts;
    std::string head;
    head += metric().name;
    head += "_bucket{";
    head += labels;
    if (!labels.empty()) head += ',';
    uint64_t seen = 0;
    for (size_t i = 0; i < telemetry::kBuckets; i++) {
        seen += sum.buckets[i];
        out_ += head;
        out_ += texts[i];
        fmt::format_to(std::back_inserter(out_), FMT_COMPILE("{}\n"), seen);
    }
    begin_line("_sum", labels);
    if (sum.sum % units == 0) fmt::format_to(std::back_inserter(out_), FMT_COMPILE("{}\n"), sum.sum / units);
    else fmt::format_to(std::back_inserter(out_), FMT_COMPILE("{}\n"), static_cast<double>(sum.sum) / units);
    begin_line("_count", labels);
    fmt::format_to(std::back_inserter(out_), FMT_COMPILE("{}\n"), sum.count);
}

std::string TextWriter::take() {
    if (format_ == Format::kOpenMetrics) out_ += "# EOF\n";
    return std::move(out_);
}

}  // namespace sluice::admin
