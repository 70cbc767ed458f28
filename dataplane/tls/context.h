// Certificates, trust and parameters of one end, ready for handshakes: what an xDS DownstreamTlsContext or UpstreamTlsContext with its
// secrets becomes. Made by the control thread (it parses, checks and may take milliseconds), immutable afterwards, shared by cores and
// handshake threads; a handshake in progress keeps its own reference. Neutral input: no protobuf here.
// Envoy extensions.transport_sockets.tls.v3; RFC 5280, 6125, 6066.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tls/types.h"

namespace sluice::tls {

class TicketKeys;   // ticket_keys.h

struct CertificateSource {
    std::string chain_pem;               // leaf first
    std::string private_key_pem;         // wiped after use
    std::string ocsp_staple;             // DER; empty: none
    std::string name;                    // of the secret, for messages
};

/// envoy SubjectAltNameMatcher. Regexes and the like are the builder's: a predicate on the whole text.
struct SanMatcher {
    enum class Type : uint8_t { kAny, kDns, kUri, kEmail, kIp } type = Type::kAny;
    enum class Kind : uint8_t { kExact, kPrefix, kSuffix, kContains, kCustom } kind = Kind::kExact;
    std::string text;
    bool ignore_case = false;
    std::function<bool(std::string_view)> custom = {};
};

/// How the peer's certificate is verified (envoy CertificateValidationContext).
struct Verification {
    std::string trusted_ca_pem;          // empty: nothing is trusted by chain; revocation lists in it count, as with Envoy
    /// SPIFFE: roots by trust domain (envoy SPIFFECertValidatorConfig); a peer's chain must end in those of its own domain. Revocation
    /// lists among the roots hold for that domain.
    struct TrustDomain {
        std::string name, trusted_ca_pem;
    };
    std::vector<TrustDomain> trust_domains;
    std::string crl_pem;                 // empty: none is looked at
    bool crl_only_leaf = false;
    std::vector<SanMatcher> subject_alt_names;   // one of them must match; empty: any
    std::vector<std::string> certificate_sha256; // lower-case hex; one of these or the SPKIs must match, where given
    std::vector<std::string> spki_sha256;        // base64
    bool accept_untrusted = false;       // trust_chain_verification ACCEPT_UNTRUSTED
    bool require_spiffe = false;         // exactly one URI SAN, a SPIFFE ID (ISTIO_MUTUAL and auto mTLS)
    int max_depth = 100;                 // envoy max_verify_depth
    int64_t (*clock_s)() = nullptr;      // since 1970; nullptr: the machine's. Tests have their own.
};

struct Parameters {
    Version min_version = Version::kTls12, max_version = Version::kTls13;
    std::vector<std::string> cipher_suites;   // OpenSSL names, 1.2 and 1.3 mixed; empty: AEADs with forward secrecy
    std::vector<std::string> groups;          // empty: X25519, P-256
    std::vector<std::string> alpn;            // most wanted first
    std::string key_log_path;                 // empty: off. For debugging only; loud.
};

struct ServerOptions {
    std::vector<CertificateSource> certificates;   // the client's algorithms choose among them
    Parameters parameters;
    enum class ClientCertificate : uint8_t { kNone, kOptional, kRequired } client_certificate = ClientCertificate::kNone;
    Verification verification;                // of clients; a changed one makes old tickets full handshakes
    std::shared_ptr<TicketKeys> ticket_keys;  // nullptr: no resumption
    bool identity_certificates = false;       // fill PeerIdentity::pem_url_encoded and the texts of chains
};

struct ClientOptions {
    std::vector<CertificateSource> certificates;   // none or one
    Parameters parameters;
    Verification verification;                // of servers, beyond what ClientPeer asks
    uint32_t sessions_max = 4;                // kept for one peer; 0: no resumption
};

/// What one destination adds to a ClientContext: many clusters share a context, each has its own peer. Part of the snapshot.
struct ClientPeer {
    std::string sni;                          // empty: none is sent
    std::vector<SanMatcher> subject_alt_names;
    std::string verify_host;                  // RFC 6125 name check against dNSName; empty: none
    std::vector<std::string> alpn;            // replaces the context's; empty: the context's
    bool identity_certificates = false;       // as of ServerOptions; of one handshake
};

/// What is wrong with a secret or parameter: `what` says it in words with the secret's name; never a byte of a key.
struct ContextError {
    std::string what, cure;
};

/// When a chain's first certificate expires, for metrics and `pc secrets`.
struct CertificateInfo {
    std::string name, subject, issuer, serial, sha256;
    std::vector<std::string> sans;            // URI:spiffe://..., DNS:shop.example
    int64_t not_before_s = 0, not_after_s = 0;
    std::string key_type;                     // EC P-256, RSA 2048
};
/// Of every certificate in `pem`, or what is wrong with it.
std::expected<std::vector<CertificateInfo>, ContextError> read_certificates(std::string_view pem, std::string_view name);

/// The last reference to a context may be dropped on any thread, a worker too: it is put aside there, without a lock or a free, since
/// freeing one takes a millisecond. This frees what was put aside: for the control thread, now and then; create() does it too. Returns how
/// many.
uint32_t free_retired_contexts();

class ServerContext {
 public:
    /// Refuses: unreadable, mismatched (key and leaf), expired or not yet valid certificates (at `now_s`), keys weaker than RSA 2048 or
    /// P-256, unknown suites or groups, an empty version range.
    static std::expected<std::shared_ptr<const ServerContext>, ContextError> create(ServerOptions options, int64_t now_s);
    virtual ~ServerContext() = default;
    virtual const std::vector<CertificateInfo>& certificates() const = 0;
};

class ClientContext {
 public:
    static std::expected<std::shared_ptr<const ClientContext>, ContextError> create(ClientOptions options, int64_t now_s);
    virtual ~ClientContext() = default;
    virtual const std::vector<CertificateInfo>& certificates() const = 0;
};

}  // namespace sluice::tls
