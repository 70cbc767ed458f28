// Requests that are right, and what is made of them. What is wrong is in smuggling_test.cc.
#include <gtest/gtest.h>

#include "tests/http/h1_driver.h"

namespace sluice::http::h1::test {
namespace {

std::string read(std::string_view bytes) { return read_requests(bytes, {}); }

#define EXPECT_HAS(log, text) EXPECT_NE((log).find(text), std::string::npos) << (log)
#define EXPECT_LACKS(log, text) EXPECT_EQ((log).find(text), std::string::npos) << (log)

TEST(RequestHead, IsReadWhole) {
    EXPECT_EQ(read("GET /a/./b?c=d HTTP/1.1\r\nHost: Example.com:8080\r\nUser-Agent:curl/8\r\nX-Empty:\r\nX-Space: \t a \t b\t \r\n"
                   "X-Obs: caf\xc3\xa9\r\n\r\n"),
              "REQUEST\nmethod=GET\nknown-method=GET\nscheme=\nauthority=Example.com:8080\npath=/a/b?c=d\noriginal=/a/./b?c=d\nversion=1.1\n"
              "framing=none\nlength=0\nkeep-alive\nheader User-Agent: [curl/8]\nheader X-Empty: []\nheader X-Space: [a \t b]\n"
              "header X-Obs: [caf\xc3\xa9]\nhead-bytes=114\nbody=\nconsumed=0\nEND\n");
}

TEST(RequestHead, MethodIsAnyToken) {
    for (const char* method : {"GET", "M-SEARCH", "get", "X", "!#$%&'*+-.^_`|~09", "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDE"})
        EXPECT_HAS(read(std::string(method) + " / HTTP/1.1\r\nHost: a\r\n\r\n"), std::string("method=") + method + "\n");
}

TEST(RequestHead, TargetForms) {
    EXPECT_HAS(read("GET //a HTTP/1.1\r\nHost: a\r\n\r\n"), "path=//a\n");
    EXPECT_HAS(read("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), "path=*\n");
    EXPECT_HAS(read("CONNECT a.b:443 HTTP/1.1\r\nHost: a.b:443\r\n\r\n"), "authority=a.b:443\npath=\noriginal=a.b:443\n");
    EXPECT_HAS(read("CONNECT [::1]:443 HTTP/1.1\r\nHost: x\r\n\r\n"), "authority=[::1]:443\n");
    EXPECT_HAS(read("GET HTTP://b:81/x/../y?z HTTP/1.1\r\nHost: b:81\r\n\r\n"), "scheme=http\nauthority=b:81\npath=/y?z\noriginal=HTTP://b:81/x/../y?z\n");
    EXPECT_HAS(read("GET https://b HTTP/1.1\r\nHost: b\r\n\r\n"), "scheme=https\nauthority=b\npath=/\n");
    EXPECT_HAS(read("GET http://b?q HTTP/1.1\r\nHost: b\r\n\r\n"), "authority=b\npath=/?q\n");
    EXPECT_HAS(read("OPTIONS http://b HTTP/1.1\r\nHost: b\r\n\r\n"), "path=*\n");
    EXPECT_HAS(read("OPTIONS http://b/ HTTP/1.1\r\nHost: b\r\n\r\n"), "path=/\n");
    const std::string other_host = read("GET http://b/ HTTP/1.1\r\nHost: evil\r\n\r\n");
    EXPECT_HAS(other_host, "authority=b\n");  // RFC 9112 3.2.2: Host is ignored
    EXPECT_LACKS(other_host, "evil");
}

TEST(RequestHead, HostRules) {
    EXPECT_HAS(read("GET / HTTP/1.0\r\n\r\n"), "authority=\npath=/\n");
    EXPECT_HAS(read("GET / HTTP/1.0\r\nHost: b\r\n\r\n"), "authority=b\n");
    EXPECT_EQ(read("GET / HTTP/1.1\r\n\r\n"), "ERROR=HTTP/1.1 request without host\n");
    EXPECT_EQ(read("GET http://b/ HTTP/1.1\r\n\r\n"), "ERROR=HTTP/1.1 request without host\n");
    EXPECT_LACKS(read("GET / HTTP/1.1\r\nhOST: a\r\n\r\n"), "header");
}

TEST(RequestHead, KeepAlive) {
    const auto keeps = [](std::string_view version, std::string_view connection) {
        const std::string log = read("GET / HTTP/" + std::string(version) + "\r\nHost: a\r\n" + std::string(connection) + "\r\n");
        return log.find("keep-alive\n") != log.npos;
    };
    EXPECT_TRUE(keeps("1.1", ""));
    EXPECT_FALSE(keeps("1.1", "Connection: close\r\n"));
    EXPECT_FALSE(keeps("1.1", "Connection: x, CLOSE\r\n"));
    EXPECT_FALSE(keeps("1.1", "Connection: close\r\nConnection: keep-alive\r\n"));
    EXPECT_TRUE(keeps("1.1", "Connection: closed, not-close\r\n"));
    EXPECT_FALSE(keeps("1.0", ""));
    EXPECT_TRUE(keeps("1.0", "Connection: Keep-Alive\r\n"));
    EXPECT_FALSE(keeps("1.0", "Connection: keep-alive, close\r\n"));
}

TEST(RequestHead, ExpectAndUpgrade) {
    const std::string post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n";
    EXPECT_HAS(read(post + "Expect: 100-Continue\r\n\r\nx"), "expect-continue\n");
    EXPECT_LACKS(read("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n"), "expect-continue\n");
    EXPECT_LACKS(read("POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\nx"), "expect-continue\n");
    for (const char* bad : {"", "x", "100-continue, x", "100-continue\r\nExpect: x", "200-ok\r\nExpect: 100-continue"})
        EXPECT_EQ(read(post + "Expect: " + bad + "\r\n\r\nx"), "ERROR=expect is not 100-continue\n") << bad;
    const std::string get = "GET / HTTP/1.1\r\nHost: a\r\n";
    EXPECT_HAS(read(get + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), "upgrade\nheader");
    EXPECT_LACKS(read(get + "Upgrade: websocket\r\n\r\n"), "upgrade\nheader");
    EXPECT_LACKS(read(post + "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\nx"), "upgrade\nheader") << "not with a body";
    EXPECT_LACKS(read(get + "Connection: Upgrade\r\n\r\n"), "upgrade\nheader");
    EXPECT_LACKS(read("GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), "upgrade\nheader");
    EXPECT_HAS(read(get + "Connection: upgrade\r\nUpgrade: a/1, b\r\n\r\n"), "upgrade\nheader");
    for (const char* bad : {"", ",", "a b", "a/", "/1", "a/1/2", "a;b"})
        EXPECT_EQ(read(get + "Connection: upgrade\r\nUpgrade: " + bad + "\r\n\r\n"), "ERROR=upgrade is malformed or missing on a 101\n") << bad;
}

TEST(RequestHead, OneEmptyLineBefore) {
    const std::string get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    EXPECT_EQ(read("\r\n" + get), read(get));
    EXPECT_EQ(read("\r\n"), "") << "idle still";
    EXPECT_EQ(read("\r"), "INCOMPLETE=1\n");
    EXPECT_EQ(read("\r\n\r\n" + get), "ERROR=request line is not METHOD SP target SP version\n");
    EXPECT_EQ(read(get + "\r\n" + get), read(get) + read(get));
}

TEST(RequestHead, PipelinedWithBodies) {
    const std::string log = read("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
                                 "POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: t\r\n\r\n"
                                 "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /4 HTTP/1.1\r\n");
    EXPECT_HAS(log, "path=/1\n");
    EXPECT_HAS(log, "framing=length\nlength=5\n");
    EXPECT_HAS(log, "body=hello\nconsumed=5\nEND\n");
    EXPECT_HAS(log, "path=/2\n");
    EXPECT_HAS(log, "body=abc\ntrailer X-T: [t]\nconsumed=21\nEND\n");
    EXPECT_HAS(log, "path=/3\n");
    EXPECT_HAS(log, "CLOSED=17\n");
}

TEST(RequestHead, LongNamesAndValues) {
    for (const size_t n : {31u, 32u, 33u, 63u, 64u, 65u, 1000u, 5000u, 30000u}) {
        const std::string name(n, 'n'), value(n, 'v');
        EXPECT_HAS(read("GET / HTTP/1.1\r\nHost: a\r\n" + name + ": " + value + "\r\nX: y\r\n\r\n"), "header " + name + ": [" + value + "]\nheader X: [y]\n");
    }
}

// Every position of the line ends relative to the scanner's blocks.
TEST(RequestHead, EveryAlignment) {
    for (size_t n = 0; n < 200; n++) {
        const std::string pad(n, 'p');
        const std::string log = read("GET /" + pad + " HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n");
        ASSERT_EQ(log, "REQUEST\nmethod=GET\nknown-method=GET\nscheme=\nauthority=a\npath=/" + pad + "\noriginal=/" + pad +
                           "\nversion=1.1\nframing=none\nlength=0\nkeep-alive\nheader A: [b]\nhead-bytes=" + std::to_string(n + 33) +
                           "\nbody=\nconsumed=0\nEND\n");
    }
}

}  // namespace
}  // namespace sluice::http::h1::test
