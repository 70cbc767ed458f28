// Mesh files without what Secrets hold: for carets, diffs, history and everything else that shows a line of a file.
// In: a file's text, YAML or not. Out: as many lines, each value that may be secret replaced by [redacted]. Errs on the side of hiding:
// in a document that looks like a Secret, everything but names is hidden, whatever the parser makes of it. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice::model {

/// Which lines must not be shown as they are, from 0. Empty: none.
std::vector<bool> secret_lines(std::string_view text);

/// One such line: its indentation and key, and [redacted] for the rest.
std::string redact_line(std::string_view line);

/// The whole text. Values that differ are told apart by a tag, keyed by a random number of this process, so that a diff shows that
/// something changed and nothing about what.
std::string redact(std::string_view text);

}  // namespace sluice::model
