// Read the directory, make the new whole, validate, replace, load: in this order, so that a refusal touches nothing.
#include "ctrl/control/editing.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

namespace sluice::control {

using std::chrono::steady_clock;
using Outcome = EditAnswer::Outcome;

namespace {

constexpr size_t kNameMax = 200;   // room for the temporary name beside it (NAME_MAX is 255)

/// What a name must be to become a file of the mesh directory; empty: it is.
std::string wrong_name(const std::string& name) {
    if (name.find('/') != name.npos || name.find('\0') != name.npos) return "a name without folders is wanted";
    if (name.size() > kNameMax) return fmt::format("longer than {} bytes", kNameMax);
    if (!source::is_config_name(name)) return "mesh files end in .yaml, .yml or .json and do not begin with a dot";
    return "";
}

/// A directory that is missing or empty can be filled; files that cannot be read would be lost.
bool only_empty(const source::Files& files) {
    return files.set->files.empty() && files.errors.size() == 1;
}

}  // namespace

std::string_view to_string(Outcome outcome) {
    static constexpr std::array<std::string_view, 6> kWords{"applied", "unchanged", "valid", "refused", "conflict", "impossible"};
    return kWords[static_cast<size_t>(outcome)];
}

Editor::Editor(Options options, Revisions& revisions, const History& history)
    : options_(std::move(options)), revisions_(revisions), history_(history) {}

EditAnswer Editor::impossible(std::string message, std::string cure) const {
    EditAnswer out;
    out.in_force = revisions_.state().in_force.revision;
    out.message = std::move(message), out.cure = std::move(cure);
    return out;
}

EditAnswer Editor::apply(const ApplyRequest& request) {
    std::set<std::string> given;
    for (const source::File& file : request.files) {
        if (const std::string wrong = wrong_name(file.name); !wrong.empty()) return impossible(fmt::format("{}: {}", file.name, wrong), "rename it");
        if (!given.insert(file.name).second) return impossible(fmt::format("{} is given twice", file.name), "files of one name are one file there: rename one");
    }
    const source::Files now = source::read_files(options_.directory, options_.shown_as);
    if (!now.errors.empty() && !only_empty(now)) {
        EditAnswer out = impossible("the mesh directory holds what cannot be read", "remove it first");
        out.diagnostics = now.errors;
        return out;
    }
    for (const std::string& name : request.remove)
        if (!now.set->find(name)) return impossible(fmt::format("there is no {} in the mesh directory", name), "sluicectl config show --files lists what there is");
    std::vector<source::File> files;
    if (!request.prune)
        for (const source::File& file : now.set->files)
            if (!given.contains(file.name) && std::find(request.remove.begin(), request.remove.end(), file.name) == request.remove.end()) files.push_back(file);
    files.insert(files.end(), request.files.begin(), request.files.end());
    if (files.empty()) return impossible("nothing would be left in the mesh directory", "an empty file says that nothing is wanted");
    return change(now.set, source::make_file_set(std::move(files)), {.origin = Origin::kApply, .by = request.by}, request.dry_run);
}

/// What is in force, if the directory holds something else; otherwise the newest good revision with other files.
uint64_t Editor::default_target(const source::FileSet& directory) const {
    const InForce in_force = revisions_.state().in_force;
    if (in_force.revision != 0 && in_force.content_hash != directory.hash) return in_force.revision;
    const auto records = history_.records();
    for (auto record = records.rbegin(); record != records.rend(); ++record)
        if (record->fate == Fate::kApplied && record->hash != directory.hash && record->revision < in_force.revision) return record->revision;
    return 0;
}

EditAnswer Editor::rollback(const RollbackRequest& request) {
    const source::Files now = source::read_files(options_.directory, options_.shown_as);
    if (!now.errors.empty() && !only_empty(now)) {
        EditAnswer out = impossible("the mesh directory holds what cannot be read", "remove it first");
        out.diagnostics = now.errors;
        return out;
    }
    const uint64_t target = request.revision ? request.revision : default_target(*now.set);
    if (target == 0) return impossible("there is no earlier good revision", "sluicectl config history lists what there is");
    const auto record = history_.find(target);
    if (!record) return impossible(fmt::format("revision {} is not in the history", target), "sluicectl config history lists what there is");
    if (record->fate == Fate::kRefused) return impossible(fmt::format("revision {} was refused", target), "sluicectl config history lists the good ones");
    if (record->fate == Fate::kDamaged) return impossible(fmt::format("revision {} is lost: {}", target, record->damage), "choose another: sluicectl config history");
    const auto files = history_.files_of(target);
    if (!files) return impossible(fmt::format("the files of revision {} are lost: {}", target, files.error()), "choose another: sluicectl config history");
    EditAnswer out = change(now.set, *files, {.origin = Origin::kRollback, .by = request.by, .rolled_back_to = target}, request.dry_run);
    out.rolled_back_to = target;
    return out;
}

EditAnswer Editor::change(const source::FileSetPtr& before, const source::FileSetPtr& after, const Edit& edit, bool dry_run) {
    EditAnswer out;
    out.hash = after->hash;
    out.files = after->files.size();
    out.changes = changes_between(*before, *after);
    out.in_force = out.revision = revisions_.state().in_force.revision;
    if (after->bytes > source::kBytesMax || after->files.size() > source::kFilesMax)
        return impossible(fmt::format("more than {} files or {} MiB", source::kFilesMax, source::kBytesMax >> 20), "take some away");
    const auto seen = steady_clock::now();
    out.diagnostics = options_.validate(after);
    if (has_errors(out.diagnostics)) {
        out.outcome = Outcome::kRefused, out.revision = 0;
        return out;
    }
    if (dry_run) {
        out.outcome = Outcome::kValid;
        return out;
    }
    if (auto replaced = replace_files(options_.directory, *before, *after, options_.replace); !replaced) {
        out.outcome = replaced.error().changed ? Outcome::kConflict : Outcome::kImpossible;
        out.message = replaced.error().message, out.cure = replaced.error().cure;
        return out;
    }
    const auto outcome = revisions_.load_and_apply(seen, edit);
    const State state = revisions_.state();
    out.in_force = out.revision = state.in_force.revision;
    if (outcome == Revisions::Outcome::kRefused) {   // what no dry run can know: no room, or an edit in the last instant
        out.outcome = Outcome::kRefused;
        if (state.refused) out.revision = state.refused->revision, out.diagnostics = state.refused->diagnostics;
        if (replace_files(options_.directory, *after, *before, options_.replace)) revisions_.load_and_apply(steady_clock::now());
    } else if (state.in_force.content_hash != after->hash) {
        out.outcome = Outcome::kConflict;
        out.message = "the directory was changed by somebody else right after; what is there now is in force", out.cure = "sluicectl config diff shows it";
    } else {
        out.outcome = outcome == Revisions::Outcome::kApplied ? Outcome::kApplied : Outcome::kUnchanged;
    }
    return out;
}

}  // namespace sluice::control
