// accessLog: where lines go, and what they look like: text, json, an Envoy format string, or a map of names and format strings as
// in Envoy's json_format.
// In: the section. Out: AccessLog with its format parsed; what an operator's name should have been is part of the finding.
#include "ctrl/host/read_access_log.h"

#include <fmt/format.h>

#include "telemetry/access_log_format.h"

namespace sluice::host {
namespace {

using telemetry::AccessLogFormat;
using telemetry::JsonTemplate;

/// What YAML takes for a number, true, false or null stays one.
bool is_literal(const yaml::Node& node) {
    if (node.quoted) return false;
    if (node.text == "true" || node.text == "false" || node.text == "null") return true;
    constexpr std::string_view kDigits = "0123456789";
    const size_t first = node.text.starts_with('-') ? 1 : 0;
    const std::string_view digits = std::string_view(node.text).substr(first);
    // A leading zero is no JSON.
    return !digits.empty() && digits.find_first_not_of(kDigits) == digits.npos && (digits == "0" || digits[0] != '0');
}

JsonTemplate as_template(const yaml::Node& node) {
    JsonTemplate out;
    switch (node.kind) {
        case yaml::Node::Kind::kNull: return {JsonTemplate::Kind::kLiteral, "null", {}};
        case yaml::Node::Kind::kScalar: return {is_literal(node) ? JsonTemplate::Kind::kLiteral : JsonTemplate::Kind::kFormat, node.text, {}};
        case yaml::Node::Kind::kSequence:
            out.kind = JsonTemplate::Kind::kList;
            for (const yaml::Node& item : node.items) out.members.emplace_back("", as_template(item));
            return out;
        case yaml::Node::Kind::kMap: break;
    }
    for (const yaml::Entry& entry : node.entries) out.members.emplace_back(entry.key, as_template(entry.value));
    return out;
}

void read_text(const Object& o, const std::string& format, AccessLog& log) {
    if (format == "text" || format == "json") {
        log.format = format == "text" ? AccessLog::Format::kText : AccessLog::Format::kJson;
        return;
    }
    if (format.find('%') == format.npos) {
        o.wrong("format", fmt::format("`{}` is no format", format.substr(0, 80)),
                "text, json, or an Envoy format string such as \"%REQ(:PATH)% %RESPONSE_CODE%\"");
        return;
    }
    auto parsed = AccessLogFormat::parse(format, {.omit_empty = log.omit_empty});
    if (!parsed) {
        const auto& e = parsed.error();
        Diagnostic& d = o.wrong("format", fmt::format("{} (at character {})", e.message, e.position + 1), e.cure);
        // Within a one-line string the caret can point at the operator itself.
        if (const size_t at = d.source_line.find(format); at != d.source_line.npos && e.length) {
            d.column = static_cast<int>(at + e.position) + 1;
            d.caret_width = static_cast<int>(e.length);
        }
        return;
    }
    log.format = AccessLog::Format::kCustom;
    log.custom = format;
    log.parsed = std::move(*parsed);
}

void read_map(Context& context, const Object& o, const yaml::Node& format, AccessLog& log) {
    auto parsed = AccessLogFormat::parse(as_template(format), {.omit_empty = log.omit_empty});
    if (!parsed) {
        const auto& e = parsed.error();
        const yaml::Located place = yaml::locate(format, e.key);
        const std::string path = o.path("format") + (e.key.empty() ? "" : "." + e.key);
        context.report(place.value ? *place.value : format, "SLC0006", path,
                       e.length ? fmt::format("{} (at character {})", e.message, e.position + 1) : e.message, e.cure);
        return;
    }
    log.format = AccessLog::Format::kCustom;
    log.parsed = std::move(*parsed);
}

}  // namespace

void read_access_log(Context& context, const yaml::Node& yaml, AccessLog& log) {
    const Object o(context, yaml, "accessLog", fields::kAccessLogObject);
    o.text("path", log.path);
    if (!log.path.empty() && !log.path.starts_with('/')) o.wrong("path", "not an absolute path", "path: /dev/stdout, or \"\" for none");
    o.boolean("omitEmptyValues", log.omit_empty);
    const yaml::Node* given = o.find("format");
    if (given && given->kind == yaml::Node::Kind::kMap) return read_map(context, o, *given, log);
    std::string format;
    if (o.scalar("format", format)) read_text(o, format, log);
    if (log.omit_empty && log.format != AccessLog::Format::kCustom)
        o.wrong("omitEmptyValues", "text and json are fixed", "give a format of your own, or remove it");
}

}  // namespace sluice::host
