// /v1/config/history, /v1/config/revision, /v1/config/resources: the revisions that there were, the files of each as they were,
// and what a gateway makes of them. A revision is named by its number, or as in_force, refused or directory (what is there now).
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <charconv>
#include <expected>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ctrl/admin/json.h"
#include "ctrl/admin/views.h"
#include "ctrl/model/redact.h"

namespace sluice::admin {

namespace {

constexpr size_t kAnswerBytesMax = 64u << 20;   // of files in one answer

template <typename Time>
Json milliseconds_or_null(const std::optional<Time>& time) {
    return time ? Json(static_cast<double>(time->count()) / 1000) : Json(nullptr);
}

std::string rfc3339(std::chrono::system_clock::time_point time) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
    return fmt::format("{:%FT%T}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(time)), ms % 1000);
}

size_t count(const std::vector<Diagnostic>& all, Severity severity) {
    return static_cast<size_t>(std::count_if(all.begin(), all.end(), [&](const Diagnostic& d) { return d.severity == severity; }));
}

/// A revision as it was named, with its record where there is one.
struct Named {
    std::optional<control::Record> record;
    source::FileSetPtr files;
    std::vector<Diagnostic> diagnostics;   // of the directory: what could not be read
};

using Found = std::expected<Named, Answer>;

std::unexpected<Answer> missing(const std::string& message, const std::string& cure) { return std::unexpected(Answer::error(404, message, cure)); }

Found by_number(const Sources& s, uint64_t revision) {
    const auto record = s.history ? s.history->find(revision) : std::nullopt;
    if (!record) return missing(fmt::format("revision {} is not in the history", revision), "sluicectl config history lists what there is");
    if (record->fate == control::Fate::kDamaged) return missing(fmt::format("revision {} is lost: {}", revision, record->damage), "");
    Named out{record, nullptr, {}};
    // What is in force and what was refused are in memory too, whatever became of the disk.
    const auto state = state_of(s);
    if (state.in_force.revision == revision) out.files = state.in_force.content;
    if (state.refused && state.refused->revision == revision) out.files = state.refused->content;
    if (!out.files) {
        const auto files = s.history->files_of(revision);
        if (!files) return missing(fmt::format("the files of revision {} are lost: {}", revision, files.error()), "");
        out.files = *files;
    }
    return out;
}

Found named(const Sources& s, const std::string& name) {
    const auto state = state_of(s);
    if (name == "in_force" || name.empty()) {
        if (state.in_force.revision == 0 || !state.in_force.content) return missing("nothing is in force yet", "sluicectl status says why");
        Found found = by_number(s, state.in_force.revision);
        if (!found) found = Named{std::nullopt, state.in_force.content, {}};
        return found;
    }
    if (name == "refused") {
        if (!state.refused || !state.refused->content) return missing("nothing is refused", "");
        Found found = by_number(s, state.refused->revision);
        if (!found) found = Named{std::nullopt, state.refused->content, {}};
        return found;
    }
    if (name == "directory") {
        if (!s.directory) return std::unexpected(Answer::error(501, "this gateway reads no directory"));
        source::Files files = s.directory();
        return Named{std::nullopt, std::move(files.set), std::move(files.errors)};
    }
    uint64_t revision = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), revision);
    if (error != std::errc{} || end != name.data() + name.size() || revision == 0)
        return std::unexpected(Answer::error(400, "no such revision", "a number, in_force, refused or directory"));
    return by_number(s, revision);
}

Json changes_json(const source::FileChanges& changes) {
    return {{"added", changes.added}, {"changed", changes.changed}, {"removed", changes.removed}};
}

Json record_json(const control::Record& r, const control::State& state) {
    const bool damaged = r.fate == control::Fate::kDamaged;
    return {{"revision", r.revision}, {"outcome", control::to_string(r.fate)}, {"in_force", state.in_force.revision == r.revision},
            {"origin", damaged ? Json(nullptr) : Json(control::to_string(r.origin))},
            {"rolled_back_to", r.rolled_back_to ? Json(r.rolled_back_to) : Json(nullptr)}, {"by", r.by}, {"hash", r.hash}, {"files", r.files},
            {"bytes", r.bytes}, {"time", damaged ? Json(nullptr) : Json(rfc3339(r.since))}, {"age_s", damaged ? 0 : seconds_since(r.since)},
            {"before", r.before ? Json(r.before) : Json(nullptr)}, {"changes", changes_json(r.changes)},
            {"build_ms", milliseconds_or_null(r.build_time)}, {"time_to_live_ms", milliseconds_or_null(r.time_to_live)},
            {"errors", count(r.diagnostics, Severity::kError)}, {"warnings", count(r.diagnostics, Severity::kWarning)}, {"damage", r.damage}};
}

/// Hashes without provenance: a line that moved changes nothing.
template <typename Message>
std::string hash_of(Message message) {
    message.clear_metadata();
    const std::string bytes = message.SerializeAsString();
    return fmt::format("{:016x}", XXH3_64bits(bytes.data(), bytes.size()));
}

std::string hash_of(envoy::config::route::v3::VirtualHost host) {
    for (auto& route : *host.mutable_routes()) route.clear_metadata();
    host.clear_metadata();
    const std::string bytes = host.SerializeAsString();
    return fmt::format("{:016x}", XXH3_64bits(bytes.data(), bytes.size()));
}

Json resources_of(const xds::ResourceSet& resources) {
    Json listeners = Json::object(), routes = Json::object(), clusters = Json::object(), endpoints = Json::object();
    for (const auto& [name, listener] : resources.listeners) listeners[name] = hash_of(*listener);
    for (const auto& [name, table] : resources.routes)
        for (const auto& host : table.hosts()) routes[name + " " + host->name()] = hash_of(*host);
    for (const auto& [name, cluster] : resources.clusters) clusters[name] = hash_of(*cluster);
    for (const auto& [name, assignment] : resources.endpoints) {
        const std::string bytes = assignment->SerializeAsString();
        endpoints[name] = fmt::format("{:016x}", XXH3_64bits(bytes.data(), bytes.size()));
    }
    return {{"listeners", std::move(listeners)}, {"routes", std::move(routes)}, {"clusters", std::move(clusters)}, {"endpoints", std::move(endpoints)}};
}

Json findings_json(const std::vector<Diagnostic>& diagnostics) { return Json::parse(render_json(diagnostics), nullptr, false); }

}  // namespace

std::string history_json(const Sources& s, const Request&) {
    const auto state = state_of(s);
    Json revisions = Json::array();
    auto records = s.history ? s.history->records() : std::vector<control::Record>();
    for (auto record = records.rbegin(); record != records.rend(); ++record) revisions.push_back(record_json(*record, state));
    const auto& health = state.history;
    return dump({{"revisions", std::move(revisions)},
                 {"in_force", state.in_force.revision ? Json(state.in_force.revision) : Json(nullptr)},
                 {"refused", state.refused ? Json(state.refused->revision) : Json(nullptr)}, {"serving_last_good", state.serving_last_good},
                 {"state", {{"directory", health.directory}, {"error", health.error}, {"write_failures", health.write_failures}, {"damaged", health.damaged}}}});
}

Answer revision_answer(const Sources& s, const Request& request) {
    const Found found = named(s, request.parameter("revision"));
    if (!found) return found.error();
    if (found->files->bytes > kAnswerBytesMax)
        return Answer::error(413, fmt::format("its files are larger than {} MiB", kAnswerBytesMax >> 20), "read the mesh directory itself");
    Json content = Json::array();
    for (const auto& file : found->files->files) content.push_back({{"name", file.name}, {"text", model::redact(file.text)}});
    const auto state = state_of(s);
    Json out{{"record", found->record ? record_json(*found->record, state) : Json(nullptr)}, {"hash", found->files->hash},
             {"diagnostics", findings_json(found->record ? found->record->diagnostics : found->diagnostics)}, {"content", std::move(content)}};
    return Answer::json(dump(out));
}

Answer resources_answer(const Sources& s, const Request& request) {
    if (!s.load_files) return Answer::error(501, "this gateway translates no files");
    const Found found = named(s, request.parameter("revision"));
    if (!found) return found.error();
    const auto loaded = s.load_files(found->files);
    if (!loaded || has_errors(found->diagnostics)) return Answer::error(409, "these files are not good: nothing comes of them", "sluicectl config diff without --resources shows the files");
    return Answer::json(dump(resources_of(*loaded->resources)));
}

}  // namespace sluice::admin
