// Contexts of servers: certificates, what clients are asked for, ALPN, staples, tickets.
#include <algorithm>

#include "tls/context_impl.h"

namespace sluice::tls {

namespace {

ServerContextImpl* context_of(SSL* ssl) { return static_cast<ServerContextImpl*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl))); }

int on_verify(X509_STORE_CTX* store, void*) {
    const auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    SslHooks* hooks = ssl ? hooks_of(ssl) : nullptr;
    return hooks ? hooks->on_verify(store) : 0;
}

/// Our order decides. Nothing in common: the handshake goes on without ALPN, as with Envoy.
int on_alpn(SSL* ssl, const unsigned char** out, unsigned char* out_size, const unsigned char* in, unsigned in_size, void*) {
    const std::vector<uint8_t>& ours = context_of(ssl)->core.alpn_wire;
    unsigned char* chosen = nullptr;
    const int result = SSL_select_next_proto(&chosen, out_size, ours.data(), static_cast<unsigned>(ours.size()), in, in_size);
    *out = chosen;
    return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

int on_staple(SSL* ssl, void*) {
    const X509* chosen = SSL_get_certificate(ssl);
    for (const ServerContextImpl::Staple& staple : context_of(ssl)->staples) {
        if (!chosen || X509_cmp(staple.leaf.get(), chosen) != 0) continue;
        void* copy = OPENSSL_memdup(staple.response.data(), staple.response.size());
        if (!copy) return SSL_TLSEXT_ERR_NOACK;
        SSL_set_tlsext_status_ocsp_resp(ssl, copy, static_cast<long>(staple.response.size()));   // takes the copy
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

/// Whose tickets are good here: those given under the same verification, by a server with the same names. A renewed certificate keeps them.
std::array<uint8_t, 32> ticket_binding(const ServerContextImpl& context) {
    Fingerprint f;
    f.add("sluice tickets 2").add(static_cast<uint64_t>(context.client_certificate));
    if (context.core.verifier) {
        const auto& verification = context.core.verifier->fingerprint();
        f.add(std::string_view(reinterpret_cast<const char*>(verification.data()), verification.size()));
    }
    std::vector<std::string> names;
    for (const CertificateInfo& info : context.core.infos) {
        names.push_back(info.subject);
        names.insert(names.end(), info.sans.begin(), info.sans.end());
    }
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) f.add(name);
    f.add(std::string_view(reinterpret_cast<const char*>(context.core.alpn_wire.data()), context.core.alpn_wire.size()));
    return f.finish();
}

std::expected<void, ContextError> ask_for_certificates(ServerContextImpl& context, const Verification& verification) {
    SSL_CTX* ctx = context.core.ssl_ctx.get();
    if (context.client_certificate == ServerOptions::ClientCertificate::kNone) return {};
    auto verifier = Verifier::create(verification, Role::kServer);
    if (!verifier) return std::unexpected(verifier.error());
    context.core.verifier = std::move(*verifier);
    const bool required = context.client_certificate == ServerOptions::ClientCertificate::kRequired;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
    SSL_CTX_set_cert_verify_callback(ctx, on_verify, nullptr);
    SSL_CTX_set_client_CA_list(ctx, context.core.verifier->root_names());   // takes it
    return {};
}

}  // namespace

std::expected<std::shared_ptr<const ServerContext>, ContextError> ServerContext::create(ServerOptions options, int64_t now_s) {
    free_retired_contexts();
    auto context = make_context<ServerContextImpl>();
    ContextCore& core = context->core;
    context->client_certificate = options.client_certificate;
    context->ticket_keys = std::move(options.ticket_keys);
    context->identity_certificates = options.identity_certificates;
    if (options.certificates.empty()) return std::unexpected(ContextError{"a TLS server needs a certificate", "name a secret with a certificate and its key"});
    if (auto done = set_up(core, options.parameters, Role::kServer); !done) return std::unexpected(done.error());
    SSL_CTX* ctx = core.ssl_ctx.get();
    SSL_CTX_set_app_data(ctx, context.get());
    for (CertificateSource& source : options.certificates) {
        if (auto done = load_certificate(core, source, now_s); !done) return std::unexpected(done.error());
        if (source.ocsp_staple.empty()) continue;
        X509* leaf = SSL_CTX_get0_certificate(ctx);   // the one loaded last
        X509_up_ref(leaf);
        context->staples.push_back({X509Ptr(leaf), std::move(source.ocsp_staple)});
    }
    if (auto done = ask_for_certificates(*context, options.verification); !done) return std::unexpected(done.error());
    if (!core.alpn_wire.empty()) SSL_CTX_set_alpn_select_cb(ctx, on_alpn, nullptr);
    if (!context->staples.empty()) SSL_CTX_set_tlsext_status_cb(ctx, on_staple);
    context->ticket_binding = ticket_binding(*context);
    set_up_tickets(*context);
    return context;
}

}  // namespace sluice::tls
