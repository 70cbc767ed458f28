// config history, show --revision, diff: revisions as they were, asked of the gateway that keeps them.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "ctrl/sluicectl/config_commands.h"
#include "ctrl/sluicectl/diff.h"
#include "ctrl/sluicectl/findings.h"
#include "ctrl/sluicectl/text.h"

namespace sluice::ctl {

namespace {

constexpr size_t kNamesMax = 3;
constexpr const char* kKinds[] = {"listeners", "routes", "clusters", "endpoints"};

std::string origin_text(const Json& r) {
    const std::string origin = text_of(r, "origin");
    return origin == "rollback" ? fmt::format("rollback to {}", number_of(r, "rolled_back_to")) : origin.empty() ? "-" : origin;
}

std::string outcome_text(const Json& r) { return flag_of(r, "in_force") ? "in force" : text_of(r, "outcome"); }

std::string change_text(const Json& r) {
    if (text_of(r, "outcome") == "damaged") return text_of(r, "damage");
    std::string out = changes_text(child_of(r, "changes"), kNamesMax);
    if (const uint64_t errors = number_of(r, "errors")) out = count_of(errors, "error") + (out.empty() ? "" : ": " + out);
    return out.empty() ? "-" : out;
}

std::string ms_text(const Json& r, const char* key) { return child_of(r, key).is_null() ? "-" : fmt::format("{:.1f}ms", real_of(r, key)); }

void print_state(const Context& c, const Json& history) {
    if (flag_of(history, "serving_last_good"))
        c.out << "SERVING THE LAST GOOD REVISION: the mesh directory is refused since the start; sluicectl config show says why\n";
    const Json& state = child_of(history, "state");
    if (const std::string error = text_of(state, "error"); !error.empty()) c.out << "STATE DIRECTORY NOT WRITTEN: " << printable(error) << "\n";
    if (text_of(state, "directory").empty()) c.out << "kept in memory alone: set state.directory to keep revisions over a restart\n";
}

/// Files by name.
std::map<std::string, std::string> content_of(const Json& revision) {
    std::map<std::string, std::string> out;
    for (const Json& file : child_of(revision, "content"))
        if (file.contains("name") && file["name"].is_string() && file.contains("text") && file["text"].is_string()) out[file["name"]] = file["text"];
    return out;
}

/// A file's text must not reach a terminal with its escapes.
std::string without_controls(std::string text) {
    for (char& ch : text)
        if ((static_cast<unsigned char>(ch) < 0x20 && ch != '\n' && ch != '\t') || ch == 0x7f) ch = '?';
    return text;
}

/// What `name` turned out to be: "revision 7" or "directory".
std::string shown_name(const Json& revision, const std::string& name) {
    const Json& record = child_of(revision, "record");
    return record.is_null() ? name : fmt::format("revision {}", number_of(record, "revision"));
}

int resources_diff(const Context& c, const std::string& from, const std::string& to) {
    std::array<Json, 2> sides;
    for (size_t i = 0; i < 2; i++) {
        const auto answer = c.client.get("/v1/config/resources", {{"revision", i ? to : from}});
        if (!answer) return fail(c, {2, answer.error().message});
        sides[i] = *answer;
    }
    Json changes = Json::array();
    for (const char* kind : kKinds) {
        const Json &a = child_of(sides[0], kind), &b = child_of(sides[1], kind);
        const auto add = [&](const char* what, const std::string& name) { changes.push_back({{"kind", kind}, {"name", name}, {"change", what}}); };
        for (const auto& [name, hash] : b.items())
            if (!a.contains(name)) add("added", name);
            else if (a[name] != hash) add("changed", name);
        for (const auto& [name, hash] : a.items())
            if (!b.contains(name)) add("removed", name);
    }
    const int code = changes.empty() ? 0 : 1;
    if (write_data(c, {{"from", from}, {"to", to}, {"resources", changes}, {"diff", ""}})) return code;
    for (const Json& change : changes) {
        const std::string what = text_of(change, "change");
        c.out << fmt::format("{} {:<9}  {}\n", what == "added" ? '+' : what == "removed" ? '-' : '~', text_of(change, "kind"), printable(text_of(change, "name")));
    }
    if (changes.empty()) c.out << "no listener, route, cluster or endpoint differs\n";
    return code;
}

}  // namespace

std::string is_revision(const std::string& text) {
    if (text == "in_force" || text == "refused" || text == "directory") return "";
    if (!text.empty() && text.size() < 19 && text[0] != '0' && text.find_first_not_of("0123456789") == text.npos) return "";
    return fmt::format("`{}` is no revision: a number, in_force, refused or directory", printable(text));
}

std::string changes_text(const Json& changes, size_t names_max) {
    std::string out;
    size_t total = 0;
    for (const auto& [key, sign] : {std::pair{"changed", '~'}, {"added", '+'}, {"removed", '-'}})
        for (const Json& name : child_of(changes, key)) {
            if (total++ >= names_max || !name.is_string()) continue;
            out += fmt::format("{}{}{}", out.empty() ? "" : " ", sign, printable(name.get<std::string>()));
        }
    return total > names_max ? out + fmt::format(" and {} more", total - names_max) : out;
}

std::string files_diff(const Json& from, const Json& to, const std::string& from_name, const std::string& to_name) {
    const auto a = content_of(from), b = content_of(to);
    std::string out;
    for (const auto& [name, text] : a) {
        const auto other = b.find(name);
        out += unified_diff(text, other == b.end() ? "" : other->second, from_name + "/" + name, other == b.end() ? "" : to_name + "/" + name);
    }
    for (const auto& [name, text] : b)
        if (!a.contains(name)) out += unified_diff("", text, "", to_name + "/" + name);
    return without_controls(std::move(out));
}

int config_history(const Context& c) {
    const auto history = c.client.get("/v1/config/history");
    if (!history) return fail(c, history.error());
    const bool degraded = flag_of(*history, "serving_last_good") || !text_of(child_of(*history, "state"), "error").empty();
    if (write_data(c, *history)) return degraded ? 1 : 0;
    std::vector<Table::Column> columns{{"REVISION", true}, {"WHEN"}, {"FROM"}, {"OUTCOME"}, {"FILES", true}, {"HASH"}, {"CHANGE"}};
    const bool wide = c.form == Form::kWide;
    if (wide) columns.insert(columns.end(), {{"TIME"}, {"BY"}, {"BYTES", true}, {"BUILD", true}, {"LIVE", true}});
    Table table(std::move(columns));
    for (const Json& r : child_of(*history, "revisions")) {
        const bool known = text_of(r, "outcome") != "damaged";
        std::vector<std::string> cells{std::to_string(number_of(r, "revision")), known ? age(real_of(r, "age_s")) + " ago" : "-", origin_text(r), outcome_text(r),
                                       known ? grouped(number_of(r, "files")) : "-", known ? text_of(r, "hash").substr(0, 8) : "-", change_text(r)};
        if (wide) {
            const std::string by = printable(text_of(r, "by"));
            for (auto& cell : {text_of(r, "time"), by.empty() ? std::string("-") : by, grouped(number_of(r, "bytes")), ms_text(r, "build_ms"), ms_text(r, "time_to_live_ms")}) cells.push_back(cell);
        }
        table.row(std::move(cells));
    }
    if (table.empty()) c.out << "no revision yet\n";
    else c.out << table.text();
    print_state(c, *history);
    return degraded ? 1 : 0;
}

int config_show_revision(const Context& c, const std::string& name, bool files) {
    const auto revision = c.client.get("/v1/config/revision", {{"revision", name}});
    if (!revision) return fail(c, revision.error());
    if (write_data(c, *revision)) return 0;
    const Json& r = child_of(*revision, "record");
    if (r.is_null()) c.out << fmt::format("{}  {}\n", name, text_of(*revision, "hash"));
    else c.out << fmt::format("revision {}  {}  {} ago  {}  {}  {}\n", number_of(r, "revision"), text_of(r, "hash"), age(real_of(r, "age_s")), origin_text(r), outcome_text(r), change_text(r));
    for (const Diagnostic& d : diagnostics_of(child_of(*revision, "diagnostics"))) c.out << render(d);
    for (const auto& [file, text] : content_of(*revision)) {
        if (files) c.out << fmt::format("# ---- {}\n", printable(file)) << without_controls(text) << (text.empty() || text.ends_with('\n') ? "" : "\n");
        else c.out << fmt::format("{}  {} bytes\n", printable(file), grouped(text.size()));
    }
    return 0;
}

int config_diff(const Context& c, const std::string& from, const std::string& to, bool resources) {
    if (resources) return resources_diff(c, from, to);
    std::array<Json, 2> sides;
    for (size_t i = 0; i < 2; i++) {
        const auto answer = c.client.get("/v1/config/revision", {{"revision", i ? to : from}});
        if (!answer) return fail(c, {2, answer.error().message});
        sides[i] = *answer;
    }
    const std::string from_name = shown_name(sides[0], from), to_name = shown_name(sides[1], to);
    const std::string diff = files_diff(sides[0], sides[1], from_name, to_name);
    for (const Json& side : sides)   // what could not be read is not in the diff: said, never passed over
        if (child_of(side, "record").is_null())
            for (const Diagnostic& d : diagnostics_of(child_of(side, "diagnostics"))) c.err << render(d);
    const int code = diff.empty() ? 0 : 1;
    if (write_data(c, {{"from", from_name}, {"to", to_name}, {"resources", Json::array()}, {"diff", diff}})) return code;
    if (diff.empty()) c.out << fmt::format("{} and {} are the same\n", from_name, to_name);
    else c.out << diff;
    return code;
}

}  // namespace sluice::ctl
