// What the gateway's file names, against what this machine has: interfaces, PCI devices, CPUs, the kernel's source ports.
// In: a GatewayHost, the file it was read from, facts. Out: findings, none of them an error: the file may be for another machine.
// Borrows everything.
// /sys/class/net, /sys/bus/pci/devices, /sys/devices/system/cpu (sysfs(5)); net.ipv4.ip_local_port_range.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ctrl/host/gateway_host.h"
#include "ctrl/model/yaml.h"

namespace sluice::analyze {

struct Machine {
    std::function<bool(const std::string& name)> has_interface;
    std::function<bool(const std::string& address)> has_pci;
    std::set<uint32_t> cpus;
    std::optional<host::PortRange> kernel_ports;
};
Machine this_machine();

void check_machine(const host::GatewayHost& host, const yaml::File& file, const Machine& machine, std::vector<Diagnostic>& out);

}  // namespace sluice::analyze
