// What a caller configured, checked once and turned into the configuration of the two stacks.
// In: th_config as an outside program filled it, and what a simulation adds. Out: Setup, or a static string that names the field and what is wrong.
// Owns nothing of the caller's.
#pragma once

#include "net/stack.h"
#include "tcp/stack.h"
#include "tests/harness/faults.h"
#include "tests/harness/port.h"
#include "tests/harness/sluice_tcp_sim.h"

namespace sluice::harness {

struct Setup {
    net::StackConfig net;
    tcp::StackConfig tcp;
    uint64_t seed = 0;
    Instant start;
    uint32_t mbuf_room = 0, mbufs_max = 0;
    uint32_t buffer_min = 0;
    FaultConfig faults;
    PortOffloads offloads;
    bool receive_chains = false;
};

/// Null if `setup` is filled, else the error.
const char* read_config(const th_config* config, const sluice_tcp_extra* extra, Setup& setup);

/// The stacks' clock runs ahead of the caller's, so that a caller may begin at 0 and no Instant in use is ever 0.
inline constexpr Duration kClockOffset = seconds(1);
inline constexpr uint64_t kTimeMax = uint64_t{1} << 53;  // microseconds; 285 years

}  // namespace sluice::harness
