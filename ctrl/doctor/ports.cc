// Each port's device: who owns it, whether taking it cuts somebody off, and what of the kernel would get between.
#include <fmt/format.h>

#include <algorithm>

#include "ctrl/doctor/doctor.h"
#include "ctrl/doctor/nic_use.h"

namespace sluice::doctor {

namespace {

struct PortCheck {
    const Patient& p;
    const host::Port& port;
    Findings& out;

    void say(Level level, std::string message, std::string cure = "") const { out.push_back({level, port.name, std::move(message), std::move(cure)}); }
    const Machine& machine() const { return p.machine; }
};

/// True if the device must be left alone.
bool check_takeover(const PortCheck& c) {
    if (const std::string refusal = takeover_refusal(c.machine(), c.port); !refusal.empty()) {
        c.say(Level::kFail, refusal + ": the kernel would lose it", "choose another NIC; or exception: kernel0 and the addresses moved there; or takeover: true");
        return true;
    }
    for (const auto& interface : kernel_interfaces(c.machine(), c.port)) {
        const NicUse use = nic_use(c.machine(), interface);
        if (!use.any() || c.port.device.starts_with("af_packet:")) continue;
        if (!c.port.exception.empty())
            c.say(Level::kWarn, fmt::format("{}: it goes on only by {}", describe_use(interface, use), c.port.exception),
                  fmt::format("move the kernel's addresses and routes from {} to {} (docs/gateway_file.md)", interface, c.port.exception));
        else c.say(Level::kWarn, describe_use(interface, use) + ": takeover: true takes it all the same", "make sure of another way in: a console, a second NIC");
    }
    return false;
}

/// Processes that hold a file open, by name.
std::vector<std::string> holders(const Machine& m, const std::string& file) {
    std::vector<std::string> out;
    for (const auto& pid : m.list("/proc")) {
        if (pid.find_first_not_of("0123456789") != pid.npos) continue;
        for (const auto& fd : m.list("/proc/" + pid + "/fd"))
            if (m.link("/proc/" + pid + "/fd/" + fd) == file) {
                out.push_back(fmt::format("{} (pid {})", m.text("/proc/" + pid + "/comm").value_or("?"), pid));
                break;
            }
    }
    return out;
}

void check_iommu(const PortCheck& c, const std::string& address, const std::string& driver) {
    const std::string group_link = c.machine().link("/sys/bus/pci/devices/" + address + "/iommu_group");
    const bool unsafe = c.machine().text("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode").value_or("N") == "Y";
    if (group_link.empty() || unsafe) {
        if (driver != "vfio-pci") return;
        if (unsafe) c.say(Level::kWarn, "no IOMMU: the card may write to all memory", "boot with intel_iommu=on iommu=pt (amd_iommu=on), then echo N > /sys/module/vfio/parameters/enable_unsafe_noiommu_mode");
        else c.say(Level::kFail, fmt::format("{} is in no IOMMU group", address), "boot with intel_iommu=on iommu=pt (amd_iommu=on)");
        return;
    }
    const std::string group = leaf(group_link);
    std::vector<std::string> others;
    for (const auto& device : c.machine().list("/sys/kernel/iommu_groups/" + group + "/devices")) {
        const std::string theirs = leaf(c.machine().link("/sys/bus/pci/devices/" + device + "/driver"));
        if (device != address && !theirs.empty() && theirs != "vfio-pci" && theirs != "pcieport") others.push_back(fmt::format("{} ({})", device, theirs));
    }
    if (!others.empty())
        c.say(Level::kFail, fmt::format("IOMMU group {} holds {} too: vfio gives whole groups", group, fmt::join(others, ", ")),
              "bind those to vfio-pci as well, or put the card into another slot");
    const auto in_use = holders(c.machine(), "/dev/vfio/" + group);
    if (in_use.empty()) c.say(Level::kOk, fmt::format("{} under vfio-pci, IOMMU group {}", address, group));
    else if (in_use.size() == 1 && in_use[0].starts_with("sluiced")) c.say(Level::kOk, fmt::format("{} is this gateway's", address));
    else c.say(Level::kFail, fmt::format("{} is in use by {}", address, fmt::join(in_use, ", ")), "stop that process");
}

void check_pci(const PortCheck& c) {
    const std::string address = c.port.device.substr(4), path = "/sys/bus/pci/devices/" + address;
    if (!c.machine().exists(path)) {
        c.say(Level::kFail, fmt::format("there is no PCI device {}", address), "lspci -D lists those that are");
        return;
    }
    const std::string driver = leaf(c.machine().link(path + "/driver"));
    const std::string bind = fmt::format("sluice-prepare-host apply --bind {}", address);
    // These drivers keep the device and let DPDK beside them.
    const bool beside = driver == "mlx5_core" || driver == "mlx4_core";
    if (beside) c.say(Level::kOk, fmt::format("{} stays with {}, which lets DPDK beside it", address, driver));
    else if (driver == "vfio-pci") check_iommu(c, address, driver);
    else if (driver == "uio_pci_generic" || driver == "igb_uio") c.say(Level::kWarn, fmt::format("{} under {}: the card may write to all memory", address, driver), bind);
    else if (driver.empty()) c.say(Level::kFail, fmt::format("{} has no driver", address), bind);
    else c.say(Level::kFail, fmt::format("{} is the kernel's, under {}", address, driver), bind);
    if (driver != "vfio-pci" && !beside && !c.machine().exists("/sys/module/vfio_pci"))
        c.say(Level::kWarn, "vfio-pci is not loaded", "modprobe vfio-pci");
}

void check_queues(const PortCheck& c, const std::string& interface) {
    size_t queues = 0;
    for (const auto& name : c.machine().list("/sys/class/net/" + interface + "/queues")) queues += name.starts_with("rx-");
    const size_t workers = worker_cpus(c.p).size();
    if (queues < workers)
        c.say(Level::kFail, fmt::format("{} has {} receive queue{}, {} workers want one each", interface, queues, queues == 1 ? "" : "s", workers),
              fmt::format("ethtool -L {} combined {} (veth: rx {} tx {}), or fewer workers", interface, workers, workers, workers));
    else c.say(Level::kOk, fmt::format("{} queue{} for {} worker{}", queues, queues == 1 ? "" : "s", workers, workers == 1 ? "" : "s"));
}

std::vector<std::string> ipv6_addresses(const Machine& m, const std::string& interface) {
    std::vector<std::string> out;
    for (const auto& line : m.lines("/proc/net/if_inet6")) {
        const auto w = words(line);   // address index length scope flags name
        if (w.size() < 6 || w[5] != interface || w[0].size() != 32) continue;
        IpAddress a;
        for (size_t i = 0; i < 16; i++) a.bytes[i] = static_cast<uint8_t>(strtoul(w[0].substr(2 * i, 2).c_str(), nullptr, 16));
        out.push_back(fmt::format("{}/{}", a.to_string(), strtoul(w[2].c_str(), nullptr, 16)));
    }
    return out;
}

/// AF_XDP: the kernel hears nothing for them. AF_PACKET: it answers beside the gateway.
void check_addresses(const PortCheck& c, const std::string& interface) {
    const bool packet = c.port.device.starts_with("af_packet:");
    std::vector<std::string> left;
    for (const IpPrefix& a : c.machine().ipv4_addresses(interface)) {
        left.push_back(a.to_string());
        const bool both = std::any_of(c.port.addresses.begin(), c.port.addresses.end(), [&](const IpPrefix& mine) { return mine.address == a.address; });
        if (packet && both)
            c.say(Level::kFail, fmt::format("the kernel has {} on {} too, and resets the gateway's connections", a.address.to_string(), interface),
                  fmt::format("ip addr del {} dev {}", a.to_string(), interface));
    }
    const auto v6 = ipv6_addresses(c.machine(), interface);
    if (packet && !v6.empty())
        c.say(Level::kWarn, fmt::format("the kernel speaks IPv6 on {} ({}) and answers beside the gateway", interface, fmt::join(v6, ", ")),
              fmt::format("sysctl net.ipv6.conf.{}.disable_ipv6=1", interface));
    if (packet) return;
    for (const auto& a : v6)
        if (!a.starts_with("fe80:")) left.push_back(a);
    if (left.empty()) return;
    const std::string where = c.port.exception.empty() ? "" : fmt::format(", then ip addr add {} dev {}", left[0], c.port.exception);
    c.say(Level::kWarn, fmt::format("{} stays on {}, where the kernel no longer hears anything", fmt::join(left, ", "), interface),
          fmt::format("ip addr flush dev {}{}", interface, where));
}

/// A kernel's end of a veth pair sends frames without checksums and super-frames to its peer.
void check_veth(const PortCheck& c, const std::string& interface) {
    const auto peer_index = c.machine().number("/sys/class/net/" + interface + "/iflink");
    std::string peer;
    for (const auto& name : c.machine().list("/sys/class/net"))
        if (name != interface && c.machine().number("/sys/class/net/" + name + "/ifindex") == peer_index) peer = name;
    if (peer.empty()) {
        c.say(Level::kOk, fmt::format("{} is veth; its peer lies in another namespace: there, tx, tso, gso and gro must be off", interface));
        return;
    }
    std::string off;
    for (const auto& offload : c.machine().offloads_on(peer)) off += " " + offload + " off";
    if (off.empty()) c.say(Level::kOk, fmt::format("{}'s peer {} sends whole frames", interface, peer));
    else c.say(Level::kFail, fmt::format("{}'s peer {} leaves checksums and segmentation to others: its frames are dropped here", interface, peer),
               fmt::format("ethtool -K {}{}", peer, off));
}

void check_interface(const PortCheck& c, const std::string& interface) {
    const std::string path = "/sys/class/net/" + interface;
    if (!c.machine().exists(path)) {
        c.say(Level::kFail, fmt::format("there is no interface {}", interface), "ip link lists those that are");
        return;
    }
    const std::string state = c.machine().text(path + "/operstate").value_or("unknown");
    if (state == "down" || state == "lowerlayerdown") c.say(Level::kWarn, fmt::format("{} has no link", interface), fmt::format("ip link set {} up, and look at its cable", interface));
    const uint64_t mtu = c.machine().number(path + "/mtu").value_or(1500);
    if (mtu < c.port.mtu) c.say(Level::kFail, fmt::format("mtu {} is more than the {} of {}", c.port.mtu, mtu, interface), fmt::format("ip link set {} mtu {}", interface, c.port.mtu));
    const std::string driver = c.machine().driver(interface);
    if (c.port.device.starts_with("af_xdp:")) {
        constexpr std::string_view kZeroCopy[] = {"i40e", "ice", "ixgbe", "ixgbevf", "igb", "igc", "mlx5_core", "stmmac", "bnxt_en", "ena", "gve", "virtio_net"};
        const bool zero_copy = std::find(std::begin(kZeroCopy), std::end(kZeroCopy), driver) != std::end(kZeroCopy);
        c.say(Level::kOk, fmt::format("{} ({}): AF_XDP {}", interface, driver.empty() ? "no driver name" : driver,
                                      zero_copy ? "without copies where the kernel is new enough" : "in copy mode"));
        check_queues(c, interface);
    }
    check_addresses(c, interface);
    if (driver == "veth") check_veth(c, interface);
}

}  // namespace

void check_ports(const Patient& p, Findings& out) {
    for (const auto& port : p.host.ports) {
        const PortCheck c{p, port, out};
        if (check_takeover(c)) continue;   // nothing else about this device is to be done
        if (port.device.starts_with("pci:")) check_pci(c);
        else if (const auto interface = host::interface_of(port); !interface.empty()) check_interface(c, interface);
        else c.say(Level::kOk, fmt::format("{} is DPDK's own", port.device));
    }
}

}  // namespace sluice::doctor
