// Who the peer proved to be. Made on a handshake thread from its verified leaf certificate, immutable afterwards; owned by the
// connection, read by routing, filters, X-Forwarded-Client-Cert and the access log. SPIFFE-ID and X.509-SVID standards; RFC 5280.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::tls {

/// spiffe://cluster.local/ns/shop/sa/reviews, taken apart.
struct SpiffeId {
    std::string text;                    // as in the certificate
    std::string trust_domain;            // cluster.local
    std::string path;                    // /ns/shop/sa/reviews
    /// Istio's parts of the path; empty when it has another shape.
    std::string_view ns() const, service_account() const;
};

/// Strictly: scheme spiffe (any case), a trust domain of [a-z0-9._-] of at most 255 bytes, path segments of [A-Za-z0-9._-] that are
/// neither empty nor . nor .., at most 2,048 bytes; no port, user, query, fragment, escape or NUL. The error says which rule.
std::expected<SpiffeId, std::string> parse_spiffe_id(std::string_view uri);

struct PeerIdentity {
    bool presented = false;              // a certificate was sent
    bool verified = false;               // and it passed; false with presented: only where the configuration accepts untrusted
    SpiffeId spiffe;                     // text is empty: no SPIFFE identity
    std::vector<std::string> uri_sans, dns_sans;
    std::vector<std::string> other_sans; // IP:192.0.2.7, email:a@b.example, othername:...
    std::string subject, issuer;         // RFC 2253, as Envoy prints them
    std::string serial;                  // lower-case hex
    std::string sha256;                  // of the leaf's DER, lower-case hex
    std::string sha1;
    std::string pem_url_encoded;         // the leaf, for XFCC Cert=; empty unless asked for
    std::string chain_url_encoded;       // for XFCC Chain=; empty unless asked for
    std::string chain_sha256, chain_sha1, chain_serials;   // of all that the peer sent, leaf first, by commas; empty unless asked for
    int64_t not_before_s = 0, not_after_s = 0;   // since 1970
    /// Istio's principal, without the scheme: cluster.local/ns/shop/sa/reviews; empty without a SPIFFE identity.
    std::string_view principal() const;
};

}  // namespace sluice::tls
