// Reading, writing and checking. See app.h. Byte n of a stream is a hash of the stream's key and n, so both ends know it.
#include "tests/sim/app.h"

#include <fmt/format.h>

#include <algorithm>

#include "tcp/connection_impl.h"
#include "tests/support/eal.h"

namespace sluice::sim {

namespace {

uint8_t byte_of(uint64_t key, uint64_t at) {
    uint64_t z = key + (at >> 3) * 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    return static_cast<uint8_t>((z ^ (z >> 27)) >> (8 * (at & 7)));
}

}  // namespace

std::string Endpoint::read(Instant now, Rng& rng) {
    SliceQueue& queue = connection->receive_queue();
    if (queue.empty() || now < read_at) return {};
    const uint64_t n = std::min<uint64_t>(queue.bytes(), read_max);
    uint64_t left = n;
    for (const SliceNode* node = queue.head(); node && left > 0; node = node->next) {
        for (uint32_t i = 0; i < node->slice.size() && left > 0; i++, left--, received++) {
            if (node->slice.data()[i] != byte_of(key_in, received)) return fmt::format("wrong byte {} of {}", received, to_receive);
        }
    }
    queue.consume(n);
    connection->consumed(n);
    if (read_pause.us > 0) read_at = now + Duration{static_cast<int64_t>(rng.below(static_cast<uint64_t>(read_pause.us))) + 1};
    return received > to_receive ? "more bytes than were sent" : "";
}

std::string Endpoint::write() {
    if (wait_for_peer && received < to_receive) return {};
    uint8_t chunk[32768];
    while (sent < to_send) {
        const uint64_t room = connection->send_room();
        if (room == 0) return {};
        const uint64_t n = std::min({to_send - sent, room, uint64_t{write_max}, uint64_t{sizeof chunk}});
        for (uint64_t i = 0; i < n; i++) chunk[i] = byte_of(key_out, sent + i);
        SliceQueue data(host->nodes());
        Slice slice = test::heap_slice(std::span<const uint8_t>(chunk, n));
        if (!slice.segment() || !data.push_back(std::move(slice))) return "the test ran out of mbufs or nodes";
        if (!connection->write(std::move(data))) return "write refused despite room";
        sent += n;
    }
    if (!shut) {
        shut = true;
        connection->shutdown_write();
    }
    return {};
}

/// No state grows beyond its limit, whatever the network does.
std::string Endpoint::within_limits() const {
    const auto& t = *static_cast<const tcp::Tcb*>(connection);
    const uint64_t held_max = 2 * uint64_t{t.receive_limit} + 65536;
    if (t.reassembly.runs() > tcp::Reassembly::kRunsMax) return "more runs out of order than allowed";
    if (t.reassembly.charge() > held_max) return "more memory out of order than allowed";
    if (t.receive_queue.bytes() > t.receive_limit) return "more text received than the buffer's limit";
    if (t.send_queue.bytes() > 2 * uint64_t{t.send_limit} + 65536) return "more text queued than the buffer's limit";
    if (t.pipe() > (1u << 30)) return "the pipe's account is below zero";
    uint32_t records = 0;
    for (const tcp::TxRecord* r = t.tx_head; r; r = r->next) records++;
    return records == t.records_out ? "" : "records are miscounted";
}

void Endpoint::release() {
    connection->release();
    released = true;
}

std::string Endpoint::serve(Instant now, Rng& rng) {
    if (released) return {};
    if (!failed && now >= abort_at) {
        connection->abort();
        release();
        return {};
    }
    if (failed) {
        release();
        return {};
    }
    if (std::string wrong = within_limits(); !wrong.empty()) return wrong;
    if (std::string wrong = read(now, rng); !wrong.empty()) return wrong;
    if (connection->state() >= tcp::State::kEstablished) {
        if (std::string wrong = write(); !wrong.empty()) return wrong;
    }
    if (!peer_closed || !connection->receive_queue().empty()) return {};
    if (received != to_receive) return fmt::format("stream ended after {} of {} bytes", received, to_receive);
    if (shut) release();
    return {};
}

Instant Endpoint::look_at(Instant now) const {
    if (released) return Instant::never();
    Instant at = abort_at;
    // A partial read leaves bytes behind without an event: look again soon.
    if (!connection->receive_queue().empty()) at = std::min(at, std::max(read_at, now + microseconds(100)));
    return at;
}

std::string Endpoint::describe() const {
    return fmt::format("[port {} state {} sent {}/{} received {}/{} queued {} unacknowledged {}]", connection->tuple().local.port,
                       static_cast<int>(connection->state()), sent, to_send, received, to_receive,
                       connection->receive_queue().bytes(), connection->unacknowledged());
}

}  // namespace sluice::sim
