// Values of access log operators as text, in Envoy's spelling: durations in whole milliseconds, "-" for what is absent.
#include <fmt/format.h>

#include <iterator>

#include "telemetry/access_log_op.h"
#include "telemetry/access_log_time.h"

namespace sluice::telemetry {

namespace {

void append_text(std::string_view text, std::string& out) {
    if (text.empty()) out += '-';
    else append_escaped_text(text, out);
}

void append_number(uint64_t value, std::string& out) { fmt::format_to(std::back_inserter(out), "{}", value); }

/// Milliseconds, rounded down as Envoy does; UINT64_MAX: there was none.
void append_ms(uint64_t us, std::string& out) {
    if (us == UINT64_MAX) out += '-';
    else append_number(us / 1000, out);
}

enum class What { kBoth, kIp, kPort };
void append_address(const SocketAddress& address, What what, std::string& out) {
    if (address.port == 0) out += '-';   // no connection was made
    else if (what == What::kBoth) out += address.to_string();
    else if (what == What::kIp) out += address.ip.to_string();
    else append_number(address.port, out);
}

}  // namespace

std::string_view protocol_text(http::Version version) {
    switch (version) {
        case http::Version::kHttp10: return "HTTP/1.0";
        case http::Version::kHttp11: return "HTTP/1.1";
        case http::Version::kHttp2: return "HTTP/2";
    }
    return "-";
}

void append_value(AccessLogFormat::Op op, std::string_view argument, const AccessLogEntry& entry, std::string& out) {
    using enum AccessLogFormat::Op;
    switch (op) {
        case kLiteral: out += argument; break;
        case kStartTime: append_time(argument, entry.start_unix_us, out); break;
        case kMethod: append_text(entry.method, out); break;
        case kPath: append_text(entry.path, out); break;
        case kOriginalPath: append_text(path_before_rewrite(entry), out); break;
        case kOriginalPathOnly: append_text(entry.original_path == entry.path ? "" : entry.original_path, out); break;
        case kAuthority: append_text(entry.authority, out); break;
        case kUserAgent: append_text(entry.user_agent, out); break;
        case kForwardedFor: append_text(entry.forwarded_for, out); break;
        case kRequestId: append_text(entry.request_id, out); break;
        case kUpstreamServiceTime:
        case kResponseDuration: append_ms(entry.upstream_response_us, out); break;
        case kProtocol: out += protocol_text(entry.version); break;
        case kResponseCode: append_number(entry.status, out); break;
        case kResponseCodeDetails: append_text(entry.details, out); break;
        case kResponseFlags: out += response_flags(entry.flags); break;
        case kBytesReceived: append_number(entry.bytes_received, out); break;
        case kBytesSent: append_number(entry.bytes_sent, out); break;
        case kDuration: append_ms(entry.duration_us, out); break;
        case kUpstreamHost: append_address(entry.upstream_remote, What::kBoth, out); break;
        case kUpstreamHostIp: append_address(entry.upstream_remote, What::kIp, out); break;
        case kUpstreamHostPort: append_address(entry.upstream_remote, What::kPort, out); break;
        case kUpstreamLocal: append_address(entry.upstream_local, What::kBoth, out); break;
        case kUpstreamLocalIp: append_address(entry.upstream_local, What::kIp, out); break;
        case kUpstreamLocalPort: append_address(entry.upstream_local, What::kPort, out); break;
        case kUpstreamCluster: append_text(entry.cluster, out); break;
        case kAttempts: append_number(entry.attempts, out); break;
        case kDownstreamRemote: append_address(entry.downstream_remote, What::kBoth, out); break;
        case kDownstreamRemoteIp: append_address(entry.downstream_remote, What::kIp, out); break;
        case kDownstreamRemotePort: append_address(entry.downstream_remote, What::kPort, out); break;
        case kDownstreamLocal: append_address(entry.downstream_local, What::kBoth, out); break;
        case kDownstreamLocalIp: append_address(entry.downstream_local, What::kIp, out); break;
        case kDownstreamLocalPort: append_address(entry.downstream_local, What::kPort, out); break;
        case kRouteName: append_text(entry.route_name, out); break;
        case kReason: append_text(entry.reason, out); break;
        case kCore: append_number(entry.core, out); break;
        case kListener: append_text(entry.listener, out); break;
    }
}

}  // namespace sluice::telemetry
