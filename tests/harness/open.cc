// Sockets come to be: socket, bind, listen, accept, connect, and the two names (see tcp_harness.h).
// In: descriptors and addresses. Out: connections of the stack behind the socket, or what Linux would say against it.
// A listener stops the stack from completing handshakes while its queue is longer than its backlog. IPv6 sockets are IPv6 only.
#include <netinet/in.h>
#include <poll.h>

#include <algorithm>
#include <cstring>

#include "tests/harness/stack.h"

using namespace sluice;
using namespace sluice::harness;

namespace {

constexpr uint32_t kBacklogMax = 4096;  // Linux: net.core.somaxconn
constexpr uint16_t kPortFirst = 32768, kPortLast = 60999;

IpAddress any_of(const Socket& socket) { return socket.v6 ? IpAddress{} : IpAddress::v4(0); }

long bind(th_stack& s, Socket& socket, const sockaddr* address, socklen_t length) {
    SocketAddress local;
    if (const int bad = read_address(socket, address, length, local)) return bad;
    if (socket.bound || socket.role != Socket::Role::kIdle) return -EINVAL;
    if (socket.v6 && local.ip.is_v4()) return -EINVAL;
    if (!local.ip.is_unspecified() && !s.net.is_local(local.ip)) return -EADDRNOTAVAIL;
    if (local.port == 0) {
        if (const int bad = s.choose_port(socket, local)) return bad;
    }
    if (s.sockets.conflicts(socket, local)) return -EADDRINUSE;
    socket.local = local;
    socket.bound = true;
    return 0;
}

long listen(th_stack& s, Socket& socket, int backlog) {
    if (socket.role == Socket::Role::kStream) return -EINVAL;
    const uint32_t wanted = std::min(static_cast<uint32_t>(backlog), kBacklogMax);
    if (socket.role == Socket::Role::kIdle) {
        SocketAddress local = socket.bound ? socket.local : SocketAddress{any_of(socket), 0};
        if (local.port == 0) {
            if (const int bad = s.choose_port(socket, local)) return bad;
        }
        socket.listener = s.tcp.listen(local, &socket, socket.options);
        if (!socket.listener) return -EADDRINUSE;
        socket.local = local;
        socket.bound = true;
        socket.role = Socket::Role::kListening;
    }
    socket.backlog = wanted;
    s.update_backlog(socket);
    return 0;
}

long accept(th_stack& s, Socket& listener, sockaddr* address, socklen_t* length) {
    if (listener.role != Socket::Role::kListening) return -EINVAL;
    if (listener.queue.empty()) return -EAGAIN;
    if (s.sockets.full()) return -EMFILE;
    Socket& first = *listener.queue.front();
    if (const int bad = write_address(first, first.connection->tuple().remote, address, length)) return bad;
    std::unique_ptr<Socket> socket = std::move(listener.queue.front());
    listener.queue.pop_front();
    socket->parent = nullptr;
    s.update_backlog(listener);
    return s.sockets.add(std::move(socket));
}

/// What connect() says to a socket that has a connection already (Linux: __inet_stream_connect).
long connect_again(th_stack& s, Socket& socket) {
    if (socket.opening()) return -EALREADY;
    if (socket.connect_told) return -EISCONN;
    if (!socket.closed() || socket.error == 0) {
        socket.connect_told = true;
        if (!socket.closed()) return 0;
    }
    const int error = socket.error != 0 ? socket.take_error() : ECONNABORTED;
    s.drop_connection(socket, false);
    return -error;
}

long connect(th_stack& s, Socket& socket, const sockaddr* address, socklen_t length) {
    if (address && length >= sizeof(sa_family_t)) {
        sa_family_t family;
        std::memcpy(&family, address, sizeof family);
        if (family == AF_UNSPEC) {  // disconnects
            if (socket.role == Socket::Role::kListening) s.stop_listening(socket);
            s.drop_connection(socket, true);
            socket.error = 0;
            return 0;
        }
    }
    SocketAddress remote;
    if (const int bad = read_address(socket, address, length, remote)) return bad;
    if (socket.role == Socket::Role::kListening) return -EISCONN;
    if (socket.role == Socket::Role::kStream) return connect_again(s, socket);
    const bool broadcast = remote.ip == IpAddress::v4(0xffffffff);
    if (broadcast || (socket.v6 && remote.ip.is_v4())) return -ENETUNREACH;
    tcp::Options options = socket.options;
    options.local_port = socket.bound ? socket.local.port : uint16_t{0};
    const IpAddress source = socket.bound ? socket.local.ip : any_of(socket);
    tcp::Error error = tcp::Error::kNone;
    socket.connection = s.tcp.connect(remote, source, options, &socket, s.now, &error);
    if (!socket.connection) return -error_number(error);
    socket.role = Socket::Role::kStream;
    socket.error = 0;
    return -EINPROGRESS;
}

}  // namespace

/// A free port for bind() and listen(), by the stack's seed.
int th_stack::choose_port(Socket& socket, SocketAddress& local) {
    const uint32_t range = uint32_t{kPortLast} - kPortFirst + 1;
    const auto start = static_cast<uint32_t>(random.below(range));
    for (uint32_t i = 0; i < range; i++) {
        local.port = static_cast<uint16_t>(kPortFirst + (start + i) % range);
        if (!sockets.conflicts(socket, local)) return 0;
    }
    return -EADDRINUSE;
}

void th_stack::update_backlog(Socket& listener) {
    tcp.set_accepting(listener.listener, listener.queue.size() <= listener.backlog);  // Linux: one more than it says
}

/// Connections that nobody accepted are reset.
void th_stack::stop_listening(Socket& listener) {
    tcp.close_listener(listener.listener);
    listener.listener = nullptr;
    for (const auto& waiting : listener.queue) drop_connection(*waiting, true);
    listener.queue.clear();
    listener.role = Socket::Role::kIdle;
}

/// The socket is as new, but for its options and the address that bind() gave it.
void th_stack::drop_connection(Socket& socket, bool reset) {
    if (socket.role != Socket::Role::kStream) return;
    if (reset) socket.connection->abort();
    socket.connection->set_user(nullptr);
    socket.connection->release();
    socket.connection = nullptr;
    socket.role = Socket::Role::kIdle;
    socket.peer_closed = socket.shut_read = socket.shut_write = socket.connect_told = false;
}

extern "C" {

int th_socket(th_stack* stack, int domain) {
    return static_cast<int>(on_stack(stack, [&](th_stack& s) -> long {
        if (domain != AF_INET && domain != AF_INET6) return -EAFNOSUPPORT;
        if (s.sockets.full()) return -EMFILE;
        auto socket = std::make_unique<Socket>();
        socket->v6 = domain == AF_INET6;
        socket->local.ip = any_of(*socket);
        socket->options.keepalive = false;
        socket->options.no_delay = false;
        socket->receive_buffer = socket->options.receive_buffer_bytes;
        return s.sockets.add(std::move(socket));
    }));
}

int th_bind(th_stack* stack, int fd, const sockaddr* address, socklen_t length) {
    return static_cast<int>(on_socket(stack, fd, [&](th_stack& s, Socket& socket) { return bind(s, socket, address, length); }));
}

int th_listen(th_stack* stack, int fd, int backlog) {
    return static_cast<int>(on_socket(stack, fd, [&](th_stack& s, Socket& socket) { return listen(s, socket, backlog); }));
}

int th_accept(th_stack* stack, int fd, sockaddr* address, socklen_t* length) {
    return static_cast<int>(on_socket(stack, fd, [&](th_stack& s, Socket& socket) { return accept(s, socket, address, length); }));
}

int th_connect(th_stack* stack, int fd, const sockaddr* address, socklen_t length) {
    return static_cast<int>(on_socket(stack, fd, [&](th_stack& s, Socket& socket) { return connect(s, socket, address, length); }));
}

int th_getsockname(th_stack* stack, int fd, sockaddr* address, socklen_t* length) {
    return static_cast<int>(on_socket(stack, fd, [&](th_stack&, Socket& socket) {
        if (!address || !length) return -EFAULT;
        return write_address(socket, socket.connection ? socket.connection->tuple().local : socket.local, address, length);
    }));
}

int th_getpeername(th_stack* stack, int fd, sockaddr* address, socklen_t* length) {
    return static_cast<int>(on_socket(stack, fd, [&](th_stack&, Socket& socket) {
        if (!socket.connection || socket.closed() || socket.connection->state() == tcp::State::kSynSent) return -ENOTCONN;
        if (!address || !length) return -EFAULT;
        return write_address(socket, socket.connection->tuple().remote, address, length);
    }));
}

}  // extern "C"
