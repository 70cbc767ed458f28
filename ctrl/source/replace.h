// Changing the mesh directory as a whole: the files that were validated become those that are there, all of them or none.
// In: the directory, what it held when the new set was made, the new set. Out: done, or why not, with the directory as it was.
// Owns nothing; calls from one thread at a time (other processes are kept off by a lock on the parent).
// renameat2(2): the directory changes places with a new one beside it; where that cannot be, file by file, undone on failure.
#pragma once

#include <expected>
#include <functional>
#include <string>

#include "ctrl/source/files.h"

namespace sluice::source {

struct ReplaceError {
    bool changed = false;   // somebody else edited the directory meanwhile
    std::string message, cure;
};

struct ReplaceOptions {
    bool exchange = true;                          // false: file by file, for tests
    std::function<void(const char* step)> on_step;   // tests: another editor, or a crash, at each step
};

/// Only config files are touched; what else is in the directory stays. A missing directory is made.
std::expected<void, ReplaceError> replace_files(const std::string& directory, const FileSet& before, const FileSet& after,
                                                const ReplaceOptions& options = {});

}  // namespace sluice::source
