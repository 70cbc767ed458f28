// Bodies that are right: moved without copying, in steps, with extensions and trailers; and how they end early.
#include <gtest/gtest.h>

#include "tests/http/h1_driver.h"

namespace sluice::http::h1::test {
namespace {

std::string chunked(std::string_view body, const Play& play = {}) {
    return read_requests("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(body), {}, play);
}
std::string after_head(const std::string& log) { return log.substr(log.find("body=")); }

TEST(BodyReader, Chunks) {
    EXPECT_EQ(after_head(chunked("0\r\n\r\n")), "body=\nconsumed=5\nEND\n");
    EXPECT_EQ(after_head(chunked("000\r\n\r\n")), "body=\nconsumed=7\nEND\n");
    EXPECT_EQ(after_head(chunked("5\r\nhello\r\n00000000000000A\r\n0123456789\r\n0\r\n\r\n")), "body=hello0123456789\nconsumed=44\nEND\n");
    EXPECT_EQ(after_head(chunked("5;a\r\nhello\r\n1;a=b;c=\"d \\\" ;\t\xff\";e\r\n!\r\n0;last\r\n\r\n")), "body=hello!\nconsumed=47\nEND\n");
    EXPECT_EQ(after_head(chunked("a\r\n\r\n0\r\n\r\n123\r\n0\r\n\r\n")), "body=\r\n0\r\n\r\n123\nconsumed=20\nEND\n");
}

TEST(BodyReader, Trailers) {
    EXPECT_EQ(after_head(chunked("0\r\nX-A: 1\r\nGrpc-Status:0\r\nX-E:\r\nX-S: \t a b \t\r\n\r\n")),
              "body=\ntrailer X-A: [1]\ntrailer Grpc-Status: [0]\ntrailer X-E: []\ntrailer X-S: [a b]\nconsumed=48\nEND\n");
    EXPECT_EQ(after_head(chunked("0\r\nX-A: 1\r\n\r\n", {.keep_trailers = false})), "body=\nconsumed=13\nEND\n");
    EXPECT_EQ(after_head(chunked("0\r\nHost: 1\r\n\r\n", {.keep_trailers = false})), "body=\nBODY ERROR=trailer is malformed or not allowed as one\n");
    const std::string name(500, 'n'), value(3000, 'v');
    EXPECT_EQ(after_head(chunked("0\r\na: b\r\n" + name + ": " + value + "\r\nc: d\r\n\r\n")),
              "body=\ntrailer a: [b]\ntrailer " + name + ": [" + value + "]\ntrailer c: [d]\nconsumed=3521\nEND\n");
}

TEST(BodyReader, EndsEarly) {
    for (const char* part : {"", "5", "5\r", "5\r\n", "5\r\nhel", "5\r\nhello", "5\r\nhello\r\n", "0\r\n", "0\r\nX: y\r\n", "0\r\n\r"})
        EXPECT_NE(chunked(part).find("BODY ERROR=peer closed in the middle of a message\n"), std::string::npos) << part;
}

class BodyReaderTest : public testing::Test {
 protected:
    Memory memory;
    ArenaChunkPool& chunks = memory.chunks;
    Arena arena{chunks};
};

TEST_F(BodyReaderTest, MovesSlicesWithoutCopying) {
    SliceQueue in(memory.nodes), out(memory.nodes);
    push(in, "5\r\nhello\r\n0\r\n\r\nGET");
    const uint8_t* bytes = in.front().data();
    BodyReader body;
    body.start(Framing::kChunked, 0, {});
    uint64_t consumed = 0;
    EXPECT_EQ(body.read(in, out, UINT64_MAX, nullptr, &consumed), Status::kDone);
    EXPECT_EQ(out.front().data(), bytes + 3);
    EXPECT_EQ(text_of(out), "hello");
    EXPECT_EQ(text_of(in), "GET");
    EXPECT_EQ(consumed, 15u);
    EXPECT_EQ(body.read(in, out, UINT64_MAX, nullptr, &consumed), Status::kDone) << "done stays done";
    EXPECT_EQ(text_of(in), "GET");
}

TEST_F(BodyReaderTest, MovesAtMostMaxBytes) {
    for (const Framing framing : {Framing::kLength, Framing::kChunked, Framing::kUntilClose}) {
        SliceQueue in(memory.nodes), out(memory.nodes);
        push(in, framing == Framing::kChunked ? "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n" : "abcdef");
        BodyReader body;
        body.start(framing, 6, {});
        uint64_t consumed = 0;
        EXPECT_EQ(body.read(in, out, 0, nullptr, &consumed), Status::kNeedMore);
        EXPECT_EQ(out.bytes(), 0u);
        EXPECT_EQ(body.read(in, out, 4, nullptr, &consumed), Status::kNeedMore);
        EXPECT_EQ(text_of(out), "abcd");
        const Status status = body.read(in, out, 4, nullptr, &consumed);
        EXPECT_EQ(status, framing == Framing::kUntilClose ? Status::kNeedMore : Status::kDone);
        EXPECT_EQ(text_of(out), "abcdef");
        EXPECT_EQ(body.end_of_stream(), Status::kDone);
        EXPECT_TRUE(body.done());
    }
}

TEST_F(BodyReaderTest, NothingToReadIsDone) {
    SliceQueue in(memory.nodes), out(memory.nodes);
    push(in, "next");
    uint64_t consumed = 0;
    BodyReader body;
    EXPECT_TRUE(body.done());
    for (const Framing framing : {Framing::kNone, Framing::kLength}) {
        body.start(framing, 0, {});
        EXPECT_TRUE(body.done());
        EXPECT_EQ(body.read(in, out, UINT64_MAX, nullptr, &consumed), Status::kDone);
    }
    EXPECT_EQ(consumed, 0u);
    EXPECT_EQ(text_of(in), "next");
}

TEST_F(BodyReaderTest, FailsWithoutNodes) {
    SliceNodePool few(1);
    SliceQueue in(few), out(few);
    push(in, "abcdef");
    BodyReader body;
    body.start(Framing::kLength, 3, {});
    uint64_t consumed = 0;
    EXPECT_EQ(body.read(in, out, UINT64_MAX, nullptr, &consumed), Status::kError) << "cutting the slice needs a second node";
    EXPECT_EQ(body.error(), Error::kArenaFull);
    EXPECT_EQ(consumed, 0u);
}

TEST_F(BodyReaderTest, FailsWithoutArena) {
    ArenaChunkPool none(0, 0);
    Arena empty(none);
    HeaderList trailers(empty);
    SliceQueue in(memory.nodes), out(memory.nodes);
    push(in, "0\r\na: b\r\n\r\n");
    BodyReader body;
    body.start(Framing::kChunked, 0, {});
    uint64_t consumed = 0;
    EXPECT_EQ(body.read(in, out, UINT64_MAX, &trailers, &consumed), Status::kError);
    EXPECT_EQ(body.error(), Error::kArenaFull);
}

}  // namespace
}  // namespace sluice::http::h1::test
