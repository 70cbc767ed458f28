// Parsed operators of access log formats and their values. In: text between two percent signs, an entry. Out: a Part, a Value.
// For access_log_format.cc and its neighbours only. The table of operators is in access_log_operators.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "telemetry/access_log_format.h"

namespace sluice::telemetry {

enum class Op : uint8_t {
    kNone, kLiteral, kFixed, kAbsent, kStartTime, kEmitTime, kMethod, kPath, kOriginalPath, kAuthority, kScheme, kUserAgent,
    kForwardedFor, kRequestId, kUpstreamServiceTime, kStatusText, kHeader, kPathParts, kQueryParameter, kProtocol, kUpstreamProtocol,
    kResponseCode, kResponseCodeDetails, kResponseFlags, kResponseFlagsLong, kBytesReceived, kBytesSent, kDuration, kRequestDuration,
    kResponseDuration, kResponseTxDuration, kCommonDuration, kUpstreamRemote, kUpstreamLocal, kDownstreamRemote,
    kDownstreamDirectRemote, kDownstreamLocal, kUpstreamCluster, kAttempts, kRouteName, kGrpcStatus, kUniqueId, kLogType,
    kReason, kCore, kListener, kConnection, kConnectionTime, kConnectionMs, kServerName,
};
enum class AddressPart : uint8_t { kBoth, kIp, kPort };

struct AccessLogFormat::Part {
    static constexpr uint16_t kNowhere = UINT16_MAX;
    /// One place to look; the second counts where the first has nothing: %REQ(X?Y)%.
    struct Source {
        Op op = Op::kNone;
        uint16_t capture = kNowhere;
    };
    Source first, second;
    std::string argument;      // literal or fixed text, a time format, the name of a query parameter
    uint32_t max = 0;          // %OP:max%: at most so many bytes; 0 = all
    AddressPart address = AddressPart::kBoth;
    uint8_t choice = 0;        // kGrpcStatus: GrpcStatusForm; kPathParts: bit 0 without query, bits 1-2 PathChoice; kCommonDuration: unit
    bool without_query = false;
    uint8_t from = 0, to = 0;  // kCommonDuration: TimePoint
    uint16_t grpc[3] = {kNowhere, kNowhere, kNowhere};   // content-type, trailer, header
};

enum class GrpcStatusForm : uint8_t { kCamel, kSnake, kNumber };
enum class PathChoice : uint8_t { kOriginalOrPath, kOriginal, kPath };
enum class TimePoint : uint8_t { kDsRxBegin, kDsRxEnd, kUsRxBegin, kDsTxEnd, kUnknown };
enum class TimeUnit : uint8_t { kMs, kUs, kNs };

struct Value {
    enum class Kind : uint8_t { kAbsent, kNumber, kText } kind = Kind::kAbsent;
    uint64_t number = 0;
    std::string_view text;     // raw: not escaped; lives in the entry or in the scratch
};

/// A value for the part; `scratch` may hold its text.
Value evaluate(const AccessLogFormat::Part& part, const AccessLogEntry& entry, std::string& scratch);
/// "NotFound", "NOT_FOUND" or 5; a number beyond the known ones stays one.
Value grpc_status(const AccessLogFormat::Part& part, const AccessLogEntry& entry, std::string& scratch);

/// `inside` is what stands between the percent signs, `at` where it starts in its format.
Result<AccessLogFormat::Part, FormatError> parse_operator(std::string_view inside, size_t at, AccessLogCaptures& captures);
/// A format string as literals and operators.
Result<std::vector<AccessLogFormat::Part>, FormatError> parse_parts(std::string_view format, AccessLogCaptures& captures);

/// A JSON template with its formats parsed.
struct AccessLogFormat::Node {
    JsonTemplate::Kind kind = JsonTemplate::Kind::kObject;
    std::string literal;
    std::vector<Part> parts;
    std::vector<std::pair<std::string, Node>> members;   // names escaped
};
Result<AccessLogFormat::Node, FormatError> parse_template(const JsonTemplate& json, AccessLogCaptures& captures);
void append_json(const AccessLogFormat::Node& node, const AccessLogEntry& entry, bool omit_empty, std::string& out);
/// Calls change(uint16_t&) for every capture of the parts.
template <typename Change>
void for_captures(std::vector<AccessLogFormat::Part>& parts, Change change) {
    for (auto& part : parts)
        for (uint16_t* place : {&part.first.capture, &part.second.capture, &part.grpc[0], &part.grpc[1], &part.grpc[2]})
            if (*place != AccessLogFormat::Part::kNowhere) change(*place);
}

/// Istio's default keys, and ours behind them.
const JsonTemplate& istio_template();

}  // namespace sluice::telemetry
