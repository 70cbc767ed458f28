// Cost of the access log: what a worker pays to push a record, with and without headers of one's own, and what the telemetry thread
// pays for a line. Run on a quiet machine:
//   build/perf/micro_log --benchmark_min_time=0.5
// "cycles" are TSC ticks for each record in the best batch of 64; the ring is drained between batches.
#include <benchmark/benchmark.h>
#include <x86intrin.h>

#include <algorithm>
#include <array>
#include <string>

#include "telemetry/access_log_format.h"
#include "telemetry/access_log_ring.h"

namespace {

using namespace sluice;
using namespace sluice::telemetry;

constexpr int kBatch = 64;

AccessLogEntry example() {
    AccessLogEntry e;
    e.start_unix_us = 1'795'389'673'123'456;
    e.duration_us = 5'999;
    e.upstream_response_us = 4'200;
    e.method = "GET";
    e.path = "/reviews/7";
    e.original_path = "/r/7?x=1";
    e.authority = "shop.example";
    e.user_agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
    e.forwarded_for = "192.0.2.1";
    e.request_id = "0f8fad5b-d9cb-469f-a165-70867728950e";
    e.route_name = "reviews";
    e.cluster = "outbound|9080|v1|reviews.shop.svc.cluster.local";
    e.listener = "0.0.0.0_80";
    e.details = "via_upstream";
    e.status = 200;
    e.downstream_remote = {*IpAddress::parse("192.0.2.1"), 40000};
    e.downstream_local = {*IpAddress::parse("192.0.2.10"), 80};
    e.upstream_remote = {*IpAddress::parse("10.0.1.1"), 9080};
    e.upstream_local = {*IpAddress::parse("10.0.0.10"), 41000};
    return e;
}

void push(benchmark::State& state, const AccessLogEntry& entry) {
    AccessLogRing ring;
    uint64_t best = UINT64_MAX;
    for (auto _ : state) {
        const uint64_t begin = __rdtsc();
        for (int i = 0; i < kBatch; i++) ring.push(entry);
        best = std::min<uint64_t>(best, __rdtsc() - begin);
        ring.drain([](const AccessLogEntry& e) { benchmark::DoNotOptimize(e.status); });
    }
    state.counters["cycles"] = static_cast<double>(best) / kBatch;
    if (ring.dropped()) state.SkipWithError("the ring was full");
}

void Push(benchmark::State& state) { push(state, example()); }
BENCHMARK(Push);

void PushWithTwoHeaders(benchmark::State& state) {
    AccessLogEntry entry = example();
    const std::array<std::string_view, 2> captured = {"session=0123456789abcdef", "ann"};
    entry.captured = captured;
    push(state, entry);
}
BENCHMARK(PushWithTwoHeaders);

void format(benchmark::State& state, const AccessLogFormat& format) {
    const AccessLogEntry entry = example();
    std::string out;
    out.reserve(1 << 20);
    uint64_t best = UINT64_MAX;
    for (auto _ : state) {
        out.clear();
        const uint64_t begin = __rdtsc();
        for (int i = 0; i < kBatch; i++) format.format(entry, out);
        best = std::min<uint64_t>(best, __rdtsc() - begin);
        benchmark::DoNotOptimize(out.data());
    }
    state.counters["cycles"] = static_cast<double>(best) / kBatch;
}

void FormatText(benchmark::State& state) { format(state, AccessLogFormat::text()); }
void FormatJson(benchmark::State& state) { format(state, AccessLogFormat::json()); }
BENCHMARK(FormatText);
BENCHMARK(FormatJson);

}  // namespace

BENCHMARK_MAIN();
