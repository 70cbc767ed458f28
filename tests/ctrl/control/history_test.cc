// The history: what it keeps, what goes first, and that a disk that fails is told once, counted, and tried again.
#include "ctrl/control/history.h"

#include <atomic>

#include "tests/ctrl/control/support.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;
using test::files;
using test::record;

class Histories : public test::Folder {
 protected:
    History::Options options(uint32_t max = 20) { return {.directory = base / "state", .revisions_max = max, .retry = 1ms}; }
    void add(History& history, uint64_t n, const std::string& text, Fate fate = Fate::kApplied) {
        const auto set = files(text);
        history.add(record(n, set, fate), set);
    }
    static std::vector<uint64_t> numbers(const History& history) {
        std::vector<uint64_t> out;
        for (const Record& r : history.records()) out.push_back(r.revision);
        return out;
    }
    test::Words words;
};

TEST_F(Histories, IsThereAfterARestart) {
    {
        History history(options(), words.log());
        history.open();
        EXPECT_EQ(history.next_revision(), 1u);
        add(history, 1, "one");
        add(history, 2, "two", Fate::kRefused);
        history.lived(1, 1500us);
    }   // writes what is left
    History history(options(), words.log());
    history.open();
    EXPECT_EQ(history.next_revision(), 3u);
    ASSERT_EQ(numbers(history), (std::vector<uint64_t>{1, 2}));
    EXPECT_EQ(history.find(1)->time_to_live, 1500us);
    EXPECT_EQ((*history.files_of(2))->files, files("two")->files);
    EXPECT_FALSE(history.files_of(3));
    EXPECT_TRUE(words.lines().empty());
}

TEST_F(Histories, KeepsTheNewestAndWhatARollbackNeeds) {
    History history(options(4), words.log());
    history.open();
    add(history, 1, "a");
    add(history, 2, "b");
    for (uint64_t n = 3; n <= 10; n++) add(history, n, "bad " + std::to_string(n), Fate::kRefused);
    EXPECT_EQ(numbers(history), (std::vector<uint64_t>{1, 2, 9, 10})) << "two good ones stay";
    for (uint64_t n = 11; n <= 20; n++) add(history, n, "good " + std::to_string(n));
    EXPECT_EQ(numbers(history), (std::vector<uint64_t>{17, 18, 19, 20}));
    history.flush();
    EXPECT_TRUE(history.files_of(17));
}

TEST_F(Histories, IsBoundedInBytes) {
    auto o = options();
    o.bytes_max = 3000;
    History history(o, words.log());
    history.open();
    for (uint64_t n = 1; n <= 6; n++) add(history, n, std::string(1000, 'x') + std::to_string(n));
    EXPECT_EQ(numbers(history), (std::vector<uint64_t>{5, 6}));
    for (uint64_t n = 7; n <= 9; n++) add(history, n, "small");
    EXPECT_EQ(numbers(history).back(), 9u);
    history.flush();
    uint64_t bytes = 0;
    for (const auto& entry : fs::directory_iterator(base / "state/content")) bytes += entry.file_size();
    EXPECT_LT(bytes, 4000u);
}

TEST_F(Histories, ADiskThatFailsIsToldOnceAndWrittenLater) {
    std::atomic<bool> full{true};
    auto o = options();
    o.fault = [&](const char* step) { return full && std::string_view(step) == "write" ? ENOSPC : 0; };
    History history(o, words.log());
    history.open();
    add(history, 1, "one");
    history.flush();
    add(history, 2, "two");
    while (history.health().write_failures < 3) std::this_thread::yield();
    EXPECT_NE(history.health().error.find("No space left"), std::string::npos);
    EXPECT_EQ(words.count("No space left"), 1u);
    EXPECT_EQ((*history.files_of(1))->files, files("one")->files) << "in memory meanwhile";
    full = false;
    while (!history.health().error.empty()) std::this_thread::yield();
    EXPECT_EQ(words.count("is written again"), 1u);
    EXPECT_TRUE(fs::exists(base / "state/revisions/00000002.json"));
}

TEST_F(Histories, WithoutADirectoryItIsInMemory) {
    History history({.directory = ""}, words.log());
    history.open();
    add(history, 1, "one");
    add(history, 2, "two");
    EXPECT_EQ((*history.files_of(1))->files, files("one")->files);
    EXPECT_TRUE(history.health().error.empty());
    EXPECT_TRUE(words.lines().empty());
}

TEST_F(Histories, AnUnusableDirectoryIsAWarning) {
    History history({.directory = base / "no/such"}, words.log());
    history.open();
    add(history, 1, "one");
    EXPECT_EQ(history.health().write_failures, 1u);
    ASSERT_EQ(words.lines().size(), 1u);
    EXPECT_EQ(words.lines()[0].first, Level::kWarning);
    EXPECT_TRUE(history.files_of(1));
}

TEST_F(Histories, WaitingFilesAreBoundedInMemory) {
    auto o = options();
    o.waiting_bytes_max = 2500;
    o.directory = "";
    History history(o, words.log());
    history.open();
    for (uint64_t n = 1; n <= 5; n++) add(history, n, std::string(1000, 'x') + std::to_string(n));
    EXPECT_TRUE(history.files_of(5));
    EXPECT_TRUE(history.files_of(4));
    EXPECT_FALSE(history.files_of(1));
}

}  // namespace
}  // namespace sluice::control
