// Which routes are said to be unreachable, and which must not be.
// In: VirtualServices. Out: SLC0118 and SLC0124 with their fields.
// The second table is the more important one: a finding there would be wrong.
// A random test compares the index with the plain double loop over covers().
#include <chrono>
#include <random>

#include <gtest/gtest.h>

#include "ctrl/model/match_cover.h"
#include "tests/ctrl/model/mesh_text.h"

namespace sluice::model {
namespace {

using namespace test;

constexpr char kAct[] = "    directResponse: {status: 200}\n";

// Each text is the `match` of one route; "" is a route without.
std::string routes(const std::vector<std::string>& matches) {
    std::string out;
    for (const std::string& match : matches) out += match.empty() ? "  - directResponse: {status: 200}\n" : "  - match: " + match + "\n" + kAct;
    return out;
}

struct Pair {
    const char* name;
    std::vector<std::string> matches;
    const char* found;
};
class Shadows : public testing::TestWithParam<Pair> {};

TEST_P(Shadows, AreFoundOrNot) {
    const std::string text = gateway() + virtual_service("a", routes(GetParam().matches));
    EXPECT_EQ(codes_of(text, "SLC0118 SLC0124"), GetParam().found) << render(findings_of(text), 1);
}

constexpr char kSecond[] = "SLC0118 spec.http[1]\n";

INSTANTIATE_TEST_SUITE_P(Unreachable, Shadows, testing::Values(
    Pair{"after_a_catch_all", {"", "[{uri: {prefix: /a}}]"}, kSecond},
    Pair{"after_prefix_slash", {"[{uri: {prefix: /}}]", "[{uri: {regex: '/a.*'}}]"}, kSecond},
    Pair{"after_a_regex_for_all", {"[{uri: {regex: '.*'}}]", "[{uri: {exact: /a}}]"}, kSecond},
    Pair{"narrower_prefix", {"[{uri: {prefix: /api}}]", "[{uri: {prefix: /api/v2}}]"}, kSecond},
    Pair{"prefix_is_plain_text", {"[{uri: {prefix: /api}}]", "[{uri: {exact: /apiary}}]"}, kSecond},
    Pair{"same_exact", {"[{uri: {exact: /a}}]", "[{uri: {exact: /a}}]"}, kSecond},
    Pair{"same_regex", {"[{uri: {regex: '/a+'}}]", "[{uri: {regex: '/a+'}, method: {exact: GET}}]"}, kSecond},
    Pair{"case_ignored_by_the_first", {"[{uri: {prefix: /API}, ignoreUriCase: true}]", "[{uri: {exact: /api/x}}]"}, kSecond},
    Pair{"case_ignored_by_both", {"[{uri: {prefix: /API}, ignoreUriCase: true}]", "[{uri: {exact: /Api/x}, ignoreUriCase: true}]"}, kSecond},
    Pair{"more_headers", {"[{headers: {x-a: {exact: '1'}}}]", "[{headers: {x-a: {exact: '1'}, x-b: {exact: '2'}}}]"}, kSecond},
    Pair{"header_names_have_no_case", {"[{headers: {X-A: {exact: '1'}}}]", "[{headers: {x-a: {exact: '1'}}}]"}, kSecond},
    Pair{"presence_of_a_header", {"[{headers: {x-a: {}}}]", "[{headers: {x-a: {prefix: b}}}]"}, kSecond},
    Pair{"header_prefix", {"[{headers: {x-a: {prefix: b}}}]", "[{headers: {x-a: {exact: bc}}}]"}, kSecond},
    Pair{"absent_header", {"[{withoutHeaders: {x-a: {exact: '1'}}}]", "[{withoutHeaders: {x-a: {prefix: ''}}}]"}, kSecond},
    Pair{"any_method", {"[{uri: {prefix: /a}}]", "[{uri: {prefix: /a}, method: {exact: GET}}]"}, kSecond},
    Pair{"query", {"[{queryParams: {v: {exact: '1'}}}]", "[{uri: {prefix: /a}, queryParams: {v: {exact: '1'}}}]"}, kSecond},
    Pair{"one_of_two_blocks_takes_it", {"[{uri: {exact: /x}}, {uri: {prefix: /a}}]", "[{uri: {exact: /a/b}}]"}, kSecond},
    Pair{"both_blocks_lost", {"[{uri: {prefix: /a}}]", "[{uri: {exact: /a/b}}, {uri: {exact: /a/c}}]"}, kSecond},
    Pair{"one_block_of_two", {"[{uri: {prefix: /a}}]", "[{uri: {exact: /a/b}}, {uri: {exact: /b}}]"}, "SLC0124 spec.http[1].match[0]\n"},
    Pair{"port_that_no_server_has", {"[{port: 8080}]"}, "SLC0118 spec.http[0]\n"},
    Pair{"several", {"[{uri: {prefix: /a}}]", "[{uri: {exact: /a}}]", "", "[{uri: {prefix: /b}}]"}, "SLC0118 spec.http[1]\nSLC0118 spec.http[3]\n"}),
    [](const auto& info) { return std::string(info.param.name); });

INSTANTIATE_TEST_SUITE_P(Reachable, Shadows, testing::Values(
    Pair{"wider_after_narrower", {"[{uri: {exact: /api/v2}}]", "[{uri: {prefix: /api}}]", ""}, ""},
    Pair{"other_paths", {"[{uri: {prefix: /a/}}]", "[{uri: {prefix: /a}}]", "[{uri: {exact: /b}}]"}, ""},
    Pair{"case_kept_by_the_first", {"[{uri: {prefix: /a}}]", "[{uri: {prefix: /a}, ignoreUriCase: true}]"}, ""},
    Pair{"other_case", {"[{uri: {exact: /A}}]", "[{uri: {exact: /a}}]"}, ""},
    Pair{"other_regex", {"[{uri: {regex: '/a.*'}}]", "[{uri: {regex: '/ab.*'}}]"}, ""},
    Pair{"header_of_the_first", {"[{uri: {prefix: /a}, headers: {x-tester: {exact: 'yes'}}}]", "[{uri: {prefix: /a}}]"}, ""},
    Pair{"other_header_value", {"[{headers: {x-a: {exact: '1'}}}]", "[{headers: {x-a: {exact: '2'}}}]"}, ""},
    Pair{"header_values_have_case", {"[{headers: {x-a: {exact: a}}}]", "[{headers: {x-a: {exact: A}}}]"}, ""},
    Pair{"other_method", {"[{method: {exact: GET}}]", "[{method: {exact: POST}}]"}, ""},
    Pair{"method_of_the_first", {"[{uri: {prefix: /a}, method: {exact: GET}}]", "[{uri: {prefix: /a/b}}]"}, ""},
    Pair{"absent_after_present", {"[{headers: {x-a: {}}}]", "[{withoutHeaders: {x-a: {}}}]"}, ""},
    Pair{"absent_is_not_everything", {"[{withoutHeaders: {x-a: {exact: '1'}}}]", "[{uri: {prefix: /a}}]"}, ""},
    Pair{"query_of_the_first", {"[{queryParams: {v: {exact: '1'}}}]", ""}, ""},
    Pair{"source_of_the_first", {"[{sourceNamespace: other}]", "[{sourceLabels: {app: x}}]", ""}, ""},
    Pair{"port_of_the_first", {"[{port: 80, uri: {prefix: /a}}]", "[{uri: {prefix: /a}}]"}, ""},
    Pair{"authority_of_the_first", {"[{authority: {exact: a.example}}]", "[{authority: {exact: b.example}}]", ""}, ""},
    Pair{"twice_in_one_route", {"[{uri: {prefix: /a}}, {uri: {exact: /a/b}}]"}, ""}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Shadow, GatewaysOfAMatchCount) {
    const auto both = [](const std::string& first, const std::string& second) {
        return gateway("edge") + gateway("inner", "\"*\"", "8080") +
               virtual_service("a", "  - match: [{" + first + "}]\n" + kAct + "  - match: [{" + second + "}]\n" + kAct, "shop.example", "edge, shop/inner");
    };
    EXPECT_EQ(codes_of(both("gateways: [edge]", "uri: {prefix: /a}"), "SLC0118"), "");
    EXPECT_EQ(codes_of(both("gateways: [edge]", "gateways: [inner]"), "SLC0118"), "");
    EXPECT_EQ(codes_of(both("gateways: [edge]", "gateways: [shop/edge], uri: {prefix: /a}"), "SLC0118"), "SLC0118 spec.http[1]\n");
    EXPECT_EQ(codes_of(both("gateways: [edge, inner]", "uri: {prefix: /a}"), "SLC0118"), "SLC0118 spec.http[1]\n");
    EXPECT_EQ(codes_of(both("port: 80", "port: 8080"), "SLC0118"), "");
}

TEST(Shadow, SaysWhichLineTakesTheRequests) {
    const auto all = findings_of(gateway() + virtual_service("a", routes({"[{uri: {prefix: /a}}]", "[{uri: {exact: /a/b}}]"})));
    ASSERT_EQ(all.size(), 1u) << render(all, 1);
    EXPECT_EQ(all[0].message, "never reached: `spec.http[0].match[0]` in line 16 takes every such request");
    EXPECT_EQ(all[0].line, 18);
}

// Several VirtualServices of one host are merged by name, and routes without a match go last.
TEST(Shadow, AcrossVirtualServices) {
    const std::string a = virtual_service("a", routes({"[{uri: {prefix: /a}}]", ""}));
    const std::string b = virtual_service("b", routes({"[{uri: {exact: /a/b}}]", "[{uri: {exact: /b}}]"}));
    EXPECT_EQ(codes_of(gateway() + a + b), "SLC0127 spec.hosts\nSLC0118 spec.http[0]\n");
    EXPECT_EQ(codes_of(gateway() + b + virtual_service("c", routes({""}))), "SLC0127 spec.hosts\n");
    // Two that take everything: the second is never reached.
    EXPECT_EQ(codes_of(gateway() + virtual_service("a", routes({""})) + virtual_service("b", routes({""}))), "SLC0127 spec.hosts\nSLC0118 spec.http[0]\n");
    // Merged, a catch-all in the middle of one object is no obstacle.
    EXPECT_EQ(codes_of(gateway() + virtual_service("a", routes({"", "[{uri: {prefix: /x}}]"})) + virtual_service("b", routes({"[{uri: {prefix: /y}}]"}))), "SLC0127 spec.hosts\n");
    // Other hosts, or another Gateway: nothing to do with one another.
    EXPECT_EQ(codes_of(gateway() + virtual_service("a", routes({""}), "a.example") + virtual_service("b", routes({""}), "b.example")), "");
    EXPECT_EQ(codes_of(gateway() + gateway("inner", "\"*\"", "8080") + virtual_service("a", routes({""})) + virtual_service("b", routes({""}), "shop.example", "inner")), "");
}

// The index finds what the double loop finds.
TEST(Shadow, IndexAgreesWithComparingAll) {
    const unsigned seed = std::random_device{}();
    std::printf("seed %u: --gtest_filter=Shadow.IndexAgrees* with this number as `seed`\n", seed);
    std::mt19937 random(seed);
    const auto pick = [&](std::vector<std::string> of) { return of[random() % of.size()]; };
    for (int round = 0; round < 200; ++round) {
        std::vector<std::string> matches;
        for (int i = 0; i < 12; ++i) {
            std::string m = pick({"", "uri: {prefix: /a}, ", "uri: {prefix: /a/b}, ", "uri: {exact: /a/b}, ", "uri: {exact: /A/b}, ", "uri: {regex: '/a.'}, ", "uri: {prefix: ''}, "});
            m += pick({"", "", "ignoreUriCase: true, "}) + pick({"", "", "method: {exact: GET}, ", "method: {prefix: G}, "});
            m += pick({"", "headers: {x: {exact: '1'}}, ", "headers: {x: {exact: '1'}, y: {exact: '2'}}, ", "headers: {y: {exact: '2'}}, ", "headers: {X: {}}, ", "withoutHeaders: {x: {exact: '1'}}, "});
            matches.push_back("[{" + m + "name: m}]");
        }
        const std::string text = gateway() + virtual_service("a", routes(matches));
        MeshConfig mesh;
        std::vector<Diagnostic> none;
        read_objects(yaml::parse("m.yaml", text, none), mesh, none);
        ASSERT_TRUE(none.empty()) << render(none, 1);
        const std::set<std::string> gateways = {"shop/edge"};
        std::string expected;
        const auto& service = mesh.virtual_services[0];
        for (int n = 0; n < 12; ++n)
            for (int w = 0; w < n; ++w) {
                const MatchBlock wide{&service.spec.http(w).match(0), &gateways, &service, w, 0}, narrow{&service.spec.http(n).match(0), &gateways, &service, n, 0};
                if (!covers(wide, narrow)) continue;
                expected += "SLC0118 spec.http[" + std::to_string(n) + "]\n";
                break;
            }
        ASSERT_EQ(codes_of(text, "SLC0118"), expected) << "seed " << seed << "\n" << text;
    }
}

// 10,000 routes of one object: a comparison of each with each would be 50 million. Counted by the budget, not by a clock.
TEST(Shadow, TenThousandRoutesAreWithinTheBudget) {
    std::vector<std::string> paths, users, alike;
    for (int i = 0; i < 10'000; ++i) {
        paths.push_back("[{uri: {prefix: /service/" + std::to_string(i) + "/}}]");
        users.push_back("[{uri: {prefix: /a}, headers: {x-user: {exact: u" + std::to_string(i) + "}}}]");
        alike.push_back("[{uri: {prefix: /a}, headers: {x-user: {regex: 'u" + std::to_string(i) + ".'}}}]");
    }
    paths.push_back("[{uri: {exact: /service/77/x}}]");
    EXPECT_EQ(codes_of(gateway() + virtual_service("a", routes(paths))), "SLC0118 spec.http[10000]\n");
    EXPECT_EQ(codes_of(gateway() + virtual_service("a", routes(users))), "");
    EXPECT_EQ(codes_of(gateway() + virtual_service("a", routes(alike))), "SLC0134 spec.http\n");
}

}  // namespace
}  // namespace sluice::model
