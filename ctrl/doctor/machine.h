// What the kernel says about this machine, as files below a root: "" is the real one, tests give trees of their own.
// In: paths as they are on a real machine. Out: their text, numbers, lists; nothing where a file is absent, never an error.
// Four questions have no file and are virtual: ioctls of an interface, free space, the clock. Nothing here changes anything.
// proc(5), sysfs(5); Documentation/ABI/testing/sysfs-class-net.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip_address.h"

namespace sluice::doctor {

class Machine {
 public:
    explicit Machine(std::string root = "") : root_(std::move(root)) {}
    virtual ~Machine() = default;

    bool exists(const std::string& path) const;
    /// Without white space at its ends.
    std::optional<std::string> text(const std::string& path) const;
    std::vector<std::string> lines(const std::string& path) const;
    std::optional<uint64_t> number(const std::string& path) const;
    /// Names in a directory, sorted.
    std::vector<std::string> list(const std::string& path) const;
    /// What a symbolic link names, whole; "" if it is none.
    std::string link(const std::string& path) const;
    /// "2-3,7" as in cpuset files.
    std::set<unsigned> cpus(const std::string& path) const;

    virtual std::vector<IpPrefix> ipv4_addresses(const std::string& interface) const;
    /// The driver's name as ethtool -i says it; "" if it has none.
    virtual std::string driver(const std::string& interface) const;
    /// Offloads that a sender on veth must not use and that are on, as ethtool -K names them: tx, tso, gso, gro.
    virtual std::vector<std::string> offloads_on(const std::string& interface) const;
    virtual std::optional<uint64_t> free_bytes(const std::string& directory) const;
    virtual bool clock_synchronized() const;

 private:
    std::string root_;
};

/// The last part of a path.
std::string leaf(std::string_view path);
std::set<unsigned> parse_cpu_list(std::string_view text);
/// {2, 3, 7} as "2-3,7".
std::string cpu_list(const std::set<unsigned>& cpus);
std::vector<std::string> words(std::string_view text);

}  // namespace sluice::doctor
