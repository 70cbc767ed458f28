// The way of packets and time through a th_stack, and the calls that make, move and measure it (see stack.h).
// As a worker's turn does: IP, then TCP, then news, then output (dataplane/worker/worker.cc), for one packet at a time.
#include "tests/harness/stack.h"

#include <algorithm>
#include <cstring>

using namespace sluice;
using namespace sluice::harness;

th_stack::th_stack(const Setup& setup)
    : now(setup.start), memory(setup.mbuf_room, setup.mbufs_max), nodes(2 * setup.mbufs_max), net(setup.net, memory.pool()),
      tcp(setup.tcp, memory.pool(), nodes, *this), sockets(setup.tcp.connections_max), random(setup.seed ^ 0x706f727473),
      reno(setup.tcp.congestion == tcp::StackConfig::Congestion::kNewReno), buffer_min(setup.buffer_min),
      faults(setup.faults, memory, nodes, tcp), port(setup.offloads, setup.net.ports[0].mtu), pieces_(setup.seed ^ 0x706965636573),
      receive_chains_(setup.receive_chains) {
    if (!memory.pool()) return;
    tick();
}

th_stack::~th_stack() {
    if (!memory.pool()) return;
    for (const auto& socket : sockets.all()) {
        if (!socket) continue;
        if (socket->role == Socket::Role::kListening) stop_listening(*socket);
        if (socket->role == Socket::Role::kStream) drop_connection(*socket, true);
    }
    rte_pktmbuf_free(front_);
}

std::optional<net::RouteInfo> th_stack::route(const IpAddress& to, const IpAddress& from) { return net.route(to, from); }

Instant th_stack::deadline() const { return std::min(net.poll_timeout(), tcp.poll_timeout()); }

/// From deadline to deadline, so that each timer finds the time it was set for and its segments leave then.
void th_stack::advance(Instant target) {
    Duration step = milliseconds(1);
    while (deadline() <= target) {
        now = std::max(now, deadline());
        tick();
        if (deadline() > now) continue;
        // Output waits for the caller to take packets, or for memory: later is soon enough.
        if (now + step > target) break;
        now = now + step;
        step = step * 2;
    }
    now = std::max(now, target);
    tick();
}

void th_stack::tick() {
    {
        const Faults::Step step(faults);
        net.handle_timeout(now);
        tcp.handle_timeout(now);
    }
    settle();
}

int th_stack::packet_in(std::span<const uint8_t> packet) {
    const Faults::Step step(faults);
    rte_mbuf* const frame = memory.copy(packet, receive_chains_ ? &pieces_ : nullptr);
    if (!frame) return -ENOBUFS;
    net::DatagramIn datagram;
    switch (net.handle_frame(frame, 0, now, datagram)) {
        case net::Verdict::kTransport:
            if (tcp.handle_segment(datagram, now)) break;
            tcp.reject(datagram, now);
            rte_pktmbuf_free(datagram.mbuf);
            break;
        case net::Verdict::kConsumed: break;
        case net::Verdict::kException:
            net.send_port_unreachable(datagram, now);
            rte_pktmbuf_free(datagram.mbuf);
            break;
        case net::Verdict::kFragment:  // only where cores share the work
            rte_pktmbuf_free(datagram.mbuf);
            break;
    }
    icmp_errors();
    return 0;
}

/// What TCP believes about a path is remembered for the destination's next connections too.
void th_stack::icmp_errors() {
    net::IcmpError error;
    while (net.poll_icmp_error(error)) {
        const bool believed = tcp.handle_icmp_error(error, now);
        if (believed && error.kind == net::IcmpError::Kind::kFragmentationNeeded && error.path_mtu != 0) {
            net.update_path_mtu(error.tuple.remote.ip, error.path_mtu, now);
        }
    }
}

void th_stack::settle() {
    tcp::ConnectionEvent news;
    while (tcp.poll_event(news)) event(news);
    transmit();
    memory.restock();
}

void th_stack::transmit() {
    const Faults::Step step(faults);
    while (net.transmit_room(0) > 0 && tcp.poll_transmit(out_, now)) net.send(out_, now);
}

void th_stack::event(const tcp::ConnectionEvent& news) {
    auto* socket = static_cast<Socket*>(news.connection->user());
    if (news.events & tcp::kAccepted) {
        auto* listener = static_cast<Socket*>(news.connection->listener_user());
        auto fresh = std::make_unique<Socket>();
        socket = fresh.get();
        socket->role = Socket::Role::kStream;
        socket->v6 = listener->v6;
        socket->options = listener->options;
        socket->receive_buffer = listener->receive_buffer;
        socket->window_clamp = listener->window_clamp;
        socket->user_timeout_ms = listener->user_timeout_ms;
        socket->close_linger = listener->close_linger;
        socket->reuse_address = listener->reuse_address;
        socket->connect_told = true;
        socket->connection = news.connection;
        socket->parent = listener;
        news.connection->set_user(socket);
        listener->queue.push_back(std::move(fresh));
        update_backlog(*listener);
        name(*listener);
    }
    if (!socket) return;
    name(*socket);
    if (news.events & tcp::kPeerClosed) socket->peer_closed = true;
    if (news.events & tcp::kFailed && news.connection->error() != tcp::Error::kNone) {
        socket->error = error_number(news.connection->error());
        // Linux: after the peer's FIN, a reset means that nobody takes what we write.
        if (socket->peer_closed && socket->error == ECONNRESET) socket->error = EPIPE;
    }
    // Both ways are shut and bytes still come: nobody will read them (RFC 2525 2.17).
    if (news.events & tcp::kReadable && socket->shut_read && socket->shut_write && !socket->closed()) {
        news.connection->abort();
        socket->error = ECONNRESET;
    }
}

void th_stack::name(Socket& socket) {
    if (!news_wanted_ || socket.named || socket.fd < 0) return;
    socket.named = true;
    news_.push_back(socket.fd);
}

/// A number may have been closed since, and belong to another socket by now.
int th_stack::next_news() {
    news_wanted_ = true;
    while (!news_.empty()) {
        const int fd = news_.front();
        news_.pop_front();
        if (Socket* const socket = sockets.find(fd); socket && std::exchange(socket->named, false)) return fd;
    }
    return -1;
}

/// What the port has made of the stack's frames.
long th_stack::packet_of_port(std::span<uint8_t> out) {
    rte_mbuf* frame = nullptr;
    while (port.packets().empty() && net.poll_transmit(0, &frame, 1) == 1) port.transmit(frame);
    if (port.packets().empty()) return 0;
    const std::vector<uint8_t>& packet = port.packets().front();
    const auto length = static_cast<long>(packet.size());
    if (packet.size() > out.size()) return -EMSGSIZE;
    std::memcpy(out.data(), packet.data(), packet.size());
    port.packets().pop_front();
    return length;
}

long th_stack::packet_out(std::span<uint8_t> out) {
    if (!port.passive()) return packet_of_port(out);
    if (!front_ && net.poll_transmit(0, &front_, 1) == 0) return 0;
    const uint32_t length = front_->pkt_len;
    if (length > out.size()) return -EMSGSIZE;
    const void* const bytes = rte_pktmbuf_read(front_, 0, length, out.data());
    if (bytes != out.data()) std::memcpy(out.data(), bytes, length);
    rte_pktmbuf_free(std::exchange(front_, nullptr));
    return length;
}

extern "C" {

th_stack* th_create(const th_config* config, const char** error) { return sluice_tcp_create(config, nullptr, error); }

th_stack* sluice_tcp_create(const th_config* config, const sluice_tcp_extra* extra, const char** error) {
    const char* why = nullptr;
    Setup setup;
    try {
        why = read_config(config, extra, setup);
        if (!why) why = start_eal();
        if (!why) {
            auto stack = std::make_unique<th_stack>(setup);
            if (stack->memory.pool()) return stack.release();
            why = "no memory for packets";
        }
    } catch (const std::exception&) {
        why = "max_sockets: no memory for so many";
    }
    if (error) *error = why;
    return nullptr;
}

void th_destroy(th_stack* stack) { delete stack; }

void th_advance(th_stack* stack, uint64_t now_us) {
    on_stack(stack, [&](th_stack& s) -> long {
        const Instant target = Instant{std::min(now_us, kTimeMax)} + kClockOffset;
        if (target >= s.now) s.advance(target);
        return 0;
    });
}

uint64_t th_next_deadline(const th_stack* stack) {
    if (!stack) return UINT64_MAX;
    const Instant at = stack->deadline();
    if (at == Instant::never()) return UINT64_MAX;
    return (std::max(at, stack->now + microseconds(1)) - kClockOffset).us;
}

int th_packet_in(th_stack* stack, const void* packet, size_t length) {
    if (!packet) return -EFAULT;
    if (length == 0) return -EINVAL;
    if (length > 65535) return -EMSGSIZE;
    return static_cast<int>(on_stack(stack, [&](th_stack& s) -> long {
        return s.packet_in({static_cast<const uint8_t*>(packet), length});
    }));
}

long th_packet_out(th_stack* stack, void* buffer, size_t cap) {
    if (!buffer && cap > 0) return -EFAULT;
    return on_stack(stack, [&](th_stack& s) { return s.packet_out({static_cast<uint8_t*>(buffer), cap}); });
}

void th_usage(const th_stack* stack, struct th_usage* usage) {
    if (!usage) return;
    *usage = {};
    if (!stack) return;
    usage->half_open = stack->tcp.half_open();
    usage->connections = stack->tcp.connections() - stack->tcp.half_open();
    usage->time_wait = stack->tcp.time_wait();
    usage->mbufs = stack->memory.in_use();
    usage->bytes = stack->memory.bytes_in_use() + stack->tcp.bytes_in_use();
}

}  // extern "C"
