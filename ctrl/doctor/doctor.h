// Looks a machine over before a gateway is started on it, or while one runs: what would keep it from starting, what would make it
// slow, what would cut the operator off. In: the machine's files, the gateway's own file, the running gateway's status if there is
// one. Out: findings, each one line with the command that cures it. Reads only; docs/operating.md lists the checks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ctrl/doctor/machine.h"
#include "ctrl/host/gateway_host.h"

namespace sluice::doctor {

enum class Level : uint8_t { kOk, kWarn, kFail };

struct Finding {
    Level level = Level::kOk;
    std::string subject;   // hugepages, or a port's name
    std::string message;   // one line
    std::string cure;      // a command or what to write; empty where nothing is wrong
};
using Findings = std::vector<Finding>;

/// What a gateway on this machine and file is about.
struct Patient {
    const Machine& machine;
    const host::GatewayHost& host;
    std::optional<unsigned> pid;   // of a sluiced that runs here
};

/// CPUs of the workers as the gateway would choose them.
std::vector<unsigned> worker_cpus(const Patient& p);
/// Of all processes named sluiced, the first; its limits and its huge pages are what counts then.
std::optional<unsigned> running_gateway(const Machine& machine);

// One group each, in files of their own: cpu.cc, memory.cc, ports.cc, system.cc.
void check_cpu(const Patient& p, Findings& out);      // features, clock source, cores, isolation, interrupts, governor
void check_memory(const Patient& p, Findings& out);   // huge pages, NUMA, limits
void check_ports(const Patient& p, Findings& out);    // ownership, drivers, IOMMU, queues, addresses, offloads
void check_system(const Patient& p, Findings& out);   // AF_XDP in the kernel, clock, disk, files, user

/// All groups.
Findings examine(const Patient& p);

}  // namespace sluice::doctor
