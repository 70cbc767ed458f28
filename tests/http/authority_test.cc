// Host and port: what is let through, how it is split and folded.
#include "http/authority.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice::http {
namespace {

TEST(Authority, Splits) {
    struct Case { const char* text; const char* host; uint16_t port; bool v6; };
    for (const Case& c : {Case{"example.com", "example.com", 0, false}, {"example.com:80", "example.com", 80, false},
                          {"a:65535", "a", 65535, false}, {"10.0.0.1:1", "10.0.0.1", 1, false}, {"[::1]", "[::1]", 0, true},
                          {"[2001:db8::1]:8443", "[2001:db8::1]", 8443, true}, {"[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.1]", 1, true},
                          {"a_b-c.~!$&'()*+;=", "a_b-c.~!$&'()*+;=", 0, false}, {"example.com.", "example.com.", 0, false}}) {
        Authority got;
        ASSERT_TRUE(parse_authority(c.text, &got)) << c.text;
        EXPECT_EQ(got.host, c.host);
        EXPECT_EQ(got.port, c.port) << c.text;
        EXPECT_EQ(got.is_ipv6_literal, c.v6) << c.text;
    }
}

TEST(Authority, Refuses) {
    for (const char* text : {"", ":80", "a:", "a:0", "a:080", "a:65536", "a:999999", "a:8o", "a:+80", "a:-1", "a: 80", "a:80 ", " a", "a b",
                             "user@a", "user:pw@a", "a/b", "a?b", "a#b", "a,b", "a%2e", "a\\b", "a\"b", "a<b", "a[b", "[::1", "::1", "[]",
                             "[1.2.3.4]", "[::1]x", "[::1]:", "[::1]:0", "[v1.a]", "[fe80::1%25eth0]", "[fe80::1%eth0]", "[::g]",
                             "[[::1]]", "a:80:80", "a\x80", "a\tb", "a\x7f", "[:::1]"}) {
        Authority got;
        EXPECT_FALSE(parse_authority(text, &got)) << '"' << text << '"';
    }
    Authority got;
    EXPECT_TRUE(parse_authority(std::string(255, 'a'), &got));
    EXPECT_FALSE(parse_authority(std::string(256, 'a'), &got));
    EXPECT_FALSE(parse_authority(std::string("a\0b", 3), &got));
}

TEST(Authority, Folds) {
    char buffer[16];
    EXPECT_EQ(fold_host("ExAmPle.COM.", buffer), "example.com");
    EXPECT_EQ(fold_host(".", buffer), ".");
    EXPECT_EQ(fold_host("[2001:DB8::A]", buffer), "[2001:db8::a]");
    EXPECT_EQ(fold_host("a-host-name-too-long", buffer), "");
    EXPECT_EQ(host_without_port("Example.com.:80"), "Example.com");
    EXPECT_EQ(host_without_port("[::1]:80"), "[::1]");
    EXPECT_EQ(host_without_port("a b"), "");
}

TEST(Authority, HasADefaultPort) {
    Authority authority;
    ASSERT_TRUE(parse_authority("a", &authority));
    EXPECT_EQ(effective_port(authority, "http"), 80);
    EXPECT_EQ(effective_port(authority, "https"), 443);
    ASSERT_TRUE(parse_authority("a:8080", &authority));
    EXPECT_EQ(effective_port(authority, "https"), 8080);
}

}  // namespace
}  // namespace sluice::http
