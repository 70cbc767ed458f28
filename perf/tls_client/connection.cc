// A client connection's sockets and OpenSSL calls (see connection.h). Edge-triggered: each advance goes on until it would block.
// In and out: see the header. Nagle's algorithm is off.
#include "perf/tls_client/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace sluice::perf {

namespace {

std::string openssl_error() {
    const unsigned long code = ERR_peek_last_error();
    ERR_clear_error();
    const char* const reason = code ? ERR_reason_error_string(code) : nullptr;
    return reason ? reason : "";
}

/// IPv4 is v4-mapped, here as in the kernel.
sockaddr_in6 to_sockaddr(const SocketAddress& a) {
    sockaddr_in6 out{};
    out.sin6_family = AF_INET6;
    out.sin6_port = htons(a.port);
    std::memcpy(&out.sin6_addr, a.ip.bytes.data(), a.ip.bytes.size());
    return out;
}

}  // namespace

std::string ClientContext::open(const Options& options) {
    name_ = options.name;
    context_.reset(SSL_CTX_new(TLS_client_method()));
    SSL_CTX* const c = context_.get();
    if (!c || SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) != 1 || SSL_CTX_set_ciphersuites(c, "TLS_AES_128_GCM_SHA256") != 1 ||
        SSL_CTX_set1_groups_list(c, "X25519") != 1)
        return "OpenSSL refuses TLS 1.3 with AES-128-GCM and X25519: " + openssl_error();
    if (!options.authority.empty()) {
        if (SSL_CTX_load_verify_locations(c, options.authority.c_str(), nullptr) != 1) return options.authority + ": " + openssl_error();
        SSL_CTX_set_verify(c, SSL_VERIFY_PEER, nullptr);
    }
    if (!options.certificate.empty() && (SSL_CTX_use_certificate_chain_file(c, options.certificate.c_str()) != 1 ||
                                         SSL_CTX_use_PrivateKey_file(c, options.certificate.c_str(), SSL_FILETYPE_PEM) != 1))
        return options.certificate + ": " + openssl_error();
    SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(c, SSL_OP_IGNORE_UNEXPECTED_EOF);   // some servers end without close_notify
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c, [](SSL* ssl, SSL_SESSION* session) {
        auto& connection = *static_cast<ClientConnection*>(SSL_get_app_data(ssl));
        connection.tickets_++;
        connection.session_.reset(session);
        return 1;   // it is ours now
    });
    return {};
}

SSL* ClientContext::make() {
    SSL* const ssl = SSL_new(context_.get());
    if (ssl && !name_.empty()) {
        SSL_set_tlsext_host_name(ssl, name_.c_str());
        if (SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE) SSL_set1_host(ssl, name_.c_str());
    }
    return ssl;
}

bool ClientConnection::start(ClientContext& context, const SocketAddress& target, SSL_SESSION* session, int epoll, void* tag) {
    close();
    tickets_ = 0;
    error_ = 0;
    const sockaddr_in6 to = to_sockaddr(target);
    socket_ = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const int on = 1;
    if (socket_ < 0) return false;
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ssl_.reset(context.make());
    if (!ssl_ || SSL_set_fd(ssl_.get(), socket_) != 1) return false;
    SSL_set_app_data(ssl_.get(), this);
    if (session) {   // a copy: OpenSSL spoils a session once a new ticket came in its place
        const std::unique_ptr<SSL_SESSION, FreeSession> copy(SSL_SESSION_dup(session));
        SSL_set_session(ssl_.get(), copy.get());
    }
    state_ = State::kConnecting;
    epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLET, .data = {.ptr = tag}};
    epoll_ = epoll;
    if (connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 && errno != EINPROGRESS) {
        error_ = errno;
        state_ = State::kFailed;
        return false;
    }
    return epoll_ctl(epoll, EPOLL_CTL_ADD, socket_, &event) == 0;
}

/// Is that only a wait?
bool ClientConnection::wants(int result) {
    const int error = SSL_get_error(ssl_.get(), result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return true;
    if (error == SSL_ERROR_SYSCALL) error_ = errno;
    state_ = State::kFailed;
    return false;
}

ClientConnection::State ClientConnection::advance() {
    if (state_ == State::kConnecting) {
        socklen_t size = sizeof error_;
        getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error_, &size);
        state_ = error_ == 0 ? State::kShaking : State::kFailed;
    }
    if (state_ == State::kShaking) {
        const int done = SSL_connect(ssl_.get());
        if (done == 1) state_ = State::kOpen;
        else wants(done);
    }
    if (state_ == State::kEnding) await_end();
    return state_;
}

void ClientConnection::end() {
    SSL_shutdown(ssl_.get());
    ::shutdown(socket_, SHUT_WR);
    state_ = State::kEnding;
    await_end();
}

void ClientConnection::await_end() {
    std::array<uint8_t, 4096> ignored;
    size_t n = 0;
    int done = 1;
    while (done == 1) done = SSL_read_ex(ssl_.get(), ignored.data(), ignored.size(), &n);
    if (SSL_get_error(ssl_.get(), done) == SSL_ERROR_ZERO_RETURN) state_ = State::kEnded;
    else wants(done);
}

size_t ClientConnection::read(std::span<uint8_t> room) {
    size_t n = 0;
    const int done = SSL_read_ex(ssl_.get(), room.data(), room.size(), &n);
    if (done == 1) return n;
    wants(done);
    return 0;
}

void ClientConnection::write(std::span<const uint8_t> bytes) {
    size_t n = 0;
    if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &n) != 1) state_ = State::kFailed;
}

void ClientConnection::close() {
    if (socket_ < 0) return;
    if (state_ == State::kOpen) SSL_shutdown(ssl_.get());
    // However it ended, the ticket is good: OpenSSL would spoil the session of a connection whose other side closed first.
    if (ssl_ && SSL_is_init_finished(ssl_.get())) SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    ERR_clear_error();
    ::close(socket_);
    socket_ = -1;
    state_ = State::kClosed;
    ssl_.reset();
}

std::string ClientConnection::why() const {
    if (error_ != 0) return std::strerror(error_);
    const std::string text = openssl_error();
    return text.empty() ? "the other side closed" : text;
}

uint64_t monotonic_ns() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

int wait_ready(int epoll, uint64_t timeout_ns, std::span<void*> tags) {
    std::array<epoll_event, 64> events;
    const timespec timeout{static_cast<time_t>(timeout_ns / 1'000'000'000), static_cast<long>(timeout_ns % 1'000'000'000)};
    const int n = epoll_pwait2(epoll, events.data(), static_cast<int>(std::min(events.size(), tags.size())), &timeout, nullptr);
    for (int i = 0; i < n; i++) tags[static_cast<size_t>(i)] = events[static_cast<size_t>(i)].data.ptr;
    return std::max(n, 0);
}

}  // namespace sluice::perf
