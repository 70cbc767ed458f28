// The hand-over of a finished handshake to the record layer: secrets, keys, sequence numbers. In: OpenSSL's connection, what its key
// log said, what it wrote. Out: TrafficKeys. Tried for each role and version; DESIGN.md, TLS. Internal to the TLS room.
// RFC 8446 7.1-7.3; RFC 5246 6.3, RFC 5288 3, RFC 7905 2.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "tls/openssl_ptr.h"
#include "tls/types.h"

namespace sluice::tls {

/// Follows the records that OpenSSL writes, in any cut: how many application records the last call wrote (a server's tickets), and the
/// explicit nonce of the one behind ChangeCipherSpec (its 1.2 Finished).
class OutputWatch {
 public:
    void begin_call() { application_records_ = 0; }
    void write(std::span<const uint8_t> bytes);
    uint32_t application_records() const { return application_records_; }
    /// Only after a 1.2 Finished was written.
    bool has_nonce() const { return nonce_bytes_ == 8; }
    uint64_t nonce() const { return nonce_; }

 private:
    void begin_record();

    std::array<uint8_t, kRecordHeaderBytes> header_{};
    uint32_t header_bytes_ = 0, body_left_ = 0;
    uint32_t application_records_ = 0;
    bool ciphered_ = false;      // ChangeCipherSpec was written
    uint32_t nonce_bytes_ = 0;
    uint64_t nonce_ = 0;
    bool in_finished_ = false;
};

/// The two application traffic secrets of TLS 1.3, from lines of the key log. Wiped at the end.
class KeyLogSecrets {
 public:
    ~KeyLogSecrets();
    void read(std::string_view line);
    bool complete() const { return client_size_ > 0 && client_size_ == server_size_; }
    std::span<const uint8_t> client() const { return {client_.data(), client_size_}; }
    std::span<const uint8_t> server() const { return {server_.data(), server_size_}; }

 private:
    std::array<uint8_t, 48> client_{}, server_{};
    size_t client_size_ = 0, server_size_ = 0;
};

Aead aead_of(const SSL* ssl);
/// False: something is missing, and the connection cannot go on. A suite that is not ours leaves aead kNone and no keys.
bool hand_over(SSL* ssl, Role role, const KeyLogSecrets& secrets, const OutputWatch& written, TrafficKeys& out);

}  // namespace sluice::tls
