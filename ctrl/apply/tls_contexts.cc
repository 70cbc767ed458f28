// Transport sockets of listeners and clusters -> contexts ready for handshakes, and what is asked of a peer.
// In: transport sockets whose fields the walk let through, and the secrets in force. Out: a listener's context, nullptr where a secret is not
// there yet; for a cluster the id of its context (client_contexts.h). HTTP/1.1 alone is spoken: ALPN h2 is neither offered nor chosen.
// Envoy transport_sockets.tls.v3; Istio's ALPN names for mutual TLS within the mesh.
#include <algorithm>

#include "ctrl/apply/client_contexts.h"
#include "ctrl/apply/field_walk.h"
#include "ctrl/apply/readers.h"
#include "ctrl/apply/tls_materials.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"
#include "tls/ticket_keys.h"

namespace sluice::apply {
namespace {

namespace pb = tls_pb;
using envoy::config::core::v3::TransportSocket;

constexpr char kRawBuffer[] = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";

/// h2 in all its names.
bool is_h2(const std::string& alpn) { return alpn == "h2" || alpn == "istio-h2" || alpn == "h2c"; }

bool read_server_alpn(const pb::CommonTlsContext& in, std::vector<std::string>& out, const At& at) {
    for (const std::string& one : in.alpn_protocols())
        if (!is_h2(one)) out.push_back(one);
    return !out.empty() || in.alpn_protocols().empty() || at.child("alpn_protocols").refuse("HTTP/1.1 alone is spoken so far: add http/1.1");
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
    if (!read_materials(build_.secrets, common, materials_, here)) return false;
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

bool read_client(Build& build, const pb::UpstreamTlsContext& in, const std::string& automatic_host, upstream::TransportSocket& out, const At& at) {
    const ClientContexts::Found* found = build.client_contexts.find(in, at);
    if (!found) return false;
    out.tls = true;
    out.context_id = found->id;
    build.origin_contexts.push_back(found->id);
    out.peer.sni = in.sni().empty() ? automatic_host : in.sni();
    const auto& common = in.common_tls_context();
    out.peer.alpn = client_alpn(common);
    pb::CertificateValidationContext names = common.has_combined_validation_context() ? common.combined_validation_context().default_validation_context()
                                                                                       : common.validation_context();
    names.MergeFrom(found->secret_names);
    if (!read_sans(names, out.peer.subject_alt_names, at.child("common_tls_context"))) return false;
    out.settings_hash = upstream::hash_settings(out.peer, std::to_string(found->settings_hash));   // names secrets, holds none that rotates
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
    const bool plain = std::none_of(out.transport_sockets.begin(), out.transport_sockets.end(), [](const auto& one) { return one.tls; });
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
