// The analysis is ctrl/analyze's; here it gets its form and its exit code.
#include "ctrl/analyze/analyze.h"

#include <iostream>

#include "ctrl/model/codes.h"
#include "ctrl/sluicectl/analyze.h"

namespace sluice::ctl {

namespace {

int explain(const Context& c, const Code& code) {
    const Json json{{"code", code.code}, {"severity", word_of(code.severity)}, {"title", code.title}, {"meaning", code.meaning},
                    {"example", code.example}, {"cure", code.cure}};
    if (!write_data(c, {{"explained", json}})) c.out << sluice::explain(code);
    return 0;
}

}  // namespace

int analyze(const Context& c, const AnalyzeOptions& options) {
    if (!options.code.empty()) return explain(c, *find_code(options.code));
    if (options.paths.empty() && options.host_file.empty())
        return fail(c, {2, "analyze: name mesh files or a directory, or the gateway's own file with --config"});
    analyze::Request request{.paths = options.paths, .host_file = {}, .in = &std::cin};
    if (!options.host_file.empty()) request.host_file = options.host_file;
    const analyze::Report report = analyze::analyze(request).report;
    if (!write_data(c, Json::parse(analyze::json(report), nullptr, false))) c.out << analyze::text(report);
    return analyze::exit_code(report, severity_named(options.threshold));
}

}  // namespace sluice::ctl
