// Durations and sizes: what is read, and all that is not.
#include <gtest/gtest.h>

#include "ctrl/host/gateway_host.h"

namespace sluice::host {
namespace {

TEST(Duration, WithUnits) {
    EXPECT_EQ(parse_duration("30s"), seconds(30));
    EXPECT_EQ(parse_duration("1m30s"), seconds(90));
    EXPECT_EQ(parse_duration("1h2m3s4ms5us"), microseconds(3'723'004'005));
    EXPECT_EQ(parse_duration("0"), microseconds(0));
    EXPECT_EQ(parse_duration("0s"), microseconds(0));
}

TEST(Duration, NothingElse) {
    for (const char* text : {"", "30", "s", "-1s", "+1s", " 1s", "1s ", "1.5s", "1 s", "30s1m", "1s1s", "1d", "1S", "99999999999999999999s",
                             "9223372036854775808us", "999999999999h", "1s2"})
        EXPECT_FALSE(parse_duration(text)) << text;
}

TEST(Size, WithUnits) {
    EXPECT_EQ(parse_size("60Ki"), 60u * 1024);
    EXPECT_EQ(parse_size("2Gi"), uint64_t{2} << 30);
    EXPECT_EQ(parse_size("1500"), 1500u);
    EXPECT_EQ(parse_size("10M"), 10'000'000u);
}

TEST(Size, NothingElse) {
    for (const char* text : {"", "Gi", "-1", "1.5Gi", "1gi", "1GB", "1Gi1Mi", " 1", "99999999999999999999", "18446744073709551615Ki"})
        EXPECT_FALSE(parse_size(text)) << text;
}

}  // namespace
}  // namespace sluice::host
