// Cycles per head of the HTTP/1 reader and writer, on one core with everything in its cache. Run on a quiet machine:
//   build/perf/micro_http1 --benchmark_min_time=0.5
// "cycles" are TSC ticks per head in the best batch of 64: what the work costs when nobody else has the core. Requests are of the
// sizes that clients send; every head is read into a fresh arena.
#include <benchmark/benchmark.h>
#include <x86intrin.h>

#include <cstdlib>
#include <string>

#include "http/h1/codec.h"
#include "tests/support/eal.h"

namespace {

using namespace sluice;
using namespace sluice::http;

const std::string kCurl = "GET /productpage HTTP/1.1\r\nHost: bookinfo.example.com\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n";
const std::string kTypical =
    "GET /api/v1/reviews/42?lang=en&page=3 HTTP/1.1\r\nHost: reviews.default.svc.cluster.local:9080\r\nUser-Agent: Go-http-client/1.1\r\n"
    "Accept: application/json\r\nAccept-Encoding: gzip\r\nX-Request-Id: 6f1c3c2e-9d55-4b0e-8f57-0c7b4a3d9e21\r\n"
    "X-Forwarded-For: 10.0.0.1\r\nCache-Control: no-cache\r\n\r\n";
const std::string kBrowser =
    "GET /static/../static/js/app.min.js?v=20261122 HTTP/1.1\r\nHost: www.example.com\r\nConnection: keep-alive\r\n"
    "sec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\nsec-ch-ua-mobile: ?0\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\n"
    "sec-ch-ua-platform: \"Linux\"\r\nAccept: */*\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: script\r\n"
    "Referer: https://www.example.com/\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=1\r\n\r\n";
const std::string kNginx =
    "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 23:15:13 GMT\r\nContent-Type: application/json\r\nContent-Length: 1024\r\n"
    "Last-Modified: Sun, 22 Nov 2026 20:00:00 GMT\r\nConnection: keep-alive\r\nETag: \"65f1-400\"\r\nAccept-Ranges: bytes\r\n\r\n";

Slice make_slice(std::string_view text) {
    rte_mbuf* m = rte_pktmbuf_alloc(test::test_mempool());
    char* at = m ? rte_pktmbuf_append(m, static_cast<uint16_t>(text.size())) : nullptr;
    if (!at) std::abort();
    std::memcpy(at, text.data(), text.size());
    return Slice(m, m->data_off, static_cast<uint32_t>(text.size()));
}

// Times batches and keeps the best.
class BestBatch {
 public:
    explicit BestBatch(benchmark::State& state) : state_(state) {}
    ~BestBatch() { state_.counters["cycles"] = static_cast<double>(best_) / kBatch; }
    template <typename Work>
    void run(Work work) {
        const uint64_t start = __rdtsc();
        for (int i = 0; i < kBatch; i++) work();
        const uint64_t cycles = __rdtsc() - start;
        if (cycles < best_) best_ = cycles;
    }

 private:
    static constexpr int kBatch = 64;
    benchmark::State& state_;
    uint64_t best_ = UINT64_MAX;
};

template <typename Message, typename Read>
void read_heads(benchmark::State& state, const std::string& text, h1::HeadReader::Kind kind, bool in_two, Read read) {
    test::test_eal();
    ArenaChunkPool chunks(64);
    SliceNodePool nodes(64);
    h1::HeadReader reader(kind, {});
    const Slice slice = make_slice(text);
    SliceQueue in(nodes);
    const auto half = static_cast<uint32_t>(text.size() / 2);
    BestBatch batch(state);
    for (auto _ : state) {
        batch.run([&] {
            Arena arena(chunks);
            Message message(arena);
            bool pushed = in.push_back(in_two ? slice.share(0, half) : slice.share());
            if (in_two) pushed = pushed && in.push_back(slice.share(half, slice.size() - half));
            reader.start();
            if (!pushed || read(reader, in, message) != h1::Status::kDone) std::abort();
            benchmark::DoNotOptimize(message);
        });
    }
    state.counters["head_bytes"] = static_cast<double>(text.size());
}

void read_request(benchmark::State& state, const std::string& text, bool in_two) {
    read_heads<Request>(state, text, h1::HeadReader::Kind::kRequest, in_two,
                        [](h1::HeadReader& reader, SliceQueue& in, Request& request) { return reader.read_request(in, request); });
}
BENCHMARK_CAPTURE(read_request, curl, kCurl, false);
BENCHMARK_CAPTURE(read_request, typical, kTypical, false);
BENCHMARK_CAPTURE(read_request, typical_in_two_slices, kTypical, true);
BENCHMARK_CAPTURE(read_request, browser, kBrowser, false);

void read_response(benchmark::State& state, const std::string& text) {
    read_heads<Response>(state, text, h1::HeadReader::Kind::kResponse, false, [](h1::HeadReader& reader, SliceQueue& in, Response& response) {
        return reader.read_response(in, response, Method::kGet);
    });
}
BENCHMARK_CAPTURE(read_response, nginx, kNginx);

void write_request(benchmark::State& state, const std::string& text) {
    test::test_eal();
    ArenaChunkPool chunks(64);
    SliceNodePool nodes(64);
    Arena arena(chunks);
    Request request(arena);
    h1::HeadReader reader(h1::HeadReader::Kind::kRequest, {});
    SliceQueue in(nodes), out(nodes);
    if (!in.push_back(make_slice(text)) || reader.read_request(in, request) != h1::Status::kDone) std::abort();
    BestBatch batch(state);
    for (auto _ : state) {
        batch.run([&] {
            if (!h1::write_request(request, Framing::kNone, 0, false, test::test_mempool(), out)) std::abort();
            out.clear();
        });
    }
}
BENCHMARK_CAPTURE(write_request, typical, kTypical);
BENCHMARK_CAPTURE(write_request, browser, kBrowser);

}  // namespace

BENCHMARK_MAIN();
