// Values of access log operators, raw: durations in whole milliseconds, addresses as Envoy spells them, nothing for what is absent.
// In: a parsed operator and an entry. Out: a Value, whose text lies in the entry or in the caller's scratch.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <random>

#include "telemetry/access_log_op.h"
#include "telemetry/access_log_time.h"

namespace sluice::telemetry {

namespace {

using Part = AccessLogFormat::Part;

Value text(std::string_view value) { return value.empty() ? Value{} : Value{Value::Kind::kText, 0, value}; }
Value number(uint64_t value) { return {Value::Kind::kNumber, value, {}}; }
/// Milliseconds, rounded down as Envoy does.
Value ms(uint64_t us) { return us == kNoTime ? Value{} : number(us / 1000); }

/// With port 0 no connection was made.
Value address(const SocketAddress& address, AddressPart part, std::string& scratch) {
    if (part == AddressPart::kPort) return number(address.port);
    scratch = part == AddressPart::kIp ? address.ip.to_string() : address.to_string();
    return text(scratch);
}
Value connected(const SocketAddress& given, AddressPart part, std::string& scratch) {
    return given.port == 0 ? Value{} : address(given, part, scratch);
}

/// Envoy's downstream remote address: the client behind trusted proxies has no known port.
SocketAddress client(const AccessLogEntry& e) {
    if (e.client == IpAddress{} || e.client == e.downstream_remote.ip) return e.downstream_remote;
    return {e.client, 0};
}

std::string_view protocol(http::Version version) {
    switch (version) {
        case http::Version::kHttp10: return "HTTP/1.0";
        case http::Version::kHttp11: return "HTTP/1.1";
        case http::Version::kHttp2: return "HTTP/2";
    }
    return "";
}

uint64_t at(TimePoint point, const AccessLogEntry& e) {
    switch (point) {
        case TimePoint::kDsRxBegin: return 0;
        case TimePoint::kDsRxEnd: return e.request_us;
        case TimePoint::kUsRxBegin: return e.first_byte_us;
        case TimePoint::kDsTxEnd: return e.duration_us;
        case TimePoint::kUnknown: break;
    }
    return kNoTime;
}

Value common_duration(const Part& part, const AccessLogEntry& e) {
    const uint64_t from = at(static_cast<TimePoint>(part.from), e), to = at(static_cast<TimePoint>(part.to), e);
    if (from == kNoTime || to == kNoTime || to < from) return {};
    switch (static_cast<TimeUnit>(part.choice)) {
        case TimeUnit::kMs: return number((to - from) / 1000);
        case TimeUnit::kUs: return number(to - from);
        case TimeUnit::kNs: return number((to - from) * 1000);
    }
    return {};
}

std::string_view original_path(const AccessLogEntry& e) {
    return e.original_path == e.path ? std::string_view() : e.original_path;
}

std::string_view chosen_path(const Part& part, const AccessLogEntry& e) {
    switch (static_cast<PathChoice>(part.choice)) {
        case PathChoice::kPath: return e.path;
        case PathChoice::kOriginal: return original_path(e);
        case PathChoice::kOriginalOrPath: break;
    }
    return original_path(e).empty() ? e.path : e.original_path;
}

int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    const char lower = static_cast<char>(c | 32);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

void append_decoded(std::string_view text, std::string& out) {
    for (size_t i = 0; i < text.size(); i++) {
        const bool escape = text[i] == '%' && i + 2 < text.size() && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0;
        out += escape ? static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2])) : text[i];
        i += escape ? 2 : 0;
    }
}

/// The first parameter of that name.
Value query_parameter(std::string_view name, std::string_view path, std::string& scratch) {
    const size_t mark = path.find('?');
    for (std::string_view rest = mark == path.npos ? "" : path.substr(mark + 1); !rest.empty();) {
        const std::string_view pair = rest.substr(0, rest.find('&'));
        rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
        const size_t equals = pair.find('=');
        scratch.clear();
        append_decoded(pair.substr(0, equals), scratch);
        if (scratch != name) continue;
        scratch.clear();
        if (equals != pair.npos) append_decoded(pair.substr(equals + 1), scratch);
        return text(scratch);
    }
    return {};
}

/// RFC 9562 (5.4), for telling lines apart, not for keeping secrets.
void random_uuid(std::string& out) {
    thread_local std::mt19937_64 random{std::random_device{}()};
    const uint64_t high = (random() & ~0xf000ull) | 0x4000, low = (random() >> 2) | 1ull << 63;
    out.clear();
    fmt::format_to(std::back_inserter(out), "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, high >> 16 & 0xffff, high & 0xffff, low >> 48,
                   low & 0xffffffffffff);
}

Value upstream_service_time(const AccessLogEntry& e, std::string& scratch) {
    if (e.upstream_response_us == kNoTime) return {};
    scratch = fmt::format("{}", e.upstream_response_us / 1000);
    return text(scratch);
}

Value time(const Part& part, uint64_t unix_us, std::string& scratch) {
    scratch.clear();
    append_time(part.argument, unix_us, scratch);
    return text(scratch);
}

/// A point in time that was captured as seconds since 1970.
Value seconds(const Part& part, std::string_view captured, std::string& scratch) {
    uint64_t at = 0;
    if (std::from_chars(captured.data(), captured.data() + captured.size(), at).ec != std::errc{}) return {};
    return time(part, at * 1'000'000, scratch);
}

/// A duration that was captured in microseconds.
Value milliseconds(std::string_view captured) {
    uint64_t us = 0;
    return std::from_chars(captured.data(), captured.data() + captured.size(), us).ec == std::errc{} ? ms(us) : Value{};
}

Value look(const Part::Source& source, const Part& part, const AccessLogEntry& e, std::string& scratch) {
    switch (source.op) {
        case Op::kNone:
        case Op::kServerName:
        case Op::kAbsent: return {};
        case Op::kLiteral:
        case Op::kFixed: return text(part.argument);
        case Op::kStartTime: return time(part, e.start_unix_us, scratch);
        case Op::kEmitTime: return time(part, e.start_unix_us + e.duration_us, scratch);
        case Op::kMethod: return text(e.method);
        case Op::kPath: return text(e.path);
        case Op::kOriginalPath: return text(original_path(e));
        case Op::kAuthority: return text(e.authority);
        case Op::kScheme: return text(e.https ? "https" : "http");
        case Op::kUserAgent: return text(e.user_agent);
        case Op::kForwardedFor: return text(e.forwarded_for);
        case Op::kRequestId: return text(e.request_id);
        case Op::kUpstreamServiceTime: return upstream_service_time(e, scratch);
        case Op::kStatusText: return text(scratch = fmt::format("{}", e.status));
        case Op::kHeader: return source.capture < e.captured.size() ? text(e.captured[source.capture]) : Value{};
        case Op::kConnection: return source.capture < e.captured.size() ? text(e.captured[source.capture]) : Value{};
        case Op::kConnectionTime: return source.capture < e.captured.size() ? seconds(part, e.captured[source.capture], scratch) : Value{};
        case Op::kConnectionMs: return source.capture < e.captured.size() ? milliseconds(e.captured[source.capture]) : Value{};
        case Op::kPathParts: return text(chosen_path(part, e));
        case Op::kQueryParameter: return query_parameter(part.argument, e.path, scratch);
        case Op::kProtocol: return text(protocol(e.version));
        case Op::kUpstreamProtocol: return text(e.upstream_remote.port ? "HTTP/1.1" : "");
        case Op::kResponseCode: return number(e.status);
        case Op::kResponseCodeDetails: return text(e.details);
        case Op::kResponseFlags: return text(scratch = response_flags(e.flags));
        case Op::kResponseFlagsLong: return text(scratch = response_flags_long(e.flags));
        case Op::kBytesReceived: return number(e.bytes_received);
        case Op::kBytesSent: return number(e.bytes_sent);
        case Op::kDuration: return ms(e.duration_us);
        case Op::kRequestDuration: return ms(e.request_us);
        case Op::kResponseDuration: return ms(e.first_byte_us);
        case Op::kResponseTxDuration: return e.first_byte_us > e.duration_us ? Value{} : ms(e.duration_us - e.first_byte_us);
        case Op::kCommonDuration: return common_duration(part, e);
        case Op::kUpstreamRemote: return connected(e.upstream_remote, part.address, scratch);
        case Op::kUpstreamLocal: return connected(e.upstream_local, part.address, scratch);
        case Op::kDownstreamRemote: return e.downstream_remote.port ? address(client(e), part.address, scratch) : Value{};
        case Op::kDownstreamDirectRemote: return connected(e.downstream_remote, part.address, scratch);
        case Op::kDownstreamLocal: return connected(e.downstream_local, part.address, scratch);
        case Op::kUpstreamCluster: return text(e.cluster);
        case Op::kAttempts: return number(e.attempts);
        case Op::kRouteName: return text(e.route_name);
        case Op::kGrpcStatus: return grpc_status(part, e, scratch);
        case Op::kUniqueId: random_uuid(scratch); return text(scratch);
        case Op::kLogType: return text("DownstreamEnd");
        case Op::kReason: return text(e.reason);
        case Op::kCore: return number(e.core);
        case Op::kListener: return text(e.listener);
    }
    return {};
}

}  // namespace

Value evaluate(const Part& part, const AccessLogEntry& entry, std::string& scratch) {
    Value value = look(part.first, part, entry, scratch);
    if (value.kind == Value::Kind::kAbsent && part.second.op != Op::kNone) value = look(part.second, part, entry, scratch);
    if (value.kind != Value::Kind::kText) return value;
    if (part.without_query) value.text = value.text.substr(0, value.text.find('?'));
    if (part.max && value.text.size() > part.max) {
        size_t end = part.max;
        while (end > 0 && (static_cast<unsigned char>(value.text[end]) & 0xc0) == 0x80) end--;   // not within a character of UTF-8
        value.text = value.text.substr(0, end ? end : part.max);
    }
    return value.text.empty() ? Value{} : value;
}

}  // namespace sluice::telemetry
