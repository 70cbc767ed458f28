// Cycles of a proxied request at one and at two workers, and with 1 to 1,000,000 client connections at each. Each worker is a whole path in its own
// thread on its own CPU (generator and backend on the same one), over the tables that a gateway's cores share. In: which numbers of workers and
// connections. Out: a table or --json: median and best batch, the ratio to one worker, memory. A row that does not fit into memory is not run, and said.
// The stages' sum is the gateway's alone; what makes requests is not in it. Method and limits: docs/performance.md, Scaling.
#include <rte_lcore.h>
#include <sched.h>

#include <barrier>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <numeric>
#include <optional>
#include <sstream>
#include <thread>

#include "base/clock.h"
#include "base/limits.h"
#include "perf/command_line.h"
#include "perf/in_process.h"
#include "perf/proxied_path/cost.h"

namespace {

using namespace sluice;

constexpr uint32_t kRequestsOfBatch = 2048;
// What a row may take: both ends of a connection (1,600 bytes measured), pools of mbufs and the rest of a worker, and what others need.
constexpr uint64_t kBytesOfConnection = 2048, kBytesOfWorker = uint64_t{600} << 20, kBytesKept = uint64_t{1} << 30;

struct Setup {
    std::string workers = "1,2", connections = "1,100,10000,100000,1000000", cpus = "1,0";
    uint32_t active = 64, batches = 40, body_bytes = 1024;
    bool json = false;
};

struct Row {
    uint32_t connections = 0, workers = 0;
    std::vector<double> medians, bests;   // by worker
    double resident_mib = 0;
    uint64_t strays = 0;
    std::string skipped;                  // why
    double median() const { return std::accumulate(medians.begin(), medians.end(), 0.0) / static_cast<double>(medians.size()); }
    double best() const { return std::accumulate(bests.begin(), bests.end(), 0.0) / static_cast<double>(bests.size()); }
};

std::optional<std::vector<uint32_t>> numbers(const std::string& text, uint32_t most) {
    std::vector<uint32_t> all;
    std::istringstream in(text);
    for (std::string one; std::getline(in, one, ',');) {
        char* end = nullptr;
        const unsigned long value = std::strtoul(one.c_str(), &end, 10);
        if (one.empty() || *end != '\0' || value > most) return std::nullopt;
        all.push_back(static_cast<uint32_t>(value));
    }
    return all.empty() ? std::nullopt : std::optional(all);
}

uint64_t available_bytes() {
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen("/proc/meminfo", "r"), std::fclose);
    char line[128];
    unsigned long kib = 0;
    while (file && std::fgets(line, sizeof line, file.get()))
        if (std::sscanf(line, "MemAvailable: %lu", &kib) == 1) break;
    return uint64_t{kib} * 1024;
}

/// Batches of one worker, in step with the others from start to end; who is done first goes on loading the machine until all are.
class Measurement {
 public:
    Measurement(uint32_t workers, uint32_t batches) : together_(workers), batches_(batches), working_(workers) {}
    std::vector<double> run(perf::ProxiedPath& path) {
        path.run(4 * kRequestsOfBatch);
        together_.arrive_and_wait();
        std::vector<double> sums;
        for (uint32_t i = 0; i < batches_; i++) {
            const perf::StageCosts costs = perf::cost_of(path, kRequestsOfBatch);
            sums.push_back(std::accumulate(costs.begin(), costs.end(), 0.0));
        }
        for (working_--; working_.load() != 0;) path.run(kRequestsOfBatch);
        together_.arrive_and_wait();
        return sums;
    }

 private:
    std::barrier<> together_;
    const uint32_t batches_;
    std::atomic<uint32_t> working_;
};

void pin(uint32_t cpu) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus) == 0) return;
    std::fprintf(stderr, "scaling: cannot run on CPU %u: %s; name others with --cpus\n", cpu, std::strerror(errno));
    std::exit(2);
}

Row measure(const Setup& setup, const std::vector<uint32_t>& cpus, uint32_t connections, uint32_t workers) {
    static uint32_t number = 0;
    Row row;
    row.connections = connections;
    row.workers = workers;
    row.medians.resize(workers);
    row.bests.resize(workers);
    const uint64_t needed = workers * (kBytesOfWorker + uint64_t{connections} * kBytesOfConnection) + kBytesKept, there = available_bytes();
    if (needed > there) {
        row.skipped = std::to_string(needed >> 20) + " MiB wanted, " + std::to_string(there >> 20) + " MiB available";
        return row;
    }
    const uint64_t before = perf::resident_bytes();
    perf::SharedTables tables(workers);
    Measurement measurement(workers, setup.batches);
    std::mutex making;   // of ports and pools
    std::vector<std::thread> threads;
    const uint32_t active = std::min(setup.active, connections);
    for (uint32_t core = 0; core < workers; core++) {
        const std::string name = "x" + std::to_string(number++);
        threads.emplace_back([&, core, name] {
            pin(cpus[core]);
            CHECK(rte_thread_register() == 0);   // mempool caches are by lcore id
            std::unique_ptr<perf::ProxiedPath> path;
            {
                const std::lock_guard lock(making);
                path = std::make_unique<perf::ProxiedPath>(name, tables, core, perf::PathSetup{active, connections - active, setup.body_bytes});
            }
            const std::vector<double> sums = measurement.run(*path);
            const std::lock_guard lock(making);
            row.medians[core] = perf::quantile(sums);
            row.bests[core] = perf::quantile(sums, 0);
            row.strays += path->strays();
            row.resident_mib = std::max(row.resident_mib, static_cast<double>(perf::resident_bytes() - before) / (1 << 20));
            path.reset();
            rte_thread_unregister();
        });
    }
    for (std::thread& thread : threads) thread.join();
    return row;
}

void print_head(const Setup& setup) {
    if (setup.json) {
        std::printf("{\"hz\": %" PRIu64 ", \"active\": %u, \"body_bytes\": %u, \"batches\": %u, \"rows\": [", TscClock::hz(), setup.active, setup.body_bytes,
                    setup.batches);
        return;
    }
    std::printf("%u active connections at each worker, %u bytes of body; cycles of a request, medians and best of %u batches of %u; "
                "resident MiB of all workers with their peers\n",
                setup.active, setup.body_bytes, setup.batches, kRequestsOfBatch);
    std::printf("%12s%9s%10s%10s%10s%10s%12s   by worker\n", "connections", "workers", "cycles", "best", "ratio", "(best)", "resident");
}

const Row* at_one_worker(const std::vector<Row>& rows, const Row& row) {
    for (const Row& r : rows)
        if (r.workers == 1 && r.connections == row.connections && r.skipped.empty()) return &r;
    return nullptr;
}

void print(const std::vector<Row>& rows, const Row& row, bool json) {
    const Row* one = at_one_worker(rows, row);
    if (json) {
        std::printf("{\"connections\": %u, \"workers\": %u", row.connections, row.workers);
        if (!row.skipped.empty()) {
            std::printf(", \"skipped\": \"%s\"}", row.skipped.c_str());
            return;
        }
        std::printf(", \"cycles\": %.1f, \"cycles_best\": %.1f, \"resident_mib\": %.1f, \"strays\": %" PRIu64 ", \"cycles_by_worker\": [", row.median(),
                    row.best(), row.resident_mib, row.strays);
        for (size_t i = 0; i < row.medians.size(); i++) std::printf("%s%.1f", i ? ", " : "", row.medians[i]);
        std::printf("]");
        if (one) std::printf(", \"ratio\": %.3f, \"ratio_best\": %.3f", row.median() / one->median(), row.best() / one->best());
        std::printf("}");
        return;
    }
    if (!row.skipped.empty()) {
        std::printf("%12u%9u  not run: %s\n", row.connections, row.workers, row.skipped.c_str());
        return;
    }
    std::printf("%12u%9u%10.0f%10.0f", row.connections, row.workers, row.median(), row.best());
    if (one) std::printf("%10.3f%10.3f", row.median() / one->median(), row.best() / one->best());
    else std::printf("%10s%10s", "-", "-");
    std::printf("%12.0f  ", row.resident_mib);
    for (const double median : row.medians) std::printf(" %.0f", median);
    std::printf("\n");
    std::fflush(stdout);
}

std::optional<int> read_command_line(int argc, char** argv, Setup& setup) {
    return perf::CommandLine("Cycles of a proxied request by number of workers and of client connections, in process")
        .text("--workers", setup.workers, "numbers of workers, by comma")
        .text("--connections", setup.connections, "numbers of client connections at each worker, by comma")
        .text("--cpus", setup.cpus, "the CPU of each worker, by comma")
        .number("--active", setup.active, 1u, 4096u, "of them send requests; the others have had one answer and stay")
        .number("--batches", setup.batches, 1u, 100'000u, "of 2,048 requests, on each worker")
        .number("--body", setup.body_bytes, 0u, 16'000'000u, "bytes of an answer")
        .flag("--json", setup.json, "one document of JSON")
        .read(argc, argv);
}

}  // namespace

int main(int argc, char** argv) {
    Setup setup;
    if (const auto code = read_command_line(argc, argv, setup)) return *code;
    const auto workers = numbers(setup.workers, limits::kCoresMax), connections = numbers(setup.connections, 1'000'000);
    const auto cpus = numbers(setup.cpus, CPU_SETSIZE - 1);
    if (!workers || !connections || !cpus || std::ranges::count(*workers, 0u) != 0 || std::ranges::count(*connections, 0u) != 0) {
        std::fprintf(stderr, "--workers, --connections, --cpus: numbers by comma, at least 1 (CPUs: 0), connections at most 1000000\n");
        return 2;
    }
    if (std::ranges::max(*workers) > cpus->size()) {
        std::fprintf(stderr, "--cpus: %zu named for %u workers\n", cpus->size(), std::ranges::max(*workers));
        return 2;
    }
    test::test_eal();
    TscClock::calibrate();
    print_head(setup);
    std::vector<Row> rows;
    for (const uint32_t n : *connections) {
        for (const uint32_t w : *workers) {
            rows.push_back(measure(setup, *cpus, n, w));
            if (setup.json && rows.size() > 1) std::printf(", ");
            print(rows, rows.back(), setup.json);
        }
    }
    if (setup.json) std::printf("]}\n");
    return 0;
}
