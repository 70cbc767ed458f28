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

const char* cipher_suite_name(uint16_t cipher_suite) {
    switch (cipher_suite) {   // those with forward secrecy, which contexts allow
        case 0x1301: return "TLS_AES_128_GCM_SHA256";
        case 0x1302: return "TLS_AES_256_GCM_SHA384";
        case 0x1303: return "TLS_CHACHA20_POLY1305_SHA256";
        case 0x1304: return "TLS_AES_128_CCM_SHA256";
        case 0x1305: return "TLS_AES_128_CCM_8_SHA256";
        case 0xc02b: return "ECDHE-ECDSA-AES128-GCM-SHA256";
        case 0xc02c: return "ECDHE-ECDSA-AES256-GCM-SHA384";
        case 0xc02f: return "ECDHE-RSA-AES128-GCM-SHA256";
        case 0xc030: return "ECDHE-RSA-AES256-GCM-SHA384";
        case 0xcca8: return "ECDHE-RSA-CHACHA20-POLY1305";
        case 0xcca9: return "ECDHE-ECDSA-CHACHA20-POLY1305";
        case 0xccaa: return "DHE-RSA-CHACHA20-POLY1305";
        case 0x009e: return "DHE-RSA-AES128-GCM-SHA256";
        case 0x009f: return "DHE-RSA-AES256-GCM-SHA384";
        case 0xc009: return "ECDHE-ECDSA-AES128-SHA";
        case 0xc00a: return "ECDHE-ECDSA-AES256-SHA";
        case 0xc013: return "ECDHE-RSA-AES128-SHA";
        case 0xc014: return "ECDHE-RSA-AES256-SHA";
        case 0xc023: return "ECDHE-ECDSA-AES128-SHA256";
        case 0xc024: return "ECDHE-ECDSA-AES256-SHA384";
        case 0xc027: return "ECDHE-RSA-AES128-SHA256";
        case 0xc028: return "ECDHE-RSA-AES256-SHA384";
        case 0xc0ac: return "ECDHE-ECDSA-AES128-CCM";
        case 0xc0ad: return "ECDHE-ECDSA-AES256-CCM";
        case 0xc0ae: return "ECDHE-ECDSA-AES128-CCM8";
        case 0xc0af: return "ECDHE-ECDSA-AES256-CCM8";
        case 0xc09e: return "DHE-RSA-AES128-CCM";
        case 0xc09f: return "DHE-RSA-AES256-CCM";
        case 0x0033: return "DHE-RSA-AES128-SHA";
        case 0x0039: return "DHE-RSA-AES256-SHA";
        case 0x0067: return "DHE-RSA-AES128-SHA256";
        case 0x006b: return "DHE-RSA-AES256-SHA256";
        default: return "unknown";
    }
}

const char* group_name(uint16_t group) {
    switch (group) {
        case 0: return "";
        case 0x001d: return "X25519";
        case 0x0017: return "P-256";
        case 0x0018: return "P-384";
        case 0x0019: return "P-521";
        case 0x001e: return "X448";
        default: return "unknown";
    }
}

}  // namespace sluice::tls
