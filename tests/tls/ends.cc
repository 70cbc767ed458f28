// Two ends of a TLS connection in memory (see ends.h).
#include "tests/tls/ends.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <cstring>
#include <thread>

namespace sluice::tls::test {

namespace {

HandshakeThreads::Options options_for(uint32_t threads) {
    HandshakeThreads::Options options;
    options.threads = threads;
    return options;
}

int on_session(SSL* ssl, SSL_SESSION* session) {
    static_cast<TheirEnd*>(SSL_get_app_data(ssl))->sessions.push_back(session);
    return 1;
}
void on_info(const SSL* ssl, int where, int value) {
    auto* end = static_cast<TheirEnd*>(SSL_get_app_data(ssl));
    if (end && (where & SSL_CB_ALERT) && (where & SSL_CB_READ)) end->alert_received = value & 0xff;
}

}  // namespace

Core::Core(const HandshakeLimits& limits, uint32_t thread_count) : threads(options_for(thread_count)), nodes(65536) {
    sluice::test::test_eal();
    handshaker = std::make_unique<Handshaker>(threads, 0, limits);
}
void Core::poll_all() {
    do {
        handshaker->poll(kNow);
        if (threads.threads() > 0) std::this_thread::yield();
    } while (handshaker->busy());
}

OurEnd::~OurEnd() {
    if (handshake) core_.handshaker->cancel(*handshake);
    core_.poll_all();
}
bool OurEnd::give(std::string_view bytes, size_t cut) {
    bool taken = true;
    while (!bytes.empty() && handshake) {
        const std::string_view piece = bytes.substr(0, cut);
        bytes.remove_prefix(piece.size());
        if (result) {   // done: the record layer's
            result->leftover.insert(result->leftover.end(), piece.begin(), piece.end());
            continue;
        }
        SliceQueue queue(core_.nodes);
        EXPECT_TRUE(queue.push_back(sluice::test::heap_slice(piece)));
        taken = core_.handshaker->feed(*handshake, queue) && taken;
        std::string left(queue.bytes(), '\0');
        queue.peek(0, std::span(reinterpret_cast<uint8_t*>(left.data()), left.size()));
        held += left;
        if (cut != SIZE_MAX) core_.poll_all();
    }
    if (!bytes.empty() && result) result->leftover.insert(result->leftover.end(), bytes.begin(), bytes.end());
    return taken;
}
void OurEnd::on_handshake_bytes(std::span<const uint8_t> bytes, Instant) {
    output.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (in_callback) in_callback();
}
void OurEnd::on_handshake_done(HandshakeResult&& r, bool tickets, Instant) {
    EXPECT_FALSE(result || failure);
    result = std::move(r);
    result->leftover.insert(result->leftover.end(), held.begin(), held.end());
    take_tickets = tickets;
    if (!tickets) handshake = nullptr;
}
void OurEnd::on_handshake_failed(Failure f, Alert a, std::string_view why, Instant) {
    EXPECT_FALSE(result || failure);
    failure = f, alert = a, reason = why;
    EXPECT_FALSE(reason.empty());
    handshake = nullptr;
}

TheirEnd::TheirEnd(bool server, const std::function<void(SSL_CTX*)>& set_up, SSL_SESSION* session, const std::function<void(SSL*)>& set_up_ssl) {
    ctx_ = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    SSL_CTX_set_info_callback(ctx_, on_info);
    SSL_CTX_set_session_cache_mode(ctx_, server ? SSL_SESS_CACHE_OFF : SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    if (!server) SSL_CTX_sess_set_new_cb(ctx_, on_session);
    if (set_up) set_up(ctx_);
    ssl_ = SSL_new(ctx_);
    SSL_set_app_data(ssl_, this);
    BIO* in = BIO_new(BIO_s_mem());
    BIO* out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in, -1);
    BIO_set_mem_eof_return(out, -1);
    SSL_set_bio(ssl_, in, out);
    if (session) SSL_set_session(ssl_, session);
    server ? SSL_set_accept_state(ssl_) : SSL_set_connect_state(ssl_);
    if (set_up_ssl) set_up_ssl(ssl_);
}
TheirEnd::~TheirEnd() {
    SSL_set_shutdown(ssl_, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(ssl_);
    for (SSL_SESSION* session : sessions) SSL_SESSION_free(session);
    SSL_CTX_free(ctx_);
}
void TheirEnd::run() {
    if (done || failed) return;
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_);
    if (result == 1) done = true;
    else if (SSL_get_error(ssl_, result) != SSL_ERROR_WANT_READ) failed = true, error = ERR_peek_error();
    ERR_clear_error();
}
void TheirEnd::give(std::string_view bytes) {
    if (!bytes.empty()) BIO_write(SSL_get_rbio(ssl_), bytes.data(), static_cast<int>(bytes.size()));
}
std::string TheirEnd::take() {
    std::string out(BIO_ctrl_pending(SSL_get_wbio(ssl_)), '\0');
    if (!out.empty()) BIO_read(SSL_get_wbio(ssl_), out.data(), static_cast<int>(out.size()));
    return out;
}
void TheirEnd::write(std::string_view text) { EXPECT_EQ(SSL_write(ssl_, text.data(), static_cast<int>(text.size())), static_cast<int>(text.size())); }
std::string TheirEnd::read() {
    char buffer[4096];
    ERR_clear_error();
    const int n = SSL_read(ssl_, buffer, sizeof buffer);
    ERR_clear_error();
    return n > 0 ? std::string(buffer, static_cast<size_t>(n)) : std::string();
}

void pump(Core& core, OurEnd& ours, TheirEnd& theirs, size_t cut) {
    for (int idle = 0; idle < 2;) {
        core.poll_all();
        theirs.run();
        const std::string to_them = ours.take(), to_us = theirs.take();
        idle = to_them.empty() && to_us.empty() ? idle + 1 : 0;
        for (size_t at = 0; at < to_them.size(); at += std::min(cut, to_them.size() - at)) {
            theirs.give(std::string_view(to_them).substr(at, cut));
            theirs.run();
        }
        ours.give(to_us, cut);
    }
}
void pump(Core& core, OurEnd& client, OurEnd& server, size_t cut) {
    for (int idle = 0; idle < 2;) {
        core.poll_all();
        const std::string to_server = client.take(), to_client = server.take();
        idle = to_server.empty() && to_client.empty() ? idle + 1 : 0;
        server.give(to_server, cut);
        client.give(to_client, cut);
    }
}

std::string EvpRecords::nonce(const DirectionKeys& keys, std::string_view explicit_nonce) const {
    std::string out(reinterpret_cast<const char*>(keys.iv.data()), 12);
    if (!explicit_nonce.empty()) return out.substr(0, 4) + std::string(explicit_nonce);
    for (int i = 0; i < 8; i++) out[11 - i] = static_cast<char>(out[11 - i] ^ static_cast<char>(keys.sequence >> (8 * i)));
    return out;
}
std::string EvpRecords::aead(bool sealing, const DirectionKeys& keys, const std::string& nonce, const std::string& aad, const std::string& in, bool* ok) const {
    const EVP_CIPHER* cipher = keys_.aead == Aead::kAes128Gcm ? EVP_aes_128_gcm() : keys_.aead == Aead::kAes256Gcm ? EVP_aes_256_gcm() : EVP_chacha20_poly1305();
    std::unique_ptr<EVP_CIPHER_CTX, void (*)(EVP_CIPHER_CTX*)> ctx(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
    EVP_CipherInit_ex(ctx.get(), cipher, nullptr, keys.key.data(), reinterpret_cast<const unsigned char*>(nonce.data()), sealing);
    int n = 0, rest = 0;
    EVP_CipherUpdate(ctx.get(), nullptr, &n, reinterpret_cast<const unsigned char*>(aad.data()), static_cast<int>(aad.size()));
    const std::string body = sealing ? in : in.substr(0, in.size() - 16);
    std::string out(body.size(), '\0'), tag = sealing ? std::string(16, '\0') : in.substr(in.size() - 16);
    EVP_CipherUpdate(ctx.get(), reinterpret_cast<unsigned char*>(out.data()), &n, reinterpret_cast<const unsigned char*>(body.data()), static_cast<int>(body.size()));
    if (!sealing) EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_AEAD_SET_TAG, 16, tag.data());
    *ok = EVP_CipherFinal_ex(ctx.get(), reinterpret_cast<unsigned char*>(out.data()) + n, &rest) == 1;
    if (sealing) EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_AEAD_GET_TAG, 16, tag.data());
    return sealing ? out + tag : out;
}

namespace {
std::string big_endian(uint64_t value, int bytes) {
    std::string out;
    for (int i = bytes - 1; i >= 0; i--) out += static_cast<char>(value >> (8 * i));
    return out;
}
std::string header(uint8_t type, size_t size) { return std::string(1, static_cast<char>(type)) + "\x03\x03" + big_endian(size, 2); }
}  // namespace

std::string EvpRecords::seal(std::string_view text, uint8_t type) {
    DirectionKeys& keys = keys_.transmit;
    const bool v13 = keys_.version == Version::kTls13, gcm = keys_.aead != Aead::kChaCha20Poly1305;
    std::string plain(text), explicit_nonce, aad;
    if (v13) plain += static_cast<char>(type);
    else if (gcm) explicit_nonce = big_endian(keys.explicit_nonce++, 8);
    const std::string head = header(v13 ? 23 : type, explicit_nonce.size() + plain.size() + 16);
    aad = v13 ? head : big_endian(keys.sequence, 8) + header(type, plain.size());
    bool ok = false;
    const std::string sealed = aead(true, keys, nonce(keys, explicit_nonce), aad, plain, &ok);
    keys.sequence++;
    return head + explicit_nonce + sealed;
}
std::optional<std::string> EvpRecords::open(std::string& bytes, uint8_t* type) {
    if (bytes.size() < 5) return std::nullopt;
    DirectionKeys& keys = keys_.receive;
    const bool v13 = keys_.version == Version::kTls13, gcm = keys_.aead != Aead::kChaCha20Poly1305;
    const size_t size = static_cast<size_t>(static_cast<uint8_t>(bytes[3])) << 8 | static_cast<uint8_t>(bytes[4]);
    if (bytes.size() < 5 + size || size < 16 + (v13 || !gcm ? 0 : 8)) return std::nullopt;
    const std::string head = bytes.substr(0, 5);
    std::string body = bytes.substr(5, size), explicit_nonce;
    bytes.erase(0, 5 + size);
    if (!v13 && gcm) explicit_nonce = body.substr(0, 8), body.erase(0, 8);
    const std::string aad = v13 ? head : big_endian(keys.sequence, 8) + header(static_cast<uint8_t>(head[0]), body.size() - 16);
    bool ok = false;
    std::string plain = aead(false, keys, nonce(keys, explicit_nonce), aad, body, &ok);
    keys.sequence++;
    if (!ok) return std::nullopt;
    if (type) *type = v13 ? static_cast<uint8_t>(plain.back()) : static_cast<uint8_t>(head[0]);
    if (v13) plain.pop_back();
    return plain;
}

const CertificateAuthority& authority() {
    static const CertificateAuthority ca("test root");
    return ca;
}
const CertificateAuthority& stranger() {
    static const CertificateAuthority ca("stranger", KeyKind::kEcP256, 101);
    return ca;
}
CertificateSource source(const Issued& issued, std::string name) { return {issued.chain_pem, issued.private_key_pem, "", std::move(name)}; }
ServerOptions server_options() {
    static const auto issue = [](KeyKind kind) {
        CertificateSpec spec;
        spec.common_name = "shop";
        spec.names = {"DNS:shop.example", "DNS:*.shop.example", "URI:spiffe://cluster.local/ns/shop/sa/web"};
        spec.key = kind;
        return authority().issue(spec);
    };
    static const Issued ec = issue(KeyKind::kEcP256), rsa = issue(KeyKind::kRsa2048);
    ServerOptions options;
    options.certificates = {source(ec, "shop-ec"), source(rsa, "shop-rsa")};
    return options;
}
ClientOptions client_options() {
    ClientOptions options;
    options.verification.trusted_ca_pem = authority().pem();
    return options;
}
std::shared_ptr<const ServerContext> make(ServerOptions options) {
    auto context = ServerContext::create(std::move(options), time(nullptr));
    EXPECT_TRUE(context) << context.error().what;
    return context ? *context : nullptr;
}
std::shared_ptr<const ClientContext> make(ClientOptions options) {
    auto context = ClientContext::create(std::move(options), time(nullptr));
    EXPECT_TRUE(context) << context.error().what;
    return context ? *context : nullptr;
}
void use_certificate(SSL_CTX* ctx, const Issued& issued) {
    BIO* bio = BIO_new_mem_buf(issued.chain_pem.data(), static_cast<int>(issued.chain_pem.size()));
    bool first = true;
    while (X509* x = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr)) {
        first ? SSL_CTX_use_certificate(ctx, x) : static_cast<int>(SSL_CTX_add1_chain_cert(ctx, x));
        first = false;
        X509_free(x);
    }
    BIO_free(bio);
    bio = BIO_new_mem_buf(issued.private_key_pem.data(), static_cast<int>(issued.private_key_pem.size()));
    EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
    EXPECT_EQ(SSL_CTX_use_PrivateKey(ctx, key), 1);
    EVP_PKEY_free(key);
    BIO_free(bio);
    ERR_clear_error();
}
void trust(SSL_CTX* ctx, const CertificateAuthority& ca) {
    const std::string pem = ca.pem();
    BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
    X509* x = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x);
    X509_free(x);
    BIO_free(bio);
}

}  // namespace sluice::tls::test
