// Paths and locations as text: rewrites against RE2's own, redirects in every combination Envoy documents.
#include "filter/rewrite.h"

#include <gtest/gtest.h>
#include <re2/re2.h>

#include "base/rng.h"

namespace sluice::filter {
namespace {

class RewriteTest : public ::testing::Test {
 protected:
    ArenaChunkPool chunks_{64};
    Arena arena_{chunks_};
    http::Request request_{arena_};
    route::Route route_;

    std::string path(std::string_view in) { return std::string(rewrite_path(route_, in, arena_)); }
    std::string location(std::string_view authority, std::string_view target, std::string_view scheme = "http") {
        request_.authority = authority;
        request_.path = target;
        return std::string(redirect_location(route_, request_, scheme, arena_));
    }
};

TEST_F(RewriteTest, Prefix) {
    route_.rewrite.path = route::Rewrite::Path::kPrefix;
    route_.rewrite.text = "/b";
    route_.matched_prefix_bytes = 2;
    EXPECT_EQ(path("/a/x?q=/a"), "/b/x?q=/a");
    EXPECT_EQ(path("/a"), "/b");
    EXPECT_EQ(path("/a?q"), "/b?q");
    route_.matched_prefix_bytes = 50;  // never beyond the path, whatever the table says
    EXPECT_EQ(path("/a?q"), "/b?q");
}

TEST_F(RewriteTest, FullKeepsTheQuery) {
    route_.rewrite.path = route::Rewrite::Path::kFull;
    route_.rewrite.text = "/whole";
    EXPECT_EQ(path("/a/b/c?x=1"), "/whole?x=1");
}

TEST_F(RewriteTest, RegexLikeRe2) {
    const uint64_t seed = 11;
    SCOPED_TRACE("repeat: filter_test --gtest_filter=RewriteTest.RegexLikeRe2, seed " + std::to_string(seed));
    Rng rng(seed);
    const char* patterns[] = {"a", "a*", "^/", "$", "(a)(b)?", "[ab]+", "/([^/]+)/", "b|", "(x)?", "(?:ab)+"};
    const char* substitutions[] = {"", "-", "<\\0>", "\\1", "\\2\\1", "\\\\", "x\\0\\0"};
    for (int i = 0; i < 5000; i++) {
        const re2::RE2 regex(patterns[rng.below(std::size(patterns))]);
        std::string substitution = substitutions[rng.below(std::size(substitutions))];
        std::string error;
        if (!regex.CheckRewriteString(substitution, &error)) continue;
        std::string text;
        for (uint64_t n = rng.below(12); n > 0; n--) text += "ab/x"[rng.below(4)];
        std::string expected = text;
        re2::RE2::GlobalReplace(&expected, regex, substitution);
        ASSERT_EQ(regex_replace(regex, text, substitution, arena_), expected)
            << regex.pattern() << " on \"" << text << "\" by \"" << substitution << '"';
        if (i % 100 == 0) arena_.reset();
    }
}

TEST_F(RewriteTest, RedirectKeepsWhatIsNotSet) {
    EXPECT_EQ(location("shop.example", "/a?b=1"), "http://shop.example/a?b=1");
    EXPECT_EQ(location("shop.example:8080", "/a"), "http://shop.example:8080/a");
}

TEST_F(RewriteTest, RedirectScheme) {
    route_.redirect.https = true;
    EXPECT_EQ(location("shop.example:80", "/a"), "https://shop.example/a") << "the old scheme's default port goes";
    EXPECT_EQ(location("shop.example:8080", "/a"), "https://shop.example:8080/a");
    EXPECT_EQ(location("[2001:db8::1]:80", "/a"), "https://[2001:db8::1]/a");
    EXPECT_EQ(location("[2001:db8::1]", "/a"), "https://[2001:db8::1]/a");
    route_.redirect.https = false;
    route_.redirect.scheme = "http";
    EXPECT_EQ(location("shop.example:443", "/a", "https"), "http://shop.example/a");
}

TEST_F(RewriteTest, RedirectHostAndPort) {
    route_.redirect.host = "new.example";
    EXPECT_EQ(location("shop.example:8080", "/a"), "http://new.example/a");
    route_.redirect.port = 8443;
    EXPECT_EQ(location("shop.example", "/a"), "http://new.example:8443/a");
    route_.redirect.host.clear();
    EXPECT_EQ(location("shop.example:8080", "/a"), "http://shop.example:8443/a");
}

TEST_F(RewriteTest, RedirectPath) {
    route_.redirect.path = "/new";
    EXPECT_EQ(location("h", "/a?b=1"), "http://h/new?b=1");
    route_.redirect.path = "/new?own=1";
    EXPECT_EQ(location("h", "/a?b=1"), "http://h/new?own=1");
    route_.redirect.path = "/new";
    route_.redirect.strip_query = true;
    EXPECT_EQ(location("h", "/a?b=1"), "http://h/new");
    route_.redirect.path.clear();
    route_.redirect.strip_query = false;
    route_.redirect.prefix_rewrite = "/p";
    route_.matched_prefix_bytes = 2;
    EXPECT_EQ(location("h", "/a/rest?b=1"), "http://h/p/rest?b=1");
    route_.redirect.prefix_rewrite.clear();
    route_.redirect.regex = std::make_shared<re2::RE2>("^/(.)");
    route_.redirect.regex_substitution = "/<\\1>";
    EXPECT_EQ(location("h", "/a/rest?b=1"), "http://h/<a>/rest?b=1");
}

TEST_F(RewriteTest, ArenaThatIsFullIsSaidSo) {
    Arena none(chunks_, 1);
    route_.rewrite.path = route::Rewrite::Path::kFull;
    route_.rewrite.text = "/x";
    EXPECT_EQ(rewrite_path(route_, "/a", none).data(), nullptr);
    http::Request request(none);
    request.path = "/a";
    EXPECT_EQ(redirect_location(route_, request, "http", none).data(), nullptr);
}

}  // namespace
}  // namespace sluice::filter
