// Texts of numbers, addresses and times, and which %FORMAT% operators are known.
#include "filter/text.h"

#include <gtest/gtest.h>
#include <time.h>

#include "base/rng.h"
#include "filter/header_format.h"
#include "filter/router.h"

namespace sluice::filter {
namespace {

TEST(Text, AddressesReadBack) {
    Rng rng(5);
    for (int i = 0; i < 2000; i++) {
        IpAddress ip = IpAddress::v4(static_cast<uint32_t>(rng.next()));
        if (i % 2) {
            for (auto& byte : ip.bytes) byte = rng.chance(0.4) ? 0 : static_cast<uint8_t>(rng.next());
        }
        char text[kIpTextMax];
        const std::string written(text, write_ip(ip, text));
        const auto read = IpAddress::parse(written);
        ASSERT_TRUE(read.has_value()) << written;
        EXPECT_EQ(*read, ip) << written;
        char with_port[kSocketTextMax];
        const SocketAddress address{ip, static_cast<uint16_t>(rng.next())};
        EXPECT_EQ(std::string(with_port, write_socket_address(address, with_port)), address.to_string());
    }
}

TEST(Text, DatesAgreeWithTheLibrary) {
    Rng rng(6);
    for (int i = 0; i < 5000; i++) {
        const auto seconds = static_cast<time_t>(i < 10 ? i * 86400 : rng.below(8'000'000'000));
        tm parts{};
        gmtime_r(&seconds, &parts);
        char expected[64], written[64];
        strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        write_http_date(static_cast<uint64_t>(seconds), written);
        ASSERT_EQ(std::string_view(written, kHttpDateSize), expected);
        strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S.042Z", &parts);
        write_iso_time(static_cast<uint64_t>(seconds) * 1'000'000 + 42'999, written);
        ASSERT_EQ(std::string_view(written, kIsoTimeSize), expected);
    }
}

TEST(Format, WhatIsSupported) {
    for (const auto* good : {"", "plain", "100%%", "%PROTOCOL%", "a%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%b", "%REQ(x-a)%",
                             "%REQ(:path)%", "%REQ(x-a?x-b):10%", "%START_TIME%", "%UPSTREAM_REMOTE_ADDRESS%%%", "%ROUTE_NAME%"})
        EXPECT_TRUE(header_format_supported(good)) << good;
    for (const auto* bad : {"%", "50% off", "%PROTOCOL", "%protocol%", "%NOPE%", "%REQ(%", "%REQ()%", "%REQ(a b)%", "%REQ(a):x%",
                            "%REQ(a):%", "%REQ(a)%%", "%START_TIME(%s)%", "%DYNAMIC_METADATA(a)%", "%REQ(a?)%", "%REQ(a):1234567%"})
        EXPECT_FALSE(header_format_supported(bad)) << bad;
}

TEST(Registry, KnowsTheRouter) {
    const Factory* router = find_factory(kRouterTypeUrl);
    ASSERT_NE(router, nullptr);
    EXPECT_TRUE(router->terminal);
    EXPECT_EQ(router->name, "envoy.filters.http.router");
    EXPECT_EQ(find_factory("type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"), nullptr);
    static constexpr Factory mine{.type_url = "type.googleapis.com/mine", .name = "mine", .terminal = false, .create = nullptr};
    register_factory(&mine);
    register_factory(&mine);
    EXPECT_EQ(find_factory("type.googleapis.com/mine"), &mine);
    EXPECT_EQ(std::count(factories().begin(), factories().end(), &mine), 1);
}

}  // namespace
}  // namespace sluice::filter
