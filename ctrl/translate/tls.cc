// TLS of Gateways and DestinationRules -> TLS contexts, and the secrets that they name -> SDS Secret resources.
// In: settings, Secret objects, files as they were read, the gateway's identity. Out: contexts; Secrets in the ResourceSet; findings where one
// is not there. Appends to the ResourceSet.
// istiod's names: kubernetes://NAME, kubernetes://NAME-cacert, file-cert:CERT~KEY, file-root:CA, default, ROOTCA.
#include <algorithm>
#include <map>

#include <absl/strings/match.h>
#include <fmt/format.h>

#include "ctrl/model/names.h"
#include "ctrl/model/secret.h"
#include "ctrl/translate/parts.h"
#include "envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config.pb.h"

namespace sluice::translate {
namespace {

using Server = istio::ServerTLSSettings;
using Client = istio::ClientTLSSettings;

constexpr char kIdentity[] = "default", kIdentityRoots[] = "ROOTCA", kCaSuffix[] = "-cacert";

// Whose settings ask for secrets, and where.
struct Asker {
    const model::ObjectBase* object;   // null: the gateway's own file
    std::string path;

    void report(Context& context, std::string code, const std::string& field, std::string message, std::string cure) const {
        Diagnostic d;
        if (object) {
            d = object->finding(std::move(code), path + field, std::move(message), std::move(cure));
        } else {
            d.code = std::move(code), d.object = "GatewayHost", d.field = "identity" + field, d.message = std::move(message), d.cure = std::move(cure);
        }
        context.errors.push_back(std::move(d));
    }
};

const model::Secret* find_secret(const Context& context, const std::string& name) {
    for (const model::Secret& secret : context.mesh.secrets)
        if (secret.name == name && secret.ns == context.node.ns) return &secret;
    return nullptr;
}

std::string where_else(const Context& context, const std::string& name) {
    for (const model::Secret& secret : context.mesh.secrets)
        if (secret.name == name) return fmt::format("; there is one in namespace {}", secret.ns);
    return {};
}

void set_bytes(envoy::config::core::v3::DataSource& out, const std::string& bytes) { out.set_inline_bytes(bytes); }

void put(Context& context, tls_pb::Secret secret, xds::Provenance place) {
    const std::string name = secret.name();
    if (!place.source.empty() || !place.object.empty()) context.out.secret_places[name] = std::move(place);
    context.out.secrets[name] = std::move(secret);
}

xds::Provenance place_of(const model::Secret& secret) { return {secret.source("metadata.name"), secret.id(), "data"}; }

void missing(Context& context, const Asker& asker, const std::string& field, const std::string& name) {
    std::vector<std::string> known;
    for (const model::Secret& secret : context.mesh.secrets)
        if (secret.ns == context.node.ns) known.push_back(secret.name);
    std::string cure = did_you_mean(name, known);
    if (cure.empty()) cure = fmt::format("add it: kind: Secret, metadata: {{name: {}, namespace: {}}}", name, context.node.ns);
    asker.report(context, "SLC0140", field, fmt::format("no Secret {} in the gateway's namespace {}{}", name, context.node.ns, where_else(context, name)), std::move(cure));
}

// kubernetes://NAME: a certificate with its key.
std::string kubernetes_certificate(Context& context, const Asker& asker, const std::string& field, const std::string& name) {
    const std::string resource = "kubernetes://" + name;
    const model::Secret* secret = find_secret(context, name);
    if (!secret) return missing(context, asker, field, name), resource;
    const model::Credential credential = model::credential_of(*secret);
    if (credential.certificate.empty() || credential.private_key.empty()) {
        asker.report(context, "SLC0140", field, fmt::format("Secret {} has no certificate and key: it holds {}", name, model::keys_of(*secret)),
                     "tls.crt and tls.key (kubernetes.io/tls), or cert and key (Opaque)");
        return resource;
    }
    tls_pb::Secret out;
    out.set_name(resource);
    set_bytes(*out.mutable_tls_certificate()->mutable_certificate_chain(), credential.certificate);
    set_bytes(*out.mutable_tls_certificate()->mutable_private_key(), credential.private_key);
    if (!credential.ocsp_staple.empty()) set_bytes(*out.mutable_tls_certificate()->mutable_ocsp_staple(), credential.ocsp_staple);
    put(context, std::move(out), place_of(*secret));
    return resource;
}

// kubernetes://NAME-cacert: of the Secret NAME-cacert, else of NAME.
std::string kubernetes_roots(Context& context, const Asker& asker, const std::string& field, const std::string& name) {
    const std::string resource = "kubernetes://" + name + (name.ends_with(kCaSuffix) ? "" : kCaSuffix);
    const model::Secret *own = find_secret(context, name + kCaSuffix), *shared = find_secret(context, name);
    const model::Secret* secret = own ? own : shared;
    if (!secret) return missing(context, asker, field, name), resource;
    const model::Credential credential = model::credential_of(*secret);
    if (credential.roots.empty()) {
        asker.report(context, "SLC0140", field, fmt::format("no root certificates in Secret {}: it holds {}", secret->name, model::keys_of(*secret)),
                     fmt::format("add ca.crt (or cacert) to it, or a Secret {}{}", name, kCaSuffix));
        return resource;
    }
    tls_pb::Secret out;
    out.set_name(resource);
    set_bytes(*out.mutable_validation_context()->mutable_trusted_ca(), credential.roots);
    if (!credential.crl.empty()) set_bytes(*out.mutable_validation_context()->mutable_crl(), credential.crl);
    put(context, std::move(out), place_of(*secret));
    return resource;
}

// Files of one secret. One that cannot be read leaves the secret without content, and why: ctrl/apply keeps what was good before.
class FileSecret {
 public:
    FileSecret(Context& context, const Asker& asker, const std::string& name) : context_(context), asker_(asker) { secret_.set_name(name); }
    // False: files are not looked at here.
    bool read(const std::string& path, const std::string& field, envoy::config::core::v3::DataSource& into) {
        if (!context_.node.files) return false;
        const auto found = context_.node.files->find(path);
        if (found != context_.node.files->end() && found->second.error.empty()) return set_bytes(into, found->second.text), true;
        wrong(fmt::format("{} cannot be read: {}", path, found == context_.node.files->end() ? "not looked at" : found->second.error), field);
        return true;
    }
    // The first is kept.
    void wrong(std::string error, const std::string& field) {
        if (error_.empty()) error_ = std::move(error), field_ = field;
    }
    tls_pb::Secret& secret() { return secret_; }
    void finish(const std::string& shown_as) {
        const std::string name = secret_.name();
        if (error_.empty()) return put(context_, std::move(secret_), {shown_as, {}, {}});
        const bool trust = secret_.has_validation_context();
        secret_.Clear();
        secret_.set_name(name);
        if (trust) secret_.mutable_validation_context();
        else secret_.mutable_tls_certificate();
        context_.out.secret_errors[name] = error_;
        const std::string path = asker_.path + field_;
        const std::string own = (field_.starts_with('.') ? "identity" : "") + field_;
        put(context_, std::move(secret_), asker_.object ? xds::Provenance{asker_.object->source(path), asker_.object->id(), path} : xds::Provenance{"", "GatewayHost", own});
    }

 private:
    Context& context_;
    const Asker& asker_;
    tls_pb::Secret secret_;
    std::string error_, field_;
};

void file_certificate_as(Context& context, const Asker& asker, const std::string& resource, const std::string& certificate, const std::string& key,
                         const char* certificate_field) {
    FileSecret file(context, asker, resource);
    auto& out = *file.secret().mutable_tls_certificate();
    if (file.read(certificate, certificate_field, *out.mutable_certificate_chain()) && file.read(key, ".privateKey", *out.mutable_private_key())) file.finish(certificate);
}

std::string file_certificate(Context& context, const Asker& asker, const std::string& certificate, const std::string& key, const char* certificate_field) {
    const std::string resource = fmt::format("file-cert:{}~{}", certificate, key);
    file_certificate_as(context, asker, resource, certificate, key, certificate_field);
    return resource;
}

void file_roots_as(Context& context, const Asker& asker, const std::string& resource, const std::string& roots, const std::string& crl, const char* field) {
    FileSecret file(context, asker, resource);
    auto& out = *file.secret().mutable_validation_context();
    if (!file.read(roots, field, *out.mutable_trusted_ca())) return;
    if (!crl.empty()) file.read(crl, ".caCrl", *out.mutable_crl());
    file.finish(roots == kSystemRoots ? "the machine" : roots);
}

std::string file_roots(Context& context, const Asker& asker, const std::string& roots, const std::string& crl) {
    const std::string resource = "file-root:" + roots + (crl.empty() ? "" : "~" + crl);
    file_roots_as(context, asker, resource, roots, crl, ".caCertificates");
    return resource;
}

void sds(const std::string& name, tls_pb::SdsSecretConfig& out) {
    out.set_name(name);
    out.mutable_sds_config()->mutable_ads();
    out.mutable_sds_config()->set_resource_api_version(envoy::config::core::v3::V3);
}

std::vector<std::string> own_trust_domains(const Context& context) {
    std::vector<std::string> domains = context.node.trust_domain_aliases;
    domains.insert(domains.begin(), context.node.trust_domain);
    return domains;
}

// Roots by trust domain, Istio's caCertificates: what vouches for one domain vouches for no other. The identity's, and those without domains of
// their own, are for ours and what it was called before.
void identity_bundles(Context& context, const Asker& asker) {
    FileSecret file(context, asker, kIdentityRoots);
    auto& validator = *file.secret().mutable_validation_context()->mutable_custom_validator_config();
    std::map<std::string, std::string> bundles;
    const auto add = [&](const std::vector<std::string>& domains, const std::string& pem) {
        for (const std::string& domain : domains.empty() ? own_trust_domains(context) : domains) bundles[domain] += pem + "\n";
    };
    envoy::config::core::v3::DataSource roots;
    if (!file.read(context.node.identity.roots, ".roots", roots)) return;
    add({}, roots.inline_bytes());
    for (size_t i = 0; i < context.node.ca_certificates.size(); i++) {
        const auto& anchor = context.node.ca_certificates[i];
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
    file.finish(context.node.identity.roots);
}

// Of ISTIO_MUTUAL: the same two secrets for everybody.
void use_identity(Context& context, const Asker& asker, tls_pb::CommonTlsContext& out) {
    const auto& identity = context.node.identity;
    if (identity.empty() && context.node.files) {
        asker.report(context, "SLC0144", "", "mutual TLS within the mesh, and this gateway has no identity",
                     "add identity: {certificate: FILE, privateKey: FILE, roots: FILE} to the gateway's file");
    } else if (!context.out.secrets.contains(kIdentity)) {
        const Asker file{nullptr, ""};
        file_certificate_as(context, file, kIdentity, identity.certificate, identity.private_key, ".certificate");
        if (context.node.ca_certificates.empty()) file_roots_as(context, file, kIdentityRoots, identity.roots, "", ".roots");
        else identity_bundles(context, file);
    }
    sds(kIdentity, *out.add_tls_certificate_sds_secret_configs());
    auto& combined = *out.mutable_combined_validation_context();
    combined.mutable_default_validation_context();
    sds(kIdentityRoots, *combined.mutable_validation_context_sds_secret_config());
}

// A root may sign for more than one trust domain: without names, a peer must be of ours or of one that it was called before.
void only_our_trust_domain(const Context& context, tls_pb::CertificateValidationContext& out) {
    for (const std::string& domain : own_trust_domains(context)) {
        auto& name = *out.add_match_typed_subject_alt_names();
        name.set_san_type(tls_pb::SubjectAltNameMatcher::URI);
        name.mutable_matcher()->set_prefix(fmt::format("spiffe://{}/", domain));
    }
}

tls_pb::TlsParameters::TlsProtocol version_of(Server::TLSProtocol in) {
    switch (in) {
        case Server::TLSV1_2: return tls_pb::TlsParameters::TLSv1_2;
        case Server::TLSV1_3: return tls_pb::TlsParameters::TLSv1_3;
        default: return tls_pb::TlsParameters::TLS_AUTO;
    }
}

void set_parameters(const Server& tls, tls_pb::CommonTlsContext& out) {
    if (tls.min_protocol_version() != Server::TLS_AUTO) out.mutable_tls_params()->set_tls_minimum_protocol_version(version_of(tls.min_protocol_version()));
    if (tls.max_protocol_version() != Server::TLS_AUTO) out.mutable_tls_params()->set_tls_maximum_protocol_version(version_of(tls.max_protocol_version()));
    for (const std::string& suite : tls.cipher_suites()) out.mutable_tls_params()->add_cipher_suites(suite);
}

void server_certificates(Context& context, const Asker& asker, const Server& tls, tls_pb::CommonTlsContext& out) {
    const auto add = [&](const std::string& name) { sds(name, *out.add_tls_certificate_sds_secret_configs()); };
    if (!tls.credential_name().empty()) add(kubernetes_certificate(context, asker, ".credentialName", tls.credential_name()));
    for (int i = 0; i < tls.credential_names_size(); ++i) add(kubernetes_certificate(context, asker, fmt::format(".credentialNames[{}]", i), tls.credential_names(i)));
    if (!tls.server_certificate().empty()) add(file_certificate(context, asker, tls.server_certificate(), tls.private_key(), ".serverCertificate"));
    for (const auto& one : tls.tls_certificates()) add(file_certificate(context, asker, one.server_certificate(), one.private_key(), ".tlsCertificates"));
}

// Of clients' certificates.
void server_validation(Context& context, const Asker& asker, const Server& tls, tls_pb::CommonTlsContext& out) {
    if (tls.mode() != Server::MUTUAL && tls.mode() != Server::OPTIONAL_MUTUAL) return;
    std::string roots;
    if (!tls.ca_certificates().empty()) roots = file_roots(context, asker, tls.ca_certificates(), tls.ca_crl());
    else if (!tls.ca_cert_credential_name().empty()) roots = kubernetes_roots(context, asker, ".caCertCredentialName", tls.ca_cert_credential_name());
    else if (!tls.credential_name().empty()) roots = kubernetes_roots(context, asker, ".credentialName", tls.credential_name());
    else if (!tls.credential_names().empty()) roots = kubernetes_roots(context, asker, ".credentialNames[0]", tls.credential_names(0));
    auto& combined = *out.mutable_combined_validation_context();
    auto& context_out = *combined.mutable_default_validation_context();
    for (const std::string& name : tls.subject_alt_names()) context_out.add_match_subject_alt_names()->set_exact(name);
    for (const std::string& pin : tls.verify_certificate_spki()) context_out.add_verify_certificate_spki(pin);
    for (const std::string& pin : tls.verify_certificate_hash()) context_out.add_verify_certificate_hash(pin);
    sds(roots, *combined.mutable_validation_context_sds_secret_config());
}

bool is_name(const std::string& host) { return model::is_dns_name(host) && host.find('.') != host.npos; }

void client_validation(Context& context, const Asker& asker, const Client& tls, const Backend& backend, tls_pb::CommonTlsContext& out) {
    if (tls.insecure_skip_verify()) return;   // check() warned of it
    const std::string roots = !tls.credential_name().empty()
                                  ? kubernetes_roots(context, asker, ".credentialName", tls.credential_name())
                                  : file_roots(context, asker, tls.ca_certificates().empty() ? kSystemRoots : tls.ca_certificates(), tls.ca_crl());
    auto& combined = *out.mutable_combined_validation_context();
    auto& context_out = *combined.mutable_default_validation_context();
    for (const std::string& name : tls.subject_alt_names()) context_out.add_match_subject_alt_names()->set_exact(name);
    // A certificate for anybody is none: without names it must be for the one that is called.
    const std::string called = tls.sni().empty() ? backend.host : tls.sni();
    if (tls.subject_alt_names().empty() && is_name(called)) context_out.add_match_subject_alt_names()->set_exact(called);
    sds(roots, *combined.mutable_validation_context_sds_secret_config());
}

// Paths of one server or backend.
void collect(const Server& tls, std::set<std::string>& out) {
    for (const std::string* path : {&tls.server_certificate(), &tls.private_key(), &tls.ca_certificates(), &tls.ca_crl()})
        if (!path->empty()) out.insert(*path);
    for (const auto& one : tls.tls_certificates()) out.insert(one.server_certificate()), out.insert(one.private_key());
}

void collect(const Client& tls, std::set<std::string>& out) {
    for (const std::string* path : {&tls.client_certificate(), &tls.private_key(), &tls.ca_certificates(), &tls.ca_crl()})
        if (!path->empty()) out.insert(*path);
    const bool verifies = tls.mode() == Client::SIMPLE || tls.mode() == Client::MUTUAL;
    if (verifies && tls.ca_certificates().empty() && tls.credential_name().empty() && !tls.insecure_skip_verify()) out.insert(kSystemRoots);
}

void collect(const istio::TrafficPolicy& policy, std::set<std::string>& out) {
    if (policy.has_tls()) collect(policy.tls(), out);
    for (const auto& of_port : policy.port_level_settings())
        if (of_port.has_tls()) collect(of_port.tls(), out);
}

}  // namespace

std::set<std::string> certificate_files(const model::MeshConfig& mesh, const ProxyNode& node) {
    std::set<std::string> out;
    for (const auto& gateway : mesh.gateways)
        if (model::has_labels(node.labels, gateway.spec.selector()))
            for (const auto& server : gateway.spec.servers())
                if (server.has_tls()) collect(server.tls(), out);
    for (const auto& rule : mesh.destination_rules) {
        collect(rule.spec.traffic_policy(), out);
        for (const auto& subset : rule.spec.subsets()) collect(subset.traffic_policy(), out);
    }
    for (const std::string* path : {&node.identity.certificate, &node.identity.private_key, &node.identity.roots})
        if (!path->empty()) out.insert(*path);
    for (const auto& anchor : node.ca_certificates) out.insert(anchor.file);
    out.erase("");
    return out;
}

tls_pb::DownstreamTlsContext server_context(Context& context, const ServerGroup::Member& member) {
    const Server& tls = member.server().tls();
    const Asker asker{member.gateway, member.path() + ".tls"};
    tls_pb::DownstreamTlsContext out;
    auto& common = *out.mutable_common_tls_context();
    common.add_alpn_protocols("h2");
    common.add_alpn_protocols("http/1.1");
    set_parameters(tls, common);
    if (tls.mode() == Server::ISTIO_MUTUAL) {
        use_identity(context, asker, common);
        auto& names = *common.mutable_combined_validation_context()->mutable_default_validation_context();
        for (const std::string& name : tls.subject_alt_names()) names.add_match_subject_alt_names()->set_exact(name);
        if (tls.subject_alt_names().empty()) only_our_trust_domain(context, names);
    } else {
        server_certificates(context, asker, tls, common);
        server_validation(context, asker, tls, common);
    }
    out.mutable_require_client_certificate()->set_value(tls.mode() == Server::MUTUAL || tls.mode() == Server::ISTIO_MUTUAL);
    return out;
}

tls_pb::UpstreamTlsContext client_context(Context& context, const Client& tls, const Backend& backend) {
    const Asker asker{backend.rule, backend.path};
    tls_pb::UpstreamTlsContext out;
    auto& common = *out.mutable_common_tls_context();
    common.mutable_tls_params()->set_tls_minimum_protocol_version(tls_pb::TlsParameters::TLSv1_2);
    common.mutable_tls_params()->set_tls_maximum_protocol_version(tls_pb::TlsParameters::TLSv1_3);
    if (tls.mode() == Client::ISTIO_MUTUAL) {
        use_identity(context, asker, common);
        auto& names = *common.mutable_combined_validation_context()->mutable_default_validation_context();
        for (const std::string& name : tls.subject_alt_names()) names.add_match_subject_alt_names()->set_exact(name);
        if (tls.subject_alt_names().empty())
            for (const std::string& identity : backend.identities) names.add_match_subject_alt_names()->set_exact(identity);
        if (tls.subject_alt_names().empty() && backend.identities.empty()) only_our_trust_domain(context, names);
        common.add_alpn_protocols("istio");
        out.set_sni(tls.sni().empty() ? backend.istio_sni : tls.sni());
        return out;
    }
    if (tls.mode() == Client::MUTUAL)
        sds(tls.credential_name().empty() ? file_certificate(context, asker, tls.client_certificate(), tls.private_key(), ".clientCertificate")
                                          : kubernetes_certificate(context, asker, ".credentialName", tls.credential_name()),
            *common.add_tls_certificate_sds_secret_configs());
    client_validation(context, asker, tls, backend, common);
    // istiod lets Envoy take it from the request; here connections are pooled by endpoint, so it is the service's.
    out.set_sni(!tls.sni().empty() ? tls.sni() : is_name(backend.host) ? backend.host : "");
    return out;
}

void set_socket(const google::protobuf::Message* tls, envoy::config::core::v3::TransportSocket& out) {
    out.set_name(tls ? "envoy.transport_sockets.tls" : "envoy.transport_sockets.raw_buffer");
    if (tls) out.mutable_typed_config()->PackFrom(*tls);
    else out.mutable_typed_config()->PackFrom(envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer());
}

std::vector<std::string> server_names(const istio::Server& server) {
    std::vector<std::string> out;
    for (const std::string& text : server.hosts()) {
        std::string host = model::lower(model::split_scope(text).host);
        if (host == "*") return {};
        if (std::find(out.begin(), out.end(), host) == out.end()) out.push_back(std::move(host));
    }
    return out;
}

}  // namespace sluice::translate
