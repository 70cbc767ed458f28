// Names of versions, alerts and suites, and the wiping of keys.
#include "tls/types.h"

#include <openssl/crypto.h>

namespace sluice::tls {

void TrafficKeys::wipe() {
    OPENSSL_cleanse(&receive, sizeof receive);
    OPENSSL_cleanse(&transmit, sizeof transmit);
    aead = Aead::kNone;
}

const char* to_string(Version version) {
    switch (version) {
        case Version::kTls12: return "TLSv1.2";
        case Version::kTls13: return "TLSv1.3";
        case Version::kNone: break;
    }
    return "";
}

const char* to_string(Alert alert) {
    switch (alert) {
        case Alert::kCloseNotify: return "close_notify";
        case Alert::kUnexpectedMessage: return "unexpected_message";
        case Alert::kBadRecordMac: return "bad_record_mac";
        case Alert::kRecordOverflow: return "record_overflow";
        case Alert::kHandshakeFailure: return "handshake_failure";
        case Alert::kBadCertificate: return "bad_certificate";
        case Alert::kUnsupportedCertificate: return "unsupported_certificate";
        case Alert::kCertificateRevoked: return "certificate_revoked";
        case Alert::kCertificateExpired: return "certificate_expired";
        case Alert::kCertificateUnknown: return "certificate_unknown";
        case Alert::kIllegalParameter: return "illegal_parameter";
        case Alert::kUnknownCa: return "unknown_ca";
        case Alert::kAccessDenied: return "access_denied";
        case Alert::kDecodeError: return "decode_error";
        case Alert::kDecryptError: return "decrypt_error";
        case Alert::kProtocolVersion: return "protocol_version";
        case Alert::kInsufficientSecurity: return "insufficient_security";
        case Alert::kInternalError: return "internal_error";
        case Alert::kInappropriateFallback: return "inappropriate_fallback";
        case Alert::kUserCanceled: return "user_canceled";
        case Alert::kNoRenegotiation: return "no_renegotiation";
        case Alert::kMissingExtension: return "missing_extension";
        case Alert::kUnsupportedExtension: return "unsupported_extension";
        case Alert::kUnrecognizedName: return "unrecognized_name";
        case Alert::kUnknownPskIdentity: return "unknown_psk_identity";
        case Alert::kCertificateRequired: return "certificate_required";
        case Alert::kNoApplicationProtocol: return "no_application_protocol";
    }
    return "unknown";
}

}  // namespace sluice::tls
