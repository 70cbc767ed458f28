// wait and log: commands that change something or wait for it. A gateway that is not there yet is waited for too.
#include <fmt/format.h>

#include <algorithm>

#include "ctrl/sluicectl/commands.h"
#include "ctrl/sluicectl/text.h"

namespace sluice::ctl {

namespace {

constexpr Duration kPoll = milliseconds(50);

/// Asks until `done` gives an exit code or the time is up; then `late` with code 1, or 2 if the gateway is down.
int wait_for(const Context& c, Duration timeout, const std::function<std::optional<int>(std::optional<Failure>&)>& done, const std::string& late) {
    const Instant end = c.now() + timeout;
    std::optional<Failure> failure;
    while (true) {
        failure.reset();
        if (const auto code = done(failure)) return *code;
        if (c.now() >= end) break;
        c.sleep(kPoll);
    }
    if (failure) return fail(c, *failure);
    return fail(c, {1, late});
}

/// A refused revision's number is never given again, whatever came after it.
bool was_refused(const Context& c, uint64_t revision) {
    const auto history = c.client.get("/v1/config/history");
    if (!history) return false;
    for (const Json& r : child_of(*history, "revisions"))
        if (number_of(r, "revision") == revision) return text_of(r, "outcome") == "refused";
    return false;
}

std::string seconds_text(Duration d) { return fmt::format("{:g}s", static_cast<double>(d.us) / 1e6); }

}  // namespace

int wait_ready(const Context& c, Duration timeout) {
    return wait_for(c, timeout, [&](std::optional<Failure>& failure) -> std::optional<int> {
        const auto status = c.client.status_of("/ready");
        if (!status) failure = status.error();
        else if (*status == 200) {
            if (!write_data(c, {{"ready", true}})) c.out << "ready\n";
            return 0;
        }
        return std::nullopt;
    }, fmt::format("not ready after {}: sluicectl status says why", seconds_text(timeout)));
}

int wait_revision(const Context& c, uint64_t revision, Duration timeout) {
    return wait_for(c, timeout, [&](std::optional<Failure>& failure) -> std::optional<int> {
        const auto config = c.client.get("/v1/config");
        if (!config) return failure = config.error(), std::nullopt;
        const Json& in_force = child_of(*config, "in_force");
        const uint64_t refused = number_of(child_of(*config, "refused"), "revision");
        const bool there = std::max(number_of(in_force, "revision"), refused) >= revision;
        if (refused == revision || (there && was_refused(c, revision)))
            return fail(c, {1, fmt::format("revision {} was rejected: sluicectl config show --revision {} says why", revision, revision)});
        if (number_of(in_force, "revision") >= revision && flag_of(in_force, "live_everywhere")) {
            const uint64_t live = number_of(in_force, "revision");
            if (!write_data(c, {{"revision", live}, {"live_everywhere", true}})) c.out << fmt::format("revision {} is live on all cores\n", live);
            return 0;
        }
        return std::nullopt;
    }, fmt::format("revision {} is not live after {}: sluicectl status says why", revision, seconds_text(timeout)));
}

int log_reopen(const Context& c) {
    const auto answer = c.client.post("/log/reopen");
    if (!answer) return fail(c, answer.error());
    if (!write_data(c, *answer)) c.out << "reopened " << text_of(*answer, "reopened") << "\n";
    return 0;
}

int log_level(const Context& c, const std::string& level) {
    Filters parameters;
    if (!level.empty()) parameters["level"] = level;
    const auto answer = c.client.post("/log/level", parameters);
    if (!answer) return fail(c, answer.error());
    if (!write_data(c, *answer)) c.out << text_of(*answer, "level") << "\n";
    return 0;
}

}  // namespace sluice::ctl
