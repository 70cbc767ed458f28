// Reading, writing and checking. See app.h. Byte n of a stream is a hash of the stream's key and n, so both ends know it.
#include "tests/sim/app.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sluice::sim {

namespace {

constexpr size_t kChunkBytes = 32768;

uint64_t word_of(uint64_t key, uint64_t number) {
    uint64_t z = key + number * 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    return z ^ (z >> 27);
}

/// Bytes `at` to `at + n` of the stream.
void stream_bytes(uint64_t key, uint64_t at, uint8_t* out, size_t n) {
    for (size_t done = 0; done < n;) {
        const uint64_t word = word_of(key, (at + done) >> 3);
        const size_t skip = (at + done) & 7, part = std::min(8 - skip, n - done);
        std::memcpy(out + done, reinterpret_cast<const uint8_t*>(&word) + skip, part);
        done += part;
    }
}

}  // namespace

void Endpoint::fail(long answer) {
    failed = true;
    error = static_cast<int>(-answer);
}

/// Until the socket is empty, or the application has had enough for now.
std::string Endpoint::read(Instant now, Rng& rng) {
    if (peer_closed || now < read_at) return {};
    th_stack* const s = host->at(now);
    uint8_t chunk[kChunkBytes], expected[kChunkBytes];
    unread = false;
    for (uint64_t left = read_max; left > 0;) {
        const long n = th_read(s, fd, chunk, std::min<uint64_t>(left, sizeof chunk));
        if (n == 0) peer_closed = true;
        else if (n < 0 && n != -EAGAIN) fail(n);
        if (n <= 0) break;
        const auto size = static_cast<size_t>(n);
        stream_bytes(key_in, received, expected, size);
        if (std::memcmp(chunk, expected, size) != 0) {
            const auto wrong = static_cast<uint64_t>(std::mismatch(chunk, chunk + size, expected).first - chunk);
            return fmt::format("wrong byte {} of {}", received + wrong, to_receive);
        }
        received += size;
        left -= static_cast<uint64_t>(n);
        unread = left == 0;
        if (read_pause.us > 0) read_at = now + Duration{static_cast<int64_t>(rng.below(static_cast<uint64_t>(read_pause.us))) + 1};
    }
    return received > to_receive ? "more bytes than were sent" : "";
}

void Endpoint::write(Instant now, Rng& rng) {
    if (now < write_at || (wait_for_peer && received < to_receive)) return;
    uint8_t chunk[kChunkBytes];
    unwritten = false;
    while (sent < to_send) {
        const uint64_t wanted = std::min({to_send - sent, uint64_t{write_max}, uint64_t{sizeof chunk}});
        stream_bytes(key_out, sent, chunk, wanted);
        const long n = th_write(host->at(now), fd, chunk, wanted);
        if (n == -EAGAIN) {
            unwritten = (th_poll(host->at(now), fd) & POLLOUT) != 0;
            return;
        }
        if (n < 0) return fail(n);
        sent += static_cast<uint64_t>(n);
        if (write_pause.us == 0 || sent == to_send || sent < pause_after) continue;
        pause_after = sent + to_send / kPauses + 1;
        write_at = now + Duration{static_cast<int64_t>(rng.below(static_cast<uint64_t>(write_pause.us))) + 1};
        return;
    }
    if (shut) return;
    shut = true;
    th_shutdown(host->at(now), fd, SHUT_WR);
}

void Endpoint::close(Instant now) {
    th_close(host->at(now), fd);
    closed = true;
}

void Endpoint::abort(Instant now) {
    const linger at_once{1, 0};
    th_setsockopt(host->at(now), fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(now);
}

std::string Endpoint::serve(Instant now, Rng& rng) {
    if (closed) return {};
    th_stack* const s = host->at(now);
    if (now >= abort_at) {
        abort(now);
        return {};
    }
    if (const char* wrong = sluice_tcp_check(s, fd)) return wrong;
    if (std::string wrong = read(now, rng); !wrong.empty()) return wrong;
    const int bits = th_poll(s, fd);
    const bool opening = (bits & (POLLOUT | POLLERR | POLLHUP | POLLRDHUP)) == 0 && sent == 0;
    if (!failed && !opening) write(now, rng);
    if (failed) {
        close(now);
        return {};
    }
    if (!peer_closed) return {};
    if (received != to_receive) return fmt::format("stream ended after {} of {} bytes", received, to_receive);
    if (shut) close(now);
    return {};
}

Instant Endpoint::look_at(Instant now) const {
    if (closed) return Instant::never();
    Instant at = abort_at;
    // A partial read leaves bytes behind without news, and so does a write for want of memory: look again soon.
    if (unread || read_at > now) at = std::min(at, std::max(read_at, now + microseconds(100)));
    if (write_at > now) at = std::min(at, write_at);
    if (unwritten) at = std::min(at, now + milliseconds(1));
    return at;
}

std::string Endpoint::describe() const {
    return fmt::format("[{} port {} sent {}/{}{} received {}/{}{}]", client ? "client" : "server", port, sent, to_send, shut ? " and shut" : "",
                       received, to_receive, peer_closed ? " to the end" : "");
}

}  // namespace sluice::sim
