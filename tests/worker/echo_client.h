// The other end of EchoApplication: connections that send the fixed pattern to the echo port and check what comes back.
// In: how many connections of its core, how many bytes each. Out: Outcome, written as it goes, for another process to read.
// Owns its connections' handles. For tests over a wire of two processes.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "tests/worker/echo_application.h"
#include "worker/application.h"
#include "worker/worker.h"

namespace sluice::worker::test {

/// In memory that both processes have mapped.
struct Outcome {
    std::atomic<uint64_t> finished{0}, failed{0}, wrong{0}, bytes{0};
};

class EchoClient final : public Application {
 public:
    EchoClient(Worker& worker, const IpAddress& server, uint32_t connections, uint64_t bytes_each, Outcome& outcome)
        : worker_(worker), server_(server), sessions_(connections), bytes_each_(bytes_each), outcome_(outcome) {}
    void turn(Instant now) override;
    void handle_event(const tcp::ConnectionEvent& event, Instant now) override;
    void handle_timeout(Instant) override {}
    Instant poll_timeout() const override { return started_ ? Instant::never() : Instant{0}; }
    bool idle() const override { return false; }

 private:
    struct Session {
        uint64_t sent = 0, received = 0;
        bool over = false;
    };
    void send(tcp::Connection& c, Session& s);
    void check(tcp::Connection& c, Session& s);

    Worker& worker_;
    IpAddress server_;
    std::vector<Session> sessions_;
    uint64_t bytes_each_;
    Outcome& outcome_;
    Pattern pattern_;
    bool started_ = false;
};

}  // namespace sluice::worker::test
