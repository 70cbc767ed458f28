// Cost of a route look-up for tables of 1, 1,000 and 100,000 routes: the claim is that it does not grow. Run on a quiet machine:
//   build/perf/micro_route --benchmark_min_time=0.5
// "hot" asks for one route again and again: the work itself. "spread" walks over all routes, so a large table also pays for the
// cache misses that any structure of its size pays once per request. "cycles" are TSC ticks per look-up in the best batch of 64.
#include <benchmark/benchmark.h>
#include <x86intrin.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/arena.h"
#include "http/message.h"
#include "route/route_table.h"

namespace {

using namespace sluice;
using namespace sluice::route;

enum class Shape { kPrefix, kNestedPrefix, kExact, kHeader, kHost, kRegex };

std::string path_of(Shape shape, long i) {
    switch (shape) {
        case Shape::kNestedPrefix: return "/api/v" + std::to_string(i % 3) + "/team-" + std::to_string(i % 97) + "/service-" + std::to_string(i);
        case Shape::kHeader:
        case Shape::kHost: return "/";
        default: return "/service-" + std::to_string(100'000 + i) + "/items";
    }
}

RouteMatch match_of(Shape shape, long i) {
    RouteMatch match;
    match.path_text = path_of(shape, i);
    if (shape == Shape::kExact) match.path = RouteMatch::Path::kExact;
    if (shape == Shape::kRegex) {
        match.path = RouteMatch::Path::kRegex;
        match.path_text += "(/[0-9]+)?";
    }
    if (shape == Shape::kHeader) {
        StringMatch equal;
        equal.kind = StringMatch::Kind::kExact;
        equal.text = "user-" + std::to_string(i);
        match.headers.push_back({"x-user", equal});
    }
    return match;
}

std::shared_ptr<const RouteTable> table_of(Shape shape, long routes) {
    std::vector<VirtualHostInput> hosts(shape == Shape::kHost ? static_cast<size_t>(routes) : 1);
    for (long i = 0; i < routes; i++) {
        VirtualHostInput& host = hosts[shape == Shape::kHost ? static_cast<size_t>(i) : 0];
        host.virtual_host.routes.emplace_back().clusters.emplace_back();
        host.matches.push_back(match_of(shape, i));
    }
    for (size_t i = 0; i < hosts.size(); i++) {
        hosts[i].virtual_host.domains = {shape == Shape::kHost ? "host-" + std::to_string(i) + ".example" : std::string("shop.example")};
    }
    auto built = RouteTable::build("bench", std::move(hosts), {}, {});
    if (!built) std::abort();
    return *built;
}

/// What the look-up sees of a request; texts live outside.
struct Ask {
    std::string authority, path, user;
};

void look_up(benchmark::State& state, Shape shape, bool spread) {
    const long routes = state.range(0);
    auto table = table_of(shape, routes);
    while (table->pending_shards() != 0) {
        if (table->could_adopt()) table = table_of(shape, routes);
    }
    Scratch scratch;
    if (!table->prepare_scratch(scratch)) std::abort();
    std::vector<Ask> asks;
    for (long n = 0; n < (spread ? std::min(routes, 100'000L) : 1); n++) {
        const long i = spread ? n * 7919 % routes : routes / 2;
        asks.push_back({shape == Shape::kHost ? "host-" + std::to_string(i) + ".example" : std::string("shop.example"),
                        path_of(shape, i) + "?x=1", "user-" + std::to_string(i)});
    }
    ArenaChunkPool chunks(4);
    Arena arena(chunks);
    http::Request request(arena);
    request.method_text = "GET";
    constexpr std::string_view kNames[] = {"user-agent", "accept", "x-request-id", "x-user"};
    for (std::string_view name : kNames) {
        if (!request.headers.add(name, "curl/7.88.1")) std::abort();
    }
    size_t next = 0;
    uint64_t best = UINT64_MAX;
    while (state.KeepRunningBatch(64)) {
        const uint64_t start = __rdtsc();
        for (int i = 0; i < 64; i++) {
            const Ask& ask = asks[next];
            next = next + 1 == asks.size() ? 0 : next + 1;
            request.authority = ask.authority;
            request.path = ask.path;
            request.headers.items()[3].value = ask.user;
            const Found found = table->find(request, scratch);
            if (!found.route) std::abort();
            benchmark::DoNotOptimize(found);
        }
        best = std::min<uint64_t>(best, __rdtsc() - start);
    }
    state.counters["cycles"] = static_cast<double>(best) / 64;
}

#define SIZES ->Arg(1)->Arg(1'000)->Arg(100'000)
BENCHMARK_CAPTURE(look_up, prefix_hot, Shape::kPrefix, false) SIZES;
BENCHMARK_CAPTURE(look_up, prefix_spread, Shape::kPrefix, true) SIZES;
BENCHMARK_CAPTURE(look_up, nested_prefix_hot, Shape::kNestedPrefix, false) SIZES;
BENCHMARK_CAPTURE(look_up, exact_hot, Shape::kExact, false) SIZES;
BENCHMARK_CAPTURE(look_up, exact_spread, Shape::kExact, true) SIZES;
BENCHMARK_CAPTURE(look_up, header_hot, Shape::kHeader, false) SIZES;
BENCHMARK_CAPTURE(look_up, host_hot, Shape::kHost, false) SIZES;
BENCHMARK_CAPTURE(look_up, host_spread, Shape::kHost, true) SIZES;
BENCHMARK_CAPTURE(look_up, regex_hot, Shape::kRegex, false)->Arg(1)->Arg(64)->Arg(1'000);

}  // namespace

BENCHMARK_MAIN();
