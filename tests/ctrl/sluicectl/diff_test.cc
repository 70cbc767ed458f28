// Unified diffs: as diff -u writes them, and such that the new text can be made from the old by them.
#include "ctrl/sluicectl/diff.h"

#include <gtest/gtest.h>

#include <random>
#include <sstream>
#include <string>

namespace sluice::ctl {
namespace {

TEST(Diff, OfTheSameIsNothing) {
    EXPECT_EQ(unified_diff("a\nb\n", "a\nb\n", "x", "y"), "");
    EXPECT_EQ(unified_diff("", "", "x", "y"), "");
}

TEST(Diff, LooksLikeDiffU) {
    EXPECT_EQ(unified_diff("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n10\n", "a", "b"),
              "--- a\n+++ b\n@@ -2,8 +2,9 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n 9\n+10\n");
    EXPECT_EQ(unified_diff("", "new\n", "", "b"), "--- /dev/null\n+++ b\n@@ -0,0 +1 @@\n+new\n");
    EXPECT_EQ(unified_diff("old\n", "", "a", ""), "--- a\n+++ /dev/null\n@@ -1 +0,0 @@\n-old\n");
    EXPECT_EQ(unified_diff("x", "x\n", "a", "b"), "--- a\n+++ b\n@@ -1 +1 @@\n-x\n\\ No newline at end of file\n+x\n");
}

TEST(Diff, FarChangesAreHunksOfTheirOwn) {
    std::string from, to;
    for (int i = 0; i < 40; i++) from += std::to_string(i) + "\n", to += (i == 3 || i == 30 ? "changed\n" : std::to_string(i) + "\n");
    const std::string diff = unified_diff(from, to, "a", "b");
    EXPECT_NE(diff.find("@@ -1,7 +1,7 @@\n"), std::string::npos) << diff;
    EXPECT_NE(diff.find("@@ -28,7 +28,7 @@\n"), std::string::npos) << diff;
}

TEST(Diff, TextsWithLittleInCommonAreReplaced) {
    std::string from, to;
    for (int i = 0; i < 5000; i++) from += "a" + std::to_string(i) + "\n", to += "b" + std::to_string(i) + "\n";
    EXPECT_NE(unified_diff(from, to, "a", "b").find("@@ -1,5000 +1,5000 @@\n"), std::string::npos);
}

/// What patch(1) makes of it.
std::string patched(const std::string& from, const std::string& diff) {
    std::vector<std::string> lines;
    std::istringstream in(from);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    std::string out;
    size_t at = 0;
    std::istringstream hunks(diff);
    for (std::string line; std::getline(hunks, line);) {
        if (line.starts_with("---") || line.starts_with("+++")) continue;
        if (line.starts_with("@@ -")) {
            size_t first = std::stoul(line.substr(4));
            const size_t comma = line.find(','), plus = line.find('+');
            if (comma < plus && line.substr(comma + 1, 2) == "0 ") first++;   // an empty range counts from the line before
            while (at + 1 < first) out += lines.at(at++) + "\n";
        } else if (line[0] == '+') {
            out += line.substr(1) + "\n";
        } else {
            EXPECT_EQ(lines.at(at), line.substr(1));
            if (line[0] == ' ') out += lines[at] + "\n";
            at++;
        }
    }
    while (at < lines.size()) out += lines[at++] + "\n";
    return out;
}

TEST(Diff, MakesTheNewTextOfTheOld) {
    const uint32_t seed = std::getenv("SLUICE_SEED") ? static_cast<uint32_t>(std::atoi(std::getenv("SLUICE_SEED"))) : std::random_device()();
    std::printf("seed %u: SLUICE_SEED=%u repeats it\n", seed, seed);
    std::mt19937 random(seed);
    const auto below = [&](int n) { return std::uniform_int_distribution<int>(0, n - 1)(random); };
    for (int round = 0; round < 2000; round++) {
        std::string from, to;
        for (int i = 0, n = below(30); i < n; i++) {
            const std::string line = std::string(1, static_cast<char>('a' + below(6))) + "\n";
            const int what = below(8);
            if (what != 0) from += line;
            if (what != 1) to += line;
            if (what == 2) to += "new\n";
        }
        EXPECT_EQ(patched(from, unified_diff(from, to, "a", "b")), to) << from << "->\n" << to;
    }
}

}  // namespace
}  // namespace sluice::ctl
