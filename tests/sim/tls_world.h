// Clients, two gateways with TLS between them, a server; wires, and a clock that jumps to the next event:
//     clients -- plain HTTP -> gateway A == TLS over hostile wires => gateway B -- plain HTTP -> server
// In: a scenario and a seed. Out: what went wrong, if anything, and a digest of all segments: the same seed, the same digest.
// Owns machines, wires and ends. Checks: each body byte by byte, no request twice, no failure without trouble, no altered byte let
// through, an end within virtual deadlines, and then nothing lent any more: pools, mbufs, OpenSSL objects, TCP connections.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/sim/tls_app.h"
#include "tests/sim/tls_gate.h"
#include "tests/sim/tls_scenario.h"
#include "tls/ticket_keys.h"

namespace sluice::sim {

class TlsWorld {
 public:
    /// What came to pass, over all worlds of a test: a scenario that never happens tests nothing.
    struct Totals {
        uint64_t worlds = 0, answered = 0, failed = 0, aborted = 0, segments = 0, forged = 0, truncated = 0, closed_by_operator = 0, rotated = 0;
        uint64_t full = 0, resumed = 0, fallbacks = 0, key_updates = 0, keys_evicted = 0, bad_records = 0, tickets = 0;
        double virtual_s = 0;
        void print(const char* name) const;
    };
    TlsWorld(const TlsScenario& scenario, uint64_t seed);
    ~TlsWorld();

    /// Runs until all is over. Empty if all was well.
    std::string run();
    uint64_t digest() const { return digest_; }
    void add_to(Totals& totals) const;

 private:
    struct Machine {
        test::Host* host;
        std::unique_ptr<test::Wire> wire;    // what it sends
    };
    void step();
    void deliver(const test::WireSegment& segment);
    void tamper(test::WireSegment& segment);
    void serve_clients();
    void serve_server();
    void connect(ClientEnd& client);
    void after_request(uint64_t key);
    void rotate(Gate& gate, bool server_side);
    void close_one();
    void count_up();
    bool finished() const;
    Instant next_time() const;
    std::string unfinished() const;
    std::string leftovers();
    void complain(const std::string& what);

    TlsScenario scenario_;
    Rng rng_, wire_rng_;
    Instant now_{1'000'000};
    unsigned mbufs_before_;
    std::unique_ptr<tls::HandshakeThreads> threads_a_, threads_b_;   // outlive the gateways
    std::shared_ptr<tls::TicketKeys> ticket_keys_;
    std::unique_ptr<test::Host> client_host_, server_host_;
    std::unique_ptr<Gate> a_, b_;
    std::vector<Machine> machines_;
    std::vector<std::unique_ptr<ClientEnd>> clients_;
    std::unordered_map<tcp::Connection*, std::unique_ptr<ServerEnd>> peers_;
    std::set<uint64_t> served_;
    uint64_t digest_ = 1469598103934665603u;
    Totals totals_;
    std::string complaint_;
};

}  // namespace sluice::sim
