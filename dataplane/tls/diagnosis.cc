// What a handshake died of: OpenSSL's error queue as one of our failures, with its words.
#include <openssl/sslerr.h>

#include "tls/handshake_session.h"

namespace sluice::tls {

namespace {

Failure failure_of(int reason) {
    switch (reason) {
        case SSL_R_NO_SHARED_CIPHER:
        case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
        case SSL_R_NO_SUITABLE_KEY_SHARE:
        case SSL_R_NO_SUITABLE_GROUPS:
        case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
        case SSL_R_UNKNOWN_CIPHER_RETURNED:
        case SSL_R_WRONG_CIPHER_RETURNED:
        case SSL_R_NO_CIPHERS_AVAILABLE: return Failure::kNoCipher;
        case SSL_R_UNSUPPORTED_PROTOCOL:
        case SSL_R_VERSION_TOO_LOW:
        case SSL_R_VERSION_TOO_HIGH:
        case SSL_R_WRONG_SSL_VERSION:
        case SSL_R_UNSUPPORTED_SSL_VERSION:
        case SSL_R_BAD_PROTOCOL_VERSION_NUMBER:
        case SSL_R_NO_PROTOCOLS_AVAILABLE:
        case SSL_R_INAPPROPRIATE_FALLBACK: return Failure::kVersion;
        case SSL_R_NO_APPLICATION_PROTOCOL: return Failure::kNoAlpn;
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return Failure::kNoCertificate;
        case SSL_R_HTTP_REQUEST:
        case SSL_R_HTTPS_PROXY_REQUEST: return Failure::kPlainHttp;
        case SSL_R_CERTIFICATE_VERIFY_FAILED: return Failure::kBadCertificate;
        case SSL_R_UNEXPECTED_EOF_WHILE_READING: return Failure::kPeerClosed;
        case ERR_R_MALLOC_FAILURE:
        case ERR_R_INTERNAL_ERROR: return Failure::kInternal;
        default: return Failure::kProtocol;
    }
}

}  // namespace

Diagnosis diagnose() {
    Diagnosis out{Failure::kProtocol, ""};
    // The first error is the cause where OpenSSL's TLS found it; errors of certificates' insides come before and say less.
    while (const unsigned long error = ERR_get_error()) {
        const char* words = ERR_reason_error_string(error);
        const bool tls = ERR_GET_LIB(error) == ERR_LIB_SSL;
        if (!out.reason.empty() && !tls) continue;
        out.reason = words ? words : "unknown error";
        if (!tls) continue;
        out.failure = failure_of(ERR_GET_REASON(error));
        break;
    }
    ERR_clear_error();
    if (out.reason.empty()) out.reason = "the peer's bytes make no handshake";
    return out;
}

}  // namespace sluice::tls
