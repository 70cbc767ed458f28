// Runs of the simulated world: fixed scenarios, and random ones from seeds.
// SLUICE_SEED=N runs one seed, SLUICE_SEEDS=N that many. A failure prints the command and keeps build/failures/*.pcap.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/sim/world.h"

namespace sluice::sim {
namespace {

Scenario plain() {
    Scenario s;
    s.host[0].address = IpAddress::v4(0x0a000001);
    s.host[1].address = IpAddress::v4(0x0a000002);
    for (auto& host : s.host) host.tcp.connections_max = 4096;
    return s;
}

void expect_well(const Scenario& scenario, uint64_t seed, const std::string& test) {
    World world(scenario, seed);
    std::string complaint = world.run();
    if (complaint.empty() && testing::Test::HasFailure()) complaint = "a check above failed";
    if (complaint.empty()) return;
    ADD_FAILURE() << test << " seed " << seed << ": " << complaint << "\nrepeat: SLUICE_SEED=" << seed
                  << " build/tests/sim/sim_test --gtest_filter=*" << test;
    world.pcap().write("build/failures/" + test + "-" + std::to_string(seed) + ".pcap");
}

/// Everything a seed decides.
Scenario random_scenario(uint64_t seed) {
    Rng rng(seed ^ 0x5eed);
    Scenario s = plain();
    if (rng.chance(0.3)) {
        for (int i = 0; i < 2; i++) {
            s.host[i].address = *IpAddress::parse(i ? "2001:db8::2" : "2001:db8::1");
        }
    }
    for (auto& wire : s.wire) {
        const double badness = rng.chance(0.2) ? 0 : rng.unit();
        wire.loss = 0.1 * badness * rng.unit();
        wire.duplicate = 0.05 * badness * rng.unit();
        wire.corrupt = 0.03 * badness * rng.unit();
        wire.reorder = 0.2 * badness * rng.unit();
        wire.delay = Duration{static_cast<int64_t>(rng.below(uint64_t{1} << rng.between(4, 17)))};
        wire.jitter = Duration{static_cast<int64_t>(rng.below(wire.delay.us + 2000))};
        if (rng.chance(0.5)) wire.bytes_per_s = uint64_t{20'000} << rng.below(12);
    }
    for (auto& host : s.host) {
        host.mtu = rng.chance(0.7) ? 1500 : static_cast<uint16_t>(rng.between(1280, 2000));
        host.tx_checksum = rng.chance(0.5);
        host.multi_segment = rng.chance(0.5);
        host.tso = rng.chance(0.5);
        host.chained_receive = rng.chance(0.2);
        host.memory_fault = rng.chance(0.2) ? 0.02 * rng.unit() : 0;
        host.tcp.sack = rng.chance(0.8);
        host.tcp.timestamps = rng.chance(0.8);
        host.tcp.window_scale = rng.chance(0.8);
        host.tcp.syn_backlog = rng.chance(0.8) ? 1024 : static_cast<uint32_t>(rng.below(4));
        if (rng.chance(0.3)) host.tcp.congestion = tcp::StackConfig::Congestion::kNewReno;
        host.tcp.time_wait = seconds(static_cast<int64_t>(rng.between(1, 60)));
    }
    for (auto& options : s.options) {
        options.receive_buffer_bytes = static_cast<uint32_t>(rng.between(1, uint64_t{1} << rng.between(9, 20)));
        options.send_buffer_bytes = static_cast<uint32_t>(rng.between(1, uint64_t{1} << rng.between(9, 20)));
        options.no_delay = rng.chance(0.7);
    }
    s.connections = static_cast<uint32_t>(rng.between(1, rng.chance(0.1) ? 100 : 6));
    const uint64_t scale = s.connections > 10 ? 4'000 : 60'000;
    for (int i = 0; i < 2; i++) {
        const uint64_t window = s.options[1 - i].receive_buffer_bytes;
        // Keep the number of segments in bounds: a window of a few bytes moves few bytes.
        s.bytes_max[i] = std::min<uint64_t>(scale, window * 200 + 100);
    }
    s.write_max = static_cast<uint32_t>(uint64_t{1} << rng.between(6, 15));
    s.read_max = static_cast<uint32_t>(uint64_t{1} << rng.between(8, 20));
    if (rng.chance(0.3)) s.read_pause_max = Duration{static_cast<int64_t>(rng.below(uint64_t{1} << rng.between(8, 19)))};
    return s;
}

TEST(Sim, OneConnectionWithoutLoss) { expect_well(plain(), 1, "OneConnectionWithoutLoss"); }

TEST(Sim, ManySeeds) {
    const char* one = std::getenv("SLUICE_SEED");
    const char* count = std::getenv("SLUICE_SEEDS");
    const uint64_t first = one ? std::strtoull(one, nullptr, 0) : 1;
    const uint64_t seeds = one ? 1 : count ? std::strtoull(count, nullptr, 0) : 200;
    std::printf("SEED=%llu, %llu seeds; repeat one with: SLUICE_SEED=N build/tests/sim/sim_test --gtest_filter=*ManySeeds\n",
                static_cast<unsigned long long>(first), static_cast<unsigned long long>(seeds));
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        expect_well(random_scenario(seed), seed, "ManySeeds");
        if (testing::Test::HasFailure()) return;
    }
}

}  // namespace
}  // namespace sluice::sim
