// What a th_stack is: the workers' net::Stack and tcp::Stack on one port without a link layer, a clock, and sockets.
// In: packets, time and socket calls. Out: packets. Everything that a call brings about has happened when it returns:
// events have reached their sockets, and segments stand in the port's queue as far as it has room.
// Owns all of it. One thread at a time.
#pragma once

#include <cerrno>
#include <exception>
#include <memory>

#include "base/rng.h"
#include "tests/harness/config.h"
#include "tests/harness/memory.h"
#include "tests/harness/socket.h"

struct th_stack final : sluice::tcp::Environment {
    explicit th_stack(const sluice::harness::Setup& setup);
    ~th_stack() override;
    th_stack(const th_stack&) = delete;
    th_stack& operator=(const th_stack&) = delete;

    std::optional<sluice::net::RouteInfo> route(const sluice::IpAddress& to, const sluice::IpAddress& from) override;
    bool owns(const sluice::FourTuple&) override { return true; }

    // stack.cc
    void advance(sluice::Instant target);
    sluice::Instant deadline() const;
    int packet_in(std::span<const uint8_t> packet);
    long packet_out(std::span<uint8_t> out);
    /// After each call: news to the sockets, segments to the port, memory for the next call.
    void settle();
    int next_news();

    // open.cc
    void stop_listening(sluice::harness::Socket& listener);
    void update_backlog(sluice::harness::Socket& listener);
    int choose_port(sluice::harness::Socket& socket, sluice::SocketAddress& local);
    void drop_connection(sluice::harness::Socket& socket, bool reset);

    sluice::Instant now;
    sluice::harness::PacketMemory memory;
    sluice::SliceNodePool nodes;
    sluice::net::Stack net;
    sluice::tcp::Stack tcp;
    sluice::harness::SocketTable sockets;
    sluice::Rng random;                 // ports of bind()
    const bool reno;                    // what sockets use that did not choose
    const uint32_t buffer_min;          // SO_RCVBUF, SO_SNDBUF
    sluice::harness::Faults faults;
    sluice::harness::Port port;         // on the way out

 private:
    void tick();
    void icmp_errors();
    void transmit();
    void event(const sluice::tcp::ConnectionEvent& event);
    void name(sluice::harness::Socket& socket);
    long packet_of_port(std::span<uint8_t> out);

    sluice::Rng pieces_;                // where packets are cut that come as several mbufs
    const bool receive_chains_;
    bool news_wanted_ = false;
    std::deque<int> news_;              // sockets, in the order of their news
    rte_mbuf* front_ = nullptr;         // the next packet out, if the caller's buffer was too short for it
    sluice::net::DatagramOut out_;      // goes round: its route_hint reaches the connection at the next poll
};

namespace sluice::harness {

/// Runs `body` on a stack; whatever goes wrong inside becomes an error number.
template <typename Body>
long on_stack(th_stack* stack, Body&& body) noexcept {
    if (!stack) return -EINVAL;
    try {
        const long result = body(*stack);
        stack->settle();
        return result;
    } catch (const std::exception&) {
        return -ENOMEM;
    }
}

template <typename Body>
long on_socket(th_stack* stack, int fd, Body&& body) noexcept {
    return on_stack(stack, [&](th_stack& s) -> long {
        Socket* const socket = s.sockets.find(fd);
        return socket ? static_cast<long>(body(s, *socket)) : -EBADF;
    });
}

}  // namespace sluice::harness
