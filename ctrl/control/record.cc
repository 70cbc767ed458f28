// Records as JSON, files as lengths and bytes.
#include "ctrl/control/record.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace sluice::control {

namespace {

using Json = nlohmann::ordered_json;
using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::system_clock;

constexpr std::string_view kRecord = "sluice-revision", kFiles = "sluice-files", kFormat = "1";
constexpr std::array<std::string_view, 4> kOrigins{"start", "edit", "apply", "rollback"};
constexpr std::array<std::string_view, 3> kFates{"applied", "refused", "damaged"};

std::string checksum(std::string_view text) { return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size())); }

std::string seal(std::string_view kind, std::string_view body) {
    std::string out = fmt::format("{} {} {}\n", kind, kFormat, checksum(body));
    out += body;
    return out;
}

std::expected<std::string_view, std::string> unseal(std::string_view kind, std::string_view text) {
    const size_t end = text.find('\n');
    if (end == text.npos || end > 100 || !text.starts_with(kind) || end <= kind.size() || text[kind.size()] != ' ')
        return std::unexpected("not a file of ours, or cut");
    const std::string_view head = text.substr(kind.size() + 1, end - kind.size() - 1);
    const size_t space = head.find(' ');
    if (head.substr(0, space) != kFormat) return std::unexpected(fmt::format("format {}: written by another version", head.substr(0, std::min<size_t>(space, 20))));
    const std::string_view body = text.substr(end + 1);
    if (space == head.npos || head.substr(space + 1) != checksum(body)) return std::unexpected("its checksum is wrong: cut or damaged");
    return body;
}

template <size_t N>
size_t index_of(const std::array<std::string_view, N>& words, const std::string& word) {
    for (size_t i = 0; i < N; i++)
        if (words[i] == word) return i;
    throw std::invalid_argument("unknown word " + word);
}

Json us_or_null(const std::optional<microseconds>& time) { return time ? Json(time->count()) : Json(nullptr); }
std::optional<microseconds> us_of(const Json& json) { return json.is_null() ? std::nullopt : std::optional(microseconds(json.get<int64_t>())); }

Json finding_json(const Diagnostic& d) {
    return {{"file", d.file}, {"line", d.line}, {"column", d.column}, {"code", d.code}, {"severity", word_of(d.severity)},
            {"object", d.object}, {"field", d.field}, {"message", d.message}, {"sourceLine", d.source_line}, {"cure", d.cure}, {"caretWidth", d.caret_width}};
}

Diagnostic finding_of(const Json& j) {
    Diagnostic d;
    d.file = j.at("file"), d.line = j.at("line"), d.column = j.at("column"), d.code = j.at("code");
    d.severity = severity_named(j.at("severity").get<std::string>());
    d.object = j.at("object"), d.field = j.at("field"), d.message = j.at("message");
    d.source_line = j.at("sourceLine"), d.cure = j.at("cure"), d.caret_width = j.at("caretWidth");
    return d;
}

Record record_of(const Json& j) {
    Record r;
    r.revision = j.at("revision");
    r.fate = static_cast<Fate>(index_of(kFates, j.at("fate")));
    r.origin = static_cast<Origin>(index_of(kOrigins, j.at("origin")));
    r.rolled_back_to = j.at("rolledBackTo");
    r.by = j.at("by");
    r.hash = j.at("hash");
    r.files = j.at("files");
    r.bytes = j.at("bytes");
    r.mesh_directory = j.at("meshDirectory");
    r.since = system_clock::time_point(microseconds(j.at("sinceUnixMicroseconds").get<int64_t>()));
    r.before = j.at("before");
    r.changes = {j.at("added"), j.at("changed"), j.at("removed")};
    r.build_time = us_of(j.at("buildMicroseconds"));
    r.time_to_live = us_of(j.at("timeToLiveMicroseconds"));
    for (const Json& d : j.at("diagnostics")) r.diagnostics.push_back(finding_of(d));
    return r;
}

/// "12 rest" -> 12, and the text behind the separator.
bool take_number(std::string_view& text, size_t& number, char separator) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end == text.data() + text.size() || *end != separator) return false;
    text.remove_prefix(static_cast<size_t>(end - text.data()) + 1);
    return true;
}

}  // namespace

std::string_view to_string(Origin origin) { return kOrigins[static_cast<size_t>(origin)]; }
std::string_view to_string(Fate fate) { return kFates[static_cast<size_t>(fate)]; }

std::string write_record(const Record& r) {
    Json j{{"revision", r.revision}, {"fate", to_string(r.fate)}, {"origin", to_string(r.origin)}, {"rolledBackTo", r.rolled_back_to},
           {"by", r.by}, {"hash", r.hash}, {"files", r.files}, {"bytes", r.bytes}, {"meshDirectory", r.mesh_directory},
           {"sinceUnixMicroseconds", duration_cast<microseconds>(r.since.time_since_epoch()).count()}, {"before", r.before},
           {"added", r.changes.added}, {"changed", r.changes.changed}, {"removed", r.changes.removed},
           {"buildMicroseconds", us_or_null(r.build_time)}, {"timeToLiveMicroseconds", us_or_null(r.time_to_live)},
           {"diagnostics", Json::array()}};
    for (const Diagnostic& d : r.diagnostics) j["diagnostics"].push_back(finding_json(d));
    return seal(kRecord, j.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
}

std::expected<Record, std::string> read_record(std::string_view text) {
    const auto body = unseal(kRecord, text);
    if (!body) return std::unexpected(body.error());
    try {
        return record_of(Json::parse(*body));
    } catch (const std::exception&) {   // the checksum was right: somebody else's idea of a record
        return std::unexpected("not a record of this version");
    }
}

std::string write_files(const source::FileSet& files) {
    std::string body;
    for (const source::File& file : files.files) {
        body += fmt::format("{} {} {}\n", file.name.size(), file.text.size(), file.name);
        body += file.text;
        body += '\n';
    }
    return seal(kFiles, body);
}

std::expected<source::FileSetPtr, std::string> read_files(std::string_view text, std::string_view hash) {
    const auto body = unseal(kFiles, text);
    if (!body) return std::unexpected(body.error());
    std::vector<source::File> files;
    for (std::string_view rest = *body; !rest.empty();) {
        size_t name = 0, bytes = 0;
        if (!take_number(rest, name, ' ') || !take_number(rest, bytes, ' ') || name > rest.size() || bytes > rest.size() || name + bytes + 2 > rest.size())
            return std::unexpected("not the files of a revision");
        files.push_back({std::string(rest.substr(0, name)), std::string(rest.substr(name + 1, bytes))});
        rest.remove_prefix(name + bytes + 2);
    }
    auto set = source::make_file_set(std::move(files));
    if (set->hash != hash) return std::unexpected("these are the files of another revision");
    return set;
}

}  // namespace sluice::control
