// Envoy's json_format: a template's format strings parsed once, and entries through it to one object a line (JSON Lines).
// In: a template, an entry. Out: JSON. A value of one operator alone keeps its type, as in Envoy; one with more to it is text.
// Key names of the default template are those of Istio's default JSON access log; the last four are ours.
#include <fmt/format.h>

#include <iterator>

#include "telemetry/access_log_op.h"

namespace sluice::telemetry {

namespace {

constexpr std::pair<const char*, const char*> kIstioKeys[] = {
    {"start_time", "%START_TIME%"},
    {"method", "%REQ(:METHOD)%"},
    {"path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"},
    {"protocol", "%PROTOCOL%"},
    {"response_code", "%RESPONSE_CODE%"},
    {"response_flags", "%RESPONSE_FLAGS%"},
    {"response_code_details", "%RESPONSE_CODE_DETAILS%"},
    {"connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"},
    {"upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"},
    {"bytes_received", "%BYTES_RECEIVED%"},
    {"bytes_sent", "%BYTES_SENT%"},
    {"duration", "%DURATION%"},
    {"upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"},
    {"x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"},
    {"user_agent", "%REQ(USER-AGENT)%"},
    {"request_id", "%REQ(X-REQUEST-ID)%"},
    {"authority", "%REQ(:AUTHORITY)%"},
    {"upstream_host", "%UPSTREAM_HOST%"},
    {"upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"},
    {"upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"},
    {"downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"},
    {"downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"},
    {"requested_server_name", "%REQUESTED_SERVER_NAME%"},
    {"route_name", "%ROUTE_NAME%"},
    {"reason", "%SLUICE_REASON%"},
    {"listener", "%SLUICE_LISTENER%"},
    {"attempts", "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"},
    {"core", "%SLUICE_CORE%"},
};

struct Reader {
    AccessLogCaptures& captures;
    uint32_t values = 0;

    std::unexpected<FormatError> error(std::string message) const {
        return std::unexpected(FormatError{0, 0, std::move(message), {}, {}});
    }

    Result<AccessLogFormat::Node, FormatError> read(const JsonTemplate& json, uint32_t depth) {
        if (depth > AccessLogFormat::kTemplateDepthMax) return error(fmt::format("more than {} levels", AccessLogFormat::kTemplateDepthMax));
        if (++values > AccessLogFormat::kTemplateValuesMax) return error(fmt::format("more than {} values", AccessLogFormat::kTemplateValuesMax));
        AccessLogFormat::Node out;
        out.kind = json.kind;
        if (json.kind == JsonTemplate::Kind::kLiteral) out.literal = json.text;
        if (json.kind == JsonTemplate::Kind::kFormat) {
            auto parts = parse_parts(json.text, captures);
            if (!parts) return std::unexpected(std::move(parts.error()));
            out.parts = std::move(*parts);
        }
        for (size_t i = 0; i < json.members.size(); i++) {
            const auto& [name, below] = json.members[i];
            auto node = read(below, depth + 1);
            if (!node) {
                const std::string step = json.kind == JsonTemplate::Kind::kList ? fmt::format("[{}]", i) : name;
                std::string& key = node.error().key;
                key = step + (key.empty() || key[0] == '[' ? "" : ".") + key;
                return std::unexpected(std::move(node.error()));
            }
            std::string escaped;
            append_escaped_json(name, escaped);
            out.members.emplace_back(std::move(escaped), std::move(*node));
        }
        return out;
    }
};

/// False: absent, and nothing was appended.
bool append_single(const AccessLogFormat::Part& part, const AccessLogEntry& entry, std::string& out) {
    std::string scratch;
    const Value value = evaluate(part, entry, scratch);
    switch (value.kind) {
        case Value::Kind::kAbsent: return false;
        case Value::Kind::kNumber: fmt::format_to(std::back_inserter(out), "{}", value.number); break;
        case Value::Kind::kText:
            out += '"';
            append_escaped_json(value.text, out);
            out += '"';
    }
    return true;
}

void append_joined(const std::vector<AccessLogFormat::Part>& parts, const AccessLogEntry& entry, bool omit_empty, std::string& out) {
    out += '"';
    for (const auto& part : parts) {
        std::string scratch;
        const Value value = part.first.op == Op::kLiteral ? Value{Value::Kind::kText, 0, part.argument} : evaluate(part, entry, scratch);
        switch (value.kind) {
            case Value::Kind::kAbsent:
                if (!omit_empty) out += '-';
                break;
            case Value::Kind::kNumber: fmt::format_to(std::back_inserter(out), "{}", value.number); break;
            case Value::Kind::kText: append_escaped_json(value.text, out);
        }
    }
    out += '"';
}

/// False: the value is absent and to be left out; nothing was appended.
bool append_node(const AccessLogFormat::Node& node, const AccessLogEntry& entry, bool omit_empty, std::string& out) {
    using Kind = JsonTemplate::Kind;
    if (node.kind == Kind::kLiteral) {
        out += node.literal;
    } else if (node.kind == Kind::kFormat && node.parts.size() == 1 && node.parts[0].first.op != Op::kLiteral) {
        if (append_single(node.parts[0], entry, out)) return true;
        if (omit_empty) return false;
        out += "null";
    } else if (node.kind == Kind::kFormat) {
        append_joined(node.parts, entry, omit_empty, out);
    } else {
        const bool object = node.kind == Kind::kObject;
        out += object ? '{' : '[';
        bool first = true;
        for (const auto& [name, below] : node.members) {
            const size_t before = out.size();
            if (!first) out += ',';
            if (object) fmt::format_to(std::back_inserter(out), "\"{}\":", name);
            if (append_node(below, entry, omit_empty, out)) first = false;
            else out.resize(before);
        }
        out += object ? '}' : ']';
    }
    return true;
}

}  // namespace

Result<AccessLogFormat::Node, FormatError> parse_template(const JsonTemplate& json, AccessLogCaptures& captures) {
    return Reader{captures}.read(json, 0);
}

void append_json(const AccessLogFormat::Node& node, const AccessLogEntry& entry, bool omit_empty, std::string& out) {
    append_node(node, entry, omit_empty, out);
}

const JsonTemplate& istio_template() {
    static const JsonTemplate json = [] {
        JsonTemplate out;
        for (const auto& [key, format] : kIstioKeys)
            out.members.emplace_back(key, JsonTemplate{JsonTemplate::Kind::kFormat, format, {}});
        return out;
    }();
    return json;
}

}  // namespace sluice::telemetry
