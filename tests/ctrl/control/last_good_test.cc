// A start with a broken directory serves the last good revision; numbers go on; wrong files that are about to be mended are not
// told. The mesh directory, its loading and the cores are functions here, the history is real.
#include <thread>

#include "ctrl/control/revisions.h"
#include "tests/ctrl/control/support.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;
using test::files;

class LastGood : public test::Folder {
 protected:
    /// One life of a gateway.
    struct Life {
        LastGood& t;
        History history;
        Revisions revisions;
        explicit Life(LastGood& test, std::string mesh = "/mesh")
            : t(test), history({.directory = test.base / "state"}, test.words.log()),
              revisions([&test] { return load(test.directory); },
                        [&test](const xds::ResourceSet&, uint64_t revision, const std::string& hash) -> std::expected<void, std::vector<Diagnostic>> {
                            if (test.unbuildable == hash) return std::unexpected(std::vector{finding("cannot be built")});
                            test.applied.push_back(revision);
                            return {};
                        },
                        [] { return true; }, test.words.log()) {
            history.open();
            revisions.record_in(history, std::move(mesh));
            outcome = revisions.start(std::chrono::steady_clock::now(), [](source::FileSetPtr f) { return load(f); });
        }
        Revisions::Outcome edit(const source::FileSetPtr& to, const Edit& how = {}) {
            t.directory = to;
            return revisions.load_and_apply(std::chrono::steady_clock::now(), how);
        }
        Revisions::Outcome outcome;
    };

    static Diagnostic finding(const std::string& message) {
        Diagnostic d;
        d.file = "mesh/a.yaml", d.message = message;
        return d;
    }
    /// Files that say "bad" are refused; no files are a directory that is missing.
    static std::expected<Loaded, Refused> load(const source::FileSetPtr& set) {
        if (set->files.empty() || set->files[0].text.starts_with("bad")) {
            Refused refused;
            refused.content_hash = set->hash, refused.content = set, refused.files = set->files.size();
            refused.cause = set->files.empty() ? Cause::kUnreadable : Cause::kInvalid;
            refused.diagnostics.push_back(finding(set->files.empty() ? "no directory" : set->files[0].text));
            return std::unexpected(refused);
        }
        return Loaded{.resources = std::make_shared<xds::ResourceSet>(), .content_hash = set->hash, .warnings = {}, .files = set->files.size(), .content = set};
    }

    source::FileSetPtr directory = files("good 1");
    std::string unbuildable;
    std::vector<uint64_t> applied;
    test::Words words;
};

TEST_F(LastGood, NumbersGoOnOverARestart) {
    {
        Life life(*this);
        EXPECT_EQ(life.outcome, Revisions::Outcome::kApplied);
        EXPECT_EQ(life.edit(files("bad 2")), Revisions::Outcome::kRefused);
        EXPECT_EQ(life.edit(files("good 3")), Revisions::Outcome::kApplied);
    }
    Life same(*this);
    EXPECT_EQ(same.revisions.state().in_force.revision, 3u) << "the same files are the same revision";
    EXPECT_EQ(same.history.records().size(), 3u);
    EXPECT_EQ(same.edit(files("good 4")), Revisions::Outcome::kApplied);
    EXPECT_EQ(same.revisions.state().in_force.revision, 4u);
    EXPECT_EQ(same.history.find(4)->before, 3u);
    EXPECT_EQ(same.history.find(4)->changes.changed, std::vector<std::string>{"a.yaml"});
    EXPECT_EQ(same.history.find(1)->origin, Origin::kStart);
    EXPECT_EQ(same.history.find(4)->origin, Origin::kEdit);
}

TEST_F(LastGood, ABrokenDirectoryAtStartIsNotTheEnd) {
    for (const auto& broken : {files("bad"), source::make_file_set({})}) {
        fs::remove_all(base / "state");
        directory = files("good 1");
        { Life life(*this); }
        directory = broken;
        applied.clear();
        Life life(*this);
        EXPECT_EQ(life.outcome, Revisions::Outcome::kRefused);
        const State state = life.revisions.state();
        EXPECT_EQ(state.in_force.revision, 1u);
        EXPECT_TRUE(state.serving_last_good);
        EXPECT_EQ(state.in_force.content->files, files("good 1")->files);
        ASSERT_TRUE(state.refused);
        EXPECT_EQ(state.refused->revision, 2u);
        EXPECT_EQ(state.refused_by_cause[static_cast<size_t>(broken->files.empty() ? Cause::kUnreadable : Cause::kInvalid)], 1u);
        EXPECT_EQ(applied, std::vector<uint64_t>{1});
        life.revisions.tick();
        EXPECT_TRUE(life.revisions.state().in_force.live_everywhere) << "/ready";
        EXPECT_EQ(words.count("SERVING THE LAST GOOD CONFIG, revision 1"), broken->files.empty() ? 2u : 1u);
        EXPECT_EQ(words.lines()[words.lines().size() - 2].first, Level::kError);

        EXPECT_EQ(life.edit(files("good 1")), Revisions::Outcome::kUnchanged) << "mended";
        EXPECT_FALSE(life.revisions.state().serving_last_good);
        EXPECT_FALSE(life.revisions.state().refused);
    }
}

TEST_F(LastGood, TheSameBrokenDirectoryIsOneRevisionOverRestarts) {
    { Life life(*this); }
    directory = files("bad");
    { Life life(*this); }
    Life again(*this);
    EXPECT_EQ(again.revisions.state().refused->revision, 2u);
    EXPECT_EQ(again.history.records().size(), 2u);
    EXPECT_EQ(again.edit(files("good 3")), Revisions::Outcome::kApplied);
    EXPECT_EQ(again.revisions.state().in_force.revision, 3u);
    EXPECT_FALSE(again.revisions.state().serving_last_good);
}

TEST_F(LastGood, WhatIsDamagedIsSkippedToTheNextOlder) {
    {
        Life life(*this);
        life.edit(files("good 2"));
        life.edit(files("good 3"));
    }
    const fs::path newest = base / "state/content" / files("good 3")->hash;
    write(newest, read(newest).substr(0, 40));
    write(base / "state/revisions/00000002.json", "");
    directory = files("bad");
    Life life(*this);
    EXPECT_EQ(life.revisions.state().in_force.revision, 1u);
    EXPECT_EQ(words.count("revision 3 cannot be served"), 1u);
    EXPECT_EQ(words.count("revision 2 is lost"), 1u);
    EXPECT_EQ(life.revisions.state().refused->revision, 4u) << "numbers are not given twice";
}

TEST_F(LastGood, WhatCannotBeBuiltAnyMoreIsSkippedToo) {
    {
        Life life(*this);
        life.edit(files("good 2"));
    }
    unbuildable = files("good 2")->hash;
    directory = files("bad");
    Life life(*this);
    EXPECT_EQ(life.revisions.state().in_force.revision, 1u);
}

TEST_F(LastGood, AnotherGatewaysRevisionsAreNotServed) {
    { Life life(*this); }
    directory = files("bad");
    Life other(*this, "/another/mesh");
    EXPECT_EQ(other.revisions.state().in_force.revision, 0u);
    EXPECT_FALSE(other.revisions.state().serving_last_good);
    EXPECT_EQ(other.revisions.state().refused->revision, 2u);
}

TEST_F(LastGood, WithNothingToServeItSaysSo) {
    directory = files("bad");
    Life life(*this);
    EXPECT_EQ(life.revisions.state().in_force.revision, 0u);
    EXPECT_EQ(words.count("nothing is in force yet"), 1u);
}

TEST_F(LastGood, WrongFilesThatAreMendedAtOnceAreNotTold) {
    Life life(*this);
    life.revisions.set_patience(1h);
    EXPECT_EQ(life.edit(files("bad half")), Revisions::Outcome::kHeld);
    EXPECT_TRUE(life.revisions.holding());
    life.revisions.tick();
    EXPECT_FALSE(life.revisions.state().refused);
    EXPECT_EQ(life.edit(files("good 2")), Revisions::Outcome::kApplied);
    EXPECT_FALSE(life.revisions.holding());
    EXPECT_EQ(life.revisions.state().in_force.revision, 2u) << "what was never told has no number";
    EXPECT_EQ(life.revisions.state().refused_total, 0u);
    EXPECT_EQ(life.edit(files("bad"), {.origin = Origin::kApply}), Revisions::Outcome::kRefused) << "who asked waits for the answer";
    life.revisions.set_patience(1ms);
    EXPECT_EQ(life.edit(files("bad 4")), Revisions::Outcome::kHeld);
    std::this_thread::sleep_for(2ms);
    life.revisions.tick();
    EXPECT_EQ(life.revisions.state().refused->revision, 4u);
    EXPECT_EQ(life.edit(files("bad 4")), Revisions::Outcome::kRefused) << "told already";
}

}  // namespace
}  // namespace sluice::control
