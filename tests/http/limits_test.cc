// Bounds: every limit holds exactly, whatever the cuts, and memory that runs out is an answer and not a crash.
#include <gtest/gtest.h>

#include "tests/http/h1_driver.h"

namespace sluice::http::h1::test {
namespace {

std::string read(const std::string& bytes, const Play& play = {}) {
    const std::string whole = read_requests(bytes, {}, play);
    for (const size_t step : {1u, 1460u, 2048u, 4096u})
        EXPECT_EQ(read_requests(bytes, cut_every(bytes.size(), step), play), whole) << "cut every " << step;
    return whole;
}
bool accepted(const std::string& log) { return log.find("END\n") != log.npos; }
std::string get(std::string_view target, std::string_view fields = "") {
    return "GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n";
}

TEST(Limits, Target) {
    const Play play{.limits = {.target_bytes = 1000}};
    EXPECT_TRUE(accepted(read(get("/" + std::string(999, 'a')), play)));
    EXPECT_EQ(read(get("/" + std::string(1000, 'a')), play), "ERROR=request target is longer than the limit\n");
    EXPECT_EQ(read(get("/" + std::string(5000, 'a')), play), "ERROR=request target is longer than the limit\n");
    EXPECT_EQ(read("GET /" + std::string(5000, 'a'), play), "ERROR=request target is longer than the limit\n") << "at once, without an end";
    EXPECT_EQ(read("\r\n" + get("/" + std::string(5000, 'a')), play), "ERROR=request target is longer than the limit\n");
    const std::string longest = "/" + std::string(limits::kRequestTargetBytes - 1, 'a');
    EXPECT_TRUE(accepted(read(get(longest))));
    EXPECT_EQ(read(get(longest + "a")), "ERROR=request target is longer than the limit\n");
}

TEST(Limits, Head) {
    const std::string shortest = get("/", "X: \r\n");
    for (const uint32_t limit : {100u, 2048u, 2049u, 4096u, 5000u, limits::kRequestHeaderBytes}) {
        const Play play{.limits = {.header_bytes = limit}};
        const std::string fits = get("/", "X: " + std::string(limit - shortest.size(), 'v') + "\r\n");
        ASSERT_EQ(fits.size(), limit);
        EXPECT_TRUE(accepted(read(fits, play))) << limit;
        const std::string over = get("/", "X: " + std::string(limit - shortest.size() + 1, 'v') + "\r\n");
        EXPECT_EQ(read(over, play), "ERROR=head is larger than the limit\n") << limit;
        EXPECT_EQ(read("GET / HTTP/1.1\r\nX: " + std::string(limit * 2, 'v'), play), "ERROR=head is larger than the limit\n") << limit;
    }
}

TEST(Limits, HeadNeverAboveWhatAnArenaHolds) {
    const Play play{.limits = {.header_bytes = UINT32_MAX, .headers = UINT32_MAX, .target_bytes = UINT32_MAX}};
    EXPECT_TRUE(accepted(read(get("/", "X: " + std::string(64000, 'v') + "\r\n"), play)));
    EXPECT_EQ(read(get("/", "X: " + std::string(70000, 'v') + "\r\n"), play), "ERROR=head is larger than the limit\n");
    EXPECT_EQ(read(get("/" + std::string(70000, 'v')), play), "ERROR=head is larger than the limit\n");
}

TEST(Limits, Headers) {
    for (const uint32_t limit : {1u, 2u, 100u, 256u}) {
        const Play play{.limits = {.headers = limit}};
        std::string fields;
        for (uint32_t i = 1; i < limit; i++) fields += "N" + std::to_string(i) + ": v\r\n";
        EXPECT_TRUE(accepted(read(get("/", fields), play))) << limit;
        EXPECT_EQ(read(get("/", fields + "Z: v\r\n"), play), "ERROR=more header fields or connection options than the limit\n") << limit;
    }
}

TEST(Limits, ChunkLinesAndExtensions) {
    const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    const auto one = [&](size_t n) { return head + "1;" + std::string(n, 'e') + "\r\nx\r\n0\r\n\r\n"; };
    EXPECT_TRUE(accepted(read(one(limits::kChunkLineBytes - 3))));
    EXPECT_FALSE(accepted(read(one(limits::kChunkLineBytes))));
    EXPECT_FALSE(accepted(read(head + "1;" + std::string(100000, 'e'))));
    // A chunk of one byte with 200 of extension, again and again: refused once it is 16 KiB ahead of the data.
    std::string many = head;
    for (int i = 0; i < 200; i++) many += "1;" + std::string(200, 'e') + "\r\nx\r\n";
    const std::string log = read_requests(many, {});
    EXPECT_NE(log.find("BODY ERROR=chunk extension is malformed or too long"), log.npos) << log.substr(log.size() - 200);
    std::string fair = head;
    for (int i = 0; i < 200; i++) fair += "100;" + std::string(200, 'e') + "\r\n" + std::string(256, 'x') + "\r\n";
    EXPECT_TRUE(accepted(read_requests(fair + "0\r\n\r\n", {})));
}

TEST(Limits, Trailers) {
    const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
    const Play play{.limits = {.headers = 10, .trailer_bytes = 100}};
    EXPECT_TRUE(accepted(read(head + "X: " + std::string(93, 'v') + "\r\n\r\n", play)));
    EXPECT_FALSE(accepted(read(head + "X: " + std::string(94, 'v') + "\r\n\r\n", play)));
    std::string many = head;
    for (int i = 0; i < 10; i++) many += "X: v\r\n";
    EXPECT_TRUE(accepted(read(many + "\r\n", play)));
    EXPECT_FALSE(accepted(read(many + "X: v\r\n\r\n", play)));
}

// One chunk more each round, until it is enough: every shortage before is kArenaFull or a refusal of the body's trailers.
TEST(Limits, ArenaRunsOut) {
    std::string fields;
    for (int i = 0; i < 90; i++) fields += "Name-" + std::to_string(i) + ": " + std::string(60, 'v') + "\r\n";
    const std::string bytes = "POST /a/../b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" + fields + "\r\n1\r\nx\r\n0\r\nT: " +
                              std::string(2000, 't') + "\r\n\r\n";
    for (const size_t step : {100000u, 1000u, 1u}) {
        unsigned refused = 0;
        for (uint32_t arena_bytes = 0;; arena_bytes += 4096) {
            ASSERT_LT(arena_bytes, 400'000u);
            const std::string log = read_requests(bytes, cut_every(bytes.size(), step), {.arena_bytes = arena_bytes});
            if (accepted(log)) break;
            EXPECT_NE(log.find("no memory left for this message"), log.npos) << log;
            refused++;
        }
        EXPECT_GT(refused, 1u);
    }
}

}  // namespace
}  // namespace sluice::http::h1::test
