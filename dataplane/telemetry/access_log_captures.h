// Which headers and facts of the connections a log wants beside the fixed fields of a record: made with the formats, read by workers
// when they push. In: names as formats have them. Out: places of their values in AccessLogEntry::captured. Immutable once its set is built.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/header_names.h"
#include "telemetry/access_log.h"

namespace sluice::telemetry {

/// What both connections of a request are like, TLS above all; named by the operators that write it.
enum class ConnectionField : uint8_t {
    kNone, kFilterChainName, kRequestedServerName, kDownstreamFailure, kUpstreamFailure, kDownstreamTlsVersion, kDownstreamTlsCipher,
    kPeerCert, kPeerStart, kPeerEnd, kPeerIssuer, kPeerSubject, kPeerSerial, kPeerSha1, kPeerSha256, kPeerUriSan, kPeerDnsSan,
    kLocalSubject, kLocalUriSan, kLocalDnsSan, kUpstreamTlsVersion, kUpstreamTlsCipher,
};
/// kNone: the operator writes something else.
ConnectionField connection_field(std::string_view operator_name);

struct AccessLogCaptures {
    enum class From : uint8_t { kRequest, kResponse, kResponseTrailers, kConnection };
    struct Header {
        From from;
        std::string name;      // lower case
        http::HeaderId id;     // kOther: compared by name
        ConnectionField field = ConnectionField::kNone;   // of kConnection, whose name is an operator's
        bool operator==(const Header&) const = default;
    };
    std::vector<Header> headers;

    /// The place of a header or fact, new or as before; nothing when kCapturedHeadersMax are asked for already.
    std::optional<uint16_t> place_of(From from, std::string_view name);
};

}  // namespace sluice::telemetry
