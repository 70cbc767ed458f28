// Reads /proc/net/route, ipv6_route, tcp and tcp6: an SSH session belongs to the interface that leads to its peer.
#include "ctrl/doctor/nic_use.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

namespace sluice::doctor {

namespace {

constexpr uint32_t kRouteUp = 0x1, kRouteReject = 0x200;   // linux/route.h
constexpr uint16_t kSshPort = 22;

struct Route {
    IpPrefix to;
    std::string interface;
    uint64_t metric = 0;
};

uint64_t hex(std::string_view text) {
    uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value, 16);
    return value;
}

/// The kernel prints an address as host-order words, each in hexadecimal: 0100007F is 127.0.0.1 on a little-endian machine.
IpAddress address_of(std::string_view text) {
    if (text.size() == 8) return IpAddress::v4(__builtin_bswap32(static_cast<uint32_t>(hex(text))));
    IpAddress a;
    for (size_t word = 0; word < 4 && text.size() == 32; word++) {
        const auto value = static_cast<uint32_t>(hex(text.substr(word * 8, 8)));
        for (size_t byte = 0; byte < 4; byte++) a.bytes[word * 4 + byte] = static_cast<uint8_t>(value >> (8 * byte));
    }
    return a;
}

/// As ipv6_route and if_inet6 print them: 32 digits in the order of the wire.
IpAddress plain_v6(std::string_view text) {
    IpAddress a;
    for (size_t byte = 0; byte < 16 && text.size() == 32; byte++) a.bytes[byte] = static_cast<uint8_t>(hex(text.substr(byte * 2, 2)));
    return a;
}

std::vector<Route> routes(const Machine& machine) {
    std::vector<Route> out;
    for (const auto& line : machine.lines("/proc/net/route")) {
        const auto w = words(line);   // Iface Destination Gateway Flags RefCnt Use Metric Mask
        if (w.size() < 8 || w[0] == "Iface") continue;
        const uint64_t flags = hex(w[3]);
        if (!(flags & kRouteUp) || (flags & kRouteReject)) continue;
        out.push_back({{address_of(w[1]), static_cast<uint8_t>(__builtin_popcountll(hex(w[7])))}, w[0], strtoull(w[6].c_str(), nullptr, 10)});
    }
    for (const auto& line : machine.lines("/proc/net/ipv6_route")) {
        const auto w = words(line);   // destination length source length next-hop metric references use flags interface
        if (w.size() < 10 || w[9] == "lo") continue;
        const uint64_t flags = hex(w[8]);
        if (!(flags & kRouteUp) || (flags & kRouteReject)) continue;
        out.push_back({{plain_v6(w[0]), static_cast<uint8_t>(hex(w[1]))}, w[9], hex(w[5])});
    }
    return out;
}

/// The longest match, the lowest metric among equals.
std::string interface_towards(const std::vector<Route>& all, const IpAddress& peer) {
    const Route* best = nullptr;
    for (const Route& r : all)
        if (r.to.address.is_v4() == peer.is_v4() && r.to.contains(peer) &&
            (!best || r.to.length > best->to.length || (r.to.length == best->to.length && r.metric < best->metric)))
            best = &r;
    return best ? best->interface : "";
}

/// 22, what sshd's own files say, and the port of the session that this runs in.
std::set<uint16_t> ssh_ports(const Machine& machine) {
    std::set<uint16_t> out{kSshPort};
    const auto add = [&](const std::string& number) {
        if (const auto port = strtoul(number.c_str(), nullptr, 10); port > 0 && port < 65536) out.insert(static_cast<uint16_t>(port));
    };
    std::vector<std::string> files{"/etc/ssh/sshd_config"};
    for (const auto& name : machine.list("/etc/ssh/sshd_config.d")) files.push_back("/etc/ssh/sshd_config.d/" + name);
    for (const auto& file : files)
        for (const auto& line : machine.lines(file))
            if (const auto w = words(line); w.size() >= 2 && w[0] == "Port") add(w[1]);
    if (const char* session = getenv("SSH_CONNECTION"))   // client port server port
        if (const auto w = words(session); w.size() == 4) add(w[3]);
    return out;
}

struct Session {
    IpAddress peer;
    uint16_t port = 0;
};

std::vector<Session> ssh_sessions(const Machine& machine) {
    constexpr std::string_view kEstablished = "01";
    const auto ports = ssh_ports(machine);
    std::vector<Session> out;
    for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"})
        for (const auto& line : machine.lines(table)) {
            const auto w = words(line);   // sl local remote state
            if (w.size() < 4 || w[3] != kEstablished) continue;
            const size_t l = w[1].find(':'), r = w[2].find(':');
            if (l == std::string::npos || r == std::string::npos) continue;
            if (!ports.contains(static_cast<uint16_t>(hex(w[1].substr(l + 1))))) continue;
            out.push_back({address_of(w[2].substr(0, r)), static_cast<uint16_t>(hex(w[2].substr(r + 1)))});
        }
    return out;
}

/// The interface and all that lies on it.
std::set<std::string> with_uppers(const Machine& machine, const std::string& interface) {
    std::set<std::string> out{interface};
    std::vector<std::string> open{interface};
    while (!open.empty()) {
        const std::string at = std::move(open.back());
        open.pop_back();
        for (const auto& name : machine.list("/sys/class/net/" + at))
            if (name.starts_with("upper_") && out.insert(name.substr(6)).second) open.push_back(name.substr(6));
    }
    return out;
}

}  // namespace

NicUse nic_use(const Machine& machine, const std::string& interface) {
    NicUse use;
    const auto mine = with_uppers(machine, interface);
    const auto all = routes(machine);
    use.default_route = std::any_of(all.begin(), all.end(), [&](const Route& r) { return r.to.length == 0 && mine.contains(r.interface); });
    for (const Session& s : ssh_sessions(machine))
        if (mine.contains(interface_towards(all, s.peer))) use.ssh_peers.push_back(SocketAddress{s.peer, s.port}.to_string());
    return use;
}

std::vector<std::string> kernel_interfaces(const Machine& machine, const host::Port& port) {
    if (const std::string interface = host::interface_of(port); !interface.empty()) return {interface};
    if (port.device.starts_with("pci:")) return machine.list("/sys/bus/pci/devices/" + port.device.substr(4) + "/net");
    return {};
}

std::string describe_use(const std::string& interface, const NicUse& use) {
    if (!use.any()) return "";
    std::string what = use.default_route ? "the default route" : "";
    if (!use.ssh_peers.empty())
        what += fmt::format("{}{} (from {})", use.default_route ? " and " : "", use.ssh_peers.size() == 1 ? "an SSH session" : "SSH sessions",
                            fmt::join(use.ssh_peers, ", "));
    return fmt::format("{} carries {}", interface, what);
}

std::string takeover_refusal(const Machine& machine, const host::Port& port) {
    if (port.takeover || !port.exception.empty() || port.device.starts_with("af_packet:")) return "";
    for (const auto& interface : kernel_interfaces(machine, port))
        if (const auto use = nic_use(machine, interface); use.any()) return describe_use(interface, use);
    return "";
}

}  // namespace sluice::doctor
