// TLS of Gateways and DestinationRules -> TLS contexts.
// In: settings, the gateway's identity. Out: contexts; the secrets that they name are asked for, to be made once for all who do.
// Borrows the objects that ask.
// istiod's names: kubernetes://NAME, kubernetes://NAME-cacert, file-cert:CERT~KEY, file-root:CA, default, ROOTCA.
#include <algorithm>

#include <absl/strings/match.h>
#include <fmt/format.h>

#include "ctrl/model/names.h"
#include "ctrl/translate/parts.h"
#include "ctrl/translate/secrets.h"
#include "envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.pb.h"

namespace sluice::translate {
namespace {

using Server = istio::ServerTLSSettings;
using Client = istio::ClientTLSSettings;

constexpr char kIdentity[] = "default", kIdentityRoots[] = "ROOTCA";

// The secret's name; what it holds is made when all are known (secrets.cc).
std::string kubernetes_certificate(Context& context, const SecretAsker& asker, const std::string& field, const std::string& name) {
    context.asks.others.push_back([=](SecretMaker& maker) { maker.kubernetes_certificate(asker, field, name); });
    return kubernetes_certificate_name(name);
}

std::string kubernetes_roots(Context& context, const SecretAsker& asker, const std::string& field, const std::string& name) {
    context.asks.others.push_back([=](SecretMaker& maker) { maker.kubernetes_roots(asker, field, name); });
    return kubernetes_roots_name(name);
}

std::string file_certificate(Context& context, const SecretAsker& asker, const std::string& certificate, const std::string& key, const char* certificate_field) {
    const std::string resource = fmt::format("file-cert:{}~{}", certificate, key);
    context.asks.others.push_back([=](SecretMaker& maker) { maker.file_certificate(asker, resource, {certificate, key, certificate_field}); });
    return resource;
}

std::string file_roots(Context& context, const SecretAsker& asker, const std::string& roots, const std::string& crl) {
    const std::string resource = "file-root:" + roots + (crl.empty() ? "" : "~" + crl);
    context.asks.others.push_back([=](SecretMaker& maker) { maker.file_roots(asker, resource, {roots, crl, ".caCertificates"}); });
    return resource;
}

void sds(const std::string& name, tls_pb::SdsSecretConfig& out) {
    out.set_name(name);
    out.mutable_sds_config()->mutable_ads();
    out.mutable_sds_config()->set_resource_api_version(envoy::config::core::v3::V3);
}

// Of ISTIO_MUTUAL: the same two secrets for everybody.
void use_identity(Context& context, const SecretAsker& asker, tls_pb::CommonTlsContext& out) {
    const auto& identity = context.node.identity;
    if (identity.empty() && context.node.files) {
        asker.report(context.errors, "SLC0144", "", "mutual TLS within the mesh, and this gateway has no identity",
                     "add identity: {certificate: FILE, privateKey: FILE, roots: FILE} to the gateway's file");
    }
    context.asks.identity = true;
    sds(kIdentity, *out.add_tls_certificate_sds_secret_configs());
    auto& combined = *out.mutable_combined_validation_context();
    combined.mutable_default_validation_context();
    sds(kIdentityRoots, *combined.mutable_validation_context_sds_secret_config());
}

// A root may sign for more than one trust domain: without names, a peer must be of ours or of one that it was called before.
void only_our_trust_domain(const Context& context, tls_pb::CertificateValidationContext& out) {
    for (const std::string& domain : own_trust_domains(context.node)) {
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

void server_certificates(Context& context, const SecretAsker& asker, const Server& tls, tls_pb::CommonTlsContext& out) {
    const auto add = [&](const std::string& name) { sds(name, *out.add_tls_certificate_sds_secret_configs()); };
    if (!tls.credential_name().empty()) add(kubernetes_certificate(context, asker, ".credentialName", tls.credential_name()));
    for (int i = 0; i < tls.credential_names_size(); ++i) add(kubernetes_certificate(context, asker, fmt::format(".credentialNames[{}]", i), tls.credential_names(i)));
    if (!tls.server_certificate().empty()) add(file_certificate(context, asker, tls.server_certificate(), tls.private_key(), ".serverCertificate"));
    for (const auto& one : tls.tls_certificates()) add(file_certificate(context, asker, one.server_certificate(), one.private_key(), ".tlsCertificates"));
}

// Of clients' certificates.
void server_validation(Context& context, const SecretAsker& asker, const Server& tls, tls_pb::CommonTlsContext& out) {
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

void client_validation(Context& context, const SecretAsker& asker, const Client& tls, const Backend& backend, tls_pb::CommonTlsContext& out) {
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
    const SecretAsker asker{member.gateway, member.path() + ".tls"};
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
    const SecretAsker asker{backend.rule, backend.path};
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
