// What a simulated TLS world is made of, and how a seed decides all of it.
// In: a seed. Out: versions, suites, wires, clients, and what goes wrong on the way. Plain data.
// The worlds themselves: tls_world.h.
#pragma once

#include <cstdint>
#include <string>

#include "base/time.h"
#include "tests/support/tcp_wire.h"

namespace sluice::sim {

struct TlsScenario {
    // What is spoken between the two gateways.
    bool tls13 = true, mutual = true, tickets = true;
    std::string suite;                     // the only one; empty: as configured by default
    uint64_t key_records_max = uint64_t{1} << 23;   // small ones make key updates in mid-flow
    uint32_t expanded_keys_max = 4096;     // fewer than connections: keys are expanded again and again
    uint32_t requests_per_connection = 0;  // between the gateways; 0: no limit
    bool threads = false;                  // handshakes on a thread: then nothing repeats to the packet

    // What is carried.
    uint32_t clients = 4, exchanges = 8;   // of each client
    uint64_t body_max = 60'000;
    uint32_t buffer_bytes = 128 * 1024;    // of each connection of the gateways, each way
    uint16_t mtu = 1500;

    // What goes wrong.
    test::WireConfig wire;                 // of every machine
    double corrupt = 0;                    // segments damaged on the wire: TCP's checksum tells
    double forge = 0;                      // altered between the gateways, checksum put right: only TLS can tell
    double truncate = 0;                   // and cut, with FIN behind the cut
    double client_aborts = 0, server_aborts = 0;   // shares of exchanges
    double rotations = 0;                  // new certificates, contexts and ticket keys, a share of requests served
    double operator_closes = 0;            // likewise: some connection of a gateway is closed or reset

    /// Requests may fail. Without any of these none may.
    bool trouble() const { return forge > 0 || truncate > 0 || client_aborts > 0 || server_aborts > 0 || operator_closes > 0; }
    std::string describe() const;
};

/// Everything decided by the seed.
TlsScenario random_tls_scenario(uint64_t seed);

}  // namespace sluice::sim
