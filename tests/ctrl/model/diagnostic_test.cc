// The caret form, its JSON twin, and guesses.
// In: findings. Out: text.
// Hostile bytes must not reach the terminal.
// OPERATOR.md's example is the first case.
#include "ctrl/model/diagnostic.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

Diagnostic example() {
    Diagnostic d;
    d.file = "mesh/reviews.yaml";
    d.line = 14;
    d.column = 9;
    d.code = "SLC0104";
    d.object = "VirtualService shop/reviews";
    d.field = "spec.http[0].route[1].wieght";
    d.message = "unknown field";
    d.source_line = "        wieght: 50";
    d.cure = "did you mean `weight`?";
    d.caret_width = 6;
    return d;
}

TEST(Diagnostic, LooksAsDocumented) {
    const std::vector<Diagnostic> all = {example()};
    EXPECT_EQ(render(all, 6), R"(mesh/reviews.yaml:14:9: error SLC0104: VirtualService shop/reviews
  spec.http[0].route[1].wieght: unknown field
  14 |         wieght: 50
     |         ^~~~~~ did you mean `weight`?
1 error in 6 files
)");
}

TEST(Diagnostic, CountsErrorsAndWarnings) {
    Diagnostic warning = example();
    warning.severity = Severity::kWarning;
    const std::vector<Diagnostic> both = {example(), example(), warning};
    EXPECT_TRUE(render(both, 1).ends_with("2 errors, 1 warning in 1 file\n"));
    const std::vector<Diagnostic> only = {warning};
    EXPECT_TRUE(render(only, 2).ends_with("\n1 warning in 2 files\n"));
    EXPECT_FALSE(has_errors(only));
    EXPECT_TRUE(has_errors(both));
    EXPECT_EQ(render({}, 3), "0 errors in 3 files\n");
}

TEST(Diagnostic, WithoutAPlaceSaysTheCureOnItsOwnLine) {
    Diagnostic d;
    d.file = "/etc/sluice/mesh";
    d.code = "SLC0120";
    d.message = "cannot read";
    d.cure = "create it";
    EXPECT_EQ(render(d), "/etc/sluice/mesh: error SLC0120\n  cannot read\n  create it\n");
}

TEST(Diagnostic, ShowsControlCharactersAsSpaces) {
    Diagnostic d = example();
    d.source_line = "\ta: \x1b[2Jb";
    d.column = 2;
    d.caret_width = 1;
    d.message = "bad\nmesh/b.yaml:1:1: error FORGED";
    const std::string text = render(d);
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 4);
    EXPECT_NE(text.find("  14 |  a:  [2Jb\n     |  ^"), std::string::npos) << text;
}

TEST(Diagnostic, KeepsTheCaretInViewOfALongLine) {
    Diagnostic d = example();
    d.source_line = std::string(5000, 'x') + "HERE" + std::string(5000, 'y');
    d.column = 5001;
    d.caret_width = 4;
    const std::string text = render(d);
    EXPECT_LT(text.size(), 600u);
    const size_t shown = text.find("  14 | ") + 7;
    const size_t caret = text.find("^~~~", shown);
    ASSERT_NE(caret, std::string::npos);
    const size_t line_end = text.find('\n', shown);
    const size_t offset = caret - (line_end + 1 + 7);
    EXPECT_EQ(text.substr(shown + offset, 4), "HERE");
}

TEST(Diagnostic, PointsAtCharactersNotBytes) {
    Diagnostic d = example();
    d.source_line = "name: Zoë x: 1";
    d.column = 12;  // the byte of x
    d.caret_width = 1;
    EXPECT_NE(render(d).find("     |           ^ did"), std::string::npos) << render(d);
}

TEST(Diagnostic, HasAJsonTwin) {
    Diagnostic d = example();
    d.message = "a \"b\" \\ \n";
    EXPECT_EQ(render_json(d),
              R"({"file": "mesh/reviews.yaml", "line": 14, "column": 9, "code": "SLC0104", "severity": "error", )"
              R"("object": "VirtualService shop/reviews", "field": "spec.http[0].route[1].wieght", )"
              R"("message": "a \"b\" \\ \u000a", "source_line": "        wieght: 50", )"
              R"("cure": "did you mean `weight`?", "caret_width": 6})");
    EXPECT_EQ(render_json(std::span<const Diagnostic>{}), "[]");
}

TEST(Guess, TakesTransposedAndMissingLetters) {
    const std::vector<std::string> names = {"weight", "host", "subset", "uri"};
    EXPECT_EQ(closest("wieght", names), "weight");
    EXPECT_EQ(closest("subst", names), "subset");
    EXPECT_EQ(closest("URI", names), "uri");
    EXPECT_EQ(closest("timeout", names), "");
    EXPECT_EQ(closest("", names), "");
    EXPECT_EQ(did_you_mean("hst", names), "did you mean `host`?");
    EXPECT_EQ(did_you_mean("zzzz", names), "");
}

TEST(Order, IsByPlace) {
    Diagnostic a = example(), b = example(), c = example();
    a.line = 20;
    b.file = "mesh/a.yaml";
    c.column = 1;
    std::vector<Diagnostic> all = {a, b, c};
    sort_by_place(all);
    EXPECT_EQ(all, (std::vector<Diagnostic>{b, c, a}));
}

}  // namespace
}  // namespace sluice
