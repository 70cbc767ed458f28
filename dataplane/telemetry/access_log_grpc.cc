// The gRPC status of an answer: of its trailers, of its head when it has no body, or what gRPC makes of its HTTP status.
// In: captured headers. Out: the status by name or number; nothing if the request was not gRPC.
// gRPC over HTTP/2, "Responses"; gRPC's HTTP status mapping.
#include <charconv>

#include "telemetry/access_log_op.h"

namespace sluice::telemetry {

namespace {

struct StatusName {
    std::string_view camel, snake;
};
constexpr StatusName kNames[] = {
    {"OK", "OK"}, {"Canceled", "CANCELLED"}, {"Unknown", "UNKNOWN"}, {"InvalidArgument", "INVALID_ARGUMENT"},
    {"DeadlineExceeded", "DEADLINE_EXCEEDED"}, {"NotFound", "NOT_FOUND"}, {"AlreadyExists", "ALREADY_EXISTS"},
    {"PermissionDenied", "PERMISSION_DENIED"}, {"ResourceExhausted", "RESOURCE_EXHAUSTED"}, {"FailedPrecondition", "FAILED_PRECONDITION"},
    {"Aborted", "ABORTED"}, {"OutOfRange", "OUT_OF_RANGE"}, {"Unimplemented", "UNIMPLEMENTED"}, {"Internal", "INTERNAL"},
    {"Unavailable", "UNAVAILABLE"}, {"DataLoss", "DATA_LOSS"}, {"Unauthenticated", "UNAUTHENTICATED"},
};

uint64_t of_http(uint16_t status) {
    switch (status) {
        case 400: return 13;
        case 401: return 16;
        case 403: return 7;
        case 404: return 12;
        case 429:
        case 502:
        case 503:
        case 504: return 14;
        default: return 2;
    }
}

}  // namespace

uint64_t grpc_status_number(std::string_view trailer, std::string_view header, uint16_t http_status) {
    const std::string_view given = trailer.empty() ? header : trailer;
    if (given.empty()) return of_http(http_status);
    uint64_t status = 0;
    const auto [end, bad] = std::from_chars(given.data(), given.data() + given.size(), status);
    return bad == std::errc{} && end == given.data() + given.size() ? status : 2;
}

Value grpc_status(const AccessLogFormat::Part& part, const AccessLogEntry& entry, std::string& scratch) {
    const auto captured = [&](int i) { return part.grpc[i] < entry.captured.size() ? entry.captured[part.grpc[i]] : std::string_view(); };
    constexpr std::string_view kType = "application/grpc";
    const std::string_view type = captured(0);
    if (!type.starts_with(kType) || (type.size() > kType.size() && type[kType.size()] != '+' && type[kType.size()] != ';')) return {};
    const uint64_t status = grpc_status_number(captured(1), captured(2), entry.status);
    const auto form = static_cast<GrpcStatusForm>(part.choice);
    if (form == GrpcStatusForm::kNumber) return {Value::Kind::kNumber, status, {}};
    if (status < std::size(kNames)) return {Value::Kind::kText, 0, form == GrpcStatusForm::kCamel ? kNames[status].camel : kNames[status].snake};
    scratch = std::to_string(status);
    return {Value::Kind::kText, 0, scratch};
}

}  // namespace sluice::telemetry
