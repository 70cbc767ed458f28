// Envoy format strings to parts, and entries through parts to lines. The grammar: %OP%, %OP(argument)%, %OP(argument):max%,
// %% for a percent sign. What an operator says of an absent value is "-", as in Envoy. JSON is in access_log_json.cc.
#include "telemetry/access_log_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "telemetry/access_log_json.h"
#include "telemetry/access_log_op.h"
#include "telemetry/access_log_time.h"

namespace sluice::telemetry {

const std::string_view kDefaultTextFormat =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% "
    "%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" "
    "\"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"";

namespace {

using Op = AccessLogFormat::Op;

struct OpName {
    std::string_view name, argument;   // "REQ", ":METHOD"; the argument in upper case
    Op op;
};
constexpr OpName kOps[] = {
    {"START_TIME", "", Op::kStartTime},
    {"REQ", ":METHOD", Op::kMethod},
    {"REQ", ":PATH", Op::kPath},
    {"REQ", "X-ENVOY-ORIGINAL-PATH?:PATH", Op::kOriginalPath},
    {"REQ", "X-ENVOY-ORIGINAL-PATH", Op::kOriginalPathOnly},
    {"REQ", ":AUTHORITY", Op::kAuthority},
    {"REQ", "HOST", Op::kAuthority},
    {"REQ", "USER-AGENT", Op::kUserAgent},
    {"REQ", "X-FORWARDED-FOR", Op::kForwardedFor},
    {"REQ", "X-REQUEST-ID", Op::kRequestId},
    {"RESP", "X-ENVOY-UPSTREAM-SERVICE-TIME", Op::kUpstreamServiceTime},
    {"PROTOCOL", "", Op::kProtocol},
    {"RESPONSE_CODE", "", Op::kResponseCode},
    {"RESPONSE_CODE_DETAILS", "", Op::kResponseCodeDetails},
    {"RESPONSE_FLAGS", "", Op::kResponseFlags},
    {"BYTES_RECEIVED", "", Op::kBytesReceived},
    {"BYTES_SENT", "", Op::kBytesSent},
    {"DURATION", "", Op::kDuration},
    {"RESPONSE_DURATION", "", Op::kResponseDuration},
    {"UPSTREAM_HOST", "", Op::kUpstreamHost},
    {"UPSTREAM_REMOTE_ADDRESS", "", Op::kUpstreamHost},
    {"UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", "", Op::kUpstreamHostIp},
    {"UPSTREAM_REMOTE_PORT", "", Op::kUpstreamHostPort},
    {"UPSTREAM_LOCAL_ADDRESS", "", Op::kUpstreamLocal},
    {"UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", "", Op::kUpstreamLocalIp},
    {"UPSTREAM_LOCAL_PORT", "", Op::kUpstreamLocalPort},
    {"UPSTREAM_CLUSTER", "", Op::kUpstreamCluster},
    {"UPSTREAM_CLUSTER_RAW", "", Op::kUpstreamCluster},
    {"UPSTREAM_REQUEST_ATTEMPT_COUNT", "", Op::kAttempts},
    {"DOWNSTREAM_REMOTE_ADDRESS", "", Op::kDownstreamRemote},
    {"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", "", Op::kDownstreamRemoteIp},
    {"DOWNSTREAM_REMOTE_PORT", "", Op::kDownstreamRemotePort},
    {"DOWNSTREAM_LOCAL_ADDRESS", "", Op::kDownstreamLocal},
    {"DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", "", Op::kDownstreamLocalIp},
    {"DOWNSTREAM_LOCAL_PORT", "", Op::kDownstreamLocalPort},
    {"ROUTE_NAME", "", Op::kRouteName},
    {"SLUICE_REASON", "", Op::kReason},
    {"SLUICE_CORE", "", Op::kCore},
    {"SLUICE_LISTENER", "", Op::kListener},
};

std::string upper(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    return out;
}

std::unexpected<FormatError> error(size_t position, size_t length, std::string message, std::string cure = {}) {
    return std::unexpected(FormatError{position, length, std::move(message), std::move(cure)});
}

/// `inside` is what stands between the percent signs, `at` where it starts.
Result<AccessLogFormat::Part, FormatError> parse_operator(std::string_view inside, size_t at) {
    const size_t start = at - 1, length = inside.size() + 2;
    std::string_view rest = inside;
    uint32_t max = 0;
    const size_t close = rest.rfind(')');
    if (rest.find('(') != rest.npos && close == rest.npos)
        return error(start, length, fmt::format("no closing parenthesis in %{}%", inside));
    const size_t colon = rest.find(':', close == rest.npos ? 0 : close);
    if (colon != rest.npos) {
        const auto digits = rest.substr(colon + 1);
        const auto [end, bad] = std::from_chars(digits.data(), digits.data() + digits.size(), max);
        if (bad != std::errc{} || end != digits.data() + digits.size() || max == 0)
            return error(at + colon + 1, digits.size(), fmt::format("`{}` is not a length", digits), "as in %REQ(USER-AGENT):40%");
        rest = rest.substr(0, colon);
    }
    std::string_view name = rest, argument;
    if (const size_t open = rest.find('('); open != rest.npos) {
        if (!rest.ends_with(')')) return error(start, length, fmt::format("no closing parenthesis in %{}%", inside));
        name = rest.substr(0, open);
        argument = rest.substr(open + 1, rest.size() - open - 2);
    }
    if (name == "START_TIME") {
        if (argument.empty()) argument = kDefaultTimeFormat;
        if (const auto bad = check_time_format(argument))
            return error(start, length, fmt::format("`{}` is no time specifier", argument.substr(*bad, 2)),
                         "known are %Y %m %d %H %M %S %F %T %s %e %b %a %j %y %Z %z, %3f and %E3S with any digit");
        return AccessLogFormat::Part{Op::kStartTime, std::string(argument), max};
    }
    const std::string wanted = upper(argument);
    bool known_name = false;
    for (const auto& known : kOps) {
        if (known.name != name) continue;
        known_name = true;
        if (known.argument == wanted) return AccessLogFormat::Part{known.op, {}, max};
    }
    if (!known_name) return error(start, length, fmt::format("unknown operator %{}%", name.substr(0, 80)));
    if (name != "REQ" && name != "RESP") return error(start, length, fmt::format("%{}% takes no argument", name));
    std::string headers;
    for (const auto& known : kOps) {
        if (known.name == name) headers += fmt::format("{}{}", headers.empty() ? "" : ", ", known.argument);
    }
    return error(start, length, fmt::format("header `{}` is not recorded for the access log", argument.substr(0, 80)),
                 fmt::format("%{}()% knows {}", name, headers));
}

/// At most `max` characters from `start` on, an escape being kept or dropped whole: half of \" would open the quotes.
void cut_escaped(std::string& out, size_t start, uint32_t max) {
    size_t end = start;
    for (uint32_t n = 0; n < max && end < out.size(); n++) end += out[end] != '\\' ? 1 : out[end + 1] == 'x' ? 4 : 2;
    out.resize(end);
}

/// The percent sign that ends an operator starting behind `from`: the argument may hold percent signs of its own.
size_t operator_end(std::string_view format, size_t from) {
    const size_t open = format.find('(', from), end = format.find('%', from);
    if (open == format.npos || end == format.npos || end < open) return end;
    const size_t close = format.find(')', open);
    return close == format.npos ? end : format.find('%', close);
}

}  // namespace

Result<AccessLogFormat, FormatError> AccessLogFormat::parse(std::string_view format) {
    AccessLogFormat out;
    out.kind_ = Kind::kCustom;
    std::string literal;
    auto flush = [&] {
        if (!literal.empty()) out.parts_.push_back({Op::kLiteral, std::exchange(literal, {}), 0});
    };
    if (format.empty()) return error(0, 0, "an empty format logs nothing", "text, json, or an Envoy format string");
    for (size_t i = 0; i < format.size();) {
        if (format[i] == '\n' && i + 1 == format.size()) break;   // Envoy's formats end in a newline; a line has one anyway
        if (format[i] != '%') {
            literal += format[i++];
        } else if (i + 1 < format.size() && format[i + 1] == '%') {
            literal += '%';
            i += 2;
        } else {
            const size_t end = operator_end(format, i + 1);
            if (end == format.npos) return error(i, format.size() - i, "an operator without its closing %", "a percent sign itself is %%");
            auto part = parse_operator(format.substr(i + 1, end - i - 1), i + 1);
            if (!part) return std::unexpected(std::move(part.error()));
            flush();
            out.parts_.push_back(std::move(*part));
            i = end + 1;
        }
    }
    flush();
    return out;
}

AccessLogFormat AccessLogFormat::text() {
    AccessLogFormat out = std::move(*parse(kDefaultTextFormat));
    out.kind_ = Kind::kText;
    return out;
}

AccessLogFormat AccessLogFormat::json() {
    AccessLogFormat out;
    out.kind_ = Kind::kJson;
    return out;
}

void AccessLogFormat::format(const AccessLogEntry& entry, std::string& out) const {
    if (kind_ == Kind::kJson) return append_json_line(entry, out);
    for (const Part& part : parts_) {
        if (part.op == Op::kLiteral) {
            out += part.argument;
            continue;
        }
        const size_t start = out.size();
        append_value(part.op, part.argument, entry, out);
        if (part.max) cut_escaped(out, start, part.max);
    }
    if (kind_ == Kind::kText && !entry.reason.empty()) {
        out += " reason=\"";
        append_escaped_text(entry.reason, out);
        out += '"';
    }
    out += '\n';
}

std::vector<std::string> AccessLogFormat::operators() {
    std::vector<std::string> out;
    for (const auto& op : kOps)
        out.push_back(op.argument.empty() ? fmt::format("%{}%", op.name) : fmt::format("%{}({})%", op.name, op.argument));
    return out;
}

}  // namespace sluice::telemetry
