// The access logs of an HTTP connection manager -> a set that the telemetry thread writes.
// In: AccessLog messages that the field walk let through, this machine's own log. Out: a telemetry::AccessLogSet.
// Control thread. Envoy config.accesslog.v3, extensions.access_loggers.file.v3, config.core.v3.SubstitutionFormatString.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "ctrl/apply/field_walk.h"
#include "ctrl/apply/readers.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"

namespace sluice::apply {
namespace {

using FileLog = envoy::extensions::access_loggers::file::v3::FileAccessLog;
using telemetry::AccessLogFormat;
using telemetry::AccessLogSet;
using telemetry::JsonTemplate;

constexpr int kLogsMax = 8;   // of one listener

JsonTemplate as_template(const google::protobuf::Value& value) {
    using Value = google::protobuf::Value;
    JsonTemplate out;
    out.kind = JsonTemplate::Kind::kLiteral;
    switch (value.kind_case()) {
        case Value::kStringValue: return {JsonTemplate::Kind::kFormat, value.string_value(), {}};
        case Value::kBoolValue: out.text = value.bool_value() ? "true" : "false"; break;
        case Value::kNumberValue: out.text = fmt::format("{}", value.number_value()); break;
        case Value::kListValue:
            out.kind = JsonTemplate::Kind::kList;
            for (const auto& item : value.list_value().values()) out.members.emplace_back("", as_template(item));
            break;
        case Value::kStructValue: {
            out.kind = JsonTemplate::Kind::kObject;
            // A protobuf map has no order; a log has one.
            const std::map<std::string, Value> sorted(value.struct_value().fields().begin(), value.struct_value().fields().end());
            for (const auto& [name, member] : sorted) out.members.emplace_back(name, as_template(member));
            break;
        }
        default: out.text = "null";
    }
    return out;
}

bool check_path(const std::string& path, const OwnAccessLog& own, const At& at) {
    if (path == "/dev/stdout" || path == "/dev/stderr" || (path == own.path && !path.empty())) return true;
    const std::filesystem::path file(path), mine(own.path);
    const bool own_folder = !own.path.empty() && !own.path.starts_with("/dev/");
    if (own_folder && file.is_absolute() && file.parent_path() == mine.parent_path() && file.filename() != "." && file.filename() != ".." &&
        file.has_filename())
        return true;
    return at.refuse(own_folder ? fmt::format("\"{}\" is not in {}: logs are written beside accessLog.path of this machine's file", path,
                                              mine.parent_path().string())
                                : fmt::format("\"{}\" is not /dev/stdout or /dev/stderr; files need an accessLog.path in this machine's file, "
                                              "in whose folder they may be", path));
}

/// The text within, of whichever field holds it; empty: none was given.
bool read_text(const FileLog& in, std::string& out, const At& at) {
    const auto& format = in.log_format();
    if (!in.format().empty()) out = in.format();
    else if (format.has_text_format_source() && format.text_format_source().has_inline_string()) out = format.text_format_source().inline_string();
    else if (format.has_text_format_source()) out = format.text_format_source().inline_bytes();
    else out = format.text_format();
    return !out.empty() || at.refuse("an empty format logs nothing");
}

std::optional<AccessLogFormat> read_format(const FileLog& in, const At& at) {
    const AccessLogFormat::Options options{.omit_empty = in.log_format().omit_empty_values()};
    std::string text;
    const bool json = in.has_log_format() && in.log_format().has_json_format();
    const At here = at.child(in.has_log_format() ? "log_format" : "format");
    if (!json && !read_text(in, text, here)) return std::nullopt;
    google::protobuf::Value object;
    if (json) *object.mutable_struct_value() = in.log_format().json_format();
    auto parsed = json ? AccessLogFormat::parse(as_template(object), options) : AccessLogFormat::parse(text, options);
    if (parsed) return std::move(*parsed);
    const auto& e = parsed.error();
    here.refuse(fmt::format("{}{}{}{}{}", e.key.empty() ? "" : e.key + ": ", e.message,
                            json || e.length == 0 ? "" : fmt::format(" (at character {})", e.position + 1), e.cure.empty() ? "" : "; ", e.cure));
    return std::nullopt;
}

bool read_log(const Build& build, const envoy::config::accesslog::v3::AccessLog& in, telemetry::AccessLogCaptures& captures,
              std::vector<AccessLogSet::Log>& out, const At& at) {
    const At here = at.child("typed_config");
    FileLog file;
    if (extension_type(in.typed_config()) != FileLog::descriptor()->full_name()) return here.refuse("not a file access log");
    if (!file.ParseFromString(in.typed_config().value())) return here.refuse("does not parse");
    if (!check_path(file.path(), build.own_log, here.child("path"))) return false;
    AccessLogSet::Filter filter;
    if (in.has_filter() && !(filter = read_log_filter(in.filter(), captures, at.child("filter")))) return false;
    const bool formatted = file.has_log_format() || !file.format().empty();
    std::optional<AccessLogFormat> format =
        formatted ? read_format(file, here) : file.path() == build.own_log.path ? build.own_log.format : AccessLogFormat::text();
    if (!format) return false;
    out.push_back({file.path(), std::move(*format), std::move(filter)});
    return true;
}

/// What this machine writes anyway: nothing of it is said by the control plane but that it be written.
bool is_own(const Build& build, const HcmProto& in) {
    FileLog file;
    return in.access_log_size() == 1 && !in.access_log(0).has_filter() &&
           extension_type(in.access_log(0).typed_config()) == FileLog::descriptor()->full_name() &&
           file.ParseFromString(in.access_log(0).typed_config().value()) && file.path() == build.own_log.path && !file.has_log_format() &&
           file.format().empty();
}

}  // namespace

bool read_access_logs(const Build& build, const HcmProto& in, snapshot::HttpConnectionManager& out, const At& at) {
    out.access_log = in.access_log_size() != 0;
    if (!out.access_log) return true;
    if (is_own(build, in)) {
        out.access_logs = build.own_log.set;
        return true;
    }
    if (in.access_log_size() > kLogsMax) return at.child("access_log", kLogsMax).refuse(fmt::format("more than {} access logs", kLogsMax));
    telemetry::AccessLogCaptures captures;
    std::vector<AccessLogSet::Log> logs;
    bool good = true;
    for (int i = 0; i < in.access_log_size(); i++) good &= read_log(build, in.access_log(i), captures, logs, at.child("access_log", i));
    if (!good) return false;
    auto set = AccessLogSet::make(std::move(logs), std::move(captures));
    if (!set) return at.child("access_log").refuse(set.error());
    out.access_logs = std::move(*set);
    return true;
}

}  // namespace sluice::apply
