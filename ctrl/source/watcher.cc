// Word that a directory changed, by inotify.
// In: kernel events. Out: one wake-up per burst of changes: a single file is told in milliseconds, several are waited for.
// Owns an inotify and an event descriptor.
// inotify(7). The parent is watched as well: the directory may be a link that is swapped, or be deleted
// and made again. While it is missing we look for it every `retry`.
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <system_error>

#include "ctrl/source/directory.h"

namespace sluice::source {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// IN_MODIFY only keeps the burst alive: a file in the middle of being written must not be read.
constexpr uint32_t kDirectoryEvents = IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM |
                                      IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
constexpr uint32_t kParentEvents = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR;

milliseconds until(Clock::time_point deadline) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
    return std::clamp(left, milliseconds(0), milliseconds(INT_MAX / 2));
}

/// Whether the set of files may be another by this; the directory's own events have no name.
bool matters(std::string_view name) { return name.empty() || name == "..data" || is_config_name(name); }

}  // namespace

DirectoryWatcher::DirectoryWatcher(std::string directory, WatchTiming timing)
    : directory_(std::move(directory)), timing_(timing) {
    while (directory_.size() > 1 && directory_.ends_with('/')) directory_.pop_back();
    const size_t slash = directory_.rfind('/');
    name_ = directory_.substr(slash + 1);
    parent_ = slash == std::string::npos ? "." : slash == 0 ? "/" : directory_.substr(0, slash);
    inotify_fd_ = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (inotify_fd_ < 0)
        throw std::system_error(errno, std::generic_category(),
                                "cannot watch the mesh directory (raise fs.inotify.max_user_instances)");
    stop_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (stop_fd_ < 0) {
        close(inotify_fd_);
        throw std::system_error(errno, std::generic_category(), "eventfd");
    }
    rewatch();
}

DirectoryWatcher::~DirectoryWatcher() {
    close(inotify_fd_);
    close(stop_fd_);
}

// Puts the watches where the path leads now.
bool DirectoryWatcher::rewatch() {
    if (parent_watch_ < 0) parent_watch_ = inotify_add_watch(inotify_fd_, parent_.c_str(), kParentEvents);
    struct stat status {};
    const bool exists = stat(directory_.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
    if (exists && watch_ >= 0 && status.st_dev == device_ && status.st_ino == inode_) return false;
    const bool was_watched = watch_ >= 0;
    if (was_watched) inotify_rm_watch(inotify_fd_, watch_);
    watch_ = exists ? inotify_add_watch(inotify_fd_, directory_.c_str(), kDirectoryEvents) : -1;
    device_ = status.st_dev;
    inode_ = status.st_ino;
    return was_watched || watch_ >= 0;
}

void DirectoryWatcher::note(std::string_view name, uint32_t mask) {
    if (changed_.size() < kFilesMax) changed_.emplace(name);
    if (mask & (IN_CREATE | IN_MODIFY)) written_.emplace(name);
    if (mask & (IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE)) written_.erase(std::string(name));
}

bool DirectoryWatcher::drain() {
    bool changed = false;
    bool moved = false;
    alignas(inotify_event) char buffer[16384];
    while (true) {
        const ssize_t got = ::read(inotify_fd_, buffer, sizeof buffer);
        if (got <= 0) break;
        for (ssize_t at = 0; at < got;) {
            inotify_event event;
            std::memcpy(&event, buffer + at, sizeof event);
            const std::string_view name = event.len > 0 ? buffer + at + sizeof event : "";
            at += static_cast<ssize_t>(sizeof event + event.len);
            if (event.mask & IN_Q_OVERFLOW) changed = moved = true;
            if (event.wd == parent_watch_ && event.mask & IN_IGNORED) parent_watch_ = -1;
            if (event.wd == parent_watch_ && name == name_) moved = true;
            if (event.wd != watch_ || !matters(name)) continue;
            if (event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) moved = true;
            note(name, event.mask);
            changed = true;
        }
    }
    return (moved && rewatch()) || changed;
}

bool DirectoryWatcher::sleep(const std::stop_token& stop, milliseconds at_most) {
    std::stop_callback wake(stop, [this] {
        const uint64_t one = 1;
        [[maybe_unused]] const auto written = write(stop_fd_, &one, sizeof one);
    });
    pollfd descriptors[] = {{inotify_fd_, POLLIN, 0}, {stop_fd_, POLLIN, 0}};
    const int ready = poll(descriptors, 2, static_cast<int>(at_most.count()));
    return ready > 0 && (descriptors[0].revents & POLLIN) != 0;
}

bool DirectoryWatcher::settle(const std::stop_token& stop) {
    const auto deadline = Clock::now() + timing_.settle_max;
    while (!stop.stop_requested() && Clock::now() < deadline) {
        const bool at_work = changed_.size() > 1 || !written_.empty();
        if (!sleep(stop, std::min(at_work ? timing_.batch : timing_.settle, until(deadline)))) break;
        drain();
    }
    changed_.clear(), written_.clear();
    return !stop.stop_requested();
}

bool DirectoryWatcher::wait(std::stop_token stop, milliseconds timeout) {
    const auto deadline = Clock::now() + timeout;
    while (!stop.stop_requested()) {
        if (drain()) return settle(stop);
        if (watch_ < 0 && rewatch()) return settle(stop);
        const milliseconds left = until(deadline);
        if (left.count() == 0) return false;
        sleep(stop, watch_ < 0 ? std::min(left, timing_.retry) : left);
    }
    return false;
}

}  // namespace sluice::source
