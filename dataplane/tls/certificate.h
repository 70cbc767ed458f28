// One X.509 certificate read: names, alternative names, times, hashes, and what becomes of it for metrics (CertificateInfo) and for
// requests (PeerIdentity). In: PEM or OpenSSL's X509. Out: plain values. Internal to the TLS room; any thread. RFC 5280.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tls/context.h"
#include "tls/identity.h"
#include "tls/openssl_ptr.h"

namespace sluice::tls {

struct AlternativeName {
    SanMatcher::Type type = SanMatcher::Type::kAny;   // never kAny once read
    std::string text;                                 // addresses as IpAddress prints them
};
/// Its dNSName, URI, e-mail and address names. An error: the extension cannot be read, or a name holds NUL or another byte that no name has.
std::expected<std::vector<AlternativeName>, std::string> read_alternative_names(const X509* certificate);

/// RFC 2253.
std::string name_text(const X509_NAME* name);
/// "subject CN=...,issuer CN=..." for messages; control characters escaped.
std::string who(const X509* certificate);
std::string hex(const unsigned char* bytes, size_t size);
std::string digest_hex(const X509* certificate, const EVP_MD* digest);
/// base64 of the SHA-256 of its SubjectPublicKeyInfo; empty if it has none.
std::string spki_sha256(const X509* certificate);
int64_t seconds_since_1970(const ASN1_TIME* time);
/// "EC P-256", "RSA 2048".
std::string key_type(const EVP_PKEY* key);

/// Every certificate of `pem`, in order. An error in words where there is none or one is broken.
std::expected<std::vector<X509Ptr>, std::string> parse_certificates(std::string_view pem);
CertificateInfo describe(const X509* certificate, std::string_view name);

/// `leaf`: nullptr where none was presented. `chain`: what the peer sent, may be nullptr. `with_text`: also the PEM for XFCC.
std::unique_ptr<const PeerIdentity> make_identity(const X509* leaf, const STACK_OF(X509) * chain, bool verified, bool with_text);

}  // namespace sluice::tls
