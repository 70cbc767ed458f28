// A machine made of files: a good one for a gateway with two AF_XDP ports, which each test spoils in one place.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "ctrl/doctor/doctor.h"

namespace sluice::doctor::test {

class Tree : public Machine {
 public:
    explicit Tree(std::string root) : Machine(root), root_(std::move(root)) {}

    void file(const std::string& path, const std::string& text) const {
        const std::filesystem::path full = root_ + path;
        std::filesystem::create_directories(full.parent_path());
        std::ofstream(full) << text << "\n";
    }
    void link_to(const std::string& path, const std::string& target) const {
        std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
        std::filesystem::remove(root_ + path);
        std::filesystem::create_symlink(target, root_ + path);
    }
    void remove(const std::string& path) const { std::filesystem::remove_all(root_ + path); }

    std::vector<IpPrefix> ipv4_addresses(const std::string& interface) const override {
        std::vector<IpPrefix> out;
        for (const auto& [name, prefix] : addresses)
            if (name == interface) out.push_back(*IpPrefix::parse(prefix));
        return out;
    }
    std::string driver(const std::string& interface) const override { return drivers.contains(interface) ? drivers.at(interface) : "veth"; }
    std::vector<std::string> offloads_on(const std::string& interface) const override {
        return offloads.contains(interface) ? offloads.at(interface) : std::vector<std::string>{};
    }
    std::optional<uint64_t> free_bytes(const std::string&) const override { return free; }
    bool clock_synchronized() const override { return synchronized; }

    std::multimap<std::string, std::string> addresses;
    std::map<std::string, std::string> drivers;
    std::map<std::string, std::vector<std::string>> offloads;
    uint64_t free = uint64_t{8} << 30;
    bool synchronized = true;

 private:
    std::string root_;
};

inline constexpr const char* kRouteHead = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n";
inline constexpr const char* kTcpHead = "  sl  local_address rem_address   st tx_queue rx_queue\n";

class Doctor : public testing::Test {
 protected:
    std::string folder;
    std::unique_ptr<Tree> tree;
    host::GatewayHost host;
    std::optional<unsigned> pid;

    void SetUp() override {
        char name[] = "/tmp/sluice-doctor-XXXXXX";
        folder = mkdtemp(name);
        tree = std::make_unique<Tree>(folder);
        host.workers.cores = {2, 3};
        host.workers.count = 2;
        host.memory.limit_bytes = uint64_t{1} << 30;
        host.ports.resize(2);
        host.ports[0].name = "outside", host.ports[0].device = "af_xdp:eth1", host.ports[0].addresses = {*IpPrefix::parse("192.0.2.10/24")};
        host.ports[1].name = "inside", host.ports[1].device = "af_xdp:eth2", host.ports[1].addresses = {*IpPrefix::parse("10.0.0.10/16")};
        host.process.user = "sluice";
        good_machine();
    }
    void TearDown() override { std::filesystem::remove_all(folder); }

    void good_machine() const {
        tree->file("/proc/cpuinfo", "processor : 0\nflags : fpu avx2 bmi2 fma aes pclmulqdq vaes vpclmulqdq constant_tsc nonstop_tsc");
        tree->file("/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc");
        tree->file("/sys/devices/system/clocksource/clocksource0/available_clocksource", "tsc hpet");
        tree->file("/sys/devices/system/cpu/online", "0-3");
        tree->file("/sys/devices/system/cpu/isolated", "2-3");
        for (int cpu = 0; cpu < 4; cpu++) {
            const std::string base = "/sys/devices/system/cpu/cpu" + std::to_string(cpu);
            tree->file(base + "/topology/thread_siblings_list", std::to_string(cpu));
            tree->file(base + "/cpufreq/scaling_governor", "performance");
            tree->file(base + "/node0/x", "");
        }
        tree->file("/proc/irq/24/smp_affinity_list", "0");
        tree->file("/proc/meminfo", "HugePages_Total:    1024\nHugePages_Free:     1024\nHugepagesize:       2048 kB");
        tree->file("/proc/mounts", "none /dev/hugepages hugetlbfs rw 0 0");
        tree->file("/sys/devices/system/node/online", "0");
        tree->file("/proc/self/limits", "Max locked memory         unlimited            unlimited            bytes\nMax open files            65536   65536   files");
        tree->file("/proc/net/route", std::string(kRouteHead) + "eth0\t00000000\t010A0A0A\t0003\t0\t0\t0\t00000000\t0\t0\t0\neth0\t000A0A0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0");
        tree->file("/proc/net/tcp", kTcpHead);
        tree->file("/proc/net/protocols", "protocol  size sockets\nXDP       1088      0");
        tree->file("/sys/kernel/btf/vmlinux", "");
        tree->file("/proc/sys/net/core/bpf_jit_enable", "1");
        for (const char* name : {"eth0", "eth1", "eth2", "peer1"}) {
            const std::string base = std::string("/sys/class/net/") + name;
            tree->file(base + "/operstate", "up");
            tree->file(base + "/mtu", "1500");
            tree->file(base + "/queues/rx-0/x", "");
            tree->file(base + "/queues/rx-1/x", "");
        }
        tree->drivers = {{"eth0", "e1000e"}, {"eth1", "ixgbe"}, {"eth2", "ixgbe"}};
        tree->file("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nsluice:x:990:990::/var/lib/sluice:/usr/sbin/nologin");
        tree->file("/etc/sluice/mesh/edge.yaml", "");
        tree->file("/dev/net/tun", "");
    }

    Findings examined() const { return examine({*tree, host, pid}); }
    /// The first finding that is not ok, as "warn subject message: cure"; "" if all is well.
    std::string worst() const {
        for (const Level level : {Level::kFail, Level::kWarn})
            for (const Finding& f : examined())
                if (f.level == level) return (level == Level::kFail ? "FAIL " : "warn ") + f.subject + " " + f.message + ": " + f.cure;
        return "";
    }
};

}  // namespace sluice::doctor::test
