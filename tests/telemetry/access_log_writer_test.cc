// Lines reach their file, survive logrotate, and a file or a reader that fails costs lines but never hangs the writer.
#include "telemetry/access_log_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/telemetry/entry.h"

namespace sluice::telemetry {
namespace {

namespace fs = std::filesystem;

struct Folder {
    fs::path path;
    Folder() {
        char name[] = "/tmp/sluice-log-XXXXXX";
        path = mkdtemp(name);
    }
    ~Folder() { fs::remove_all(path); }
};

std::string slurp(const fs::path& path) {
    std::ifstream file(path);
    std::ostringstream out;
    out << file.rdbuf();
    return out.str();
}

std::string one_line() {
    std::string out;
    AccessLogFormat::text().format(test::example(), out);
    return out;
}

TEST(AccessLogWriter, WritesEveryCoresLines) {
    Folder folder;
    AccessLogRing a, b;
    auto writer = AccessLogWriter::open({.path = folder.path / "log"}, {&a, &b});
    ASSERT_TRUE(writer) << writer.error();
    a.push(test::example());
    b.push(test::example());
    EXPECT_EQ((*writer)->turn(), 2u);
    EXPECT_EQ(slurp(folder.path / "log"), one_line() + one_line());
    EXPECT_EQ((*writer)->lines(), 2u);
    EXPECT_EQ((*writer)->bytes(), 2 * one_line().size());
    struct stat status;
    ASSERT_EQ(stat((folder.path / "log").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777 & ~0640, 0u);   // nobody else reads who visited
}

TEST(AccessLogWriter, TheThreadDrainsWhatIsLeftAtItsEnd) {
    Folder folder;
    AccessLogRing ring;
    {
        auto writer = AccessLogWriter::open({.path = folder.path / "log"}, {&ring});
        ASSERT_TRUE(writer);
        (*writer)->start();
        for (int i = 0; i < 100; i++) ring.push(test::example());
    }
    std::string expected;
    for (int i = 0; i < 100; i++) expected += one_line();
    EXPECT_EQ(slurp(folder.path / "log"), expected);
}

TEST(AccessLogWriter, ReopensAfterTheFileWasMoved) {
    Folder folder;
    AccessLogRing ring;
    auto writer = AccessLogWriter::open({.path = folder.path / "log"}, {&ring});
    ASSERT_TRUE(writer);
    ring.push(test::example());
    (*writer)->turn();
    fs::rename(folder.path / "log", folder.path / "log.1");
    ring.push(test::example());
    (*writer)->turn();
    (*writer)->reopen();
    ring.push(test::example());
    (*writer)->turn();
    EXPECT_EQ(slurp(folder.path / "log.1"), one_line() + one_line());
    EXPECT_EQ(slurp(folder.path / "log"), one_line());
    EXPECT_EQ((*writer)->reopened(), 1u);
}

TEST(AccessLogWriter, KeepsTheOldFileWhenReopeningFails) {
    Folder folder;
    AccessLogRing ring;
    fs::create_directory(folder.path / "d");
    std::vector<std::string> said;
    auto writer = AccessLogWriter::open({.path = folder.path / "d" / "log"}, {&ring},
                                        [&](const std::string& text, bool) { said.push_back(text); });
    ASSERT_TRUE(writer);
    fs::rename(folder.path / "d", folder.path / "moved");
    (*writer)->reopen();
    ring.push(test::example());
    (*writer)->turn();
    EXPECT_EQ(slurp(folder.path / "moved" / "log"), one_line());
    ASSERT_EQ(said.size(), 1u);
    EXPECT_NE(said[0].find("still writing to the old file"), std::string::npos);
}

TEST(AccessLogWriter, SaysWhyAFileCannotBeOpened) {
    auto writer = AccessLogWriter::open({.path = "/nonexistent/log"}, {});
    ASSERT_FALSE(writer);
    EXPECT_EQ(writer.error(), "access log /nonexistent/log: No such file or directory: create the directory");
}

TEST(AccessLogWriter, AFullDiskDropsCountsAndSaysSoOnce) {
    AccessLogRing ring;
    int reports = 0;
    auto writer = AccessLogWriter::open({.path = "/dev/full"}, {&ring}, [&](const std::string&, bool error) { reports += error; });
    ASSERT_TRUE(writer);
    for (int i = 0; i < 3; i++) {
        ring.push(test::example());
        (*writer)->turn();
    }
    EXPECT_EQ((*writer)->write_failed(), 3u);
    EXPECT_EQ((*writer)->lines(), 0u);
    EXPECT_EQ(reports, 1);
}

TEST(AccessLogWriter, TellsHowManyLinesWereLostWhenItWritesAgain) {
    Folder folder;
    AccessLogRing ring;
    std::vector<std::string> said;
    fs::create_symlink("/dev/full", folder.path / "log");
    auto writer = AccessLogWriter::open({.path = folder.path / "log"}, {&ring}, [&](const std::string& text, bool) { said.push_back(text); });
    ASSERT_TRUE(writer);
    for (int period = 0; period < 2; period++) {
        for (int i = 0; i < 3; i++) {
            ring.push(test::example());
            (*writer)->turn();
        }
        fs::remove(folder.path / "log");   // somebody makes room
        (*writer)->reopen();
        ring.push(test::example());
        (*writer)->turn();
        fs::remove(folder.path / "log");
        fs::create_symlink("/dev/full", folder.path / "log");
        (*writer)->reopen();
        (*writer)->turn();
    }
    ASSERT_EQ(said.size(), 4u);
    for (size_t i = 0; i < 4; i += 2) {
        EXPECT_NE(said[i].find("No space left on device; lines are being dropped"), std::string::npos) << said[i];
        EXPECT_NE(said[i + 1].find("written again; lines lost: 3"), std::string::npos) << said[i + 1];
    }
}

TEST(AccessLogWriter, TellsWhenRingsWereFullAndHowManyRecordsThatCost) {
    Folder folder;
    AccessLogRing ring(1);
    std::vector<std::string> said;
    auto writer = AccessLogWriter::open({.path = folder.path / "log", .tend_us = 0}, {&ring},
                                        [&](const std::string& text, bool) { said.push_back(text); });
    ASSERT_TRUE(writer);
    while (ring.push(test::example())) {
    }
    ring.push(test::example());
    (*writer)->turn();
    ring.push(test::example());
    (*writer)->turn();
    (*writer)->turn();
    ASSERT_EQ(said.size(), 2u);
    EXPECT_EQ(said[0], "access log: requests come faster than lines can be written; lines are being dropped");
    EXPECT_EQ(said[1], "access log: all lines are written again; dropped: 2");
}

TEST(AccessLogWriter, WritesANewFileWhereSomebodyDeletedIt) {
    Folder folder;
    AccessLogRing ring;
    std::vector<std::string> said;
    auto writer = AccessLogWriter::open({.path = folder.path / "log", .tend_us = 0}, {&ring},
                                        [&](const std::string& text, bool) { said.push_back(text); });
    ASSERT_TRUE(writer);
    fs::remove(folder.path / "log");
    (*writer)->turn();
    ring.push(test::example());
    (*writer)->turn();
    EXPECT_EQ(slurp(folder.path / "log"), one_line());
    ASSERT_EQ(said.size(), 1u);
    EXPECT_NE(said[0].find("somebody deleted it"), std::string::npos);
}

TEST(AccessLogWriter, APipeWithoutAReaderHangsNothingAndIsWrittenOnceSomebodyReads) {
    Folder folder;
    const std::string pipe = folder.path / "pipe";
    ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    AccessLogRing ring;
    std::vector<std::string> said;
    signal(SIGPIPE, SIG_IGN);
    auto writer = AccessLogWriter::open({.path = pipe, .tend_us = 0}, {&ring}, [&](const std::string& text, bool) { said.push_back(text); });
    ASSERT_TRUE(writer) << writer.error();
    ring.push(test::example());
    (*writer)->turn();
    EXPECT_EQ((*writer)->write_failed(), 1u);
    for (int reader_number = 0; reader_number < 2; reader_number++) {   // the first one leaves
        const int reader = open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
        (*writer)->turn();
        ring.push(test::example());
        (*writer)->turn();
        char buffer[65536];
        const ssize_t n = read(reader, buffer, sizeof buffer);
        EXPECT_EQ(std::string(buffer, static_cast<size_t>(std::max<ssize_t>(n, 0))), one_line());
        close(reader);
        ring.push(test::example());
        (*writer)->turn();
    }
    EXPECT_EQ((*writer)->lines(), 2u);
    EXPECT_EQ((*writer)->write_failed(), 3u);
    ASSERT_EQ(said.size(), 5u);
    EXPECT_NE(said[0].find("nobody reads this pipe; lines are being dropped"), std::string::npos) << said[0];
    EXPECT_NE(said[1].find("written again; lines lost: 1"), std::string::npos) << said[1];
}

TEST(AccessLogWriter, AReaderThatTakesNothingCostsLinesNotTime) {
    Folder folder;
    const std::string pipe = folder.path / "pipe";
    ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    const int reader = open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
    AccessLogRing ring(1 << 20);
    auto writer = AccessLogWriter::open({.path = pipe}, {&ring});
    ASSERT_TRUE(writer);
    uint64_t pushed = 0;
    while (pushed * one_line().size() < 256 * 1024) pushed += ring.push(test::example());   // more than a pipe holds
    (*writer)->turn();
    EXPECT_GT((*writer)->lines(), 0u);
    EXPECT_GT((*writer)->write_failed(), 0u);
    EXPECT_EQ((*writer)->lines() + (*writer)->write_failed(), pushed);
    // The reader wakes up: it sees whole lines, at most one cut, and then new ones.
    std::string got;
    char buffer[65536];
    for (ssize_t n; (n = read(reader, buffer, sizeof buffer)) > 0;) got.append(buffer, static_cast<size_t>(n));
    ring.push(test::example());
    (*writer)->turn();
    for (ssize_t n; (n = read(reader, buffer, sizeof buffer)) > 0;) got.append(buffer, static_cast<size_t>(n));
    EXPECT_TRUE(got.ends_with('\n' + one_line()));
    std::istringstream lines(got);
    uint64_t whole = 0, cut = 0;
    for (std::string l; std::getline(lines, l);) (l + '\n' == one_line() ? whole : cut)++;
    EXPECT_EQ(whole, (*writer)->lines());
    EXPECT_LE(cut, 1u);
    close(reader);
}

TEST(AccessLogWriter, WithoutAPathRingsAreStillDrained) {
    AccessLogRing ring;
    auto writer = AccessLogWriter::open({.path = ""}, {&ring});
    ASSERT_TRUE(writer);
    ring.push(test::example());
    (*writer)->turn();
    EXPECT_TRUE(ring.empty());
    EXPECT_EQ((*writer)->lines(), 0u);
}

}  // namespace
}  // namespace sluice::telemetry
