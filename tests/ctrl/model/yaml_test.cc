// The located tree: places, caps, hostile bytes.
// In: YAML text. Out: nodes, findings.
// Caps are tried with files that would expand or nest without them.
// YAML 1.2.
#include "ctrl/model/yaml.h"

#include <gtest/gtest.h>

namespace sluice::yaml {
namespace {

struct Parsed {
    std::shared_ptr<const File> file;
    std::vector<Diagnostic> findings;

    const Node& root() const { return file->documents.at(0); }
};

Parsed read(std::string text, const Limits& limits = {}) {
    Parsed out;
    out.file = parse("a.yaml", std::move(text), out.findings, limits);
    return out;
}

TEST(Yaml, KnowsWhereThingsStand) {
    const Parsed p = read("a: 1\nspec:\n  http:\n  - name: \"x\"\n    route: [y, zz]\n");
    ASSERT_TRUE(p.findings.empty());
    const auto at = [&](std::string_view path) {
        const Located found = locate(p.root(), path);
        return std::tuple(found.at.line, found.at.column, found.width, found.value != nullptr);
    };
    EXPECT_EQ(at("a"), std::tuple(1, 1, 1, true));
    EXPECT_EQ(at("spec.http"), std::tuple(3, 3, 4, true));
    EXPECT_EQ(at("spec.http[0].name"), std::tuple(4, 5, 4, true));
    EXPECT_EQ(at("spec.http[0].route[1]"), std::tuple(5, 16, 2, true));
    EXPECT_EQ(at("spec.http[0].route[7]"), std::tuple(5, 5, 5, false)) << "the part that exists";
    EXPECT_EQ(at("spec.nothing.below"), std::tuple(2, 1, 4, false));
    EXPECT_EQ(p.root().find("spec")->find("http")->items[0].find("name")->text, "x");
    EXPECT_TRUE(p.root().find("spec")->find("http")->items[0].find("name")->quoted);
}

TEST(Yaml, ReadsKeysThatPathsCannotHold) {
    const Parsed p = read("labels: {app.kubernetes.io/name: x}\n");
    const std::string path = "labels" + path_key("app.kubernetes.io/name");
    EXPECT_EQ(path, "labels[\"app.kubernetes.io/name\"]");
    const Located found = locate(p.root(), path);
    ASSERT_NE(found.value, nullptr);
    EXPECT_EQ(found.value->text, "x");
}

TEST(Yaml, ReadsSeveralDocumentsAndSkipsEmptyOnes) {
    const Parsed p = read("---\na: 1\n---\n---\n# nothing\n---\nb: 2\n");
    EXPECT_TRUE(p.findings.empty());
    ASSERT_EQ(p.file->documents.size(), 2u);
    EXPECT_EQ(p.file->documents[1].entries[0].at.line, 7);
}

TEST(Yaml, ReadsJson) {
    const Parsed p = read("{\n  \"a\": [1, \"x\", null, true]\n}\n");
    EXPECT_TRUE(p.findings.empty());
    const Node& list = *p.root().find("a");
    ASSERT_EQ(list.items.size(), 4u);
    EXPECT_FALSE(list.items[0].quoted);
    EXPECT_TRUE(list.items[1].quoted);
    EXPECT_EQ(list.items[2].kind, Node::Kind::kNull);
}

TEST(Yaml, KeepsDocumentsBeforeAnError) {
    const Parsed p = read("a: 1\n---\nb: [1\n");
    ASSERT_EQ(p.findings.size(), 1u);
    EXPECT_EQ(p.findings[0].code, "SLC0101");
    EXPECT_EQ(p.file->documents.size(), 1u);
}

TEST(Yaml, AnEmptyFileHasNoDocument) {
    for (const char* text : {"", "# only a comment\n", "---\n", "~\n"}) {
        const Parsed p = read(text);
        EXPECT_TRUE(p.findings.empty()) << text;
        EXPECT_TRUE(p.file->documents.empty()) << text;
    }
}

TEST(Yaml, FollowsAliasesAndCountsThem) {
    const Parsed p = read("a: &x {b: 1}\nc: *x\n");
    ASSERT_TRUE(p.findings.empty());
    EXPECT_EQ(p.root().find("c")->find("b")->text, "1");
}

TEST(Yaml, CapsWhatAliasesExpandTo) {
    // "Billion laughs": each line is ten of the line before.
    std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    for (int i = 1; i < 12; ++i) {
        bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
        for (int k = 0; k < 10; ++k) bomb += (k ? ", *a" : "*a") + std::to_string(i - 1);
        bomb += "]\n";
    }
    const Parsed p = read(bomb);
    ASSERT_EQ(p.findings.size(), 1u);
    EXPECT_EQ(p.findings[0].code, "SLC0119");
    EXPECT_EQ(p.findings[0].message, "aliases expand to more than 100000 values");
}

TEST(Yaml, RefusesAnAliasInsideItsAnchor) {
    const Parsed p = read("a: &x [1, *x]\n");
    ASSERT_EQ(p.findings.size(), 1u);
    EXPECT_EQ(p.findings[0].code, "SLC0119");
}

TEST(Yaml, CapsDepth) {
    EXPECT_TRUE(read(std::string(60, '[') + std::string(60, ']')).findings.empty());
    for (const size_t depth : {70u, 1000u, 100000u}) {
        const Parsed p = read(std::string(depth, '[') + std::string(depth, ']'));
        ASSERT_EQ(p.findings.size(), 1u) << depth;
        EXPECT_EQ(p.findings[0].code, "SLC0119") << depth << ": " << p.findings[0].message;
    }
}

TEST(Yaml, CapsDepthThroughAliases) {
    std::string text = "a0: &a0 [x]\n";
    for (int i = 1; i < 100; ++i)
        text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + std::to_string(i - 1) + "]\n";
    const Parsed p = read(text);
    ASSERT_EQ(p.findings.size(), 1u);
    EXPECT_EQ(p.findings[0].code, "SLC0119");
}

TEST(Yaml, CapsSizeAndValues) {
    Limits limits;
    limits.bytes_max = 100;
    EXPECT_EQ(read(std::string(101, ' '), limits).findings.at(0).code, "SLC0119");
    limits = {};
    limits.nodes_max = 10;
    EXPECT_TRUE(read("[1, 2, 3, 4, 5, 6, 7, 8]", limits).findings.empty());
    EXPECT_EQ(read("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]", limits).findings.at(0).code, "SLC0119");
}

TEST(Yaml, RefusesWhatIsNotText) {
    const auto place = [](const Parsed& p) { return std::pair(p.findings.at(0).line, p.findings.at(0).column); };
    const Parsed nul = read(std::string("a: 1\nb: \0x\n", 11));
    EXPECT_EQ(nul.findings.at(0).code, "SLC0101");
    EXPECT_EQ(place(nul), std::pair(2, 4));
    for (const char* bytes : {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80"}) {
        const Parsed p = read(std::string("a: ") + bytes);
        ASSERT_EQ(p.findings.size(), 1u);
        EXPECT_EQ(place(p), std::pair(1, 4));
        EXPECT_TRUE(p.findings[0].source_line.empty()) << "not onto the terminal";
    }
    EXPECT_TRUE(read("a: \xe2\x82\xac \xf0\x9f\x9a\xaa\n").findings.empty());
}

TEST(Yaml, RefusesAKeyTwiceAlsoInBigMaps) {
    std::string text;
    for (int i = 0; i < 200; ++i) text += "k" + std::to_string(i) + ": 1\n";
    text += "k150: 2\nk3: 2\n";
    const Parsed p = read(text);
    ASSERT_EQ(p.findings.size(), 2u);
    EXPECT_EQ(p.findings[0].code, "SLC0121");
    EXPECT_EQ(p.findings[0].message, "`k150` is given twice, first in line 151");
    EXPECT_EQ(p.findings[1].message, "`k3` is given twice, first in line 4");
    EXPECT_EQ(p.root().entries.size(), 200u);
}

TEST(Yaml, RefusesKeysThatAreNotText) {
    EXPECT_EQ(read("? [a, b]\n: 1\n").findings.at(0).code, "SLC0101");
    EXPECT_EQ(read("{a: 1}: 2\n").findings.at(0).code, "SLC0101");
}

TEST(Yaml, GivesTheSourceLineWithoutItsEnd) {
    const Parsed p = read("a: 1\r\nb: 2");
    EXPECT_EQ(p.file->line(1), "a: 1");
    EXPECT_EQ(p.file->line(2), "b: 2");
    EXPECT_EQ(p.file->line(3), "");
    EXPECT_EQ(p.file->line(0), "");
}

}  // namespace
}  // namespace sluice::yaml
