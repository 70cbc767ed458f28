// Look-ups in the table, and its two forms for readers: a page of Markdown and an answer on the terminal.
// In: the table (codes_table.h). Out: text.
// Pure functions.
// Headings are the codes alone, so that a link to docs/errors.md#slc0104 lasts.
#include "ctrl/model/codes.h"

#include <algorithm>

#include <fmt/format.h>

#include "ctrl/model/codes_table.h"

namespace sluice {
namespace {

std::string indented(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size());
        out += text.substr(0, end).empty() ? "\n" : fmt::format("    {}\n", text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out;
}

struct Part {
    const char* prefix;
    const char* title;
};
constexpr Part kParts[] = {{"SLC00", "The gateway's own file"},
                           {"SLC01", "Mesh files"},
                           {"SLC03", "xDS resources"},
                           {"SLC04", "The running gateway"}};

}  // namespace

std::span<const Code> codes() { return kCodes; }

const Code* find_code(std::string_view code) {
    const auto same = [&](const Code& known) {
        return std::equal(code.begin(), code.end(), known.code, known.code + 7,
                          [](char a, char b) { return (a >= 'a' && a <= 'z' ? a - 32 : a) == b; });
    };
    const auto found = std::find_if(std::begin(kCodes), std::end(kCodes), same);
    return found == std::end(kCodes) ? nullptr : found;
}

std::string explain(const Code& code) {
    return fmt::format("{} ({}): {}\n\n{}\n\nExample:\n\n{}\nCure: {}\n", code.code, word_of(code.severity), code.title,
                       code.meaning, indented(code.example), code.cure);
}

std::string errors_markdown() {
    std::string out =
        "# Findings by code\n\n"
        "Generated from `ctrl/model/codes_table.h` by `ninja -C build ctrl/model/error_codes && build/ctrl/model/error_codes\n"
        "docs/errors.md`; a test says when it is stale. `sluicectl analyze --explain CODE` prints one entry.\n\n"
        "An **error** means that the revision is not taken and what was in force stays in force (in the gateway's own file: that\n"
        "it does not start). A **warning** is taken, and very likely not what was meant. An **info** is worth knowing and may be\n"
        "just right.\n\n"
        "| code | severity | means |\n|---|---|---|\n";
    for (const Code& code : kCodes) {
        std::string anchor = code.code;
        for (char& c : anchor)
            if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
        out += fmt::format("| [{}](#{}) | {} | {} |\n", code.code, anchor, word_of(code.severity), code.title);
    }
    for (const Part& part : kParts) {
        out += fmt::format("\n## {}\n", part.title);
        for (const Code& code : kCodes)
            if (std::string_view(code.code).starts_with(part.prefix))
                out += fmt::format("\n### {}\n\n{}: **{}.** {}\n\n{}\nCure: {}\n", code.code, word_of(code.severity), code.title,
                                   code.meaning, indented(code.example), code.cure);
    }
    return out;
}

}  // namespace sluice
