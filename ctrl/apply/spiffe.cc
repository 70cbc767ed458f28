// Reading of bundles (see spiffe.h).
// In: PEM for each domain, or one JSON document: {"trust_domains": {"a.example": {"keys": [{"use": "x509-svid", "x5c": ["MII..."]}]}}}.
// Out: PEM for each domain; whether it holds certificates is checked where a context is made of it.
// What is given by file name is refused: resources are handed to us whole.
#include "ctrl/apply/spiffe.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>

#include "ctrl/apply/secrets.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config.pb.h"

namespace sluice::apply {
namespace {

using Config = envoy::extensions::transport_sockets::tls::v3::SPIFFECertValidatorConfig;
using TrustDomain = tls::Verification::TrustDomain;
using Domains = std::expected<std::vector<TrustDomain>, SpiffeError>;
using google::protobuf::Struct;
using google::protobuf::Value;

constexpr size_t kDomainsMax = 1000, kBundleBytesMax = 16 << 20, kPemLine = 64;

std::unexpected<SpiffeError> wrong(std::string field, std::string what) { return std::unexpected(SpiffeError{std::move(field), std::move(what)}); }

bool is_base64(const std::string& text) {
    const auto end = std::find_if_not(text.begin(), text.end(), [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
    });
    return end != text.begin() && std::all_of(end, text.end(), [](char c) { return c == '='; });
}

/// A certificate as JSON Web Keys hold it (RFC 7517 4.7) in PEM.
std::string to_pem(const std::string& base64) {
    std::string out = "-----BEGIN CERTIFICATE-----\n";
    for (size_t at = 0; at < base64.size(); at += kPemLine) out += base64.substr(at, kPemLine) + "\n";
    return out + "-----END CERTIFICATE-----\n";
}

const Value* member(const Struct& in, const std::string& name) {
    const auto found = in.fields().find(name);
    return found == in.fields().end() ? nullptr : &found->second;
}

/// Empty where the key is for something else, such as JWTs: others' keys are to be passed over (bundle standard, 4.2.2).
std::expected<std::string, std::string> certificates_of(const Value& key) {
    if (!key.has_struct_value()) return std::unexpected("a key that is no object");
    const Value* use = member(key.struct_value(), "use");
    if (!use || use->string_value().empty()) return std::unexpected("a key without `use`");
    if (use->string_value() != "x509-svid") return std::string();
    const Value* x5c = member(key.struct_value(), "x5c");
    if (!x5c || x5c->list_value().values().empty()) return std::unexpected("a key for x509-svid without x5c");
    std::string out;
    for (const Value& one : x5c->list_value().values()) {
        if (!is_base64(one.string_value())) return std::unexpected("x5c holds what is no certificate in base64");
        out += to_pem(one.string_value());
    }
    return out;
}

std::expected<TrustDomain, std::string> read_domain(const std::string& name, const Value& in) {
    const Value* keys = in.has_struct_value() ? member(in.struct_value(), "keys") : nullptr;
    if (!keys || keys->list_value().values().empty()) return std::unexpected("trust domain " + name + " has no keys");
    TrustDomain out{name, ""};
    for (const Value& key : keys->list_value().values()) {
        auto pem = certificates_of(key);
        if (!pem) return std::unexpected("trust domain " + name + ": " + pem.error());
        out.trusted_ca_pem += *pem;
    }
    if (out.trusted_ca_pem.empty()) return std::unexpected("trust domain " + name + " has no key for x509-svid");
    return out;
}

Domains read_bundles(const envoy::config::core::v3::DataSource& in) {
    constexpr char kField[] = "typed_config.trust_bundles";
    const auto text = inline_bytes(in);
    if (!text) return wrong(kField, "must be given inline");
    if (text->size() > kBundleBytesMax) return wrong(kField, "larger than 16 MiB");
    Struct document;
    const auto parsed = google::protobuf::util::JsonStringToMessage(*text, &document);
    if (!parsed.ok()) return wrong(kField, "no JSON object: " + std::string(parsed.message()).substr(0, 200));
    const Value* domains = member(document, "trust_domains");
    if (!domains || domains->struct_value().fields().empty()) return wrong(kField, "no trust_domains in it");
    std::vector<TrustDomain> out;
    for (const auto& [name, value] : domains->struct_value().fields()) {
        auto domain = read_domain(name, value);
        if (!domain) return wrong(kField, domain.error());
        out.push_back(std::move(*domain));
    }
    std::sort(out.begin(), out.end(), [](const TrustDomain& a, const TrustDomain& b) { return a.name < b.name; });   // maps have no order
    return out;
}

}  // namespace

Domains read_spiffe_validator(const envoy::config::core::v3::TypedExtensionConfig& in) {
    Config config;
    if (!in.typed_config().UnpackTo(&config)) return wrong("typed_config", "the SPIFFE validator alone is supported: SPIFFECertValidatorConfig");
    // Envoy: the map is taken, and the list passed over.
    Domains out = std::vector<TrustDomain>();
    if (config.has_trust_bundles()) out = read_bundles(config.trust_bundles());
    else
        for (int i = 0; i < config.trust_domains_size(); i++) {
            const auto& domain = config.trust_domains(i);
            const auto pem = inline_bytes(domain.trust_bundle());
            if (!pem) return wrong("typed_config.trust_domains[" + std::to_string(i) + "].trust_bundle", "must be given inline");
            out->push_back({domain.name(), *pem});
        }
    if (!out) return out;
    if (out->empty()) return wrong("typed_config", "no trust domain: whoever comes would be refused");
    if (out->size() > kDomainsMax) return wrong("typed_config", "more than 1,000 trust domains");
    return out;
}

}  // namespace sluice::apply
