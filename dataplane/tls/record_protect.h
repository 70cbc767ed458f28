// AEAD over one record by ipsec-mb's direct calls: whole where it lies in one piece, else piece by piece in any cut.
// In: raw or expanded key, nonce, additional data, bytes. Out: bytes (in place where the caller wants it) and the tag.
// RFC 8446 5.2-5.3 (1.3), RFC 5288 and RFC 7905 (1.2).
#pragma once

#include <cstring>

#include "base/endian.h"
#include "tls/record_engine.h"

namespace sluice::tls {

inline void store_be64(uint8_t* to, uint64_t value) {
    value = __builtin_bswap64(value);
    std::memcpy(to, &value, 8);
}

/// What an AEAD takes besides key and text. RFC 5116 2.1
struct AeadInput {
    const uint8_t* nonce;              // 12 bytes
    const uint8_t* additional;
    uint32_t additional_bytes;
};

/// What protects one record besides the key.
struct Protection {
    uint8_t nonce[16];                 // 12 are used
    uint8_t additional[16];
    uint32_t additional_bytes;
    operator AeadInput() const { return {nonce, additional, additional_bytes}; }

    /// 1.3: nonce is the IV xor the sequence, the header is authenticated as it is on the wire.
    /// 1.2: the header is authenticated with the sequence and the plain length; AES-GCM's nonce is salt and explicit nonce.
    Protection(Version version, const Records::Direction& direction, const uint8_t header[5], uint32_t plain_bytes,
               const uint8_t* explicit_nonce) {
        if (explicit_nonce) {
            std::memcpy(nonce, direction.iv, 4);
            std::memcpy(nonce + 4, explicit_nonce, 8);
        } else {
            std::memcpy(nonce, direction.iv, 12);
            uint64_t low;
            std::memcpy(&low, nonce + 4, 8);
            low ^= __builtin_bswap64(direction.sequence);
            std::memcpy(nonce + 4, &low, 8);
        }
        if (version == Version::kTls13) {
            std::memcpy(additional, header, 5);
            additional_bytes = 5;
        } else {
            store_be64(additional, direction.sequence);
            std::memcpy(additional + 8, header, 3);
            store_be16(additional + 11, static_cast<uint16_t>(plain_bytes));
            additional_bytes = 13;
        }
    }
};

/// The bytes of one record, in order, in pieces.
template <bool kSeal>
class AeadPass {
 public:
    AeadPass(RecordEngine::Impl& engine, Aead aead, Records::Direction& direction, AeadInput input)
        : mb_(engine.mb), raw_(direction.key) {
        if (aead == Aead::kChaCha20Poly1305) {
            mb_->chacha20_poly1305_init(raw_, &chacha_, input.nonce, input.additional, input.additional_bytes);
            return;
        }
        gcm_ = &engine.gcm(aead);
        key_ = engine.expanded(direction, aead);
        gcm_->begin(key_, &context_, input.nonce, input.additional, input.additional_bytes);
    }
    void update(uint8_t* to, const uint8_t* from, uint64_t bytes) {
        if (gcm_) (kSeal ? gcm_->seal_piece : gcm_->open_piece)(key_, &context_, to, from, bytes);
        else (kSeal ? mb_->chacha20_poly1305_enc_update : mb_->chacha20_poly1305_dec_update)(raw_, &chacha_, to, from, bytes);
    }
    void finish(uint8_t tag[kTagBytes]) {
        if (gcm_) (kSeal ? gcm_->seal_end : gcm_->open_end)(key_, &context_, tag, kTagBytes);
        else mb_->chacha20_poly1305_finalize(&chacha_, tag, kTagBytes);
    }

 private:
    IMB_MGR* mb_;
    const uint8_t* raw_;
    const GcmFunctions* gcm_ = nullptr;   // nullptr: ChaCha20-Poly1305
    const gcm_key_data* key_ = nullptr;
    union {
        gcm_context_data context_;
        chacha20_poly1305_context_data chacha_;
    };
};

/// All of a record in one piece.
template <bool kSeal>
void protect_whole(RecordEngine::Impl& engine, Aead aead, Records::Direction& direction, AeadInput input, uint8_t* to,
                   const uint8_t* from, uint32_t bytes, uint8_t tag[kTagBytes]) {
    if (aead == Aead::kChaCha20Poly1305) {
        AeadPass<kSeal> pass(engine, aead, direction, input);
        if (bytes > 0) pass.update(to, from, bytes);
        pass.finish(tag);
        return;
    }
    gcm_context_data context;
    const GcmFunctions& gcm = engine.gcm(aead);
    (kSeal ? gcm.seal : gcm.open)(engine.expanded(direction, aead), &context, to, from, bytes, input.nonce, input.additional,
                                  input.additional_bytes, tag, kTagBytes);
}

/// In time that does not tell where they differ.
inline bool same_tag(const uint8_t* a, const uint8_t* b) {
    uint64_t x[2], y[2];
    std::memcpy(x, a, sizeof x);
    std::memcpy(y, b, sizeof y);
    return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

}  // namespace sluice::tls
