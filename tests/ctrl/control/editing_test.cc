// apply and rollback on a real directory, with a history in memory: validated first, all or nothing, the directory stays the truth.
#include "ctrl/control/editing.h"

#include "tests/ctrl/control/support.h"

namespace sluice::control {
namespace {

using Outcome = EditAnswer::Outcome;

class Editing : public test::Folder {
 protected:
    void SetUp() override {
        Folder::SetUp();
        fs::create_directory(mesh());
        write(mesh() / "a.yaml", "a 1");
        write(mesh() / "b.yaml", "b 1");
        revisions.record_in(history, mesh());
        revisions.start(std::chrono::steady_clock::now(), [](source::FileSetPtr) { return std::expected<Loaded, Refused>(); });
    }
    fs::path mesh() const { return base / "mesh"; }

    static std::vector<Diagnostic> findings(const source::FileSet& set) {
        std::vector<Diagnostic> out;
        for (const auto& file : set.files)
            if (file.text.starts_with("bad")) {
                Diagnostic& d = out.emplace_back();
                d.file = "mesh/" + file.name, d.message = "it is bad";
            }
        return out;
    }
    std::expected<Loaded, Refused> load() const {
        const auto read = source::read_files(mesh());
        Refused refused;
        refused.content = read.set, refused.content_hash = read.set->hash, refused.diagnostics = read.errors;
        for (const auto& d : findings(*read.set)) refused.diagnostics.push_back(d);
        if (!refused.diagnostics.empty()) return std::unexpected(refused);
        return Loaded{.resources = std::make_shared<xds::ResourceSet>(), .content_hash = read.set->hash, .warnings = {}, .files = read.set->files.size(), .content = read.set};
    }
    std::string text(const char* name) const { return read(mesh() / name); }

    test::Words words;
    bool no_room = false;
    std::function<void(const char*)> on_step;
    History history{{.directory = ""}, words.log()};
    Revisions revisions{[this] { return load(); },
                        [this](const xds::ResourceSet&, uint64_t, const std::string&) -> std::expected<void, std::vector<Diagnostic>> {
                            if (!no_room) return {};
                            Diagnostic d;
                            d.code = "SLC0401";
                            return std::unexpected(std::vector{d});
                        },
                        [] { return true; }, words.log()};
    Editor make() {
        return Editor({.directory = mesh(), .shown_as = "mesh", .validate = [](source::FileSetPtr set) { return findings(*set); },
                       .replace = {.on_step = [this](const char* step) {
                           if (on_step) on_step(step);
                       }}}, revisions, history);
    }
};

TEST_F(Editing, ApplyAddsReplacesRemoves) {
    const auto answer = make().apply({.files = {{"a.yaml", "a 2"}, {"c.yaml", "c 1"}}, .remove = {"b.yaml"}, .by = "alice"});
    EXPECT_EQ(answer.outcome, Outcome::kApplied) << answer.message;
    EXPECT_EQ(answer.revision, 2u);
    EXPECT_EQ(answer.changes, (source::FileChanges{{"c.yaml"}, {"a.yaml"}, {"b.yaml"}}));
    EXPECT_EQ(text("a.yaml"), "a 2");
    EXPECT_EQ(text("c.yaml"), "c 1");
    EXPECT_FALSE(fs::exists(mesh() / "b.yaml"));
    EXPECT_EQ(history.find(2)->origin, Origin::kApply);
    EXPECT_EQ(history.find(2)->by, "alice");
    EXPECT_EQ(make().apply({.files = {{"a.yaml", "a 2"}}}).outcome, Outcome::kUnchanged);
    EXPECT_EQ(make().apply({.files = {{"z.yaml", "z"}}, .prune = true}).revision, 3u);
    EXPECT_EQ(source::read_files(mesh()).set->files.size(), 1u);
}

TEST_F(Editing, ARefusalTouchesNothing) {
    const auto before = fs::last_write_time(mesh());
    const auto answer = make().apply({.files = {{"c.yaml", "c 1"}, {"a.yaml", "bad"}}});
    EXPECT_EQ(answer.outcome, Outcome::kRefused);
    ASSERT_EQ(answer.diagnostics.size(), 1u);
    EXPECT_EQ(answer.in_force, 1u);
    EXPECT_EQ(text("a.yaml"), "a 1");
    EXPECT_EQ(fs::last_write_time(mesh()), before);
    EXPECT_EQ(history.records().size(), 1u);
}

TEST_F(Editing, ADryRunTouchesNothing) {
    EXPECT_EQ(make().apply({.files = {{"a.yaml", "a 2"}}, .dry_run = true}).outcome, Outcome::kValid);
    EXPECT_EQ(make().apply({.files = {{"a.yaml", "bad"}}, .dry_run = true}).outcome, Outcome::kRefused);
    EXPECT_EQ(text("a.yaml"), "a 1");
}

TEST_F(Editing, NamesThatAreNoMeshFilesAreRefused) {
    for (const char* name : {"../a.yaml", "x/a.yaml", ".a.yaml", "a.txt", "", "/etc/passwd.yaml", ".."}) {
        const auto answer = make().apply({.files = {{name, "x"}}});
        EXPECT_EQ(answer.outcome, Outcome::kImpossible) << name;
        EXPECT_FALSE(answer.cure.empty());
    }
    EXPECT_EQ(make().apply({.files = {{"c.yaml", "x"}, {"c.yaml", "y"}}}).outcome, Outcome::kImpossible);
    EXPECT_EQ(make().apply({.remove = {"none.yaml"}}).outcome, Outcome::kImpossible);
    EXPECT_EQ(make().apply({.remove = {"a.yaml", "b.yaml"}}).outcome, Outcome::kImpossible) << "nothing would be left";
}

TEST_F(Editing, RollbackGoesToTheGoodOneBefore) {
    ASSERT_EQ(make().apply({.files = {{"a.yaml", "a 2"}}}).revision, 2u);
    ASSERT_EQ(make().apply({.files = {{"a.yaml", "a 3"}, {"c.yaml", "c"}}}).revision, 3u);
    auto answer = make().rollback({.dry_run = true});
    EXPECT_EQ(answer.outcome, Outcome::kValid);
    EXPECT_EQ(answer.rolled_back_to, 2u);
    EXPECT_EQ(text("a.yaml"), "a 3");
    answer = make().rollback({.by = "bob"});
    EXPECT_EQ(answer.outcome, Outcome::kApplied) << answer.message;
    EXPECT_EQ(answer.revision, 4u);
    EXPECT_EQ(text("a.yaml"), "a 2");
    EXPECT_FALSE(fs::exists(mesh() / "c.yaml"));
    EXPECT_EQ(history.find(4)->origin, Origin::kRollback);
    EXPECT_EQ(history.find(4)->rolled_back_to, 2u);
    EXPECT_EQ(make().rollback({.revision = 1}).outcome, Outcome::kApplied);
    EXPECT_EQ(text("a.yaml"), "a 1");
    EXPECT_EQ(make().rollback({.revision = 77}).outcome, Outcome::kImpossible);
}

TEST_F(Editing, RollbackOfARefusedEditGoesToWhatIsInForce) {
    write(mesh() / "a.yaml", "bad");
    ASSERT_EQ(revisions.load_and_apply(std::chrono::steady_clock::now()), Revisions::Outcome::kRefused);
    const auto answer = make().rollback({});
    EXPECT_EQ(answer.outcome, Outcome::kUnchanged) << answer.message;
    EXPECT_EQ(answer.rolled_back_to, 1u);
    EXPECT_EQ(text("a.yaml"), "a 1");
    EXPECT_FALSE(revisions.state().refused);
    EXPECT_EQ(make().rollback({.revision = 2}).outcome, Outcome::kImpossible) << "never good";
    EXPECT_EQ(make().rollback({}).outcome, Outcome::kImpossible) << "none before";
}

TEST_F(Editing, RollbackBringsALostDirectoryBack) {
    fs::remove_all(mesh());
    EXPECT_EQ(make().rollback({}).outcome, Outcome::kUnchanged);
    EXPECT_EQ(text("b.yaml"), "b 1");
}

TEST_F(Editing, AnEditMeanwhileIsAConflictAndStays) {
    on_step = [&](const char* step) {
        if (std::string_view(step) == "checked") write(mesh() / "b.yaml", "b by hand");
    };
    const auto answer = make().apply({.files = {{"a.yaml", "a 2"}, {"c.yaml", "c"}}});
    EXPECT_EQ(answer.outcome, Outcome::kConflict) << answer.message;
    EXPECT_EQ(text("a.yaml"), "a 1");
    EXPECT_EQ(text("b.yaml"), "b by hand");
    EXPECT_FALSE(fs::exists(mesh() / "c.yaml"));
}

TEST_F(Editing, WhatHasNoRoomIsTakenBack) {
    no_room = true;
    const auto answer = make().apply({.files = {{"a.yaml", "a 2"}}});
    EXPECT_EQ(answer.outcome, Outcome::kRefused);
    EXPECT_EQ(text("a.yaml"), "a 1");
    EXPECT_EQ(revisions.state().in_force.revision, 1u);
    EXPECT_FALSE(revisions.state().refused);
}

TEST_F(Editing, WhatCannotBeReadIsInTheWay) {
    fs::create_symlink("nowhere", mesh() / "dangling.yaml");
    const auto answer = make().apply({.files = {{"a.yaml", "a 2"}}});
    EXPECT_EQ(answer.outcome, Outcome::kImpossible);
    EXPECT_EQ(answer.diagnostics.size(), 1u);
    EXPECT_EQ(make().rollback({}).outcome, Outcome::kImpossible);
}

}  // namespace
}  // namespace sluice::control
