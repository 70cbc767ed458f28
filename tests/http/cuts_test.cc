// The same bytes whole, byte by byte, in two pieces at every place and cut at random must read the same.
// A seed from the environment repeats a run: SLUICE_SEED=N build/tests/http/http_test --gtest_filter='Cuts.*'
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>

#include "tests/http/h1_driver.h"

namespace sluice::http::h1::test {
namespace {

using namespace std::string_view_literals;

const std::string_view kStreams[] = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "\r\nGET /a/../b?c HTTP/1.1\r\nHost: a:80\r\nUser-Agent: x\r\nAccept: */*\r\n\r\nGET /2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello worldGET / HTTP/1.1\r\nHost: b\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=\"y\\\"\"\r\nhello\r\n6\r\n world\r\n0\r\nX-T: v \r\nY: z\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\n0\r\n\r\n",
    "GET http://h:1/x HTTP/1.1\r\nHost: h\r\nA: b\r\nC : d\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: y\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n"sv,
    "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab",
};

const std::string_view kResponses[] = {
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 204 No\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nServer: x\r\n\r\n3\r\nabc\r\n0\r\n\r\nHTTP/1.0 200 OK\r\n\r\nuntil the end",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
};

uint64_t start_seed() {
    if (const char* given = std::getenv("SLUICE_SEED")) return std::strtoull(given, nullptr, 10);
    return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

using Read = std::string (*)(std::string_view, std::span<const size_t>, const Play&);

void expect_same(Read read, std::string_view bytes, uint64_t& seed) {
    const std::string whole = read(bytes, {}, {});
    for (size_t step = 1; step < 70; step++) ASSERT_EQ(read(bytes, cut_every(bytes.size(), step), {}), whole) << step;
    for (size_t at = 1; at < bytes.size(); at++) ASSERT_EQ(read(bytes, std::span(&at, 1), {}), whole) << "cut at " << at;
    for (int i = 0; i < 100; i++) ASSERT_EQ(read(bytes, cut_at_random(bytes.size(), seed), {.body_step = 1 + next_random(seed) % 9}), whole);
    // Every prefix: whole and byte by byte agree on how far a truncated stream got.
    for (size_t n = 0; n < bytes.size(); n++)
        ASSERT_EQ(read(bytes.substr(0, n), cut_every(n, 1), {}), read(bytes.substr(0, n), {}, {})) << "first " << n;
}

TEST(Cuts, KnownStreams) {
    uint64_t seed = start_seed();
    SCOPED_TRACE("SLUICE_SEED=" + std::to_string(seed));
    for (const auto bytes : kStreams) expect_same(read_requests, bytes, seed);
    for (const auto bytes : kResponses) expect_same(read_responses, bytes, seed);
}

// Known streams with a few bytes replaced, removed, doubled: mostly wrong, often at a place nobody thought of.
TEST(Cuts, MutatedStreams) {
    uint64_t seed = start_seed();
    const uint64_t first = seed;
    std::printf("repeat: SLUICE_SEED=%llu http_test --gtest_filter=Cuts.MutatedStreams\n", static_cast<unsigned long long>(seed));
    for (int i = 0; i < 6000; i++) {
        const bool response = next_random(seed) % 4 == 0;
        std::string bytes(response ? kResponses[next_random(seed) % std::size(kResponses)] : kStreams[next_random(seed) % std::size(kStreams)]);
        mutate(bytes, seed);
        const Read read = response ? static_cast<Read>(read_responses) : static_cast<Read>(read_requests);
        const std::string whole = read(bytes, {}, {});
        ASSERT_EQ(read(bytes, cut_every(bytes.size(), 1), {}), whole) << "seed " << first << ": " << testing::PrintToString(bytes);
        ASSERT_EQ(read(bytes, cut_at_random(bytes.size(), seed), {.body_step = 3}), whole) << "seed " << first << ": " << testing::PrintToString(bytes);
    }
}

}  // namespace
}  // namespace sluice::http::h1::test
