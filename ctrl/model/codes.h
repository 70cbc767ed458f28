// The codes of all findings: what each means, an example of the mistake, the cure. The one table behind docs/errors.md,
// `sluicectl analyze --explain`, and the cure of a finding that has none of its own.
// In: nothing. Out: the table, look-ups, the page. Plain constants.
// A code is never given another meaning; a new finding gets a new code. 00xx the gateway's file, 01xx mesh files, 03xx xDS
// resources, 04xx the running gateway.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "ctrl/model/diagnostic.h"

namespace sluice {

struct Code {
    // Of what the example is a piece: tests read it and look for the code among the findings.
    enum class Example { kMesh, kGatewayFile, kProse };

    const char* code;
    Severity severity;
    const char* title;    // a few words
    const char* meaning;  // what is the case, and what the gateway does about it
    Example example_of;
    const char* example;
    const char* cure;     // one sentence
};

std::span<const Code> codes();
// Null when there is no such code. Case does not matter.
const Code* find_code(std::string_view code);

// What `--explain` prints.
std::string explain(const Code& code);
// docs/errors.md, whole.
std::string errors_markdown();

}  // namespace sluice
