// The field table for people: what is read, refused and ignored of each Istio kind, and the codes of findings.
// In: the descriptors' own options. Out: Markdown, the generated part of docs/istio.md.
// Pure functions.
// options.proto is the table; nothing is listed by hand but the codes.
#pragma once

#include <span>
#include <string>

namespace sluice::model {

struct Code {
    const char* code;
    const char* meaning;
};
std::span<const Code> codes();

std::string fields_markdown();

}  // namespace sluice::model
