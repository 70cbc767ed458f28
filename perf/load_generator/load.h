// The generator: connections to one target, requests by a schedule, latencies of one measured window.
// In: a Plan, from another thread, when it is idle. Out: an Outcome. One request at a time on each connection.
// Owns its connections' handles. Times are the core's time-stamp counter in nanoseconds, not the turn's microseconds.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ip_address.h"
#include "perf/load_generator/latency.h"
#include "perf/load_generator/link.h"
#include "perf/load_generator/response_reader.h"
#include "perf/load_generator/schedule.h"
#include "worker/worker.h"

namespace sluice::perf {

struct Plan {
    SocketAddress target;
    std::string request;                 // whole, sent again and again
    Arrivals arrivals = Arrivals::kClosed;
    double rate_per_s = 0;
    uint32_t connections = 1;
    uint64_t warmup_ns = 0, measure_ns = 0;
    uint64_t seed = 1;
};

struct Outcome {
    uint64_t window_ns = 0;
    uint64_t completed = 0;              // responses in the window; with an open loop, of requests due in it
    uint64_t bytes = 0;                  // of response, heads included
    uint64_t not_2xx = 0, malformed = 0, failed_connections = 0, reconnects = 0;
    uint64_t unanswered = 0;             // due in the window and not answered kDrain after its end: counted at their age
    uint64_t unsent = 0;                 // of those, never sent: no connection was free
    Latency latency;                     // from when a request was due (closed loop: sent)
    Latency service;                     // from when it was sent
};

class Load final : public LinkUser {
 public:
    enum class Phase : uint8_t { kIdle, kConnecting, kWarmup, kMeasuring, kDraining, kDone };

    /// `tls` nullptr: plain HTTP.
    Load(worker::Worker& worker, TlsCore* tls, uint32_t connections_max);
    void turn(Instant now);
    void handle_event(const tcp::ConnectionEvent& event, Instant now);
    Instant poll_timeout() const;

    // Any thread. start() when phase() is kIdle, take() when it is kDone.
    void start(const Plan& plan);
    Phase phase() const { return phase_.load(std::memory_order_acquire); }
    Outcome take();

 private:
    struct Client {
        tcp::Connection* connection = nullptr;
        std::unique_ptr<Link> link;
        uint64_t due_ns = 0, sent_ns = 0;
        bool waiting = false;            // for an answer
        ResponseReader reader;
    };
    uint64_t now_ns() const { return static_cast<uint64_t>((static_cast<unsigned __int128>(TscClock::cycles()) * ns_per_cycle_) >> 32); }
    uint64_t next_due() const { return schedule_.due_ns() == Schedule::kNever ? Schedule::kNever : epoch_ns_ + schedule_.due_ns(); }
    bool in_window(uint64_t at) const { return at >= measure_from_ns_ && at < measure_to_ns_; }
    void free(Client& client) { free_[(free_head_ + free_count_++) % free_.size()] = static_cast<uint32_t>(&client - clients_.data()); }
    void unfree(const Client& client);
    void open(Client& client, Instant now);
    void opened(Client& client);
    void on_link(tcp::Connection& connection, bool open, Instant now) override;
    void advance(uint64_t at);
    void begin(uint64_t at);
    void send_due(uint64_t at);
    void send(Client& client, uint64_t due, uint64_t at);
    void read(Client& client, Instant now);
    void answered(Client& client, uint64_t at);
    void ended(Client& client, bool failed, Instant now);
    void end();
    bool open_loop() const { return plan_.arrivals != Arrivals::kClosed; }
    void enter(Phase phase) { phase_.store(phase, std::memory_order_release); }

    worker::Worker& worker_;
    TlsCore* tls_;
    std::atomic<Phase> phase_{Phase::kIdle};
    std::atomic<const Plan*> offered_{nullptr};
    std::unique_ptr<Plan> offered_plan_;   // the other thread's
    Plan plan_;
    Outcome result_;
    Schedule schedule_{Arrivals::kClosed, 0, 1};
    std::vector<Client> clients_;
    std::vector<uint32_t> free_;           // a ring: connected and not waiting, the longest idle first
    uint32_t free_head_ = 0, free_count_ = 0;
    uint32_t connected_ = 0, waiting_ = 0;
    const uint64_t ns_per_cycle_;          // << 32
    uint64_t epoch_ns_ = 0;                // when requests began
    uint64_t measure_from_ns_ = 0, measure_to_ns_ = 0, deadline_ns_ = 0;
};

}  // namespace sluice::perf
