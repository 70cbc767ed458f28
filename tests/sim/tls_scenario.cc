// Dice for simulated TLS worlds. See tls_scenario.h. Amounts are bounded so that a world ends within a second of real time.
#include "tests/sim/tls_scenario.h"

#include <fmt/format.h>

#include <iterator>

#include "base/rng.h"

namespace sluice::sim {

namespace {

Duration up_to(Rng& rng, uint64_t us) { return Duration{static_cast<int64_t>(rng.below(us + 1))}; }

/// Most are of ours, some of those that OpenSSL keeps.
std::string random_suite(bool tls13, Rng& rng) {
    static constexpr const char* k13[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_CCM_SHA256"};
    static constexpr const char* k12[] = {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305",
                                          "ECDHE-ECDSA-AES128-SHA256"};
    const size_t which = rng.chance(0.15) ? std::size(k13) - 1 : rng.below(std::size(k13) - 1);
    return tls13 ? k13[which] : k12[which];
}

void random_wire(TlsScenario& s, Rng& rng) {
    const double badness = rng.chance(0.25) ? 0 : rng.unit();
    s.wire.loss = 0.05 * badness * rng.unit();
    s.wire.duplicate = 0.05 * badness * rng.unit();
    s.wire.reorder = 0.2 * badness * rng.unit();
    s.wire.delay = up_to(rng, uint64_t{1} << rng.between(5, 15));
    s.wire.jitter = up_to(rng, static_cast<uint64_t>(s.wire.delay.us) + 2000);
    s.corrupt = 0.03 * badness * rng.unit();
}

void random_trouble(TlsScenario& s, Rng& rng) {
    if (rng.chance(0.4)) s.forge = 0.01 * rng.unit();
    if (rng.chance(0.3)) s.truncate = 0.01 * rng.unit();
    if (rng.chance(0.4)) s.client_aborts = 0.5 * rng.unit();
    if (rng.chance(0.4)) s.server_aborts = 0.5 * rng.unit();
    if (rng.chance(0.3)) s.operator_closes = 0.3 * rng.unit();
}

}  // namespace

TlsScenario random_tls_scenario(uint64_t seed) {
    Rng rng(seed ^ 0x715);
    TlsScenario s;
    s.tls13 = rng.chance(0.7);
    s.mutual = rng.chance(0.5);
    s.tickets = rng.chance(0.7);
    s.suite = random_suite(s.tls13, rng);
    if (rng.chance(0.5)) s.key_records_max = rng.between(3, 200);
    if (rng.chance(0.5)) s.expanded_keys_max = static_cast<uint32_t>(rng.between(1, 8));
    if (rng.chance(0.7)) s.requests_per_connection = static_cast<uint32_t>(rng.between(1, 6));
    s.clients = static_cast<uint32_t>(rng.between(1, 8));
    s.exchanges = static_cast<uint32_t>(rng.between(1, 10));
    s.body_max = 200'000 >> rng.below(10);
    s.buffer_bytes = static_cast<uint32_t>(uint64_t{1} << rng.between(15, 17));   // a whole record must fit
    s.mtu = rng.chance(0.7) ? 1500 : static_cast<uint16_t>(rng.between(1280, 1500));
    random_wire(s, rng);
    if (rng.chance(0.5)) s.rotations = 0.3 * rng.unit();
    if (rng.chance(0.5)) random_trouble(s, rng);
    return s;
}

std::string TlsScenario::describe() const {
    return fmt::format("TLS 1.{} {}{}{}, a key for {} records, {} expanded keys, {} requests a connection, {} clients x {} exchanges up to {} bytes, buffers of {}, "
                       "MTU {}; loss {:.3f} duplicate {:.3f} reorder {:.3f} corrupt {:.3f} delay {} us; forge {:.4f} truncate {:.4f} aborts {:.2f}/{:.2f} "
                       "rotations {:.2f} operator {:.2f}",
                       tls13 ? 3 : 2, suite, mutual ? ", mutual" : "", tickets ? ", tickets" : "", key_records_max, expanded_keys_max, requests_per_connection,
                       clients, exchanges, body_max, buffer_bytes, mtu, wire.loss, wire.duplicate, wire.reorder, corrupt, wire.delay.us, forge, truncate,
                       client_aborts, server_aborts, rotations, operator_closes);
}

}  // namespace sluice::sim
