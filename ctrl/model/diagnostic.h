// A finding in something a user wrote: where, in which object and field, what is wrong, what to do.
// In: readers and checks fill it. Out: the caret form for people, one JSON object for tools.
// Plain value; owns its strings, so it outlives the file it speaks of.
// Format of OPERATOR.md's example; codes are stable (codes.h, docs/errors.md).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

enum class Severity { kError, kWarning, kInfo };

const char* word_of(Severity severity);  // error, warning, info
Severity severity_named(std::string_view word);  // an unknown word is an error

struct Diagnostic {
    std::string file;         // as shown to the user: mesh/reviews.yaml
    int line = 0;             // from 1; 0: the finding has no place in a file
    int column = 0;           // from 1
    std::string code;         // SLC0104
    Severity severity = Severity::kError;
    std::string object;       // VirtualService shop/reviews; may be empty
    std::string field;        // spec.http[0].route[1].wieght; may be empty
    std::string message;      // unknown field
    std::string source_line;  // the offending line as written
    std::string cure;         // did you mean `weight`?; empty: what the table of codes says
    int caret_width = 1;

    bool operator==(const Diagnostic&) const = default;
};

// Four lines at most, each ended by a newline. Control characters of the file are shown as spaces, long lines
// are cut around the caret, so that a file cannot forge log lines.
std::string render(const Diagnostic& diagnostic);

// All of them, then "2 errors, 1 warning, 3 infos in 6 files".
std::string render(std::span<const Diagnostic> diagnostics, size_t file_count);

// {"file": ..., "line": ..., ...}; render_json of several is a JSON array.
std::string render_json(const Diagnostic& diagnostic);
std::string render_json(std::span<const Diagnostic> diagnostics);

// Readers and checks stop adding at so many: a generated file with a million mistakes is refused as fast as one
// with two hundred. Warnings and infos leave room, so that a revision with an error always shows one.
inline constexpr size_t kFindingsMax = 200;
constexpr size_t room_for(Severity severity) {
    return severity == Severity::kError ? kFindingsMax : severity == Severity::kWarning ? kFindingsMax / 2 : kFindingsMax / 4;
}

// Says in one more finding (SLC0135, of `file`) that the limits above were reached.
void note_cut(std::vector<Diagnostic>& diagnostics, const std::string& file);

bool has_errors(std::span<const Diagnostic> diagnostics);
size_t count(std::span<const Diagnostic> diagnostics, Severity severity);

// File, line, column, then code: the order in which people read. The same finding twice becomes one.
void sort_by_place(std::vector<Diagnostic>& diagnostics);

// The candidate a typo was meant to be, or empty: at most a third of the word may differ. Looks at the first
// thousand candidates.
std::string closest(std::string_view word, std::span<const std::string> candidates);
// "did you mean `weight`?" or empty.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

}  // namespace sluice
