// The operator's file names cores, ports and memory; each part of the program gets its share of them here.
#include "gateway/setup.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "proxy/core.h"

namespace sluice::gateway {

namespace {

/// Pools are sized from memory.limit: half of it for frames, the rest for connections, streams and tables.
uint32_t mbufs_per_core(const host::GatewayHost& host) {
    constexpr uint64_t kMbufBytes = 2560;
    const uint64_t each = host.memory.limit_bytes / 2 / kMbufBytes / host.workers.count;
    return static_cast<uint32_t>(std::clamp<uint64_t>(each, 8192, 524288));
}

}  // namespace

worker::CrewSetup crew_setup(const host::GatewayHost& host, const std::vector<unsigned>& cores) {
    worker::CrewSetup setup;
    setup.eal.cores = cores;
    setup.eal.mbufs_per_core = mbufs_per_core(host);
    switch (host.memory.hugepages) {
        case host::Memory::Hugepages::kAuto: setup.eal.hugepages = worker::Hugepages::kAuto; break;
        case host::Memory::Hugepages::kRequire: setup.eal.hugepages = worker::Hugepages::kRequire; break;
        case host::Memory::Hugepages::kNever: setup.eal.hugepages = worker::Hugepages::kNever; break;
    }
    for (const auto& port : host.ports) {
        setup.eal.ports.push_back({.name = port.name, .device = port.device, .mtu = port.mtu, .exception = port.exception,
                                   .offloads = {.checksum = port.offloads.checksum, .segmentation = port.offloads.segmentation,
                                                .large_receive = port.offloads.large_receive}});
        net::PortConfig config;
        config.name = port.name;
        config.addresses = port.addresses;
        for (const auto& route : port.routes) config.routes.push_back({.to = route.to, .via = route.via});
        config.mtu = port.mtu;
        config.vlan = port.vlan;
        config.strict_reverse_path = port.reverse_path == host::Port::ReversePath::kStrict;
        config.detect_duplicates = port.duplicate_detection;
        setup.ports.push_back(std::move(config));
    }
    setup.tcp.congestion = host.tcp.congestion == host::Tcp::Congestion::kCubic ? tcp::StackConfig::Congestion::kCubic
                                                                                : tcp::StackConfig::Congestion::kNewReno;
    switch (host.tcp.ecn) {
        case host::Tcp::Ecn::kOff: setup.tcp.ecn = tcp::StackConfig::Ecn::kOff; break;
        case host::Tcp::Ecn::kPassive: setup.tcp.ecn = tcp::StackConfig::Ecn::kOnRequest; break;
        case host::Tcp::Ecn::kOn: setup.tcp.ecn = tcp::StackConfig::Ecn::kOn; break;
    }
    setup.tcp.syn_backlog = host.tcp.syn_backlog;
    setup.tcp.dscp = host.tcp.dscp;
    setup.net.hop_limit = host.tcp.hop_limit;
    setup.tcp.connections_max = 2 * host.limits.connections / host.workers.count + 1024;  // downstream and upstream
    setup.poll.busy = host.workers.poll == host::Workers::Poll::kBusy;
    setup.slice_nodes = 2 * setup.eal.mbufs_per_core;
    return setup;
}

tcp::Options tcp_options(const host::GatewayHost& host) {
    tcp::Options options = proxy::default_tcp_options();
    options.keepalive = host.tcp.keepalive;
    options.keepalive_idle = host.tcp.keepalive_idle;
    options.keepalive_interval = host.tcp.keepalive_interval;
    options.keepalive_probes = host.tcp.keepalive_probes;
    options.user_timeout = host.tcp.user_timeout;
    return options;
}

tls::HandshakeThreads::Options handshake_threads(const host::GatewayHost& host, const std::vector<unsigned>& cores) {
    tls::HandshakeThreads::Options options;
    options.threads = host.tls.handshake_threads;
    options.cores = static_cast<uint32_t>(cores.size());
    options.cpus.assign(host.tls.handshake_cores.begin(), host.tls.handshake_cores.end());
    options.worker_cpus.assign(cores.begin(), cores.end());
    return options;   // none given: any CPU that keep_off() left
}

/// A thread that cannot be bound would run anywhere, on a worker's core too, and nobody would know why that is slow.
std::string wrong_handshake_cores(const host::GatewayHost& host) {
    cpu_set_t allowed;
    sched_getaffinity(0, sizeof allowed, &allowed);
    std::string text;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed)) text += fmt::format("{}{}", text.empty() ? "" : ", ", cpu);
    for (const uint32_t cpu : host.tls.handshake_cores)
        if (cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &allowed))
            return fmt::format("tls.handshakeCores: CPU {} is not there, or not this process's to use: it may use {}", cpu, text);
    return "";
}

std::vector<unsigned> worker_cores(const host::GatewayHost& host) {
    if (!host.workers.cores.empty()) return {host.workers.cores.begin(), host.workers.cores.end()};
    std::vector<unsigned> cores;
    cpu_set_t allowed;
    sched_getaffinity(0, sizeof allowed, &allowed);
    // From the last CPU down: the first ones carry interrupts and everything else of the machine.
    const auto& others = host.tls.handshake_cores;
    for (const bool free : {true, false})   // handshake threads' own, where nothing else is left
        for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && cores.size() < host.workers.count; cpu--)
            if (CPU_ISSET(cpu, &allowed) && free == (std::find(others.begin(), others.end(), static_cast<uint32_t>(cpu)) == others.end()))
                cores.push_back(static_cast<unsigned>(cpu));
    return cores;
}

// ---- Configuration ----

std::vector<Diagnostic> as_diagnostics(const std::vector<apply::Nack>& nacks, const host::GatewayHost& host) {
    std::vector<Diagnostic> diagnostics;
    for (const auto& nack : nacks) {
        diagnostics.push_back(apply::to_diagnostic(nack));
        apply::show_line(diagnostics.back(), host.mesh.directory, shown_directory(host));
    }
    sort_by_place(diagnostics);
    return diagnostics;
}

std::optional<host::GatewayHost> read_host(const std::string& path) {
    auto reading = host::read_file(path);
    if (!reading.diagnostics.empty()) fmt::print(stderr, "{}", render(reading.diagnostics, 1));
    return reading.host;
}

std::string shown_directory(const host::GatewayHost& host) {
    return std::filesystem::path(host.mesh.directory).lexically_normal().filename().string();
}

void keep_off(const std::vector<unsigned>& cores) {
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    for (const unsigned core : cores) CPU_CLR(core, &set);
    if (CPU_COUNT(&set) > 0) sched_setaffinity(0, sizeof set, &set);
}

}  // namespace sluice::gateway
