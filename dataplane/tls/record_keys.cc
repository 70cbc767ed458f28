// The next generation of a 1.3 direction's keys: HKDF-Expand-Label by HMAC over ipsec-mb's one-shot SHA-256 and SHA-384, as OpenSSL's
// EVP would allocate on a worker. In: application_traffic_secret_N. Out: N+1, its key and IV, sequence 0; copies are wiped.
// RFC 8446 7.1-7.3, RFC 5869 2.3, RFC 2104.
#include <openssl/crypto.h>

#include <cstring>

#include "tls/record_engine.h"

namespace sluice::tls {

namespace {

constexpr uint32_t kLabelBytesMax = 64;   // HkdfLabel of ours and the counter byte: 2 + 1 + 17 + 1 + 1

struct Hash {
    hash_fn_t function;
    uint32_t block_bytes, digest_bytes;
};

Hash hash_of(const IMB_MGR* mb, Digest digest) {
    return digest == Digest::kSha384 ? Hash{mb->sha384, 128, 48} : Hash{mb->sha256, 64, 32};
}

/// HMAC with a key of at most one block and a text of at most kLabelBytesMax.
void hmac(const Hash& hash, const uint8_t* key, std::span<const uint8_t> text, uint8_t out[48]) {
    uint8_t inner[128 + kLabelBytesMax], outer[128 + 48];
    std::memset(inner, 0x36, hash.block_bytes);
    std::memset(outer, 0x5c, hash.block_bytes);
    for (uint32_t i = 0; i < hash.digest_bytes; i++) inner[i] ^= key[i], outer[i] ^= key[i];
    std::memcpy(inner + hash.block_bytes, text.data(), text.size());
    hash.function(inner, hash.block_bytes + text.size(), outer + hash.block_bytes);
    hash.function(outer, hash.block_bytes + hash.digest_bytes, out);
    OPENSSL_cleanse(inner, sizeof inner);
    OPENSSL_cleanse(outer, sizeof outer);
}

/// At most one digest's worth: T(1) of HKDF-Expand is all of it.
void expand_label(const Hash& hash, const uint8_t* secret, std::string_view label, uint32_t bytes, uint8_t* to) {
    uint8_t text[kLabelBytesMax] = {0, static_cast<uint8_t>(bytes), static_cast<uint8_t>(6 + label.size()), 't', 'l', 's', '1', '3', ' '};
    std::memcpy(text + 9, label.data(), label.size());
    size_t size = 9 + label.size();
    text[size++] = 0;   // no context
    text[size++] = 1;   // T(1)
    uint8_t block[48];
    hmac(hash, secret, {text, size}, block);
    std::memcpy(to, block, bytes);
    OPENSSL_cleanse(block, sizeof block);
}

}  // namespace

void RecordEngine::Impl::next_keys(Records::Direction& direction, Aead aead, Digest digest) {
    give_back(direction);
    const Hash hash = hash_of(mb, digest);
    uint8_t next[48];
    expand_label(hash, direction.secret, "traffic upd", hash.digest_bytes, next);
    std::memcpy(direction.secret, next, hash.digest_bytes);
    OPENSSL_cleanse(next, sizeof next);
    expand_label(hash, direction.secret, "key", aead == Aead::kAes128Gcm ? 16 : 32, direction.key);
    expand_label(hash, direction.secret, "iv", sizeof direction.iv, direction.iv);
    direction.sequence = 0;
}

}  // namespace sluice::tls
