// Known request smuggling payloads and malformed heads: each must be refused, for the right reason, with nothing read past it.
// docs/threat_model.md line 19: CL.TE, TE.CL, TE.TE, 0.CL, CL.0, chunk and line-end tricks.
#include <gtest/gtest.h>

#include "tests/http/h1_driver.h"

namespace sluice::http::h1::test {
namespace {

using namespace std::string_view_literals;

struct Refused {
    std::string_view head;   // after "POST / HTTP/1.1\r\nHost: a\r\n" for kField, else the whole head
    Error error;
    uint16_t status = 400;
};

std::string last_error(std::string_view bytes) {
    const std::string log = read_requests(bytes, {});
    const size_t at = log.rfind("ERROR=");
    return at == log.npos ? "accepted:\n" + log : log.substr(at + 6, log.size() - at - 7);
}

void expect_refused(const std::string& bytes, Error error, uint16_t status) {
    EXPECT_EQ(last_error(bytes), to_string(error)) << testing::PrintToString(bytes);
    EXPECT_EQ(response_status(error), status);
    // The same in pieces.
    const std::string whole = read_requests(bytes, {});
    EXPECT_EQ(read_requests(bytes, cut_every(bytes.size(), 1)), whole) << testing::PrintToString(bytes);
    EXPECT_EQ(read_requests(bytes, cut_every(bytes.size(), 7)), whole) << testing::PrintToString(bytes);
}

constexpr Refused kFields[] = {
    // Content-Length.
    {"Content-Length: 5\r\nContent-Length: 5", Error::kManyContentLengths},
    {"Content-Length: 5\r\ncontent-length: 6", Error::kManyContentLengths},
    {"Content-Length: 5, 5", Error::kBadContentLength},
    {"Content-Length: 5,6", Error::kBadContentLength},
    {"Content-Length: ", Error::kBadContentLength},
    {"Content-Length: +5", Error::kBadContentLength},
    {"Content-Length: -5", Error::kBadContentLength},
    {"Content-Length: 0x5", Error::kBadContentLength},
    {"Content-Length: 5 5", Error::kBadContentLength},
    {"Content-Length: 5\t6", Error::kBadContentLength},
    {"Content-Length: 5;", Error::kBadContentLength},
    {"Content-Length: 5.0", Error::kBadContentLength},
    {"Content-Length: 5e0", Error::kBadContentLength},
    {"Content-Length: 1_0", Error::kBadContentLength},
    {"Content-Length: \"5\"", Error::kBadContentLength},
    {"Content-Length: \xef\xbc\x95", Error::kBadContentLength},   // full-width five
    {"Content-Length: \xa0""5", Error::kBadContentLength},
    {"Content-Length: 9223372036854775808", Error::kBadContentLength},
    {"Content-Length: 18446744073709551616", Error::kBadContentLength},
    {"Content-Length: 18446744073709551621", Error::kBadContentLength},
    {"Content-Length: 00000000000000000005", Error::kBadContentLength},
    // Both.
    {"Content-Length: 5\r\nTransfer-Encoding: chunked", Error::kLengthWithTransferEncoding},
    {"Transfer-Encoding: chunked\r\nContent-Length: 5", Error::kLengthWithTransferEncoding},
    {"Transfer-Encoding: chunked\r\nContent-Length: 0", Error::kLengthWithTransferEncoding},
    {"Transfer-Encoding: identity\r\nContent-Length: 5", Error::kLengthWithTransferEncoding},
    {"Transfer-Encoding: xchunked\r\nContent-Length: 5", Error::kLengthWithTransferEncoding},
    // Transfer-Encoding.
    {"Transfer-Encoding: xchunked", Error::kBadTransferEncoding},
    {"Transfer-Encoding: chunkedx", Error::kBadTransferEncoding},
    {"Transfer-Encoding: identity", Error::kBadTransferEncoding},
    {"Transfer-Encoding: gzip", Error::kBadTransferEncoding},
    {"Transfer-Encoding: ", Error::kBadTransferEncoding},
    {"Transfer-Encoding: ,", Error::kBadTransferEncoding},
    {"Transfer-Encoding: ,chunked", Error::kBadTransferEncoding},
    {"Transfer-Encoding: chunked,", Error::kBadTransferEncoding},
    {"Transfer-Encoding: chunked, chunked", Error::kBadTransferEncoding},
    {"Transfer-Encoding: chunked, identity", Error::kBadTransferEncoding},
    {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", Error::kBadTransferEncoding},
    {"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", Error::kBadTransferEncoding},
    {"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", Error::kBadTransferEncoding},
    {"Transfer-Encoding: chunked;q=1", Error::kBadTransferEncoding},
    {"Transfer-Encoding: chun ked", Error::kBadTransferEncoding},
    {"Transfer-Encoding: \"chunked\"", Error::kBadTransferEncoding},
    {"Transfer-Encoding: 'chunked'", Error::kBadTransferEncoding},
    {"Transfer-Encoding: chunked\xa0", Error::kBadTransferEncoding},
    {"Transfer-Encoding: \xff""chunked", Error::kBadTransferEncoding},
    {"Transfer-Encoding: chun\xc4\xb1ked", Error::kBadTransferEncoding},
    {"Transfer-Encoding: gzip, chunked", Error::kUnknownTransferCoding, 501},
    {"Transfer-Encoding: gzip,chunked", Error::kUnknownTransferCoding, 501},
    {"Transfer-Encoding: \x0b""chunked", Error::kBadHeaderValue},
    {"Transfer-Encoding: chunked\x0c", Error::kBadHeaderValue},
    {"Transfer-Encoding: chunked\x7f", Error::kBadHeaderValue},
    // Names.
    {"Transfer-Encoding : chunked", Error::kSpaceBeforeColon},
    {"Transfer-Encoding\t: chunked", Error::kSpaceBeforeColon},
    {"Content-Length \t : 5", Error::kSpaceBeforeColon},
    {" Transfer-Encoding: chunked", Error::kObsFold},
    {"\tTransfer-Encoding: chunked", Error::kObsFold},
    {"X: y\r\n Transfer-Encoding: chunked", Error::kObsFold},
    {"Transfer-Encoding:\r\n chunked", Error::kObsFold},
    {"Transfer-Encoding: chunked\r\n ", Error::kObsFold},
    {"Transfer Encoding: chunked", Error::kBadHeaderName},
    {"Transfer-Encoding", Error::kBadHeaderName},
    {"Transfer-Encoding chunked", Error::kBadHeaderName},
    {": chunked", Error::kBadHeaderName},
    {":", Error::kBadHeaderName},
    {"(x): y", Error::kBadHeaderName},
    {"x\x80: y", Error::kBadHeaderName},
    {"\"x\": y", Error::kBadHeaderName},
    {"x@y: z", Error::kBadHeaderName},
    {"x[0]: z", Error::kBadHeaderName},
    {"x,y: z", Error::kBadHeaderName},
    {"GET /evil HTTP/1.1", Error::kBadHeaderName},
    {"x\x01: y", Error::kBadHeaderValue},
    // Line ends.
    {"X: y\nTransfer-Encoding: chunked", Error::kBareLf},
    {"X: y\rTransfer-Encoding: chunked", Error::kBareCr},
    {"X: y\r\r\nTransfer-Encoding: chunked", Error::kBareCr},
    {"X: y\n\r\nZ: a", Error::kBareLf},
    {"\rTransfer-Encoding: chunked", Error::kBareCr},
    {"X: a\0b"sv, Error::kNul},
    {"X\0: b"sv, Error::kNul},
    // Host.
    {"Host: a", Error::kManyHosts},
    {"HOST: b", Error::kManyHosts},
    // Others.
    {"Connection: close x", Error::kBadHeaderValue},
    {"Connection: (close)", Error::kBadHeaderValue},
    {"Connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x,y,z,1,2,3,4,5,6,7", Error::kTooManyHeaders, 431},
    {"Expect: 200-ok", Error::kBadExpect, 417},
};

TEST(Smuggling, FieldsAreRefused) {
    for (const Refused& c : kFields)
        expect_refused("POST / HTTP/1.1\r\nHost: a\r\n" + std::string(c.head) + "\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n", c.error, c.status);
}

constexpr Refused kHeads[] = {
    {"GET /\r\n\r\n", Error::kBadRequestLine},                         // HTTP/0.9
    {"GET\r\n\r\n", Error::kBadRequestLine},
    {"GET \r\n\r\n", Error::kBadRequestLine},
    {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadRequestLine},
    {"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Error::kBadVersion},
    {"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadMethod},
    {"GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadRequestLine},
    {"GET /\ta HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {" GET / HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadMethod},
    {"G\x80T / HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadMethod},
    {"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadMethod},
    {"GET: / HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadMethod},
    {"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadMethod},
    {"GET / HTTP/1.1\nHost: a\n\n", Error::kBareLf},
    {"GET / HTTP/1.1\rHost: a\r\n\r\n", Error::kBareCr},
    {"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBareLf},
    {"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadRequestLine},
    {"GET / HTTP/1.1\r\n\nHost: a\r\n\r\n", Error::kBareLf},
    {"GET / HTTP/1.1\r\n\rHost: a\r\n\r\n", Error::kBareCr},
    {"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadRequestLine},
    {"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"sv, Error::kNul},
    {"\x16\x03\x01\x02\x00\x01\x00"sv, Error::kBadRequestLine},            // a TLS client on a plain port
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Error::kVersionNotSupported, 505},
    {"GET / HTTP/1.2\r\nHost: a\r\n\r\n", Error::kVersionNotSupported, 505},
    {"GET / HTTP/0.9\r\nHost: a\r\n\r\n", Error::kVersionNotSupported, 505},
    {"GET / HTTP/3.0\r\nHost: a\r\n\r\n", Error::kVersionNotSupported, 505},
    {"GET / HTTP/1.10\r\nHost: a\r\n\r\n", Error::kBadVersion},
    {"GET / HTTP/1\r\nHost: a\r\n\r\n", Error::kBadVersion},
    {"GET / HTTP/1,1\r\nHost: a\r\n\r\n", Error::kBadVersion},
    {"GET / http/1.1\r\nHost: a\r\n\r\n", Error::kBadVersion},
    {"GET / HTTP /1.1\r\nHost: a\r\n\r\n", Error::kBadVersion},
    {"GET / HTTP/+1.1\r\nHost: a\r\n\r\n", Error::kBadVersion},
    {"GET / XTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadVersion},
    // Targets.
    {"GET a HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"GET ?a HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"OPTIONS *a HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"GET a.b:80 HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"GET /%0 HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"GET http:/b/ HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"GET http:///b HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"GET http://u:p@b/ HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"GET http://b:0/ HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"GET http://b\\@c/ HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"GET http://b#c HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"GET ftp://b/ HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"GET ://b/ HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"GET @b/ HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"CONNECT a: HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"CONNECT a:0 HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"CONNECT a:65536 HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"CONNECT http://a:80 HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"CONNECT u@a:80 HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    {"CONNECT * HTTP/1.1\r\nHost: a\r\n\r\n", Error::kBadTarget},
    // Bodies where none is defined.
    {"CONNECT a:80 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", Error::kBadContentLength},
    {"CONNECT a:80 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", Error::kBadTransferEncoding},
    {"TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", Error::kBadContentLength},
    {"TRACE / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", Error::kBadTransferEncoding},
    // HTTP/1.0.
    {"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", Error::kTransferEncodingInHttp10},
    {"POST / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n", Error::kTransferEncodingInHttp10},
    // Host.
    {"GET / HTTP/1.1\r\n\r\n", Error::kNoHost},
    {"GET / HTTP/1.1\r\nHost:\r\n\r\n", Error::kBadHost},
    {"GET / HTTP/1.0\r\nHost:\r\n\r\n", Error::kBadHost},
    {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Error::kBadHost},
    {"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", Error::kBadHost},
    {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", Error::kBadHost},
    {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Error::kBadHost},
    {"GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", Error::kBadHost},
    {"GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", Error::kBadHost},
    {"GET / HTTP/1.1\r\nHost: a:80x\r\n\r\n", Error::kBadHost},
    {"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", Error::kBadHost},
    {"GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", Error::kBadHost},
    {"GET / HTTP/1.1\r\nHost: a\x80\r\n\r\n", Error::kBadHost},
    {"GET / HTTP/1.1\r\nHost: a%00\r\n\r\n", Error::kBadHost},
    {"GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n", Error::kBadHost},
    {"GET http://b/ HTTP/1.1\r\nHost: b\r\nHost: b\r\n\r\n", Error::kManyHosts},
};

TEST(Smuggling, HeadsAreRefused) {
    for (const Refused& c : kHeads) expect_refused(std::string(c.head), c.error, c.status);
}

// After "Transfer-Encoding: chunked".
constexpr Refused kBodies[] = {
    {"\r\n", Error::kBadChunkSize},
    {" 5\r\nhello\r\n0\r\n\r\n", Error::kBadChunkSize},
    {"\t5\r\nhello\r\n0\r\n\r\n", Error::kBadChunkSize},
    {"5 \r\nhello\r\n0\r\n\r\n", Error::kBadChunkSize},
    {"5\t\r\nhello\r\n0\r\n\r\n", Error::kBadChunkSize},
    {"0x5\r\nhello\r\n0\r\n\r\n", Error::kBadChunkSize},
    {"+5\r\nhello\r\n0\r\n\r\n", Error::kBadChunkSize},
    {"-5\r\nhello\r\n0\r\n\r\n", Error::kBadChunkSize},
    {"0_5\r\nhello\r\n0\r\n\r\n", Error::kBadChunkSize},
    {"5h\r\nhello\r\n0\r\n\r\n", Error::kBadChunkSize},
    {"g\r\n", Error::kBadChunkSize},
    {"\"5\"\r\n", Error::kBadChunkSize},
    {"5,5\r\n", Error::kBadChunkSize},
    {"00000000000000005\r\nhello\r\n0\r\n\r\n", Error::kBadChunkSize},   // 17 digits
    {"10000000000000000\r\n", Error::kBadChunkSize},
    {"ffffffffffffffff\r\n", Error::kBadChunkSize},
    {"8000000000000000\r\n", Error::kBadChunkSize},
    {"100000000000000000005\r\nhello\r\n", Error::kBadChunkSize},
    {"\0005\r\n"sv, Error::kBadChunkSize},
    {"5\nhello\r\n0\r\n\r\n", Error::kBareLf},
    {"5\r\r\nhello\r\n0\r\n\r\n", Error::kBareCr},
    {"5\rhello\r\n0\r\n\r\n", Error::kBareCr},
    {"5;a\nhello\r\n0\r\n\r\n", Error::kBareLf},
    {"5;a\rb\r\nhello\r\n0\r\n\r\n", Error::kBareCr},
    {"5;\r\nhello\r\n0\r\n\r\n", Error::kBadChunkExtension},
    {"5;\nhello\r\n0\r\n\r\n", Error::kBareLf},
    {"5;;a\r\nhello\r\n0\r\n\r\n", Error::kBadChunkExtension},
    {"5;a=\r\nhello\r\n0\r\n\r\n", Error::kBadChunkExtension},
    {"5;=a\r\nhello\r\n0\r\n\r\n", Error::kBadChunkExtension},
    {"5; a=b\r\nhello\r\n0\r\n\r\n", Error::kBadChunkExtension},
    {"5 ;a=b\r\nhello\r\n0\r\n\r\n", Error::kBadChunkSize},
    {"5;a =b\r\nhello\r\n0\r\n\r\n", Error::kBadChunkExtension},
    {"5;a=b c\r\nhello\r\n0\r\n\r\n", Error::kBadChunkExtension},
    {"5;a=\"b\r\nhello\r\n0\r\n\r\n", Error::kBadChunkExtension},
    {"5;a=\"b\nc\"\r\nhello\r\n0\r\n\r\n", Error::kBareLf},
    {"5;a=\"b\rc\"\r\nhello\r\n0\r\n\r\n", Error::kBadChunkExtension},
    {"5;a=\"b\"c\r\nhello\r\n0\r\n\r\n", Error::kBadChunkExtension},
    {"5;a=\"b\\\r\nhello\r\n0\r\n\r\n", Error::kBadChunkExtension},
    {"5;a\x80\r\nhello\r\n0\r\n\r\n", Error::kBadChunkExtension},
    {"5;a=\"\x01\"\r\nhello\r\n0\r\n\r\n", Error::kBadChunkExtension},
    {"5;a:b\r\nhello\r\n0\r\n\r\n", Error::kBadChunkExtension},
    {"5\r\nhelloX\r\n0\r\n\r\n", Error::kBadChunkEnd},
    {"5\r\nhello\n0\r\n\r\n", Error::kBadChunkEnd},
    {"5\r\nhello0\r\n\r\n", Error::kBadChunkEnd},
    {"5\r\nhello\rX0\r\n\r\n", Error::kBadChunkEnd},
    {"5\r\nhell\r\n0\r\n\r\n", Error::kBadChunkEnd},
    {"5\r\nhello\r\n\r\n0\r\n\r\n", Error::kBadChunkSize},
    {"0\r\n\n", Error::kBareLf},
    {"0\r\n\rX", Error::kBareCr},
    {"0\n\r\n", Error::kBareLf},
    {"0\r\nX\r\n\r\n", Error::kBadTrailer},
    {"0\r\nX: a\nY: b\r\n\r\n", Error::kBareLf},
    {"0\r\nX: a\rY: b\r\n\r\n", Error::kBareCr},
    {"0\r\nX : a\r\n\r\n", Error::kSpaceBeforeColon},
    {"0\r\n: a\r\n\r\n", Error::kBadTrailer},
    {"0\r\n X: a\r\n\r\n", Error::kObsFold},
    {"0\r\nX: a\r\n b\r\n\r\n", Error::kObsFold},
    {"0\r\nX: a\0\r\n\r\n"sv, Error::kBadTrailer},
    {"0\r\nX\x80: a\r\n\r\n", Error::kBadTrailer},
    {"0\r\nContent-Length: 5\r\n\r\n", Error::kBadTrailer},
    {"0\r\nTransfer-Encoding: chunked\r\n\r\n", Error::kBadTrailer},
    {"0\r\nhOsT: b\r\n\r\n", Error::kBadTrailer},
    {"0\r\nConnection: close\r\n\r\n", Error::kBadTrailer},
    {"0\r\nTrailer: x\r\n\r\n", Error::kBadTrailer},
    {"0\r\nTE: x\r\n\r\n", Error::kBadTrailer},
    {"0\r\nUpgrade: x\r\n\r\n", Error::kBadTrailer},
    {"0\r\nExpect: 100-continue\r\n\r\n", Error::kBadTrailer},
    {"0\r\nAuthorization: x\r\n\r\n", Error::kBadTrailer},
    {"0\r\nCookie: x\r\n\r\n", Error::kBadTrailer},
    {"0\r\nContent-Type: x\r\n\r\n", Error::kBadTrailer},
    {"0\r\nContent-Encoding: x\r\n\r\n", Error::kBadTrailer},
    {"0\r\nX-Forwarded-For: x\r\n\r\n", Error::kBadTrailer},
    {"0\r\nGET /evil HTTP/1.1\r\n\r\n", Error::kSpaceBeforeColon},
};

TEST(Smuggling, ChunksAreRefused) {
    for (const Refused& c : kBodies)
        expect_refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(c.head), c.error, c.status);
}

// A well-formed request whose body looks like a request stays one body.
TEST(Smuggling, BodiesStayBodies) {
    const std::string evil = "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n";
    const std::string log = read_requests("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(evil.size()) + "\r\n\r\n" + evil, {});
    EXPECT_NE(log.find("body=" + evil), log.npos);
    EXPECT_EQ(log.find("path=/evil"), log.npos);
    // Leading zeros and empty-named tricks around a zero length.
    const std::string zero = read_requests("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 000\r\n\r\n" + evil, {});
    EXPECT_NE(zero.find("path=/evil"), zero.npos) << "pipelined, not smuggled: length is zero for every reader";
}

TEST(Smuggling, EveryErrorHasWordsAndAStatus) {
    for (unsigned i = 1; i < static_cast<unsigned>(Error::kCount); i++) {
        EXPECT_NE(to_string(static_cast<Error>(i)), "unknown") << i;
        EXPECT_GE(response_status(static_cast<Error>(i)), 400);
    }
}

}  // namespace
}  // namespace sluice::http::h1::test
