// The field table for people: what is read, refused and ignored of each Istio kind.
// In: the descriptors' own options. Out: Markdown, the generated part of docs/istio.md.
// Pure functions.
// options.proto is the table; nothing is listed by hand.
#pragma once

#include <string>

namespace sluice::model {

std::string fields_markdown();

}  // namespace sluice::model
