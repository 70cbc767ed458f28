// A refusal as a finding that people read: place in their file if it is known, else the resource's name.
// In: a Nack. Out: a Diagnostic.
// Codes: SLC0301, a resource uses what this gateway does not support or holds a wrong value.
#include "ctrl/apply/nack.h"

#include <charconv>

namespace sluice::apply {

Diagnostic to_diagnostic(const Nack& nack) {
    Diagnostic diagnostic;
    diagnostic.code = "SLC0301";
    const std::string& source = nack.place.source;
    if (const size_t colon = source.rfind(':'); colon != std::string::npos) {
        const char* end = source.data() + source.size();
        if (std::from_chars(source.data() + colon + 1, end, diagnostic.line).ptr == end) diagnostic.file = source.substr(0, colon);
        else diagnostic.line = 0;
    }
    if (diagnostic.file.empty()) diagnostic.file = source;
    const std::string type = nack.type.substr(nack.type.rfind('.') + 1);
    diagnostic.object = nack.place.object.empty() ? type + " " + nack.name : nack.place.object;
    diagnostic.field = nack.field;
    diagnostic.message = nack.message;
    if (!nack.place.object.empty()) diagnostic.message += " (in " + type + " " + nack.name + ")";
    return diagnostic;
}

}  // namespace sluice::apply
