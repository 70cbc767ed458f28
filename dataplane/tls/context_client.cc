// Contexts of clients: their certificate, how servers are verified, sessions to resume.
#include <openssl/ssl.h>

#include "tls/context_impl.h"

namespace sluice::tls {

namespace {

int on_verify(X509_STORE_CTX* store, void*) {
    const auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    SslHooks* hooks = ssl ? hooks_of(ssl) : nullptr;
    return hooks ? hooks->on_verify(store) : 0;
}

/// OpenSSL hands over a reference where this answers 1.
int on_session(SSL* ssl, SSL_SESSION* session) {
    if (SslHooks* hooks = hooks_of(ssl)) {
        hooks->on_session(SessionPtr(session));
        return 1;
    }
    return 0;
}

}  // namespace

std::expected<std::shared_ptr<const ClientContext>, ContextError> ClientContext::create(ClientOptions options, int64_t now_s) {
    free_retired_contexts();
    auto context = make_context<ClientContextImpl>(options.sessions_max);
    ContextCore& core = context->core;
    if (options.certificates.size() > 1) return std::unexpected(ContextError{"a TLS client has one certificate", "name one secret"});
    if (auto done = set_up(core, options.parameters, Role::kClient); !done) return std::unexpected(done.error());
    SSL_CTX* ctx = core.ssl_ctx.get();
    for (CertificateSource& source : options.certificates)
        if (auto done = load_certificate(core, source, now_s); !done) return std::unexpected(done.error());
    auto verifier = Verifier::create(options.verification, Role::kClient);
    if (!verifier) return std::unexpected(verifier.error());
    core.verifier = std::move(*verifier);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_cert_verify_callback(ctx, on_verify, nullptr);
    if (options.sessions_max == 0) {
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    } else {   // ours, not OpenSSL's: that one knows neither peers nor single use
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(ctx, on_session);
    }
    return context;
}

}  // namespace sluice::tls
