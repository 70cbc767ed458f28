// Two hosts, a wire each way, and applications that send known bytes; a clock that jumps to the next event.
// In: a seed and a description. Out: what went wrong, if anything. Everything is repeated exactly from the seed.
// Owns hosts, wires and applications. Checks: every byte once and in order, both ways; nothing left at the end.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/host.h"
#include "tests/sim/link.h"

namespace sluice::sim {

/// One end of a connection as its application sees it.
struct Endpoint {
    Host* host = nullptr;
    tcp::Connection* connection = nullptr;
    uint64_t key_out = 0, key_in = 0;       // which bytes are sent and expected
    uint64_t to_send = 0, to_receive = 0;
    uint64_t sent = 0, received = 0;
    uint32_t write_max = 16384, read_max = 1u << 20;
    Duration read_pause{};                  // a slow reader waits between reads, at most so long
    Instant read_at{};
    bool accepted = false;                  // a client's: its server end exists
    bool peer_closed = false, shut = false, released = false, failed = false;
    bool wait_for_peer = false;             // answers only when it has everything
    tcp::Error error{};
};

struct Scenario {
    LinkConfig wire[2];       // client to server, server to client
    HostConfig host[2];
    tcp::Options options[2];
    uint32_t connections = 1;
    uint64_t bytes_max[2] = {200'000, 200'000};
    Duration connect_spread = milliseconds(50);
    uint32_t write_max = 16384, read_max = 1u << 20;
    Duration read_pause_max{};
    bool may_fail = false;    // conditions under which a connection may give up, as long as both ends learn of it
    bool exact_bytes = false; // exactly bytes_max rather than up to it
};

class World {
 public:
    World(const Scenario& scenario, uint64_t seed);
    ~World();

    /// Runs until all is over. Empty if all was well.
    std::string run();
    Instant now() const { return now_; }
    Host& host(int i) { return *hosts_[i]; }
    Link& wire(int i) { return *wires_[i]; }
    test::Pcap& pcap() { return pcap_; }
    Instant last_byte_at() const { return last_byte_at_; }
    uint64_t bytes_delivered() const { return bytes_delivered_; }
    std::vector<std::unique_ptr<Endpoint>>& endpoints() { return endpoints_; }

 private:
    void step_all();
    void open_due();
    void take_events(int host);
    void on_event(int host, const tcp::ConnectionEvent& event);
    void serve(Endpoint& e);
    void read(Endpoint& e);
    void write(Endpoint& e);
    bool done() const;
    Instant next_time() const;
    std::string leftovers();
    std::string unfinished();
    void complain(const std::string& what);

    Scenario scenario_;
    Rng rng_;
    test::Pcap pcap_;
    Instant now_{};
    std::unique_ptr<Host> hosts_[2];
    std::unique_ptr<Link> wires_[2];
    std::vector<Instant> open_at_;
    size_t opened_ = 0;
    std::vector<std::unique_ptr<Endpoint>> endpoints_;
    std::vector<uint16_t> ports_;            // of clients, to find a server's counterpart
    std::string complaint_;
    Instant last_byte_at_{};
    uint64_t bytes_delivered_ = 0;
    unsigned mbufs_at_start_ = 0;
};

}  // namespace sluice::sim
