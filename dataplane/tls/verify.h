// Is the peer who it should be? One Verification (context.h), compiled: roots, revocation, names and pins. In: the peer's leaf and the
// other certificates that it sent. Out: a Verdict with what is wrong, for counters, for the alert and for people. Immutable; shared by
// handshake threads. Internal to the TLS room. RFC 5280 6, RFC 6125 6, X.509-SVID standard 5.
#pragma once

#include <array>
#include <expected>
#include <map>
#include <memory>
#include <string>

#include "tls/certificate.h"
#include "tls/context.h"
#include "tls/handshake.h"

namespace sluice::tls {

struct Verdict {
    Failure failure = Failure::kNone;
    int error = X509_V_OK;      // OpenSSL's, from which it chooses the alert; not OK without a failure: accepted though untrusted
    std::string reason;
    int64_t good_until_s = INT64_MAX;   // of a chain that passed: the first end of a certificate or of a list in it; since 1970
};

class Verifier {
 public:
    /// `own`: the role of this end. A client, and a server that asks for certificates, must have something to verify with.
    static std::expected<std::unique_ptr<const Verifier>, ContextError> create(const Verification& verification, Role own);

    /// Everything, as after a full handshake. `peer`: what this destination asks beyond; nullptr: nothing.
    Verdict verify(X509* leaf, STACK_OF(X509) * untrusted, const ClientPeer* peer) const;
    /// What can be checked on resumption, where only the leaf is known: all but the chain (a changed trust makes tickets void, and they
    /// end when Verdict::good_until_s says so).
    Verdict recheck(X509* leaf, const ClientPeer* peer) const;
    /// SHA-256 over everything that a verdict depends on, without time.
    const std::array<uint8_t, 32>& fingerprint() const { return fingerprint_; }
    /// Names of all roots, for CertificateRequest. The caller owns it.
    STACK_OF(X509_NAME) * root_names() const;
    int64_t now_s() const;

 private:
    Verifier(const Verification& verification, Role own) : verification_(verification), own_(own) {}
    std::expected<void, ContextError> compile();
    /// Roots, and the lists that chains to them are held against.
    struct Roots {
        StorePtr store;
        std::vector<const X509_CRL*> crls;   // owned by crls_
    };
    std::expected<Roots, ContextError> make_roots(const std::string& pem, const std::string& name);
    std::expected<size_t, std::string> read_crls(const std::string& pem);
    const Roots* roots_for(const std::vector<AlternativeName>& names, Verdict& verdict) const;
    Verdict verify_chain(X509* leaf, STACK_OF(X509) * untrusted, const Roots& roots) const;
    static int64_t end_of(const STACK_OF(X509) * chain, const Roots& roots);
    Verdict check_leaf(X509* leaf, const std::vector<AlternativeName>& names, const ClientPeer* peer) const;
    Verdict check_spiffe(X509* leaf, const std::vector<AlternativeName>& names) const;
    Verdict check_pins(const X509* leaf) const;
    Verdict settle(Verdict verdict) const;

    Verification verification_;
    Role own_;
    std::unique_ptr<const Roots> roots_;                       // nullptr: none
    std::map<std::string, Roots, std::less<>> by_trust_domain_;
    std::vector<CrlPtr> crls_;                                 // those of Verification::crl_pem first
    size_t common_crls_ = 0;                                   // so many
    std::vector<X509Ptr> all_roots_;
    std::array<uint8_t, 32> fingerprint_{};
};

/// Does one of `matchers` take one of `names`? envoy: an exact DNS matcher also takes a certificate's wildcard.
bool any_matches(const std::vector<SanMatcher>& matchers, const std::vector<AlternativeName>& names);
/// A stable hash of what a matcher asks, for keys of kept sessions.
std::string describe(const SanMatcher& matcher);

/// SHA-256 over strings, each with its length, so that no two lists of them give one hash.
class Fingerprint {
 public:
    Fingerprint();
    Fingerprint& add(std::string_view text);
    Fingerprint& add(uint64_t number);
    std::array<uint8_t, 32> finish();

 private:
    DigestPtr digest_;
};

}  // namespace sluice::tls
