// Sessions of the trial application (see echo_application.h). Everything the peer sends is checked, nothing is kept.
#include "tests/worker/echo_application.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace sluice::worker::test {

Pattern::Pattern() : block_(kBytes) {
    uint32_t x = 12345;
    for (uint8_t& b : block_) {
        x = x * 1664525 + 1013904223;
        b = static_cast<uint8_t>(x >> 24);
    }
}

EchoApplication::EchoApplication(Worker& worker) : worker_(worker) {
    tcp::Options options;
    for (const uint16_t port : {kEchoPort, kSinkPort, kSourcePort, kHttpPort})
        for (const IpAddress& any : {IpAddress::v4(0), IpAddress{}})
            worker.tcp().listen({any, port}, reinterpret_cast<void*>(uintptr_t{port}), options);
}

void EchoApplication::handle_event(const tcp::ConnectionEvent& event, Instant) {
    tcp::Connection& c = *event.connection;
    auto* s = static_cast<Session*>(c.user());
    if (event.events & tcp::kAccepted) {
        s = sessions_.take();
        if (!s) {
            c.abort();
            c.release();
            return;
        }
        s->port = static_cast<uint16_t>(reinterpret_cast<uintptr_t>(c.listener_user()));
        c.set_user(s);
    }
    if (event.events & tcp::kFailed) {
        sessions_.give(s);
        c.release();
        return;
    }
    switch (s->port) {
        case kEchoPort: echo(c, *s); break;
        case kSinkPort: sink(c, *s); break;
        case kSourcePort:
        case kHttpPort: collect_request(c, *s); break;
        default: break;
    }
    const bool peer_done = (event.events & tcp::kPeerClosed) != 0;
    if (peer_done) {
        if (s->port == kSinkPort)
            write_text(c, (s->wrong ? "wrong at " + std::to_string(s->wrong_at) : "ok " + std::to_string(s->received)) + "\n");
        s->closing = true;
    }
    if (s->closing && s->to_send == s->sent && c.receive_queue().empty()) finish(c, *s);
}

void EchoApplication::finish(tcp::Connection& c, Session& s) {
    sessions_.give(&s);
    c.shutdown_write();
    c.release();
}

void EchoApplication::echo(tcp::Connection& c, Session&) {
    SliceQueue& in = c.receive_queue();
    // Until there is nothing left or no room: send_room() of 0 is what wishes for kWritable.
    while (const uint64_t n = in.empty() ? 0 : std::min(in.bytes(), c.send_room())) {
        SliceQueue out(worker_.nodes());
        if (!in.split_to(n, out)) return;
        const uint64_t moved = out.bytes();
        if (!c.write(std::move(out))) return;
        c.consumed(moved);
    }
}

void EchoApplication::sink(tcp::Connection& c, Session& s) {
    SliceQueue& in = c.receive_queue();
    uint64_t taken = 0;
    while (!in.empty()) {
        const Slice slice = in.pop_front();
        for (uint32_t at = 0; at < slice.size() && !s.wrong;) {
            uint32_t run;
            const uint8_t* expected = pattern_.at(s.received + at, run);
            const uint32_t n = std::min(run, slice.size() - at);
            if (std::memcmp(expected, slice.data() + at, n) != 0) {
                s.wrong = true;
                s.wrong_at = s.received + at;
            }
            at += n;
        }
        s.received += slice.size();
        taken += slice.size();
    }
    if (taken > 0) c.consumed(taken);
}

void EchoApplication::collect_request(tcp::Connection& c, Session& s) {
    for (;;) {
        pump(c, s);
        if (s.sent < s.to_send) return;   // one answer at a time
        SliceQueue& in = c.receive_queue();
        const uint64_t n = std::min<uint64_t>(in.bytes(), s.request.size() - s.request_bytes);
        if (n > 0) {
            in.peek(0, {reinterpret_cast<uint8_t*>(s.request.data()) + s.request_bytes, n});
            in.consume(n);
            c.consumed(n);
            s.request_bytes += static_cast<uint32_t>(n);
        }
        const std::string_view end = s.port == kHttpPort ? "\r\n\r\n" : "\n";
        const std::string_view text(s.request.data(), s.request_bytes);
        const size_t at = text.find(end);
        if (at == text.npos) {
            if (s.request_bytes == s.request.size()) c.abort();
            return;
        }
        if (s.port == kHttpPort) {
            http(c, s);
        } else {
            s.to_send = std::strtoull(s.request.data(), nullptr, 10);
            s.sent = 0;
        }
        const auto used = static_cast<uint32_t>(at + end.size());
        s.request_bytes -= used;
        std::memmove(s.request.data(), s.request.data() + used, s.request_bytes);
    }
}

void EchoApplication::http(tcp::Connection& c, Session& s) {
    uint64_t bytes = 0;
    if (std::strncmp(s.request.data(), "GET /bytes/", 11) == 0) bytes = std::strtoull(s.request.data() + 11, nullptr, 10);
    if (bytes == 0) {
        write_text(c, "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello\n");
        return;
    }
    write_text(c, "HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(bytes) + "\r\n\r\n");
    s.to_send = bytes;
    s.sent = 0;
}

void EchoApplication::pump(tcp::Connection& c, Session& s) {
    SliceQueue out(worker_.nodes());
    uint64_t room = std::min(c.send_room(), s.to_send - s.sent);
    while (room > 0) {
        rte_mbuf* m = rte_pktmbuf_alloc(worker_.pool());
        if (!m) break;
        uint32_t run;
        const uint8_t* bytes = pattern_.at(s.sent, run);
        const auto n = static_cast<uint32_t>(std::min<uint64_t>({room, run, rte_pktmbuf_tailroom(m)}));
        std::memcpy(rte_pktmbuf_append(m, static_cast<uint16_t>(n)), bytes, n);
        if (!out.push_back(Slice(m, m->data_off, n))) break;
        s.sent += n;
        room -= n;
    }
    if (!out.empty()) c.write(std::move(out));
    if (s.sent < s.to_send) (void)c.send_room();   // wishes for kWritable
}

bool EchoApplication::write_text(tcp::Connection& c, const std::string& text) {
    rte_mbuf* m = rte_pktmbuf_alloc(worker_.pool());
    if (!m) return false;
    std::memcpy(rte_pktmbuf_append(m, static_cast<uint16_t>(text.size())), text.data(), text.size());
    SliceQueue out(worker_.nodes());
    return out.push_back(Slice(m, m->data_off, static_cast<uint32_t>(text.size()))) && c.write(std::move(out));
}

}  // namespace sluice::worker::test
