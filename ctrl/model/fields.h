// The field table for people: what is read, refused and ignored of each Istio kind.
// In: the descriptors' own options. Out: Markdown, the generated part of docs/istio.md.
// Pure functions.
// options.proto is the table; nothing is listed by hand.
#pragma once

#include <string>

namespace sluice::model {

std::string fields_markdown();

// Every field as "Gateway.servers[].port.number: number", one a line: `[]` is an element of a list, `{}` a value of
// a map; types are those of JSON, and an enum's names sorted with `|` between. scripts/lib/istio_schema.py says the
// same of the published schemas.
std::string fields_paths();

}  // namespace sluice::model
