// Numbers, ages, tables and YAML as people read them.
#include "ctrl/sluicectl/text.h"

#include <gtest/gtest.h>

namespace sluice::ctl {
namespace {

TEST(Text, Numbers) {
    EXPECT_EQ(grouped(0), "0");
    EXPECT_EQ(grouped(999), "999");
    EXPECT_EQ(grouped(1000), "1,000");
    EXPECT_EQ(grouped(38'412), "38,412");
    EXPECT_EQ(grouped(UINT64_MAX), "18,446,744,073,709,551,615");
    EXPECT_EQ(count_of(1, "route"), "1 route");
    EXPECT_EQ(count_of(1200, "route"), "1,200 routes");
}

TEST(Text, Ages) {
    EXPECT_EQ(age(-3), "0s");
    EXPECT_EQ(age(59.9), "59s");
    EXPECT_EQ(age(120), "2m");
    EXPECT_EQ(age(3600), "1h");
    EXPECT_EQ(age(3660), "1h1m");
    EXPECT_EQ(age(74 * 3600), "3d2h");
}

TEST(Text, Speeds) {
    EXPECT_EQ(speed(0), "");
    EXPECT_EQ(speed(100), "100M");
    EXPECT_EQ(speed(2500), "2.5G");
    EXPECT_EQ(speed(25'000), "25G");
}

TEST(Text, TablesAlignByCharactersNotBytes) {
    Table table({{"NAME"}, {"N", true}, {"END"}});
    table.row({"gr\xc3\xbc\xc3\x9f", "5", ""});
    table.row({"x", "1,234", "z"});
    EXPECT_EQ(table.text(), "NAME      N  END\ngr\xc3\xbc\xc3\x9f      5\nx     1,234  z\n");
}

TEST(Text, ControlCharactersNeverReachTheTerminal) { EXPECT_EQ(printable("a\x1b[2J\nb\x7f"), "a [2J b "); }

TEST(Yaml, QuotesWhatAYamlReaderWouldTakeForSomethingElse) {
    const Json json = Json::parse(R"({"a": "plain", "b": "yes", "c": "5", "d": "x: y", "e": "", "f": null, "g": true, "h": 1.5,
        "i": [], "j": {}, "k": [{"x": 1, "y": [2]}, [3]], "l m": "- z", "n": "a\nb"})");
    EXPECT_EQ(to_yaml(json),
              "a: plain\nb: \"yes\"\nc: \"5\"\nd: \"x: y\"\ne: \"\"\nf: null\ng: true\nh: 1.5\ni: []\nj: {}\n"
              "k:\n- x: 1\n  \"y\":\n  - 2\n- - 3\n\"l m\": \"- z\"\n\"n\": \"a\\nb\"\n");
}

}  // namespace
}  // namespace sluice::ctl
