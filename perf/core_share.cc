// Takes a share of one CPU in short slices at real-time priority, so that what else runs there has the rest, in equal parts of time:
// makes a proxy's core the limit of a measurement whose client and backend share a core of no greater strength.
// In: --cpu, --percent, --slice-us. Out: "ready", then nothing until SIGTERM or the end of stdin. Root. sched(7), clock_nanosleep(2).
#include <fmt/core.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <ctime>

#include "perf/command_line.h"

namespace {

constexpr int64_t kNsPerS = 1'000'000'000;
constexpr int kPriority = 50;      // above softirq threads and NAPI threads, which are the proxy's expense

int64_t now_ns() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * kNsPerS + t.tv_nsec;
}

void sleep_until(int64_t at_ns) {
    const timespec t{at_ns / kNsPerS, at_ns % kNsPerS};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr) == EINTR) {}
}

bool take_cpu(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<size_t>(cpu), &set);
    sched_param parameter{};
    parameter.sched_priority = kPriority;
    return sched_setaffinity(0, sizeof set, &set) == 0 && sched_setscheduler(0, SCHED_FIFO, &parameter) == 0;
}

/// Whoever started this is gone.
bool left_alone() {
    pollfd in{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    return poll(&in, 1, 0) != 0;
}

}  // namespace

int main(int argc, char** argv) {
    int cpu = 0;
    uint32_t percent = 50, slice_us = 200;
    sluice::perf::CommandLine line("Takes a share of one CPU at real-time priority until stdin ends");
    line.number("--cpu", cpu, 0, CPU_SETSIZE - 1, "which").number("--percent", percent, 1u, 90u, "of its time");
    line.number("--slice-us", slice_us, 20u, 10'000u, "longest time without the CPU for the others");
    if (const auto exit = line.read(argc, argv)) return *exit;
    if (!take_cpu(cpu)) {
        std::perror("core_share: CPU or real-time priority");
        return 1;
    }
    fmt::print("ready\n");
    std::fflush(stdout);
    const int64_t on_ns = int64_t{slice_us} * 1000, period_ns = on_ns * 100 / percent;
    for (int64_t begin = now_ns(), rounds = 0;; begin += period_ns, rounds++) {
        while (now_ns() < begin + on_ns) {}
        if (rounds % 64 == 0 && left_alone()) return 0;
        sleep_until(begin + period_ns);
    }
}
