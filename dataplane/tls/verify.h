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
};

class Verifier {
 public:
    /// `own`: the role of this end. A client, and a server that asks for certificates, must have something to verify with.
    static std::expected<std::unique_ptr<const Verifier>, ContextError> create(const Verification& verification, Role own);

    /// Everything, as after a full handshake. `peer`: what this destination asks beyond; nullptr: nothing.
    Verdict verify(X509* leaf, STACK_OF(X509) * untrusted, const ClientPeer* peer) const;
    /// What can be checked on resumption, where only the leaf is known: all but the chain (a changed trust makes tickets void).
    Verdict recheck(X509* leaf, const ClientPeer* peer) const;
    /// SHA-256 over everything that a verdict depends on, without time.
    const std::array<uint8_t, 32>& fingerprint() const { return fingerprint_; }
    /// Names of all roots, for CertificateRequest. The caller owns it.
    STACK_OF(X509_NAME) * root_names() const;

 private:
    Verifier(const Verification& verification, Role own) : verification_(verification), own_(own) {}
    std::expected<void, ContextError> compile();
    std::expected<StorePtr, ContextError> make_store(const std::string& pem, const std::string& name);
    X509_STORE* roots_for(const std::vector<AlternativeName>& names, Verdict& verdict) const;
    Verdict verify_chain(X509* leaf, STACK_OF(X509) * untrusted, X509_STORE* roots) const;
    Verdict check_leaf(X509* leaf, const std::vector<AlternativeName>& names, const ClientPeer* peer) const;
    Verdict check_spiffe(X509* leaf, const std::vector<AlternativeName>& names) const;
    Verdict check_pins(const X509* leaf) const;
    Verdict settle(Verdict verdict) const;

    Verification verification_;
    Role own_;
    StorePtr roots_;                                           // nullptr: none
    std::map<std::string, StorePtr, std::less<>> by_trust_domain_;
    std::vector<CrlPtr> crls_;
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
