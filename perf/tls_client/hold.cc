// Connections opened a few at a time, one request each (see hold.h).
// In and out: see the header. The answer is read, not looked at: any bytes will do.
#include "perf/tls_client/hold.h"

#include <sys/epoll.h>

#include <array>

namespace sluice::perf {

std::string run_hold(ClientContext& context, const SocketAddress& target, uint32_t connections, uint32_t at_a_time, const std::string& request,
                     std::deque<ClientConnection>& held) {
    constexpr uint64_t kWaitNs = 10'000'000'000;
    const int epoll = epoll_create1(0);
    std::array<void*, 64> tags;
    std::array<uint8_t, 8192> room;
    uint32_t begun = 0, done = 0;
    while (done < connections) {
        while (begun < connections && begun - done < at_a_time) {
            ClientConnection& c = held.emplace_back();
            if (!c.start(context, target, nullptr, epoll, &c)) return "connection " + std::to_string(begun) + ": " + c.why();
            begun++;
        }
        const int n = wait_ready(epoll, kWaitNs, tags);
        if (n == 0) return "no answer in 10 s after " + std::to_string(done) + " connections";
        for (int i = 0; i < n; i++) {
            auto& c = *static_cast<ClientConnection*>(tags[static_cast<size_t>(i)]);
            const bool was_open = c.state() == ClientConnection::State::kOpen;
            if (c.advance() == ClientConnection::State::kOpen) {
                if (!was_open) c.write({reinterpret_cast<const uint8_t*>(request.data()), request.size()});
                const bool answered = c.answered();
                while (c.read(room) > 0) c.set_answered();
                if (!answered && c.answered()) done++;
            }
            if (c.state() == ClientConnection::State::kFailed) return "connection ended after " + std::to_string(done) + ": " + c.why();
        }
    }
    return {};
}

}  // namespace sluice::perf
