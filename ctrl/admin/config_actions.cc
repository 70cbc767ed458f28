// POST /v1/config/apply and /v1/config/rollback: a request's JSON in, what became of it out. The control thread does the work.
// A refusal is an answer (200, outcome "refused" with findings), not an error; errors are requests that make no sense.
#include <fmt/format.h>

#include <charconv>

#include "ctrl/admin/json.h"
#include "ctrl/admin/views.h"

namespace sluice::admin {

namespace {

constexpr size_t kByMax = 100;

/// Who asks, as they say: one short printable word or two for the history.
std::string cleaned(std::string by) {
    if (by.size() > kByMax) by.resize(kByMax);
    for (char& c : by)
        if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
    return by;
}

Answer answer_of(const std::optional<control::EditAnswer>& edit) {
    if (!edit) return Answer::error(503, "the control thread is busy or ending; nothing was done", "try again; sluicectl status says how it is");
    const auto number = [](uint64_t n) { return n ? Json(n) : Json(nullptr); };
    const Json out{{"outcome", control::to_string(edit->outcome)}, {"revision", number(edit->revision)}, {"in_force", number(edit->in_force)},
                   {"rolled_back_to", number(edit->rolled_back_to)}, {"hash", edit->hash}, {"files", edit->files},
                   {"changes", {{"added", edit->changes.added}, {"changed", edit->changes.changed}, {"removed", edit->changes.removed}}},
                   {"diagnostics", Json::parse(render_json(edit->diagnostics), nullptr, false)}, {"message", edit->message}, {"cure", edit->cure}};
    return Answer::json(dump(out));
}

/// {"files": [{"name": ..., "text": ...}], "remove": [NAME], "prune": false, "dry_run": false, "by": ...}
std::optional<control::ApplyRequest> apply_request(const std::string& body) {
    try {
        const Json json = Json::parse(body);
        control::ApplyRequest out;
        for (const Json& file : json.value("files", Json::array())) out.files.push_back({file.at("name"), file.at("text")});
        for (const Json& name : json.value("remove", Json::array())) out.remove.push_back(name.get<std::string>());
        out.prune = json.value("prune", false);
        out.dry_run = json.value("dry_run", false);
        out.by = cleaned(json.value("by", ""));
        return out;
    } catch (const nlohmann::json::exception&) {   // of any field: the cure is the same
        return std::nullopt;
    }
}

}  // namespace

Answer apply_answer(const Sources& s, const Request& request) {
    if (!s.apply) return Answer::error(501, "this gateway reads no directory");
    auto wanted = apply_request(request.body);
    if (!wanted) return Answer::error(400, "not an apply request", R"(send {"files": [{"name": "a.yaml", "text": "..."}], "remove": [], "prune": false, "dry_run": false})");
    return answer_of(s.apply(std::move(*wanted)));
}

Answer rollback_answer(const Sources& s, const Request& request) {
    if (!s.rollback) return Answer::error(501, "this gateway reads no directory");
    control::RollbackRequest wanted{.dry_run = request.parameter("dry_run") == "true", .by = cleaned(request.parameter("by"))};
    if (const std::string number = request.parameter("revision"); !number.empty()) {
        const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), wanted.revision);
        if (error != std::errc{} || end != number.data() + number.size() || wanted.revision == 0)
            return Answer::error(400, "revision is not a number from 1 on", "leave it out for the good one before");
    }
    return answer_of(s.rollback(std::move(wanted)));
}

}  // namespace sluice::admin
