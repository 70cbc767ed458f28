// The state directory: what was written is there after a kill at any step, after a failure of any step, and told apart from what
// was damaged. Random kills print their seed.
#include "ctrl/control/state_store.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <random>

#include "tests/ctrl/control/support.h"

namespace sluice::control {
namespace {

using test::files;
using test::record;

class Store : public test::Folder {
 protected:
    std::unique_ptr<StateStore> open(StateStore::Fault fault = {}) {
        auto store = StateStore::open(base / "state", std::move(fault));
        EXPECT_TRUE(store) << store.error();
        return store ? std::move(*store) : nullptr;
    }
    fs::path record_path(uint64_t n) const { return base / "state/revisions" / (std::string(7, '0') + std::to_string(n) + ".json"); }
    fs::path content_path(const source::FileSetPtr& set) const { return base / "state/content" / set->hash; }
    size_t count(const char* folder) const { return static_cast<size_t>(std::distance(fs::directory_iterator(base / "state" / folder), fs::directory_iterator())); }
};

TEST_F(Store, KeepsWhatItIsGivenForItsOwnerAlone) {
    const auto one = files("1"), two = files("2");
    {
        auto store = open();
        ASSERT_TRUE(store->put(record(1, one), one.get()));
        ASSERT_TRUE(store->put(record(2, two), two.get()));
        ASSERT_TRUE(store->put(record(3, one), one.get()));
    }
    auto store = open();
    const auto records = store->load();
    ASSERT_EQ(records.size(), 3u);
    EXPECT_EQ(records[2].revision, 3u);
    EXPECT_EQ(records[2].hash, one->hash);
    EXPECT_EQ((*store->content(two->hash))->files, two->files);
    EXPECT_EQ(count("content"), 2u) << "one file for the same files";
    struct stat status {};
    for (const char* folder : {"state", "state/revisions", "state/content"}) {
        ASSERT_EQ(stat((base / folder).c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 0777, 0700u) << folder;
    }
    ASSERT_EQ(stat(content_path(one).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(Store, DropsWhatIsNotWanted) {
    const auto one = files("1"), two = files("2");
    auto store = open();
    ASSERT_TRUE(store->put(record(1, one), one.get()) && store->put(record(2, two), two.get()) && store->put(record(3, two), two.get()));
    store->keep_only({record(3, two)});
    EXPECT_EQ(store->load().size(), 1u);
    EXPECT_FALSE(store->content(one->hash));
    EXPECT_TRUE(store->content(two->hash));
    EXPECT_EQ(count("content"), 1u);
}

TEST_F(Store, DamagedRecordsAreToldApart) {
    const auto set = files("1");
    auto store = open();
    for (uint64_t n = 1; n <= 6; n++) ASSERT_TRUE(store->put(record(n, set), set.get()));
    const std::string good = read(record_path(1));
    write(record_path(2), good.substr(0, good.size() / 2));
    write(record_path(3), good);   // of another revision
    std::string later = good;
    later[later.find(' ') + 1] = '9';
    write(record_path(4), later);
    chmod(record_path(5).c_str(), 0666);
    fs::remove(record_path(6));
    fs::create_directory(record_path(6));
    const auto records = store->load();
    ASSERT_EQ(records.size(), 6u);
    EXPECT_EQ(records[0].fate, Fate::kApplied);
    const char* const words[] = {"", "checksum is wrong", "another revision", "another version", "others may write it", "not a file"};
    for (size_t i = 1; i < 6; i++) {
        EXPECT_EQ(records[i].fate, Fate::kDamaged) << i;
        EXPECT_EQ(records[i].revision, i + 1);
        EXPECT_NE(records[i].damage.find(words[i]), std::string::npos) << records[i].damage;
    }
}

TEST_F(Store, DamagedFilesAreNotServed) {
    const auto set = files("1");
    auto store = open();
    ASSERT_TRUE(store->put(record(1, set), set.get()));
    std::string text = read(content_path(set));
    text[text.size() - 3] ^= 1;
    write(content_path(set), text);
    const auto content = store->content(set->hash);
    ASSERT_FALSE(content);
    EXPECT_NE(content.error().find("checksum is wrong"), std::string::npos);
    ASSERT_TRUE(store->put(record(2, set), set.get())) << "the same files again";
    EXPECT_TRUE(store->content(set->hash)) << "mended";
    EXPECT_FALSE(store->content("../../etc/passwd"));
}

TEST_F(Store, SaysWhyItCannotBeUsed) {
    const auto why = [&](const std::string& path) {
        const auto store = StateStore::open(path);
        return store ? "" : store.error();
    };
    EXPECT_NE(why(base / "no/state").find("make it, or correct state.directory"), std::string::npos);
    write(base / "file", "");
    EXPECT_NE(why(base / "file").find("Not a directory"), std::string::npos);
    auto first = open();
    EXPECT_NE(why(base / "state").find("another gateway uses it"), std::string::npos);
    first.reset();
    EXPECT_EQ(why(base / "state"), "");
    chmod((base / "state").c_str(), 0777);
    EXPECT_NE(why(base / "state").find("others may write it"), std::string::npos);
}

TEST_F(Store, AFailureOfAnyStepLeavesTheOldAndNoLitter) {
    const auto one = files("1"), two = files("2");
    ASSERT_TRUE(open()->put(record(1, one), one.get()));
    for (int failing = 0; failing < 10; failing++) {   // five steps for each of two files
        int step = 0;
        std::string failed_step;
        auto store = open([&](const char* name) {
            if (step++ != failing) return 0;
            failed_step = name;
            return ENOSPC;
        });
        const auto put = store->put(record(2, two), two.get());
        ASSERT_FALSE(put) << failing;
        EXPECT_NE(put.error().find("make room on that disk"), std::string::npos) << put.error();
        for (const char* folder : {"revisions", "content"})
            for (const auto& entry : fs::directory_iterator(base / "state" / folder)) EXPECT_NE(entry.path().extension(), ".new") << failed_step;
        const auto records = store->load();
        ASSERT_GE(records.size(), 1u);
        for (const Record& r : records) {
            EXPECT_NE(r.fate, Fate::kDamaged) << failed_step << " " << r.damage;
            EXPECT_TRUE(store->content(r.hash)) << "a record without its files after " << failed_step;
        }
        store->keep_only({record(1, one)});
    }
}

/// A child writes revisions until it is killed; whatever is there then must be whole.
TEST_F(Store, AKillAtAnyStepLeavesOnlyWholeRevisions) {
    uint64_t last = 0;
    for (int step = 0; step < 30; step++) {
        const pid_t child = fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            int left = step;
            auto store = StateStore::open(base / "state", [&left](const char*) {
                if (left-- == 0) raise(SIGKILL);
                return 0;
            });
            if (!store) _exit(3);
            for (uint64_t n = last + 1;; n++) {
                const auto set = files("revision " + std::to_string(n));
                if (!(*store)->put(record(n, set), set.get())) _exit(4);
            }
        }
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "exit " << WEXITSTATUS(status) << " at step " << step;
        auto store = open();   // the lock went with the process
        for (const Record& r : store->load()) {
            ASSERT_EQ(r.fate, Fate::kApplied) << "step " << step << ": " << r.damage;
            ASSERT_TRUE(store->content(r.hash)) << "step " << step;
            last = std::max(last, r.revision);
        }
    }
    EXPECT_GE(last, 30u);
}

TEST_F(Store, AKillAtAnyMomentLeavesOnlyWholeRevisions) {
    const uint32_t seed = std::getenv("SLUICE_SEED") ? static_cast<uint32_t>(std::atoi(std::getenv("SLUICE_SEED"))) : std::random_device()();
    RecordProperty("seed", static_cast<int>(seed));
    std::printf("seed %u: SLUICE_SEED=%u repeats the delays\n", seed, seed);
    std::mt19937 random(seed);
    uint64_t last = 0;
    for (int round = 0; round < 25; round++) {
        const pid_t child = fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            auto store = StateStore::open(base / "state");
            if (!store) _exit(3);
            std::vector<Record> kept;
            for (uint64_t n = last + 1;; n++) {
                const auto set = files(std::string(1 + n * 7919 % 60000, 'x') + std::to_string(n));
                if (!(*store)->put(record(n, set), set.get())) _exit(4);
                kept.push_back(record(n, set));
                if (kept.size() > 5) kept.erase(kept.begin());
                (*store)->keep_only(kept);
            }
        }
        usleep(static_cast<useconds_t>(std::uniform_int_distribution<int>(500, 20000)(random)));
        kill(child, SIGKILL);
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFSIGNALED(status)) << "exit " << WEXITSTATUS(status);
        auto store = open();
        for (const Record& r : store->load()) {
            ASSERT_EQ(r.fate, Fate::kApplied) << r.damage;
            ASSERT_TRUE(store->content(r.hash));
            last = std::max(last, r.revision);
        }
    }
    EXPECT_GT(last, 0u);
}

}  // namespace
}  // namespace sluice::control
