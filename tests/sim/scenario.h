// What a simulated world is made of, and how a seed decides all of it.
// In: a seed. Out: hosts, wires, connections, attackers, and what changes on the way. Plain data.
#pragma once

#include <vector>

#include "tests/sim/host.h"
#include "tests/sim/link.h"

namespace sluice::sim {

/// Spoofed SYNs to the server beside everything else.
struct Flood {
    uint32_t packets = 0;
    Duration gap = microseconds(100);
};

/// Both wires between a client and the server become this for a while.
struct Change {
    Duration at{}, until{};
    uint16_t mtu = UINT16_MAX;
    bool icmp = true;
    bool outage = false;
};

struct Scenario {
    HostConfig server;
    std::vector<HostConfig> clients;
    LinkConfig to_server, to_client;     // of every client's wires
    SocketOptions server_options, client_options;
    uint32_t connections = 1;
    uint64_t bytes_to_server = 200'000, bytes_to_client = 200'000;  // at most
    Duration connect_spread = milliseconds(50);
    uint32_t write_max = 16384, read_max = 1u << 20;
    Duration read_pause_max{}, write_pause_max{};
    double aborts = 0;                   // share of connections that one end resets
    Flood flood;
    std::vector<Change> changes;
    size_t pcap_packets = 20'000;
    Duration measure_from = seconds(1'000'000);  // when World::largest() begins to look
};

/// Two hosts, no trouble.
Scenario plain();
/// Everything decided by the seed.
Scenario random_scenario(uint64_t seed);
/// The same with thousands of connections at once.
Scenario crowd(uint64_t seed, uint32_t connections);

}  // namespace sluice::sim
