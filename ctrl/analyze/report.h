// Findings of one analysis, for people and for programs.
// In: findings. Out: text, one JSON object, an exit code.
// Plain value.
// JSON: configs/schema/sluicectl/analyze.schema.json; exit codes as everywhere: 0 ok, 1 findings, 2 nothing could be read.
#pragma once

#include <string>
#include <vector>

#include "ctrl/model/diagnostic.h"

namespace sluice::analyze {

struct Report {
    std::vector<Diagnostic> findings;  // by place
    size_t files = 0;                  // that were read
    bool readable = true;              // false: what was named does not exist
};

// Findings of this severity or a worse one make it 1.
int exit_code(const Report& report, Severity threshold);

// Each finding as render() shows it, then the counts.
std::string text(const Report& report);
// {"ok": true, "files": 6, "errors": 0, "warnings": 0, "infos": 2, "findings": [...]}; `ok` means no errors.
std::string json(const Report& report);

}  // namespace sluice::analyze
