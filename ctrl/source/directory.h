// A directory of mesh config: all its files together are one revision.
// In: a path. Out: a MeshConfig, or what is wrong with it; and word that it changed.
// A Load owns what it read. The watcher owns its file descriptors.
// *.yaml, *.yml and *.json, several documents each, no dotfiles, no subfolders. Kubernetes mounts files as
// symlinks through `..data`, which it swaps by rename: all files of one swap are read, or none.
#pragma once

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "ctrl/model/diagnostic.h"
#include "ctrl/model/mesh_config.h"

namespace sluice::source {

struct Load {
    std::shared_ptr<const model::MeshConfig> mesh;  // null when an error is among the diagnostics
    std::vector<Diagnostic> diagnostics;            // errors and warnings, in reading order
    size_t file_count = 0;
    std::string hash;                               // of names and bytes, 16 hex digits; also of a wrong revision
};

// Files are shown to the user as `shown_as`/name; by default the directory's last element.
// A directory that is missing or holds no file is an error: a gateway must not lose its routes because
// somebody is in the middle of replacing them. One empty file says that nothing is wanted.
Load load_directory(const std::string& directory, std::string shown_as = "");

struct WatchTiming {
    std::chrono::milliseconds settle{20};       // quiet for so long: the writer is done
    std::chrono::milliseconds settle_max{500};  // a writer that never rests is read anyway
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
    bool drain();   // true: something in the directory changed
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
    uint64_t device_ = 0;    // what the directory's watch is on
    uint64_t inode_ = 0;
};

}  // namespace sluice::source
