// Who else needs a network interface: this machine's default route, an SSH session. Taking such a NIC away from the kernel ends
// the operator's way in, so sluiced refuses to start on one and `sluicectl doctor` says it beforehand.
// In: the machine's routing and TCP tables, a port of the operator's file. Out: what is lost, and the cure. Plain values.
#pragma once

#include <string>
#include <vector>

#include "ctrl/doctor/machine.h"
#include "ctrl/host/gateway_host.h"

namespace sluice::doctor {

struct NicUse {
    bool default_route = false;
    std::vector<std::string> ssh_peers;   // 203.0.113.7:50122
    bool any() const { return default_route || !ssh_peers.empty(); }
};

/// Of the interface and of what lies on it: VLANs, bridges, bonds.
NicUse nic_use(const Machine& machine, const std::string& interface);

/// The kernel's interfaces that a port takes its frames from; none for a device that has no kernel driver.
std::vector<std::string> kernel_interfaces(const Machine& machine, const host::Port& port);

/// "eth0 carries the default route and an SSH session (from 203.0.113.7:50122)"; empty if nobody needs it.
std::string describe_use(const std::string& interface, const NicUse& use);

/// Why the gateway must not take this port's device; empty: it may. AF_PACKET leaves the kernel its frames, an exception hands
/// them on, and `takeover: true` is the operator's own word.
std::string takeover_refusal(const Machine& machine, const host::Port& port);

}  // namespace sluice::doctor
