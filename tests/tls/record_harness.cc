// Keys, queues and a second record layer for tests. RFC 8446 5 and 7, RFC 5288, RFC 7905, by OpenSSL's EVP.
#include "tests/tls/record_harness.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace sluice::tls::test {

std::span<const Suite> suites() {
    static constexpr Suite kSuites[] = {
        {Version::kTls13, Aead::kAes128Gcm, Digest::kSha256, 0x1301, "TLS_AES_128_GCM_SHA256"},
        {Version::kTls13, Aead::kAes256Gcm, Digest::kSha384, 0x1302, "TLS_AES_256_GCM_SHA384"},
        {Version::kTls13, Aead::kChaCha20Poly1305, Digest::kSha256, 0x1303, "TLS_CHACHA20_POLY1305_SHA256"},
        {Version::kTls12, Aead::kAes128Gcm, Digest::kSha256, 0xc02b, "ECDHE-ECDSA-AES128-GCM-SHA256"},
        {Version::kTls12, Aead::kAes256Gcm, Digest::kSha384, 0xc02c, "ECDHE-ECDSA-AES256-GCM-SHA384"},
        {Version::kTls12, Aead::kChaCha20Poly1305, Digest::kSha256, 0xcca9, "ECDHE-ECDSA-CHACHA20-POLY1305"},
    };
    return kSuites;
}

Bytes random_bytes(Rng& rng, size_t size) {
    Bytes bytes(size);
    for (size_t i = 0; i < size; i += 8) {
        const uint64_t word = rng.next();
        std::memcpy(bytes.data() + i, &word, std::min<size_t>(8, size - i));
    }
    return bytes;
}

TrafficKeys random_keys(const Suite& suite, Role role, Rng& rng) {
    TrafficKeys keys;
    keys.role = role, keys.version = suite.version, keys.aead = suite.aead, keys.digest = suite.digest, keys.cipher_suite = suite.number;
    for (DirectionKeys* direction : {&keys.receive, &keys.transmit}) {
        for (auto& byte : direction->key) byte = static_cast<uint8_t>(rng.next());
        for (auto& byte : direction->iv) byte = static_cast<uint8_t>(rng.next());
        for (auto& byte : direction->secret) byte = static_cast<uint8_t>(rng.next());
        direction->sequence = suite.version == Version::kTls12;
        direction->explicit_nonce = rng.next();
    }
    return keys;
}

TrafficKeys mirror(const TrafficKeys& keys) {
    TrafficKeys other = keys;
    other.role = keys.role == Role::kServer ? Role::kClient : Role::kServer;
    std::swap(other.receive, other.transmit);
    return other;
}

void push(SliceQueue& queue, std::span<const uint8_t> bytes, std::span<const size_t> sizes) {
    for (size_t i = 0; !bytes.empty(); i++) {
        const size_t n = std::min(bytes.size(), sizes[std::min(i, sizes.size() - 1)]);
        Slice slice = sluice::test::heap_slice(bytes.first(n));
        if (!slice.segment() || !queue.push_back(std::move(slice))) std::abort();
        bytes = bytes.subspan(n);
    }
}

void push_cut(SliceQueue& queue, std::span<const uint8_t> bytes, Rng& rng) {
    const uint64_t most = std::max(uint64_t{1} << rng.between(1, 13), bytes.size() / 10'000);   // the pool has 65,535
    std::vector<size_t> sizes;
    for (size_t total = 0; total < bytes.size(); total += sizes.back()) sizes.push_back(rng.between(1, most));
    if (!bytes.empty()) push(queue, bytes, sizes);
}

Bytes bytes_of(const SliceQueue& queue) {
    Bytes bytes(queue.bytes());
    queue.peek(0, bytes);
    return bytes;
}

namespace {

const EVP_CIPHER* cipher_of(Aead aead) {
    switch (aead) {
        case Aead::kAes128Gcm: return EVP_aes_128_gcm();
        case Aead::kAes256Gcm: return EVP_aes_256_gcm();
        default: return EVP_chacha20_poly1305();
    }
}

struct Protected {
    uint8_t nonce[12];
    Bytes additional;
};

Protected protection(const TrafficKeys& keys, const DirectionKeys& direction, std::span<const uint8_t> header, size_t plain, uint64_t explicit_nonce) {
    Protected p;
    for (int i = 0; i < 12; i++) p.nonce[i] = direction.iv[static_cast<size_t>(i)];
    const bool salted = keys.version == Version::kTls12 && keys.aead != Aead::kChaCha20Poly1305;
    for (int i = 0; i < 8; i++) {
        const int shift = 56 - 8 * i;
        if (salted) p.nonce[4 + i] = static_cast<uint8_t>(explicit_nonce >> shift);
        else p.nonce[4 + i] ^= static_cast<uint8_t>(direction.sequence >> shift);
        if (keys.version == Version::kTls12) p.additional.push_back(static_cast<uint8_t>(direction.sequence >> shift));
    }
    p.additional.insert(p.additional.end(), header.begin(), header.begin() + 3);
    const size_t length = keys.version == Version::kTls12 ? plain : static_cast<size_t>(header[3] << 8 | header[4]);
    p.additional.push_back(static_cast<uint8_t>(length >> 8));
    p.additional.push_back(static_cast<uint8_t>(length));
    return p;
}

using Context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

}  // namespace

Bytes ReferenceRecords::seal(uint8_t type, std::span<const uint8_t> content, size_t padding) {
    Bytes inner(content.begin(), content.end());
    if (keys_.version == Version::kTls12) return seal_inner(inner, type);
    inner.push_back(type);
    inner.resize(inner.size() + padding);
    return seal_inner(inner);
}

Bytes ReferenceRecords::seal_inner(std::span<const uint8_t> inner, uint8_t outer_type, uint16_t version) {
    DirectionKeys& direction = keys_.transmit;
    const bool salted = keys_.version == Version::kTls12 && keys_.aead != Aead::kChaCha20Poly1305;
    const size_t payload = (salted ? 8 : 0) + inner.size() + 16;
    Bytes record = {outer_type, static_cast<uint8_t>(version >> 8), static_cast<uint8_t>(version), static_cast<uint8_t>(payload >> 8),
                    static_cast<uint8_t>(payload)};
    if (salted) {
        for (int i = 0; i < 8; i++) record.push_back(static_cast<uint8_t>(direction.explicit_nonce >> (56 - 8 * i)));
    }
    const Protected p = protection(keys_, direction, record, inner.size(), direction.explicit_nonce);
    const size_t at = record.size();
    record.resize(at + inner.size() + 16);
    Context context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
    int n = 0;
    EVP_EncryptInit_ex(context.get(), cipher_of(keys_.aead), nullptr, direction.key.data(), p.nonce);
    EVP_EncryptUpdate(context.get(), nullptr, &n, p.additional.data(), static_cast<int>(p.additional.size()));
    EVP_EncryptUpdate(context.get(), record.data() + at, &n, inner.data(), static_cast<int>(inner.size()));
    EVP_EncryptFinal_ex(context.get(), record.data() + at + n, &n);
    EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, 16, record.data() + at + inner.size());
    direction.sequence++, direction.explicit_nonce++;
    return record;
}

ReferenceRecords::Record ReferenceRecords::open(Bytes& wire) {
    DirectionKeys& direction = keys_.receive;
    const size_t skip = keys_.version == Version::kTls12 && keys_.aead != Aead::kChaCha20Poly1305 ? 8 : 0;
    if (wire.size() < 5) return {};
    const size_t payload = static_cast<size_t>(wire[3] << 8 | wire[4]);
    if (wire.size() < 5 + payload || payload < skip + 16) return {};
    uint64_t explicit_nonce = 0;
    for (size_t i = 0; i < skip; i++) explicit_nonce = explicit_nonce << 8 | wire[5 + i];
    const size_t plain = payload - skip - 16;
    const Protected p = protection(keys_, direction, wire, plain, explicit_nonce);
    Record record{.type = wire[0], .content = Bytes(plain + 1)};
    Context context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
    int n = 0;
    EVP_DecryptInit_ex(context.get(), cipher_of(keys_.aead), nullptr, direction.key.data(), p.nonce);
    EVP_DecryptUpdate(context.get(), nullptr, &n, p.additional.data(), static_cast<int>(p.additional.size()));
    EVP_DecryptUpdate(context.get(), record.content.data(), &n, wire.data() + 5 + skip, static_cast<int>(plain));
    EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, 16, wire.data() + 5 + skip + plain);
    const bool good = EVP_DecryptFinal_ex(context.get(), record.content.data() + n, &n) == 1;
    wire.erase(wire.begin(), wire.begin() + static_cast<ptrdiff_t>(5 + payload));
    direction.sequence++;
    record.content.resize(plain);
    if (!good) return {};
    if (keys_.version == Version::kTls13) {
        while (!record.content.empty() && record.content.back() == 0) record.content.pop_back();
        if (record.content.empty()) return {};
        record.type = record.content.back();
        record.content.pop_back();
    }
    return record;
}

Bytes hkdf_expand_label(Digest digest, std::span<const uint8_t> secret, std::string_view label, size_t bytes) {
    Bytes info = {static_cast<uint8_t>(bytes >> 8), static_cast<uint8_t>(bytes), static_cast<uint8_t>(6 + label.size())};
    for (const char c : std::string("tls13 ") + std::string(label)) info.push_back(static_cast<uint8_t>(c));
    info.push_back(0);
    EVP_KDF* kdf = EVP_KDF_fetch(nullptr, "HKDF", nullptr);
    EVP_KDF_CTX* context = EVP_KDF_CTX_new(kdf);
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    char name[8] = "SHA256";
    if (digest == Digest::kSha384) std::copy_n("SHA384", 7, name);
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
                                     OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, name, 0),
                                     OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, const_cast<uint8_t*>(secret.data()), secret.size()),
                                     OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info.data(), info.size()), OSSL_PARAM_END};
    Bytes out(bytes);
    if (EVP_KDF_derive(context, out.data(), out.size(), parameters) != 1) std::abort();
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    return out;
}

void ReferenceRecords::update(DirectionKeys& keys, const TrafficKeys& of) {
    const size_t size = of.digest == Digest::kSha384 ? 48 : 32;
    const Bytes next = hkdf_expand_label(of.digest, {keys.secret.data(), size}, "traffic upd", size);
    std::copy(next.begin(), next.end(), keys.secret.begin());
    const Bytes key = hkdf_expand_label(of.digest, next, "key", of.aead == Aead::kAes128Gcm ? 16 : 32);
    const Bytes iv = hkdf_expand_label(of.digest, next, "iv", 12);
    std::copy(key.begin(), key.end(), keys.key.begin());
    std::copy(iv.begin(), iv.end(), keys.iv.begin());
    keys.sequence = 0;
}

}  // namespace sluice::tls::test
