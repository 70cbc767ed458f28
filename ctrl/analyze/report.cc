// The two forms of a Report.
// In: Report. Out: text.
// Owns nothing.
// Findings themselves are rendered by ctrl/model/diagnostic.
#include "ctrl/analyze/report.h"

#include <fmt/format.h>

namespace sluice::analyze {

int exit_code(const Report& report, Severity threshold) {
    if (!report.readable) return 2;
    for (const Severity severity : {Severity::kError, Severity::kWarning, Severity::kInfo})
        if (severity <= threshold && count(report.findings, severity) > 0) return 1;
    return 0;
}

std::string text(const Report& report) { return render(report.findings, report.files); }

std::string json(const Report& report) {
    return fmt::format(R"({{"ok": {}, "files": {}, "errors": {}, "warnings": {}, "infos": {}, "findings": {}}})",
                       !has_errors(report.findings) && report.readable, report.files, count(report.findings, Severity::kError),
                       count(report.findings, Severity::kWarning), count(report.findings, Severity::kInfo), render_json(report.findings));
}

}  // namespace sluice::analyze
