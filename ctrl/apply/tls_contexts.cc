// DownstreamTlsContext and UpstreamTlsContext -> contexts ready for handshakes.
// In: transport sockets whose fields the walk let through, and the secrets in force. Out: contexts, shared by all that ask for the same
// parameters with the same secrets; nullptr where a secret is not there yet. HTTP/1.1 alone is spoken: ALPN h2 is neither offered nor chosen.
// Envoy transport_sockets.tls.v3; Istio's ALPN names for mutual TLS within the mesh.
#include <re2/re2.h>

#include <algorithm>

#include "ctrl/apply/field_walk.h"
#include "ctrl/apply/readers.h"
#include "ctrl/apply/spiffe.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"
#include "route/regex.h"
#include "tls/ticket_keys.h"

namespace sluice::apply {
namespace {

namespace pb = envoy::extensions::transport_sockets::tls::v3;
using envoy::config::core::v3::TransportSocket;

constexpr char kRawBuffer[] = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";
constexpr char kIstioRoots[] = "ROOTCA";   // workload identities: peers are SPIFFE IDs

/// What a context is made of, besides its parameters.
struct Materials {
    std::vector<tls::CertificateSource> certificates;
    pb::CertificateValidationContext validation;
    bool validates = false, missing = false, istio_roots = false;
    uint64_t hash = 0;                   // of the secrets
    std::vector<std::string> secrets;    // by name
};

class MaterialsReader {
 public:
    MaterialsReader(Build& build, Materials& out) : build_(build), out_(out) {}
    bool read(const pb::CommonTlsContext& in, const At& at);

 private:
    const SecretProto* secret(const std::string& name) {
        const Secrets::Found found = build_.secrets.find(name);
        out_.hash = mix(mix(out_.hash, name), found.hash);
        out_.secrets.push_back(name);
        if (!found.content) out_.missing = true;
        return found.content;
    }
    bool certificate(const pb::TlsCertificate& in, const std::string& name, const At& at);
    bool trust(const std::string& name, pb::CertificateValidationContext& out, const At& at);

    Build& build_;
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
    out.MergeFrom(found->validation_context());
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

/// Envoy's TLS_AUTO is 1.3 for servers and 1.2 for clients; here 1.3 for both.
bool read_parameters(const pb::TlsParameters& in, tls::Parameters& out, const At& at) {
    out.cipher_suites.assign(in.cipher_suites().begin(), in.cipher_suites().end());
    out.groups.assign(in.ecdh_curves().begin(), in.ecdh_curves().end());
    return read_version(in.tls_minimum_protocol_version(), tls::Version::kTls12, out.min_version, at.child("tls_minimum_protocol_version")) &
           read_version(in.tls_maximum_protocol_version(), tls::Version::kTls13, out.max_version, at.child("tls_maximum_protocol_version"));
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

/// Colons and case are people's; the context wants 64 lower-case hex digits.
bool read_hash(const std::string& in, std::string& out, const At& at) {
    for (const char c : in)
        if (c != ':') out += static_cast<char>(c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);
    const bool hex = std::all_of(out.begin(), out.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
    return (hex && out.size() == 64) || at.refuse("not a SHA-256 in hex");
}

/// Without the subject alternative names, which are of one peer.
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

/// h2 in all its names.
bool is_h2(const std::string& alpn) { return alpn == "h2" || alpn == "istio-h2" || alpn == "h2c"; }

bool read_server_alpn(const pb::CommonTlsContext& in, std::vector<std::string>& out, const At& at) {
    for (const std::string& one : in.alpn_protocols())
        if (!is_h2(one)) out.push_back(one);
    return !out.empty() || in.alpn_protocols().empty() || at.child("alpn_protocols").refuse("HTTP/1.1 alone is spoken so far: add http/1.1");
}

/// As Istio's ALPN filter overrides it for HTTP/1.1 towards the mesh.
std::vector<std::string> client_alpn(const pb::CommonTlsContext& in) {
    std::vector<std::string> out;
    for (const std::string& one : in.alpn_protocols()) {
        if (one == "istio") return {"istio-http/1.1", "istio", "http/1.1"};
        if (!is_h2(one)) out.push_back(one);
    }
    if (out.empty() && !in.alpn_protocols().empty()) out = {"http/1.1"};
    return out;
}

/// Envoy: 16 bytes of name, 32 of HMAC, 32 of AES.
bool read_ticket_keys(const pb::TlsSessionTicketKeys& in, std::shared_ptr<tls::TicketKeys>& out, int64_t now_s, const At& at) {
    std::vector<tls::TicketKeys::Key> keys;
    for (int i = 0; i < in.keys_size(); i++) {
        const auto bytes = inline_bytes(in.keys(i));
        if (!bytes || bytes->size() != 80) return at.child("keys", i).refuse("a ticket key is 80 bytes, given inline");
        auto& key = keys.emplace_back();
        std::copy_n(bytes->begin(), 16, key.name.begin());
        std::copy_n(bytes->begin() + 16, 32, key.hmac.begin());
        std::copy_n(bytes->begin() + 48, 32, key.aes.begin());
        key.made_s = now_s;
    }
    if (keys.empty()) return at.child("keys").refuse("no key");
    out = std::make_shared<tls::TicketKeys>();
    out->set(std::move(keys));
    return true;
}

class ServerReader {
 public:
    ServerReader(Build& build, const pb::DownstreamTlsContext& in, bool identity_certificates) : build_(build), in_(in) {
        options_.identity_certificates = identity_certificates;
    }
    bool read(ServerSocket& out, const At& at);

 private:
    bool options(const At& at);
    bool resumption(const At& at);
    void client_certificate(ServerSocket& out);

    Build& build_;
    const pb::DownstreamTlsContext& in_;
    Materials materials_;
    tls::ServerOptions options_;
};

bool ServerReader::resumption(const At& at) {
    if (in_.disable_stateless_session_resumption()) return true;
    options_.ticket_keys = build_.tls.ticket_keys;
    if (in_.has_session_ticket_keys())
        return read_ticket_keys(in_.session_ticket_keys(), options_.ticket_keys, build_.secrets.now_s(), at.child("session_ticket_keys"));
    if (!in_.has_session_ticket_keys_sds_secret_config()) return true;
    const std::string& name = in_.session_ticket_keys_sds_secret_config().name();
    const Secrets::Found found = build_.secrets.find(name);
    materials_.hash = mix(mix(materials_.hash, name), found.hash);
    if (!found.content) return materials_.missing = true;
    return read_ticket_keys(found.content->session_ticket_keys(), options_.ticket_keys, build_.secrets.now_s(), at.child("session_ticket_keys_sds_secret_config"));
}

void ServerReader::client_certificate(ServerSocket& out) {
    using Wanted = tls::ServerOptions::ClientCertificate;
    // Envoy: its SPIFFE validator lets nobody in without a certificate, whatever is said here.
    if (in_.require_client_certificate().value() || materials_.validation.has_custom_validator_config()) options_.client_certificate = Wanted::kRequired;
    else if (materials_.validates) options_.client_certificate = Wanted::kOptional;
    out.mode = options_.client_certificate == Wanted::kNone        ? "SIMPLE"
               : options_.client_certificate == Wanted::kOptional ? "OPTIONAL_MUTUAL"
               : materials_.istio_roots                            ? "ISTIO_MUTUAL"
                                                                   : "MUTUAL";
}

bool ServerReader::options(const At& at) {
    const auto& common = in_.common_tls_context();
    options_.certificates = materials_.certificates;
    options_.parameters.key_log_path = build_.tls.key_log_path;
    return read_parameters(common.tls_params(), options_.parameters, at.child("common_tls_context.tls_params")) &
           read_verification(materials_, options_.verification, at.child("common_tls_context")) &
           read_sans(materials_.validation, options_.verification.subject_alt_names, at.child("common_tls_context")) &
           read_server_alpn(common, options_.parameters.alpn, at.child("common_tls_context")) & resumption(at);
}

bool ServerReader::read(ServerSocket& out, const At& at) {
    const auto& common = in_.common_tls_context();
    const At here = at.child("common_tls_context");
    if (!MaterialsReader(build_, materials_).read(common, here)) return false;
    client_certificate(out);
    if (common.tls_certificates().empty() && common.tls_certificate_sds_secret_configs().empty()) return here.refuse("no certificate: give tls_certificate_sds_secret_configs");
    if (in_.require_client_certificate().value() && !materials_.validates) return at.child("require_client_certificate").refuse("and nothing to verify it with: give a validation context");
    if (!options(at)) return false;
    if (materials_.missing) return true;   // warming
    const uint64_t hash = mix(mix(mix(content_hash(in_), materials_.hash), uint64_t{options_.identity_certificates}), build_.tls.key_log_path);
    auto made = build_.secrets.server(hash, [&] { return tls::ServerContext::create(std::move(options_), build_.secrets.time_for(materials_.secrets)); });
    if (!made) return here.refuse(made.error().what + (made.error().cure.empty() ? "" : ": " + made.error().cure));
    out.context = *made;
    return true;
}

bool read_client(Build& build, const pb::UpstreamTlsContext& in, const std::string& automatic_host, upstream::TransportSocket& out, const At& at) {
    const auto& common = in.common_tls_context();
    const At here = at.child("common_tls_context");
    Materials materials;
    if (!MaterialsReader(build, materials).read(common, here)) return false;
    out.peer.sni = in.sni().empty() ? automatic_host : in.sni();
    out.peer.alpn = client_alpn(common);
    tls::ClientOptions options;
    options.certificates = materials.certificates;
    options.parameters.key_log_path = build.tls.key_log_path;
    if (in.has_max_session_keys()) options.sessions_max = in.max_session_keys().value();
    if (!(read_parameters(common.tls_params(), options.parameters, here.child("tls_params")) &
          read_verification(materials, options.verification, here) & read_sans(materials.validation, out.peer.subject_alt_names, here)))
        return false;
    // Envoy: without anything to verify by, every certificate is taken.
    if (!materials.validates) options.verification.accept_untrusted = true;
    if (materials.missing) return out.missing_secret = true;
    // Clusters differ by peer; what is left is mostly the same context.
    pb::UpstreamTlsContext bare = in;
    bare.clear_sni(), bare.mutable_common_tls_context()->clear_alpn_protocols();
    for (auto* validation : {bare.mutable_common_tls_context()->has_combined_validation_context() ? bare.mutable_common_tls_context()->mutable_combined_validation_context()->mutable_default_validation_context() : nullptr,
                             bare.common_tls_context().has_validation_context() ? bare.mutable_common_tls_context()->mutable_validation_context() : nullptr})
        if (validation) validation->clear_match_subject_alt_names(), validation->clear_match_typed_subject_alt_names();
    const uint64_t hash = mix(mix(content_hash(bare), materials.hash), build.tls.key_log_path);
    auto made = build.secrets.client(hash, [&] { return tls::ClientContext::create(std::move(options), build.secrets.time_for(materials.secrets)); });
    if (!made) return here.refuse(made.error().what + (made.error().cure.empty() ? "" : ": " + made.error().cure));
    out.tls = *made;
    out.settings_hash = upstream::hash_settings(out.peer, std::to_string(content_hash(bare)));   // names secrets, holds none that rotates
    return true;
}

/// What auto_sni means here: connections are pooled by endpoint, not by request, so it is the service's own name.
struct Automatic {
    bool sni = false, verify = false;
};
Automatic automatic_of(const envoy::config::cluster::v3::Cluster& in) {
    for (const auto& [key, any] : in.typed_extension_protocol_options()) {
        envoy::extensions::upstreams::http::v3::HttpProtocolOptions options;
        if (any.UnpackTo(&options)) return {options.upstream_http_protocol_options().auto_sni(), options.upstream_http_protocol_options().auto_san_validation()};
    }
    return {};
}

bool is_dns_name(const std::string& host) { return !host.empty() && host.find('.') != host.npos && host.find_first_of("|:*") == host.npos && !IpAddress::parse(host); }

bool read_socket(Build& build, const envoy::config::cluster::v3::Cluster& cluster, const TransportSocket& in, upstream::TransportSocket& out, const At& at) {
    const std::string type = extension_type(in.typed_config());
    if (type == kRawBuffer || type.empty()) return true;
    pb::UpstreamTlsContext context;
    if (!in.typed_config().UnpackTo(&context)) return at.refuse(type + " is not a transport socket that is supported: TLS or plain text");
    const Automatic automatic = automatic_of(cluster);
    const std::string host = read_service(cluster.name(), cluster.metadata()).service;
    const bool usable = is_dns_name(host);
    if (automatic.verify && usable) out.peer.verify_host = host;
    return read_client(build, context, automatic.sni && usable ? host : std::string(), out, at.child("typed_config"));
}

}  // namespace

bool read_server_socket(Build& build, const TransportSocket& in, bool identity_certificates, ServerSocket& out, const At& at) {
    const std::string type = extension_type(in.typed_config());
    if (type == kRawBuffer || type.empty()) return true;
    pb::DownstreamTlsContext context;
    if (!in.typed_config().UnpackTo(&context)) return at.refuse(type + " is not a transport socket that is supported: TLS or plain text");
    out.tls = true;
    return ServerReader(build, context, identity_certificates).read(out, at.child("typed_config"));
}

bool read_transport_sockets(Build& build, const envoy::config::cluster::v3::Cluster& in, upstream::Cluster& out, const At& at) {
    if (!in.has_transport_socket() && in.transport_socket_matches().empty()) return true;
    // 0 is the cluster's own; matches follow in their order.
    bool good = read_socket(build, in, in.transport_socket(), out.transport_sockets.emplace_back(), at.child("transport_socket"));
    if (in.transport_socket_matches_size() > 254) return at.child("transport_socket_matches").refuse("more than 254");
    for (int i = 0; i < in.transport_socket_matches_size(); i++) {
        auto& made = out.transport_sockets.emplace_back();
        made.name = in.transport_socket_matches(i).name();
        good &= read_socket(build, in, in.transport_socket_matches(i).transport_socket(), made, at.child("transport_socket_matches", i).child("transport_socket"));
    }
    const bool plain = std::none_of(out.transport_sockets.begin(), out.transport_sockets.end(), [](const auto& one) { return one.tls || one.missing_secret; });
    if (plain) out.transport_sockets.clear();
    return good;
}

/// Envoy: the first whose every value the endpoint's metadata holds; none: the cluster's own socket.
uint8_t choose_transport_socket(const envoy::config::cluster::v3::Cluster& in, const envoy::config::core::v3::Metadata& endpoint) {
    const auto found = endpoint.filter_metadata().find("envoy.transport_socket_match");
    for (int i = 0; i < in.transport_socket_matches_size(); i++) {
        const auto& wanted = in.transport_socket_matches(i).match().fields();
        const bool all = std::all_of(wanted.begin(), wanted.end(), [&](const auto& one) {
            if (found == endpoint.filter_metadata().end()) return false;
            const auto has = found->second.fields().find(one.first);
            return has != found->second.fields().end() && has->second.SerializeAsString() == one.second.SerializeAsString();
        });
        if (all) return static_cast<uint8_t>(i + 1);
    }
    return 0;
}

}  // namespace sluice::apply
