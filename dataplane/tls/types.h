// Words that all of the TLS room shares: versions, record protection, alerts, keys of one direction, and what a finished handshake
// hands over to the record layer. Plain values without behaviour. RFC 8446 (1.3), RFC 5246 + 5288 + 7905 (1.2 with AEAD).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sluice::tls {

enum class Version : uint8_t { kNone, kTls12, kTls13 };
enum class Role : uint8_t { kServer, kClient };
/// What the record layer protects with itself (ipsec-mb). Suites with anything else stay with OpenSSL and are counted.
enum class Aead : uint8_t { kNone, kAes128Gcm, kAes256Gcm, kChaCha20Poly1305 };
enum class Digest : uint8_t { kSha256, kSha384 };   // of the suite: the key schedule of KeyUpdate

/// RFC 8446 6; the ones a peer may see or send.
enum class Alert : uint8_t {
    kCloseNotify = 0, kUnexpectedMessage = 10, kBadRecordMac = 20, kRecordOverflow = 22, kHandshakeFailure = 40, kBadCertificate = 42,
    kUnsupportedCertificate = 43, kCertificateRevoked = 44, kCertificateExpired = 45, kCertificateUnknown = 46, kIllegalParameter = 47,
    kUnknownCa = 48, kAccessDenied = 49, kDecodeError = 50, kDecryptError = 51, kProtocolVersion = 70, kInsufficientSecurity = 71,
    kInternalError = 80, kInappropriateFallback = 86, kUserCanceled = 90, kNoRenegotiation = 100, kMissingExtension = 109,
    kUnsupportedExtension = 110, kUnrecognizedName = 112, kUnknownPskIdentity = 115, kCertificateRequired = 116,
    kNoApplicationProtocol = 120,
};

inline constexpr uint32_t kPlaintextMax = 16384;               // of one record (RFC 8446 5.1)
inline constexpr uint32_t kCiphertextMax = kPlaintextMax + 256; // RFC 8446 5.2; 1.2 allows 2,048 more, which AEADs never use
inline constexpr uint32_t kRecordHeaderBytes = 5;
inline constexpr uint32_t kTagBytes = 16;

/// One direction as it lies idle: raw key, static IV, secret for the next key. Expanded keys are lent by the core while active.
struct DirectionKeys {
    std::array<uint8_t, 32> key{};
    std::array<uint8_t, 12> iv{};           // 1.2 AES-GCM: the first 4 bytes are the salt
    std::array<uint8_t, 48> secret{};       // 1.3: application_traffic_secret_N; 1.2: unused
    uint64_t sequence = 0;                  // of the next record
    uint64_t explicit_nonce = 0;            // 1.2 AES-GCM, transmit: of the next record; goes on from OpenSSL's Finished
};

/// What a handshake leaves to the record layer. Secrets are wiped by whoever owns it last (wipe()).
struct TrafficKeys {
    Role role = Role::kServer;
    Version version = Version::kNone;
    Aead aead = Aead::kNone;                // kNone: not ours, OpenSSL keeps the records
    Digest digest = Digest::kSha256;
    uint16_t cipher_suite = 0;              // IANA number
    DirectionKeys receive, transmit;
    void wipe();
};

/// The session's id as OpenSSL has it; where tickets are used, a client makes one of its ticket. Of no bytes: there is none.
struct SessionId {
    std::array<uint8_t, 32> bytes{};
    uint8_t size = 0;
};

const char* to_string(Version version);     // TLSv1.3, as Envoy's %DOWNSTREAM_TLS_VERSION%
const char* to_string(Alert alert);         // certificate_expired, as RFC 8446 spells them
/// OpenSSL's name of an IANA suite, ECDHE-ECDSA-AES128-GCM-SHA256 or TLS_AES_128_GCM_SHA256; "unknown" where it has none.
const char* cipher_suite_name(uint16_t cipher_suite);
/// X25519, P-256, as Envoy's ssl.curves names them; "unknown" for others, "" for 0.
const char* group_name(uint16_t group);

}  // namespace sluice::tls
