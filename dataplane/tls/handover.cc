// From OpenSSL's connection to keys of the record layer (see handover.h).
#include "tls/handover.h"

#include <openssl/core_names.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>

#include <algorithm>
#include <cstring>

namespace sluice::tls {

namespace {

constexpr uint8_t kChangeCipherSpec = 20, kHandshakeRecord = 22, kApplicationData = 23;
constexpr size_t kRandomBytes = 32, kMasterBytes = 48, kSaltBytes = 4, kIvBytes = 12;

size_t key_bytes(Aead aead) { return aead == Aead::kAes128Gcm ? 16 : 32; }
const EVP_MD* md_of(Digest digest) { return digest == Digest::kSha384 ? EVP_sha384() : EVP_sha256(); }

int hex_value(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }

/// HKDF-Expand-Label(secret, label, "", size) of RFC 8446 7.1 where size is at most one hash: a single block.
bool expand_label(std::span<const uint8_t> secret, Digest digest, std::string_view label, std::span<uint8_t> out) {
    uint8_t info[64];
    size_t size = 0;
    info[size++] = 0;
    info[size++] = static_cast<uint8_t>(out.size());
    info[size++] = static_cast<uint8_t>(6 + label.size());
    std::memcpy(info + size, "tls13 ", 6);
    std::memcpy(info + size + 6, label.data(), label.size());
    size += 6 + label.size();
    info[size++] = 0;   // no context
    info[size++] = 1;   // the first block
    uint8_t block[EVP_MAX_MD_SIZE];
    unsigned block_size = 0;
    const bool done = HMAC(md_of(digest), secret.data(), static_cast<int>(secret.size()), info, size, block, &block_size) && block_size >= out.size();
    if (done) std::memcpy(out.data(), block, out.size());
    OPENSSL_cleanse(block, sizeof block);
    return done;
}

bool set_direction13(std::span<const uint8_t> secret, const TrafficKeys& keys, uint64_t sequence, DirectionKeys& out) {
    std::copy(secret.begin(), secret.end(), out.secret.begin());
    out.sequence = sequence;
    return expand_label(secret, keys.digest, "key", std::span(out.key).first(key_bytes(keys.aead))) && expand_label(secret, keys.digest, "iv", out.iv);
}

bool key_block(const SSL* ssl, Digest digest, std::span<uint8_t> out) {
    uint8_t master[kMasterBytes], seed[2 * kRandomBytes];
    const size_t master_size = SSL_SESSION_get_master_key(SSL_get_session(ssl), master, sizeof master);
    const bool randoms = SSL_get_server_random(ssl, seed, kRandomBytes) == kRandomBytes && SSL_get_client_random(ssl, seed + kRandomBytes, kRandomBytes) == kRandomBytes;
    EVP_KDF* kdf = EVP_KDF_fetch(nullptr, "TLS1-PRF", nullptr);
    EVP_KDF_CTX* context = kdf ? EVP_KDF_CTX_new(kdf) : nullptr;
    char label[] = "key expansion";
    char name[] = "SHA256", name384[] = "SHA384";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest == Digest::kSha384 ? name384 : name, 0),
                                 OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, master, master_size),
                                 OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, label, sizeof label - 1),
                                 OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed, sizeof seed), OSSL_PARAM_construct_end()};
    const bool done = master_size == kMasterBytes && randoms && context && EVP_KDF_derive(context, out.data(), out.size(), params) == 1;
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    OPENSSL_cleanse(master, sizeof master);
    return done;
}

bool hand_over12(const SSL* ssl, const OutputWatch& written, TrafficKeys& out) {
    const bool gcm = out.aead != Aead::kChaCha20Poly1305;
    const size_t key = key_bytes(out.aead), iv = gcm ? kSaltBytes : kIvBytes;
    std::array<uint8_t, 2 * (32 + kIvBytes)> block{};
    const auto used = std::span(block).first(2 * (key + iv));
    if (!key_block(ssl, out.digest, used)) return false;
    DirectionKeys& client = out.role == Role::kClient ? out.transmit : out.receive;
    DirectionKeys& server = out.role == Role::kClient ? out.receive : out.transmit;
    const uint8_t* at = block.data();
    for (DirectionKeys* direction : {&client, &server}) std::memcpy(direction->key.data(), at, key), at += key;
    for (DirectionKeys* direction : {&client, &server}) std::memcpy(direction->iv.data(), at, iv), at += iv;
    OPENSSL_cleanse(block.data(), block.size());
    out.receive.sequence = out.transmit.sequence = 1;   // Finished was 0
    if (!gcm) return true;
    if (!written.has_nonce()) return false;
    out.transmit.explicit_nonce = written.nonce() + 1;
    return true;
}

bool hand_over13(Role role, const KeyLogSecrets& secrets, const OutputWatch& written, TrafficKeys& out) {
    if (!secrets.complete()) return false;
    DirectionKeys& client = role == Role::kClient ? out.transmit : out.receive;
    DirectionKeys& server = role == Role::kClient ? out.receive : out.transmit;
    const uint64_t tickets = role == Role::kServer ? written.application_records() : 0;
    return set_direction13(secrets.client(), out, 0, client) && set_direction13(secrets.server(), out, tickets, server);
}

}  // namespace

void OutputWatch::begin_record() {
    body_left_ = static_cast<uint32_t>(header_[3]) << 8 | header_[4];
    if (header_[0] == kApplicationData) application_records_++;
    in_finished_ = ciphered_ && header_[0] == kHandshakeRecord && nonce_bytes_ == 0;
    if (header_[0] == kChangeCipherSpec) ciphered_ = true;
}

void OutputWatch::write(std::span<const uint8_t> bytes) {
    while (!bytes.empty()) {
        if (body_left_ == 0) {
            header_[header_bytes_++] = bytes[0];
            bytes = bytes.subspan(1);
            if (header_bytes_ < kRecordHeaderBytes) continue;
            header_bytes_ = 0;
            begin_record();
            continue;
        }
        size_t n = std::min<size_t>(bytes.size(), body_left_);
        if (in_finished_ && nonce_bytes_ < 8) {
            nonce_ = nonce_ << 8 | bytes[0];
            nonce_bytes_++;
            n = 1;
        }
        body_left_ -= static_cast<uint32_t>(n);
        bytes = bytes.subspan(n);
    }
}

KeyLogSecrets::~KeyLogSecrets() {
    OPENSSL_cleanse(client_.data(), client_.size());
    OPENSSL_cleanse(server_.data(), server_.size());
}

void KeyLogSecrets::read(std::string_view line) {
    const bool client = line.starts_with("CLIENT_TRAFFIC_SECRET_0 ");
    if (!client && !line.starts_with("SERVER_TRAFFIC_SECRET_0 ")) return;
    const std::string_view digits = line.substr(line.rfind(' ') + 1);
    auto& out = client ? client_ : server_;
    size_t& size = client ? client_size_ : server_size_;
    size = 0;
    if (digits.size() % 2 != 0 || digits.size() > 2 * out.size()) return;
    for (size_t i = 0; i < digits.size(); i += 2) {
        const int high = hex_value(digits[i]), low = hex_value(digits[i + 1]);
        if (high < 0 || low < 0) return;
        out[i / 2] = static_cast<uint8_t>(high << 4 | low);
    }
    size = digits.size() / 2;
}

Aead aead_of(const SSL* ssl) {
    const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl);
    switch (cipher ? SSL_CIPHER_get_cipher_nid(cipher) : NID_undef) {
        case NID_aes_128_gcm: return Aead::kAes128Gcm;
        case NID_aes_256_gcm: return Aead::kAes256Gcm;
        case NID_chacha20_poly1305: return Aead::kChaCha20Poly1305;
        default: return Aead::kNone;
    }
}

bool hand_over(SSL* ssl, Role role, const KeyLogSecrets& secrets, const OutputWatch& written, TrafficKeys& out) {
    const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl);
    if (!cipher) return false;
    out.role = role;
    out.version = SSL_version(ssl) == TLS1_3_VERSION ? Version::kTls13 : Version::kTls12;
    out.aead = aead_of(ssl);
    out.cipher_suite = SSL_CIPHER_get_protocol_id(cipher);
    const EVP_MD* digest = SSL_CIPHER_get_handshake_digest(cipher);
    out.digest = digest && EVP_MD_get_type(digest) == NID_sha384 ? Digest::kSha384 : Digest::kSha256;
    if (out.aead == Aead::kNone) return true;   // OpenSSL goes on; the words above are for logs
    const bool done = out.version == Version::kTls13 ? hand_over13(role, secrets, written, out) : hand_over12(ssl, written, out);
    if (!done) out.wipe();
    return done;
}

}  // namespace sluice::tls
