// Sending and checking (see echo_client.h). A connection that was told something wrong goes on, so that the count is of bytes.
#include "tests/worker/echo_client.h"

#include <algorithm>
#include <cstring>

namespace sluice::worker::test {

void EchoClient::turn(Instant now) {
    if (started_) return;
    started_ = true;
    for (Session& s : sessions_) {
        tcp::Error error{};
        if (!worker_.tcp().connect({server_, kEchoPort}, {}, {}, &s, now, &error)) ++outcome_.failed;
    }
}

void EchoClient::handle_event(const tcp::ConnectionEvent& event, Instant) {
    tcp::Connection& c = *event.connection;
    auto& s = *static_cast<Session*>(c.user());
    check(c, s);
    if (event.events & tcp::kFailed) {
        if (!s.over) ++outcome_.failed;
        return c.release();
    }
    send(c, s);
    if (s.received == bytes_each_ && !s.over) {
        s.over = true;
        ++outcome_.finished;
        c.shutdown_write();
    }
    if (event.events & tcp::kPeerClosed) c.release();
}

void EchoClient::send(tcp::Connection& c, Session& s) {
    while (s.sent < bytes_each_) {
        const uint64_t room = std::min(c.send_room(), bytes_each_ - s.sent);
        uint32_t run;
        const uint8_t* bytes = pattern_.at(s.sent, run);
        const uint64_t n = room == 0 ? 0 : c.write_copy({bytes, std::min<uint64_t>(room, run)});
        if (n == 0) return;
        s.sent += n;
    }
}

void EchoClient::check(tcp::Connection& c, Session& s) {
    SliceQueue& in = c.receive_queue();
    uint64_t taken = 0;
    while (!in.empty()) {
        const Slice slice = in.pop_front();
        for (uint32_t at = 0; at < slice.size();) {
            uint32_t run;
            const uint8_t* expected = pattern_.at(s.received + taken + at, run);
            const uint32_t n = std::min(run, slice.size() - at);
            if (std::memcmp(expected, slice.data() + at, n) != 0) ++outcome_.wrong;
            at += n;
        }
        taken += slice.size();
    }
    if (taken == 0) return;
    s.received += taken;
    outcome_.bytes += taken;
    c.consumed(taken);
}

}  // namespace sluice::worker::test
