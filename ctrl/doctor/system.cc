// The system around the gateway: AF_XDP in the kernel, the clock, disks, files it reads, the user it becomes; and the examination.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "ctrl/doctor/doctor.h"

namespace sluice::doctor {

namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kFreeWarn = 512 * kMiB, kFreeFail = 16 * kMiB;

bool uses(const Patient& p, std::string_view kind) {
    return std::any_of(p.host.ports.begin(), p.host.ports.end(), [&](const auto& port) { return port.device.starts_with(kind); });
}

void check_af_xdp(const Patient& p, Findings& out) {
    if (!uses(p, "af_xdp:")) return;
    // A kernel built with CONFIG_XDP_SOCKETS lists the protocol.
    const auto protocols = p.machine.lines("/proc/net/protocols");
    const bool sockets = std::any_of(protocols.begin(), protocols.end(), [](const auto& line) { return line.starts_with("XDP "); });
    if (!sockets) {
        out.push_back({Level::kFail, "af_xdp", "this kernel has no XDP sockets", "boot one with CONFIG_XDP_SOCKETS, or write device: af_packet:..."});
        return;
    }
    if (p.machine.number("/proc/sys/net/core/bpf_jit_enable").value_or(1) == 0)
        out.push_back({Level::kWarn, "af_xdp", "BPF programs are interpreted: each frame costs more", "sysctl net.core.bpf_jit_enable=1"});
    const bool btf = p.machine.exists("/sys/kernel/btf/vmlinux");
    out.push_back({Level::kOk, "af_xdp", fmt::format("XDP sockets{}", btf ? ", BTF" : " (no BTF: not needed)"), ""});
}

void check_tap(const Patient& p, Findings& out) {
    const bool wanted = std::any_of(p.host.ports.begin(), p.host.ports.end(), [](const auto& port) { return !port.exception.empty(); });
    if (!wanted) return;
    if (p.machine.exists("/dev/net/tun")) out.push_back({Level::kOk, "exception", "/dev/net/tun is there", ""});
    else out.push_back({Level::kFail, "exception", "no /dev/net/tun: TAP devices cannot be made", "modprobe tun"});
}

void check_clock(const Patient& p, Findings& out) {
    if (p.machine.clock_synchronized()) out.push_back({Level::kOk, "clock", "synchronised", ""});
    else out.push_back({Level::kWarn, "clock", "not synchronised: logs, certificates and tokens are judged by a clock that drifts", "timedatectl set-ntp true"});
}

/// The directory itself, or the nearest that is there.
std::string nearest(const Machine& m, std::string path) {
    while (path.size() > 1 && !m.exists(path)) path = std::filesystem::path(path).parent_path();
    return path;
}

void check_disk(const Patient& p, Findings& out) {
    std::vector<std::string> directories{"/var/lib/sluice"};
    const std::string& log = p.host.access_log.path;
    if (!log.empty() && !log.starts_with("/dev/")) directories.push_back(std::filesystem::path(log).parent_path());
    for (const auto& wanted : directories) {
        const std::string directory = nearest(p.machine, wanted);
        const auto free = p.machine.free_bytes(directory);
        if (!free) continue;
        const Level level = *free < kFreeFail ? Level::kFail : *free < kFreeWarn ? Level::kWarn : Level::kOk;
        out.push_back({level, "disk", fmt::format("{} MiB free for {}", *free / kMiB, wanted),
                       level == Level::kOk ? "" : fmt::format("du -xhd1 {} | sort -h, and make room", directory)});
    }
}

void check_files(const Patient& p, Findings& out) {
    const std::string& mesh = p.host.mesh.directory;
    const auto names = p.machine.list(mesh);
    const auto is_config = [](const std::string& name) { return name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json"); };
    const auto files = std::count_if(names.begin(), names.end(), is_config);
    if (!p.machine.exists(mesh))
        out.push_back({Level::kWarn, "mesh", fmt::format("no directory {}: the gateway waits for one and answers nothing", mesh), fmt::format("mkdir -p {}", mesh)});
    else if (files == 0)
        out.push_back({Level::kWarn, "mesh", fmt::format("{} holds no YAML: the gateway waits for a Gateway and answers nothing", mesh),
                       "write one there; samples are in /usr/share/doc/sluice/examples/mesh"});
    else out.push_back({Level::kOk, "mesh", fmt::format("{} file{} in {}", files, files == 1 ? "" : "s", mesh), ""});
    const std::string& user = p.host.process.user;
    if (user.empty() || user.find_first_not_of("0123456789") == user.npos) return;
    const auto users = p.machine.lines("/etc/passwd");
    if (std::any_of(users.begin(), users.end(), [&](const auto& line) { return line.starts_with(user + ":"); }))
        out.push_back({Level::kOk, "user", fmt::format("becomes {} once ports are open", user), ""});
    else out.push_back({Level::kFail, "user", fmt::format("there is no user {}", user), fmt::format("useradd --system --no-create-home --shell /usr/sbin/nologin {}", user)});
}

void check_tls(const Patient& p, Findings& out) {
    if (!p.host.tls.key_log.empty())
        out.push_back({Level::kWarn, "tls", fmt::format("the keys of all connections are logged to {}", p.host.tls.key_log), "remove tls.keyLog, and the file"});
    for (const std::string* file : {&p.host.identity.certificate, &p.host.identity.private_key, &p.host.identity.roots})
        if (!file->empty() && !p.machine.exists(*file)) out.push_back({Level::kFail, "identity", fmt::format("there is no {}", *file), "put it there, or correct `identity`"});
}

}  // namespace

std::optional<unsigned> running_gateway(const Machine& m) {
    for (const auto& pid : m.list("/proc"))
        if (pid.find_first_not_of("0123456789") == pid.npos && m.text("/proc/" + pid + "/comm") == "sluiced") return static_cast<unsigned>(std::stoul(pid));
    return std::nullopt;
}

void check_system(const Patient& p, Findings& out) {
    check_af_xdp(p, out);
    check_tap(p, out);
    check_clock(p, out);
    check_disk(p, out);
    check_files(p, out);
    check_tls(p, out);
}

Findings examine(const Patient& p) {
    Findings out;
    check_ports(p, out);
    check_memory(p, out);
    check_cpu(p, out);
    check_system(p, out);
    return out;
}

}  // namespace sluice::doctor
