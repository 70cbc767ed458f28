// SPIFFE IDs, strictly. SPIFFE-ID standard, section 2.
#include "tls/identity.h"

#include <gtest/gtest.h>

namespace sluice::tls {
namespace {

TEST(SpiffeId, TakesApartWhatIstioIssues) {
    const auto id = parse_spiffe_id("spiffe://cluster.local/ns/shop/sa/reviews");
    ASSERT_TRUE(id) << id.error();
    EXPECT_EQ(id->trust_domain, "cluster.local");
    EXPECT_EQ(id->path, "/ns/shop/sa/reviews");
    EXPECT_EQ(id->ns(), "shop");
    EXPECT_EQ(id->service_account(), "reviews");
    PeerIdentity peer;
    EXPECT_EQ(peer.principal(), "");
    peer.spiffe = *id;
    EXPECT_EQ(peer.principal(), "cluster.local/ns/shop/sa/reviews");
}

TEST(SpiffeId, OtherShapesOfPathHaveNoIstioParts) {
    for (const char* uri : {"spiffe://a", "spiffe://a/ns/shop", "spiffe://a/ns/shop/sa/b/c", "spiffe://a/x/shop/sa/b", "spiffe://a/ns/shop/xx/b"}) {
        const auto id = parse_spiffe_id(uri);
        ASSERT_TRUE(id) << uri << ": " << id.error();
        EXPECT_EQ(id->ns(), "") << uri;
        EXPECT_EQ(id->service_account(), "") << uri;
    }
}

TEST(SpiffeId, TakesWhatTheStandardAllows) {
    for (const std::string& uri : {std::string("spiffe://a"), std::string("SPIFFE://a/b"), std::string("sPiFfE://a_b-c.9/A.b-C_0"), std::string("spiffe://1/..."),
                                   std::string("spiffe://a/.b/c."), "spiffe://" + std::string(255, 't') + "/x", "spiffe://a/" + std::string(2048 - 11, 'p')})
        EXPECT_TRUE(parse_spiffe_id(uri)) << uri;
}

TEST(SpiffeId, RefusesTheRest) {
    using namespace std::string_literals;
    for (const std::string& uri :
         {""s, "spiffe"s, "spiffe:/"s, "spiffe:/a/b"s, "spiffe://"s, "spiffe:///a"s, "http://a/b"s, "xspiffe://a/b"s, " spiffe://a/b"s, "spiffe://a/b "s, "spiffe://a/"s,
          "spiffe://a//b"s, "spiffe://a/b/"s, "spiffe://a/./b"s, "spiffe://a/../b"s, "spiffe://a/b/.."s, "spiffe://a/b/."s, "spiffe://A/b"s, "spiffe://a:80/b"s, "spiffe://u@a/b"s,
          "spiffe://a/b?q=1"s, "spiffe://a?q"s, "spiffe://a/b#f"s, "spiffe://a#f"s, "spiffe://a/b%2fc"s, "spiffe://a%2e/b"s, "spiffe://a/b\0"s, "spiffe://a\0/b"s, "spiffe://a/\xc3\xa9"s,
          "spiffe://\xc3\xa9/a"s, "spiffe://a/b*"s, "spiffe://*/b"s, "spiffe://a/b\\c"s, "spiffe://a/b~"s, "spiffe://a,b/c"s, "spiffe://[::1]/a"s, "spiffe://a/b+c"s, "spiffe://a/b\n"s,
          "spiffe://" + std::string(256, 't') + "/x", "spiffe://a/" + std::string(2048 - 10, 'p')}) {
        const auto id = parse_spiffe_id(uri);
        EXPECT_FALSE(id) << uri;
        if (!id) {
            EXPECT_FALSE(id.error().empty());
        }
    }
}

/// Every byte, in each place: taken exactly where the standard's alphabets have it.
TEST(SpiffeId, EveryByteInEveryPlace) {
    for (int byte = 0; byte < 256; byte++) {
        const char c = static_cast<char>(byte);
        const bool domain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
        const bool segment = domain || (c >= 'A' && c <= 'Z');
        EXPECT_EQ(parse_spiffe_id(std::string("spiffe://td") + c + "x").has_value(), domain || c == '/') << byte;
        EXPECT_EQ(parse_spiffe_id(std::string("spiffe://td/a") + c + "b").has_value(), segment || c == '/') << byte;
        EXPECT_EQ(parse_spiffe_id(std::string("spiffe://td/a") + c).has_value(), segment) << byte;
    }
}

}  // namespace
}  // namespace sluice::tls
