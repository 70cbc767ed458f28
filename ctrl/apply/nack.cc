// A refusal as a finding that people read: place in their file if it is known, else the resource's name.
// In: a Nack. Out: a Diagnostic.
// Codes: SLC0301, a resource uses what this gateway does not support or holds a wrong value; SLC0145, a secret is refused.
#include "ctrl/apply/nack.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>

#include "ctrl/model/redact.h"

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
    constexpr size_t kLineMax = 4096;
    if (diagnostic.line <= 0 || !diagnostic.source_line.empty() || !diagnostic.file.starts_with(shown_as + "/")) return;
    std::ifstream in(directory + diagnostic.file.substr(shown_as.size()));
    const std::string whole{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    size_t start = 0;
    for (int line = 1; line < diagnostic.line && start != std::string::npos; line++) start = whole.find('\n', start) == std::string::npos ? std::string::npos : whole.find('\n', start) + 1;
    if (start == std::string::npos || start >= whole.size()) return;
    std::string text = whole.substr(start, std::min(kLineMax, whole.find('\n', start) - start));
    const auto secret = model::secret_lines(whole);
    if (const auto index = static_cast<size_t>(diagnostic.line) - 1; index < secret.size() && secret[index]) text = model::redact_line(text);
    // A list's item begins behind its dash.
    const size_t at = text.find_first_not_of(" -");
    if (at == std::string::npos) return;
    diagnostic.source_line = std::move(text);
    diagnostic.column = static_cast<int>(at) + 1;
}

}  // namespace sluice::apply
