// config history, show, diff, apply, rollback: what they do. In: a client and the command's options. Out: text, an exit code.
// Nothing here knows the command line. commands.h has config_show without a revision.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ctrl/sluicectl/commands.h"

namespace sluice::ctl {

int config_history(const Context& context);
/// `revision`: a number, in_force, refused or directory.
int config_show_revision(const Context& context, const std::string& revision, bool files);
/// As diff(1): 0 the same, 1 different. `resources`: what comes of the files instead of their lines.
int config_diff(const Context& context, const std::string& from, const std::string& to, bool resources);

struct ApplyOptions {
    std::vector<std::string> paths, remove;
    bool prune = false, dry_run = false;
    Duration wait = seconds(30);   // until it is live on all cores; zero: not at all
};
int config_apply(const Context& context, const ApplyOptions& options);
/// 0: the good one before.
int config_rollback(const Context& context, uint64_t revision, bool dry_run, Duration wait);

/// The revision's number, or what is not a name of one.
std::string is_revision(const std::string& text);

// ---- Shared by the two files ----

/// "~reviews.yaml +new.yaml -old.yaml and 4 more"
std::string changes_text(const Json& changes, size_t names_max);
/// Two answers of /v1/config/revision as one unified diff of all files.
std::string files_diff(const Json& from, const Json& to, const std::string& from_name, const std::string& to_name);

}  // namespace sluice::ctl
