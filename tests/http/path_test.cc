// Canonical paths: RFC 3986's own examples, what is refused, and that a second pass changes nothing.
#include "http/path.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/http/h1_driver.h"

namespace sluice::http {
namespace {

using Slashes = PathOptions::EscapedSlashes;

struct Result {
    PathStatus status;
    std::string text;
};

Result canonical(std::string_view target, const PathOptions& options = {}) {
    ArenaChunkPool chunks(4);
    Arena arena(chunks);
    std::string_view out;
    const PathStatus status = canonical_path(target, options, arena, &out);
    return {status, status == PathStatus::kOk ? std::string(out) : ""};
}

TEST(Path, IsAViewWhenCanonical) {
    ArenaChunkPool chunks(1);
    Arena arena(chunks);
    for (std::string_view target : {"/", "/a/b.c/d~e?x=%zz/../.", "/a//b", "/a%2Fb", "/a.b./..c/...", "/a:b@c!$&'()*+,;=", "/%C3%A9"}) {
        std::string_view out;
        ASSERT_EQ(canonical_path(target, {}, arena, &out), PathStatus::kOk) << target;
        EXPECT_EQ(out, target);
        if (target.find('.') == target.npos && target.find('%') == target.npos) {
            EXPECT_EQ(out.data(), target.data()) << target;
        }
    }
}

TEST(Path, RemovesDotSegments) {
    struct Case { const char* in; const char* out; };
    for (const Case& c : {Case{"/a/b/c/./../../g", "/a/g"}, {"/.", "/"}, {"/..", "/"}, {"/../", "/"}, {"/./", "/"}, {"/../../../a", "/a"},
                          {"/a/..", "/"}, {"/a/../", "/"}, {"/a/.", "/a/"}, {"/a/b/..", "/a/"}, {"/a//../b", "/a/b"}, {"//../a", "/a"},
                          {"/a/%2e%2e/b", "/b"}, {"/a/%2E./b", "/b"}, {"/a/.%2e", "/"}, {"/%2e/a", "/a"}, {"/...", "/..."},
                          {"/..a/.b", "/..a/.b"}, {"/a/..?q=/../x", "/?q=/../x"}, {"/a/./b/../c?", "/a/c?"},
                          {"/a/..;/b", "/a/..;/b"}, {"/..%2Fa", "/..%2Fa"}})
        EXPECT_EQ(canonical(c.in).text, c.out) << c.in;
}

TEST(Path, DecodesUnreservedOnlyAndOnce) {
    EXPECT_EQ(canonical("/%61%5A%30%2D%2e%5f%7E").text, "/aZ0-._~");
    EXPECT_EQ(canonical("/%2f%5c%3a%3F%23%25%c3%a9").text, "/%2F%5C%3A%3F%23%25%C3%A9");
    EXPECT_EQ(canonical("/%252e%252e/%2541").text, "/%252e%252e/%2541") << "never decoded twice";
    EXPECT_EQ(canonical("/a?%61%2e").text, "/a?%61%2e") << "the query is untouched";
}

TEST(Path, RefusesWhatNoUriHolds) {
    for (const PathOptions& options : {PathOptions{}, PathOptions{.normalize = false}}) {
        for (std::string_view target : {"/a#b", "/a b", "/a\\b", "/a\tb", "/a\x7f", "/a\x80", "/\xc3\xa9", "/a?b#c", "/a?b c", "/a?\x80", "/a\r"})
            EXPECT_EQ(canonical(target, options).status, PathStatus::kBadCharacter) << target;
        EXPECT_EQ(canonical(std::string_view("/a\0b", 4), options).status, PathStatus::kBadCharacter);
        for (std::string_view target : {"/%", "/%4", "/%4g", "/%g4", "/%%41", "/%00", "/a%00.jpg", "/%u0041", "/a%?41"})
            EXPECT_EQ(canonical(target, options).status, PathStatus::kBadEscape) << target;
    }
    EXPECT_EQ(canonical("/a?\\%zz%00").text, "/a?\\%zz%00") << "queries are the backend's own";
}

TEST(Path, FollowsItsOptions) {
    const PathOptions off{.normalize = false};
    EXPECT_EQ(canonical("/a/../%61//%2f", off).text, "/a/../%61//%2f");
    const PathOptions merge{.merge_slashes = true};
    EXPECT_EQ(canonical("//a///b//?c=//", merge).text, "/a/b/?c=//");
    EXPECT_EQ(canonical("/a//../b", merge).text, "/a/b") << "dot segments before slashes, as Envoy does";
    const PathOptions reject{.escaped_slashes = Slashes::kReject};
    for (std::string_view target : {"/a%2fb", "/a%2F", "/%5c", "/%5Cb"}) EXPECT_EQ(canonical(target, reject).status, PathStatus::kEscapedSlash) << target;
    EXPECT_EQ(canonical("/a?%2f", reject).text, "/a?%2f");
    const PathOptions unescape{.escaped_slashes = Slashes::kUnescape};
    EXPECT_EQ(canonical("/a%2f..%5Cb%252f", unescape).text, "/b%252f");
    EXPECT_EQ(canonical("/a%2fb%41", {.normalize = false, .escaped_slashes = Slashes::kUnescape}).text, "/a/b%41");
    EXPECT_EQ(canonical("/a%2f%2fb", {.merge_slashes = true, .escaped_slashes = Slashes::kUnescape}).text, "/a/b");
}

TEST(Path, ReportsAFullArena) {
    ArenaChunkPool none(0, 0);
    Arena arena(none);
    std::string_view out;
    EXPECT_EQ(canonical_path("/a/../b", {}, arena, &out), PathStatus::kArenaFull);
    EXPECT_EQ(canonical_path("/a/b", {}, arena, &out), PathStatus::kOk) << "needs none";
}

// What is matched is what is sent; a backend that normalises again must see the same path. All strings of an alphabet that
// holds every character with a meaning, and each set of options.
TEST(Path, IsIdempotentAndStaysBelowRoot) {
    const std::string_view parts[] = {"/", ".", "a", "%2e", "%2F", "%25", "?", "%5c", "2e"};
    for (const bool merge : {false, true})
        for (const Slashes slashes : {Slashes::kKeep, Slashes::kUnescape}) {
            const PathOptions options{.merge_slashes = merge, .escaped_slashes = slashes};
            for (unsigned n = 0; n < 9u * 9 * 9 * 9 * 9; n++) {
                std::string target = "/";
                for (unsigned rest = n; rest; rest /= 9) target += parts[rest % 9];
                const Result once = canonical(target, options);
                if (once.status != PathStatus::kOk) continue;
                ASSERT_EQ(once.text[0], '/') << target;
                const std::string path(path_of(once.text));
                ASSERT_EQ((path + "/").find("/../"), std::string::npos) << target << " -> " << path;
                ASSERT_EQ((path + "/").find("/./"), std::string::npos) << target << " -> " << path;
                ASSERT_EQ(canonical(once.text, options).text, once.text) << target;
                const size_t query = target.find('?');
                ASSERT_EQ(once.text.substr(path.size()), query == target.npos ? "" : target.substr(query)) << target;
            }
        }
}

}  // namespace
}  // namespace sluice::http
