// Where responses end: by length, by chunks, by close, after interim ones; the same however the bytes are cut.
#include "perf/load_generator/response_reader.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice::perf {
namespace {

using State = ResponseReader::State;

struct Seen {
    int done = 0;
    State last = State::kMore;
    size_t used = 0;
    uint16_t status = 0;
    bool close = false;
    bool operator==(const Seen&) const = default;
};

/// Feeds in pieces of `cut` bytes until the end or an error.
Seen read(ResponseReader& reader, const std::string& text, size_t cut) {
    Seen seen;
    const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
    for (size_t at = 0; at < text.size() && seen.last != State::kBad;) {
        const size_t n = std::min(cut, text.size() - at);
        for (size_t in = 0; in < n && seen.last != State::kBad;) {
            const auto step = reader.take({bytes + at + in, n - in});
            in += step.used;
            seen.used += step.used;
            seen.last = step.state;
            if (step.state == State::kDone) seen.done++, seen.status = reader.status(), seen.close = reader.close();
            if (step.used == 0 && step.state == State::kMore) ADD_FAILURE() << "stands still";
        }
        at += n;
    }
    return seen;
}

Seen read_all_ways(const std::string& text) {
    ResponseReader whole;
    const Seen seen = read(whole, text, text.size());
    for (size_t cut = 1; cut <= 64; cut++) {
        ResponseReader reader;
        EXPECT_EQ(read(reader, text, cut), seen) << "cut " << cut << " of " << text;
    }
    return seen;
}

TEST(ResponseReader, ByLength) {
    const Seen seen = read_all_ways("HTTP/1.1 200 OK\r\nServer: x\r\nCONTENT-LENGTH: 5\r\n\r\nhelloHTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    EXPECT_EQ(seen.done, 2);
    EXPECT_EQ(seen.status, 404);
    EXPECT_FALSE(seen.close);
}

TEST(ResponseReader, ByChunks) {
    const Seen seen = read_all_ways("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n1A;ext=\"1\"\r\nabcdefghijklmnopqrstuvwxyz\r\n"
                                    "0\r\ntrailer: yes\r\n\r\nHTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
    EXPECT_EQ(seen.done, 2);
    EXPECT_EQ(seen.status, 503);
}

TEST(ResponseReader, WithoutABody) {
    EXPECT_EQ(read_all_ways("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n").done, 2);
}

TEST(ResponseReader, InterimResponsesAreNoAnswers) {
    const Seen seen = read_all_ways("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    EXPECT_EQ(seen.done, 1);
    EXPECT_EQ(seen.status, 200);
}

TEST(ResponseReader, ConnectionsThatEnd) {
    EXPECT_TRUE(read_all_ways("HTTP/1.1 200 OK\r\nConnection: close\r\ncontent-length: 0\r\n\r\n").close);
    EXPECT_TRUE(read_all_ways("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n").close);
    EXPECT_FALSE(read_all_ways("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n").close);
    ResponseReader reader;
    EXPECT_EQ(read(reader, "HTTP/1.1 200 OK\r\n\r\nuntil the end", 7).done, 0);
    EXPECT_TRUE(reader.ends_at_close());
    EXPECT_TRUE(reader.close());
}

TEST(ResponseReader, WhatIsNoResponseIsSaidToBeNone) {
    for (const std::string text : {"nonsense\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
                                   "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\n", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n"}) {
        ResponseReader reader;
        EXPECT_EQ(read(reader, text, text.size()).last, State::kBad) << text;
    }
    ResponseReader reader;
    EXPECT_EQ(read(reader, "HTTP/1.1 200 OK\r\nx: " + std::string(5000, 'y'), 100).last, State::kBad) << "a head without an end";
}

}  // namespace
}  // namespace sluice::perf
