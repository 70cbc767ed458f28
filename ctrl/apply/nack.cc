// A refusal as a finding that people read: place in their file if it is known, else the resource's name.
// In: a Nack. Out: a Diagnostic.
// Codes: SLC0301, a resource uses what this gateway does not support or holds a wrong value; SLC0145, a secret is refused.
#include "ctrl/apply/nack.h"

#include <charconv>
#include <fstream>
#include <limits>

namespace sluice::apply {

Diagnostic to_diagnostic(const Nack& nack) {
    Diagnostic diagnostic;
    diagnostic.code = nack.type.ends_with(".tls.v3.Secret") ? "SLC0145" : "SLC0301";
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
    if (nack.place.object.empty()) return diagnostic;
    // The user wrote the object; which field of which resource came of it is for those who look closer.
    if (!nack.place.field.empty()) diagnostic.field = nack.place.field;
    diagnostic.message += " (in " + type + " " + nack.name;
    if (!nack.place.field.empty() && !nack.field.empty()) diagnostic.message += ": " + nack.field;
    diagnostic.message += ")";
    return diagnostic;
}

void show_line(Diagnostic& diagnostic, const std::string& directory, const std::string& shown_as) {
    constexpr std::streamsize kLineMax = 4096;
    if (diagnostic.line <= 0 || !diagnostic.source_line.empty() || !diagnostic.file.starts_with(shown_as + "/")) return;
    std::ifstream in(directory + diagnostic.file.substr(shown_as.size()));
    for (int line = 1; line < diagnostic.line && in; line++) in.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
    std::string text(kLineMax, '\0');
    if (!in.get(text.data(), kLineMax)) return;
    text.resize(static_cast<size_t>(in.gcount()));
    // A list's item begins behind its dash.
    const size_t at = text.find_first_not_of(" -");
    if (at == std::string::npos) return;
    diagnostic.source_line = std::move(text);
    diagnostic.column = static_cast<int>(at) + 1;
}

}  // namespace sluice::apply
