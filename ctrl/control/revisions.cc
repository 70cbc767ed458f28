// Applies revisions one after another; keeps the last good one whatever comes, also over a restart.
#include "ctrl/control/revisions.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace sluice::control {

using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

namespace {

constexpr std::string_view kNoRoomCode = "SLC0401";

bool no_room(const std::vector<Diagnostic>& diagnostics) {
    return std::any_of(diagnostics.begin(), diagnostics.end(), [](const Diagnostic& d) { return d.code == kNoRoomCode; });
}

Refused not_built(const Loaded& loaded, std::vector<Diagnostic> diagnostics) {
    Refused out;
    out.content_hash = loaded.content_hash;
    out.files = loaded.files;
    out.cause = no_room(diagnostics) ? Cause::kNoRoom : Cause::kNotBuilt;
    out.diagnostics = std::move(diagnostics);
    out.content = loaded.content;
    return out;
}

}  // namespace

Revisions::Revisions(Load load, Apply apply, LiveEverywhere live_everywhere, Log log)
    : load_(std::move(load)), apply_(std::move(apply)), live_everywhere_(std::move(live_everywhere)), log_(std::move(log)) {}

void Revisions::record_in(History& history, std::string mesh_directory) {
    history_ = &history;
    mesh_directory_ = std::move(mesh_directory);
    last_revision_ = std::max(last_revision_, history.next_revision() - 1);
}

Revisions::Outcome Revisions::start(steady_clock::time_point seen, const LoadFiles& load_files) {
    const Edit edit{.origin = Origin::kStart};
    auto loaded = load_();
    if (loaded) {
        const auto good = good_records();
        const bool known = !good.empty() && good.front().hash == loaded->content_hash;
        const uint64_t revision = known ? good.front().revision : next_revision();
        // What is refused here was good once or never: either way the last good one below is the same or older.
        const Outcome outcome = put_in_force(std::move(*loaded), revision, seen, edit, known ? std::optional(good.front()) : std::nullopt);
        if (outcome == Outcome::kApplied) return outcome;
        serve_last_good(seen, load_files);
        return outcome;
    }
    serve_last_good(seen, load_files);
    return refuse(std::move(loaded.error()), edit);
}

/// Newest first; of this mesh directory alone.
std::vector<Record> Revisions::good_records() const {
    std::vector<Record> good;
    if (!history_) return good;
    for (Record& record : history_->records())
        if (record.fate == Fate::kApplied && record.mesh_directory == mesh_directory_) good.push_back(std::move(record));
    std::reverse(good.begin(), good.end());
    return good;
}

bool Revisions::serve_last_good(steady_clock::time_point seen, const LoadFiles& load_files) {
    for (const Record& record : good_records()) {
        const auto files = history_->files_of(record.revision);
        if (!files) {
            log_(Level::kWarning, fmt::format("revision {} cannot be served: {}", record.revision, files.error()));
            continue;
        }
        auto loaded = load_files(*files);
        if (!loaded) {   // of a version that took more, or for other labels
            log_(Level::kWarning, fmt::format("revision {} cannot be served by this version or node\n{}", record.revision,
                                              render(loaded.error().diagnostics, loaded.error().files)));
            continue;
        }
        const auto applied = apply_(*loaded->resources, record.revision, loaded->content_hash);
        if (!applied) {
            log_(Level::kWarning, fmt::format("revision {} cannot be served\n{}", record.revision, render(applied.error(), loaded->files)));
            continue;
        }
        seen_ = seen;
        {
            std::lock_guard lock(mutex_);
            state_.in_force = {.revision = record.revision, .content_hash = loaded->content_hash, .resources = loaded->resources,
                               .warnings = loaded->warnings, .since = record.since,
                               .build_time = duration_cast<microseconds>(steady_clock::now() - seen), .content = *files,
                               .certificate_files = loaded->certificate_files, .certificate_mark = loaded->certificate_mark};
            state_.serving_last_good = true;
        }
        log_(Level::kError, fmt::format("SERVING THE LAST GOOD CONFIG, revision {} of {:%F %T} UTC, kept in the state directory: the mesh directory "
                                        "{} is refused", record.revision, fmt::gmtime(system_clock::to_time_t(record.since)), mesh_directory_));
        return true;
    }
    return false;
}

bool Revisions::unchanged(const Loaded& loaded) {
    std::lock_guard lock(mutex_);
    if (state_.in_force.revision == 0 || state_.in_force.content_hash != loaded.content_hash) return false;
    if (state_.refused || state_.serving_last_good)
        log_(Level::kInfo, fmt::format("the mesh config is again that of revision {}, which is in force", state_.in_force.revision));
    state_.refused.reset();
    state_.serving_last_good = false;
    return true;
}

Revisions::Outcome Revisions::load_and_apply(steady_clock::time_point seen, const Edit& edit) {
    auto loaded = load_();
    held_.reset();
    if (!loaded) {
        const bool waits = patience_.count() > 0 && edit.origin == Origin::kEdit && !told_before(loaded.error());
        if (!waits) return refuse(std::move(loaded.error()), edit);
        held_ = Held{std::move(loaded.error()), edit, steady_clock::now() + patience_};
        return Outcome::kHeld;
    }
    if (unchanged(*loaded)) return Outcome::kUnchanged;
    return put_in_force(std::move(*loaded), next_revision(), seen, edit, std::nullopt);
}

Revisions::Outcome Revisions::refresh(const LoadFiles& load_files) {
    const InForce now = state().in_force;
    if (now.revision == 0 || !now.content) return Outcome::kUnchanged;
    auto loaded = load_files(now.content);
    if (!loaded) {
        log_(Level::kError, fmt::format("files of certificates changed and are REFUSED; what they held before stays in force\n{}", render(loaded.error().diagnostics, loaded.error().files)));
        return Outcome::kRefused;
    }
    if (const auto applied = apply_(*loaded->resources, now.revision, now.content_hash); !applied) {
        log_(Level::kError, fmt::format("files of certificates changed and are REFUSED; what they held before stays in force\n{}", render(applied.error(), loaded->files)));
        return Outcome::kRefused;
    }
    std::lock_guard lock(mutex_);
    state_.in_force.resources = std::move(loaded->resources);
    state_.in_force.certificate_files = std::move(loaded->certificate_files);
    state_.in_force.certificate_mark = std::move(loaded->certificate_mark);
    return Outcome::kApplied;
}

Record Revisions::record_of(const Edit& edit, const source::FileSetPtr& content) const {
    Record record;
    record.origin = edit.origin, record.by = edit.by, record.rolled_back_to = edit.rolled_back_to;
    record.mesh_directory = mesh_directory_;
    const State now = state();
    record.before = now.in_force.revision;
    static const source::FileSet kNothing;
    if (content) {
        record.hash = content->hash, record.files = content->files.size(), record.bytes = content->bytes;
        record.changes = changes_between(now.in_force.content ? *now.in_force.content : kNothing, *content);
    }
    return record;
}

/// `known`: the revision was in force before a restart, and is still the same.
Revisions::Outcome Revisions::put_in_force(Loaded loaded, uint64_t revision, steady_clock::time_point seen, const Edit& edit,
                                           const std::optional<Record>& known) {
    Record record = known ? *known : record_of(edit, loaded.content);
    auto applied = apply_(*loaded.resources, revision, loaded.content_hash);
    if (!applied) return refuse(not_built(loaded, std::move(applied.error())), edit);
    last_revision_ = std::max(last_revision_, revision);
    if (!loaded.warnings.empty()) log_(Level::kWarning, render(loaded.warnings, loaded.files));
    seen_ = seen;
    const auto build_time = duration_cast<microseconds>(steady_clock::now() - seen);
    const auto since = known ? known->since : system_clock::now();
    if (history_ && !known) {
        record.revision = revision, record.fate = Fate::kApplied, record.since = since, record.build_time = build_time;
        record.diagnostics = loaded.warnings;
        history_->add(std::move(record), loaded.content);
    }
    std::lock_guard lock(mutex_);
    state_.in_force = {.revision = revision,
                       .content_hash = std::move(loaded.content_hash),
                       .resources = std::move(loaded.resources),
                       .warnings = std::move(loaded.warnings),
                       .since = since,
                       .build_time = build_time,
                       .content = std::move(loaded.content),
                       .certificate_files = std::move(loaded.certificate_files),
                       .certificate_mark = std::move(loaded.certificate_mark)};
    state_.refused.reset();
    state_.serving_last_good = false;
    state_.applied_total++;
    return Outcome::kApplied;
}

/// The same wrong files read once more (a touch, a second event) are the same refusal.
bool Revisions::told_before(const Refused& refused) const {
    std::lock_guard lock(mutex_);
    return state_.refused && state_.refused->content_hash == refused.content_hash && state_.refused->diagnostics == refused.diagnostics;
}

Revisions::Outcome Revisions::refuse(Refused refused, const Edit& edit) {
    if (told_before(refused)) return Outcome::kRefused;
    refused.since = system_clock::now();
    // After a restart the same wrong files are the same revision still.
    const auto newest = history_ ? history_->records() : std::vector<Record>();
    const bool known = edit.origin == Origin::kStart && !newest.empty() && newest.back().fate == Fate::kRefused &&
                       newest.back().hash == refused.content_hash && newest.back().mesh_directory == mesh_directory_;
    refused.revision = known ? newest.back().revision : next_revision();
    last_revision_ = std::max(last_revision_, refused.revision);
    if (history_) {
        Record record = known ? newest.back() : record_of(edit, refused.content);
        if (!known) record.since = refused.since;
        record.revision = refused.revision, record.fate = Fate::kRefused, record.diagnostics = refused.diagnostics;
        history_->add(std::move(record), refused.content);
    }
    uint64_t in_force;
    {
        std::lock_guard lock(mutex_);
        in_force = state_.in_force.revision;
        state_.refused = refused;
        state_.refused_total++;
        state_.refused_by_cause[static_cast<size_t>(refused.cause)]++;
    }
    log_(Level::kError, fmt::format("revision {} REJECTED; {}\n{}", refused.revision,
                                       in_force ? fmt::format("revision {} stays in force", in_force)
                                                : std::string("nothing is in force yet, no listener is open"),
                                       render(refused.diagnostics, refused.files)));
    return Outcome::kRefused;
}

uint64_t Revisions::next_revision() const { return last_revision_ + 1; }

bool Revisions::tick() {
    if (held_ && steady_clock::now() >= held_->until) {
        Held held = std::move(*std::exchange(held_, std::nullopt));
        refuse(std::move(held.refused), held.edit);
    }
    uint64_t revision;
    {
        std::lock_guard lock(mutex_);
        if (state_.in_force.revision == 0 || state_.in_force.live_everywhere) return false;
        revision = state_.in_force.revision;
    }
    if (!live_everywhere_()) return true;
    const auto took = duration_cast<microseconds>(steady_clock::now() - seen_);
    {
        std::lock_guard lock(mutex_);
        state_.in_force.live_everywhere = true;
        state_.in_force.time_to_live = took;
    }
    if (history_) history_->lived(revision, took);
    log_(Level::kInfo, fmt::format("revision {} live on all cores in {:.1f} ms", revision,
                                         static_cast<double>(took.count()) / 1000));
    return false;
}

State Revisions::state() const {
    State copy;
    {
        std::lock_guard lock(mutex_);
        copy = state_;
    }
    if (history_) copy.history = history_->health();
    return copy;
}

}  // namespace sluice::control
