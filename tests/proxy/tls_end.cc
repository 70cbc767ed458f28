// See tls_end.h.
#include "tests/proxy/tls_end.h"

#include <openssl/err.h>
#include <openssl/pem.h>

namespace sluice::proxy::test {
namespace {

BIO* memory(std::string_view text) { return BIO_new_mem_buf(text.data(), static_cast<int>(text.size())); }

void use_certificate(SSL_CTX* context, const sluice::test::Issued& issued) {
    BIO* chain = memory(issued.chain_pem);
    X509* leaf = PEM_read_bio_X509(chain, nullptr, nullptr, nullptr);
    SSL_CTX_use_certificate(context, leaf);
    X509_free(leaf);
    while (X509* more = PEM_read_bio_X509(chain, nullptr, nullptr, nullptr)) SSL_CTX_add_extra_chain_cert(context, more);
    ERR_clear_error();
    BIO_free(chain);
    BIO* key = memory(issued.private_key_pem);
    EVP_PKEY* private_key = PEM_read_bio_PrivateKey(key, nullptr, nullptr, nullptr);
    SSL_CTX_use_PrivateKey(context, private_key);
    EVP_PKEY_free(private_key);
    BIO_free(key);
}

void trust(SSL_CTX* context, const std::string& pem) {
    BIO* bio = memory(pem);
    X509* root = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), root);
    X509_free(root);
    BIO_free(bio);
}

}  // namespace

TlsEnd::TlsEnd(FakeTransport& transport, const Options& options, std::function<void()> turn)
    : transport_(transport), turn_(std::move(turn)), context_(SSL_CTX_new(options.server ? TLS_server_method() : TLS_client_method())) {
    SSL_CTX* context = context_.get();
    SSL_CTX_set_min_proto_version(context, options.version);
    SSL_CTX_set_max_proto_version(context, options.version);
    if (!options.suites.empty()) options.version == TLS1_3_VERSION ? SSL_CTX_set_ciphersuites(context, options.suites.c_str()) : SSL_CTX_set_cipher_list(context, options.suites.c_str());
    SSL_CTX_set_keylog_callback(context, keep_secret);
    if (options.certificate) use_certificate(context, *options.certificate);
    if (!options.trusted_pem.empty()) {
        trust(context, options.trusted_pem);
        if (!options.server) SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    }
    SSL_CTX_set_num_tickets(context, options.tickets);
    if (options.server && options.wants_client_certificate) SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    ssl_.reset(SSL_new(context));
    SSL_set_app_data(ssl_.get(), this);
    SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    options.server ? SSL_set_accept_state(ssl_.get()) : SSL_set_connect_state(ssl_.get());
    if (!options.server_name.empty()) SSL_set_tlsext_host_name(ssl_.get(), options.server_name.c_str());
    if (!options.alpn.empty()) {
        const std::string wire = static_cast<char>(options.alpn.size()) + options.alpn;
        SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(wire.data()), static_cast<unsigned>(wire.size()));
    }
}

void TlsEnd::note_error(int result) {
    const int error = SSL_get_error(ssl_.get(), result);
    if (error != SSL_ERROR_SSL || !error_.empty()) return;
    char text[256];
    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    error_ = text;
}

/// True if any byte moved.
bool TlsEnd::move_bytes() {
    bool moved = false;
    if (const std::string in = deaf ? "" : transport_.take(); !in.empty()) {
        BIO_write(SSL_get_rbio(ssl_.get()), in.data(), static_cast<int>(in.size()));
        moved = true;
    }
    char out[65536];
    for (int n; (n = BIO_read(SSL_get_wbio(ssl_.get()), out, sizeof out)) > 0; moved = true)
        if (hold) held_.append(out, static_cast<size_t>(n));
        else if (!transport_.released) transport_.send({out, static_cast<size_t>(n)}, cut);
    return moved;
}

void TlsEnd::reset_behind() {
    transport_.send_and_reset(std::exchange(held_, {}));
    turn_();
}

void TlsEnd::send_held() {
    transport_.send(std::exchange(held_, {}), std::min<size_t>(cut, 1400));
    turn_();
}

void TlsEnd::keep_secret(const SSL* ssl, const char* line) {
    static_cast<TlsEnd*>(SSL_get_app_data(ssl))->key_log_ += std::string(line) + "\n";
}

tls::test::ReferenceRecords TlsEnd::forger() const {
    using namespace tls::test;
    const bool server = SSL_is_server(ssl_.get()) == 1;
    const std::string label = server ? "SERVER_TRAFFIC_SECRET_0 " : "CLIENT_TRAFFIC_SECRET_0 ";
    const size_t line = key_log_.find(label);
    const std::string hex = key_log_.substr(key_log_.find(' ', line + label.size()) + 1, 2 * 48);
    Bytes secret;
    for (size_t i = 0; i + 1 < hex.size() && std::isxdigit(hex[i]); i += 2) secret.push_back(static_cast<uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    tls::TrafficKeys keys;
    keys.role = server ? tls::Role::kServer : tls::Role::kClient;
    keys.version = tls::Version::kTls13;
    const bool small = secret.size() == 32;
    keys.aead = small ? tls::Aead::kAes128Gcm : tls::Aead::kAes256Gcm;
    keys.digest = small ? tls::Digest::kSha256 : tls::Digest::kSha384;
    const Bytes key = hkdf_expand_label(keys.digest, secret, "key", small ? 16 : 32), iv = hkdf_expand_label(keys.digest, secret, "iv", 12);
    std::copy(key.begin(), key.end(), keys.transmit.key.begin());
    std::copy(iv.begin(), iv.end(), keys.transmit.iv.begin());
    std::copy(secret.begin(), secret.end(), keys.transmit.secret.begin());
    keys.transmit.sequence = 0;
    return ReferenceRecords(keys);
}

bool TlsEnd::pump() {
    for (int quiet = 0; quiet < 3;) {
        if (!done()) {
            const int result = SSL_do_handshake(ssl_.get());
            if (result != 1) note_error(result);
        }
        if (done()) {
            char text[16384];
            int n;
            while ((n = SSL_read(ssl_.get(), text, sizeof text)) > 0) plain_.append(text, static_cast<size_t>(n));
            note_error(n);
        }
        turn_();
        quiet = move_bytes() ? 0 : quiet + 1;
    }
    return done();
}

std::string TlsEnd::read() {
    pump();
    return std::exchange(plain_, {});
}

bool TlsEnd::write(std::string_view text) {
    const int n = SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()));
    if (n <= 0) note_error(n);
    pump();
    return n == static_cast<int>(text.size());
}

void TlsEnd::close_notify() {
    SSL_shutdown(ssl_.get());
    pump();
}

std::string TlsEnd::peer_name() const {
    X509* peer = SSL_get1_peer_certificate(ssl_.get());
    if (!peer) return {};
    char name[256] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, name, sizeof name);
    X509_free(peer);
    return name;
}

}  // namespace sluice::proxy::test
