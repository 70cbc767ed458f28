// Several logs of one listener: each its file, format and filter; sets come while the writer runs and are forgotten when their last
// record is written.
#include "telemetry/access_log_set.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "telemetry/access_log_writer.h"
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
    std::string file(const char* name) const { return path / name; }
    std::string slurp(const char* name) const {
        std::ifstream in(path / name);
        std::ostringstream out;
        out << in.rdbuf();
        return out.str();
    }
};

AccessLogFormat format(std::string_view text) { return std::move(*AccessLogFormat::parse(text)); }

AccessLogEntry entry(const AccessLogSet& set, uint16_t status) {
    AccessLogEntry e = test::example();
    e.log_set = set.id();
    e.status = status;
    return e;
}

TEST(AccessLogSet, FormatsShareTheCaptures) {
    const auto set = AccessLogSet::make({{"/a", format("%REQ(X-A)% %REQ(X-B)%")}, {"/b", format("%REQ(X-C)% %REQ(X-B)%")}});
    ASSERT_TRUE(set) << set.error();
    ASSERT_EQ((*set)->captures().headers.size(), 3u);
    const std::string_view values[] = {"a", "b", "c"};
    AccessLogEntry e = test::example();
    e.captured = values;
    std::string out;
    for (const auto& log : (*set)->logs()) log.format.format(e, out);
    EXPECT_EQ(out, "a b\nc b\n");
    EXPECT_NE((*set)->id(), AccessLogSet::standard()->id());
}

TEST(AccessLogSet, TooManyHeadersInAllAreRefused) {
    std::vector<AccessLogSet::Log> logs;
    for (int i = 0; i < 2; i++) {
        std::string text;
        for (uint32_t h = 0; h < kCapturedHeadersMax / 2 + 1; h++) text += "%REQ(X-" + std::to_string(i) + "-" + std::to_string(h) + ")%";
        logs.push_back({"/a", format(text)});
    }
    EXPECT_FALSE(AccessLogSet::make(std::move(logs)));
}

TEST(AccessLogSet, EachLogHasItsFileAndItsFilter) {
    const Folder folder;
    AccessLogRing ring;
    auto writer = AccessLogWriter::open({.path = folder.file("own"), .format = format("own %RESPONSE_CODE%")}, {&ring});
    ASSERT_TRUE(writer);
    const auto set = *AccessLogSet::make({{folder.file("all"), format("all %RESPONSE_CODE%")},
                                          {folder.file("errors"), format("error %RESPONSE_CODE%"),
                                           [](const AccessLogEntry& e) { return e.status >= 500; }},
                                          {folder.file("own"), format("set %RESPONSE_CODE%")}});
    ASSERT_TRUE((*writer)->use(set));
    EXPECT_TRUE(ring.push(entry(*set, 200)));
    EXPECT_TRUE(ring.push(entry(*set, 503)));
    EXPECT_TRUE(ring.push(entry(*AccessLogSet::standard(), 201)));
    (*writer)->turn();
    EXPECT_EQ(folder.slurp("all"), "all 200\nall 503\n");
    EXPECT_EQ(folder.slurp("errors"), "error 503\n");
    EXPECT_EQ(folder.slurp("own"), "set 200\nset 503\nown 201\n") << "one file, two formats";
    EXPECT_EQ((*writer)->files(), 3u);
    EXPECT_EQ((*writer)->lines(), 6u);
}

TEST(AccessLogSet, ComesWhileTheWriterIsDraining) {
    const Folder folder;
    AccessLogRing ring;
    auto writer = AccessLogWriter::open({.path = ""}, {&ring});
    ASSERT_TRUE(writer);
    (*writer)->start();
    std::vector<std::shared_ptr<const AccessLogSet>> sets;
    for (int i = 0; i < 50; i++) {
        sets.push_back(*AccessLogSet::make({{folder.file("log"), format("%RESPONSE_CODE%")}}));
        ASSERT_TRUE((*writer)->use(sets.back()));
        EXPECT_TRUE(ring.push(entry(*sets.back(), 200)));
    }
    (*writer)->stop();
    EXPECT_EQ((*writer)->lines(), 50u) << "a record never comes before its set is known";
}

TEST(AccessLogSet, IsForgottenWithItsFileWhenItsLastRecordIsWritten) {
    const Folder folder;
    AccessLogRing ring;
    auto writer = AccessLogWriter::open({.path = folder.file("own"), .tend_us = 0}, {&ring});
    ASSERT_TRUE(writer);
    auto set = *AccessLogSet::make({{folder.file("log"), format("%RESPONSE_CODE%")}});
    const std::weak_ptr<const AccessLogSet> alive = set;
    ASSERT_TRUE((*writer)->use(set));
    (*writer)->turn();
    EXPECT_EQ((*writer)->files(), 2u);
    EXPECT_TRUE(ring.push(entry(*set, 200)));
    set.reset();
    for (int i = 0; i < 3; i++) (*writer)->turn();
    EXPECT_TRUE(alive.expired());
    EXPECT_EQ((*writer)->files(), 1u);
    EXPECT_EQ(folder.slurp("log"), "200\n");
    // The same path again, from a new set.
    set = *AccessLogSet::make({{folder.file("log"), format("again")}});
    ASSERT_TRUE((*writer)->use(set));
    EXPECT_TRUE(ring.push(entry(*set, 200)));
    (*writer)->turn();
    EXPECT_EQ(folder.slurp("log"), "200\nagain\n");
}

TEST(AccessLogSet, WhoseFileCannotBeOpenedIsRefused) {
    const Folder folder;
    auto writer = AccessLogWriter::open({.path = ""}, {});
    ASSERT_TRUE(writer);
    const auto set = *AccessLogSet::make({{folder.file("no/log"), format("x")}});
    const auto used = (*writer)->use(set);
    ASSERT_FALSE(used);
    EXPECT_NE(used.error().find("create the directory"), std::string::npos) << used.error();
}

}  // namespace
}  // namespace sluice::telemetry
