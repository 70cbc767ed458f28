// A connected socket's life: read, write, shutdown, close, poll, answering as Linux's tcp_recvmsg, tcp_sendmsg, inet_shutdown,
// tcp_close and tcp_poll do. In: descriptors and bytes. Out: bytes, or -errno.
// Bytes are copied both ways; what the stack owns stays in its mbufs.
#include <poll.h>

#include <algorithm>
#include <cstring>

#include "tests/harness/stack.h"

using namespace sluice;
using namespace sluice::harness;

namespace {

constexpr size_t kOnceMax = size_t{1} << 30;

long read(Socket& socket, uint8_t* to, size_t length) {
    if (socket.role != Socket::Role::kStream) return -ENOTCONN;
    SliceQueue& queue = socket.connection->receive_queue();
    if (!queue.empty()) {
        const uint64_t n = queue.peek(0, {to, std::min(length, kOnceMax)});
        queue.consume(n);
        socket.connection->consumed(n);
        return static_cast<long>(n);
    }
    if (length == 0 || socket.peer_closed) return 0;
    if (socket.error != 0) return -socket.take_error();
    return socket.shut_read || socket.closed() ? 0 : -EAGAIN;
}

long write(Socket& socket, const uint8_t* from, size_t length) {
    if (socket.role != Socket::Role::kStream) return -EPIPE;
    if (socket.error != 0) return -socket.take_error();
    if (socket.shut_write || socket.closed()) return -EPIPE;
    if (socket.opening()) return -EAGAIN;
    if (length == 0) return 0;
    const uint64_t n = socket.connection->write_copy({from, std::min(length, kOnceMax)});
    return n > 0 ? static_cast<long>(n) : -EAGAIN;
}

long shutdown(th_stack& s, Socket& socket, int how) {
    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) return -EINVAL;
    if (socket.role == Socket::Role::kListening) {
        if (how != SHUT_WR) s.stop_listening(socket);
        return 0;
    }
    if (socket.role == Socket::Role::kIdle || socket.closed()) return -ENOTCONN;
    if (socket.opening()) {
        s.drop_connection(socket, true);
        socket.error = ECONNRESET;
        return 0;
    }
    if (how != SHUT_WR) socket.shut_read = true;
    if (how != SHUT_RD) {
        socket.shut_write = true;
        socket.connection->shutdown_write();
    }
    return 0;
}

long close(th_stack& s, int fd) {
    Socket& socket = *s.sockets.find(fd);
    if (socket.role == Socket::Role::kListening) s.stop_listening(socket);
    // With a time to linger a blocking close would wait; ours goes on in the background like any other.
    s.drop_connection(socket, socket.close_linger.l_onoff != 0 && socket.close_linger.l_linger == 0);
    s.sockets.remove(fd);
    return 0;
}

int poll(Socket& socket) {
    if (socket.role == Socket::Role::kListening) return socket.queue.empty() ? 0 : POLLIN;
    int bits = socket.error != 0 ? POLLERR : 0;
    if (socket.role == Socket::Role::kIdle) return bits | POLLOUT | POLLHUP;
    const bool closed = socket.closed();
    const bool no_more = closed || socket.peer_closed || socket.shut_read;
    const bool no_writes = closed || socket.shut_write;
    if (closed || (no_more && socket.shut_write)) bits |= POLLHUP;
    if (no_more) bits |= POLLIN | POLLRDHUP;
    if (socket.opening()) return bits;
    if (!socket.connection->receive_queue().empty()) bits |= POLLIN;
    if (no_writes || socket.connection->send_room() > 0) bits |= POLLOUT;
    return bits;
}

}  // namespace

extern "C" {

long th_read(th_stack* stack, int fd, void* buffer, size_t length) {
    return on_socket(stack, fd, [&](th_stack&, Socket& socket) -> long {
        if (!buffer && length > 0) return -EFAULT;
        return read(socket, static_cast<uint8_t*>(buffer), length);
    });
}

long th_write(th_stack* stack, int fd, const void* buffer, size_t length) {
    return on_socket(stack, fd, [&](th_stack&, Socket& socket) -> long {
        if (!buffer && length > 0) return -EFAULT;
        return write(socket, static_cast<const uint8_t*>(buffer), length);
    });
}

int th_shutdown(th_stack* stack, int fd, int how) {
    return static_cast<int>(on_socket(stack, fd, [&](th_stack& s, Socket& socket) { return shutdown(s, socket, how); }));
}

int th_close(th_stack* stack, int fd) {
    return static_cast<int>(on_socket(stack, fd, [&](th_stack& s, Socket&) { return close(s, fd); }));
}

int th_poll(th_stack* stack, int fd) {
    return static_cast<int>(on_socket(stack, fd, [&](th_stack&, Socket& socket) { return poll(socket); }));
}

}  // extern "C"
