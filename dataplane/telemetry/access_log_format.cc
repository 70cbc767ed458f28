// Lines of text: Envoy format strings to parts, and entries through parts to lines. The grammar: %OP%, %OP(argument)%,
// %OP(argument):max%, %% for a percent sign. What an operator says of an absent value is "-", as in Envoy.
#include "telemetry/access_log_format.h"

#include <fmt/format.h>

#include <iterator>
#include <utility>

#include "telemetry/access_log_op.h"

namespace sluice::telemetry {

const std::string_view kDefaultTextFormat =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% "
    "%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" "
    "\"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"";

namespace {

std::unexpected<FormatError> error(size_t position, size_t length, std::string message, std::string cure = {}) {
    return std::unexpected(FormatError{position, length, std::move(message), std::move(cure), {}});
}

/// The percent sign that ends an operator starting behind `from`: the argument may hold percent signs of its own.
size_t operator_end(std::string_view format, size_t from) {
    const size_t open = format.find('(', from), end = format.find('%', from);
    if (open == format.npos || end == format.npos || end < open) return end;
    const size_t close = format.find(')', open);
    return close == format.npos ? end : format.find('%', close);
}

void append_value(const AccessLogFormat::Part& part, const AccessLogEntry& entry, bool omit_empty, std::string& out) {
    std::string scratch;
    const Value value = evaluate(part, entry, scratch);
    switch (value.kind) {
        case Value::Kind::kAbsent:
            if (!omit_empty) out += '-';
            break;
        case Value::Kind::kNumber: fmt::format_to(std::back_inserter(out), "{}", value.number); break;
        case Value::Kind::kText: append_escaped_text(value.text, out); break;
    }
}

}  // namespace

Result<std::vector<AccessLogFormat::Part>, FormatError> parse_parts(std::string_view format, AccessLogCaptures& captures) {
    std::vector<AccessLogFormat::Part> parts;
    std::string literal;
    auto flush = [&] {
        if (literal.empty()) return;
        AccessLogFormat::Part part;
        part.first.op = Op::kLiteral;
        part.argument = std::exchange(literal, {});
        parts.push_back(std::move(part));
    };
    if (format.size() > AccessLogFormat::kFormatBytesMax)
        return error(0, 1, fmt::format("a format longer than {} bytes", AccessLogFormat::kFormatBytesMax));
    for (size_t i = 0; i < format.size();) {
        if (format[i] != '%') {
            literal += format[i++];
        } else if (i + 1 < format.size() && format[i + 1] == '%') {
            literal += '%';
            i += 2;
        } else {
            const size_t end = operator_end(format, i + 1);
            if (end == format.npos) return error(i, format.size() - i, "an operator without its closing %", "a percent sign itself is %%");
            auto part = parse_operator(format.substr(i + 1, end - i - 1), i + 1, captures);
            if (!part) return std::unexpected(std::move(part.error()));
            flush();
            parts.push_back(std::move(*part));
            i = end + 1;
        }
    }
    flush();
    return parts;
}

AccessLogFormat::AccessLogFormat() = default;
AccessLogFormat::~AccessLogFormat() = default;
AccessLogFormat::AccessLogFormat(AccessLogFormat&&) noexcept = default;
AccessLogFormat& AccessLogFormat::operator=(AccessLogFormat&&) noexcept = default;
AccessLogFormat::AccessLogFormat(const AccessLogFormat& other)
    : parts_(other.parts_), json_(other.json_ ? std::make_unique<Node>(*other.json_) : nullptr), captures_(other.captures_),
      options_(other.options_), with_reason_(other.with_reason_) {}

AccessLogFormat& AccessLogFormat::operator=(const AccessLogFormat& other) { return *this = AccessLogFormat(other); }

Result<AccessLogFormat, FormatError> AccessLogFormat::parse(std::string_view format, Options options) {
    // Envoy's formats end in a newline; a line has one anyway.
    if (format.ends_with('\n')) format.remove_suffix(1);
    if (format.empty()) return error(0, 0, "an empty format logs nothing", "text, json, or an Envoy format string");
    AccessLogFormat out;
    auto parts = parse_parts(format, out.captures_);
    if (!parts) return std::unexpected(std::move(parts.error()));
    out.parts_ = std::move(*parts);
    out.options_ = options;
    return out;
}

Result<AccessLogFormat, FormatError> AccessLogFormat::parse(const JsonTemplate& object, Options options) {
    if (object.kind != JsonTemplate::Kind::kObject || object.members.empty())
        return error(0, 0, "an empty format logs nothing", "names with format strings, such as path: \"%REQ(:PATH)%\"");
    AccessLogFormat out;
    auto node = parse_template(object, out.captures_);
    if (!node) return std::unexpected(std::move(node.error()));
    out.json_ = std::make_unique<Node>(std::move(*node));
    out.options_ = options;
    return out;
}

AccessLogFormat AccessLogFormat::text() {
    AccessLogFormat out = std::move(*parse(kDefaultTextFormat));
    out.with_reason_ = true;
    return out;
}

AccessLogFormat AccessLogFormat::json() { return std::move(*parse(istio_template())); }

void AccessLogFormat::format(const AccessLogEntry& entry, std::string& out) const {
    if (json_) {
        append_json(*json_, entry, options_.omit_empty, out);
        out += '\n';
        return;
    }
    for (const Part& part : parts_) {
        if (part.first.op == Op::kLiteral) out += part.argument;
        else append_value(part, entry, options_.omit_empty, out);
    }
    if (with_reason_ && !entry.reason.empty()) {
        out += " reason=\"";
        append_escaped_text(entry.reason, out);
        out += '"';
    }
    out += '\n';
}

namespace {
void for_captures_below(AccessLogFormat::Node& node, const std::vector<uint16_t>& places) {
    for_captures(node.parts, [&](uint16_t& place) { place = places[place]; });
    for (auto& [name, below] : node.members) for_captures_below(below, places);
}
}  // namespace

bool AccessLogFormat::move_captures(AccessLogCaptures& all) {
    std::vector<uint16_t> places;
    for (const auto& header : captures_.headers) {
        const auto place = all.place_of(header.from, header.name);
        if (!place) return false;
        places.push_back(*place);
    }
    for_captures(parts_, [&](uint16_t& place) { place = places[place]; });
    if (json_) for_captures_below(*json_, places);
    captures_ = all;
    return true;
}

}  // namespace sluice::telemetry
