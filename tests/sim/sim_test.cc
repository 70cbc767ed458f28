// Runs of the simulated world: the seeds kept in seeds.txt, fresh ones, a crowd, and the proof that a seed repeats a run.
// SLUICE_SEED=N runs one seed, SLUICE_SEEDS=N that many from SLUICE_FIRST (or 1). A failure prints the command that
// repeats it and keeps build/failures/*.pcap. How fast virtual time passed is printed and never judged.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/sim/world.h"

namespace sluice::sim {
namespace {

struct Totals {
    double virtual_s = 0, real_s = 0;
    uint64_t packets = 0, worlds = 0, faults = 0;
    void print(const char* name) const {
        std::printf("%s: %llu worlds, %llu packets, %llu faults, %.0f virtual seconds in %.2f s: %.0f times real time\n", name,
                    static_cast<unsigned long long>(worlds), static_cast<unsigned long long>(packets),
                    static_cast<unsigned long long>(faults), virtual_s, real_s, virtual_s / (real_s > 0 ? real_s : 1));
    }
};

/// False if something was wrong.
bool expect_well(const Scenario& scenario, uint64_t seed, const std::string& test, Totals& totals, uint64_t* digest = nullptr) {
    const auto start = std::chrono::steady_clock::now();
    World world(scenario, seed);
    std::string complaint = world.run();
    totals.real_s += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    totals.virtual_s += static_cast<double>(world.virtual_time().us) / 1e6;
    totals.packets += world.packets();
    totals.faults += world.faults();
    totals.worlds++;
    if (digest) *digest = world.digest();
    if (complaint.empty() && testing::Test::HasFailure()) complaint = "a check above failed";
    if (complaint.empty()) return true;
    ADD_FAILURE() << test << " seed " << seed << ": " << complaint << "\nrepeat: SLUICE_SEED=" << seed
                  << " build/tests/sim/sim_test --gtest_filter=*Seeds";
    world.pcap().write("build/failures/" + test + "-" + std::to_string(seed) + ".pcap");
    return false;
}

/// The library starts DPDK with the first stack, once a process: not part of what a world takes.
class StartLibrary : public testing::Environment {
    void SetUp() override { const Host first(plain().server, 1, Instant{}, Rng(1)); }
};
const auto* const start_library = testing::AddGlobalTestEnvironment(new StartLibrary);

uint64_t from_environment(const char* name, uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text ? std::strtoull(text, nullptr, 0) : otherwise;
}

TEST(Sim, OneConnectionWithoutLoss) {
    Totals totals;
    expect_well(plain(), 1, "OneConnectionWithoutLoss", totals);
}

TEST(Sim, KeptSeeds) {
    std::ifstream file(SLUICE_SEEDS_FILE);
    ASSERT_TRUE(file) << SLUICE_SEEDS_FILE;
    Totals totals;
    for (std::string line; std::getline(file, line);) {
        uint64_t seed = 0;
        if (line.empty() || line[0] == '#' || !(std::istringstream(line) >> seed)) continue;
        if (!expect_well(random_scenario(seed), seed, "KeptSeeds", totals)) return;
    }
    totals.print("KeptSeeds");
}

TEST(Sim, ManySeeds) {
    const bool one = std::getenv("SLUICE_SEED") != nullptr;
    const uint64_t first = one ? from_environment("SLUICE_SEED", 1) : from_environment("SLUICE_FIRST", 1);
    const uint64_t seeds = one ? 1 : from_environment("SLUICE_SEEDS", 250);
    std::printf("seeds %llu to %llu\n", static_cast<unsigned long long>(first), static_cast<unsigned long long>(first + seeds - 1));
    Totals totals;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        if (!expect_well(random_scenario(seed), seed, "ManySeeds", totals)) return;
    }
    totals.print("ManySeeds");
}

TEST(Sim, ASeedRepeatsARunPacketForPacket) {
    Totals totals;
    uint64_t last = 0;
    for (const uint64_t seed : {3, 17, 40}) {
        uint64_t first = 0, second = 0;
        if (!expect_well(random_scenario(seed), seed, "Replay", totals, &first)) return;
        if (!expect_well(random_scenario(seed), seed, "Replay", totals, &second)) return;
        EXPECT_EQ(first, second) << "seed " << seed;
        EXPECT_NE(first, last) << "another seed, another run";
        last = first;
    }
}

/// RFC 1191 6.3, RFC 8899: whoever opens under a size that a router told another connection tries a larger one when that is old.
TEST(Sim, APathThatGrowsBackIsUsedByConnectionsOpenedWhileItWasNarrow) {
    Scenario s = plain();
    s.changes.push_back({.at = seconds(0), .until = seconds(20), .mtu = 1400});
    s.connections = 40;
    s.connect_spread = seconds(15);
    s.bytes_to_server = s.bytes_to_client = 1'000'000;
    s.write_max = 32768;
    s.write_pause_max = seconds(120);
    s.measure_from = seconds(1300);
    World world(s, 1);
    EXPECT_EQ(world.run(), "");
    uint32_t wide = 0;
    for (const auto& [port, bytes] : world.largest()) wide += bytes == 1500;
    EXPECT_GE(world.largest().size(), 10u) << "connections that lived so long";
    EXPECT_GE(wide, 5u) << "of " << world.largest().size();
}

TEST(Sim, ThousandsAtOnce) {
    Totals totals;
    expect_well(crowd(1, 3000), 1, "ThousandsAtOnce", totals);
    totals.print("ThousandsAtOnce");
}

}  // namespace
}  // namespace sluice::sim
