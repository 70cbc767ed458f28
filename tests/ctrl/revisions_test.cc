// Revisions: what was in force stays in force, whatever is written next; the same mistake is told once.
#include "ctrl/control/revisions.h"

#include <gtest/gtest.h>

namespace sluice::control {
namespace {

class RevisionsTest : public ::testing::Test {
 protected:
    std::expected<Loaded, Refused> next_ = good("a");
    std::vector<Diagnostic> apply_errors_;
    bool live_ = false;
    std::vector<std::pair<Revisions::Level, std::string>> log_;
    std::vector<uint64_t> applied_;
    Revisions revisions_{
        [this] { return next_; },
        [this](const xds::ResourceSet&, uint64_t revision, const std::string&) -> std::expected<void, std::vector<Diagnostic>> {
            if (!apply_errors_.empty()) return std::unexpected(apply_errors_);
            applied_.push_back(revision);
            return {};
        },
        [this] { return live_; },
        [this](Revisions::Level level, const std::string& text) { log_.emplace_back(level, text); }};

    static Loaded good(const std::string& hash) {
        return {.resources = std::make_shared<xds::ResourceSet>(), .content_hash = hash, .warnings = {}, .files = 1};
    }
    static Refused bad(const std::string& hash) {
        Refused refused;
        refused.content_hash = hash;
        refused.files = 2;
        refused.diagnostics.push_back({.file = "mesh/a.yaml", .line = 3, .column = 1, .code = "SLC0104", .object = "",
                                       .field = "spec", .message = "unknown field", .source_line = "x", .cure = ""});
        return refused;
    }
    Revisions::Outcome step() { return revisions_.load_and_apply(std::chrono::steady_clock::now()); }
};

TEST_F(RevisionsTest, AppliesAndReportsLiveOnce) {
    EXPECT_EQ(step(), Revisions::Outcome::kApplied);
    EXPECT_TRUE(revisions_.tick());
    EXPECT_FALSE(revisions_.state().in_force.live_everywhere);
    live_ = true;
    EXPECT_FALSE(revisions_.tick());
    EXPECT_FALSE(revisions_.tick());
    EXPECT_TRUE(revisions_.state().in_force.live_everywhere);
    ASSERT_EQ(log_.size(), 1u);
    EXPECT_NE(log_[0].second.find("revision 1 live on all cores in "), std::string::npos);
}

TEST_F(RevisionsTest, ARefreshIsTheSameRevisionWithOtherResources) {
    const auto files = source::make_file_set({{"a.yaml", "a"}});
    auto first = good("a");
    first.content = files;
    next_ = first;
    ASSERT_EQ(step(), Revisions::Outcome::kApplied);
    const auto before = revisions_.state().in_force;
    // The directory is broken meanwhile: certificates rotate all the same.
    next_ = std::unexpected(bad("b"));
    ASSERT_EQ(step(), Revisions::Outcome::kRefused);
    auto again = good("a");
    again.content = files;
    again.certificate_files = {"/c/a.crt"};
    again.certificate_mark = "2";
    source::FileSetPtr asked;
    const auto load = [&](source::FileSetPtr wanted) -> std::expected<Loaded, Refused> { return asked = wanted, again; };
    EXPECT_EQ(revisions_.refresh(load), Revisions::Outcome::kApplied);
    EXPECT_EQ(asked, files);
    const auto after = revisions_.state();
    EXPECT_EQ(after.in_force.revision, before.revision);
    EXPECT_NE(after.in_force.resources, before.resources);
    EXPECT_EQ(after.in_force.certificate_mark, "2");
    EXPECT_TRUE(after.refused) << "and the edit is refused still";
    EXPECT_EQ(applied_, (std::vector<uint64_t>{1, 1}));
    // What is wrong is told, and nothing else becomes of it.
    apply_errors_.push_back({.file = "", .code = "SLC0145", .object = "", .field = "", .message = "expired", .source_line = "", .cure = ""});
    EXPECT_EQ(revisions_.refresh(load), Revisions::Outcome::kRefused);
    EXPECT_NE(log_.back().second.find("what they held before stays in force"), std::string::npos);
}

TEST_F(RevisionsTest, RefusedKeepsWhatIsInForce) {
    ASSERT_EQ(step(), Revisions::Outcome::kApplied);
    next_ = std::unexpected(bad("b"));
    EXPECT_EQ(step(), Revisions::Outcome::kRefused);
    auto state = revisions_.state();
    EXPECT_EQ(state.in_force.revision, 1u);
    ASSERT_TRUE(state.refused);
    EXPECT_EQ(state.refused->revision, 2u);
    EXPECT_NE(log_.back().second.find("revision 2 REJECTED; revision 1 stays in force"), std::string::npos);
    EXPECT_NE(log_.back().second.find("mesh/a.yaml:3:1"), std::string::npos);
    const size_t lines = log_.size();
    EXPECT_EQ(step(), Revisions::Outcome::kRefused) << "the same files again";
    EXPECT_EQ(log_.size(), lines) << "the same mistake is told once";
    next_ = good("c");
    EXPECT_EQ(step(), Revisions::Outcome::kApplied);
    state = revisions_.state();
    EXPECT_EQ(state.in_force.revision, 3u);
    EXPECT_FALSE(state.refused);
    EXPECT_EQ(state.refused_total, 1u);
    EXPECT_EQ(applied_, (std::vector<uint64_t>{1, 3}));
}

TEST_F(RevisionsTest, ARevertedEditIsNoNewRevision) {
    ASSERT_EQ(step(), Revisions::Outcome::kApplied);
    next_ = std::unexpected(bad("b"));
    ASSERT_EQ(step(), Revisions::Outcome::kRefused);
    next_ = good("a");
    EXPECT_EQ(step(), Revisions::Outcome::kUnchanged);
    EXPECT_FALSE(revisions_.state().refused) << "what is in force is what is written";
    EXPECT_EQ(applied_.size(), 1u);
}

TEST_F(RevisionsTest, WhatCannotBeBuiltIsRefused) {
    ASSERT_EQ(step(), Revisions::Outcome::kApplied);
    next_ = good("b");
    apply_errors_ = bad("b").diagnostics;
    EXPECT_EQ(step(), Revisions::Outcome::kRefused);
    EXPECT_EQ(revisions_.state().in_force.content_hash, "a");
}

TEST_F(RevisionsTest, SaysThatNothingIsInForceYet) {
    next_ = std::unexpected(bad("b"));
    EXPECT_EQ(step(), Revisions::Outcome::kRefused);
    EXPECT_NE(log_.back().second.find("nothing is in force yet"), std::string::npos);
    EXPECT_FALSE(revisions_.tick());
}

}  // namespace
}  // namespace sluice::control
