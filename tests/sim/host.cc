// Packets and sockets of a simulated host, by the calls of tcp_harness.h. See host.h.
#include "tests/sim/host.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace sluice::sim {

namespace {

/// An address in the form that sockets take.
struct SocketName {
    SocketName() = default;
    SocketName(const IpAddress& ip, uint16_t port) {
        if (ip.is_v4()) {
            auto& in = *reinterpret_cast<sockaddr_in*>(&storage);
            in.sin_family = AF_INET;
            in.sin_port = htons(port);
            std::memcpy(&in.sin_addr, ip.bytes.data() + 12, 4);
            length = sizeof in;
        } else {
            auto& in6 = *reinterpret_cast<sockaddr_in6*>(&storage);
            in6.sin6_family = AF_INET6;
            in6.sin6_port = htons(port);
            std::memcpy(&in6.sin6_addr, ip.bytes.data(), 16);
            length = sizeof in6;
        }
    }
    sockaddr* raw() { return reinterpret_cast<sockaddr*>(&storage); }
    IpAddress ip() const {
        if (storage.ss_family == AF_INET6) return IpAddress::v6(&reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr);
        return IpAddress::v4(ntohl(reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr.s_addr));
    }
    uint16_t port() const { return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port); }  // both have it there

    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
};

uint64_t us(Duration d) { return static_cast<uint64_t>(d.us); }

}  // namespace

Host::Host(const HostConfig& config, uint64_t stack_seed, Instant now, Rng rng) : config_(config), rng_(rng), now_(now) {
    const bool v4 = config.address.is_v4();
    const std::string own = config.address.to_string() + (v4 ? "/24" : "/64");
    th_config c{};
    c.size = sizeof c;
    c.seed = stack_seed;
    c.now_us = now.us;
    (v4 ? c.ipv4 : c.ipv6) = own.c_str();
    c.mtu = config.mtu;
    c.congestion = config.new_reno ? "reno" : "cubic";
    c.no_sack = !config.sack, c.no_timestamps = !config.timestamps, c.no_window_scale = !config.window_scale;
    c.ecn = config.ecn == HostConfig::Ecn::kOn;
    c.max_sockets = config.sockets_max;
    c.syn_backlog = config.syn_backlog;
    sluice_tcp_extra e{};
    e.size = sizeof e;
    e.objects_fail_every = config.objects_fail_every, e.mbufs_fail_every = config.mbufs_fail_every;
    e.tx_checksum = config.tx_checksum, e.tx_chains = config.multi_segment, e.tx_cuts = config.tso;
    e.rx_chains = config.chained_receive;
    e.ecn_on_request = config.ecn == HostConfig::Ecn::kOnRequest;
    e.buffer_min = 1;
    e.time_wait_us = static_cast<uint32_t>(us(config.time_wait));
    const char* error = nullptr;
    stack_ = sluice_tcp_create(&c, &e, &error);
    if (!stack_) wrong_ = fmt::format("no stack: {}", error);
    else sluice_tcp_next_news(stack_);
}

th_stack* Host::at(Instant now) {
    if (now_ != now) {
        now_ = now;
        th_advance(stack_, now.us);
    }
    return stack_;
}

Instant Host::deadline() const { return Instant{th_next_deadline(stack_)}; }

void Host::deliver(const Packet& packet, Instant now) {
    if (rng_.chance(config_.memory_fault)) return;
    th_stack* const s = at(now);
    const uint64_t before = packet.damaged ? counts().damaged : 0;
    const int answer = th_packet_in(s, packet.bytes.data(), packet.bytes.size());
    if (answer == -ENOBUFS) return;
    if (answer != 0) wrong_ = fmt::format("th_packet_in says {}", answer);
    if (packet.damaged && counts().damaged == before) wrong_ = "took a damaged segment";
}

uint32_t Host::transmit(PacketSink& wire, Instant now) {
    std::array<uint8_t, 65536> bytes;
    uint32_t sent = 0;
    for (long n; (n = th_packet_out(at(now), bytes.data(), bytes.size())) > 0; sent++) {
        std::string wrong;
        Packet packet = parse(bytes.data(), static_cast<size_t>(n), config_.mtu, wrong);
        if (!wrong.empty()) wrong_ = "sends " + wrong;
        wire.send(std::move(packet), now);
    }
    return sent;
}

int Host::open(const SocketOptions& options, Instant now, int& fd) {
    fd = th_socket(at(now), config_.address.is_v4() ? AF_INET : AF_INET6);
    if (fd < 0) return fd;
    int error = 0;
    auto set = [&](int level, int name, int value) {
        if (error == 0) error = th_setsockopt(stack_, fd, level, name, &value, sizeof value);
    };
    set(SOL_SOCKET, SO_RCVBUF, options.receive_buffer_bytes);
    set(SOL_SOCKET, SO_SNDBUF, options.send_buffer_bytes);
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, options.keepalive_idle_s);
    set(IPPROTO_TCP, TCP_KEEPINTVL, options.keepalive_interval_s);
    set(IPPROTO_TCP, TCP_KEEPCNT, options.keepalive_probes);
    set(IPPROTO_TCP, TCP_NODELAY, options.no_delay);
    if (error != 0) th_close(stack_, fd);
    return error;
}

int Host::listen(uint16_t port, const SocketOptions& options, Instant now) {
    int fd = -1;
    if (const int error = open(options, now, fd)) return error;
    SocketName own(config_.address, port);
    if (const int error = th_bind(stack_, fd, own.raw(), own.length)) return error;
    if (const int error = th_listen(stack_, fd, 4096)) return error;
    return fd;
}

int Host::connect(const IpAddress& to, uint16_t port, const SocketOptions& options, Instant now, int& fd, uint16_t& own_port) {
    if (const int error = open(options, now, fd)) return error;
    SocketName peer(to, port), own;
    const int error = th_connect(stack_, fd, peer.raw(), peer.length);
    if (error != -EINPROGRESS) {
        th_close(stack_, fd);
        return error;
    }
    th_getsockname(stack_, fd, own.raw(), &own.length);
    own_port = own.port();
    return 0;
}

int Host::accept(int listener, Instant now, IpAddress& from, uint16_t& port) {
    SocketName peer;
    const int fd = th_accept(at(now), listener, peer.raw(), &peer.length);
    if (fd < 0) return fd;
    from = peer.ip(), port = peer.port();
    return fd;
}

struct th_usage Host::usage() const {
    struct th_usage u;
    th_usage(stack_, &u);
    return u;
}

sluice_tcp_counts Host::counts() const {
    sluice_tcp_counts c;
    sluice_tcp_count(stack_, &c);
    return c;
}

}  // namespace sluice::sim
