// A handshake between two SSL objects and the hand-over of one of them. RFC 8446 7.1-7.3, RFC 5246 6.3 and 8.1.
#include "tests/tls/openssl_peer.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/x509.h>

#include <cstdlib>
#include <cstring>
#include <string_view>

namespace sluice::tls::test {

namespace {

/// One self-signed P-256 certificate for the process.
std::pair<EVP_PKEY*, X509*> certificate() {
    static const std::pair<EVP_PKEY*, X509*> made = [] {
        EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256");
        X509* x = X509_new();
        ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
        X509_gmtime_adj(X509_getm_notBefore(x), -3600);
        X509_gmtime_adj(X509_getm_notAfter(x), 24 * 3600);
        X509_set_pubkey(x, key);
        X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, reinterpret_cast<const uint8_t*>("peer.test"), -1, -1, 0);
        X509_set_issuer_name(x, X509_get_subject_name(x));
        X509_sign(x, key, EVP_sha256());
        return std::pair{key, x};
    }();
    return made;
}

Bytes from_hex(std::string_view hex) {
    Bytes bytes;
    for (size_t i = 0; i + 1 < hex.size(); i += 2) bytes.push_back(static_cast<uint8_t>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
    return bytes;
}

Bytes drain(BIO* bio) {
    Bytes bytes(BIO_ctrl_pending(bio));
    if (!bytes.empty()) BIO_read(bio, bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
}

/// RFC 5246 6.3, by OpenSSL's TLS1-PRF.
Bytes key_block(const Suite& suite, std::span<const uint8_t> master, std::span<const uint8_t> server_random, std::span<const uint8_t> client_random,
                size_t bytes) {
    EVP_KDF* kdf = EVP_KDF_fetch(nullptr, "TLS1-PRF", nullptr);
    EVP_KDF_CTX* context = EVP_KDF_CTX_new(kdf);
    Bytes seed;
    for (const char c : std::string("key expansion")) seed.push_back(static_cast<uint8_t>(c));
    seed.insert(seed.end(), server_random.begin(), server_random.end());
    seed.insert(seed.end(), client_random.begin(), client_random.end());
    char name[8] = "SHA256";
    if (suite.digest == Digest::kSha384) std::strcpy(name, "SHA384");
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, name, 0),
                                     OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, const_cast<uint8_t*>(master.data()), master.size()),
                                     OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed.data(), seed.size()), OSSL_PARAM_END};
    Bytes out(bytes);
    if (EVP_KDF_derive(context, out.data(), out.size(), parameters) != 1) std::abort();
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    return out;
}

/// The explicit nonce of the last record in `flight`.
uint64_t last_explicit_nonce(const Bytes& flight) {
    uint64_t nonce = 0;
    for (size_t at = 0; at + 5 <= flight.size();) {
        const size_t payload = static_cast<size_t>(flight[at + 3] << 8 | flight[at + 4]);
        nonce = 0;
        for (size_t i = 0; i < 8 && i < payload; i++) nonce = nonce << 8 | flight[at + 5 + i];
        at += 5 + payload;
    }
    return nonce;
}

}  // namespace

OpensslPeer::OpensslPeer(const Suite& suite, Role ours, int tickets)
    : suite_(suite), role_(ours), server_context_(SSL_CTX_new(TLS_server_method())), client_context_(SSL_CTX_new(TLS_client_method())) {
    for (SSL_CTX* context : {server_context_, client_context_}) {
        const int version = suite.version == Version::kTls13 ? TLS1_3_VERSION : TLS1_2_VERSION;
        SSL_CTX_set_min_proto_version(context, version);
        SSL_CTX_set_max_proto_version(context, version);
        const int good = version == TLS1_3_VERSION ? SSL_CTX_set_ciphersuites(context, suite.name) : SSL_CTX_set_cipher_list(context, suite.name);
        if (good != 1) std::abort();
        SSL_CTX_set_keylog_callback(context, key_log);
        SSL_CTX_set_app_data(context, this);
    }
    SSL_CTX_use_certificate(server_context_, certificate().second);
    SSL_CTX_use_PrivateKey(server_context_, certificate().first);
    SSL_CTX_set_num_tickets(server_context_, static_cast<size_t>(tickets));
    if (tickets == 0) SSL_CTX_set_options(server_context_, SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(client_context_, SSL_SESS_CACHE_CLIENT);
    handshake();
}

OpensslPeer::~OpensslPeer() {
    SSL_free(ours_);
    SSL_free(peer_);
    SSL_CTX_free(server_context_);
    SSL_CTX_free(client_context_);
}

void OpensslPeer::key_log(const SSL* ssl, const char* line) {
    auto* self = static_cast<OpensslPeer*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
    const std::string_view text(line);
    const std::string_view secret = text.substr(text.rfind(' ') + 1);
    if (text.starts_with("CLIENT_TRAFFIC_SECRET_0 ")) self->client_secret_ = from_hex(secret);
    if (text.starts_with("SERVER_TRAFFIC_SECRET_0 ")) self->server_secret_ = from_hex(secret);
}

void OpensslPeer::handshake() {
    SSL* ends[2] = {SSL_new(server_context_), SSL_new(client_context_)};
    for (SSL* end : ends) SSL_set_bio(end, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(ends[0]);
    SSL_set_connect_state(ends[1]);
    ours_ = ends[role_ == Role::kServer ? 0 : 1];
    peer_ = ends[role_ == Role::kServer ? 1 : 0];
    for (int i = 0; i < 8; i++) {
        SSL* end = ends[1 - i % 2];   // the client begins
        SSL* other = ends[i % 2];
        if (SSL_is_init_finished(ours_) && SSL_is_init_finished(peer_)) break;
        SSL_do_handshake(end);
        const Bytes flight = drain(SSL_get_wbio(end));
        if (end == ours_ && !flight.empty()) our_last_flight_ = flight;
        // What the peer writes once we are done is for our record layer.
        if (end == peer_ && SSL_is_init_finished(ours_)) pending_.insert(pending_.end(), flight.begin(), flight.end());
        else if (!flight.empty()) BIO_write(SSL_get_rbio(other), flight.data(), static_cast<int>(flight.size()));
    }
    if (!SSL_is_init_finished(ours_) || !SSL_is_init_finished(peer_)) std::abort();
}

TrafficKeys OpensslPeer::keys() const {
    TrafficKeys keys;
    keys.role = role_, keys.version = suite_.version, keys.aead = suite_.aead, keys.digest = suite_.digest, keys.cipher_suite = suite_.number;
    DirectionKeys& client = role_ == Role::kClient ? keys.transmit : keys.receive;
    DirectionKeys& server = role_ == Role::kServer ? keys.transmit : keys.receive;
    const size_t key_bytes = suite_.aead == Aead::kAes128Gcm ? 16 : 32;
    if (suite_.version == Version::kTls13) {
        for (const auto& [direction, secret] : {std::pair{&client, &client_secret_}, std::pair{&server, &server_secret_}}) {
            std::copy(secret->begin(), secret->end(), direction->secret.begin());
            const Bytes key = hkdf_expand_label(suite_.digest, *secret, "key", key_bytes);
            const Bytes iv = hkdf_expand_label(suite_.digest, *secret, "iv", 12);
            std::copy(key.begin(), key.end(), direction->key.begin());
            std::copy(iv.begin(), iv.end(), direction->iv.begin());
        }
        return keys;
    }
    uint8_t master[48], server_random[32], client_random[32];
    SSL_SESSION_get_master_key(SSL_get_session(ours_), master, sizeof master);
    SSL_get_server_random(ours_, server_random, sizeof server_random);
    SSL_get_client_random(ours_, client_random, sizeof client_random);
    const size_t iv_bytes = suite_.aead == Aead::kChaCha20Poly1305 ? 12 : 4;
    const Bytes block = key_block(suite_, master, server_random, client_random, 2 * (key_bytes + iv_bytes));
    std::copy_n(block.begin(), key_bytes, client.key.begin());
    std::copy_n(block.begin() + static_cast<ptrdiff_t>(key_bytes), key_bytes, server.key.begin());
    std::copy_n(block.begin() + static_cast<ptrdiff_t>(2 * key_bytes), iv_bytes, client.iv.begin());
    std::copy_n(block.begin() + static_cast<ptrdiff_t>(2 * key_bytes + iv_bytes), iv_bytes, server.iv.begin());
    client.sequence = server.sequence = 1;
    keys.transmit.explicit_nonce = last_explicit_nonce(our_last_flight_) + 1;
    return keys;
}

Bytes OpensslPeer::from_peer() {
    Bytes bytes = std::exchange(pending_, {});
    const Bytes more = drain(SSL_get_wbio(peer_));
    bytes.insert(bytes.end(), more.begin(), more.end());
    return bytes;
}

void OpensslPeer::to_peer(std::span<const uint8_t> bytes) { BIO_write(SSL_get_rbio(peer_), bytes.data(), static_cast<int>(bytes.size())); }
void OpensslPeer::to_our_ssl(std::span<const uint8_t> bytes) { BIO_write(SSL_get_rbio(ours_), bytes.data(), static_cast<int>(bytes.size())); }

Bytes OpensslPeer::read() {
    Bytes all;
    uint8_t buffer[16384];
    for (;;) {
        const int n = SSL_read(peer_, buffer, sizeof buffer);
        last_error_ = SSL_get_error(peer_, n);
        if (n <= 0) return all;
        all.insert(all.end(), buffer, buffer + n);
    }
}

bool OpensslPeer::write(std::span<const uint8_t> bytes) { return SSL_write(peer_, bytes.data(), static_cast<int>(bytes.size())) == static_cast<int>(bytes.size()); }

}  // namespace sluice::tls::test
