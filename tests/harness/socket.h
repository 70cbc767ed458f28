// A socket as the calls of tcp_harness.h see it, and the table that gives sockets their numbers.
// In: descriptors. Out: sockets. The table owns the sockets with a number, a listener those that wait to be accepted;
// a socket holds its connection's handle until it is closed. POSIX names and Linux's answers where the header is silent.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "tcp/stack.h"

namespace sluice::harness {

struct Socket {
    enum class Role : uint8_t { kIdle, kListening, kStream };

    bool closed() const {
        return role == Role::kStream && (connection->state() == tcp::State::kClosed || connection->state() == tcp::State::kTimeWait);
    }
    bool opening() const {
        return role == Role::kStream && (connection->state() == tcp::State::kSynSent || connection->state() == tcp::State::kSynReceived);
    }
    /// The error that waits to be told, told once (SO_ERROR).
    int take_error() { return std::exchange(error, 0); }

    int fd = -1;
    Role role = Role::kIdle;
    bool v6 = false;
    bool bound = false;             // bind() was called, or listen() chose a port
    bool reuse_address = false;
    bool connect_told = false;      // connect() has reported success: from then on EISCONN
    bool peer_closed = false, shut_read = false, shut_write = false;
    bool named = false;             // stands in the list of those with news
    int error = 0;                  // positive errno
    SocketAddress local;            // what bind() said
    tcp::Options options;
    uint32_t receive_buffer = 0, window_clamp = 0;  // what options.receive_buffer_bytes is made of
    linger close_linger{};
    uint32_t user_timeout_ms = 0;

    tcp::Connection* connection = nullptr;  // kStream
    tcp::Listener* listener = nullptr;      // kListening
    uint32_t backlog = 0;
    std::deque<std::unique_ptr<Socket>> queue;  // established, not yet accepted
    Socket* parent = nullptr;                   // while in a queue
};

class SocketTable {
 public:
    static constexpr int kFirst = 3;  // as in a program with its three standard files

    explicit SocketTable(uint32_t sockets_max) : sockets_max_(sockets_max) {}
    /// The lowest free number, or -1.
    int add(std::unique_ptr<Socket> socket);
    Socket* find(int fd) const;
    std::unique_ptr<Socket> remove(int fd);
    bool full() const { return used_ == sockets_max_; }
    /// Another socket that keeps `socket` from being bound to `local` (SO_REUSEADDR as Linux reads it).
    bool conflicts(const Socket& socket, const SocketAddress& local) const;
    const std::vector<std::unique_ptr<Socket>>& all() const { return sockets_; }

 private:
    std::vector<std::unique_ptr<Socket>> sockets_;
    std::vector<int> free_;  // a heap, the lowest on top
    uint32_t sockets_max_, used_ = 0;
};

/// Reads a caller's address of the socket's family: 0 and `out`, or -errno.
int read_address(const Socket& socket, const sockaddr* address, socklen_t length, SocketAddress& out);
/// Writes as much of `from` as fits; *length becomes the whole length. 0, or -EFAULT.
int write_address(const Socket& socket, const SocketAddress& from, sockaddr* address, socklen_t* length);
/// errno for the end of a connection.
int error_number(tcp::Error error);

}  // namespace sluice::harness
