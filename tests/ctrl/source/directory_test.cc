// A directory as one revision, and word of its changes.
// In: files on disk, as editors and Kubernetes write them. Out: loads, wake-ups.
// Every test has a directory of its own, removed at its end.
// Waits have generous limits and end as soon as the event is there; no test asserts how long one took.
#include "ctrl/source/directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>

namespace sluice::source {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr auto kLimit = 20s;     // for what must happen
constexpr auto kNothing = 150ms;  // for what must not

std::string workload(const std::string& name, const std::string& address = "10.0.0.1") {
    return "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: " + name +
           ", namespace: shop}\nspec: {address: " + address + "}\n";
}

class Directory : public testing::Test {
 protected:
    void SetUp() override {
        char name[] = "/tmp/sluice-source-XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        base_ = name;
        mesh_ = base_ / "mesh";
        fs::create_directory(mesh_);
    }
    void TearDown() override { fs::remove_all(base_); }

    static void write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }
    Load load() const { return load_directory(mesh_.string()); }

    fs::path base_;
    fs::path mesh_;
};

TEST_F(Directory, AllFilesAreOneRevisionInNameOrder) {
    write(mesh_ / "b.yml", workload("b"));
    write(mesh_ / "a.yaml", workload("a") + "---\n" + workload("a2"));
    write(mesh_ / "c.json",
          R"({"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry", "metadata": {"name": "c"}, "spec": {"address": "10.0.0.3"}})");
    write(mesh_ / ".hidden.yaml", "garbage: [");
    write(mesh_ / "a.yaml~", "garbage: [");
    write(mesh_ / "README.md", "# not config");
    fs::create_directory(mesh_ / "sub");
    write(mesh_ / "sub" / "d.yaml", "garbage: [");
    const Load l = load();
    ASSERT_NE(l.mesh, nullptr) << render(l.diagnostics, l.file_count);
    EXPECT_EQ(l.file_count, 3u);
    EXPECT_EQ(l.mesh->files, (std::vector<std::string>{"mesh/a.yaml", "mesh/b.yml", "mesh/c.json"}));
    ASSERT_EQ(l.mesh->workload_entries.size(), 4u);
    EXPECT_EQ(l.mesh->workload_entries[1].name, "a2");
    EXPECT_EQ(l.mesh->workload_entries[3].key(), "default/c");
}

TEST_F(Directory, ErrorsOfAllFilesAreReportedTogether) {
    write(mesh_ / "a.yaml", "kind: Nonsense\n");
    write(mesh_ / "b.yaml", workload("b", "nowhere"));
    write(mesh_ / "c.yaml", workload("c"));
    const Load l = load();
    EXPECT_EQ(l.mesh, nullptr);
    ASSERT_EQ(l.diagnostics.size(), 2u) << render(l.diagnostics, l.file_count);
    EXPECT_EQ(l.diagnostics[0].file, "mesh/a.yaml");
    EXPECT_EQ(l.diagnostics[1].file, "mesh/b.yaml");
    EXPECT_EQ(l.file_count, 3u);
    EXPECT_FALSE(l.hash.empty());
}

TEST_F(Directory, ABrokenFileDoesNotMakeOthersReferencesWrong) {
    write(mesh_ / "gateway.yaml",
          "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: edge}\nspec: {serves: []}\n");
    write(mesh_ / "routes.yaml",
          "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\n"
          "spec: {hosts: [a.example], gateways: [edge, other], http: [{directResponse: {status: 200}}]}\n");
    const Load l = load();
    for (const Diagnostic& d : l.diagnostics) EXPECT_EQ(d.file, "mesh/gateway.yaml") << render(d);
}

TEST_F(Directory, TheHashIsOfNamesAndBytes) {
    write(mesh_ / "a.yaml", workload("a"));
    const std::string first = load().hash;
    EXPECT_EQ(first.size(), 16u);
    EXPECT_EQ(load().hash, first);
    write(mesh_ / "a.yaml", workload("a") + "\n");
    const std::string changed = load().hash;
    EXPECT_NE(changed, first);
    fs::rename(mesh_ / "a.yaml", mesh_ / "b.yaml");
    EXPECT_NE(load().hash, changed);
}

TEST_F(Directory, MissingOrEmptyIsAnErrorSoThatNothingIsLost) {
    EXPECT_EQ(load().mesh, nullptr) << "no file";
    EXPECT_EQ(load().diagnostics.at(0).code, "SLC0120");
    fs::remove_all(mesh_);
    const Load l = load();
    EXPECT_EQ(l.mesh, nullptr);
    EXPECT_EQ(render(l.diagnostics[0]),
              mesh_.string() + ": error SLC0120\n  cannot read the mesh directory: No such file or directory\n"
                               "  create it, or correct `mesh.directory`\n");
    fs::create_directory(mesh_);
    write(mesh_ / "none.yaml", "# nothing wanted\n");
    ASSERT_NE(load().mesh, nullptr);
}

TEST_F(Directory, WhatIsNotAFileIsNamed) {
    write(mesh_ / "a.yaml", workload("a"));
    ASSERT_EQ(mkfifo((mesh_ / "pipe.yaml").c_str(), 0600), 0);
    fs::create_symlink("nowhere", mesh_ / "dangling.yaml");
    const Load l = load();
    EXPECT_EQ(l.mesh, nullptr);
    ASSERT_EQ(l.diagnostics.size(), 2u);
    EXPECT_EQ(l.diagnostics[0].file, "mesh/dangling.yaml");
    EXPECT_EQ(l.diagnostics[0].message, "cannot be read: No such file or directory");
    EXPECT_EQ(l.diagnostics[1].file, "mesh/pipe.yaml");
    EXPECT_EQ(l.diagnostics[1].message, "cannot be read: not a regular file");
}

// A Kubernetes volume: FILE -> ..data/FILE, ..data -> ..REVISION.
void mount(const fs::path& mesh, const std::string& revision, const std::string& text) {
    fs::create_directory(mesh / (".." + revision));
    std::ofstream(mesh / (".." + revision) / "a.yaml") << text;
    fs::create_symlink(".." + revision, mesh / "..data_tmp");
    fs::rename(mesh / "..data_tmp", mesh / "..data");
    if (!fs::exists(fs::symlink_status(mesh / "a.yaml"))) fs::create_symlink("..data/a.yaml", mesh / "a.yaml");
}

TEST_F(Directory, FollowsKubernetesLinks) {
    mount(mesh_, "1", workload("one"));
    EXPECT_EQ(load().mesh->workload_entries.at(0).name, "one");
    mount(mesh_, "2", workload("two"));
    EXPECT_EQ(load().mesh->workload_entries.at(0).name, "two");
}

TEST_F(Directory, WatcherSeesEveryWayOfWriting) {
    write(mesh_ / "a.yaml", workload("a"));
    DirectoryWatcher watcher(mesh_.string());
    EXPECT_FALSE(watcher.wait({}, kNothing)) << "nothing changed yet";

    write(mesh_ / "a.yaml", workload("b"));
    EXPECT_TRUE(watcher.wait({}, kLimit)) << "in place";
    write(base_ / "new", workload("c"));
    fs::rename(base_ / "new", mesh_ / "a.yaml");
    EXPECT_TRUE(watcher.wait({}, kLimit)) << "renamed over";
    write(mesh_ / "b.yaml", workload("d"));
    EXPECT_TRUE(watcher.wait({}, kLimit)) << "created";
    fs::remove(mesh_ / "b.yaml");
    EXPECT_TRUE(watcher.wait({}, kLimit)) << "deleted";
    mount(mesh_, "1", workload("e"));
    EXPECT_TRUE(watcher.wait({}, kLimit)) << "links swapped";
    EXPECT_FALSE(watcher.wait({}, kNothing)) << "all told";
}

TEST_F(Directory, ABurstIsOneWakeUp) {
    DirectoryWatcher watcher(mesh_.string());
    for (int i = 0; i < 50; ++i) write(mesh_ / ("f" + std::to_string(i) + ".yaml"), workload("w" + std::to_string(i)));
    EXPECT_TRUE(watcher.wait({}, kLimit));
    EXPECT_EQ(load().mesh->workload_entries.size(), 50u);
    EXPECT_FALSE(watcher.wait({}, kNothing));
}

TEST_F(Directory, AWriterThatNeverRestsIsReadAnyway) {
    DirectoryWatcher watcher(mesh_.string(), {.settle = 50ms, .settle_max = 200ms});
    std::jthread writer([this](std::stop_token stop) {
        while (!stop.stop_requested()) {
            write(mesh_ / "a.yaml", workload("a"));
            std::this_thread::sleep_for(1ms);
        }
    });
    EXPECT_TRUE(watcher.wait({}, kLimit));
}

TEST_F(Directory, SurvivesDeletionAndReturn) {
    write(mesh_ / "a.yaml", workload("a"));
    DirectoryWatcher watcher(mesh_.string(), {.retry = 10ms});
    fs::remove_all(mesh_);
    EXPECT_TRUE(watcher.wait({}, kLimit)) << "gone";
    EXPECT_EQ(load().mesh, nullptr);
    fs::create_directory(mesh_);
    write(mesh_ / "a.yaml", workload("back"));
    EXPECT_TRUE(watcher.wait({}, kLimit)) << "back";
    while (!load().mesh) ASSERT_TRUE(watcher.wait({}, kLimit));
    EXPECT_EQ(load().mesh->workload_entries.at(0).name, "back");
    watcher.wait({}, kNothing);
    write(mesh_ / "a.yaml", workload("again"));
    EXPECT_TRUE(watcher.wait({}, kLimit)) << "the new directory is watched";
}

TEST_F(Directory, SeesTheDirectoryItselfReplaced) {
    const fs::path link = base_ / "current";
    fs::create_directory(base_ / "v2");
    write(mesh_ / "a.yaml", workload("one"));
    write(base_ / "v2" / "a.yaml", workload("two"));
    fs::create_symlink("mesh", link);
    DirectoryWatcher watcher(link.string() + "/");
    fs::create_symlink("v2", base_ / "next");
    fs::rename(base_ / "next", link);
    EXPECT_TRUE(watcher.wait({}, kLimit)) << "a link swapped";
    EXPECT_EQ(load_directory(link.string()).mesh->workload_entries.at(0).name, "two");
    write(base_ / "v2" / "a.yaml", workload("three"));
    EXPECT_TRUE(watcher.wait({}, kLimit)) << "its target is watched";
}

TEST_F(Directory, WaitsForADirectoryThatIsNotThereYet) {
    fs::remove_all(mesh_);
    DirectoryWatcher watcher(mesh_.string(), {.retry = 10ms});
    EXPECT_FALSE(watcher.wait({}, kNothing));
    fs::create_directory(mesh_);
    EXPECT_TRUE(watcher.wait({}, kLimit));
}

TEST_F(Directory, AStopTokenEndsTheWait) {
    DirectoryWatcher watcher(mesh_.string());
    std::stop_source source;
    std::jthread stopper([&] { source.request_stop(); });
    EXPECT_FALSE(watcher.wait(source.get_token(), kLimit));
}

}  // namespace
}  // namespace sluice::source
