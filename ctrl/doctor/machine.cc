// Files of /proc and /sys, and the four questions that have none (see machine.h).
#include "ctrl/doctor/machine.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace sluice::doctor {

namespace {

std::string trimmed(std::string text) {
    const char* kSpace = " \t\r\n";
    const size_t from = text.find_first_not_of(kSpace);
    return from == text.npos ? "" : text.substr(from, text.find_last_not_of(kSpace) - from + 1);
}

/// An ethtool command with one value, as old as ethtool itself. Nothing if the device does not know it.
std::optional<uint32_t> value_of(const std::string& interface, uint32_t command) {
    struct ethtool_value value{};
    value.cmd = command;
    ifreq request{};
    std::memcpy(request.ifr_name, interface.data(), std::min(interface.size(), sizeof request.ifr_name - 1));
    request.ifr_data = reinterpret_cast<char*>(&value);
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const bool known = fd >= 0 && ioctl(fd, SIOCETHTOOL, &request) == 0;
    if (fd >= 0) close(fd);
    return known ? std::optional(value.data) : std::nullopt;
}

}  // namespace

bool Machine::exists(const std::string& path) const {
    std::error_code ignored;
    return std::filesystem::exists(root_ + path, ignored);
}

std::optional<std::string> Machine::text(const std::string& path) const {
    std::ifstream in(root_ + path, std::ios::binary);
    std::ostringstream out;
    if (!in || !(out << in.rdbuf())) return std::nullopt;
    return trimmed(std::move(out).str());
}

std::vector<std::string> Machine::lines(const std::string& path) const {
    std::vector<std::string> out;
    std::ifstream in(root_ + path);
    for (std::string line; std::getline(in, line);) out.push_back(std::move(line));
    return out;
}

std::optional<uint64_t> Machine::number(const std::string& path) const {
    const auto t = text(path);
    uint64_t value = 0;
    if (!t || t->empty()) return std::nullopt;
    const auto [end, error] = std::from_chars(t->data(), t->data() + t->size(), value);
    return error == std::errc{} ? std::optional(value) : std::nullopt;
}

std::vector<std::string> Machine::list(const std::string& path) const {
    std::vector<std::string> out;
    std::error_code ignored;
    for (std::filesystem::directory_iterator it(root_ + path, ignored), end; it != end; it.increment(ignored)) out.push_back(it->path().filename());
    std::sort(out.begin(), out.end());
    return out;
}

std::string Machine::link(const std::string& path) const {
    std::error_code error;
    const auto target = std::filesystem::read_symlink(root_ + path, error);
    return error ? "" : target.string();
}

std::set<unsigned> Machine::cpus(const std::string& path) const { return parse_cpu_list(text(path).value_or("")); }

std::vector<IpPrefix> Machine::ipv4_addresses(const std::string& interface) const {
    std::vector<IpPrefix> out;
    ifaddrs* all = nullptr;
    if (getifaddrs(&all) != 0) return out;
    for (const ifaddrs* a = all; a; a = a->ifa_next) {
        if (!a->ifa_addr || a->ifa_addr->sa_family != AF_INET || interface != a->ifa_name) continue;
        const auto host_order = [](const sockaddr* s) { return ntohl(reinterpret_cast<const sockaddr_in*>(s)->sin_addr.s_addr); };
        const unsigned length = a->ifa_netmask ? static_cast<unsigned>(std::popcount(host_order(a->ifa_netmask))) : 32u;
        out.push_back({IpAddress::v4(host_order(a->ifa_addr)), static_cast<uint8_t>(length)});
    }
    freeifaddrs(all);
    return out;
}

std::string Machine::driver(const std::string& interface) const {
    ethtool_drvinfo info{};
    info.cmd = ETHTOOL_GDRVINFO;
    ifreq request{};
    std::memcpy(request.ifr_name, interface.data(), std::min(interface.size(), sizeof request.ifr_name - 1));
    request.ifr_data = reinterpret_cast<char*>(&info);
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const bool known = fd >= 0 && ioctl(fd, SIOCETHTOOL, &request) == 0;
    if (fd >= 0) close(fd);
    return known ? std::string(info.driver, strnlen(info.driver, sizeof info.driver)) : "";
}

std::vector<std::string> Machine::offloads_on(const std::string& interface) const {
    std::vector<std::string> out;
    const std::pair<const char*, uint32_t> kAsked[] = {{"tx", ETHTOOL_GTXCSUM}, {"tso", ETHTOOL_GTSO}, {"gso", ETHTOOL_GGSO}, {"gro", ETHTOOL_GGRO}};
    for (const auto& [name, command] : kAsked)
        if (value_of(interface, command).value_or(0) != 0) out.push_back(name);
    return out;
}

std::optional<uint64_t> Machine::free_bytes(const std::string& directory) const {
    struct statvfs space {};
    if (statvfs((root_ + directory).c_str(), &space) != 0) return std::nullopt;
    return uint64_t{space.f_bavail} * space.f_frsize;
}

bool Machine::clock_synchronized() const {
    timex clock{};
    return adjtimex(&clock) >= 0 && (clock.status & STA_UNSYNC) == 0;
}

std::string leaf(std::string_view path) { return std::string(path.substr(path.rfind('/') + 1)); }

std::set<unsigned> parse_cpu_list(std::string_view text) {
    std::set<unsigned> out;
    const char *at = text.data(), *end = at + text.size();
    while (at < end) {
        unsigned first = 0, last = 0;
        auto read = std::from_chars(at, end, first);
        if (read.ec != std::errc{}) break;
        last = first, at = read.ptr;
        if (at < end && *at == '-') {
            read = std::from_chars(at + 1, end, last);
            if (read.ec != std::errc{}) break;
            at = read.ptr;
        }
        for (unsigned cpu = first; cpu <= last && cpu < 65536; cpu++) out.insert(cpu);
        if (at < end && *at == ',') at++;
        else break;
    }
    return out;
}

std::string cpu_list(const std::set<unsigned>& cpus) {
    std::string out;
    for (auto it = cpus.begin(); it != cpus.end();) {
        const unsigned first = *it;
        unsigned last = first;
        for (++it; it != cpus.end() && *it == last + 1; ++it) last = *it;
        out += (out.empty() ? "" : ",") + std::to_string(first) + (last > first ? "-" + std::to_string(last) : "");
    }
    return out;
}

std::vector<std::string> words(std::string_view text) {
    std::vector<std::string> out;
    std::istringstream in{std::string(text)};
    for (std::string word; in >> word;) out.push_back(std::move(word));
    return out;
}

}  // namespace sluice::doctor
