// Memory: huge pages of which size and on which node, how far it lies from cores and NICs, how much may be locked.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "ctrl/doctor/doctor.h"
#include "ctrl/doctor/nic_use.h"

namespace sluice::doctor {

namespace {

constexpr uint64_t kMiB = 1 << 20;

/// "HugePages_Free:  12" and "Hugepagesize: 2048 kB".
uint64_t field(const Machine& m, const std::string& file, std::string_view name) {
    for (const auto& line : m.lines(file))
        if (line.starts_with(name)) {
            const auto w = words(std::string_view(line).substr(name.size()));
            return w.empty() ? 0 : strtoull(w[0].c_str(), nullptr, 10);
        }
    return 0;
}

/// Frames take half of memory.limit; a little for EAL itself.
uint64_t wanted_bytes(const host::GatewayHost& host) { return host.memory.limit_bytes / 2 + host.memory.limit_bytes / 16 + 64 * kMiB; }

std::string size_name(uint64_t kib) { return kib >= (1 << 20) ? fmt::format("{}G", kib >> 20) : fmt::format("{}M", kib >> 10); }

void check_hugepages(const Patient& p, Findings& out) {
    if (p.host.memory.hugepages == host::Memory::Hugepages::kNever) {
        out.push_back({Level::kOk, "hugepages", "not used (memory.hugepages: never)", ""});
        return;
    }
    const uint64_t size_kib = field(p.machine, "/proc/meminfo", "Hugepagesize:"), free = field(p.machine, "/proc/meminfo", "HugePages_Free:");
    const uint64_t total = field(p.machine, "/proc/meminfo", "HugePages_Total:");
    if (size_kib == 0) {
        out.push_back({Level::kWarn, "hugepages", "this kernel has none: each frame is likely to miss the TLB", "boot a kernel with CONFIG_HUGETLBFS"});
        return;
    }
    uint64_t held_kib = 0;   // by the gateway that runs
    if (p.pid) held_kib = field(p.machine, fmt::format("/proc/{}/status", *p.pid), "HugetlbPages:");
    const uint64_t wanted = (wanted_bytes(p.host) / 1024 + size_kib - 1) / size_kib, have = free + held_kib / size_kib;
    const std::string cure = fmt::format("sysctl vm.nr_hugepages={}", total + (wanted > have ? wanted - have : 0));
    if (have < wanted) {
        const bool required = p.host.memory.hugepages == host::Memory::Hugepages::kRequire;
        out.push_back({required ? Level::kFail : Level::kWarn, "hugepages",
                       fmt::format("{} free, {} of {} wanted{}", have, wanted, size_name(size_kib), required ? " (memory.hugepages: require)" : ""), cure});
    } else {
        out.push_back({Level::kOk, "hugepages", fmt::format("{} {} of {}, {} wanted", have, held_kib ? "free or in use here" : "free", size_name(size_kib), wanted), ""});
    }
    for (const auto& name : p.machine.list("/sys/kernel/mm/hugepages")) {   // hugepages-1048576kB
        const uint64_t kib = strtoull(name.c_str() + std::string_view("hugepages-").size(), nullptr, 10);
        const uint64_t others = p.machine.number("/sys/kernel/mm/hugepages/" + name + "/free_hugepages").value_or(0);
        if (kib != size_kib && others > 0 && have < wanted)
            out.push_back({Level::kWarn, "hugepages", fmt::format("{} free pages of {} do not count: the default size is {}", others, size_name(kib), size_name(size_kib)),
                           fmt::format("boot with default_hugepagesz={}", size_name(kib))});
    }
    const auto mounts = p.machine.lines("/proc/mounts");
    const auto mount = std::find_if(mounts.begin(), mounts.end(), [](const auto& line) { return words(line).size() > 2 && words(line)[2] == "hugetlbfs"; });
    out.push_back({Level::kOk, "hugepages", mount == mounts.end() ? "no hugetlbfs mount, and none is needed: pages are anonymous"
                                                                  : fmt::format("hugetlbfs at {} (not needed: pages are anonymous)", words(*mount)[1]), ""});
}

int node_of_cpu(const Machine& m, unsigned cpu) {
    for (const auto& name : m.list(fmt::format("/sys/devices/system/cpu/cpu{}", cpu)))
        if (name.starts_with("node") && name.size() > 4 && name.find_first_not_of("0123456789", 4) == name.npos) return std::stoi(name.substr(4));
    return -1;
}

/// -1: it has none, or the machine has one only.
int node_of_port(const Machine& m, const host::Port& port) {
    std::string path;
    if (port.device.starts_with("pci:")) path = "/sys/bus/pci/devices/" + port.device.substr(4) + "/numa_node";
    else if (const auto interface = host::interface_of(port); !interface.empty()) path = "/sys/class/net/" + interface + "/device/numa_node";
    return path.empty() ? -1 : static_cast<int>(static_cast<int64_t>(m.number(path).value_or(~uint64_t{0})));
}

void check_numa(const Patient& p, Findings& out) {
    std::set<int> cores;
    for (const unsigned cpu : worker_cpus(p)) cores.insert(node_of_cpu(p.machine, cpu));
    const auto nodes = p.machine.cpus("/sys/devices/system/node/online");
    if (nodes.size() < 2) {
        out.push_back({Level::kOk, "numa", "one node", ""});
        return;
    }
    bool near = true;
    for (const auto& port : p.host.ports) {
        const int node = node_of_port(p.machine, port);
        if (node < 0 || (cores.size() == 1 && cores.contains(node))) continue;
        near = false;
        const auto cpus = p.machine.text(fmt::format("/sys/devices/system/node/node{}/cpulist", node)).value_or("");
        out.push_back({Level::kWarn, port.name, fmt::format("its NIC is on NUMA node {}, the workers on node {}: each frame crosses between them", node,
                                                            fmt::join(cores, ",")), fmt::format("workers.cores: choose of {}", cpus)});
    }
    for (const int node : cores) {
        const std::string pool = fmt::format("/sys/devices/system/node/node{}/hugepages/hugepages-{}kB/", node, field(p.machine, "/proc/meminfo", "Hugepagesize:"));
        const bool elsewhere = field(p.machine, "/proc/meminfo", "HugePages_Free:") > 0;
        if (p.host.memory.hugepages == host::Memory::Hugepages::kNever || !elsewhere || p.machine.number(pool + "free_hugepages").value_or(1) != 0) continue;
        near = false;
        out.push_back({Level::kWarn, "numa", fmt::format("node {} has the workers and no free huge page; other nodes have", node),
                       fmt::format("echo {} > {}nr_hugepages", wanted_bytes(p.host) / (2 * kMiB), pool)});
    }
    if (near) out.push_back({Level::kOk, "numa", fmt::format("workers and NICs on node {}", fmt::join(cores, ",")), ""});
}

void check_limits(const Patient& p, Findings& out) {
    const std::string file = p.pid ? fmt::format("/proc/{}/limits", *p.pid) : "/proc/self/limits";
    const std::string whose = p.pid ? "the gateway's" : "this shell's";
    const auto soft = [&](std::string_view name) -> uint64_t {
        for (const auto& line : p.machine.lines(file))
            if (line.starts_with(name)) {
                const auto w = words(std::string_view(line).substr(name.size()));
                return w.empty() || w[0] == "unlimited" ? UINT64_MAX : strtoull(w[0].c_str(), nullptr, 10);
            }
        return UINT64_MAX;
    };
    // A NIC under vfio pins what it may write to; AF_XDP's frames are charged to the cgroup on kernels since 5.11.
    const bool vfio = std::any_of(p.host.ports.begin(), p.host.ports.end(), [](const auto& port) { return port.device.starts_with("pci:"); });
    const uint64_t memlock = soft("Max locked memory"), files = soft("Max open files");
    const size_t before = out.size();
    if (vfio && memlock < p.host.memory.limit_bytes)
        out.push_back({Level::kWarn, "memlock", fmt::format("{} limit is {} MiB, a NIC under vfio pins up to {} MiB", whose, memlock / kMiB, p.host.memory.limit_bytes / kMiB),
                       "LimitMEMLOCK=infinity in the unit, or `ulimit -l unlimited`"});
    if (constexpr uint64_t kFilesMin = 1024; files < kFilesMin)
        out.push_back({Level::kWarn, "nofile", fmt::format("{} limit is {} open files, {} are wanted", whose, files, kFilesMin), "LimitNOFILE=65536 in the unit, or `ulimit -n 65536`"});
    if (out.size() == before) out.push_back({Level::kOk, "limits", fmt::format("{} memlock and nofile suffice", whose), ""});
}

}  // namespace

void check_memory(const Patient& p, Findings& out) {
    check_hugepages(p, out);
    check_numa(p, out);
    check_limits(p, out);
}

}  // namespace sluice::doctor
