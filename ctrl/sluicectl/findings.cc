// Fields that an older gateway does not send stay empty.
#include "ctrl/sluicectl/findings.h"

#include "ctrl/sluicectl/text.h"

namespace sluice::ctl {

Diagnostic diagnostic_of(const Json& json) {
    Diagnostic d;
    d.file = text_of(json, "file");
    d.line = static_cast<int>(number_of(json, "line"));
    d.column = static_cast<int>(number_of(json, "column"));
    d.code = text_of(json, "code");
    d.severity = severity_named(text_of(json, "severity"));
    d.object = text_of(json, "object");
    d.field = text_of(json, "field");
    d.message = text_of(json, "message");
    d.source_line = text_of(json, "source_line");
    d.cure = text_of(json, "cure");
    d.caret_width = static_cast<int>(number_of(json, "caret_width"));
    return d;
}

std::vector<Diagnostic> diagnostics_of(const Json& list) {
    std::vector<Diagnostic> out;
    for (const Json& json : list) out.push_back(diagnostic_of(json));
    return out;
}

}  // namespace sluice::ctl
