// Which virtual host an authority leads to: exact, suffix, prefix, star; ports, case, dots, IPv6 (THREATS 31).
#include "tests/route/support.h"

namespace sluice::route::test {
namespace {

std::vector<VirtualHostInput> hosts(std::vector<std::vector<std::string>> domains) {
    std::vector<VirtualHostInput> inputs;
    for (auto& d : domains) inputs.push_back(host(std::move(d), {prefix("/")}));
    return inputs;
}

TEST(RouteHost, ExactBeatsSuffixBeatsPrefixBeatsStar) {
    const Built built(hosts({{"*"}, {"shop.*"}, {"*.example"}, {"*.shop.example"}, {"shop.example"}, {"*-eu.shop.example"}}));
    EXPECT_EQ(built.find("shop.example", "/"), "shop.example/r0");
    EXPECT_EQ(built.find("other.example", "/"), "*.example/r0");
    EXPECT_EQ(built.find("a.shop.example", "/"), "*.shop.example/r0");
    EXPECT_EQ(built.find("a-eu.shop.example", "/"), "*-eu.shop.example/r0");
    EXPECT_EQ(built.find("shop.test", "/"), "shop.*/r0");
    EXPECT_EQ(built.find("nowhere", "/"), "*/r0");
}

TEST(RouteHost, WildcardStandsForAtLeastOneByte) {
    const Built built(hosts({{"*.example"}, {"shop.*"}}));
    EXPECT_EQ(built.find(".example", "/"), "-");
    EXPECT_EQ(built.find("a.example", "/"), "*.example/r0");
    EXPECT_EQ(built.find("shop.", "/"), "-");
    EXPECT_EQ(built.find("shop.x", "/"), "shop.*/r0");
    EXPECT_EQ(built.find("", "/"), "-");
}

TEST(RouteHost, CaseIsIgnoredOnBothSides) {
    const Built built(hosts({{"Shop.Example"}, {"*.WILD.example"}}));
    EXPECT_EQ(built.find("sHOP.eXAMPLE", "/"), "Shop.Example/r0");
    EXPECT_EQ(built.find("A.wild.EXAMPLE", "/"), "*.WILD.example/r0");
}

TEST(RouteHost, PortIsPartOfTheNameUnlessIgnored) {
    const Built strict(hosts({{"shop.example"}, {"shop.example:8080"}, {"[2001:db8::1]"}}));
    EXPECT_EQ(strict.find("shop.example", "/"), "shop.example/r0");
    EXPECT_EQ(strict.find("shop.example:8080", "/"), "shop.example:8080/r0");
    EXPECT_EQ(strict.find("shop.example:80", "/"), "-");
    EXPECT_EQ(strict.find("[2001:db8::1]:80", "/"), "-");

    const Built ignoring(hosts({{"shop.example"}, {"*.wild"}, {"[2001:db8::1]"}}), true);
    EXPECT_EQ(ignoring.find("shop.example:80", "/"), "shop.example/r0");
    EXPECT_EQ(ignoring.find("shop.example:", "/"), "shop.example/r0");
    EXPECT_EQ(ignoring.find("a.wild:1", "/"), "*.wild/r0");
    EXPECT_EQ(ignoring.find("[2001:db8::1]:80", "/"), "[2001:db8::1]/r0");
    EXPECT_EQ(ignoring.find("[2001:db8::1]", "/"), "[2001:db8::1]/r0");
}

TEST(RouteHost, TrailingDotIsAnotherName) {
    const Built built(hosts({{"shop.example"}, {"*"}}));
    EXPECT_EQ(built.find("shop.example.", "/"), "*/r0");
}

TEST(RouteHost, LongAuthoritiesAreHarmless) {
    const Built built(hosts({{"*.example"}, {"long.*"}, {"*"}}));
    EXPECT_EQ(built.find(std::string(30000, 'a') + ".example", "/"), "*.example/r0");
    EXPECT_EQ(built.find("long." + std::string(30000, 'a'), "/"), "long.*/r0");
    EXPECT_EQ(built.find(std::string(30000, 'a'), "/"), "*/r0");
}

TEST(RouteHost, BadDomainsAreNamed) {
    const auto error = [](std::vector<std::vector<std::string>> domains) {
        auto built = RouteTable::build("t", hosts(std::move(domains)), {}, {});
        return built ? std::string("none") : built.error();
    };
    EXPECT_EQ(error({{"a.example"}, {"A.example"}}), "virtual host \"A.example\": domain \"a.example\" is given twice");
    EXPECT_EQ(error({{"*"}, {"*"}}), "virtual host \"*\": domain \"*\" is given twice");
    EXPECT_EQ(error({{"*.x"}, {"*.X"}}), "virtual host \"*.X\": domain \"*.x\" is given twice");
    EXPECT_EQ(error({{"a.*.b"}}), "virtual host \"a.*.b\": domain \"a.*.b\": a star may stand only at the start or at the end");
    EXPECT_EQ(error({{"*.a.*"}}), "virtual host \"*.a.*\": domain \"*.a.*\": a star may stand only at the start or at the end");
    EXPECT_EQ(error({{"x.*"}, {"*.x"}}), "none");
}

}  // namespace
}  // namespace sluice::route::test
