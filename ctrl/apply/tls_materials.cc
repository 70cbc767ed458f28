// Secrets by their names, parameters by their values.
// In: messages. Out: plain values.
// Borrows secrets for the length of a call.
// Envoy transport_sockets.tls.v3.
#include "ctrl/apply/tls_materials.h"

#include <re2/re2.h>

#include <algorithm>

#include "ctrl/apply/readers.h"
#include "ctrl/apply/spiffe.h"
#include "route/regex.h"

namespace sluice::apply {
namespace {

namespace pb = tls_pb;

constexpr char kIstioRoots[] = "ROOTCA";   // workload identities: peers are SPIFFE IDs

uint64_t add_secret(uint64_t hash, const std::string& name, const Secrets::Found& found) { return mix(mix(hash, name), found.hash); }

class MaterialsReader {
 public:
    MaterialsReader(const Secrets& secrets, Materials& out) : secrets_(secrets), out_(out) {}
    bool read(const pb::CommonTlsContext& in, const At& at);

 private:
    const SecretProto* secret(const std::string& name) {
        const Secrets::Found found = secrets_.find(name);
        out_.hash = add_secret(out_.hash, name, found);
        out_.secrets.push_back(name);
        if (!found.content) out_.missing = true;
        return found.content;
    }
    bool certificate(const pb::TlsCertificate& in, const std::string& name, const At& at);
    bool trust(const std::string& name, pb::CertificateValidationContext& out, const At& at);

    const Secrets& secrets_;
    Materials& out_;
};

bool MaterialsReader::certificate(const pb::TlsCertificate& in, const std::string& name, const At& at) {
    const auto chain = inline_bytes(in.certificate_chain()), key = inline_bytes(in.private_key());
    if (!chain || !key) return at.refuse("certificate_chain and private_key must be given inline");
    out_.certificates.push_back({*chain, *key, inline_bytes(in.ocsp_staple()).value_or(""), name});
    return true;
}

bool MaterialsReader::trust(const std::string& name, pb::CertificateValidationContext& out, const At& at) {
    out_.validates = true;
    out_.istio_roots |= name == kIstioRoots;
    const SecretProto* found = secret(name);
    if (!found) return true;
    if (!found->has_validation_context()) return at.refuse("secret " + name + " is not a validation context");
    const auto& context = found->validation_context();
    out.MergeFrom(context);
    *out_.secret_names.mutable_match_subject_alt_names() = context.match_subject_alt_names();
    *out_.secret_names.mutable_match_typed_subject_alt_names() = context.match_typed_subject_alt_names();
    return true;
}

bool MaterialsReader::read(const pb::CommonTlsContext& in, const At& at) {
    bool good = true;
    for (int i = 0; i < in.tls_certificates_size(); i++)
        good &= certificate(in.tls_certificates(i), "tls_certificates[" + std::to_string(i) + "]", at.child("tls_certificates", i));
    for (int i = 0; i < in.tls_certificate_sds_secret_configs_size(); i++) {
        const At here = at.child("tls_certificate_sds_secret_configs", i);
        const std::string& name = in.tls_certificate_sds_secret_configs(i).name();
        const SecretProto* found = secret(name);
        if (found && !found->has_tls_certificate()) good = here.refuse("secret " + name + " is not a certificate");
        else if (found) good &= certificate(found->tls_certificate(), name, here);
    }
    switch (in.validation_context_type_case()) {
        case pb::CommonTlsContext::kValidationContext:
            out_.validation = in.validation_context();
            out_.validates = true;
            break;
        case pb::CommonTlsContext::kValidationContextSdsSecretConfig:
            good &= trust(in.validation_context_sds_secret_config().name(), out_.validation, at.child("validation_context_sds_secret_config"));
            break;
        case pb::CommonTlsContext::kCombinedValidationContext: {
            const auto& combined = in.combined_validation_context();
            out_.validation = combined.default_validation_context();
            good &= trust(combined.validation_context_sds_secret_config().name(), out_.validation, at.child("combined_validation_context"));
            break;
        }
        default: break;
    }
    return good;
}

bool read_version(pb::TlsParameters::TlsProtocol in, tls::Version automatic, tls::Version& out, const At& at) {
    switch (in) {
        case pb::TlsParameters::TLS_AUTO: out = automatic; return true;
        case pb::TlsParameters::TLSv1_2: out = tls::Version::kTls12; return true;
        case pb::TlsParameters::TLSv1_3: out = tls::Version::kTls13; return true;
        default: return at.refuse("TLS 1.2 is the oldest version that is spoken");
    }
}

bool read_san(const envoy::type::matcher::v3::StringMatcher& in, tls::SanMatcher& out, const At& at) {
    using StringMatcher = envoy::type::matcher::v3::StringMatcher;
    using Kind = tls::SanMatcher::Kind;
    out.ignore_case = in.ignore_case();
    switch (in.match_pattern_case()) {
        case StringMatcher::kExact: out.kind = Kind::kExact, out.text = in.exact(); return true;
        case StringMatcher::kPrefix: out.kind = Kind::kPrefix, out.text = in.prefix(); return true;
        case StringMatcher::kSuffix: out.kind = Kind::kSuffix, out.text = in.suffix(); return true;
        case StringMatcher::kContains: out.kind = Kind::kContains, out.text = in.contains(); return true;
        case StringMatcher::kSafeRegex: {
            auto regex = route::compile_regex(in.safe_regex().regex());
            if (!regex) return at.refuse(regex.error());
            out.kind = Kind::kCustom, out.text = in.safe_regex().regex();
            out.custom = [regex = *regex](std::string_view text) { return re2::RE2::FullMatch({text.data(), text.size()}, *regex); };
            return true;
        }
        default: return at.refuse("a matcher without a pattern");
    }
}

/// Colons and case are people's; the context wants 64 lower-case hex digits.
bool read_hash(const std::string& in, std::string& out, const At& at) {
    for (const char c : in)
        if (c != ':') out += static_cast<char>(c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);
    const bool hex = std::all_of(out.begin(), out.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
    return (hex && out.size() == 64) || at.refuse("not a SHA-256 in hex");
}

}  // namespace

bool read_materials(const Secrets& secrets, const pb::CommonTlsContext& in, Materials& out, const At& at) {
    return MaterialsReader(secrets, out).read(in, at);
}

uint64_t hash_of_secrets(const Secrets& secrets, const std::vector<std::string>& names) {
    uint64_t hash = 0;
    for (const std::string& name : names) hash = add_secret(hash, name, secrets.find(name));
    return hash;
}

/// Envoy's TLS_AUTO is 1.3 for servers and 1.2 for clients; here 1.3 for both.
bool read_parameters(const pb::TlsParameters& in, tls::Parameters& out, const At& at) {
    out.cipher_suites.assign(in.cipher_suites().begin(), in.cipher_suites().end());
    out.groups.assign(in.ecdh_curves().begin(), in.ecdh_curves().end());
    return read_version(in.tls_minimum_protocol_version(), tls::Version::kTls12, out.min_version, at.child("tls_minimum_protocol_version")) &
           read_version(in.tls_maximum_protocol_version(), tls::Version::kTls13, out.max_version, at.child("tls_maximum_protocol_version"));
}

bool read_sans(const pb::CertificateValidationContext& in, std::vector<tls::SanMatcher>& out, const At& at) {
    using Type = tls::SanMatcher::Type;
    bool good = true;
    for (int i = 0; i < in.match_typed_subject_alt_names_size(); i++) {
        const auto& one = in.match_typed_subject_alt_names(i);
        const At here = at.child("match_typed_subject_alt_names", i);
        auto& made = out.emplace_back();
        switch (one.san_type()) {
            case pb::SubjectAltNameMatcher::DNS: made.type = Type::kDns; break;
            case pb::SubjectAltNameMatcher::URI: made.type = Type::kUri; break;
            case pb::SubjectAltNameMatcher::EMAIL: made.type = Type::kEmail; break;
            case pb::SubjectAltNameMatcher::IP_ADDRESS: made.type = Type::kIp; break;
            default: good = here.child("san_type").refuse("not a type that is matched: DNS, URI, EMAIL or IP_ADDRESS");
        }
        good &= read_san(one.matcher(), made, here.child("matcher"));
    }
    for (int i = 0; i < in.match_subject_alt_names_size(); i++)
        good &= read_san(in.match_subject_alt_names(i), out.emplace_back(), at.child("match_subject_alt_names", i));
    return good;
}

bool read_verification(const Materials& in, tls::Verification& out, const At& at) {
    const auto& from = in.validation;
    // Envoy: a validator of its own takes the place of trusted_ca.
    if (from.has_custom_validator_config()) {
        auto domains = read_spiffe_validator(from.custom_validator_config());
        if (!domains) return at.child("custom_validator_config").child(domains.error().field).refuse(domains.error().what);
        out.trust_domains = std::move(*domains);
    } else if (from.has_trusted_ca()) out.trusted_ca_pem = inline_bytes(from.trusted_ca()).value_or("");
    if (from.has_trusted_ca() && out.trusted_ca_pem.empty() && out.trust_domains.empty()) return at.child("trusted_ca").refuse("must be given inline");
    if (from.has_crl()) out.crl_pem = inline_bytes(from.crl()).value_or("");
    if (from.has_crl() && out.crl_pem.empty()) return at.child("crl").refuse("must be given inline");
    out.crl_only_leaf = from.only_verify_leaf_cert_crl();
    bool good = true;
    for (int i = 0; i < from.verify_certificate_hash_size(); i++)
        good &= read_hash(from.verify_certificate_hash(i), out.certificate_sha256.emplace_back(), at.child("verify_certificate_hash", i));
    out.spki_sha256.assign(from.verify_certificate_spki().begin(), from.verify_certificate_spki().end());
    out.accept_untrusted = out.trust_domains.empty() && from.trust_chain_verification() == pb::CertificateValidationContext::ACCEPT_UNTRUSTED;
    out.require_spiffe = in.istio_roots;
    if (from.has_max_verify_depth()) out.max_depth = static_cast<int>(std::min(from.max_verify_depth().value(), 100u));
    return good;
}

}  // namespace sluice::apply
