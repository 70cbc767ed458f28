// A folder of its own for each test, file sets, records, and a log that any thread may write.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <mutex>
#include <sstream>

#include "ctrl/control/history.h"

namespace sluice::control {
namespace fs = std::filesystem;
}

namespace sluice::control::test {

class Folder : public ::testing::Test {
 protected:
    void SetUp() override {
        char name[] = "/tmp/sluice-control-XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        base = name;
    }
    void TearDown() override {
        std::error_code ignored;
        fs::permissions(base, fs::perms::owner_all, ignored);
        fs::remove_all(base);
    }
    static void write(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }
    static std::string read(const fs::path& path) {
        std::ostringstream text;
        text << std::ifstream(path, std::ios::binary).rdbuf();
        return std::move(text).str();
    }
    fs::path base;
};

class Words {
 public:
    Log log() {
        return [this](Level level, const std::string& text) {
            std::lock_guard lock(mutex_);
            lines_.emplace_back(level, text);
        };
    }
    std::vector<std::pair<Level, std::string>> lines() const {
        std::lock_guard lock(mutex_);
        return lines_;
    }
    size_t count(const std::string& needle) const {
        size_t n = 0;
        for (const auto& [level, text] : lines()) n += text.find(needle) != std::string::npos;
        return n;
    }

 private:
    mutable std::mutex mutex_;
    std::vector<std::pair<Level, std::string>> lines_;
};

inline source::FileSetPtr files(const std::string& text) { return source::make_file_set({{"a.yaml", text}, {"b.yaml", "# b\n"}}); }

inline Record record(uint64_t revision, const source::FileSetPtr& content, Fate fate = Fate::kApplied) {
    Record r;
    r.revision = revision, r.fate = fate, r.origin = Origin::kEdit;
    r.hash = content->hash, r.files = content->files.size(), r.bytes = content->bytes;
    r.mesh_directory = "/mesh";
    r.since = std::chrono::system_clock::time_point(std::chrono::microseconds(1'790'000'000'000'000 + static_cast<int64_t>(revision)));
    return r;
}

}  // namespace sluice::control::test
