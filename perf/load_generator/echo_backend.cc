// Requests in, ready-made responses out (see echo_backend.h). A request that is none ends its connection.
// In and out: see the header. Each size's response is made once, at its first request.
#include "perf/load_generator/echo_backend.h"

#include <strings.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace sluice::perf {

namespace {

constexpr std::string_view kHeadEnd = "\r\n\r\n", kPathOfSize = "/bytes/", kLengthField = "\r\ncontent-length:";
constexpr uint32_t kMbufBytes = 1800;   // of text in one mbuf: room for what lies in front

uint64_t number_after(std::string_view text, size_t at, uint64_t otherwise) {
    while (at < text.size() && text[at] == ' ') at++;
    uint64_t n = otherwise;
    std::from_chars(text.data() + at, text.data() + text.size(), n);
    return n;
}

/// Length of the request's body.
uint64_t body_bytes(std::string_view head) {
    for (size_t at = head.find("\r\n"); at != head.npos; at = head.find("\r\n", at + 2))
        if (head.size() - at > kLengthField.size() && strncasecmp(head.data() + at, kLengthField.data(), kLengthField.size()) == 0)
            return number_after(head, at + kLengthField.size(), 0);
    return 0;
}

}  // namespace

EchoBackend::EchoBackend(worker::Worker& worker, TlsCore* tls, uint16_t port, uint32_t body_bytes, uint32_t connections_max)
    : worker_(worker), tls_(tls), sessions_(connections_max), default_bytes_(body_bytes) {
    for (Slice& block : blocks_) block = text_slice(std::string(kMbufBytes, 'x'));
    for (const IpAddress& any : {IpAddress::v4(0), IpAddress{}}) worker.tcp().listen({any, port}, this, {});
}

Slice EchoBackend::text_slice(const std::string& text) {
    rte_mbuf* m = rte_pktmbuf_alloc(worker_.pool());
    if (!m) return {};
    std::memcpy(rte_pktmbuf_append(m, static_cast<uint16_t>(text.size())), text.data(), text.size());
    return Slice(m, m->data_off, static_cast<uint32_t>(text.size()));
}

EchoBackend::Response* EchoBackend::response(uint64_t body_bytes) {
    for (const auto& r : responses_)
        if (r->body_bytes == body_bytes) return r.get();
    if (responses_.size() == kSizesMax) responses_.erase(responses_.begin());
    auto made = std::make_unique<Response>();
    made->body_bytes = body_bytes;
    std::string text = "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: " + std::to_string(body_bytes) + "\r\n\r\n";
    made->whole = text.size() + body_bytes <= kMbufBytes;
    if (made->whole) text.append(body_bytes, 'x');
    for (Slice& head : made->heads) head = text_slice(text);
    return responses_.emplace_back(std::move(made)).get();
}

void EchoBackend::handle_event(const tcp::ConnectionEvent& event, Instant now) {
    tcp::Connection& c = *event.connection;
    auto* s = static_cast<Session*>(c.user());
    bool lives = (event.events & (tcp::kFailed | tcp::kPeerClosed)) == 0;
    if (event.events & tcp::kAccepted) {
        s = sessions_.take(worker_, tls_, *this);
        if (!s) {
            c.abort();
            return c.release();
        }
        c.set_user(s);
        (void)s->link.begin(c, tls::Role::kServer);
    }
    if ((event.events & tcp::kFailed) == 0) {
        lives &= (event.events & tcp::kReadable) == 0 || s->link.receive();
        serve(c, *s, now);
    }
    if (!lives) end(c);
}

void EchoBackend::on_link(tcp::Connection& connection, bool open, Instant now) {
    if (open) return serve(connection, *static_cast<Session*>(connection.user()), now);
    connection.abort();
    end(connection);
}

void EchoBackend::end(tcp::Connection& c) {
    auto* s = static_cast<Session*>(c.user());
    s->link.shutdown(c);
    sessions_.give(s);
    c.release();
}

void EchoBackend::serve(tcp::Connection& c, Session& s, Instant now) {
    SliceQueue& in = s.link.in();
    while (write_body(s, now) && !in.empty()) {
        if (s.body_left > 0) {
            const uint64_t n = std::min<uint64_t>(s.body_left, in.bytes());
            in.consume(n);
            s.link.consumed(n);
            s.body_left -= n;
            continue;
        }
        std::string_view have(reinterpret_cast<const char*>(in.front().data()), in.front().size());
        size_t end = have.find(kHeadEnd);
        if (end == have.npos && in.count() > 1) {
            const uint64_t n = in.peek(0, scratch_);
            have = {reinterpret_cast<const char*>(scratch_.data()), n};
            end = have.find(kHeadEnd);
        }
        if (end == have.npos) {
            if (in.bytes() >= kRequestBytesMax) c.abort();
            return;
        }
        const std::string_view head = have.substr(0, end);
        s.body_left = body_bytes(head);
        const bool answered = answer(s, head, now);
        in.consume(end + kHeadEnd.size());
        s.link.consumed(end + kHeadEnd.size());
        requests_.store(requests_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        if (!answered) return c.abort();
    }
}

bool EchoBackend::answer(Session& s, std::string_view head, Instant now) {
    const size_t path = head.find(' ');
    const bool sized = path != head.npos && head.substr(path + 1).starts_with(kPathOfSize);
    Response* r = response(sized ? number_after(head, path + 1 + kPathOfSize.size(), 0) : default_bytes_);
    SliceQueue out(worker_.nodes());
    const Slice& ready = r->heads[r->next++ % kCopies];
    if (ready.empty() || !out.push_back(ready.share())) return false;
    s.owed = r->whole ? 0 : r->body_bytes;
    return s.link.write(std::move(out), now) && (s.owed == 0 || write_body(s, now) || s.owed > 0);
}

/// What is owed, as far as there is room. False: some is left, and kWritable will call again.
bool EchoBackend::write_body(Session& s, Instant now) {
    // Until there is none: over TLS what a first round leaves of TCP's room is room all the same, and nobody tells of it.
    while (s.owed > 0) {
        uint64_t room = std::min(s.link.send_room(), s.owed);
        if (room == 0) return false;   // kWritable is wished for
        SliceQueue out(worker_.nodes());
        while (room > 0) {
            const auto n = static_cast<uint32_t>(std::min<uint64_t>(room, kMbufBytes));
            const Slice& block = blocks_[next_block_++ % kCopies];
            if (!out.push_back(block.share(0, n))) break;
            room -= n, s.owed -= n;
        }
        if (out.empty() || !s.link.write(std::move(out), now)) return false;
    }
    return s.owed == 0;
}

}  // namespace sluice::perf
