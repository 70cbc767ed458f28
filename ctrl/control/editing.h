// config apply and config rollback: the mesh directory is changed by the gateway itself, after the new whole was read, checked
// and built as if it were there. The directory stays the one truth: what is put in force is read from it afterwards.
// In: files to add, replace or remove; or a revision to go back to. Out: the revision, or why the directory stays as it is.
// Control thread. Borrows Revisions and History.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ctrl/control/history.h"
#include "ctrl/control/revisions.h"
#include "ctrl/source/files.h"
#include "ctrl/source/replace.h"

namespace sluice::control {

struct ApplyRequest {
    std::vector<source::File> files;      // added, or instead of those of the same name
    std::vector<std::string> remove;      // names
    bool prune = false;                   // and all others go
    bool dry_run = false;
    std::string by = {};                  // who asks, as they say
};

struct RollbackRequest {
    uint64_t revision = 0;                // 0: the good one before what the directory holds
    bool dry_run = false;
    std::string by = {};
};

struct EditAnswer {
    enum class Outcome : uint8_t {
        kApplied,     // `revision` is in force, on its way to all cores
        kUnchanged,   // the directory holds that already; `revision` is in force
        kValid,       // a dry run: it would be applied
        kRefused,     // `diagnostics` say why
        kConflict,    // somebody else changed the directory meanwhile
        kImpossible,  // the request or the directory does not allow it: `message`, `cure`
    };
    Outcome outcome = Outcome::kImpossible;
    uint64_t revision = 0;                // in force, or refused; 0: none
    uint64_t in_force = 0;
    uint64_t rolled_back_to = 0;
    std::string hash;                     // of the whole directory as it is or would be
    size_t files = 0;
    source::FileChanges changes;          // in the directory
    std::vector<Diagnostic> diagnostics;  // warnings too
    std::string message, cure;
};
std::string_view to_string(EditAnswer::Outcome outcome);

class Editor {
 public:
    struct Options {
        std::string directory, shown_as;
        /// What would be wrong with these files: everything but putting them in force. Errors and warnings.
        std::function<std::vector<Diagnostic>(source::FileSetPtr)> validate;
        source::ReplaceOptions replace = {};
    };
    Editor(Options options, Revisions& revisions, const History& history);

    EditAnswer apply(const ApplyRequest& request);
    EditAnswer rollback(const RollbackRequest& request);

 private:
    EditAnswer change(const source::FileSetPtr& before, const source::FileSetPtr& after, const Edit& edit, bool dry_run);
    EditAnswer impossible(std::string message, std::string cure) const;
    uint64_t default_target(const source::FileSet& directory) const;

    const Options options_;
    Revisions& revisions_;
    const History& history_;
};

}  // namespace sluice::control
