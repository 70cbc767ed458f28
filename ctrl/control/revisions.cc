// Applies revisions one after another; keeps the last good one whatever comes.
#include "ctrl/control/revisions.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <utility>

namespace sluice::control {

using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

Revisions::Revisions(Load load, Apply apply, LiveEverywhere live_everywhere, Log log)
    : load_(std::move(load)), apply_(std::move(apply)), live_everywhere_(std::move(live_everywhere)), log_(std::move(log)) {}

Revisions::Outcome Revisions::load_and_apply(steady_clock::time_point seen) {
    auto loaded = load_();
    if (!loaded) return refuse(std::move(loaded.error()));
    {
        std::lock_guard lock(mutex_);
        if (state_.in_force.revision != 0 && state_.in_force.content_hash == loaded->content_hash) {
            if (state_.refused) {
                log_(Level::kInfo, fmt::format("the mesh config is again that of revision {}, which is in force",
                                                     state_.in_force.revision));
                state_.refused.reset();
            }
            return Outcome::kUnchanged;
        }
    }
    const uint64_t revision = next_revision_;
    auto applied = apply_(*loaded->resources, revision, loaded->content_hash);
    if (!applied)
        return refuse({.content_hash = loaded->content_hash, .diagnostics = std::move(applied.error()), .files = loaded->files});
    next_revision_++;
    if (!loaded->warnings.empty()) log_(Level::kWarning, render(loaded->warnings, loaded->files));
    seen_ = seen;
    std::lock_guard lock(mutex_);
    state_.in_force = {.revision = revision,
                       .content_hash = std::move(loaded->content_hash),
                       .resources = std::move(loaded->resources),
                       .warnings = std::move(loaded->warnings),
                       .since = system_clock::now(),
                       .build_time = duration_cast<microseconds>(steady_clock::now() - seen)};
    state_.refused.reset();
    state_.applied_total++;
    return Outcome::kApplied;
}

Revisions::Outcome Revisions::refuse(Refused refused) {
    uint64_t in_force;
    {
        std::lock_guard lock(mutex_);
        in_force = state_.in_force.revision;
        // The same wrong files read once more (a touch, a second event) are the same refusal.
        if (state_.refused && state_.refused->content_hash == refused.content_hash &&
            state_.refused->diagnostics == refused.diagnostics)
            return Outcome::kRefused;
        refused.revision = next_revision_++;
        refused.since = system_clock::now();
        state_.refused = refused;
        state_.refused_total++;
    }
    log_(Level::kError, fmt::format("revision {} REJECTED; {}\n{}", refused.revision,
                                       in_force ? fmt::format("revision {} stays in force", in_force)
                                                : std::string("nothing is in force yet, no listener is open"),
                                       render(refused.diagnostics, refused.files)));
    return Outcome::kRefused;
}

bool Revisions::tick() {
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
    log_(Level::kInfo, fmt::format("revision {} live on all cores in {:.1f} ms", revision,
                                         static_cast<double>(took.count()) / 1000));
    return false;
}

State Revisions::state() const {
    std::lock_guard lock(mutex_);
    return state_;
}

}  // namespace sluice::control
