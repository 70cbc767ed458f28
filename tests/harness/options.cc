// setsockopt and getsockopt: one table of the integers, and the options that are structures or names.
// In: level, name and bytes. Out: the socket's tcp::Options, carried to its connection or listener at once.
// Ranges and defaults are Linux's; SO_RCVBUF and SO_SNDBUF read back doubled, as there, while what was set is usable.
#include <netinet/in.h>
// After netinet/in.h; netinet/tcp.h would define the same names.
#include <linux/tcp.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "tests/harness/stack.h"
#include "tests/harness/tcp_info.h"

using namespace sluice;
using namespace sluice::harness;

namespace {

constexpr int kBufferMax = 64 << 20;
constexpr int kMssMin = 88, kMssMax = 32767;  // Linux: TCP_MIN_MSS, MAX_TCP_WINDOW
constexpr int kWindowClampMin = 1152;         // SOCK_MIN_RCVBUF / 2
constexpr int kSecondsMax = 32767, kProbesMax = 127;
constexpr size_t kNameBytes = 16;             // TCP_CA_NAME_MAX

/// Options take effect where the socket has got to.
void carry(th_stack& s, Socket& socket) {
    socket.options.receive_buffer_bytes =
        socket.window_clamp != 0 ? std::min(socket.receive_buffer, socket.window_clamp) : socket.receive_buffer;
    if (socket.role == Socket::Role::kListening) s.tcp.set_options(socket.listener, socket.options);
    if (socket.role == Socket::Role::kStream) socket.connection->configure(socket.options);
}

long set_socket_int(const th_stack& s, Socket& socket, int name, int value) {
    const auto smallest = static_cast<int>(s.buffer_min);
    switch (name) {
        case SO_KEEPALIVE: socket.options.keepalive = value != 0; return 0;
        case SO_REUSEADDR: socket.reuse_address = value != 0; return 0;
        case SO_RCVBUF: socket.receive_buffer = static_cast<uint32_t>(std::clamp(value, smallest, kBufferMax)); return 0;
        case SO_SNDBUF: socket.options.send_buffer_bytes = static_cast<uint32_t>(std::clamp(value, smallest, kBufferMax)); return 0;
        default: return -ENOPROTOOPT;
    }
}

long set_tcp_int(Socket& socket, int name, int value) {
    auto in = [value](int low, int high) { return value >= low && value <= high; };
    tcp::Options& o = socket.options;
    switch (name) {
        case TCP_NODELAY: o.no_delay = value != 0; return 0;
        case TCP_CORK: o.cork = value != 0; return 0;
        case TCP_MAXSEG:
            if (value != 0 && !in(kMssMin, kMssMax)) return -EINVAL;
            o.max_segment = static_cast<uint16_t>(value);
            return 0;
        case TCP_KEEPIDLE:
            if (!in(1, kSecondsMax)) return -EINVAL;
            o.keepalive_idle = seconds(value);
            return 0;
        case TCP_KEEPINTVL:
            if (!in(1, kSecondsMax)) return -EINVAL;
            o.keepalive_interval = seconds(value);
            return 0;
        case TCP_KEEPCNT:
            if (!in(1, kProbesMax)) return -EINVAL;
            o.keepalive_probes = static_cast<uint8_t>(value);
            return 0;
        case TCP_USER_TIMEOUT:
            if (value < 0) return -EINVAL;
            socket.user_timeout_ms = static_cast<uint32_t>(value);
            o.user_timeout = milliseconds(value);
            return 0;
        case TCP_WINDOW_CLAMP:
            if (value < 0 || (value == 0 && socket.role == Socket::Role::kStream && !socket.closed())) return -EINVAL;
            socket.window_clamp = value == 0 ? 0 : static_cast<uint32_t>(std::max(value, kWindowClampMin));
            return 0;
        case TCP_QUICKACK:
            if (socket.role == Socket::Role::kStream) socket.connection->set_quick_ack(value != 0);
            return 0;
        default: return -ENOPROTOOPT;
    }
}

long set_congestion(Socket& socket, const void* value, socklen_t length) {
    if (length < 1) return -EINVAL;
    const auto* text = static_cast<const char*>(value);
    const std::string_view name(text, strnlen(text, std::min<size_t>(length, kNameBytes - 1)));
    if (name != "cubic" && name != "reno") return -ENOENT;
    using Congestion = tcp::Options::Congestion;
    socket.options.congestion = name == "cubic" ? Congestion::kCubic : Congestion::kNewReno;
    return 0;
}

/// IP_TOS or IPV6_TCLASS of the socket's family; the two ECN bits are TCP's own.
bool names_dscp(const Socket& socket, int level, int name) {
    return socket.v6 ? level == IPPROTO_IPV6 && name == IPV6_TCLASS : level == IPPROTO_IP && name == IP_TOS;
}

long set(th_stack& s, Socket& socket, int level, int name, const void* value, socklen_t length) {
    const bool dscp = names_dscp(socket, level, name);
    if (level != SOL_SOCKET && level != IPPROTO_TCP && !dscp) return -ENOPROTOOPT;
    if (!value) return -EFAULT;
    long result;
    if (level == SOL_SOCKET && name == SO_LINGER) {
        if (length < sizeof(linger)) return -EINVAL;
        std::memcpy(&socket.close_linger, value, sizeof(linger));
        return 0;
    } else if (level == IPPROTO_TCP && name == TCP_CONGESTION) {
        result = set_congestion(socket, value, length);
    } else {
        int number;
        if (length < sizeof number) return -EINVAL;
        std::memcpy(&number, value, sizeof number);
        if (dscp && (number < 0 || number > 255)) return -EINVAL;
        if (dscp) socket.options.dscp = static_cast<uint8_t>(number >> 2);
        result = dscp ? 0 : level == SOL_SOCKET ? set_socket_int(s, socket, name, number) : set_tcp_int(socket, name, number);
    }
    if (result == 0) carry(s, socket);
    return result;
}

int seconds_of(Duration d) { return static_cast<int>(d.us / 1'000'000); }

/// An option that is an integer; false if `name` is none.
bool get_int(Socket& socket, int level, int name, int& value) {
    const tcp::Options& o = socket.options;
    const bool stream = socket.role == Socket::Role::kStream;
    if (level == SOL_SOCKET) {
        switch (name) {
            case SO_ERROR: value = socket.take_error(); return true;
            case SO_KEEPALIVE: value = o.keepalive; return true;
            case SO_REUSEADDR: value = socket.reuse_address; return true;
            case SO_RCVBUF: value = static_cast<int>(2 * socket.receive_buffer); return true;
            case SO_SNDBUF: value = static_cast<int>(2 * o.send_buffer_bytes); return true;
            default: return false;
        }
    }
    switch (name) {
        case TCP_NODELAY: value = o.no_delay; return true;
        case TCP_CORK: value = o.cork; return true;
        case TCP_MAXSEG:
            value = stream ? static_cast<int>(socket.connection->info().snd_mss) : o.max_segment != 0 ? o.max_segment : 536;
            return true;
        case TCP_KEEPIDLE: value = seconds_of(o.keepalive_idle); return true;
        case TCP_KEEPINTVL: value = seconds_of(o.keepalive_interval); return true;
        case TCP_KEEPCNT: value = o.keepalive_probes; return true;
        case TCP_USER_TIMEOUT: value = static_cast<int>(socket.user_timeout_ms); return true;
        case TCP_WINDOW_CLAMP: value = static_cast<int>(o.receive_buffer_bytes); return true;
        case TCP_QUICKACK: value = stream ? socket.connection->info().quick_ack : 1; return true;
        default: return false;
    }
}

long give(const void* from, size_t bytes, void* value, socklen_t* length) {
    *length = static_cast<socklen_t>(std::min<size_t>(*length, bytes));
    std::memcpy(value, from, *length);
    return 0;
}

const char* congestion_name(const th_stack& s, const Socket& socket) {
    using Congestion = tcp::Options::Congestion;
    if (socket.options.congestion == Congestion::kOfStack) return s.reno ? "reno" : "cubic";
    return socket.options.congestion == Congestion::kCubic ? "cubic" : "reno";
}

long get(th_stack& s, Socket& socket, int level, int name, void* value, socklen_t* length) {
    if (names_dscp(socket, level, name) && value && length) {
        const int tos = (socket.options.dscp & 63) << 2;
        return give(&tos, sizeof tos, value, length);
    }
    if (level != SOL_SOCKET && level != IPPROTO_TCP) return -ENOPROTOOPT;
    if (!value || !length) return -EFAULT;
    if (level == SOL_SOCKET && name == SO_LINGER) return give(&socket.close_linger, sizeof(linger), value, length);
    if (level == IPPROTO_TCP && name == TCP_INFO) {
        const tcp_info info = read_tcp_info(socket);
        return give(&info, sizeof info, value, length);
    }
    if (level == IPPROTO_TCP && name == TCP_CONGESTION) {
        char text[kNameBytes]{};
        std::strncpy(text, congestion_name(s, socket), sizeof text - 1);
        return give(text, sizeof text, value, length);
    }
    int number = 0;
    if (!get_int(socket, level, name, number)) return -ENOPROTOOPT;
    return give(&number, sizeof number, value, length);
}

}  // namespace

extern "C" {

int th_setsockopt(th_stack* stack, int fd, int level, int name, const void* value, socklen_t length) {
    return static_cast<int>(on_socket(stack, fd, [&](th_stack& s, Socket& socket) { return set(s, socket, level, name, value, length); }));
}

int th_getsockopt(th_stack* stack, int fd, int level, int name, void* value, socklen_t* length) {
    return static_cast<int>(on_socket(stack, fd, [&](th_stack& s, Socket& socket) { return get(s, socket, level, name, value, length); }));
}

}  // extern "C"
