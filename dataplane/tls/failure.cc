// Words for failures, as counters and logs name them.
#include "tls/handshake.h"

namespace sluice::tls {

const char* to_string(Failure failure) {
    switch (failure) {
        case Failure::kNone: return "none";
        case Failure::kProtocol: return "protocol_error";
        case Failure::kPlainHttp: return "plain_http";
        case Failure::kNoCipher: return "no_shared_cipher";
        case Failure::kVersion: return "unsupported_version";
        case Failure::kNoAlpn: return "no_shared_alpn";
        case Failure::kNoCertificate: return "no_certificate";
        case Failure::kUnknownCa: return "unknown_ca";
        case Failure::kExpired: return "certificate_expired";
        case Failure::kNotYetValid: return "certificate_not_yet_valid";
        case Failure::kRevoked: return "certificate_revoked";
        case Failure::kWrongPurpose: return "wrong_purpose";
        case Failure::kWrongName: return "wrong_name";
        case Failure::kBadCertificate: return "bad_certificate";
        case Failure::kWrongPin: return "wrong_pin";
        case Failure::kPeerAlert: return "peer_alert";
        case Failure::kTooMany: return "too_many";
        case Failure::kTooLarge: return "too_large";
        case Failure::kTimeout: return "timeout";
        case Failure::kPeerClosed: return "peer_closed";
        case Failure::kInternal: return "internal_error";
        case Failure::kCount: break;
    }
    return "unknown";
}

}  // namespace sluice::tls
