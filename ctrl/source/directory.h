// A directory of mesh config: all its files together are one revision.
// In: a path. Out: a MeshConfig, or what is wrong with it; and word that it changed.
// A Load owns what it read. The watcher owns its file descriptors.
// *.yaml, *.yml and *.json, several documents each, no dotfiles, no subfolders. Kubernetes mounts files as
// symlinks through `..data`, which it swaps by rename: all files of one swap are read, or none.
#pragma once

#include <chrono>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "ctrl/model/diagnostic.h"
#include "ctrl/model/mesh_config.h"
#include "ctrl/source/files.h"

namespace sluice::source {

struct Load {
    std::shared_ptr<const model::MeshConfig> mesh;  // null when an error is among the diagnostics
    std::vector<Diagnostic> diagnostics;            // errors and warnings, in reading order
    size_t file_count = 0;
    std::string hash;                               // of names and bytes, 16 hex digits; also of a wrong revision
    FileSetPtr files;                               // what was read, never null
    bool unreadable = false;                        // the directory or some file could not be read
};

// Files are shown to the user as `shown_as`/name; by default the directory's last element.
// A directory that is missing or holds no file is an error: a gateway must not lose its routes because
// somebody is in the middle of replacing them. One empty file says that nothing is wanted.
Load load_directory(const std::string& directory, std::string shown_as = "");

/// The same of files that are kept elsewhere: what a gateway would make of them, whatever the directory holds.
Load load_files(Files files, const std::string& shown_as);

/// The end of each reading: the findings in order, and without an error among them `mesh` is the load's.
void conclude(Load& load, std::shared_ptr<model::MeshConfig> mesh, const std::string& shown_as);

struct WatchTiming {
    std::chrono::milliseconds settle{10};       // one file changed, and quiet for so long: the writer is done
    std::chrono::milliseconds batch{100};       // several changed, or one is still being written: somebody is at work (git, cp, Ansible)
    std::chrono::milliseconds settle_max{1000};  // a writer that never rests is read anyway
    std::chrono::milliseconds retry{200};       // how often a missing directory is looked for
};

// Make it before the first load_directory(), so that no change falls between the two.
class DirectoryWatcher {
 public:
    // Throws std::system_error when the kernel grants no inotify instance.
    explicit DirectoryWatcher(std::string directory, WatchTiming timing = {});
    ~DirectoryWatcher();
    DirectoryWatcher(const DirectoryWatcher&) = delete;
    DirectoryWatcher& operator=(const DirectoryWatcher&) = delete;

    // Blocks until something in the directory changed and settled (true), the token was stopped or the
    // time is up (false). Changes between two calls are not lost.
    bool wait(std::stop_token stop, std::chrono::milliseconds timeout = std::chrono::hours(24));

    // Readable when a change waits; then call wait().
    int fd() const { return inotify_fd_; }

 private:
    bool drain();   // true: a config file in the directory changed
    void note(std::string_view name, uint32_t mask);
    bool rewatch();  // true: the watch is on another directory than before, or on none
    bool settle(const std::stop_token& stop);
    bool sleep(const std::stop_token& stop, std::chrono::milliseconds at_most);

    std::string directory_;
    std::string parent_;
    std::string name_;
    WatchTiming timing_;
    int inotify_fd_ = -1;
    int stop_fd_ = -1;
    int watch_ = -1;         // of the directory, -1 while it is missing
    int parent_watch_ = -1;
    std::set<std::string> changed_, written_;   // names since the last wake-up; those created or written to and not closed since
    uint64_t device_ = 0;    // what the directory's watch is on
    uint64_t inode_ = 0;
};

}  // namespace sluice::source
