// Requests, answers, and what each end may see of them. See tls_app.h.
#include "tests/sim/tls_app.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "tests/support/eal.h"

namespace sluice::sim {

namespace {

/// Chunks as far as they are there. Returns where it stopped.
size_t read_chunks(const std::string& text, size_t at, Message& m) {
    for (;;) {
        const size_t line = text.find("\r\n", at);
        if (line == std::string::npos) return at;
        const size_t size = std::stoul(text.substr(at, line - at), nullptr, 16);
        const size_t here = std::min(size, text.size() - (line + 2));
        m.body.append(text, line + 2, here);
        if (text.size() < line + 2 + size + 2) return at;
        at = line + 2 + size + 2;
        if (size > 0) continue;
        m.complete = true;
        return at;
    }
}

bool append(const std::string& text, SliceQueue& queue) {
    for (size_t at = 0; at < text.size();) {
        rte_mbuf* m = rte_pktmbuf_alloc(test::test_mempool());
        if (!m) return false;
        const auto n = static_cast<uint32_t>(std::min<size_t>(text.size() - at, rte_pktmbuf_tailroom(m)));
        std::memcpy(rte_pktmbuf_mtod(m, char*), text.data() + at, n);
        if (!queue.push_back(Slice(m, m->data_off, n))) return false;
        at += n;
    }
    return true;
}

}  // namespace

Message read_message(const std::string& text) {
    Message m;
    const size_t end = text.find("\r\n\r\n");
    if (end == std::string::npos) return m;
    m.has_head = true;
    m.head = text.substr(0, end + 2);
    m.bytes = end + 4;
    if (m.head.find("transfer-encoding: chunked") != std::string::npos) {
        m.bytes = read_chunks(text, end + 4, m);
    } else {
        const size_t field = m.head.find("content-length: ");
        const size_t size = field == std::string::npos ? 0 : std::stoul(m.head.substr(field + 16));
        m.body = text.substr(end + 4, size);
        m.complete = m.body.size() == size;
        m.bytes += m.body.size();
    }
    return m;
}

std::string body_text(uint64_t key, uint64_t size) {
    std::string text(size, 0);
    for (uint64_t i = 0; i < size; i++) text[i] = static_cast<char>('A' + (key * 31 + i * 7 + i / 251) % 58);
    return text;
}

std::string framed(const std::string& body, int mode, Rng& rng) {
    if (mode == 0) return fmt::format("content-length: {}\r\n\r\n{}", body.size(), body);
    if (mode == 2) return "connection: close\r\n\r\n" + body;
    std::string text = "transfer-encoding: chunked\r\n\r\n";
    for (size_t at = 0; at < body.size();) {
        const size_t n = std::min<size_t>(body.size() - at, 1 + rng.below(8000));
        text += fmt::format("{:x}\r\n{}\r\n", n, body.substr(at, n));
        at += n;
    }
    return text + "0\r\n\r\n";
}

void Outgoing::push(tcp::Connection& connection, SliceNodePool& nodes) {
    while (at < text.size()) {
        const uint64_t room = std::min<uint64_t>(connection.send_room(), text.size() - at);
        if (room == 0) return;
        SliceQueue queue(nodes);
        if (!append(text.substr(at, room), queue) || !connection.write(std::move(queue))) return;
        at += room;
    }
    text.clear();
    at = 0;
}

std::string read_all(tcp::Connection& connection) {
    std::string text;
    SliceQueue& in = connection.receive_queue();
    while (!in.empty()) {
        text.append(reinterpret_cast<const char*>(in.front().data()), in.front().size());
        in.consume(in.front().size());
    }
    connection.consumed(text.size());
    return text;
}

// --- The client ---

void ClientEnd::ask(Rng& rng) {
    const Exchange& e = exchanges[current];
    asked = true;
    out.text += fmt::format("POST /{}/{}/{}/{} HTTP/1.1\r\nhost: a\r\n", e.key, e.up, e.down, e.mode_down) + framed(body_text(e.key, e.up), e.mode_up, rng);
}

void ClientEnd::leave(bool reset) {
    if (reset) connection->abort();
    connection->release();
    connection = nullptr;
    in.clear();
    out = {};
    asked = false;
}

/// What is here of an answer is right, whatever became of the rest.
std::string ClientEnd::judge(bool trouble, bool ended) {
    if (!asked) return in.empty() ? "" : "bytes that answer nothing: " + in.substr(0, 80);
    const Exchange& e = exchanges[current];
    const Message answer = read_message(in);
    const std::string wanted = body_text(e.key + 1, e.down);
    const bool good = answer.head.starts_with("HTTP/1.1 200 ");
    if (good && answer.head.find(fmt::format("x-key: {}\r\n", e.key)) == std::string::npos) return fmt::format("request {} got another's answer: {}", e.key, answer.head);
    if (good && !wanted.starts_with(answer.body)) return fmt::format("request {}: {} bytes of its answer are not all its own", e.key, answer.body.size());
    if (good && answer.complete && answer.body != wanted)
        return fmt::format("request {}: an answer of {} bytes passes as whole, {} were sent", e.key, answer.body.size(), wanted.size());
    const bool failure = (answer.complete && !good) || (ended && !answer.complete);
    if (failure && !trouble) return fmt::format("request {} failed for nothing: `{}`, {} bytes of body", e.key, answer.head, answer.body.size());
    if (answer.complete || failure) {
        (good && answer.complete ? answered : failed)++;
        current++;
        asked = false;
    }
    return "";
}

std::string ClientEnd::serve(uint16_t events, test::Host& host, bool trouble, Rng& rng) {
    in += read_all(*connection);
    const bool ended = (events & (tcp::kFailed | tcp::kPeerClosed)) != 0;
    if (asked && exchanges[current].abort && !in.empty() && !ended) {
        aborted++, current++;
        leave(true);
        return "";
    }
    const Message answer = read_message(in);
    if (std::string wrong = judge(trouble, ended); !wrong.empty()) return wrong;
    if (ended || (answer.complete && answer.head.find("connection: close") != std::string::npos) || done()) {
        leave(false);
        return "";
    }
    if (answer.complete) in.erase(0, answer.bytes);
    if (!asked && (events & tcp::kConnected || answer.complete)) ask(rng);
    out.push(*connection, host.nodes());
    return "";
}

// --- The server ---

std::string ServerEnd::serve(tcp::Connection& connection, uint16_t events, test::Host& host, double aborts, bool trouble, Rng& rng,
                             std::vector<uint64_t>& served, bool& gone) {
    in += read_all(connection);
    const bool ended = (events & (tcp::kFailed | tcp::kPeerClosed)) != 0;
    for (Message request = read_message(in); request.has_head; request = read_message(in)) {
        unsigned long key = 0, up = 0, down = 0;
        int mode = 0;
        if (std::sscanf(request.head.c_str(), "%*s /%lu/%lu/%lu/%d", &key, &up, &down, &mode) != 4) return "a request that nobody sent: " + request.head;
        const std::string wanted = body_text(key, up);
        if (!wanted.starts_with(request.body)) return fmt::format("request {}: its body is not all its own", key);
        if (!request.complete) {
            if (ended && !trouble) return fmt::format("request {} was cut for nothing", key);
            break;
        }
        if (request.body != wanted) return fmt::format("request {}: a body of {} bytes passes as whole, {} were sent", key, request.body.size(), up);
        served.push_back(key);
        in.erase(0, request.bytes);
        std::string answer = fmt::format("HTTP/1.1 200 OK\r\nx-key: {}\r\n", key) + framed(body_text(key + 1, down), mode, rng);
        const bool cut = mode != 2 && rng.chance(aborts);   // what ends with its connection may be cut unnoticed in plain text
        if (cut) answer.resize(rng.below(answer.size()));
        out.text += answer;
        close_after = close_after || cut || mode == 2;
        if (close_after) break;
    }
    if (!(events & tcp::kFailed)) out.push(connection, host.nodes());
    gone = (events & tcp::kFailed) != 0 || ((ended || close_after) && out.empty());
    if (gone) connection.release();
    return "";
}

}  // namespace sluice::sim
