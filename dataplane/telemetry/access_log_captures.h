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

/// What a request's connections are like, TLS above all; named by the operators that write it. Those from kFailure on are of either side.
enum class ConnectionField : uint8_t {
    kNone, kFilterChainName, kRequestedServerName, kHandshakeUs, kFailure, kVersion, kCipher, kGroup, kSessionId,
    kPeerCert, kPeerStart, kPeerEnd, kPeerIssuer, kPeerSubject, kPeerSerial, kPeerSha1, kPeerSha256, kPeerChainSerials, kPeerChainSha1,
    kPeerChainSha256, kPeerIssuerSerial, kPeerIssuerSha256, kPeerUriSan, kPeerDnsSan, kPeerIpSan, kPeerEmailSan, kPeerOtherSan,
    kLocalSubject, kLocalUriSan, kLocalDnsSan, kLocalIpSan, kLocalEmailSan, kLocalOtherSan,
};
/// kNone: the operator writes something else. `upstream`: of the connection to the backend.
ConnectionField connection_field(std::string_view operator_name, bool& upstream);
/// Texts of certificates that a handshake makes only where they are asked for.
bool is_certificate_text(ConnectionField field);

struct AccessLogCaptures {
    enum class From : uint8_t { kRequest, kResponse, kResponseTrailers, kConnection };
    struct Header {
        From from;
        std::string name;      // lower case
        http::HeaderId id;     // kOther: compared by name
        ConnectionField field = ConnectionField::kNone;   // of kConnection, whose name is an operator's
        bool upstream = false;                            // of kConnection: of the one to the backend
        bool operator==(const Header&) const = default;
    };
    std::vector<Header> headers;
    bool of_upstreams = false;   // any is of the connection to the backend

    /// The place of a header or fact, new or as before; nothing when kCapturedHeadersMax are asked for already.
    std::optional<uint16_t> place_of(From from, std::string_view name);
    /// Asks for texts of the certificates of clients, or of backends.
    bool certificate_texts(bool of_upstreams) const;
};

}  // namespace sluice::telemetry
