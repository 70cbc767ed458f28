// Cost of a route look-up for tables of 1, 1,000 and 100,000 routes: the claim is that it does not grow. Run on a quiet machine:
//   build/perf/micro_route --benchmark_min_time=0.5
// "hot" asks for one route again and again: the work itself. "spread" walks over all routes, so a large table also pays for the
// cache misses that any structure of its size pays once per request. "cycles" are TSC ticks per look-up in the best batch of 64.
// "mesh" is a whole mesh's table: virtual hosts of ten routes each; of "mixed" ten the ninth is a regex and the last asks for a
// header on any path. "last" asks for the table's last route, "uniform" for any at random, "cold" for any at random when the caches
// hold something else ("cycles" is then the median of single look-ups, the time-stamp counter's own 20 or so included).
#include <benchmark/benchmark.h>
#include <x86intrin.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/arena.h"
#include "base/rng.h"
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

constexpr long kRoutesOfHost = 10;

RouteMatch mesh_match(bool mixed, long i) {
    RouteMatch match;
    match.path_text = "/service-" + std::to_string(i) + "/";
    if (mixed && i == kRoutesOfHost - 2) {
        match.path = RouteMatch::Path::kRegex;
        match.path_text = "/service-" + std::to_string(i) + "/[a-z]+(/[0-9]+)?";
    } else if (mixed && i == kRoutesOfHost - 1) {
        match.path_text = "/";
        match.headers.push_back({"x-user", {StringMatch::Kind::kExact, "tester"}});
    }
    return match;
}

/// A request for route `i` of host `host`, as the routes above have it.
Ask mesh_ask(bool mixed, long host, long i) {
    const std::string authority = "host-" + std::to_string(host) + ".shop.example";
    if (mixed && i == kRoutesOfHost - 1) return {authority, "/other/items?x=1", "tester"};
    return {authority, "/service-" + std::to_string(i) + "/items?x=1", "user-7"};
}

std::shared_ptr<const RouteTable> mesh_table(bool mixed, long routes) {
    std::vector<VirtualHostInput> hosts(static_cast<size_t>(std::max(1L, routes / kRoutesOfHost)));
    for (size_t h = 0; h < hosts.size(); h++) {
        hosts[h].virtual_host.domains = {"host-" + std::to_string(h) + ".shop.example"};
        for (long i = 0; i < std::min(routes, kRoutesOfHost); i++) {
            hosts[h].virtual_host.routes.emplace_back().clusters.emplace_back();
            hosts[h].matches.push_back(mesh_match(mixed, i));
        }
    }
    auto built = RouteTable::build("bench", std::move(hosts), {}, {});
    if (!built) std::abort();
    return *built;
}

/// The request at hand and the table that is asked.
class Bench {
 public:
    /// `make` builds the table: again, once what it had to go without is compiled.
    template <typename Make>
    explicit Bench(Make&& make) : table_(make()) {
        while (table_->pending_shards() != 0) {
            if (table_->could_adopt()) table_ = make();
        }
        if (!table_->prepare_scratch(scratch_)) std::abort();
        request_.method_text = "GET";
        constexpr std::string_view kNames[] = {"user-agent", "accept", "x-request-id", "x-user"};
        for (std::string_view name : kNames) {
            if (!request_.headers.add(name, "curl/7.88.1")) std::abort();
        }
    }
    Found find(const Ask& ask) {
        request_.authority = ask.authority;
        request_.path = ask.path;
        request_.headers.items()[3].value = ask.user;
        const Found found = table_->find(request_, scratch_);
        if (!found.route) std::abort();
        return found;
    }
    void warm(benchmark::State& state, const std::vector<Ask>& asks) {
        size_t next = 0;
        uint64_t best = UINT64_MAX;
        while (state.KeepRunningBatch(64)) {
            const uint64_t start = __rdtsc();
            for (int i = 0; i < 64; i++) {
                benchmark::DoNotOptimize(find(asks[next]));
                next = next + 1 == asks.size() ? 0 : next + 1;
            }
            best = std::min<uint64_t>(best, __rdtsc() - start);
        }
        state.counters["cycles"] = static_cast<double>(best) / 64;
    }
    /// `ask()` makes the next request: its text is in the caches as that of a request just received, and takes no room in them. The
    /// figure is the median of batches: with keys at random the best one is a lucky one.
    template <typename MakeAsk>
    void at_random(benchmark::State& state, MakeAsk&& ask) {
        constexpr size_t kBatch = 16;
        std::vector<Ask> asks(kBatch);
        std::vector<uint64_t> taken;
        while (state.KeepRunningBatch(kBatch)) {
            for (Ask& one : asks) one = ask();
            const uint64_t start = __rdtsc();
            for (const Ask& one : asks) benchmark::DoNotOptimize(find(one));
            taken.push_back(__rdtsc() - start);
        }
        std::nth_element(taken.begin(), taken.begin() + static_cast<long>(taken.size() / 2), taken.end());
        state.counters["cycles"] = static_cast<double>(taken[taken.size() / 2]) / kBatch;
    }
    /// Each look-up after more memory was touched than the caches of this core hold; the request itself is warm.
    void cold(benchmark::State& state, const std::vector<Ask>& asks) {
        std::vector<uint64_t> other(64 * 1024 * 1024 / sizeof(uint64_t), 1), taken;
        uint64_t sum = 0;
        size_t next = 0;
        for (auto _ : state) {
            for (size_t i = 0; i < other.size(); i += 8) sum += other[i]++;
            const Ask& ask = asks[next];
            next = next + 1 == asks.size() ? 0 : next + 1;
            for (char c : ask.authority + ask.path + ask.user) sum += static_cast<uint64_t>(c);
            benchmark::DoNotOptimize(sum);
            const uint64_t start = __rdtsc();
            benchmark::DoNotOptimize(find(ask));
            taken.push_back(__rdtsc() - start);
        }
        std::sort(taken.begin(), taken.end());
        state.counters["cycles"] = static_cast<double>(taken[taken.size() / 2]);
    }

 private:
    std::shared_ptr<const RouteTable> table_;
    Scratch scratch_;
    ArenaChunkPool chunks_{4};
    Arena arena_{chunks_};
    http::Request request_{arena_};
};

void look_up(benchmark::State& state, Shape shape, bool spread) {
    const long routes = state.range(0);
    Bench bench([&] { return table_of(shape, routes); });
    std::vector<Ask> asks;
    for (long n = 0; n < (spread ? std::min(routes, 100'000L) : 1); n++) {
        const long i = spread ? n * 7919 % routes : routes / 2;
        asks.push_back({shape == Shape::kHost ? "host-" + std::to_string(i) + ".example" : std::string("shop.example"),
                        path_of(shape, i) + "?x=1", "user-" + std::to_string(i)});
    }
    bench.warm(state, asks);
}

enum class Key { kLast, kUniform, kCold };

void mesh(benchmark::State& state, bool mixed, Key key) {
    const long routes = state.range(0);
    const long hosts = std::max(1L, routes / kRoutesOfHost), of_host = std::min(routes, kRoutesOfHost);
    Bench bench([&] { return mesh_table(mixed, routes); });
    Rng rng(20261127);
    const auto any = [&] {
        return mesh_ask(mixed, static_cast<long>(rng.below(static_cast<uint64_t>(hosts))), static_cast<long>(rng.below(static_cast<uint64_t>(of_host))));
    };
    if (key == Key::kUniform) return bench.at_random(state, any);
    if (key == Key::kLast) return bench.warm(state, {mesh_ask(mixed, hosts - 1, of_host - 1)});
    std::vector<Ask> asks(200);
    for (Ask& ask : asks) ask = any();
    bench.cold(state, asks);
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
BENCHMARK_CAPTURE(mesh, last, false, Key::kLast) SIZES;
BENCHMARK_CAPTURE(mesh, uniform, false, Key::kUniform) SIZES;
BENCHMARK_CAPTURE(mesh, mixed_last, true, Key::kLast) SIZES;
BENCHMARK_CAPTURE(mesh, mixed_uniform, true, Key::kUniform) SIZES;
BENCHMARK_CAPTURE(mesh, cold, false, Key::kCold) SIZES->Iterations(200);
BENCHMARK_CAPTURE(mesh, mixed_cold, true, Key::kCold) SIZES->Iterations(200);

}  // namespace

BENCHMARK_MAIN();
