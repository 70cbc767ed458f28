// Descriptors, addresses and error numbers (see socket.h).
#include "tests/harness/socket.h"

#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <functional>

namespace sluice::harness {

int SocketTable::add(std::unique_ptr<Socket> socket) {
    if (full()) return -1;
    size_t index;
    if (free_.empty()) {
        index = sockets_.size();
        sockets_.emplace_back();
    } else {
        std::pop_heap(free_.begin(), free_.end(), std::greater<>());
        index = static_cast<size_t>(free_.back());
        free_.pop_back();
    }
    used_++;
    socket->fd = static_cast<int>(index) + kFirst;
    sockets_[index] = std::move(socket);
    return static_cast<int>(index) + kFirst;
}

Socket* SocketTable::find(int fd) const {
    if (fd < kFirst || static_cast<size_t>(fd) - kFirst >= sockets_.size()) return nullptr;
    return sockets_[static_cast<size_t>(fd) - kFirst].get();
}

std::unique_ptr<Socket> SocketTable::remove(int fd) {
    free_.push_back(fd - kFirst);
    std::push_heap(free_.begin(), free_.end(), std::greater<>());
    used_--;
    return std::move(sockets_[static_cast<size_t>(fd) - kFirst]);
}

bool SocketTable::conflicts(const Socket& socket, const SocketAddress& local) const {
    return std::any_of(sockets_.begin(), sockets_.end(), [&](const std::unique_ptr<Socket>& other) {
        if (!other || other.get() == &socket || !other->bound || other->v6 != socket.v6 || other->local.port != local.port) return false;
        if (!(other->local.ip == local.ip || other->local.ip.is_unspecified() || local.ip.is_unspecified())) return false;
        return !(socket.reuse_address && other->reuse_address && other->role != Socket::Role::kListening);
    });
}

int read_address(const Socket& socket, const sockaddr* address, socklen_t length, SocketAddress& out) {
    if (!address) return -EFAULT;
    if (length < sizeof(address->sa_family)) return -EINVAL;
    sa_family_t family;
    std::memcpy(&family, address, sizeof family);
    if (family != (socket.v6 ? AF_INET6 : AF_INET)) return -EAFNOSUPPORT;
    if (!socket.v6) {
        sockaddr_in in;
        if (length < sizeof in) return -EINVAL;
        std::memcpy(&in, address, sizeof in);
        out = {IpAddress::v4(ntohl(in.sin_addr.s_addr)), ntohs(in.sin_port)};
        return 0;
    }
    sockaddr_in6 in6{};
    constexpr socklen_t kWithoutScope = offsetof(sockaddr_in6, sin6_scope_id);  // RFC 2133's length, which Linux takes too
    if (length < kWithoutScope) return -EINVAL;
    std::memcpy(&in6, address, std::min<size_t>(length, sizeof in6));
    out = {IpAddress::v6(&in6.sin6_addr), ntohs(in6.sin6_port)};
    return 0;
}

int write_address(const Socket& socket, const SocketAddress& from, sockaddr* address, socklen_t* length) {
    if (!length) return address ? -EFAULT : 0;
    if (!address) return -EFAULT;
    sockaddr_in in{};
    sockaddr_in6 in6{};
    if (socket.v6) {
        in6.sin6_family = AF_INET6;
        in6.sin6_port = htons(from.port);
        std::memcpy(&in6.sin6_addr, from.ip.bytes.data(), 16);
    } else {
        in.sin_family = AF_INET;
        in.sin_port = htons(from.port);
        std::memcpy(&in.sin_addr, from.ip.bytes.data() + 12, 4);
    }
    const socklen_t whole = socket.v6 ? sizeof in6 : sizeof in;
    std::memcpy(address, socket.v6 ? static_cast<const void*>(&in6) : &in, std::min(*length, whole));
    *length = whole;
    return 0;
}

int error_number(tcp::Error error) {
    switch (error) {
        case tcp::Error::kNone: return 0;
        case tcp::Error::kRefused: return ECONNREFUSED;
        case tcp::Error::kReset: return ECONNRESET;
        case tcp::Error::kTimedOut: return ETIMEDOUT;
        case tcp::Error::kUnreachable: return EHOSTUNREACH;
        case tcp::Error::kNoRoute: return ENETUNREACH;
        case tcp::Error::kNoPorts: return EADDRNOTAVAIL;
        case tcp::Error::kNoMemory: return ENOBUFS;
        case tcp::Error::kAborted: return ECONNABORTED;
    }
    return EIO;
}

}  // namespace sluice::harness
