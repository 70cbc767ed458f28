// Verification of certificates (see verify.h): first the chain with the roots of the peer's own domain, then what the leaf says.
#include "tls/verify.h"

#include <openssl/pem.h>

#include <algorithm>
#include <cstring>
#include <ctime>

#include "base/ip_address.h"

namespace sluice::tls {

namespace {

constexpr unsigned kHostFlags = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
constexpr int kSecurityLevel = 2;   // 112 bits: RSA 2048, P-256, no SHA-1

Failure failure_of(int error) {
    switch (error) {
        case X509_V_OK: return Failure::kNone;
        case X509_V_ERR_CERT_HAS_EXPIRED: return Failure::kExpired;
        case X509_V_ERR_CERT_NOT_YET_VALID: return Failure::kNotYetValid;
        case X509_V_ERR_CERT_REVOKED: return Failure::kRevoked;
        case X509_V_ERR_INVALID_PURPOSE: return Failure::kWrongPurpose;
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_PERMITTED_VIOLATION:
        case X509_V_ERR_EXCLUDED_VIOLATION: return Failure::kWrongName;
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        case X509_V_ERR_CERT_UNTRUSTED:
        case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        case X509_V_ERR_CERT_CHAIN_TOO_LONG:
        case X509_V_ERR_INVALID_CA: return Failure::kUnknownCa;
        default: return Failure::kBadCertificate;
    }
}

Verdict refuse(int error, const X509* certificate, const std::string& why) {
    return {failure_of(error), error, "CERTIFICATE_VERIFY_FAILED: " + why + ": " + who(certificate)};
}
/// A name or identity that is not the one asked for; OpenSSL sends bad_certificate.
Verdict wrong_name(const X509* leaf, const std::string& why) { return refuse(X509_V_ERR_HOSTNAME_MISMATCH, leaf, why); }

std::string list_of(const std::vector<AlternativeName>& names) {
    std::string out;
    for (size_t i = 0; i < names.size() && i < 4; i++) out += (i > 0 ? ", " : "") + names[i].text;
    if (names.size() > 4) out += ", ...";
    return out.empty() ? "none" : out.substr(0, 300);
}

bool is_hex_sha256(std::string_view text) {
    return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}
bool is_base64_sha256(const std::string& text) {
    unsigned char out[48];
    return text.size() == 44 && text.back() == '=' && text[42] != '=' &&
           EVP_DecodeBlock(out, reinterpret_cast<const unsigned char*>(text.data()), 44) == 33;
}

bool is_ca(X509* certificate) { return X509_check_ca(certificate) == 1; }

}  // namespace

Fingerprint::Fingerprint() : digest_(EVP_MD_CTX_new()) { EVP_DigestInit_ex(digest_.get(), EVP_sha256(), nullptr); }
Fingerprint& Fingerprint::add(std::string_view text) {
    add(text.size());
    EVP_DigestUpdate(digest_.get(), text.data(), text.size());
    return *this;
}
Fingerprint& Fingerprint::add(uint64_t number) {
    EVP_DigestUpdate(digest_.get(), &number, sizeof number);
    return *this;
}
std::array<uint8_t, 32> Fingerprint::finish() {
    std::array<uint8_t, 32> out{};
    EVP_DigestFinal_ex(digest_.get(), out.data(), nullptr);
    return out;
}

std::expected<std::unique_ptr<const Verifier>, ContextError> Verifier::create(const Verification& verification, Role own) {
    std::unique_ptr<Verifier> verifier(new Verifier(verification, own));
    if (auto done = verifier->compile(); !done) return std::unexpected(done.error());
    return verifier;
}

/// Appends the lists of `pem` to crls_. How many there were.
std::expected<size_t, std::string> Verifier::read_crls(const std::string& pem) {
    const size_t before = crls_.size();
    const BioPtr bio = bio_over(pem);
    while (X509_CRL* crl = PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr)) crls_.emplace_back(crl);
    const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    const std::string error = take_openssl_error();
    if (!at_end) return std::unexpected(error);
    return crls_.size() - before;
}

/// Lists that stand among the roots hold for them, as with Envoy.
std::expected<Verifier::Roots, ContextError> Verifier::make_roots(const std::string& pem, const std::string& name) {
    auto certificates = parse_certificates(pem);
    if (!certificates) return std::unexpected(ContextError{name + ": " + certificates.error(), "give the CA's certificates in PEM"});
    const size_t before = crls_.size();
    if (const auto read = read_crls(pem); !read)
        return std::unexpected(ContextError{name + ": a revocation list among the certificates cannot be read: " + read.error(), "take it out, or give it in PEM"});
    Roots roots{StorePtr(X509_STORE_new()), {}};
    for (X509Ptr& certificate : *certificates) {
        X509_STORE_add_cert(roots.store.get(), certificate.get());
        X509_check_ca(certificate.get());   // fills the certificate's cached extensions here and not on many threads at once
        all_roots_.push_back(std::move(certificate));
    }
    for (size_t i = 0; i < crls_.size(); i++) {
        if (i >= common_crls_ && i < before) continue;   // another domain's
        X509_STORE_add_crl(roots.store.get(), crls_[i].get());
        roots.crls.push_back(crls_[i].get());
    }
    ERR_clear_error();
    return roots;
}

std::expected<void, ContextError> Verifier::compile() {
    const Verification& v = verification_;
    if (!v.crl_pem.empty()) {
        const auto read = read_crls(v.crl_pem);
        if (!read || *read == 0)
            return std::unexpected(ContextError{"the certificate revocation list cannot be read: " + (read ? "no list in PEM" : read.error()),
                                                "give lists in PEM, from -----BEGIN X509 CRL----- to its END line"});
        common_crls_ = *read;
    }
    if (!v.trusted_ca_pem.empty() && !v.trust_domains.empty())
        return std::unexpected(ContextError{"both a trusted CA and trust domains are given",
                                            "give each trust domain its roots, also the local one, and no other trusted CA"});
    if (!v.trusted_ca_pem.empty()) {
        auto roots = make_roots(v.trusted_ca_pem, "trusted CA");
        if (!roots) return std::unexpected(roots.error());
        roots_ = std::make_unique<const Roots>(std::move(*roots));
    }
    for (const Verification::TrustDomain& domain : v.trust_domains) {
        if (auto id = parse_spiffe_id("spiffe://" + domain.name); !id || !id->path.empty())
            return std::unexpected(ContextError{"trust domain \"" + domain.name + "\": " + (id ? "has a path" : id.error()),
                                                "give its name alone, such as cluster.local"});
        auto roots = make_roots(domain.trusted_ca_pem, "trust domain " + domain.name);
        if (!roots) return std::unexpected(roots.error());
        if (!by_trust_domain_.emplace(domain.name, std::move(*roots)).second)
            return std::unexpected(ContextError{"trust domain " + domain.name + " is given twice", "put all of its roots in one bundle"});
    }
    for (const std::string& pin : v.certificate_sha256)
        if (!is_hex_sha256(pin)) return std::unexpected(ContextError{"certificate hash \"" + pin + "\" is no SHA-256 in lower-case hex", "openssl x509 -outform DER | sha256sum"});
    for (const std::string& pin : v.spki_sha256)
        if (!is_base64_sha256(pin))
            return std::unexpected(ContextError{"SPKI hash \"" + pin + "\" is no SHA-256 in base64",
                                                "openssl x509 -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary | base64"});
    const bool anything = roots_ || !by_trust_domain_.empty() || !v.certificate_sha256.empty() || !v.spki_sha256.empty();
    if (!anything && !v.accept_untrusted)
        return std::unexpected(ContextError{"nothing is given that a peer's certificate could be verified with",
                                            "give a trusted CA, trust domains or pins; or accept untrusted peers explicitly"});
    Fingerprint f;
    f.add(v.trusted_ca_pem).add(v.trust_domains.size());
    for (const Verification::TrustDomain& domain : v.trust_domains) f.add(domain.name).add(domain.trusted_ca_pem);
    f.add(v.crl_pem).add(v.crl_only_leaf).add(v.subject_alt_names.size());
    for (const SanMatcher& matcher : v.subject_alt_names) f.add(tls::describe(matcher));
    f.add(v.certificate_sha256.size());
    for (const std::string& pin : v.certificate_sha256) f.add(pin);
    f.add(v.spki_sha256.size());
    for (const std::string& pin : v.spki_sha256) f.add(pin);
    f.add(v.accept_untrusted).add(v.require_spiffe).add(static_cast<uint64_t>(v.max_depth));
    fingerprint_ = f.finish();
    return {};
}

STACK_OF(X509_NAME) * Verifier::root_names() const {
    STACK_OF(X509_NAME)* names = sk_X509_NAME_new(nullptr);
    for (const X509Ptr& root : all_roots_) {
        X509_NAME* name = X509_get_subject_name(root.get());
        bool known = false;
        for (int i = 0; i < sk_X509_NAME_num(names) && !known; i++) known = X509_NAME_cmp(sk_X509_NAME_value(names, i), name) == 0;
        if (!known) sk_X509_NAME_push(names, X509_NAME_dup(name));
    }
    return names;
}

/// The roots that may vouch for this peer; nullptr with a verdict: none; nullptr without: chains are not looked at (pins alone).
const Verifier::Roots* Verifier::roots_for(const std::vector<AlternativeName>& names, Verdict& verdict) const {
    if (by_trust_domain_.empty()) return roots_.get();
    const AlternativeName* uri = nullptr;
    size_t uris = 0;
    for (const AlternativeName& name : names)
        if (name.type == SanMatcher::Type::kUri) uri = &name, uris++;
    const auto refuse_domain = [&](const std::string& why) { verdict = {Failure::kUnknownCa, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, why}; };
    if (uris != 1) {
        refuse_domain("no trust domain: " + std::to_string(uris) + " URI names instead of one");
        return nullptr;
    }
    const auto id = parse_spiffe_id(uri->text);
    if (!id) {
        refuse_domain("no trust domain: \"" + uri->text + "\" is no SPIFFE ID: " + id.error());
        return nullptr;
    }
    const auto found = by_trust_domain_.find(id->trust_domain);
    if (found == by_trust_domain_.end()) {
        refuse_domain("trust domain " + id->trust_domain + " is not trusted");
        return nullptr;
    }
    return &found->second;
}

int64_t Verifier::now_s() const { return verification_.clock_s ? verification_.clock_s() : static_cast<int64_t>(std::time(nullptr)); }

/// When this chain stops being good by itself: a certificate ends, or all lists of an issuer are out of date.
int64_t Verifier::end_of(const STACK_OF(X509) * chain, const Roots& roots) {
    int64_t end = INT64_MAX;
    for (int i = 0; i < sk_X509_num(chain); i++) {
        const X509* certificate = sk_X509_value(chain, i);
        end = std::min(end, seconds_since_1970(X509_get0_notAfter(certificate)));
        int64_t lists_end = 0;
        for (const X509_CRL* crl : roots.crls)
            if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(certificate)) == 0 && X509_CRL_get0_nextUpdate(crl))
                lists_end = std::max(lists_end, seconds_since_1970(X509_CRL_get0_nextUpdate(crl)));
        if (lists_end > 0) end = std::min(end, lists_end);
    }
    return end;
}

Verdict Verifier::verify_chain(X509* leaf, STACK_OF(X509) * untrusted, const Roots& roots) const {
    const StoreContextPtr context(X509_STORE_CTX_new());
    if (!context || X509_STORE_CTX_init(context.get(), roots.store.get(), leaf, untrusted) != 1) return refuse(X509_V_ERR_OUT_OF_MEM, leaf, "out of memory");
    X509_STORE_CTX_set_default(context.get(), own_ == Role::kServer ? "ssl_client" : "ssl_server");
    X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(context.get());
    X509_VERIFY_PARAM_set_depth(param, verification_.max_depth);
    X509_VERIFY_PARAM_set_auth_level(param, kSecurityLevel);
    unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN;   // an intermediate may be the trusted one, as with Envoy
    if (!roots.crls.empty()) flags |= X509_V_FLAG_CRL_CHECK | (verification_.crl_only_leaf ? 0ul : static_cast<unsigned long>(X509_V_FLAG_CRL_CHECK_ALL));
    X509_VERIFY_PARAM_set_flags(param, flags);
    if (verification_.clock_s) X509_VERIFY_PARAM_set_time(param, static_cast<time_t>(now_s()));
    if (X509_verify_cert(context.get()) == 1) {
        Verdict passed;
        passed.good_until_s = end_of(X509_STORE_CTX_get0_chain(context.get()), roots);
        return passed;
    }
    const int error = X509_STORE_CTX_get_error(context.get());
    const X509* at = X509_STORE_CTX_get_current_cert(context.get());
    ERR_clear_error();
    return refuse(error == X509_V_OK ? X509_V_ERR_UNSPECIFIED : error, at ? at : leaf, X509_verify_cert_error_string(error));
}

/// X.509-SVID: one URI and no more, of the SPIFFE scheme, on a certificate that cannot sign others. A client is a workload, so it has a path.
Verdict Verifier::check_spiffe(X509* leaf, const std::vector<AlternativeName>& names) const {
    std::vector<AlternativeName> uris;
    for (const AlternativeName& name : names)
        if (name.type == SanMatcher::Type::kUri) uris.push_back(name);
    if (uris.size() != 1) return wrong_name(leaf, std::to_string(uris.size()) + " URI names instead of the one SPIFFE ID");
    const auto id = parse_spiffe_id(uris[0].text);
    if (!id) return wrong_name(leaf, "\"" + uris[0].text + "\" is no SPIFFE ID: " + id.error());
    if (own_ == Role::kServer && id->path.empty()) return wrong_name(leaf, "\"" + id->text + "\" names a trust domain and no workload");
    if (is_ca(leaf)) return wrong_name(leaf, "a CA's certificate is nobody's identity");
    if (X509_get_key_usage(leaf) != UINT32_MAX && (X509_get_key_usage(leaf) & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)) != 0)
        return wrong_name(leaf, "a certificate that may sign certificates is nobody's identity");
    // Envoy's SPIFFE validator wants it too; identities of one root are taken without, as its other validator does.
    if (!by_trust_domain_.empty() && X509_get_key_usage(leaf) == UINT32_MAX) return wrong_name(leaf, "an identity without key usage (X.509-SVID 4.3)");
    return {};
}

/// The hashes that it has are told: an operator may want to pin them. The alert is as of a wrong name.
Verdict Verifier::check_pins(const X509* leaf) const {
    const auto& hashes = verification_.certificate_sha256;
    const auto& keys = verification_.spki_sha256;
    if (hashes.empty() && keys.empty()) return {};
    const std::string hash = hashes.empty() ? std::string() : digest_hex(leaf, EVP_sha256());
    const std::string key = keys.empty() ? std::string() : spki_sha256(leaf);
    if (!hashes.empty() && std::find(hashes.begin(), hashes.end(), hash) != hashes.end()) return {};
    if (!keys.empty() && std::find(keys.begin(), keys.end(), key) != keys.end()) return {};
    std::string why = "not pinned:";
    if (!hashes.empty()) why += " certificate hash " + hash;
    if (!keys.empty()) why += (hashes.empty() ? " SPKI hash " : ", SPKI hash ") + key;
    Verdict verdict = refuse(X509_V_ERR_HOSTNAME_MISMATCH, leaf, why);
    verdict.failure = Failure::kWrongPin;
    return verdict;
}

Verdict Verifier::check_leaf(X509* leaf, const std::vector<AlternativeName>& names, const ClientPeer* peer) const {
    if (verification_.require_spiffe || !by_trust_domain_.empty())
        if (Verdict verdict = check_spiffe(leaf, names); verdict.error != X509_V_OK) return verdict;
    if (!verification_.subject_alt_names.empty() && !any_matches(verification_.subject_alt_names, names))
        return wrong_name(leaf, "none of its names (" + list_of(names) + ") is wanted");
    if (peer && !peer->subject_alt_names.empty() && !any_matches(peer->subject_alt_names, names))
        return wrong_name(leaf, "none of its names (" + list_of(names) + ") is wanted");
    if (peer && !peer->verify_host.empty()) {
        const std::string& host = peer->verify_host;
        const bool found = IpAddress::parse(host) ? X509_check_ip_asc(leaf, host.c_str(), 0) == 1
                                                  : X509_check_host(leaf, host.data(), host.size(), kHostFlags, nullptr) == 1;
        ERR_clear_error();
        if (!found) return wrong_name(leaf, "none of its names (" + list_of(names) + ") is the host " + host);
    }
    return check_pins(leaf);
}

/// Untrusted peers may be welcome: then nothing fails, but the connection knows that nothing is proved.
Verdict Verifier::settle(Verdict verdict) const {
    if (verification_.accept_untrusted) verdict.failure = Failure::kNone;
    return verdict;
}

Verdict Verifier::verify(X509* leaf, STACK_OF(X509) * untrusted, const ClientPeer* peer) const {
    const auto names = read_alternative_names(leaf);
    if (!names) return settle({Failure::kBadCertificate, X509_V_ERR_INVALID_EXTENSION, "CERTIFICATE_VERIFY_FAILED: " + names.error() + ": " + who(leaf)});
    Verdict verdict;
    const Roots* roots = roots_for(*names, verdict);
    if (verdict.error != X509_V_OK) {
        verdict.reason = "CERTIFICATE_VERIFY_FAILED: " + verdict.reason + ": " + who(leaf);
        return settle(std::move(verdict));
    }
    const bool has_pins = !verification_.certificate_sha256.empty() || !verification_.spki_sha256.empty();
    if (roots) verdict = verify_chain(leaf, untrusted, *roots);
    else if (!has_pins) verdict = refuse(X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, leaf, "no trusted CA is configured");
    if (verdict.error == X509_V_OK)
        if (Verdict of_leaf = check_leaf(leaf, *names, peer); of_leaf.error != X509_V_OK) verdict = std::move(of_leaf);
    return settle(std::move(verdict));
}

Verdict Verifier::recheck(X509* leaf, const ClientPeer* peer) const {
    const auto names = read_alternative_names(leaf);
    if (!names) return settle({Failure::kBadCertificate, X509_V_ERR_INVALID_EXTENSION, "CERTIFICATE_VERIFY_FAILED: " + names.error() + ": " + who(leaf)});
    const int64_t now = now_s();
    if (seconds_since_1970(X509_get0_notAfter(leaf)) <= now) return settle(refuse(X509_V_ERR_CERT_HAS_EXPIRED, leaf, "certificate has expired"));
    if (seconds_since_1970(X509_get0_notBefore(leaf)) > now) return settle(refuse(X509_V_ERR_CERT_NOT_YET_VALID, leaf, "certificate is not yet valid"));
    if (X509_check_purpose(leaf, own_ == Role::kServer ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER, 0) != 1)
        return settle(refuse(X509_V_ERR_INVALID_PURPOSE, leaf, "unsuitable certificate purpose"));
    Verdict verdict;
    roots_for(*names, verdict);
    if (verdict.error == X509_V_OK) verdict = check_leaf(leaf, *names, peer);
    return settle(std::move(verdict));
}

}  // namespace sluice::tls
