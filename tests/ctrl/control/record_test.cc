// Records and files as bytes: what is read is what was written, and no flipped or missing byte passes.
#include "ctrl/control/record.h"

#include "tests/ctrl/control/support.h"

namespace sluice::control {
namespace {

Record whole() {
    Record r = test::record(7, test::files("x: 1\n"), Fate::kRefused);
    r.origin = Origin::kRollback, r.rolled_back_to = 3, r.by = "alice (root)", r.before = 6;
    r.changes = {{"new.yaml"}, {"a.yaml"}, {"old.yaml", "older.yaml"}};
    r.build_time = std::chrono::microseconds(1234);
    r.diagnostics.push_back({.file = "mesh/a.yaml", .line = 3, .column = 9, .code = "SLC0104", .severity = Severity::kWarning, .object = "Gateway a/b",
                             .field = "spec", .message = "unknown \xff field", .source_line = "\ta: \"b\"", .cure = "none", .caret_width = 4});
    return r;
}

TEST(Record, ComesBackAsItWas) {
    Record r = whole();
    const auto back = read_record(write_record(r));
    ASSERT_TRUE(back) << back.error();
    r.diagnostics[0].message = "unknown \xef\xbf\xbd field";   // JSON is UTF-8
    EXPECT_EQ(back->revision, r.revision);
    EXPECT_EQ(back->fate, r.fate);
    EXPECT_EQ(back->origin, r.origin);
    EXPECT_EQ(back->rolled_back_to, 3u);
    EXPECT_EQ(back->by, r.by);
    EXPECT_EQ(back->hash, r.hash);
    EXPECT_EQ(back->since, r.since);
    EXPECT_EQ(back->changes, r.changes);
    EXPECT_EQ(back->build_time, r.build_time);
    EXPECT_FALSE(back->time_to_live);
    EXPECT_EQ(back->diagnostics, r.diagnostics);
}

TEST(Record, FilesComeBackWithEveryByte) {
    const auto set = source::make_file_set({{"b.yaml", std::string("\0\n7 8 9\n", 8)}, {"a.yaml", ""}, {"c d.yml", "no newline"}});
    const auto back = read_files(write_files(*set), set->hash);
    ASSERT_TRUE(back) << back.error();
    EXPECT_EQ((*back)->files, set->files);
    EXPECT_FALSE(read_files(write_files(*set), test::files("other")->hash));
}

TEST(Record, EveryFlippedBitIsNoticed) {
    const auto set = test::files("x: 1\n");
    const std::string record = write_record(whole()), content = write_files(*set);
    for (size_t i = 0; i < record.size() * 8; i++) {
        std::string damaged = record;
        damaged[i / 8] = static_cast<char>(damaged[i / 8] ^ 1 << i % 8);
        EXPECT_FALSE(read_record(damaged)) << "bit " << i;
    }
    for (size_t i = 0; i < content.size() * 8; i++) {
        std::string damaged = content;
        damaged[i / 8] = static_cast<char>(damaged[i / 8] ^ 1 << i % 8);
        EXPECT_FALSE(read_files(damaged, set->hash)) << "bit " << i;
    }
}

TEST(Record, EveryCutIsNoticed) {
    const auto set = test::files("x: 1\n");
    const std::string record = write_record(whole()), content = write_files(*set);
    for (size_t n = 0; n < record.size(); n++) EXPECT_FALSE(read_record(record.substr(0, n))) << n;
    for (size_t n = 0; n < content.size(); n++) EXPECT_FALSE(read_files(content.substr(0, n), set->hash)) << n;
    EXPECT_FALSE(read_record(record + "x"));
    EXPECT_FALSE(read_record(content)) << "another kind";
}

TEST(Record, AnotherVersionsFormatIsNamed) {
    std::string later = write_record(whole());
    later[later.find(' ') + 1] = '2';
    ASSERT_FALSE(read_record(later));
    EXPECT_NE(read_record(later).error().find("another version"), std::string::npos);
}

}  // namespace
}  // namespace sluice::control
