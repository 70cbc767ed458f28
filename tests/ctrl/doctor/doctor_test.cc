// Every check of cpu.cc, memory.cc and system.cc both ways: on the good machine nothing is found, spoiled in one place that is named
// with its cure.
#include "tests/ctrl/doctor/tree.h"

namespace sluice::doctor {
namespace {

using test::Doctor;
using testing::HasSubstr;
using testing::StartsWith;

TEST_F(Doctor, AGoodMachineIsFoundGood) {
    EXPECT_EQ(worst(), "");
    EXPECT_GE(examined().size(), 12u) << "what was looked at is told too";
    for (const Finding& f : examined()) {
        EXPECT_NE(f.subject, "");
        EXPECT_NE(f.message, "");
        EXPECT_EQ(f.cure, "") << f.message;
    }
}

TEST_F(Doctor, EveryFindingHasACure) {
    // Everything wrong at once.
    for (const char* path : {"/proc/cpuinfo", "/proc/meminfo", "/proc/net/protocols", "/etc/passwd", "/etc/sluice/mesh", "/sys/class/net/eth1"}) tree->remove(path);
    tree->synchronized = false;
    tree->free = 1 << 20;
    size_t wrong = 0;
    for (const Finding& f : examined()) {
        if (f.level == Level::kOk) continue;
        wrong++;
        EXPECT_NE(f.cure, "") << f.message;
        EXPECT_EQ(f.message.find('\n'), std::string::npos);
    }
    EXPECT_GE(wrong, 8u);
}

// ---- CPU ----

TEST_F(Doctor, WithoutAvx2ItWouldNotRun) {
    tree->file("/proc/cpuinfo", "flags : fpu aes pclmulqdq constant_tsc nonstop_tsc");
    EXPECT_THAT(worst(), StartsWith("FAIL cpu no avx2, bmi2, fma"));
}

TEST_F(Doctor, WithoutAesItIsSlow) {
    tree->file("/proc/cpuinfo", "flags : avx2 bmi2 fma constant_tsc nonstop_tsc");
    EXPECT_THAT(worst(), StartsWith("warn cpu no aes, pclmulqdq"));
}

TEST_F(Doctor, TheTimeStampCounterMustBeSteady) {
    tree->file("/proc/cpuinfo", "flags : avx2 bmi2 fma aes pclmulqdq");
    EXPECT_THAT(worst(), StartsWith("FAIL tsc no constant_tsc"));
    tree->file("/proc/cpuinfo", "flags : avx2 bmi2 fma aes pclmulqdq constant_tsc");
    EXPECT_THAT(worst(), StartsWith("warn tsc no nonstop_tsc"));
}

TEST_F(Doctor, ClockSource) {
    const std::string base = "/sys/devices/system/clocksource/clocksource0/";
    tree->file(base + "current_clocksource", "hpet");
    EXPECT_THAT(worst(), HasSubstr("echo tsc > /sys/devices/system/clocksource"));
    tree->file(base + "available_clocksource", "hpet acpi_pm");
    EXPECT_THAT(worst(), HasSubstr("does not trust this machine's time stamp counter"));
    tree->file(base + "current_clocksource", "kvm-clock");
    tree->file(base + "available_clocksource", "tsc kvm-clock");
    EXPECT_EQ(worst(), "");
}

TEST_F(Doctor, CoresThatAreNotThere) {
    host.workers.cores = {2, 9};
    EXPECT_EQ(worst(), "FAIL cores no CPU 9: workers.cores: choose of 0-3");
    host.workers.cores.clear();
    host.workers.count = 8;
    host.ports.clear();
    EXPECT_THAT(worst(), StartsWith("FAIL cores 4 CPUs for 8 workers"));
}

TEST_F(Doctor, HandshakeCores) {
    host.tls.handshake_cores = {1, 9};
    EXPECT_EQ(worst(), "FAIL cores no CPU 9: tls.handshakeCores: choose of 0-3");
    host.tls.handshake_cores = {1};
    EXPECT_EQ(worst(), "");
    host.workers.cores.clear();
    host.workers.count = 2;
    host.tls.handshake_cores = {3};
    EXPECT_THAT(worst(), Not(HasSubstr("handshakes'"))) << "workers take 2 and 1 then";
    host.workers.count = 4;
    host.ports.clear();   // whose queues would be too few
    EXPECT_THAT(worst(), HasSubstr("CPU 3 is a worker's and the handshakes'"));
}

TEST_F(Doctor, CoresThatShareACore) {
    for (int cpu : {2, 3}) tree->file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list", "2-3");
    EXPECT_THAT(worst(), StartsWith("warn cores CPUs 2-3 are threads of one core"));
}

TEST_F(Doctor, NoCoreLeftForTheRest) {
    tree->file("/sys/devices/system/cpu/online", "2-3");
    EXPECT_THAT(worst(), HasSubstr("every CPU has a worker"));
}

TEST_F(Doctor, BusyPollingWantsCoresOfItsOwn) {
    tree->file("/sys/devices/system/cpu/isolated", "");
    EXPECT_EQ(worst(), "") << "adaptive polling bears neighbours";
    host.workers.poll = host::Workers::Poll::kBusy;
    EXPECT_THAT(worst(), HasSubstr("boot with isolcpus=2-3 nohz_full=2-3"));
}

TEST_F(Doctor, InterruptsOnWorkers) {
    tree->file("/proc/irq/24/smp_affinity_list", "0-3");
    EXPECT_EQ(worst(), "warn interrupts 1 of them run on the workers' CPU 2-3: sluice-prepare-host apply --isolate 2-3");
    tree->file("/proc/irq/24/effective_affinity_list", "1");
    EXPECT_EQ(worst(), "") << "it may run there and does not";
}

TEST_F(Doctor, Governor) {
    tree->file("/sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "schedutil");
    EXPECT_EQ(worst(), "warn governor CPU 3 slows down when it looks idle: sluice-prepare-host apply --governor 3");
}

// ---- Memory ----

TEST_F(Doctor, HugePagesAreCounted) {
    tree->file("/proc/meminfo", "HugePages_Total:    100\nHugePages_Free:     10\nHugepagesize:       2048 kB");
    EXPECT_THAT(worst(), StartsWith("warn hugepages 10 free, 320 of 2M wanted: sysctl vm.nr_hugepages=410"));
    host.memory.hugepages = host::Memory::Hugepages::kRequire;
    EXPECT_THAT(worst(), StartsWith("FAIL hugepages 10 free, 320 of 2M wanted (memory.hugepages: require)"));
    host.memory.hugepages = host::Memory::Hugepages::kNever;
    EXPECT_EQ(worst(), "");
}

TEST_F(Doctor, HugePagesThatTheGatewayHoldsCount) {
    tree->file("/proc/meminfo", "HugePages_Total:    400\nHugePages_Free:     10\nHugepagesize:       2048 kB");
    tree->file("/proc/77/comm", "sluiced");
    tree->file("/proc/77/status", "Name: sluiced\nHugetlbPages:\t  798720 kB");
    tree->file("/proc/77/limits", "Max open files            65536   65536   files");
    EXPECT_THAT(worst(), HasSubstr("10 free"));
    pid = running_gateway(*tree);
    ASSERT_EQ(pid, 77u);
    EXPECT_EQ(worst(), "");
}

TEST_F(Doctor, PagesOfAnotherSizeDoNotCount) {
    tree->file("/proc/meminfo", "HugePages_Total:    0\nHugePages_Free:     0\nHugepagesize:       2048 kB");
    tree->file("/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "4");
    bool told = false;
    for (const Finding& f : examined()) told |= f.cure == "boot with default_hugepagesz=1G";
    EXPECT_TRUE(told);
}

TEST_F(Doctor, PagesOfOneGigabyte) {
    tree->file("/proc/meminfo", "HugePages_Total:    1\nHugePages_Free:     1\nHugepagesize:       1048576 kB");
    EXPECT_EQ(worst(), "");
    tree->file("/proc/meminfo", "HugePages_Total:    1\nHugePages_Free:     0\nHugepagesize:       1048576 kB");
    EXPECT_THAT(worst(), StartsWith("warn hugepages 0 free, 1 of 1G wanted: sysctl vm.nr_hugepages=2"));
}

TEST_F(Doctor, NumaNodes) {
    tree->file("/sys/devices/system/node/online", "0-1");
    tree->file("/sys/devices/system/node/node1/cpulist", "4-7");
    tree->file("/sys/class/net/eth1/device/numa_node", "0");
    EXPECT_EQ(worst(), "");
    tree->file("/sys/class/net/eth1/device/numa_node", "1");
    EXPECT_EQ(worst(), "warn outside its NIC is on NUMA node 1, the workers on node 0: each frame crosses between them: workers.cores: choose of 4-7");
    tree->file("/sys/class/net/eth1/device/numa_node", "-1");
    EXPECT_EQ(worst(), "");
    tree->file("/sys/devices/system/node/node0/hugepages/hugepages-2048kB/free_hugepages", "0");
    EXPECT_THAT(worst(), StartsWith("warn numa node 0 has the workers and no free huge page"));
}

TEST_F(Doctor, Limits) {
    tree->file("/proc/self/limits", "Max locked memory         8388608   8388608   bytes\nMax open files            512   1024   files");
    EXPECT_THAT(worst(), StartsWith("warn nofile this shell's limit is 512 open files"));
    tree->file("/proc/self/limits", "Max locked memory         8388608   8388608   bytes\nMax open files            4096   4096   files");
    EXPECT_EQ(worst(), "") << "AF_XDP's memory is charged otherwise";
    host.ports[0].device = "pci:0000:3b:00.0";
    bool told = false;
    for (const Finding& f : examined()) told |= f.subject == "memlock" && f.level == Level::kWarn;
    EXPECT_TRUE(told);
}

// ---- System ----

TEST_F(Doctor, TheKernelMustHaveXdpSockets) {
    tree->file("/proc/net/protocols", "protocol  size sockets\nTCP       1088      0");
    EXPECT_THAT(worst(), StartsWith("FAIL af_xdp this kernel has no XDP sockets"));
    for (auto& port : host.ports) port.device.replace(0, 6, "af_packet");
    EXPECT_EQ(worst(), "") << "AF_PACKET does without";
}

TEST_F(Doctor, BpfIsCompiled) {
    tree->file("/proc/sys/net/core/bpf_jit_enable", "0");
    EXPECT_THAT(worst(), HasSubstr("sysctl net.core.bpf_jit_enable=1"));
}

TEST_F(Doctor, TheTunDevice) {
    tree->remove("/dev/net/tun");
    EXPECT_EQ(worst(), "");
    host.ports[0].exception = "kernel0";
    EXPECT_THAT(worst(), HasSubstr("modprobe tun"));
}

TEST_F(Doctor, ClockDiskMeshAndUser) {
    tree->synchronized = false;
    EXPECT_THAT(worst(), StartsWith("warn clock not synchronised"));
    tree->synchronized = true;
    tree->free = uint64_t{100} << 20;
    EXPECT_THAT(worst(), StartsWith("warn disk 100 MiB free for /var/lib/sluice"));
    tree->free = 1 << 20;
    EXPECT_THAT(worst(), StartsWith("FAIL disk 1 MiB free"));
    tree->free = uint64_t{1} << 34;
    host.mesh.directory = "/etc/sluice/other";
    EXPECT_EQ(worst(), "warn mesh no directory /etc/sluice/other: the gateway waits for one and answers nothing: mkdir -p /etc/sluice/other");
    host.mesh.directory = "/etc/sluice/mesh";
    tree->remove("/etc/sluice/mesh/edge.yaml");
    EXPECT_THAT(worst(), StartsWith("warn mesh /etc/sluice/mesh holds no YAML"));
    tree->file("/etc/sluice/mesh/edge.yaml", "");
    host.process.user = "nobody-here";
    EXPECT_THAT(worst(), StartsWith("FAIL user there is no user nobody-here: useradd"));
    host.process.user = "990";
    EXPECT_EQ(worst(), "");
}

TEST(CpuList, BothWays) {
    EXPECT_EQ(cpu_list(parse_cpu_list("0-2,5,7-8")), "0-2,5,7-8");
    EXPECT_TRUE(parse_cpu_list("").empty());
    EXPECT_EQ(parse_cpu_list("3,junk").size(), 1u);
}

}  // namespace
}  // namespace sluice::doctor
