// Rendering of findings and the guess behind "did you mean".
// In: Diagnostic. Out: text or JSON.
// Owns nothing. The file's bytes are hostile: everything printed goes through printable().
// OPERATOR.md, "sluicectl"; RFC 8259 for the JSON form.
#include "ctrl/model/diagnostic.h"

#include <algorithm>
#include <cstddef>
#include <tuple>

#include <fmt/format.h>

#include "ctrl/model/codes.h"

namespace sluice {
namespace {

constexpr size_t kShownColumns = 120;  // of a source line
constexpr size_t kShownMessage = 600;
constexpr size_t kCandidatesMax = 1000;  // of a guess

// Control characters as spaces: a file must not be able to move the terminal's cursor.
std::string printable(std::string_view text, size_t limit) {
    std::string out;
    for (char c : text.substr(0, limit)) {
        const auto byte = static_cast<unsigned char>(c);
        out += byte < 0x20 || byte == 0x7f ? ' ' : c;
    }
    if (text.size() > limit) out += "...";
    return out;
}

struct Excerpt {
    std::string text;
    size_t caret = 0;  // from 0
    size_t width = 1;
};

Excerpt excerpt(const Diagnostic& d) {
    const std::string& line = d.source_line;
    size_t at = d.column > 0 ? static_cast<size_t>(d.column - 1) : 0;
    at = std::min(at, line.size());
    size_t from = 0;
    if (at > kShownColumns * 2 / 3) from = at - kShownColumns / 3;
    Excerpt out;
    out.text = printable(std::string_view(line).substr(from), kShownColumns);
    out.caret = at - from;
    // yaml-cpp counts bytes; the caret must stand under the character.
    const auto continuation = [&](size_t begin, size_t end) {
        size_t bytes = 0;
        for (size_t i = begin; i < std::min(end, line.size()); ++i)
            bytes += (static_cast<unsigned char>(line[i]) & 0xc0) == 0x80;
        return bytes;
    };
    const size_t width = std::clamp<size_t>(static_cast<size_t>(std::max(d.caret_width, 1)), 1,
                                            std::max<size_t>(line.size() - at, 1));
    out.width = std::max<size_t>(width - continuation(at, at + width), 1);
    out.width = std::min(out.width, kShownColumns - std::min(out.caret, kShownColumns - 1));
    out.caret -= continuation(from, at);
    return out;
}

std::string json_string(std::string_view text) {
    std::string out = "\"";
    for (char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (byte < 0x20 || byte == 0x7f) {
            out += fmt::format("\\u{:04x}", byte);
        } else {
            out += c;
        }
    }
    return out + '"';
}

std::string count_of(size_t count, std::string_view noun) {
    return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

// Of the finding itself, or of its code: a reader is never left without one. The table's are sentences; a caret's are not.
std::string cure_of(const Diagnostic& d) {
    if (!d.cure.empty()) return d.cure;
    const Code* code = find_code(d.code);
    std::string cure = code ? code->cure : "";
    if (cure.ends_with('.')) cure.pop_back();
    if (cure.size() > 1 && cure[0] >= 'A' && cure[0] <= 'Z' && cure[1] >= 'a') cure[0] = static_cast<char>(cure[0] + ('a' - 'A'));
    return cure;
}

// Damerau-Levenshtein with adjacent transpositions, capped lengths: words are field names.
size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::vector<size_t>> cost(a.size() + 1, std::vector<size_t>(b.size() + 1));
    for (size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
    for (size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    for (size_t i = 1; i <= a.size(); ++i) {
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t differs = lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1;
            cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + differs});
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
                cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
        }
    }
    return cost[a.size()][b.size()];
}

}  // namespace

const char* word_of(Severity severity) {
    return severity == Severity::kError ? "error" : severity == Severity::kWarning ? "warning" : "info";
}

Severity severity_named(std::string_view word) {
    return word == "warning" ? Severity::kWarning : word == "info" ? Severity::kInfo : Severity::kError;
}

std::string render(const Diagnostic& d) {
    std::string place = printable(d.file, kShownMessage);
    if (d.line > 0) place += fmt::format(":{}:{}", d.line, d.column);
    if (!place.empty()) place += ": ";
    std::string out = fmt::format("{}{} {}", place, word_of(d.severity), d.code);
    if (!d.object.empty()) out += ": " + printable(d.object, kShownMessage);
    out += '\n';

    std::string message = printable(d.message, kShownMessage);
    if (!d.field.empty()) message = printable(d.field, kShownMessage) + ": " + message;
    out += "  " + message + '\n';

    const std::string cure = printable(cure_of(d), kShownMessage);
    if (d.line <= 0 || d.source_line.empty()) {
        if (!cure.empty()) out += "  " + cure + '\n';
        return out;
    }
    const Excerpt shown = excerpt(d);
    const std::string number = std::to_string(d.line);
    out += fmt::format("  {} | {}\n", number, shown.text);
    out += fmt::format("  {:{}} | {:{}}{}", "", number.size(), "", shown.caret,
                       "^" + std::string(shown.width - 1, '~'));
    if (!cure.empty()) out += ' ' + cure;
    return out + '\n';
}

std::string render(std::span<const Diagnostic> diagnostics, size_t file_count) {
    std::string out;
    for (const Diagnostic& d : diagnostics) out += render(d);
    std::string counts;
    for (const Severity severity : {Severity::kError, Severity::kWarning, Severity::kInfo}) {
        const size_t n = count(diagnostics, severity);
        if (n > 0 || (diagnostics.empty() && severity == Severity::kError))
            counts += (counts.empty() ? "" : ", ") + count_of(n, word_of(severity));
    }
    return out + fmt::format("{} in {}\n", counts, count_of(file_count, "file"));
}

std::string render_json(const Diagnostic& d) {
    return fmt::format(
        R"({{"file": {}, "line": {}, "column": {}, "code": {}, "severity": "{}", "object": {}, "field": {}, )"
        R"("message": {}, "source_line": {}, "cure": {}, "caret_width": {}}})",
        json_string(d.file), d.line, d.column, json_string(d.code),
        word_of(d.severity), json_string(d.object), json_string(d.field), json_string(d.message),
        json_string(d.source_line), json_string(cure_of(d)), d.caret_width);
}

std::string render_json(std::span<const Diagnostic> diagnostics) {
    std::string out = "[";
    for (const Diagnostic& d : diagnostics) {
        if (out.size() > 1) out += ", ";
        out += render_json(d);
    }
    return out + "]";
}

void note_cut(std::vector<Diagnostic>& diagnostics, const std::string& file) {
    const char* left_out = nullptr;
    for (const auto& [severity, words] : {std::pair{Severity::kInfo, "infos"}, {Severity::kWarning, "warnings and infos"}, {Severity::kError, "findings"}})
        if (diagnostics.size() >= room_for(severity)) left_out = words;
    if (!left_out) return;
    Diagnostic d;
    d.file = file;
    d.code = "SLC0135";
    d.severity = Severity::kInfo;
    d.message = fmt::format("{} findings are listed; further {} are not", diagnostics.size(), left_out);
    diagnostics.push_back(std::move(d));
}

bool has_errors(std::span<const Diagnostic> diagnostics) {
    return std::any_of(diagnostics.begin(), diagnostics.end(),
                       [](const Diagnostic& d) { return d.severity == Severity::kError; });
}

size_t count(std::span<const Diagnostic> diagnostics, Severity severity) {
    return static_cast<size_t>(std::count_if(diagnostics.begin(), diagnostics.end(),
                                             [&](const Diagnostic& d) { return d.severity == severity; }));
}

void sort_by_place(std::vector<Diagnostic>& diagnostics) {
    std::stable_sort(diagnostics.begin(), diagnostics.end(), [](const Diagnostic& a, const Diagnostic& b) {
        return std::tie(a.file, a.line, a.column, a.code) < std::tie(b.file, b.line, b.column, b.code);
    });
    diagnostics.erase(std::unique(diagnostics.begin(), diagnostics.end()), diagnostics.end());
}

std::string closest(std::string_view word, std::span<const std::string> candidates) {
    if (word.empty() || word.size() > 128) return "";
    size_t best = std::max<size_t>(word.size() / 3, 1) + 1;
    std::string found;
    for (const std::string& candidate : candidates.first(std::min(candidates.size(), kCandidatesMax))) {
        if (candidate.size() > 256) continue;
        const size_t distance = edit_distance(word, candidate);
        if (distance < best) {
            best = distance;
            found = candidate;
        }
    }
    return found;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
    const std::string found = closest(word, candidates);
    return found.empty() ? "" : "did you mean `" + found + "`?";
}

}  // namespace sluice
