// Content of secrets: of Secret objects, of files.
// In: names, paths. Out: resources.
// A file that cannot be read leaves its secret without content, and says why: ctrl/apply keeps what was good before.
// Envoy transport_sockets.tls.v3.Secret.
#include "ctrl/translate/secrets.h"

#include <absl/strings/match.h>
#include <fmt/format.h>

#include "ctrl/model/secret.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config.pb.h"

namespace sluice::translate {

namespace tls_pb = envoy::extensions::transport_sockets::tls::v3;

namespace {

constexpr char kIdentity[] = "default", kIdentityRoots[] = "ROOTCA", kCaSuffix[] = "-cacert";

void set_bytes(envoy::config::core::v3::DataSource& out, const std::string& bytes) { out.set_inline_bytes(bytes); }

xds::Provenance place_of(const model::Secret& secret) { return {secret.source("metadata.name"), secret.id(), "data"}; }

}  // namespace

std::vector<std::string> own_trust_domains(const ProxyNode& node) {
    std::vector<std::string> domains = node.trust_domain_aliases;
    domains.insert(domains.begin(), node.trust_domain);
    return domains;
}

std::string kubernetes_certificate_name(const std::string& name) { return "kubernetes://" + name; }
std::string kubernetes_roots_name(const std::string& name) { return "kubernetes://" + name + (name.ends_with(kCaSuffix) ? "" : kCaSuffix); }

void SecretAsker::report(std::vector<Diagnostic>& errors, std::string code, const std::string& field, std::string message, std::string cure) const {
    Diagnostic d;
    if (object) {
        d = object->finding(std::move(code), path + field, std::move(message), std::move(cure));
    } else {
        d.code = std::move(code), d.object = "GatewayHost", d.field = "identity" + field, d.message = std::move(message), d.cure = std::move(cure);
    }
    errors.push_back(std::move(d));
}

SecretMaker::SecretMaker(const model::MeshConfig& mesh, const ProxyNode& node, std::vector<Diagnostic>& errors) : mesh_(mesh), node_(node), errors_(errors) {
    for (const model::Secret& secret : mesh.secrets)
        if (secret.ns == node.ns) ours_.emplace(secret.name, &secret);
}

const model::Secret* SecretMaker::find(const std::string& name) const {
    const auto found = ours_.find(name);
    return found == ours_.end() ? nullptr : found->second;
}

void SecretMaker::put(tls_pb::Secret secret, xds::Provenance place) {
    const std::string name = secret.name();
    if (!place.source.empty() || !place.object.empty()) out_.places[name] = std::move(place);
    out_.secrets[name] = std::move(secret);
}

void SecretMaker::missing(const SecretAsker& asker, const std::string& field, const std::string& name) {
    std::vector<std::string> known;
    std::string elsewhere;
    for (const model::Secret& secret : mesh_.secrets) {
        if (secret.ns == node_.ns) known.push_back(secret.name);
        if (secret.name == name && elsewhere.empty()) elsewhere = fmt::format("; there is one in namespace {}", secret.ns);
    }
    std::string cure = did_you_mean(name, known);
    if (cure.empty()) cure = fmt::format("add it: kind: Secret, metadata: {{name: {}, namespace: {}}}", name, node_.ns);
    asker.report(errors_, "SLC0140", field, fmt::format("no Secret {} in the gateway's namespace {}{}", name, node_.ns, elsewhere), std::move(cure));
}

// kubernetes://NAME: a certificate with its key.
void SecretMaker::kubernetes_certificate(const SecretAsker& asker, const std::string& field, const std::string& name) {
    const model::Secret* secret = find(name);
    if (!secret) return missing(asker, field, name);
    const model::Credential credential = model::credential_of(*secret);
    if (credential.certificate.empty() || credential.private_key.empty())
        return asker.report(errors_, "SLC0140", field, fmt::format("Secret {} has no certificate and key: it holds {}", name, model::keys_of(*secret)),
                            "tls.crt and tls.key (kubernetes.io/tls), or cert and key (Opaque)");
    tls_pb::Secret out;
    out.set_name(kubernetes_certificate_name(name));
    set_bytes(*out.mutable_tls_certificate()->mutable_certificate_chain(), credential.certificate);
    set_bytes(*out.mutable_tls_certificate()->mutable_private_key(), credential.private_key);
    if (!credential.ocsp_staple.empty()) set_bytes(*out.mutable_tls_certificate()->mutable_ocsp_staple(), credential.ocsp_staple);
    put(std::move(out), place_of(*secret));
}

// kubernetes://NAME-cacert: of the Secret NAME-cacert, else of NAME.
void SecretMaker::kubernetes_roots(const SecretAsker& asker, const std::string& field, const std::string& name) {
    const model::Secret *own = find(name + kCaSuffix), *shared = find(name);
    const model::Secret* secret = own ? own : shared;
    if (!secret) return missing(asker, field, name);
    const model::Credential credential = model::credential_of(*secret);
    if (credential.roots.empty())
        return asker.report(errors_, "SLC0140", field, fmt::format("no root certificates in Secret {}: it holds {}", secret->name, model::keys_of(*secret)),
                            fmt::format("add ca.crt (or cacert) to it, or a Secret {}{}", name, kCaSuffix));
    tls_pb::Secret out;
    out.set_name(kubernetes_roots_name(name));
    set_bytes(*out.mutable_validation_context()->mutable_trusted_ca(), credential.roots);
    if (!credential.crl.empty()) set_bytes(*out.mutable_validation_context()->mutable_crl(), credential.crl);
    put(std::move(out), place_of(*secret));
}

class FileSecret {
 public:
    FileSecret(SecretMaker& maker, const SecretAsker& asker, const std::string& name) : maker_(maker), asker_(asker) { secret_.set_name(name); }
    // False: files are not looked at here.
    bool read(const std::string& path, const std::string& field, envoy::config::core::v3::DataSource& into) {
        const auto& files = maker_.node_.files;
        if (!files) return false;
        const auto found = files->find(path);
        if (found != files->end() && found->second.error.empty()) return set_bytes(into, found->second.text), true;
        wrong(fmt::format("{} cannot be read: {}", path, found == files->end() ? "not looked at" : found->second.error), field);
        return true;
    }
    // The first is kept.
    void wrong(std::string error, const std::string& field) {
        if (error_.empty()) error_ = std::move(error), field_ = field;
    }
    tls_pb::Secret& secret() { return secret_; }
    void finish(const std::string& shown_as) {
        const std::string name = secret_.name();
        if (error_.empty()) return maker_.put(std::move(secret_), {shown_as, {}, {}});
        const bool trust = secret_.has_validation_context();
        secret_.Clear();
        secret_.set_name(name);
        if (trust) secret_.mutable_validation_context();
        else secret_.mutable_tls_certificate();
        maker_.out_.errors[name] = error_;
        const std::string path = asker_.path + field_;
        const std::string own = (field_.starts_with('.') ? "identity" : "") + field_;
        maker_.put(std::move(secret_), asker_.object ? xds::Provenance{asker_.object->source(path), asker_.object->id(), path} : xds::Provenance{"", "GatewayHost", own});
    }

 private:
    SecretMaker& maker_;
    const SecretAsker& asker_;
    tls_pb::Secret secret_;
    std::string error_, field_;
};

void SecretMaker::file_certificate(const SecretAsker& asker, const std::string& resource, const CertificateFiles& files) {
    FileSecret file(*this, asker, resource);
    auto& out = *file.secret().mutable_tls_certificate();
    if (file.read(files.certificate, files.certificate_field, *out.mutable_certificate_chain()) && file.read(files.key, ".privateKey", *out.mutable_private_key()))
        file.finish(files.certificate);
}

void SecretMaker::file_roots(const SecretAsker& asker, const std::string& resource, const RootFiles& files) {
    FileSecret file(*this, asker, resource);
    auto& out = *file.secret().mutable_validation_context();
    if (!file.read(files.roots, files.roots_field, *out.mutable_trusted_ca())) return;
    if (!files.crl.empty()) file.read(files.crl, ".caCrl", *out.mutable_crl());
    file.finish(files.roots == kSystemRoots ? "the machine" : files.roots);
}

void SecretMaker::identity() {
    const auto& identity = node_.identity;
    if (identity.empty() && node_.files) return;   // told by who asked
    const SecretAsker file{nullptr, ""};
    file_certificate(file, kIdentity, {identity.certificate, identity.private_key, ".certificate"});
    if (node_.ca_certificates.empty()) file_roots(file, kIdentityRoots, {identity.roots, "", ".roots"});
    else identity_bundles(file);
}

// Roots by trust domain, Istio's caCertificates: what vouches for one domain vouches for no other. The identity's, and those without domains of
// their own, are for ours and what it was called before.
void SecretMaker::identity_bundles(const SecretAsker& asker) {
    FileSecret file(*this, asker, kIdentityRoots);
    auto& validator = *file.secret().mutable_validation_context()->mutable_custom_validator_config();
    std::map<std::string, std::string> bundles;
    const auto add = [&](const std::vector<std::string>& domains, const std::string& pem) {
        for (const std::string& domain : domains.empty() ? own_trust_domains(node_) : domains) bundles[domain] += pem + "\n";
    };
    envoy::config::core::v3::DataSource roots;
    if (!file.read(node_.identity.roots, ".roots", roots)) return;
    add({}, roots.inline_bytes());
    for (size_t i = 0; i < node_.ca_certificates.size(); i++) {
        const auto& anchor = node_.ca_certificates[i];
        const std::string field = fmt::format("mesh.caCertificates[{}].{}", i, anchor.file.empty() ? "pem" : "file");
        envoy::config::core::v3::DataSource text;
        if (anchor.file.empty()) set_bytes(text, anchor.pem);
        else file.read(anchor.file, field, text);
        // In one bundle with others it would be missed by nobody.
        if (!absl::StrContains(text.inline_bytes(), "-----BEGIN CERTIFICATE-----")) file.wrong(fmt::format("{} holds no certificate in PEM", anchor.file.empty() ? field : anchor.file), field);
        add(anchor.trust_domains, text.inline_bytes());
    }
    tls_pb::SPIFFECertValidatorConfig config;
    for (const auto& [name, pem] : bundles) {
        auto& domain = *config.add_trust_domains();
        domain.set_name(name);
        domain.mutable_trust_bundle()->set_inline_bytes(pem);
    }
    validator.set_name("envoy.tls.cert_validator.spiffe");
    validator.mutable_typed_config()->PackFrom(config);
    file.finish(node_.identity.roots);
}

}  // namespace sluice::translate
