// The same readers, checks, translation and build as the running gateway uses; only publishing is left out.
#include "gateway/check.h"

#include <fmt/format.h>

#include <cstdio>

#include "ctrl/analyze/analyze.h"
#include "ctrl/apply/apply.h"
#include "gateway/setup.h"
#include "snapshot/snapshot.h"

namespace sluice::gateway {

namespace {

/// "3 routes"
std::string count_of(size_t n, const char* noun) { return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s"); }

/// Builds what a gateway would publish; refusals join the findings. Empty unless all is well.
std::string build(const analyze::Analysis& analysis, std::vector<Diagnostic>& findings) {
    snapshot::Publisher publisher(1);
    auto snapshot = apply::build(*analysis.resources, nullptr, publisher, 1, analysis.mesh_hash, {.path = analysis.host->access_log.path}, {.strict = true});
    if (!snapshot) {
        for (Diagnostic& d : as_diagnostics(snapshot.error(), *analysis.host)) findings.push_back(std::move(d));
        sort_by_place(findings);
        return "";
    }
    size_t routes = 0;
    for (const auto& table : (*snapshot)->routes)
        for (const auto& virtual_host : table->virtual_hosts()) routes += virtual_host.routes.size();
    return fmt::format("ok: {}, {}, {}, {}\n", count_of(analysis.report.files, "mesh file"), count_of((*snapshot)->listeners.size(), "listener"),
                       count_of(routes, "route"), count_of(analysis.resources->clusters.size(), "cluster"));
}

}  // namespace

int check(const std::string& path, bool as_json) {
    auto analysis = analyze::analyze({.paths = {}, .host_file = path, .in = nullptr});
    analyze::Report& report = analysis.report;
    std::string ok;
    if (analysis.resources) ok = build(analysis, report.findings);
    if (as_json) {
        fmt::print("{}\n", analyze::json(report));
    } else {
        if (!report.findings.empty()) fmt::print(stderr, "{}", analyze::text(report));
        fmt::print("{}", ok);
    }
    return analyze::exit_code(report, Severity::kError);
}

}  // namespace sluice::gateway
