// Responses: framing by request method and status (RFC 9112 6.3), keep-alive, and what an upstream may not send.
#include <gtest/gtest.h>

#include "tests/http/h1_driver.h"

namespace sluice::http::h1::test {
namespace {

std::string read(std::string_view bytes, Method method = Method::kGet, bool until_close = true) {
    return read_responses(bytes, {}, {.until_close = until_close, .request_method = method});
}

std::string error(std::string_view bytes, Method method = Method::kGet) {
    const std::string log = read(bytes, method);
    const size_t at = log.find("ERROR=");
    return at == log.npos ? log : log.substr(at + 6, log.size() - at - 7);
}

#define EXPECT_HAS(log, text) EXPECT_NE((log).find(text), std::string::npos) << (log)

TEST(ResponseHead, IsReadWhole) {
    EXPECT_EQ(read("HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 2\r\nHost: odd\r\n\r\nok"),
              "RESPONSE\nstatus=200\nversion=1.1\nframing=length\nlength=2\nkeep-alive\nheader Server: [nginx]\nheader Content-Length: [2]\n"
              "header Host: [odd]\nhead-bytes=64\nbody=ok\nconsumed=2\nEND\n");
    EXPECT_HAS(read("HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n"), "status=404\n");
    EXPECT_HAS(read("HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n"), "status=404\n");
    EXPECT_HAS(read("HTTP/1.1 999 caf\xc3\xa9 \t!\r\nContent-Length: 0\r\n\r\n"), "status=999\n");
}

TEST(ResponseHead, FramingRules) {
    EXPECT_HAS(read("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", Method::kHead), "framing=none\nlength=9\nkeep-alive\n");
    EXPECT_HAS(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Method::kHead), "framing=none\n");
    EXPECT_HAS(read("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"), "framing=none\nlength=9\nkeep-alive\n");
    EXPECT_HAS(read("HTTP/1.1 204 No Content\r\n\r\n"), "framing=none\nlength=0\nkeep-alive\n");
    EXPECT_HAS(read("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"), "keep-alive\n");
    EXPECT_HAS(read("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"), "framing=none\nlength=5\nclose\n");
    EXPECT_HAS(read("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"), "framing=none\nlength=0\nclose\n");
    EXPECT_HAS(read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Method::kConnect), "framing=none\n");
    EXPECT_HAS(read("HTTP/1.1 407 No\r\nContent-Length: 5\r\n\r\nhello", Method::kConnect), "framing=length\n");
    EXPECT_HAS(read("HTTP/1.1 200 OK\r\n\r\nhello"), "framing=until-close\nlength=0\nclose\nhead-bytes=19\nbody=hello\nconsumed=5\nEND\n");
    EXPECT_HAS(read("HTTP/1.1 200 OK\r\n\r\nhello", Method::kGet, false), "body=hello\nBODY INCOMPLETE\n");
    EXPECT_HAS(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), "framing=chunked\nlength=0\nkeep-alive\n");
    EXPECT_HAS(read("HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n"), "framing=length\n");
}

TEST(ResponseHead, InterimThenFinal) {
    const std::string log = read("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    EXPECT_HAS(log, "status=100\n");
    EXPECT_HAS(log, "status=103\n");
    EXPECT_HAS(log, "status=200\n");
    EXPECT_EQ(error("HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n"), "content-length is not a plain number, or not allowed here");
    EXPECT_EQ(error("HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n"), "transfer-encoding is not exactly \"chunked\", or not allowed here");
    EXPECT_EQ(error("HTTP/1.1 101 Switching Protocols\r\n\r\n"), "upgrade is malformed or missing on a 101");
    EXPECT_EQ(error("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"), "upgrade is malformed or missing on a 101");
    EXPECT_HAS(read("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nraw"), "CLOSED=3\n");
}

TEST(ResponseHead, KeepAlive) {
    EXPECT_HAS(read("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"), "close\n");
    EXPECT_HAS(read("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"), "keep-alive\n");
    EXPECT_HAS(read("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), "close\n");
}

TEST(ResponseHead, Refuses) {
    for (const char* line : {"HTTP/1.1 20 OK", "HTTP/1.1 2000 OK", "HTTP/1.1 2x0 OK", "HTTP/1.1 099 OK", "HTTP/1.1  200 OK", "HTTP/1.1 200OK", "HTTP/1.1",
                             "HTTP/1.1 ", "http/1.1 200 OK", "HTTP/1.1\t200 OK", "ICY 200 OK", "HTTP/1.1 -20 OK", "HTTP/01.1 200 OK", "HTTP/1.1 200\tOK", ""})
        EXPECT_EQ(error(std::string(line) + "\r\nContent-Length: 0\r\n\r\n"), "status line is not version SP code SP reason") << line;
    EXPECT_EQ(error("HTTP/2.0 200 OK\r\n\r\n"), "HTTP version is neither 1.0 nor 1.1");
    EXPECT_EQ(error("HTTP/1.1 200 O\nK\r\n\r\n"), "LF without CR");
    EXPECT_EQ(error("HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n"), "CR without LF");
    EXPECT_EQ(error("HTTP/1.1 200 OK\nContent-Length: 0\n\n"), "LF without CR");
    EXPECT_EQ(error("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), "content-length together with transfer-encoding");
    EXPECT_EQ(error("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"), "content-length given twice");
    EXPECT_EQ(error("HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n"), "content-length is not a plain number, or not allowed here");
    EXPECT_EQ(error("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), "transfer-encoding is not exactly \"chunked\", or not allowed here");
    EXPECT_EQ(error("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), "transfer coding other than chunked");
    EXPECT_EQ(error("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), "transfer-encoding in an HTTP/1.0 message");
    EXPECT_EQ(error("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi"), "peer closed in the middle of a message");
    EXPECT_EQ(error("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"), "peer closed in the middle of a message");
    EXPECT_EQ(error("HTTP/1.1 200 OK\r\nA : b\r\n\r\n"), "white space between header name and colon");
    EXPECT_EQ(error("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"), "header continued on a second line (obs-fold)");
    EXPECT_EQ(error("\r\nHTTP/1.1 200 OK\r\n\r\n"), "status line is not version SP code SP reason") << "no empty line before a response";
}

}  // namespace
}  // namespace sluice::http::h1::test
