// The CPUs: instructions that the program was built for, a time stamp counter to measure with, cores that are the workers' own.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "ctrl/doctor/doctor.h"

namespace sluice::doctor {

namespace {

std::set<std::string> cpu_flags(const Machine& m) {
    for (const auto& line : m.lines("/proc/cpuinfo"))
        if (line.starts_with("flags")) {
            const auto w = words(std::string_view(line).substr(line.find(':') + 1));
            return {w.begin(), w.end()};
        }
    return {};
}

void check_features(const Machine& m, Findings& out) {
    const auto flags = cpu_flags(m);
    std::vector<std::string> missing, slow;
    for (const char* flag : {"avx2", "bmi2", "fma"})
        if (!flags.contains(flag)) missing.push_back(flag);
    for (const char* flag : {"aes", "pclmulqdq"})
        if (!flags.contains(flag)) slow.push_back(flag);
    if (!missing.empty()) {
        out.push_back({Level::kFail, "cpu", fmt::format("no {}: sluiced is built for x86-64-v3 and ends with an illegal instruction", fmt::join(missing, ", ")),
                       "use a machine from 2013 or later, or set the VM's CPU model to host-passthrough"});
    } else if (!slow.empty()) {
        out.push_back({Level::kWarn, "cpu", fmt::format("no {}: TLS records are encrypted several times slower", fmt::join(slow, ", ")),
                       "enable AES in the firmware, or set the VM's CPU model to host-passthrough"});
    } else {
        const bool wide = flags.contains("vaes") && flags.contains("vpclmulqdq");
        out.push_back({Level::kOk, "cpu", fmt::format("AVX2, AES-NI, PCLMUL{}", wide ? ", VAES" : " (no VAES: AES-GCM takes about twice the cycles)"), ""});
    }
    if (!flags.contains("constant_tsc"))
        out.push_back({Level::kFail, "tsc", "no constant_tsc: timers and rates would follow the clock frequency",
                       "set the VM's CPU model to host-passthrough, or use another machine"});
    else if (!flags.contains("nonstop_tsc"))
        out.push_back({Level::kWarn, "tsc", "no nonstop_tsc: the counter may stand still in deep sleep", "boot with processor.max_cstate=1"});
}

void check_clock_source(const Machine& m, Findings& out) {
    const std::string base = "/sys/devices/system/clocksource/clocksource0/";
    const auto current = m.text(base + "current_clocksource").value_or("");
    const auto available = words(m.text(base + "available_clocksource").value_or(""));
    const bool tsc = std::find(available.begin(), available.end(), "tsc") != available.end();
    if (current == "tsc" || ((current == "kvm-clock" || current == "hyperv_clocksource_tsc_page") && tsc)) {
        out.push_back({Level::kOk, "clock source", current, ""});
    } else if (tsc) {
        out.push_back({Level::kWarn, "clock source", fmt::format("{}: each look at the time is slow", current),
                       fmt::format("echo tsc > {}current_clocksource", base)});
    } else {
        out.push_back({Level::kWarn, "clock source", fmt::format("{}: the kernel does not trust this machine's time stamp counter, which timers here use",
                                                                current.empty() ? "unknown" : current), "boot with tsc=reliable if dmesg names no TSC fault"});
    }
}

void check_cores(const Patient& p, Findings& out) {
    const auto online = p.machine.cpus("/sys/devices/system/cpu/online");
    const auto cpus = worker_cpus(p);
    std::set<unsigned> absent;
    for (const unsigned cpu : cpus)
        if (!online.contains(cpu)) absent.insert(cpu);
    if (!absent.empty() || cpus.size() < p.host.workers.count) {
        const std::string which = absent.empty() ? fmt::format("{} CPUs for {} workers", online.size(), p.host.workers.count) : "no CPU " + cpu_list(absent);
        out.push_back({Level::kFail, "cores", which, fmt::format("workers.cores: choose of {}", cpu_list(online))});
        return;
    }
    std::set<unsigned> handshakes, missing;
    for (const uint32_t cpu : p.host.tls.handshake_cores) {
        handshakes.insert(cpu);
        if (!online.contains(cpu)) missing.insert(cpu);
    }
    if (!missing.empty()) out.push_back({Level::kFail, "cores", "no CPU " + cpu_list(missing), fmt::format("tls.handshakeCores: choose of {}", cpu_list(online))});
    for (const unsigned cpu : cpus)
        if (handshakes.contains(cpu))
            out.push_back({Level::kWarn, "cores", fmt::format("CPU {} is a worker's and the handshakes'", cpu), "tls.handshakeCores: other CPUs, or fewer workers"});
    // Two workers on one core's two threads share its execution units and its cache.
    std::map<std::string, std::set<unsigned>> by_core;
    for (const unsigned cpu : cpus)
        by_core[p.machine.text(fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", cpu)).value_or(std::to_string(cpu))].insert(cpu);
    for (const auto& [siblings, mine] : by_core)
        if (mine.size() > 1)
            out.push_back({Level::kWarn, "cores", fmt::format("CPUs {} are threads of one core", cpu_list(mine)), "workers.cores: one thread of each core"});
    if (cpus.size() == online.size() && online.size() > 1)
        out.push_back({Level::kWarn, "cores", "every CPU has a worker: logs, the control thread and the kernel share one with it",
                       fmt::format("workers.cores: leave CPU {} free", *online.begin())});
    else out.push_back({Level::kOk, "cores", fmt::format("worker{} on CPU {}", cpus.size() == 1 ? "" : "s", cpu_list({cpus.begin(), cpus.end()})), ""});
}

/// Interrupts whose affinity includes a worker's CPU, and that another CPU could take.
std::set<unsigned> interrupts_on(const Machine& m, const std::set<unsigned>& cpus) {
    std::set<unsigned> out;
    for (const auto& name : m.list("/proc/irq")) {
        if (name.find_first_not_of("0123456789") != name.npos) continue;
        const auto effective = m.cpus("/proc/irq/" + name + "/effective_affinity_list");
        const auto at = effective.empty() ? m.cpus("/proc/irq/" + name + "/smp_affinity_list") : effective;
        if (std::any_of(at.begin(), at.end(), [&](unsigned cpu) { return cpus.contains(cpu); })) out.insert(static_cast<unsigned>(std::stoul(name)));
    }
    return out;
}

void check_isolation(const Patient& p, Findings& out) {
    const auto list = worker_cpus(p);
    const std::set<unsigned> cpus(list.begin(), list.end());
    const auto isolated = p.machine.cpus("/sys/devices/system/cpu/isolated");
    const bool busy = p.host.workers.poll == host::Workers::Poll::kBusy;
    std::set<unsigned> shared;
    for (const unsigned cpu : cpus)
        if (!isolated.contains(cpu)) shared.insert(cpu);
    const std::string wanted = cpu_list(cpus);
    if (shared.empty()) out.push_back({Level::kOk, "isolation", fmt::format("CPU {} runs nothing else", wanted), ""});
    else if (busy)
        out.push_back({Level::kWarn, "isolation", fmt::format("poll: busy on CPU {}, which the scheduler gives to others too", cpu_list(shared)),
                       fmt::format("boot with isolcpus={} nohz_full={} rcu_nocbs={}", wanted, wanted, wanted)});
    else out.push_back({Level::kOk, "isolation", fmt::format("CPU {} is shared (poll: adaptive bears that)", cpu_list(shared)), ""});
    const auto interrupts = interrupts_on(p.machine, cpus);
    if (!interrupts.empty() && (busy || shared.empty()))
        out.push_back({Level::kWarn, "interrupts", fmt::format("{} of them run on the workers' CPU {}", interrupts.size(), wanted),
                       fmt::format("sluice-prepare-host apply --isolate {}", wanted)});
    std::set<unsigned> slow;
    for (const unsigned cpu : cpus)
        if (const auto governor = p.machine.text(fmt::format("/sys/devices/system/cpu/cpu{}/cpufreq/scaling_governor", cpu)); governor && *governor != "performance")
            slow.insert(cpu);
    if (!slow.empty())
        out.push_back({Level::kWarn, "governor", fmt::format("CPU {} slows down when it looks idle", cpu_list(slow)),
                       fmt::format("sluice-prepare-host apply --governor {}", cpu_list(slow))});
}

}  // namespace

std::vector<unsigned> worker_cpus(const Patient& p) {
    if (!p.host.workers.cores.empty()) return {p.host.workers.cores.begin(), p.host.workers.cores.end()};
    const auto online = p.machine.cpus("/sys/devices/system/cpu/online");
    const auto& others = p.host.tls.handshake_cores;
    std::vector<unsigned> out;   // from the last CPU down, the handshakes' own last of all, as sluiced does
    for (const bool free : {true, false})
        for (auto it = online.rbegin(); it != online.rend() && out.size() < p.host.workers.count; ++it)
            if (free == (std::find(others.begin(), others.end(), *it) == others.end())) out.push_back(*it);
    return out;
}

void check_cpu(const Patient& p, Findings& out) {
    check_features(p.machine, out);
    check_clock_source(p.machine, out);
    check_cores(p, out);
    check_isolation(p, out);
}

}  // namespace sluice::doctor
