// Sink, source and held connections (see application.h). What the sink got is counted by TCP itself.
// In and out: see the header. A source's user pointer is how many bytes it still owes.
#include "perf/tcp_gateway/application.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>

namespace sluice::perf {

namespace {
constexpr Duration kLookEvery = milliseconds(10);

uint64_t owed(const tcp::Connection& c) { return reinterpret_cast<uintptr_t>(c.user()); }
void set_owed(tcp::Connection& c, uint64_t n) { c.set_user(reinterpret_cast<void*>(uintptr_t{n})); }
}  // namespace

MeasuredApplication::MeasuredApplication(worker::Worker& worker, uint32_t buffer_bytes, Holdings& holdings)
    : worker_(worker), holdings_(holdings), bytes_(2048, 'x') {
    tcp::Options options;
    options.receive_buffer_bytes = options.send_buffer_bytes = buffer_bytes;
    for (const uint16_t port : {kHoldPort, kSinkPort, kSourcePort}) worker.tcp().listen({IpAddress::v4(0), port}, nullptr, options);
}

void MeasuredApplication::turn(Instant now) {
    if (now < next_look_) return;
    next_look_ = now + kLookEvery;
    holdings_.connections.store(worker_.tcp().connections(), std::memory_order_relaxed);
    holdings_.list_nodes.store(worker_.nodes().in_use(), std::memory_order_relaxed);
    holdings_.mbufs.store(rte_mempool_in_use_count(worker_.pool()), std::memory_order_relaxed);
}

void MeasuredApplication::handle_event(const tcp::ConnectionEvent& event, Instant) {
    tcp::Connection& c = *event.connection;
    if (event.events & tcp::kFailed) return c.release();
    if (c.tuple().local.port == kSourcePort) {
        if (event.events & tcp::kReadable) ask(c);
        pump(c);
    } else {
        sink(c);
    }
    if (event.events & tcp::kPeerClosed) finish(c);
}

void MeasuredApplication::sink(tcp::Connection& c) {
    const uint64_t n = c.receive_queue().bytes();
    c.receive_queue().clear();
    if (n > 0) c.consumed(n);
}

/// "N\n": so many bytes are wanted.
void MeasuredApplication::ask(tcp::Connection& c) {
    char text[32];
    const uint64_t n = std::min<uint64_t>(c.receive_queue().bytes(), sizeof text);
    c.receive_queue().peek(0, {reinterpret_cast<uint8_t*>(text), n});
    sink(c);
    uint64_t wanted = 0;
    std::from_chars(text, text + n, wanted);
    set_owed(c, wanted);
}

void MeasuredApplication::pump(tcp::Connection& c) {
    SliceQueue out(worker_.nodes());
    uint64_t left = owed(c);
    for (uint64_t room = left > 0 ? std::min(c.send_room(), left) : 0; room > 0;) {
        rte_mbuf* m = rte_pktmbuf_alloc(worker_.pool());
        if (!m) break;
        const auto n = static_cast<uint32_t>(std::min<uint64_t>({room, bytes_.size(), rte_pktmbuf_tailroom(m)}));
        std::memcpy(rte_pktmbuf_append(m, static_cast<uint16_t>(n)), bytes_.data(), n);
        if (!out.push_back(Slice(m, m->data_off, n))) break;
        room -= n, left -= n;
    }
    if (!out.empty()) c.write(std::move(out));
    set_owed(c, left);
    if (left > 0) (void)c.send_room();  // wishes for kWritable
}

/// The peer is done: a sink says how much it got.
void MeasuredApplication::finish(tcp::Connection& c) {
    const std::string text = std::to_string(c.bytes_received()) + "\n";
    SliceQueue out(worker_.nodes());
    rte_mbuf* m = c.tuple().local.port == kSinkPort ? rte_pktmbuf_alloc(worker_.pool()) : nullptr;
    if (m) {
        std::memcpy(rte_pktmbuf_append(m, static_cast<uint16_t>(text.size())), text.data(), text.size());
        if (out.push_back(Slice(m, m->data_off, static_cast<uint32_t>(text.size())))) c.write(std::move(out));
    }
    c.shutdown_write();
    c.release();
}

}  // namespace sluice::perf
