// A scrape as a whole: which format, which samples; and the JSON that `sluicectl stats` reads.
#include "ctrl/admin/metrics.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include "ctrl/admin/views.h"

namespace sluice::admin {

namespace {

constexpr char kPrometheusType[] = "text/plain; version=0.0.4; charset=utf-8";
constexpr char kOpenMetricsType[] = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether an Accept header takes OpenMetrics: named, and not with a weight of 0 (RFC 9110 12.5.1).
bool takes_openmetrics(std::string_view accept) {
    while (!accept.empty()) {
        const std::string_view range = accept.substr(0, accept.find(','));
        accept.remove_prefix(std::min(accept.size(), range.size() + 1));
        const size_t start = range.find_first_not_of(" \t");
        if (start == range.npos || !range.substr(start).starts_with("application/openmetrics-text")) continue;
        const size_t weight = range.find("q=");
        return weight == range.npos || range.substr(weight + 2).find_first_of("123456789") != range.npos;
    }
    return false;
}

}  // namespace

void write_metrics(const Sources& s, MetricWriter& out) {
    const auto tables = tables_of(s);
    write_istio_metrics(s, *tables, out);
    write_http_metrics(s, *tables, out);
    write_cluster_metrics(s, *tables, out);
    write_tls_metrics(s, *tables, out);
    write_server_metrics(s, *tables, out);
    write_config_metrics(s, out);
    write_core_metrics(s, out);
    write_port_metrics(s, out);
    write_drop_metrics(s, out);
    write_layer_metrics(s, out);
}

Answer metrics_answer(const Sources& s, const Request& request) {
    const bool open = takes_openmetrics(request.accept);
    TextWriter out(open ? TextWriter::Format::kOpenMetrics : TextWriter::Format::kPrometheus);
    out.used_only = request.parameters.contains("usedonly");
    const std::string pattern = request.parameter("filter");
    re2::RE2::Options quiet;
    quiet.set_log_errors(false);
    const re2::RE2 regex(pattern, quiet);
    if (!regex.ok()) return Answer::error(400, fmt::format("filter: {}", regex.error()), "?filter= takes a regular expression (RE2)");
    if (!pattern.empty()) out.filter = [&regex](std::string_view sample) { return re2::RE2::PartialMatch(re2::StringPiece(sample.data(), sample.size()), regex); };
    write_metrics(s, out);
    return {200, out.take(), open ? kOpenMetricsType : kPrometheusType, {}};
}

std::string stats_json(const Sources& s, const Request& request) {
    const std::string filter = request.parameter("filter");
    JsonWriter out;
    if (!filter.empty()) out.filter = [&filter](std::string_view sample) { return sample.find(filter) != sample.npos; };
    write_metrics(s, out);
    return dump({{"unix_us", unix_us_now()}, {"stats", out.take()}});
}

}  // namespace sluice::admin
