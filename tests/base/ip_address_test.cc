// Addresses: strict text in, canonical text out, prefixes that match by bits.
#include "base/ip_address.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(IpAddress, ParsesAndPrints) {
    for (const char* text : {"192.0.2.1", "0.0.0.0", "255.255.255.255", "::", "2001:db8::1", "fe80::1:2"}) {
        const auto address = IpAddress::parse(text);
        ASSERT_TRUE(address) << text;
        EXPECT_EQ(address->to_string(), text);
    }
    EXPECT_TRUE(IpAddress::parse("192.0.2.1")->is_v4());
    EXPECT_FALSE(IpAddress::parse("2001:db8::1")->is_v4());
    EXPECT_EQ(*IpAddress::parse("192.0.2.1"), IpAddress::v4(0xc0000201));
}

TEST(IpAddress, RefusesWhatIsNotExactlyAnAddress) {
    for (std::string_view text : {"", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.256", "1.2.3.4 ", " 1.2.3.4", "[::1]", "::1%eth0",
                                  "1.2.3.4/8", "2001:db8:::1"})
        EXPECT_FALSE(IpAddress::parse(text)) << text;
    EXPECT_FALSE(IpAddress::parse(std::string_view("1.2.3.4\0", 8)));
}

TEST(IpPrefix, ContainsByBits) {
    const auto slash20 = IpPrefix::parse("10.1.16.0/20");
    ASSERT_TRUE(slash20);
    EXPECT_TRUE(slash20->contains(*IpAddress::parse("10.1.31.255")));
    EXPECT_FALSE(slash20->contains(*IpAddress::parse("10.1.32.0")));
    EXPECT_FALSE(slash20->contains(*IpAddress::parse("2001:db8::1")));
    EXPECT_TRUE(IpPrefix::parse("::/0")->contains(*IpAddress::parse("2001:db8::1")));
    EXPECT_FALSE(IpPrefix::parse("::/0")->contains(*IpAddress::parse("10.0.0.1")));
    EXPECT_TRUE(IpPrefix::parse("0.0.0.0/0")->contains(*IpAddress::parse("10.0.0.1")));
    EXPECT_EQ(IpPrefix::parse("192.0.2.1")->length, 32);
}

TEST(IpPrefix, RefusesBadLengths) {
    for (const char* text : {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x", "::/129", "/8"})
        EXPECT_FALSE(IpPrefix::parse(text)) << text;
}

TEST(SocketAddress, PrintsWithBracketsForIpv6) {
    EXPECT_EQ((SocketAddress{*IpAddress::parse("2001:db8::1"), 80}.to_string()), "[2001:db8::1]:80");
    EXPECT_EQ((SocketAddress{*IpAddress::parse("192.0.2.1"), 80}.to_string()), "192.0.2.1:80");
}

}  // namespace
}  // namespace sluice
