// Which route of a virtual host matches: paths of each kind, conditions of each kind, and the user's order among them.
#include <cmath>
#include <random>

#include "tests/route/support.h"

namespace sluice::route::test {
namespace {

using Kind = StringMatch::Kind;

TEST(RoutePath, FirstInOrderWinsAcrossKinds) {
    const Built built({host({"*"}, {with_header(prefix("/a"), "x-v", string_match(Kind::kExact, "1")), regex("/a/[0-9]+"),
                                    exact("/a/7"), prefix("/a/"), prefix("/"), exact("/never")})});
    EXPECT_EQ(built.find("h", "/a/7", {{"x-v", "1"}}), "*/r0");
    EXPECT_EQ(built.find("h", "/a/7"), "*/r1");
    EXPECT_EQ(built.find("h", "/a/x"), "*/r3");
    EXPECT_EQ(built.find("h", "/a"), "*/r4");
    EXPECT_EQ(built.find("h", "/never"), "*/r4");
}

TEST(RoutePath, QueryIsNoPartOfThePath) {
    const Built built({host({"*"}, {exact("/a"), regex("/b/.*z"), prefix("/c")})});
    EXPECT_EQ(built.find("h", "/a?x=1"), "*/r0");
    EXPECT_EQ(built.find("h", "/a?"), "*/r0");
    EXPECT_EQ(built.find("h", "/b/yz?q"), "*/r1");
    EXPECT_EQ(built.find("h", "/b/y?q=z"), "*/-");
    EXPECT_EQ(built.find("h", "/?/c"), "*/-");
    EXPECT_EQ(built.find("h", "*"), "*/-");
    EXPECT_EQ(built.find("h", ""), "*/-");
}

TEST(RoutePath, PrefixIsOfBytesAndSegmentPrefixOfSegments) {
    const Built built({host({"*"}, {segment("/seg"), prefix("/pre")})});
    EXPECT_EQ(built.find("h", "/prefix"), "*/r1");
    EXPECT_EQ(built.find("h", "/seg"), "*/r0");
    EXPECT_EQ(built.find("h", "/seg?a"), "*/r0");
    EXPECT_EQ(built.find("h", "/seg/"), "*/r0");
    EXPECT_EQ(built.find("h", "/seg/x"), "*/r0");
    EXPECT_EQ(built.find("h", "/segment"), "*/-");
}

TEST(RoutePath, CaseIsIgnoredWhereAsked) {
    const Built built({host({"*"}, {exact("/Plain"), any_case(exact("/Exact")), any_case(prefix("/Pre/")), any_case(segment("/Seg"))})});
    EXPECT_EQ(built.find("h", "/plain"), "*/-");
    EXPECT_EQ(built.find("h", "/eXACT"), "*/r1");
    EXPECT_EQ(built.find("h", "/exactly"), "*/-");
    EXPECT_EQ(built.find("h", "/PRE/x"), "*/r2");
    EXPECT_EQ(built.find("h", "/pre"), "*/-");
    EXPECT_EQ(built.find("h", "/SEG/x"), "*/r3");
    EXPECT_EQ(built.find("h", "/SEGMENT"), "*/-");
}

TEST(RoutePath, RegexIsAFullMatchOfAllBytes) {
    const Built built({host({"*"}, {regex("/a"), regex("/b.*"), regex("^/c$"), regex("(?i)/Case"), regex("/d/\\pL+"), regex("/e/.")})});
    EXPECT_EQ(built.find("h", "/a"), "*/r0");
    EXPECT_EQ(built.find("h", "/aa"), "*/-");
    EXPECT_EQ(built.find("h", "//a"), "*/-");
    EXPECT_EQ(built.find("h", "/b/c"), "*/r1");
    EXPECT_EQ(built.find("h", "/c"), "*/r2");
    EXPECT_EQ(built.find("h", "/cASE"), "*/r3");
    EXPECT_EQ(built.find("h", "/d/\xc3\xa9t\xc3\xa9"), "*/r4");
    EXPECT_EQ(built.find("h", "/e/\xc3\xa9"), "*/r5") << "RE2 reads UTF-8: one character";
    EXPECT_EQ(built.find("h", "/e/\xff"), "*/-");
}

TEST(RoutePath, HugeRegexesStayOnRe2AndMatch) {
    const Built built({host({"*"}, {regex("/([a-z]{1,30}[0-9]{1,30}){1,30}"), regex("/a.{0,900}b"), regex("/(x|y)")})});
    EXPECT_EQ(built.table->pending_shards(), 0u);
    EXPECT_EQ(built.find("h", "/abc123def456"), "*/r0");
    EXPECT_EQ(built.find("h", "/a" + std::string(500, '-') + "b"), "*/r1");
    EXPECT_EQ(built.find("h", "/y"), "*/r2");
}

TEST(RoutePath, HundredsOfRegexesKeepTheirOrder) {
    std::vector<RouteMatch> matches;
    for (int i = 0; i < 300; i++) matches.push_back(regex(numbered("/svc-", i) + "(/.*)?"));
    matches.push_back(regex("/svc-[0-9]+/x"));
    Built built({host({"*"}, matches)});
    // Before and after the databases that were left to the background have come.
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 300; i += 7) {
            EXPECT_EQ(built.find("h", numbered("/svc-", i) + "/x"), numbered("*/r", i));
        }
        EXPECT_EQ(built.find("h", "/svc-300/x"), "*/r300");
        EXPECT_EQ(built.find("h", "/svc-300/y"), "*/-");
        while (built.table->pending_shards() != 0) {
            if (built.table->could_adopt()) built = Built({host({"*"}, matches)});
        }
    }
}

TEST(RouteConditions, EachKind) {
    const auto one = [](StringMatch match) { return Built({host({"*"}, {with_header(prefix("/"), "X-User", std::move(match))})}); };
    const auto says = [](const Built& built, std::vector<std::pair<std::string, std::string>> headers) {
        return built.find("h", "/", std::move(headers)) == "*/r0";
    };
    const Built exact_match = one(string_match(Kind::kExact, "alice"));
    EXPECT_TRUE(says(exact_match, {{"x-USER", "alice"}}));
    EXPECT_FALSE(says(exact_match, {{"x-user", "Alice"}}));
    EXPECT_FALSE(says(exact_match, {{"x-user", "alice"}, {"x-user", "bob"}})) << "values are joined: alice,bob";
    const Built joined = one(string_match(Kind::kExact, "alice,bob"));
    EXPECT_TRUE(says(joined, {{"x-user", "alice"}, {"other", "1"}, {"X-User", "bob"}}));
    EXPECT_TRUE(says(one(string_match(Kind::kPrefix, "al")), {{"x-user", "alice"}}));
    EXPECT_TRUE(says(one(string_match(Kind::kSuffix, "ce")), {{"x-user", "alice"}}));
    EXPECT_TRUE(says(one(string_match(Kind::kContains, "lic")), {{"x-user", "alice"}}));
    EXPECT_FALSE(says(one(string_match(Kind::kContains, "lix")), {{"x-user", "alice"}}));
    EXPECT_TRUE(says(one(string_match(Kind::kRegex, "a.*e")), {{"x-user", "alice"}}));
    EXPECT_FALSE(says(one(string_match(Kind::kRegex, "lic")), {{"x-user", "alice"}})) << "regexes match in full";
    EXPECT_TRUE(says(one(string_match(Kind::kRegex, "")), {{"x-user", ""}}));
    EXPECT_TRUE(says(one(string_match(Kind::kPresent, "")), {{"x-user", ""}}));
    EXPECT_FALSE(says(one(string_match(Kind::kPresent, "")), {}));
    StringMatch any = string_match(Kind::kExact, "ALICE");
    any.ignore_case = true;
    EXPECT_TRUE(says(one(any), {{"x-user", "aLiCe"}}));
}

TEST(RouteConditions, MissingHeadersFailValuesAlsoInverted) {
    const auto find = [](StringMatch match, std::vector<std::pair<std::string, std::string>> headers) {
        return Built({host({"*"}, {with_header(prefix("/"), "x", std::move(match))})}).find("h", "/", std::move(headers));
    };
    StringMatch inverted = string_match(Kind::kExact, "1", true);
    EXPECT_EQ(find(inverted, {{"x", "2"}}), "*/r0");
    EXPECT_EQ(find(inverted, {{"x", "1"}}), "*/-");
    EXPECT_EQ(find(inverted, {}), "*/-");
    inverted.missing_as_empty = true;
    EXPECT_EQ(find(inverted, {}), "*/r0");
    EXPECT_EQ(find(string_match(Kind::kPresent, "", true), {}), "*/r0");
    EXPECT_EQ(find(string_match(Kind::kPresent, "", true), {{"x", ""}}), "*/-");
}

TEST(RouteConditions, JoinedBeyondTheScratchFailsClosed) {
    const Built built({host({"*"}, {with_header(prefix("/"), "x", string_match(Kind::kExact, "1", true))})});
    const std::string half(kScratchTextBytes / 2 + 1, 'a');
    EXPECT_EQ(built.find("h", "/", {{"x", half}}), "*/r0");
    EXPECT_EQ(built.find("h", "/", {{"x", half}, {"x", half}}), "*/-");
}

TEST(RouteConditions, MethodAuthorityAndQuery) {
    const Built built({host({"*"}, {with_header(prefix("/"), ":method", string_match(Kind::kExact, "POST")),
                                    with_header(prefix("/"), ":authority", string_match(Kind::kPrefix, "admin.")),
                                    with_query(prefix("/"), "debug", string_match(Kind::kExact, "1")),
                                    with_query(prefix("/"), "v", string_match(Kind::kRegex, "[a-c]+")),
                                    with_query(prefix("/"), "flag", string_match(Kind::kPresent, ""))})});
    EXPECT_EQ(built.find("h", "/", {}, "POST"), "*/r0");
    EXPECT_EQ(built.find("admin.h", "/"), "*/r1");
    EXPECT_EQ(built.find("h", "/?debug=1"), "*/r2");
    EXPECT_EQ(built.find("h", "/?a=b&debug=1&x"), "*/r2");
    EXPECT_EQ(built.find("h", "/?debug=0&debug=1"), "*/-") << "the first counts";
    EXPECT_EQ(built.find("h", "/?xdebug=1"), "*/-");
    EXPECT_EQ(built.find("h", "/?v=abc"), "*/r3");
    EXPECT_EQ(built.find("h", "/?v=abcd"), "*/-");
    EXPECT_EQ(built.find("h", "/?flag"), "*/r4");
    EXPECT_EQ(built.find("h", "/?flag=&&"), "*/r4");
    EXPECT_EQ(built.find("h", "/"), "*/-");
}

TEST(RouteConditions, ManyConditionalRoutesAreIndexed) {
    std::vector<RouteMatch> matches;
    for (int i = 0; i < 5000; i++) {
        RouteMatch match = with_header(prefix("/"), ":method", string_match(Kind::kExact, "GET"));
        matches.push_back(with_header(match, "x-user", string_match(Kind::kExact, numbered("user", i % 2500))));
    }
    matches.insert(matches.begin() + 10, with_header(prefix("/"), "x-vip", string_match(Kind::kPresent, "")));
    const Built built({host({"*"}, matches)});
    EXPECT_EQ(built.find("h", "/", {{"x-user", "user7"}}), "*/r7");
    EXPECT_EQ(built.find("h", "/", {{"x-user", "user7"}, {"x-vip", "1"}}), "*/r7");
    EXPECT_EQ(built.find("h", "/", {{"x-user", "user70"}, {"x-vip", "1"}}), "*/r10");
    EXPECT_EQ(built.find("h", "/", {{"x-user", "user2499"}}), "*/r2500");
    EXPECT_EQ(built.find("h", "/", {{"x-user", "user2499"}}, "PUT"), "*/-");
}

TEST(RouteBuild, FillsInWhatLookUpsAndOperatorsNeed) {
    RouteMatch match = with_header(prefix("/reviews"), "x-user", string_match(Kind::kRegex, "a.*"));
    match = with_query(with_header(match, ":method", string_match(Kind::kExact, "GET")), "debug", string_match(Kind::kPresent, ""));
    VirtualHostInput input = host({"*"}, {match});
    input.virtual_host.routes[0].clusters = {{1, "a", 90, {}, {}, {}}, {2, "b", 10, {}, {}, {}}};
    const Built built({input});
    const Route& route = built.table->virtual_hosts()[0].routes[0];
    EXPECT_EQ(route.match_text, "prefix /reviews header x-user=~a.* method=GET query debug");
    EXPECT_EQ(route.total_weight, 100u);
    EXPECT_EQ(route.matched_prefix_bytes, 8u);
}

TEST(RouteBuild, RefusesBadRegexesByName) {
    auto bad = RouteTable::build("t", {host({"shop"}, {prefix("/"), regex("/(")})}, {}, {});
    ASSERT_FALSE(bad);
    EXPECT_EQ(bad.error(), "virtual host \"shop\": route 1 (r1): bad regex: missing ): /(");
    bad = RouteTable::build("t", {host({"shop"}, {with_header(prefix("/"), "x", string_match(Kind::kRegex, "[a"))})}, {}, {});
    ASSERT_FALSE(bad);
    EXPECT_EQ(bad.error(), "virtual host \"shop\": route 0 (r0): header x: bad regex: missing ]: [a");
}

TEST(RouteClusters, WeightsAreKept) {
    VirtualHostInput input = host({"*"}, {prefix("/")});
    input.virtual_host.routes[0].clusters = {{1, "a", 90, {}, {}, {}}, {2, "zero", 0, {}, {}, {}}, {3, "b", 10, {}, {}, {}}};
    const Built built({input});
    const Route& route = built.table->virtual_hosts()[0].routes[0];
    std::mt19937_64 random(7);
    std::vector<double> picks(4);
    const int n = 100000;
    for (int i = 0; i < n; i++) picks[choose_cluster(route, random())->cluster_id]++;
    const double sigma = std::sqrt(n * 0.9 * 0.1);
    EXPECT_NEAR(picks[1], n * 0.9, 4 * sigma);
    EXPECT_EQ(picks[2], 0);
    EXPECT_EQ(choose_cluster(route, 0)->cluster_id, 1u);
    EXPECT_EQ(choose_cluster(route, UINT64_MAX)->cluster_id, 3u);
    EXPECT_EQ(choose_cluster(Route{}, 5), nullptr);
}

}  // namespace
}  // namespace sluice::route::test
