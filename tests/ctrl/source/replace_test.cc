// A directory replaced as a whole: all or nothing by one rename or by several, with another editor at every step, and what is not
// ours left alone. Run once for each way of doing it.
#include "ctrl/source/replace.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace sluice::source {
namespace {

namespace fs = std::filesystem;

class Replace : public testing::TestWithParam<bool> {
 protected:
    void SetUp() override {
        char name[] = "/tmp/sluice-replace-XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        base = name;
        mesh = base / "mesh";
        fs::create_directory(mesh);
        write("a.yaml", "a 1"), write("b.yaml", "b 1"), write("keep.yaml", "keep");
        before = read_files(mesh).set;
        after = make_file_set({{"a.yaml", "a 2"}, {"c.yaml", "c 1"}, {"keep.yaml", "keep"}});
    }
    void TearDown() override {
        std::error_code ignored;
        fs::permissions(mesh, fs::perms::owner_all, ignored);
        fs::remove_all(base);
    }
    void write(const std::string& name, const std::string& text) const { std::ofstream(mesh / name, std::ios::binary) << text; }
    std::string text(const std::string& name) const {
        std::ostringstream out;
        out << std::ifstream(mesh / name, std::ios::binary).rdbuf();
        return std::move(out).str();
    }
    std::expected<void, ReplaceError> run(std::function<void(const char*)> on_step = {}) const {
        return replace_files(mesh, *before, *after, {.exchange = GetParam(), .on_step = std::move(on_step)});
    }
    void expect_no_litter() const {
        size_t others = 0;
        for (const auto& entry : fs::directory_iterator(base)) others += entry.path() != mesh;
        for (const auto& entry : fs::directory_iterator(mesh)) others += entry.path().filename().string().find("sluice-new") != std::string::npos;
        EXPECT_EQ(others, 0u);
    }
    fs::path base, mesh;
    FileSetPtr before, after;
};

INSTANTIATE_TEST_SUITE_P(BothWays, Replace, testing::Bool(), [](const auto& way) { return way.param ? "OneRename" : "FileByFile"; });

TEST_P(Replace, MakesTheDirectoryWhatItShouldBe) {
    const auto done = run();
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(read_files(mesh).set->files, after->files);
    expect_no_litter();
}

TEST_P(Replace, KeepsModesAndWhatIsNotOurs) {
    chmod((mesh / "a.yaml").c_str(), 0640);
    chmod(mesh.c_str(), 0750);
    write("README.md", "read me"), write(".gitignore", "x");
    fs::create_symlink("README.md", mesh / "link");
    struct stat kept {};
    stat((mesh / "keep.yaml").c_str(), &kept);
    ASSERT_TRUE(run());
    EXPECT_EQ(text("README.md"), "read me");
    EXPECT_EQ(text(".gitignore"), "x");
    EXPECT_EQ(fs::read_symlink(mesh / "link"), "README.md");
    struct stat now {};
    stat((mesh / "keep.yaml").c_str(), &now);
    EXPECT_EQ(now.st_ino, kept.st_ino) << "an editor that has it open goes on writing to what is there";
    stat((mesh / "a.yaml").c_str(), &now);
    EXPECT_EQ(now.st_mode & 07777, 0640u);
    stat(mesh.c_str(), &now);
    EXPECT_EQ(now.st_mode & 07777, 0750u);
    expect_no_litter();
}

TEST_P(Replace, AFolderInsideStaysWhereItIs) {
    fs::create_directory(mesh / ".git");
    std::ofstream(mesh / ".git/HEAD") << "ref";
    struct stat folder {}, now {};
    stat((mesh / ".git").c_str(), &folder);
    ASSERT_TRUE(run());
    stat((mesh / ".git").c_str(), &now);
    EXPECT_EQ(now.st_ino, folder.st_ino);
    EXPECT_EQ(read_files(mesh).set->files, after->files);
    expect_no_litter();
}

TEST_P(Replace, AnEditAtAnyStepIsNeverLost) {
    const std::vector<std::pair<std::string, std::string>> edits{{"a.yaml", "a by hand"}, {"b.yaml", "b by hand"}, {"keep.yaml", "k by hand"}, {"c.yaml", "c by hand"}, {"new.yaml", "n by hand"}};
    for (const auto& [name, by_hand] : edits) {
        for (int at = 0; at < 8; at++) {
            TearDown(), SetUp();
            int step = 0;
            const std::string temp = (base / "edited").string();
            const auto done = run([&](const char*) {
                if (step++ != at) return;
                std::ofstream(temp) << by_hand;   // as editors save: beside, then renamed over
                fs::rename(temp, mesh / name);
            });
            if (step <= at) continue;   // so many steps there are not
            EXPECT_EQ(text(name), by_hand) << name << " at step " << at;
            if (!done) {
                EXPECT_TRUE(done.error().changed) << done.error().message;
                for (const auto& [untouched, old] : {std::pair("a.yaml", "a 1"), {"b.yaml", "b 1"}}) {
                    if (name != untouched) { EXPECT_EQ(text(untouched), old) << name << " at step " << at; }
                }
            } else if (name != "a.yaml") {
                EXPECT_EQ(text("a.yaml"), "a 2") << name << " at step " << at;
            }
            expect_no_litter();
        }
    }
}

TEST_P(Replace, EditsIntoBothDirectoriesAreBothKept) {
    const auto done = run([&](const char* step) {
        const auto edit = [&](const char* name, const char* text) {
            std::ofstream(base / "edited") << text;
            fs::rename(base / "edited", mesh / name);
        };
        if (std::string_view(step) == "checked") edit("b.yaml", "into the old");
        if (std::string_view(step) == "taking back") edit("z.yaml", "into the new"), edit("a.yaml", "into the new too");
    });
    if (!GetParam()) return;   // there is but one directory
    ASSERT_FALSE(done);
    EXPECT_EQ(text("b.yaml"), "into the old");
    EXPECT_EQ(text("z.yaml"), "into the new");
    EXPECT_EQ(text("a.yaml"), "into the new too");
    EXPECT_FALSE(fs::exists(mesh / "c.yaml"));
    expect_no_litter();
}

TEST_P(Replace, OneFileIsOneRename) {
    after = make_file_set({{"a.yaml", "a 2"}, {"b.yaml", "b 1"}, {"keep.yaml", "keep"}});
    struct stat was {}, now {};
    stat(mesh.c_str(), &was);
    ASSERT_TRUE(run());
    stat(mesh.c_str(), &now);
    EXPECT_EQ(now.st_ino, was.st_ino);
    EXPECT_EQ(text("a.yaml"), "a 2");
}

TEST_P(Replace, SaysWhatIsInTheWay) {
    fs::create_symlink("..rev", mesh / "..data");
    auto done = run();
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().message.find("Kubernetes volume"), std::string::npos);
    fs::remove(mesh / "..data");
    fs::rename(mesh / "a.yaml", base / "elsewhere.yaml");
    fs::create_symlink("../elsewhere.yaml", mesh / "a.yaml");
    done = run();
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().message.find("is a link"), std::string::npos);
    EXPECT_EQ(text("a.yaml"), "a 1");
}

TEST_P(Replace, AMissingDirectoryIsMade) {
    fs::remove_all(mesh);
    before = make_file_set({});
    const auto done = run();
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(read_files(mesh).set->files, after->files);
    fs::remove_all(base / "mesh");
    before = make_file_set({{"z.yaml", "z"}});
    EXPECT_FALSE(run()) << "it had files";
}

TEST_P(Replace, ALinkToTheDirectoryStaysALink) {
    fs::rename(mesh, base / "real");
    fs::create_symlink("real", mesh);
    ASSERT_TRUE(run());
    EXPECT_TRUE(fs::is_symlink(mesh));
    EXPECT_EQ(read_files(mesh).set->files, after->files);
}

TEST(ReplaceExchange, AKillAtAnyStepLeavesTheOldOrTheNewWhole) {
    char name[] = "/tmp/sluice-replace-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    const fs::path base = name, mesh = base / "mesh";
    fs::create_directory(mesh);
    const auto one = make_file_set({{"a.yaml", "1"}, {"b.yaml", "1"}, {"c.yaml", "1"}}), two = make_file_set({{"a.yaml", "2"}, {"b.yaml", "2"}, {"d.yaml", "2"}});
    ASSERT_TRUE(replace_files(mesh, *make_file_set({}), *one));
    FileSetPtr now = one;
    size_t killed = 0;
    for (int at = 0; at < 6; at++) {
        const FileSetPtr next = now->hash == one->hash ? two : one;
        const pid_t child = fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            int step = 0;
            const bool done = replace_files(mesh, *now, *next, {.on_step = [&](const char*) {
                                                 if (step++ == at) raise(SIGKILL);
                                             }}).has_value();
            _exit(done ? 0 : 1);
        }
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        killed += WIFSIGNALED(status);
        const auto found = read_files(mesh).set;
        EXPECT_TRUE(found->hash == now->hash || found->hash == next->hash) << "a mixture after a kill at step " << at;
        now = found;
        ASSERT_TRUE(replace_files(mesh, *now, now->hash == one->hash ? *two : *one)) << "the next one clears up";
        now = read_files(mesh).set;
        EXPECT_EQ(std::distance(fs::directory_iterator(base), fs::directory_iterator()), 1);
    }
    EXPECT_GE(killed, 4u);
    fs::remove_all(base);
}

}  // namespace
}  // namespace sluice::source
