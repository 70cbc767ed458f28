// The state directory: one file for each revision's record, one for each set of files, by its hash. Everything is written beside
// its name, synced and renamed, so that a kill or a power cut leaves the old or the new, never half.
// In: records and files. Out: the same after a restart, damaged ones told apart. Owns the lock on the directory.
// One thread writes; content() may be called from others. fsync(2), rename(2). Modes 0700 and 0600.
#pragma once

#include <expected>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "ctrl/control/record.h"

namespace sluice::control {

class StateStore {
 public:
    /// What a test does to a step (open, write, sync, rename, sync directory): an errno to answer with, or 0. May not return.
    using Fault = std::function<int(const char* step)>;

    /// Makes the directory if its parent is there, and locks it. The error is one line with its cure.
    static std::expected<std::unique_ptr<StateStore>, std::string> open(const std::string& directory, Fault fault = {});
    ~StateStore();
    StateStore(const StateStore&) = delete;
    StateStore& operator=(const StateStore&) = delete;

    /// All revisions on disk, by number; what cannot be trusted is there as kDamaged with the reason.
    std::vector<Record> load() const;
    std::expected<void, std::string> put(const Record& record, const source::FileSet* files);
    std::expected<source::FileSetPtr, std::string> content(const std::string& hash) const;
    /// Removes every other revision, and the files that none of these refers to.
    void keep_only(const std::vector<Record>& records);

 private:
    StateStore(std::string directory, int directory_fd, Fault fault);
    std::expected<void, std::string> open_folders();
    std::expected<void, std::string> write(int folder, const std::string& name, const std::string& text, const char* what);
    std::expected<std::string, std::string> read(int folder, const std::string& name) const;
    int fault(const char* step) const { return fault_ ? fault_(step) : 0; }

    const std::string directory_;
    const Fault fault_;
    int directory_fd_, revisions_fd_ = -1, content_fd_ = -1;
};

}  // namespace sluice::control
