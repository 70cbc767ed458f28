// Choosing the range (see ephemeral.h). ip(7) names the kernel's: net.ipv4.ip_local_port_range, for IPv6 too.
#include "ctrl/host/ephemeral.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>

namespace sluice::host {

namespace {

constexpr PortRange kDefault{32768, 60999};
constexpr PortRange kBesideKernel{10000, 65535};   // below are services' ports

bool overlap(const PortRange& a, const PortRange& b) { return a.first <= b.last && b.first <= a.last; }
bool exception_path(const GatewayHost& host) {
    return std::any_of(host.ports.begin(), host.ports.end(), [](const Port& p) { return !p.exception.empty(); });
}

/// The larger part of kBesideKernel that the kernel leaves.
std::optional<PortRange> largest_beside(const PortRange& kernel) {
    const int below = kernel.first - kBesideKernel.first, above = kBesideKernel.last - kernel.last;
    if (below <= 0 && above <= 0) return std::nullopt;
    if (below >= above) return PortRange{kBesideKernel.first, static_cast<uint16_t>(kernel.first - 1)};
    return PortRange{static_cast<uint16_t>(std::max<int>(kernel.last + 1, kBesideKernel.first)), kBesideKernel.last};
}

}  // namespace

std::optional<PortRange> parse_port_range(std::string_view text) {
    const size_t dash = text.find('-');
    if (dash == text.npos) return std::nullopt;
    PortRange range;
    const auto whole = [](std::string_view digits, uint16_t& port) {
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
        return error == std::errc{} && end == digits.data() + digits.size();
    };
    if (!whole(text.substr(0, dash), range.first) || !whole(text.substr(dash + 1), range.last)) return std::nullopt;
    return range;
}

std::optional<PortRange> kernel_ephemeral_ports() {
    std::ifstream file("/proc/sys/net/ipv4/ip_local_port_range");
    PortRange range;
    if (file >> range.first >> range.last) return range;
    return std::nullopt;
}

Result<PortRange> ephemeral_ports(const GatewayHost& host, std::optional<PortRange> kernel) {
    const auto& written = host.limits.ephemeral_ports;
    if (!kernel || !exception_path(host)) return written.value_or(kDefault);
    const auto free = largest_beside(*kernel);
    if (!written && free) return *free;
    if (written && !overlap(*written, *kernel)) return *written;
    // The kernel's range moved beside what is written, or beside what we would like.
    const PortRange wanted = written.value_or(PortRange{30000, kBesideKernel.last});
    const auto theirs = largest_beside(wanted);
    std::string cure = free ? fmt::format("limits.ephemeralPorts: {}-{}", free->first, free->last) : "";
    if (theirs)
        cure += fmt::format("{}sysctl net.ipv4.ip_local_port_range=\"{} {}\"", cure.empty() ? "" : ", or ", theirs->first, theirs->last);
    const std::string what = written ? fmt::format("{}-{} overlap", written->first, written->last) : "nothing is left beside";
    return unexpected(fmt::format("limits.ephemeralPorts: {} {}-{} of the kernel, which shares a port with the gateway "
                                  "(ports[].exception): {}", what, kernel->first, kernel->last, cure));
}

}  // namespace sluice::host
