// Facts of this machine, and one comparison for each.
// In: sysfs and procfs. Out: findings SLC0011, SLC0012.
// Owns nothing.
// A CPU list is written "0-3,8" (cpuset(7), List format).
#include "ctrl/analyze/machine.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "ctrl/host/ephemeral.h"
#include "ctrl/host/finding.h"

namespace sluice::analyze {
namespace {

std::set<uint32_t> online_cpus() {
    std::set<uint32_t> out;
    std::ifstream in("/sys/devices/system/cpu/online");
    for (std::string range; std::getline(in, range, ',');) {
        std::istringstream text(range);
        uint32_t first = 0, last = 0;
        char dash = 0;
        if (!(text >> first)) continue;
        if (!(text >> dash >> last)) last = first;
        for (uint32_t cpu = first; cpu <= last && cpu < 4096; ++cpu) out.insert(cpu);
    }
    return out;
}

// "limits.ephemeralPorts: what is wrong" -> "what is wrong"; a finding names the field by itself.
std::string without_field(const std::string& error) { return error.substr(error.find(": ") + 2); }

bool exists(const std::string& path) {
    std::error_code ignored;
    return std::filesystem::exists(path, ignored);
}

}  // namespace

Machine this_machine() {
    return {.has_interface = [](const std::string& name) { return exists("/sys/class/net/" + name); },
            .has_pci = [](const std::string& address) { return exists("/sys/bus/pci/devices/" + address); },
            .cpus = online_cpus(),
            .kernel_ports = host::kernel_ephemeral_ports()};
}

void check_machine(const host::GatewayHost& host, const yaml::File& file, const Machine& machine, std::vector<Diagnostic>& out) {
    const auto tell = [&](const std::string& field, std::string message, std::string cure) {
        out.push_back(host::finding(file, "SLC0012", field, std::move(message), std::move(cure)));
    };
    for (size_t i = 0; i < host.ports.size(); ++i) {
        const std::string& device = host.ports[i].device;
        const std::string value = device.substr(device.find(':') + 1);
        const std::string field = fmt::format("ports[{}].device", i);
        if ((device.starts_with("af_xdp:") || device.starts_with("af_packet:")) && !machine.has_interface(value))
            tell(field, fmt::format("this machine has no interface {}", value), "`ip link` lists what there is, in this network namespace");
        if (device.starts_with("pci:") && !machine.has_pci(value))
            tell(field, fmt::format("this machine has no PCI device {}", value), "`lspci -D` lists what there is");
    }
    const auto check_cpus = [&](const char* field, const std::vector<uint32_t>& cpus) {
        for (size_t i = 0; i < cpus.size(); ++i)
            if (!machine.cpus.empty() && !machine.cpus.contains(cpus[i]))
                tell(fmt::format("{}[{}]", field, i), fmt::format("this machine has no CPU {}", cpus[i]),
                     fmt::format("it has {} to {}", *machine.cpus.begin(), *machine.cpus.rbegin()));
    };
    check_cpus("workers.cores", host.workers.cores);
    check_cpus("tls.handshakeCores", host.tls.handshake_cores);
    // The kernel's range is this machine's, which need not be the gateway's: told, not refused.
    if (const auto ephemeral = host::ephemeral_ports(host, machine.kernel_ports); !ephemeral)
        out.push_back(host::finding(file, "SLC0011", "limits.ephemeralPorts", without_field(ephemeral.error())));
}

}  // namespace sluice::analyze
