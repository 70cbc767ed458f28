// Proof that two cores of a gateway share no writable cache line per request: line_recorder/cores.h has them proxy requests, this says what it saw.
// In: how many requests, connections and bytes. Out: counts, and each shared line with both places in the code; exit status 0: none is shared in
// every round, 1: some are, 2: it cannot tell. Run it by perf/line_sharing. What libraries do by themselves (drivers, glibc, RE2) is not seen:
// docs/performance.md, Scaling.
#include <cinttypes>
#include <cstdio>
#include <set>
#include <utility>

#include "base/clock.h"
#include "perf/command_line.h"
#include "perf/line_recorder/cores.h"
#include "perf/line_recorder/names.h"
#include "tests/support/eal.h"

namespace {

using namespace sluice;

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

void print(const perf::SharedLine& line) {
    std::printf("\n0x%" PRIxPTR " %s: %s\n", first_written(line), perf::data_name(first_written(line)).c_str(), kind(line));
    for (int side = 0; side < 2; side++) {
        print("wrote", line.threads[side], line.access[side].written, line.access[side].store);
        print("read ", line.threads[side], line.access[side].read, line.access[side].load);
    }
}

/// One line for each pair of places in the code.
void print_kinds(const std::vector<perf::SharedLine>& lines) {
    std::set<std::pair<const void*, const void*>> told;
    const auto place = [](const perf::LineAccess& access) { return access.written ? access.store.at : access.load.at; };
    for (const perf::SharedLine& line : lines)
        if (told.insert({place(line.access[0]), place(line.access[1])}).second) print(line);
}

void print_json(const perf::SharingSetup& setup, const perf::Sharing& found) {
    std::printf("{\"requests\": %u, \"rounds\": %u, \"connections\": %u, \"body_bytes\": %u, \"strays\": %" PRIu64 ", \"cores\": [", setup.requests,
                setup.rounds, setup.path.connections, setup.path.body_bytes, found.strays);
    for (uint32_t core = 0; core < perf::kSharingCores; core++)
        std::printf("%s{\"accesses\": %" PRIu64 ", \"lines_written\": %" PRIu64 ", \"lines_only_read\": %" PRIu64 "}", core ? ", " : "", found.cores[core].accesses,
                    found.cores[core].written, found.cores[core].read_only);
    std::printf("], \"lines_read_by_both\": %" PRIu64 ", \"shared_in_some_rounds\": %zu, \"shared_lines\": [", found.read_by_both, found.some_rounds.size());
    for (size_t i = 0; i < found.every_round.size(); i++)
        std::printf("%s{\"address\": \"0x%" PRIxPTR "\", \"where\": \"%s\", \"kind\": \"%s\"}", i ? ", " : "", first_written(found.every_round[i]),
                    perf::data_name(first_written(found.every_round[i])).c_str(), kind(found.every_round[i]));
    std::printf("]}\n");
}

void print_text(const perf::SharingSetup& setup, const perf::Sharing& found) {
    std::printf("%u rounds of %u requests on each of %u cores, %u connections each, %u bytes of body; the last round, in lines of %zu bytes:\n", setup.rounds,
                setup.requests, perf::kSharingCores, setup.path.connections, setup.path.body_bytes, perf::kLineBytes);
    std::printf("%6s%16s%20s%16s%16s\n", "core", "accesses", "a request", "lines written", "only read");
    for (uint32_t core = 0; core < perf::kSharingCores; core++) {
        const auto& c = found.cores[core];
        std::printf("%6u%16" PRIu64 "%20.0f%16" PRIu64 "%16" PRIu64 "\n", core, c.accesses, static_cast<double>(c.accesses) / setup.requests, c.written,
                    c.read_only);
    }
    std::printf("read by both and written by none: %" PRIu64 " lines; segments handed from core to core: %" PRIu64 "\n", found.read_by_both,
                found.strays);
    if (!found.some_rounds.empty()) {
        std::printf("\nshared in some rounds only, so not with each request: %zu lines, of these kinds:\n", found.some_rounds.size());
        print_kinds(found.some_rounds);
    }
    for (const perf::SharedLine& line : found.every_round) print(line);
    std::printf("\nwritable lines shared in every round: %zu\n", found.every_round.size());
}

}  // namespace

int main(int argc, char** argv) {
    perf::SharingSetup setup;
    bool json = false;
    const auto code = perf::CommandLine("Which cache lines two cores of a gateway share, and write, while they proxy requests")
                          .number("--requests", setup.requests, 1u, 1'000'000u, "recorded on each core in each round")
                          .number("--rounds", setup.rounds, 1u, 1000u, "what is shared with requests is shared in every one")
                          .number("--warmup", setup.warmup, 0u, 10'000'000u, "requests before, on each core")
                          .number("--connections", setup.path.connections, 1u, 4096u, "of clients, on each core")
                          .number("--body", setup.path.body_bytes, 0u, 1'000'000u, "bytes of an answer")
                          .flag("--plant", setup.plant, "let the cores share a counter, which must be found")
                          .flag("--json", json, "one line of JSON")
                          .read(argc, argv);
    if (code) return *code;
    test::test_eal();
    TscClock::calibrate();
    const perf::Sharing found = perf::record_cores(setup);
    json ? print_json(setup, found) : print_text(setup, found);
    for (const auto& core : found.cores) {
        if (core.lost == 0 && core.accesses > uint64_t{100} * setup.requests) continue;
        std::fprintf(stderr, "line_sharing: the record is not whole: %" PRIu64 " accesses, %" PRIu64 " lost; fewer --requests or --connections, a smaller --body\n",
                     core.accesses, core.lost);
        return 2;
    }
    return found.every_round.empty() ? 0 : 1;
}
