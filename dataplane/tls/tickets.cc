// Session tickets of a server: sealed with keys that all cores share, bound to the verification of clients that was in force and to the
// life of the chain that was verified. A ticket of another verification, or whose client would not be let in now, is a full handshake. RFC 5077 4, RFC 8446 4.6.1.
#include <openssl/core_names.h>
#include <openssl/rand.h>

#include <cstring>
#include <ctime>

#include "tls/context_impl.h"

namespace sluice::tls {

namespace {

constexpr long kSessionLifetime_s = 2 * 3600;   // BoringSSL's, so Envoy's
constexpr size_t kTickets = 2;                  // after a full handshake; OpenSSL sends one after a resumed one

ServerContextImpl* context_of(SSL* ssl) { return static_cast<ServerContextImpl*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl))); }

bool key_mac(EVP_MAC_CTX* mac, std::array<uint8_t, 32>& key) {
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.data(), key.size()),
                                 OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/// OpenSSL's contract: 1 go on, 2 go on and give a new ticket, 0 no such key, -1 error.
int on_ticket_key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, int sealing) {
    const TicketKeys& keys = *context_of(ssl)->ticket_keys;
    TicketKeys::Key key;
    int answer = 0;
    bool renew = false;
    if (sealing) {
        if (keys.sealing_key(key)) {
            std::memcpy(name, key.name.data(), key.name.size());
            const bool ready = RAND_bytes(iv, 16) == 1 && EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.aes.data(), iv) == 1 && key_mac(mac, key.hmac);
            answer = ready ? 1 : -1;
        }
    } else if (keys.opening_key(name, key, &renew, static_cast<int64_t>(std::time(nullptr)))) {
        const bool ready = key_mac(mac, key.hmac) && EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.aes.data(), iv) == 1;
        // A 1.3 client uses a ticket once, so each that is used up is replaced; a 1.2 client keeps one until its key is old.
        answer = !ready ? -1 : renew || SSL_version(ssl) == TLS1_3_VERSION ? 2 : 1;
    }
    OPENSSL_cleanse(&key, sizeof key);
    return answer;
}

/// What a ticket carries besides OpenSSL's session, which keeps of a chain the leaf alone.
struct TicketData {
    std::array<uint8_t, 32> binding;
    int64_t good_until_s;                       // the first end of a certificate of the client's chain, or of a list it was held against
};
static_assert(sizeof(TicketData) == 40);        // without padding; sealed and opened by machines of one kind

int on_ticket_made(SSL* ssl, void*) {
    const SslHooks* hooks = hooks_of(ssl);
    const TicketData data{context_of(ssl)->ticket_binding, hooks ? hooks->good_until_s() : 0};
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), &data, sizeof data);
}

SSL_TICKET_RETURN on_ticket_opened(SSL* ssl, SSL_SESSION* session, const unsigned char*, size_t, SSL_TICKET_STATUS status, void*) {
    switch (status) {
        case SSL_TICKET_EMPTY: return SSL_TICKET_RETURN_IGNORE_RENEW;
        case SSL_TICKET_NO_DECRYPT: return SSL_TICKET_RETURN_IGNORE_RENEW;
        case SSL_TICKET_SUCCESS:
        case SSL_TICKET_SUCCESS_RENEW: break;
        default: return SSL_TICKET_RETURN_ABORT;
    }
    void* bytes = nullptr;
    size_t size = 0;
    TicketData data;
    if (SSL_SESSION_get0_ticket_appdata(session, &bytes, &size) != 1 || size != sizeof data) return SSL_TICKET_RETURN_IGNORE_RENEW;
    std::memcpy(&data, bytes, sizeof data);
    SslHooks* hooks = hooks_of(ssl);
    if (data.binding != context_of(ssl)->ticket_binding || !hooks || !hooks->on_resume(session, data.good_until_s)) return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS_RENEW ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_USE;
}

}  // namespace

void set_up_tickets(ServerContextImpl& context) {
    SSL_CTX* ctx = context.core.ssl_ctx.get();
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(ctx, context.ticket_binding.data(), static_cast<unsigned>(context.ticket_binding.size()));
    if (!context.ticket_keys) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(ctx, 0);
        return;
    }
    SSL_CTX_set_timeout(ctx, kSessionLifetime_s);
    SSL_CTX_set_num_tickets(ctx, kTickets);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket_key);
    SSL_CTX_set_session_ticket_cb(ctx, on_ticket_made, on_ticket_opened, nullptr);
}

}  // namespace sluice::tls
