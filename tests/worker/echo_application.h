// An application for trying a worker on a real wire: echo (port 7), checked sink (9), source (19) and a tiny HTTP (80).
// In: connection events. Out: bytes of one fixed pattern, whose every offset is told from its neighbours. Not a product.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/pool.h"
#include "worker/application.h"
#include "worker/worker.h"

namespace sluice::worker::test {

inline constexpr uint16_t kEchoPort = 7, kSinkPort = 9, kSourcePort = 19, kHttpPort = 80;

/// The stream's byte at any offset: a pseudo-random block of a prime length, repeated.
class Pattern {
 public:
    static constexpr uint32_t kBytes = 1'000'003;
    Pattern();
    const uint8_t* at(uint64_t offset, uint32_t& run) const {
        const auto from = static_cast<uint32_t>(offset % kBytes);
        run = kBytes - from;
        return block_.data() + from;
    }

 private:
    std::vector<uint8_t> block_;
};

class EchoApplication final : public Application {
 public:
    explicit EchoApplication(Worker& worker);
    void turn(Instant) override {}
    void handle_event(const tcp::ConnectionEvent& event, Instant now) override;
    void handle_timeout(Instant) override {}
    Instant poll_timeout() const override { return Instant::never(); }
    bool idle() const override { return sessions_.in_use() == 0; }

 private:
    struct Session {
        uint16_t port = 0;
        bool closing = false;
        bool wrong = false;
        uint64_t received = 0;      // by the sink
        uint64_t wrong_at = 0;
        uint64_t to_send = 0, sent = 0;   // by the source
        std::array<char, 2048> request;
        uint32_t request_bytes = 0;
    };
    void echo(tcp::Connection& c, Session& s);
    void sink(tcp::Connection& c, Session& s);
    void collect_request(tcp::Connection& c, Session& s);
    void http(tcp::Connection& c, Session& s);
    void pump(tcp::Connection& c, Session& s);
    bool write_text(tcp::Connection& c, const std::string& text);
    void finish(tcp::Connection& c, Session& s);

    Worker& worker_;
    Pool<Session> sessions_{16384};
    Pattern pattern_;
};

}  // namespace sluice::worker::test
