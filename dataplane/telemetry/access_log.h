// Access log records: a worker pushes one per request into its SPSC ring; the telemetry thread formats and writes (Envoy format
// strings or JSON). A full ring drops and counts; a worker never waits.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/ip_address.h"
#include "http/message.h"

namespace sluice::telemetry {

/// Envoy's response flags, as bits; as text "UF,URX" or "-".
enum ResponseFlag : uint32_t {
    kNoHealthyUpstream = 1 << 0,        // UH
    kUpstreamConnectionFailure = 1 << 1,  // UF
    kUpstreamOverflow = 1 << 2,         // UO
    kNoRoute = 1 << 3,                  // NR
    kUpstreamRetryLimit = 1 << 4,       // URX
    kNoCluster = 1 << 5,                // NC
    kDownstreamDisconnect = 1 << 6,     // DC
    kLocalReset = 1 << 7,               // LR
    kUpstreamTimeout = 1 << 8,          // UT
    kUpstreamRemoteReset = 1 << 9,      // UR
    kUpstreamTermination = 1 << 10,     // UC
    kDownstreamProtocolError = 1 << 11, // DPE
    kUpstreamProtocolError = 1 << 12,   // UPE
    kStreamIdleTimeout = 1 << 13,       // SI
    kDurationTimeout = 1 << 14,         // DT
    kOverloadManager = 1 << 15,         // OM
};
std::string response_flags(uint32_t flags);
/// "UpstreamConnectionFailure,UpstreamRetryLimitExceeded" or "-".
std::string response_flags_long(uint32_t flags);
/// The flag of a short name; 0: this gateway never sets such a one.
uint32_t response_flag(std::string_view short_name);
/// Envoy has a flag of that name.
bool is_response_flag(std::string_view short_name);

/// Envoy's "there was none" among times.
inline constexpr uint64_t kNoTime = UINT64_MAX;
/// Headers that one access log record carries besides the fixed ones.
inline constexpr uint32_t kCapturedHeadersMax = 48;
/// In AccessLogEntry::flags, beside them: this listener writes no access log, the entry is for those who read along.
inline constexpr uint32_t kNotForTheFile = 1u << 31;

/// One request as the worker tells it. Views are copied by push(), long ones cut (counted in `truncated`).
struct AccessLogEntry {
    uint64_t start_unix_us = 0;
    uint64_t duration_us = 0;
    uint64_t upstream_response_us = 0;                    // from the whole request to the answer's head; kNoTime = no upstream answer
    uint64_t request_us = kNoTime;                        // from the start to the request's last byte
    uint64_t first_byte_us = kNoTime;                     // from the start to the answer's head from the upstream
    std::string_view method, path, original_path, authority, user_agent, forwarded_for, request_id, route_name, cluster, reason;
    http::Version version = http::Version::kHttp11;
    bool https = false;         // the scheme, as it was routed
    uint16_t status = 0;
    uint32_t flags = 0;
    uint64_t bytes_received = 0, bytes_sent = 0;          // bodies
    SocketAddress downstream_remote, downstream_local, upstream_remote, upstream_local;
    IpAddress client;           // whom X-Forwarded-For is trusted for; the peer's own address if nobody
    uint32_t attempts = 0;
    uint32_t log_set = 0;       // AccessLogSet::id
    uint16_t core = 0;
    std::string_view listener;
    std::string_view details;   // Envoy's response code details: "via_upstream", "route_not_found", ...
    /// Values of the set's AccessLogCaptures, in their order; empty = absent.
    std::span<const std::string_view> captured;
};

}  // namespace sluice::telemetry
