// TLS between two of our gateways over seeded, hostile wires: handshakes, records, resumption, key updates, ends, rotation, forgers.
// SLUICE_SEED=N runs one seed, SLUICE_SEEDS=N that many from SLUICE_FIRST (or 1). A failure prints its seed, its world and the command
// that repeats it. OpenSSL draws from the seed too, so a handshake repeats to the byte. How fast it went is printed and never judged.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "tests/sim/tls_world.h"

namespace sluice::sim {
namespace {

using Totals = TlsWorld::Totals;

/// False if something was wrong.
bool expect_well(const TlsScenario& scenario, uint64_t seed, Totals& totals, uint64_t* digest = nullptr) {
    TlsWorld world(scenario, seed);
    std::string complaint = world.run();
    world.add_to(totals);
    if (digest) *digest = world.digest();
    if (complaint.empty() && testing::Test::HasFailure()) complaint = "a check above failed";
    if (complaint.empty()) return true;
    ADD_FAILURE() << "seed " << seed << ": " << complaint << "\nin the world of " << scenario.describe() << "\nrepeat: SLUICE_SEED=" << seed
                  << " build/tests/sim/tls_sim_test --gtest_filter=*ManySeeds";
    return false;
}

uint64_t from_environment(const char* name, uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text ? std::strtoull(text, nullptr, 0) : otherwise;
}

TEST(TlsSim, BothVersionsOverCleanWires) {
    Totals totals;
    for (const bool tls13 : {true, false}) {
        TlsScenario s;
        s.tls13 = tls13;
        if (!expect_well(s, 1, totals)) return;
    }
    EXPECT_EQ(totals.failed, 0u);
    EXPECT_EQ(totals.answered, 64u);
    EXPECT_LE(totals.full + totals.resumed, 2 * 2 * 4u) << "connections between the gateways are reused";
}

TEST(TlsSim, LargeBodiesWithAKeyUpdateEveryFewRecords) {
    TlsScenario s;
    s.clients = 2, s.exchanges = 2;
    s.body_max = 1'500'000;
    s.key_records_max = 7;
    s.wire.loss = 0.01, s.wire.reorder = 0.05, s.wire.jitter = milliseconds(3);
    Totals totals;
    expect_well(s, 2, totals);
    EXPECT_EQ(totals.answered, 4u);
    EXPECT_GT(totals.key_updates, 100u);
}

TEST(TlsSim, EveryConnectionAfterTheFirstIsResumed) {
    TlsScenario s;
    s.clients = 1, s.exchanges = 30;
    s.requests_per_connection = 1;
    s.body_max = 2000;
    for (const bool tls13 : {true, false}) {
        s.tls13 = tls13;
        Totals totals;
        if (!expect_well(s, 3, totals)) return;
        EXPECT_EQ(totals.full, 2u) << "one, counted at both ends; " << (tls13 ? "1.3" : "1.2");
        EXPECT_EQ(totals.resumed, 58u);
    }
}

/// More active connections than expanded keys, each way.
TEST(TlsSim, ConnectionsOutnumberExpandedKeys) {
    TlsScenario s;
    s.clients = 30, s.exchanges = 10;
    s.expanded_keys_max = 4;
    s.body_max = 20'000;
    Totals totals;
    expect_well(s, 4, totals);
    EXPECT_EQ(totals.answered, 300u);
    EXPECT_GT(totals.keys_evicted, 1000u);
}

/// Not one altered byte is let through, and nothing hangs: the checks are the world's.
TEST(TlsSim, AForgerOnTheWire) {
    TlsScenario s;
    s.clients = 6, s.exchanges = 40;
    s.forge = 0.01, s.truncate = 0.005;
    Totals totals;
    expect_well(s, 5, totals);
    EXPECT_GT(totals.forged, 20u);
    EXPECT_GT(totals.truncated, 10u);
    EXPECT_GT(totals.bad_records, 10u);
    EXPECT_GT(totals.answered, 100u);
}

TEST(TlsSim, ThreadsShakeHands) {
    TlsScenario s;
    s.threads = true;
    s.requests_per_connection = 1;
    s.wire.loss = 0.02;
    Totals totals;
    expect_well(s, 6, totals);
    EXPECT_EQ(totals.answered, 32u);
}

TEST(TlsSim, ManySeeds) {
    const bool one = std::getenv("SLUICE_SEED") != nullptr;
    const uint64_t first = one ? from_environment("SLUICE_SEED", 1) : from_environment("SLUICE_FIRST", 1);
    const uint64_t seeds = one ? 1 : from_environment("SLUICE_SEEDS", 100);
    std::printf("seeds %llu to %llu\n", static_cast<unsigned long long>(first), static_cast<unsigned long long>(first + seeds - 1));
    Totals totals;
    for (uint64_t seed = first; seed < first + seeds; seed++)
        if (!expect_well(random_tls_scenario(seed), seed, totals)) return;
    totals.print("ManySeeds");
    if (seeds < 100) return;
    for (const uint64_t happened : {totals.answered, totals.failed, totals.aborted, totals.full, totals.resumed, totals.fallbacks, totals.tickets, totals.key_updates,
                                    totals.keys_evicted, totals.bad_records, totals.forged, totals.truncated, totals.closed_by_operator, totals.rotated})
        EXPECT_GT(happened, 0u) << "the dice leave something out";
}

TEST(TlsSim, ASeedRepeatsARunPacketForPacket) {
    Totals totals;
    uint64_t last = 0;
    for (const uint64_t seed : {3, 8, 21}) {
        uint64_t first = 0, second = 0;
        if (!expect_well(random_tls_scenario(seed), seed, totals, &first)) return;
        if (!expect_well(random_tls_scenario(seed), seed, totals, &second)) return;
        EXPECT_EQ(first, second) << "seed " << seed;
        EXPECT_NE(first, last) << "another seed, another run";
        last = first;
    }
}

/// A thousand handshakes and more at one go, with aborts on both sides: everything comes back.
TEST(TlsSim, ACrowdThatComesAndGoes) {
    TlsScenario s;
    s.clients = 100, s.exchanges = 10;
    s.requests_per_connection = 1;
    s.body_max = 6000;
    s.wire.loss = 0.01, s.wire.reorder = 0.05, s.wire.jitter = milliseconds(2);
    s.client_aborts = 0.2, s.server_aborts = 0.2, s.forge = 0.002, s.rotations = 0.01, s.operator_closes = 0.05;
    Totals totals;
    expect_well(s, 7, totals);
    totals.print("ACrowdThatComesAndGoes");
    EXPECT_GT(totals.full + totals.resumed, 1000u);
    EXPECT_GT(totals.answered, 300u);
}

}  // namespace
}  // namespace sluice::sim
