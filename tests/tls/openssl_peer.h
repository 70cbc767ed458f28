// Two OpenSSL ends over memory BIOs that shake hands; then one of them is taken over by our record layer, the other stays what it is: the
// peer of differential tests. In: suite and which end is ours. Out: traffic keys by key log callback (1.3) or master secret (1.2), and
// the peer's SSL object. Owns both SSL objects.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "tests/tls/record_harness.h"

namespace sluice::tls::test {

class OpensslPeer {
 public:
    /// `tickets`: the server end writes so many after a 1.3 handshake.
    OpensslPeer(const Suite& suite, Role ours, int tickets = 0);
    ~OpensslPeer();

    /// Ours, as of the end of the handshake.
    TrafficKeys keys() const;
    /// The end that stays OpenSSL's.
    SSL* ssl() const { return peer_; }
    /// The end that was taken over: for tickets.
    SSL* our_ssl() const { return ours_; }
    /// Bytes that the peer has written and we have not read.
    Bytes from_peer();
    void to_peer(std::span<const uint8_t> bytes);
    void to_our_ssl(std::span<const uint8_t> bytes);
    /// What SSL_read gives, until it gives no more; last_error() is why.
    Bytes read();
    int last_error() const { return last_error_; }
    /// SSL_write of all of it.
    bool write(std::span<const uint8_t> bytes);

 private:
    void handshake();
    static void key_log(const SSL* ssl, const char* line);

    Suite suite_;
    Role role_;
    SSL_CTX* server_context_;
    SSL_CTX* client_context_;
    SSL* ours_ = nullptr;
    SSL* peer_ = nullptr;
    Bytes client_secret_, server_secret_;
    Bytes our_last_flight_, pending_;
    int last_error_ = 0;
};

}  // namespace sluice::tls::test
