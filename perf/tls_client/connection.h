// One TLS 1.3 client connection over the kernel's TCP, non-blocking: connect, handshake, bytes.
// In: readiness of its socket. Out: how far it is; plain bytes. Owns the socket and the SSL object; the Context is shared.
// OpenSSL 3: SSL_connect(3), SSL_CTX_sess_set_new_cb(3).
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/ip_address.h"

namespace sluice::perf {

/// Who is spoken to and how: TLS 1.3, AES-128-GCM, X25519; the server's certificate is verified where an authority is given.
class ClientContext {
 public:
    struct Options {
        std::string name, authority, certificate;   // SNI; PEM files, may be empty; leaf and key in one file
    };
    /// Empty, or what is wrong.
    std::string open(const Options& options);
    SSL* make();

 private:
    struct Free {
        void operator()(SSL_CTX* c) const { SSL_CTX_free(c); }
    };
    std::unique_ptr<SSL_CTX, Free> context_;
    std::string name_;
};

class ClientConnection {
 public:
    enum class State : uint8_t { kClosed, kConnecting, kShaking, kOpen, kEnding, kEnded, kFailed };
    ~ClientConnection() { close(); }

    /// Begins; `session` is offered where there is one (kept by the caller). False: no socket.
    bool start(ClientContext& context, const SocketAddress& target, SSL_SESSION* session, int epoll, void* tag);
    /// The socket is ready for something: goes on with the handshake. Once open, takes what came as far as `room` goes.
    State advance();
    /// Plain bytes that are there; 0: none for now; sets kFailed at the end of the connection.
    size_t read(std::span<uint8_t> room);
    /// All of `bytes`, or kFailed: they are few.
    void write(std::span<const uint8_t> bytes);
    /// close_notify and FIN: kEnding, until the server has ended as well: kEnded. An alert or a reset is kFailed.
    void end();
    /// At once.
    void close();

    State state() const { return state_; }
    /// For users who only ask whether anything came.
    bool answered() const { return answered_; }
    void set_answered() { answered_ = true; }
    bool resumed() const { return SSL_session_reused(ssl_.get()) == 1; }
    /// Tickets that came since start(); the last one is taken by take_session().
    uint32_t tickets() const { return tickets_; }
    SSL_SESSION* take_session() { return session_.release(); }
    std::string why() const;

 private:
    friend class ClientContext;
    struct FreeSsl {
        void operator()(SSL* s) const { SSL_free(s); }
    };
    struct FreeSession {
        void operator()(SSL_SESSION* s) const { SSL_SESSION_free(s); }
    };
    bool wants(int result);
    void await_end();

    int socket_ = -1, epoll_ = -1;
    std::unique_ptr<SSL, FreeSsl> ssl_;
    std::unique_ptr<SSL_SESSION, FreeSession> session_;
    State state_ = State::kClosed;
    uint32_t tickets_ = 0;
    int error_ = 0;
    bool answered_ = false;
};

/// CLOCK_MONOTONIC.
uint64_t monotonic_ns();
/// Waits for readiness, to the nanosecond. Calls `ready(tag)` for each. `timeout_ns` 0: only looks.
int wait_ready(int epoll, uint64_t timeout_ns, std::span<void*> tags);

}  // namespace sluice::perf
