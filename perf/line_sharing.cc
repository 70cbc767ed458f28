// Proof that two cores of a gateway share no writable cache line per request: each proxies requests in its own thread over the tables that a
// gateway's cores share, every load and store of ours is recorded by line, and what one wrote and the other touched is listed.
// In: how many requests, connections and bytes. Out: counts, and each shared line with both places in the code; exit status 0: none, 1: some,
// 2: it cannot tell. Run it by perf/line_sharing. What libraries do by themselves (drivers, glibc, RE2) is not seen: docs/performance.md.
#include <rte_lcore.h>

#include <algorithm>
#include <array>
#include <barrier>
#include <cinttypes>
#include <cstdio>
#include <mutex>
#include <thread>

#include "base/clock.h"
#include "perf/command_line.h"
#include "perf/line_recorder/names.h"
#include "perf/line_recorder/recorder.h"
#include "perf/proxied_path/path.h"
#include "tests/support/eal.h"

namespace {

using namespace sluice;

constexpr uint32_t kCores = 2;

struct Setup {
    uint32_t requests = 2000, warmup = 5000;
    perf::PathSetup path;
    bool plant = false, json = false;
};

/// Only with --plant: what must be found.
std::atomic<uint64_t> planted{0};

struct Findings {
    std::array<perf::RecordedLines, kCores> cores;
    std::vector<perf::SharedLine> shared;
    uint64_t read_by_both = 0, strays = 0;
};

Findings measure(const Setup& setup) {
    perf::SharedTables tables(kCores);
    std::mutex making;   // of ports and pools
    std::barrier together(kCores);
    std::atomic<uint64_t> strays{0};
    std::vector<std::thread> threads;
    for (uint32_t core = 0; core < kCores; core++) {
        threads.emplace_back([&, core] {
            CHECK(rte_thread_register() == 0);   // mempool caches are by lcore id
            std::unique_ptr<perf::ProxiedPath> path;
            {
                const std::lock_guard lock(making);
                path = std::make_unique<perf::ProxiedPath>("s" + std::to_string(core), tables, core, setup.path);
            }
            path->run(setup.warmup);
            together.arrive_and_wait();
            perf::record_begin(core);
            path->run(setup.requests);
            if (setup.plant) planted.fetch_add(1, std::memory_order_relaxed);
            perf::record_end();
            together.arrive_and_wait();   // the other does not clean up while this one records
            strays += path->strays();
            const std::lock_guard lock(making);
            path.reset();
            rte_thread_unregister();
        });
    }
    for (std::thread& thread : threads) thread.join();
    Findings result;
    for (uint32_t core = 0; core < kCores; core++) result.cores[core] = perf::recorded(core);
    result.read_by_both = perf::lines_read_by_both(0, 1);
    result.shared = perf::shared_lines();
    result.strays = strays;
    return result;
}

/// The first byte of the line that is written.
uintptr_t first_written(const perf::SharedLine& line) {
    return line.access[0].line + static_cast<unsigned>(__builtin_ctzll(line.access[0].written | line.access[1].written));
}

const char* kind(const perf::SharedLine& line) {
    const bool both = line.access[0].written != 0 && line.access[1].written != 0;
    if (line.same_bytes()) return both ? "both write the same bytes" : "one writes what the other reads";
    return both ? "each writes bytes of its own" : "one writes beside what the other reads";
}

void print(const char* what, unsigned core, uint64_t bytes, const perf::AccessSite& site) {
    if (bytes == 0) return;
    std::printf("    core %u %s %2d bytes (mask %016" PRIx64 "): %s\n        called by %s\n", core, what, __builtin_popcountll(bytes), bytes,
                perf::code_name(site.at).c_str(), perf::code_name(site.caller).c_str());
}

void report(const Setup& setup, const Findings& result) {
    if (setup.json) {
        std::printf("{\"requests\": %u, \"connections\": %u, \"body_bytes\": %u, \"strays\": %" PRIu64 ", \"cores\": [", setup.requests, setup.path.connections, setup.path.body_bytes, result.strays);
        for (uint32_t core = 0; core < kCores; core++)
            std::printf("%s{\"accesses\": %" PRIu64 ", \"lines_written\": %" PRIu64 ", \"lines_only_read\": %" PRIu64 "}", core ? ", " : "",
                        result.cores[core].accesses, result.cores[core].written, result.cores[core].read_only);
        std::printf("], \"lines_read_by_both\": %" PRIu64 ", \"shared_lines\": [", result.read_by_both);
        for (size_t i = 0; i < result.shared.size(); i++)
            std::printf("%s{\"address\": \"0x%" PRIxPTR "\", \"where\": \"%s\", \"kind\": \"%s\"}", i ? ", " : "", first_written(result.shared[i]),
                        perf::data_name(first_written(result.shared[i])).c_str(), kind(result.shared[i]));
        std::printf("]}\n");
        return;
    }
    std::printf("%u requests on each of %u cores, %u connections each, %u bytes of body; lines of %zu bytes\n", setup.requests, kCores, setup.path.connections, setup.path.body_bytes, perf::kLineBytes);
    std::printf("%6s%16s%20s%16s%16s\n", "core", "accesses", "a request", "lines written", "only read");
    for (uint32_t core = 0; core < kCores; core++) {
        const auto& c = result.cores[core];
        std::printf("%6u%16" PRIu64 "%20.0f%16" PRIu64 "%16" PRIu64 "\n", core, c.accesses, static_cast<double>(c.accesses) / setup.requests, c.written, c.read_only);
    }
    for (const perf::SharedLine& line : result.shared) {
        std::printf("\n0x%" PRIxPTR " %s: %s\n", first_written(line), perf::data_name(first_written(line)).c_str(), kind(line));
        for (int side = 0; side < 2; side++) {
            print("wrote", line.threads[side], line.access[side].written, line.access[side].store);
            print("read ", line.threads[side], line.access[side].read, line.access[side].load);
        }
    }
    std::printf("\nlines read by both and written by none: %" PRIu64 "; segments handed from core to core: %" PRIu64 "\n", result.read_by_both, result.strays);
    std::printf("writable lines shared by cores: %zu\n", result.shared.size());
}

}  // namespace

int main(int argc, char** argv) {
    Setup setup;
    const auto code = perf::CommandLine("Which cache lines two cores of a gateway share, and write, while they proxy requests")
                          .number("--requests", setup.requests, 1u, 1'000'000u, "recorded on each core")
                          .number("--warmup", setup.warmup, 0u, 10'000'000u, "before, on each core")
                          .number("--connections", setup.path.connections, 1u, 4096u, "of clients, on each core")
                          .number("--body", setup.path.body_bytes, 0u, 16'000'000u, "bytes of an answer")
                          .flag("--plant", setup.plant, "let the cores share a counter, which must be found")
                          .flag("--json", setup.json, "one line of JSON")
                          .read(argc, argv);
    if (code) return *code;
    test::test_eal();
    TscClock::calibrate();
    const Findings result = measure(setup);
    report(setup, result);
    for (const auto& core : result.cores) {
        if (core.lost == 0 && core.accesses > uint64_t{100} * setup.requests) continue;
        std::fprintf(stderr, "line_sharing: the record is not whole: %" PRIu64 " accesses, %" PRIu64 " lost\n", core.accesses, core.lost);
        return 2;
    }
    return result.shared.empty() ? 0 : 1;
}
