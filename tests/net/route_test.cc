// Longest prefix, source addresses, the strong host model; neighbour cache under pressure.
#include "tests/net/wire.h"

#include "net/neighbor.h"
#include "net/route.h"

namespace sluice::net::test {
namespace {

std::vector<PortConfig> ports() {
    PortConfig a, b;
    a.addresses = {prefix("192.0.2.10/24"), prefix("2001:db8::10/64"), prefix("fe80::1/64")};
    a.routes = {{prefix("0.0.0.0/0"), ip("192.0.2.1")}, {prefix("198.51.100.0/24"), ip("192.0.2.2")}, {prefix("::/0"), ip("fe80::99")}};
    b.addresses = {prefix("10.0.0.10/16"), prefix("10.0.1.10/24"), prefix("fe80::2/64")};
    b.routes = {{prefix("0.0.0.0/0"), ip("10.0.0.1")}, {prefix("198.51.0.0/16"), ip("10.0.0.2")}};
    return {a, b};
}

TEST(RouteTable, LongestPrefixWins) {
    const auto p = ports();
    const RouteTable t(p);
    EXPECT_EQ(t.find(ip("198.51.100.9"), {})->via, ip("192.0.2.2"));
    EXPECT_EQ(t.find(ip("198.51.101.9"), {})->via, ip("10.0.0.2"));
    EXPECT_EQ(t.find(ip("203.0.113.1"), {})->via, ip("192.0.2.1"));
    EXPECT_TRUE(t.find(ip("10.0.1.77"), {})->on_link);
    EXPECT_EQ(t.find(ip("10.0.1.77"), {})->to.length, 24);
    EXPECT_EQ(t.find(ip("2001:db9::1"), {})->via, ip("fe80::99"));
}

TEST(RouteTable, TheSourcePicksAmongEquals) {
    const auto p = ports();
    const RouteTable t(p);
    EXPECT_EQ(t.find(ip("203.0.113.1"), ip("10.0.0.10"))->via, ip("10.0.0.1"));
    EXPECT_EQ(t.find(ip("203.0.113.1"), ip("192.0.2.10"))->via, ip("192.0.2.1"));
    EXPECT_EQ(t.find(ip("fe80::5"), ip("fe80::2"))->port, 1);
    EXPECT_EQ(t.find(ip("198.51.100.9"), ip("10.0.0.10"))->via, ip("192.0.2.2")) << "a longer prefix beats the source's port";
}

TEST(RouteTable, SourceSelection) {
    const auto p = ports();
    const RouteTable t(p);
    const auto source = [&](const char* to) { return t.choose_source(*t.find(ip(to), {}), ip(to))->ip; };
    EXPECT_EQ(source("10.0.1.7"), ip("10.0.1.10"));
    EXPECT_EQ(source("10.0.9.7"), ip("10.0.0.10"));
    EXPECT_EQ(source("203.0.113.1"), ip("192.0.2.10"));
    EXPECT_EQ(source("2001:db9::1"), ip("2001:db8::10")) << "a global destination gets a global source";
    EXPECT_EQ(source("fe80::77"), ip("fe80::1"));
}

TEST(RouteTable, SourceSelectionIpv6ByTheLongestMatch) {   // RFC 6724 5, rule 8
    PortConfig a;
    a.addresses = {prefix("2001:db8:1::10/64"), prefix("2001:db8:2::10/64"), prefix("fd00:1::10/64")};
    a.routes = {{prefix("::/0"), ip("2001:db8:1::1")}};
    const std::vector<PortConfig> p{a};
    RouteTable t(p);
    const auto source = [&](const char* to) { return t.choose_source(*t.find(ip(to), {}), ip(to))->ip; };
    EXPECT_EQ(source("2001:db8:2::99"), ip("2001:db8:2::10"));
    EXPECT_EQ(source("2001:db8:2:7::1"), ip("2001:db8:2::10")) << "not the next hop's network, but the nearest to the destination";
    EXPECT_EQ(source("fd00:2::1"), ip("fd00:1::10"));
    EXPECT_EQ(source("2600::1"), ip("2001:db8:1::10"));
    EXPECT_EQ(source("2001:db8:1::ffff"), ip("2001:db8:1::10"));
    t.local_on(ip("2001:db8:2::10"), 0)->set_state(AddressState::kDuplicate, kPeerMac);
    EXPECT_EQ(source("2001:db8:2::99"), ip("2001:db8:1::10")) << "an address that another host has is no source";
}

TEST(RouteTable, NoRouteToOurselvesOrGroups) {
    const auto p = ports();
    const RouteTable t(p);
    for (const char* to : {"192.0.2.10", "fe80::2", "224.0.0.1", "ff02::1", "0.0.0.0", "::"}) EXPECT_FALSE(t.find(ip(to), {})) << to;
}

TEST(RouteTable, Broadcasts) {
    const auto p = ports();
    const RouteTable t(p);
    for (const char* a : {"255.255.255.255", "192.0.2.255", "10.0.255.255", "10.0.1.255"}) EXPECT_TRUE(t.is_broadcast(ip(a))) << a;
    for (const char* a : {"192.0.2.254", "10.1.255.255", "2001:db8::ffff"}) EXPECT_FALSE(t.is_broadcast(ip(a))) << a;
}

TEST(NeighborTable, EntriesInUseSurviveAFloodOfDeadAddresses) {
    NeighborTable t(64, 42);
    Instant now{1'000'000};
    Neighbor* gateway = t.find_or_add(0, ip("192.0.2.1"), now);
    t.start(*gateway, now);
    t.learn(0, ip("192.0.2.1"), kPeerMac, true, true, now);
    const uint32_t handle = t.handle(*gateway);
    for (uint32_t i = 0; i < 100'000; i++) {
        now = now + microseconds(100);
        if (i % 1000 == 0) t.use(*gateway, now);
        Neighbor* n = t.find_or_add(0, IpAddress::v4(0x0a000000 + i), now);
        if (!n) continue;
        if (n->state == Neighbor::State::kFree) t.start(*n, now);
        t.handle_timeout(now, [](Neighbor&, NeighborTable::Due) {});
        ASSERT_LE(t.in_use(), 64u);
    }
    EXPECT_EQ(t.find_handle(handle), t.find(0, ip("192.0.2.1")));
    EXPECT_NE(t.find_handle(handle), nullptr);
    // And a newcomer that does answer still gets in.
    Neighbor* n = t.find_or_add(0, ip("192.0.2.9"), now);
    ASSERT_NE(n, nullptr);
    t.start(*n, now);
    EXPECT_EQ(t.learn(0, ip("192.0.2.9"), kPeerMac, true, true, now), n);
}

TEST(NeighborTable, AHandleDiesWithItsEntry) {
    NeighborTable t(1, 1);
    Neighbor* n = t.find_or_add(0, ip("192.0.2.1"), Instant{0});
    t.start(*n, Instant{0});
    t.learn(0, ip("192.0.2.1"), kPeerMac, true, true, Instant{0});
    const uint32_t handle = t.handle(*n);
    ASSERT_EQ(t.find_handle(handle), n);
    t.remove(*n);
    EXPECT_EQ(t.find_handle(handle), nullptr);
    n = t.find_or_add(0, ip("192.0.2.2"), Instant{0});
    t.start(*n, Instant{0});
    t.learn(0, ip("192.0.2.2"), kPeerMac, true, true, Instant{0});
    EXPECT_EQ(t.find_handle(handle), nullptr);
    EXPECT_EQ(t.find_handle(0), nullptr);
}

}  // namespace
}  // namespace sluice::net::test
