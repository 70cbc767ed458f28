// Known request smuggling payloads and malformed heads: each must be refused, for the right reason, with nothing read past it.
// docs/threat_model.md line 19: CL.TE, TE.CL, TE.TE, 0.CL, CL.0, chunk and line-end tricks.
#include <gtest/gtest.h>

#include "tests/http/h1_driver.h"
#include "tests/http/payloads.h"

namespace sluice::http::h1::test {
namespace {

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

TEST(Smuggling, FieldsAreRefused) {
    for (const Refused& c : kFields)
        expect_refused("POST / HTTP/1.1\r\nHost: a\r\n" + std::string(c.text) + "\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n", c.error, c.status);
}

TEST(Smuggling, HeadsAreRefused) {
    for (const Refused& c : kHeads) expect_refused(std::string(c.text), c.error, c.status);
}

TEST(Smuggling, ChunksAreRefused) {
    for (const Refused& c : kBodies)
        expect_refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(c.text), c.error, c.status);
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
