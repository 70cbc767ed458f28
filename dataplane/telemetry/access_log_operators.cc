// The table of Envoy's access log operators and what this gateway says for each, and the parser of one operator.
// In: text between two percent signs. Out: a Part, or what is wrong and what was probably meant. Runs when formats are read.
// Names and arguments: Envoy's substitution formatter. The table also writes the list in docs/telemetry.md.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "telemetry/access_log_op.h"
#include "telemetry/access_log_time.h"

namespace sluice::telemetry {

namespace {

enum class Argument : uint8_t { kNone, kOptional, kRequired };
struct Operator {
    std::string_view name;
    Argument argument;
    Op op;
    AddressPart address = AddressPart::kBoth;
    std::string_view note = {};   // of kAbsent: why; of others: what else there is to say
};
constexpr auto kNone = Argument::kNone;
constexpr auto kOptional = Argument::kOptional;
constexpr auto kRequired = Argument::kRequired;
constexpr auto kBoth = AddressPart::kBoth;
constexpr auto kIp = AddressPart::kIp;
constexpr auto kPort = AddressPart::kPort;
constexpr std::string_view kNoHello = "hellos are not kept";
constexpr std::string_view kSession = "in hexadecimal; `-` for clients of TLS 1.3, whose sessions are tickets";
constexpr std::string_view kText = "of connections made since some log asks for it";
constexpr std::string_view kOurs = "ours: Envoy has it for the other side alone";
constexpr std::string_view kChain = "of a resumed session the leaf alone";
constexpr std::string_view kIssuer = "the second certificate that the client sent; `-` for a resumed session";
constexpr std::string_view kOtherName = "those that hold text";
constexpr std::string_view kNoState = "no filter keeps any";
constexpr std::string_view kNotCounted = "not counted by request";
constexpr std::string_view kNotTimed = "not measured";

constexpr Operator kOperators[] = {
    {"START_TIME", kOptional, Op::kStartTime, kBoth, "in UTC; %Y %m %d %H %M %S %F %T %s %e %b %a %j %y %Z %z, %3f and %E3S with any digit"},
    {"EMIT_TIME", kOptional, Op::kEmitTime, kBoth, "the request's end"},
    {"REQ", kRequired, Op::kHeader, kBoth, "any header; of several lines the first"},
    {"REQUEST_HEADER", kRequired, Op::kHeader, kBoth, "the same"},
    {"RESP", kRequired, Op::kHeader, kBoth, "any header of the answer as sent"},
    {"RESPONSE_HEADER", kRequired, Op::kHeader, kBoth, "the same"},
    {"TRAILER", kRequired, Op::kHeader, kBoth, "any trailer of the answer"},
    {"RESPONSE_TRAILER", kRequired, Op::kHeader, kBoth, "the same"},
    {"REQ_WITHOUT_QUERY", kRequired, Op::kHeader},
    {"PATH", kOptional, Op::kPathParts, kBoth, "WQ or NQ, then ORIG, PATH or ORIG_OR_PATH"},
    {"QUERY_PARAM", kRequired, Op::kQueryParameter, kBoth, "decoded"},
    {"PROTOCOL", kNone, Op::kProtocol},
    {"UPSTREAM_PROTOCOL", kNone, Op::kUpstreamProtocol},
    {"RESPONSE_CODE", kNone, Op::kResponseCode},
    {"RESPONSE_CODE_DETAILS", kNone, Op::kResponseCodeDetails},
    {"RESPONSE_FLAGS", kNone, Op::kResponseFlags},
    {"RESPONSE_FLAGS_LONG", kNone, Op::kResponseFlagsLong},
    {"BYTES_RECEIVED", kNone, Op::kBytesReceived},
    {"BYTES_SENT", kNone, Op::kBytesSent},
    {"DURATION", kNone, Op::kDuration},
    {"REQUEST_DURATION", kNone, Op::kRequestDuration},
    {"RESPONSE_DURATION", kNone, Op::kResponseDuration},
    {"RESPONSE_TX_DURATION", kNone, Op::kResponseTxDuration},
    {"COMMON_DURATION", kRequired, Op::kCommonDuration, kBoth, "between DS_RX_BEG, DS_RX_END, US_RX_BEG and DS_TX_END; `-` for other points"},
    {"UPSTREAM_HOST", kNone, Op::kUpstreamRemote},
    {"UPSTREAM_HOST_NAME", kNone, Op::kUpstreamRemote, kBoth, "the address: endpoints have no names"},
    {"UPSTREAM_HOST_NAME_WITHOUT_PORT", kNone, Op::kUpstreamRemote, kIp, "the address: endpoints have no names"},
    {"UPSTREAM_REMOTE_ADDRESS", kNone, Op::kUpstreamRemote},
    {"UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", kNone, Op::kUpstreamRemote, kIp},
    {"UPSTREAM_REMOTE_PORT", kNone, Op::kUpstreamRemote, kPort},
    {"UPSTREAM_LOCAL_ADDRESS", kNone, Op::kUpstreamLocal},
    {"UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", kNone, Op::kUpstreamLocal, kIp},
    {"UPSTREAM_LOCAL_PORT", kNone, Op::kUpstreamLocal, kPort},
    {"UPSTREAM_CLUSTER", kNone, Op::kUpstreamCluster},
    {"UPSTREAM_CLUSTER_RAW", kNone, Op::kUpstreamCluster},
    {"UPSTREAM_REQUEST_ATTEMPT_COUNT", kNone, Op::kAttempts},
    {"DOWNSTREAM_REMOTE_ADDRESS", kNone, Op::kDownstreamRemote, kBoth, "the client that X-Forwarded-For is trusted for, with port 0 if that is not the peer"},
    {"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", kNone, Op::kDownstreamRemote, kIp},
    {"DOWNSTREAM_REMOTE_PORT", kNone, Op::kDownstreamRemote, kPort},
    {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS", kNone, Op::kDownstreamDirectRemote},
    {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", kNone, Op::kDownstreamDirectRemote, kIp},
    {"DOWNSTREAM_DIRECT_REMOTE_PORT", kNone, Op::kDownstreamDirectRemote, kPort},
    {"DOWNSTREAM_LOCAL_ADDRESS", kNone, Op::kDownstreamLocal},
    {"DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", kNone, Op::kDownstreamLocal, kIp},
    {"DOWNSTREAM_LOCAL_PORT", kNone, Op::kDownstreamLocal, kPort},
    {"DOWNSTREAM_DIRECT_LOCAL_ADDRESS", kNone, Op::kDownstreamLocal},
    {"DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT", kNone, Op::kDownstreamLocal, kIp},
    {"DOWNSTREAM_DIRECT_LOCAL_PORT", kNone, Op::kDownstreamLocal, kPort},
    {"ROUTE_NAME", kNone, Op::kRouteName},
    {"GRPC_STATUS", kOptional, Op::kGrpcStatus, kBoth, "CAMEL_STRING, SNAKE_STRING or NUMBER"},
    {"GRPC_STATUS_NUMBER", kNone, Op::kGrpcStatus},
    {"HOSTNAME", kNone, Op::kFixed},
    {"ENVIRONMENT", kRequired, Op::kFixed, kBoth, "as it was when the format was read"},
    {"STREAM_ID", kNone, Op::kRequestId, kBoth, "the request id, as in Envoy"},
    {"UNIQUE_ID", kNone, Op::kUniqueId},
    {"ACCESS_LOG_TYPE", kNone, Op::kLogType, kBoth, "always DownstreamEnd"},
    {"SLUICE_REASON", kNone, Op::kReason, kBoth, "ours: why a request did not end well, in words"},
    {"SLUICE_LISTENER", kNone, Op::kListener, kBoth, "ours"},
    {"SLUICE_CORE", kNone, Op::kCore, kBoth, "ours"},

    {"CONNECTION_TERMINATION_DETAILS", kNone, Op::kAbsent, kBoth, "of connections ended by a filter, and none does so"},
    {"VIRTUAL_CLUSTER_NAME", kNone, Op::kAbsent, kBoth, "there are no virtual clusters"},
    {"FILTER_CHAIN_NAME", kNone, Op::kConnection, kBoth, "empty where a listener has only one"},
    {"CUSTOM_FLAGS", kNone, Op::kAbsent, kBoth, "no filter sets any"},
    {"DYNAMIC_METADATA", kRequired, Op::kAbsent, kBoth, kNoState},
    {"CLUSTER_METADATA", kRequired, Op::kAbsent, kBoth, kNoState},
    {"UPSTREAM_METADATA", kRequired, Op::kAbsent, kBoth, kNoState},
    {"METADATA", kRequired, Op::kAbsent, kBoth, kNoState},
    {"FILTER_STATE", kOptional, Op::kAbsent, kBoth, kNoState},
    {"UPSTREAM_FILTER_STATE", kOptional, Op::kAbsent, kBoth, kNoState},
    {"LOCAL_REPLY_BODY", kNone, Op::kAbsent, kBoth, "see SLUICE_REASON"},
    {"TRACE_ID", kNone, Op::kAbsent, kBoth, "there is no tracing yet; a client's is REQ(TRACEPARENT)"},
    {"CONNECTION_ID", kNone, Op::kAbsent, kBoth, "connections have no number"},
    {"UPSTREAM_CONNECTION_ID", kNone, Op::kAbsent, kBoth, "connections have no number"},
    {"REQUEST_TX_DURATION", kNone, Op::kAbsent, kBoth, kNotTimed},
    {"UPSTREAM_CONNECTION_POOL_READY_DURATION", kNone, Op::kAbsent, kBoth, kNotTimed},
    {"ROUNDTRIP_DURATION", kNone, Op::kAbsent, kBoth, "of HTTP/3"},
    {"BYTES_RETRANSMITTED", kNone, Op::kAbsent, kBoth, "of HTTP/3"},
    {"PACKETS_RETRANSMITTED", kNone, Op::kAbsent, kBoth, "of HTTP/3"},
    {"REQUEST_HEADERS_BYTES", kNone, Op::kAbsent, kBoth, kNotCounted},
    {"RESPONSE_HEADERS_BYTES", kNone, Op::kAbsent, kBoth, kNotCounted},
    {"RESPONSE_TRAILERS_BYTES", kNone, Op::kAbsent, kBoth, kNotCounted},
    {"DOWNSTREAM_WIRE_BYTES_RECEIVED", kNone, Op::kAbsent, kBoth, kNotCounted},
    {"DOWNSTREAM_WIRE_BYTES_SENT", kNone, Op::kAbsent, kBoth, kNotCounted},
    {"DOWNSTREAM_HEADER_BYTES_RECEIVED", kNone, Op::kAbsent, kBoth, kNotCounted},
    {"DOWNSTREAM_HEADER_BYTES_SENT", kNone, Op::kAbsent, kBoth, kNotCounted},
    {"UPSTREAM_WIRE_BYTES_RECEIVED", kNone, Op::kAbsent, kBoth, kNotCounted},
    {"UPSTREAM_WIRE_BYTES_SENT", kNone, Op::kAbsent, kBoth, kNotCounted},
    {"UPSTREAM_HEADER_BYTES_RECEIVED", kNone, Op::kAbsent, kBoth, kNotCounted},
    {"UPSTREAM_HEADER_BYTES_SENT", kNone, Op::kAbsent, kBoth, kNotCounted},
    {"DOWNSTREAM_DETECTED_CLOSE_TYPE", kNone, Op::kAbsent, kBoth, "see RESPONSE_FLAGS"},
    {"DOWNSTREAM_LOCAL_CLOSE_REASON", kNone, Op::kAbsent, kBoth, "see RESPONSE_FLAGS"},
    {"UPSTREAM_DETECTED_CLOSE_TYPE", kNone, Op::kAbsent, kBoth, "see RESPONSE_FLAGS"},
    {"UPSTREAM_LOCAL_CLOSE_REASON", kNone, Op::kAbsent, kBoth, "see RESPONSE_FLAGS"},
    {"REQUESTED_SERVER_NAME", kOptional, Op::kServerName, kBoth, "SNI_ONLY, SNI_FIRST or HOST_FIRST, then ORIG, HOST or ORIG_OR_HOST; in lower case"},
    {"DOWNSTREAM_TRANSPORT_FAILURE_REASON", kNone, Op::kConnection},
    {"UPSTREAM_TRANSPORT_FAILURE_REASON", kNone, Op::kConnection},
    {"DOWNSTREAM_HANDSHAKE_DURATION", kNone, Op::kConnectionMs, kBoth, "of the connection, from its first bytes"},
    {"TLS_JA3_FINGERPRINT", kNone, Op::kAbsent, kBoth, kNoHello},
    {"TLS_JA4_FINGERPRINT", kNone, Op::kAbsent, kBoth, kNoHello},
    {"DOWNSTREAM_TLS_VERSION", kNone, Op::kConnection},
    {"DOWNSTREAM_TLS_CIPHER", kNone, Op::kConnection},
    {"DOWNSTREAM_TLS_GROUP", kNone, Op::kConnection},
    {"DOWNSTREAM_TLS_SESSION_ID", kNone, Op::kConnection, kBoth, kSession},
    {"DOWNSTREAM_PEER_CERT", kNone, Op::kConnection},
    {"DOWNSTREAM_PEER_CERT_V_START", kOptional, Op::kConnectionTime},
    {"DOWNSTREAM_PEER_CERT_V_END", kOptional, Op::kConnectionTime},
    {"DOWNSTREAM_PEER_ISSUER", kNone, Op::kConnection},
    {"DOWNSTREAM_PEER_SUBJECT", kNone, Op::kConnection},
    {"DOWNSTREAM_PEER_SERIAL", kNone, Op::kConnection},
    {"DOWNSTREAM_PEER_FINGERPRINT_1", kNone, Op::kConnection},
    {"DOWNSTREAM_PEER_FINGERPRINT_256", kNone, Op::kConnection},
    {"DOWNSTREAM_PEER_CHAIN_SERIALS", kNone, Op::kConnection, kBoth, kChain},
    {"DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1", kNone, Op::kConnection, kBoth, kChain},
    {"DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256", kNone, Op::kConnection, kBoth, kChain},
    {"DOWNSTREAM_PEER_ISSUER_SERIAL", kNone, Op::kConnection, kBoth, kIssuer},
    {"DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256", kNone, Op::kConnection, kBoth, kIssuer},
    {"DOWNSTREAM_PEER_URI_SAN", kNone, Op::kConnection},
    {"DOWNSTREAM_PEER_DNS_SAN", kNone, Op::kConnection},
    {"DOWNSTREAM_PEER_IP_SAN", kNone, Op::kConnection},
    {"DOWNSTREAM_PEER_EMAIL_SAN", kNone, Op::kConnection},
    {"DOWNSTREAM_PEER_OTHERNAME_SAN", kNone, Op::kConnection, kBoth, kOtherName},
    {"DOWNSTREAM_LOCAL_SUBJECT", kNone, Op::kConnection},
    {"DOWNSTREAM_LOCAL_URI_SAN", kNone, Op::kConnection},
    {"DOWNSTREAM_LOCAL_DNS_SAN", kNone, Op::kConnection},
    {"DOWNSTREAM_LOCAL_IP_SAN", kNone, Op::kConnection},
    {"DOWNSTREAM_LOCAL_EMAIL_SAN", kNone, Op::kConnection},
    {"DOWNSTREAM_LOCAL_OTHERNAME_SAN", kNone, Op::kConnection, kBoth, kOtherName},
    {"UPSTREAM_TLS_VERSION", kNone, Op::kConnection},
    {"UPSTREAM_TLS_CIPHER", kNone, Op::kConnection},
    {"UPSTREAM_TLS_GROUP", kNone, Op::kConnection},
    {"UPSTREAM_TLS_SESSION_ID", kNone, Op::kConnection, kBoth, kSession},
    {"UPSTREAM_PEER_CERT", kNone, Op::kConnection, kBoth, kText},
    {"UPSTREAM_PEER_CERT_V_START", kOptional, Op::kConnectionTime},
    {"UPSTREAM_PEER_CERT_V_END", kOptional, Op::kConnectionTime},
    {"UPSTREAM_PEER_ISSUER", kNone, Op::kConnection},
    {"UPSTREAM_PEER_SUBJECT", kNone, Op::kConnection},
    {"UPSTREAM_PEER_SERIAL", kNone, Op::kConnection, kBoth, kOurs},
    {"UPSTREAM_PEER_FINGERPRINT_1", kNone, Op::kConnection, kBoth, kOurs},
    {"UPSTREAM_PEER_FINGERPRINT_256", kNone, Op::kConnection, kBoth, kOurs},
    {"UPSTREAM_PEER_URI_SAN", kNone, Op::kConnection},
    {"UPSTREAM_PEER_DNS_SAN", kNone, Op::kConnection},
    {"UPSTREAM_PEER_IP_SAN", kNone, Op::kConnection},
    {"UPSTREAM_PEER_EMAIL_SAN", kNone, Op::kConnection, kBoth, kOurs},
    {"UPSTREAM_PEER_OTHERNAME_SAN", kNone, Op::kConnection, kBoth, kOurs},
    {"UPSTREAM_LOCAL_SUBJECT", kNone, Op::kConnection, kBoth, kOurs},
    {"UPSTREAM_LOCAL_URI_SAN", kNone, Op::kConnection},
    {"UPSTREAM_LOCAL_DNS_SAN", kNone, Op::kConnection},
    {"UPSTREAM_LOCAL_IP_SAN", kNone, Op::kConnection},
    {"UPSTREAM_LOCAL_EMAIL_SAN", kNone, Op::kConnection, kBoth, kOurs},
    {"UPSTREAM_LOCAL_OTHERNAME_SAN", kNone, Op::kConnection, kBoth, kOurs},

    {"START_TIME_LOCAL", kOptional, Op::kNone, kBoth, "START_TIME is in UTC"},
    {"EMIT_TIME_LOCAL", kOptional, Op::kNone, kBoth, "EMIT_TIME is in UTC"},
    {"CEL", kRequired, Op::kNone, kBoth, "expressions are not evaluated in logs"},
};

std::string upper(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    return out;
}

/// Edits from one name to another, as long as they are few.
size_t distance(std::string_view a, std::string_view b) {
    std::vector<size_t> row(b.size() + 1);
    for (size_t j = 0; j <= b.size(); j++) row[j] = j;
    for (size_t i = 1; i <= a.size(); i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size(); j++) {
            const size_t above = row[j];
            row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
            diagonal = above;
        }
    }
    return row[b.size()];
}

/// Those that begin with the same two words.
std::string known_like(std::string_view wanted) {
    const size_t first = wanted.find('_'), second = first == wanted.npos ? first : wanted.find('_', first + 1);
    if (second == wanted.npos) return {};
    std::string out;
    for (const Operator& known : kOperators) {
        if (known.op == Op::kNone || !known.name.starts_with(wanted.substr(0, second + 1))) continue;
        out += fmt::format("{}%{}%", out.empty() ? "" : ", ", known.name);
    }
    return out.empty() ? out : fmt::format("known are {}; ", out);
}

std::string did_you_mean(std::string_view name) {
    const std::string wanted = upper(name);
    const Operator* best = nullptr;
    size_t fewest = std::min<size_t>(3, wanted.size() / 3) + 1;
    for (const Operator& known : kOperators) {
        const size_t edits = distance(wanted, known.name);
        if (edits < fewest) fewest = edits, best = &known;
    }
    return best ? fmt::format("did you mean %{}%?", best->name) : known_like(wanted) + "docs/telemetry.md lists all operators";
}

/// An operator under the parser: what it says, and where it stands for errors.
struct Reading {
    std::string_view inside;
    size_t at;
    AccessLogCaptures& captures;
    const Operator* op = nullptr;
    std::string_view argument = {};
    AccessLogFormat::Part part = {};

    std::unexpected<FormatError> error(std::string message, std::string cure = {}) const {
        return std::unexpected(FormatError{at - 1, inside.size() + 2, std::move(message), std::move(cure), {}});
    }

    Result<void, FormatError> split();
    Result<void, FormatError> read_argument();
    Result<AccessLogFormat::Part::Source, FormatError> header(std::string_view name);
    Result<void, FormatError> headers();
    Result<void, FormatError> time();
    Result<void, FormatError> path();
    Result<void, FormatError> grpc();
    Result<void, FormatError> connection();
    Result<void, FormatError> server_name();
    Result<void, FormatError> points();
};

Result<void, FormatError> Reading::split() {
    std::string_view rest = inside;
    const size_t close = rest.rfind(')');
    if (rest.find('(') != rest.npos && close == rest.npos) return error(fmt::format("no closing parenthesis in %{}%", inside));
    const size_t colon = rest.find(':', close == rest.npos ? 0 : close);
    if (colon != rest.npos) {
        const auto digits = rest.substr(colon + 1);
        const auto [end, bad] = std::from_chars(digits.data(), digits.data() + digits.size(), part.max);
        if (bad != std::errc{} || end != digits.data() + digits.size() || part.max == 0)
            return std::unexpected(FormatError{at + colon + 1, digits.size(), fmt::format("`{}` is not a length", digits),
                                               "as in %REQ(USER-AGENT):40%", {}});
        rest = rest.substr(0, colon);
    }
    std::string_view name = rest;
    const size_t open = rest.find('(');
    if (open != rest.npos) {
        if (!rest.ends_with(')')) return error(fmt::format("no closing parenthesis in %{}%", inside));
        name = rest.substr(0, open);
        argument = rest.substr(open + 1, rest.size() - open - 2);
    }
    for (const Operator& known : kOperators)
        if (known.name == name) op = &known;
    if (!op) return error(fmt::format("unknown operator %{}%", name.substr(0, 80)), did_you_mean(name.substr(0, 80)));
    if (op->op == Op::kNone) return error(fmt::format("%{}% is not supported", name), std::string(op->note));
    if (op->argument == Argument::kNone && open != rest.npos) return error(fmt::format("%{}% takes no argument", name));
    if (op->argument == Argument::kRequired && argument.empty())
        return error(fmt::format("%{}% needs an argument", name), fmt::format("as in %{}(...)%", name));
    return {};
}

// REQ and RESP know some names without a capture: what every record has.
Result<AccessLogFormat::Part::Source, FormatError> Reading::header(std::string_view name) {
    using From = AccessLogCaptures::From;
    constexpr std::pair<std::string_view, Op> kRequest[] = {
        {":METHOD", Op::kMethod}, {":PATH", Op::kPath}, {":AUTHORITY", Op::kAuthority}, {"HOST", Op::kAuthority}, {":SCHEME", Op::kScheme},
        {"X-ENVOY-ORIGINAL-PATH", Op::kOriginalPath}, {"USER-AGENT", Op::kUserAgent}, {"X-FORWARDED-FOR", Op::kForwardedFor},
        {"X-REQUEST-ID", Op::kRequestId}};
    constexpr std::pair<std::string_view, Op> kResponse[] = {
        {":STATUS", Op::kStatusText}, {"X-ENVOY-UPSTREAM-SERVICE-TIME", Op::kUpstreamServiceTime}};
    const std::string wanted = upper(name);
    const bool request = op->name.starts_with("REQ"), response = op->name == "RESP" || op->name == "RESPONSE_HEADER";
    if (request)
        for (const auto& [known, value] : kRequest)
            if (known == wanted) return AccessLogFormat::Part::Source{value, AccessLogFormat::Part::kNowhere};
    if (response)
        for (const auto& [known, value] : kResponse)
            if (known == wanted) return AccessLogFormat::Part::Source{value, AccessLogFormat::Part::kNowhere};
    constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
    const bool token = !name.empty() && std::all_of(name.begin(), name.end(), [&](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || kMarks.find(c) != kMarks.npos;
    });
    if (!token) return error(fmt::format("`{}` is not a header name", name.substr(0, 80)), "as in %REQ(X-USER)% or %REQ(X-USER?USER-AGENT)%");
    const auto place = captures.place_of(request ? From::kRequest : response ? From::kResponse : From::kResponseTrailers, name);
    if (!place) return error(fmt::format("more than {} different headers", kCapturedHeadersMax));
    return AccessLogFormat::Part::Source{Op::kHeader, *place};
}

Result<void, FormatError> Reading::headers() {
    const size_t mark = argument.find('?');
    auto first = header(argument.substr(0, mark));
    if (!first) return std::unexpected(std::move(first.error()));
    part.first = *first;
    part.without_query = op->name == "REQ_WITHOUT_QUERY";
    if (mark == argument.npos) return {};
    auto second = header(argument.substr(mark + 1));
    if (!second) return std::unexpected(std::move(second.error()));
    part.second = *second;
    return {};
}

Result<void, FormatError> Reading::time() {
    part.argument = argument.empty() ? kDefaultTimeFormat : argument;
    if (const auto bad = check_time_format(part.argument))
        return error(fmt::format("`{}` is no time specifier", part.argument.substr(*bad, 2)),
                     "known are %Y %m %d %H %M %S %F %T %s %e %b %a %j %y %Z %z, %3f and %E3S with any digit");
    return {};
}

Result<void, FormatError> Reading::path() {
    const size_t colon = argument.find(':');
    const std::string_view query = argument.substr(0, colon);
    const std::string_view which = colon == argument.npos ? std::string_view() : argument.substr(colon + 1);
    if (query != "" && query != "WQ" && query != "NQ") return error(fmt::format("`{}` is not WQ or NQ", query), "as in %PATH(NQ:ORIG)%");
    part.without_query = query == "NQ";
    if (which == "" || which == "ORIG_OR_PATH") part.choice = static_cast<uint8_t>(PathChoice::kOriginalOrPath);
    else if (which == "ORIG") part.choice = static_cast<uint8_t>(PathChoice::kOriginal);
    else if (which == "PATH") part.choice = static_cast<uint8_t>(PathChoice::kPath);
    else return error(fmt::format("`{}` is not ORIG, PATH or ORIG_OR_PATH", which), "as in %PATH(NQ:ORIG)%");
    return {};
}

Result<void, FormatError> Reading::grpc() {
    using From = AccessLogCaptures::From;
    const auto type = captures.place_of(From::kRequest, "content-type"), trailer = captures.place_of(From::kResponseTrailers, "grpc-status"),
               status = captures.place_of(From::kResponse, "grpc-status");
    if (!type || !trailer || !status) return error(fmt::format("more than {} different headers", kCapturedHeadersMax));
    part.grpc[0] = *type, part.grpc[1] = *trailer, part.grpc[2] = *status;
    if (op->name == "GRPC_STATUS_NUMBER" || argument == "NUMBER") part.choice = static_cast<uint8_t>(GrpcStatusForm::kNumber);
    else if (argument == "SNAKE_STRING") part.choice = static_cast<uint8_t>(GrpcStatusForm::kSnake);
    else if (!argument.empty() && argument != "CAMEL_STRING")
        return error(fmt::format("`{}` is not CAMEL_STRING, SNAKE_STRING or NUMBER", argument));
    return {};
}

Result<void, FormatError> Reading::connection() {
    const auto place = captures.place_of(AccessLogCaptures::From::kConnection, op->name);
    if (!place) return error(fmt::format("more than {} different headers", kCapturedHeadersMax));
    if (op->op == Op::kConnectionTime)
        if (auto read = time(); !read) return read;
    part.first = {op->op, *place};
    return {};
}

// What was asked for by SNI, by the Host header, or by either.
Result<void, FormatError> Reading::server_name() {
    using From = AccessLogCaptures::From;
    using Source = AccessLogFormat::Part::Source;
    constexpr std::string_view kCure = "as in %REQUESTED_SERVER_NAME(SNI_FIRST:HOST)%";
    const size_t colon = argument.find(':');
    const std::string_view order = argument.substr(0, colon);
    const std::string_view which = colon == argument.npos ? std::string_view() : argument.substr(colon + 1);
    if (order != "" && order != "SNI_ONLY" && order != "SNI_FIRST" && order != "HOST_FIRST")
        return error(fmt::format("`{}` is not SNI_ONLY, SNI_FIRST or HOST_FIRST", order.substr(0, 80)), std::string(kCure));
    if (which != "" && which != "ORIG" && which != "HOST" && which != "ORIG_OR_HOST")
        return error(fmt::format("`{}` is not ORIG, HOST or ORIG_OR_HOST", which.substr(0, 80)), std::string(kCure));
    const auto sni = captures.place_of(From::kConnection, op->name);
    std::optional<uint16_t> original = AccessLogFormat::Part::kNowhere;
    if (which == "ORIG") original = captures.place_of(From::kRequest, "x-envoy-original-host");
    if (!sni || !original) return error(fmt::format("more than {} different headers", kCapturedHeadersMax));
    const Source name{Op::kConnection, *sni}, host{which == "ORIG" ? Op::kHeader : Op::kAuthority, *original};
    part.first = order == "HOST_FIRST" ? host : name;
    if (order == "SNI_FIRST") part.second = host;
    if (order == "HOST_FIRST") part.second = name;
    return {};
}

// START:END:PRECISION
Result<void, FormatError> Reading::points() {
    constexpr std::pair<std::string_view, TimePoint> kPoints[] = {
        {"DS_RX_BEG", TimePoint::kDsRxBegin}, {"DS_RX_END", TimePoint::kDsRxEnd}, {"US_RX_BEG", TimePoint::kUsRxBegin},
        {"DS_TX_END", TimePoint::kDsTxEnd}, {"US_CX_BEG", TimePoint::kUnknown}, {"US_CX_END", TimePoint::kUnknown},
        {"US_HS_END", TimePoint::kUnknown}, {"US_TX_BEG", TimePoint::kUnknown}, {"US_TX_END", TimePoint::kUnknown},
        {"US_RX_END", TimePoint::kUnknown}, {"DS_TX_BEG", TimePoint::kUnknown}};
    constexpr std::string_view kCure = "as in %COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%";
    const size_t first = argument.find(':'), last = argument.rfind(':');
    if (first == last) return error(fmt::format("`{}` is not START:END:PRECISION", argument.substr(0, 80)), std::string(kCure));
    const std::string_view unit = argument.substr(last + 1);
    if (unit == "ms") part.choice = static_cast<uint8_t>(TimeUnit::kMs);
    else if (unit == "us") part.choice = static_cast<uint8_t>(TimeUnit::kUs);
    else if (unit == "ns") part.choice = static_cast<uint8_t>(TimeUnit::kNs);
    else return error(fmt::format("`{}` is not ms, us or ns", unit.substr(0, 80)), std::string(kCure));
    const auto read = [&](std::string_view name, uint8_t& to) {
        for (const auto& [known, point] : kPoints)
            if (known == name) return to = static_cast<uint8_t>(point), true;
        return false;
    };
    const std::string_view from = argument.substr(0, first), to = argument.substr(first + 1, last - first - 1);
    if (!read(from, part.from)) return error(fmt::format("`{}` is not a point in time", from.substr(0, 80)), std::string(kCure));
    if (!read(to, part.to)) return error(fmt::format("`{}` is not a point in time", to.substr(0, 80)), std::string(kCure));
    return {};
}

Result<void, FormatError> Reading::read_argument() {
    part.first.op = op->op;
    part.address = op->address;
    switch (op->op) {
        case Op::kStartTime:
        case Op::kEmitTime: return time();
        case Op::kHeader: return headers();
        case Op::kPathParts: return path();
        case Op::kConnection:
        case Op::kConnectionMs:
        case Op::kConnectionTime: return connection();
        case Op::kServerName: return server_name();
        case Op::kGrpcStatus: return grpc();
        case Op::kCommonDuration: return points();
        case Op::kQueryParameter: part.argument = argument; return {};
        case Op::kFixed: break;
        default: return {};
    }
    if (op->name == "HOSTNAME") {
        char name[256] = "";
        if (gethostname(name, sizeof name - 1) == 0) part.argument = name;
    } else if (const char* value = std::getenv(std::string(argument).c_str())) {
        part.argument = value;
    }
    return {};
}

}  // namespace

Result<AccessLogFormat::Part, FormatError> parse_operator(std::string_view inside, size_t at, AccessLogCaptures& captures) {
    Reading reading{inside, at, captures};
    if (auto split = reading.split(); !split) return std::unexpected(std::move(split.error()));
    if (auto read = reading.read_argument(); !read) return std::unexpected(std::move(read.error()));
    return std::move(reading.part);
}

std::string AccessLogFormat::operators_markdown() {
    std::string plain, noted, absent, refused;
    std::string_view last;
    const auto append = [](std::string& list, const std::string& item) { list += (list.empty() ? "" : ", ") + item; };
    for (const Operator& known : kOperators) {
        const char* argument = known.argument == Argument::kNone ? "" : known.argument == Argument::kOptional ? "[(...)]" : "(...)";
        const std::string name = fmt::format("`{}{}`", known.name, argument);
        if (known.op == Op::kNone) {
            append(refused, fmt::format("{} ({})", name, known.note));
        } else if (known.op == Op::kAbsent) {
            absent += known.note == last ? ", " + name : fmt::format("{}| {} | {}", absent.empty() ? "" : " |\n", known.note, name);
            last = known.note;
        } else if (known.note.empty()) {
            append(plain, name);
        } else {
            noted += fmt::format("| {} | {} |\n", name, known.note);
        }
    }
    return fmt::format("As in Envoy: {}.\n\n| with more to say | |\n|---|---|\n{}\n| `-`, in JSON `null`, because | |\n|---|---|\n{} |\n\nRefused: {}.\n",
                       plain, noted, absent, refused);
}

}  // namespace sluice::telemetry
