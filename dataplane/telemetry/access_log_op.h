// The operators of a parsed access log format, and their values as text. For access_log_format.cc and its neighbours only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "telemetry/access_log_format.h"

namespace sluice::telemetry {

enum class AccessLogFormat::Op : uint8_t {
    kLiteral, kStartTime, kMethod, kPath, kOriginalPath, kOriginalPathOnly, kAuthority, kUserAgent, kForwardedFor, kRequestId,
    kUpstreamServiceTime, kProtocol, kResponseCode, kResponseCodeDetails, kResponseFlags, kBytesReceived, kBytesSent,
    kDuration, kResponseDuration, kUpstreamHost, kUpstreamHostIp, kUpstreamHostPort, kUpstreamLocal, kUpstreamLocalIp,
    kUpstreamLocalPort, kUpstreamCluster, kAttempts, kDownstreamRemote, kDownstreamRemoteIp, kDownstreamRemotePort,
    kDownstreamLocal, kDownstreamLocalIp, kDownstreamLocalPort, kRouteName, kReason, kCore, kListener,
};

/// The path as the client sent it: Envoy's X-ENVOY-ORIGINAL-PATH?:PATH.
inline std::string_view path_before_rewrite(const AccessLogEntry& e) { return e.original_path.empty() ? e.path : e.original_path; }
std::string_view protocol_text(http::Version version);

/// Appends one operator's value, escaped; "-" where there is none.
void append_value(AccessLogFormat::Op op, std::string_view argument, const AccessLogEntry& entry, std::string& out);

}  // namespace sluice::telemetry
