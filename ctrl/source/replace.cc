// One rename for the whole directory, or one for each file.
// In: FileSets. Out: renames.
// Everything new is written and synced beside the old before the first rename; what the old held is compared after it, when
// no path leads there any more, so that an edit between the two is never lost: it is put back and the caller told.
// renameat2(2) RENAME_EXCHANGE, RENAME_NOREPLACE.
#include "ctrl/source/replace.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

namespace sluice::source {
namespace {

constexpr mode_t kFileMode = 0644, kDirectoryMode = 0755;

class Fd {
 public:
    explicit Fd(int fd) : fd_(fd) {}
    ~Fd() {
        if (fd_ >= 0) close(fd_);
    }
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&&) = delete;
    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }

 private:
    int fd_;
};

struct Place {   // of the directory, links followed
    std::string path, parent, name;
    std::string beside() const { return "." + name + ".sluice-new"; }   // in the parent, on its way in or out
};

ReplaceError cannot(std::string what, int error, std::string cure = "") {
    if (cure.empty() && (error == EACCES || error == EPERM))
        cure = fmt::format("the gateway runs as uid {}: let it write there", geteuid());
    if (cure.empty() && error == EROFS) cure = "it is mounted read-only: change its source";
    if (cure.empty() && error == ENOSPC) cure = "make room on that disk";
    return {.changed = false, .message = fmt::format("{}: {}", what, std::strerror(error)), .cure = std::move(cure)};
}

ReplaceError somebody_else(const std::string& what) {
    return {.changed = true, .message = what + " was changed by somebody else meanwhile; nothing was written", .cure = "look at it, then apply again"};
}

std::optional<Place> locate(const std::string& directory) {
    std::string path = directory;
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    std::unique_ptr<char, void (*)(void*)> real(realpath(path.c_str(), nullptr), std::free);
    if (real) path = real.get();
    else if (errno != ENOENT) return std::nullopt;
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) return Place{path, ".", path};
    return Place{path, slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

std::string temp_name(const std::string& name) { return "." + name + ".sluice-new"; }

std::optional<std::string> text_of(int directory, const std::string& name) {
    const Fd fd(openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
    if (!fd) return std::nullopt;
    std::string text;
    char buffer[65536];
    while (true) {
        const ssize_t got = read(fd.get(), buffer, sizeof buffer);
        if (got == 0) return text;
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 || text.size() > kBytesMax) return std::nullopt;
        text.append(buffer, static_cast<size_t>(got));
    }
}

/// 0 or errno. Mode and owner are those of `like`, where it is there and we may give them.
int write_file(int directory, const std::string& name, const std::string& text, int like_directory, const std::string& like) {
    struct stat old {};
    const bool has_old = like_directory >= 0 && fstatat(like_directory, like.c_str(), &old, AT_SYMLINK_NOFOLLOW) == 0;
    unlinkat(directory, name.c_str(), 0);
    const Fd fd(openat(directory, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return errno;
    for (size_t at = 0; at < text.size();) {
        const ssize_t wrote = write(fd.get(), text.data() + at, text.size() - at);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return errno;
        at += static_cast<size_t>(wrote);
    }
    if (has_old && fchown(fd.get(), old.st_uid, old.st_gid) != 0 && errno != EPERM) return errno;
    if (fchmod(fd.get(), has_old ? old.st_mode & 07777 : kFileMode) != 0) return errno;
    return fsync(fd.get()) == 0 ? 0 : errno;
}

std::vector<std::string> entries(int directory) {
    std::vector<std::string> out;
    DIR* stream = fdopendir(dup(directory));
    if (!stream) return out;
    rewinddir(stream);
    while (const dirent* entry = readdir(stream))
        if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0) out.emplace_back(entry->d_name);
    closedir(stream);
    return out;
}

bool still_holds(int directory, const FileSet& before) {
    size_t files = 0;
    for (const std::string& name : entries(directory)) {
        if (!is_config_name(name)) continue;
        const File* file = before.find(name);
        if (!file) return false;
        struct stat status {};
        if (fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return false;
        if (S_ISREG(status.st_mode) && text_of(directory, name) != file->text) return false;   // links are compared by nobody: they lead elsewhere
        files++;
    }
    return files == before.files.size();
}

// ---- The whole directory, by one rename ----

/// Empties and removes the directory beside ours. What is neither config nor also in ours was made there meanwhile: it moves.
void remove_beside(int parent, const Place& place, int ours) {
    const Fd old(openat(parent, place.beside().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    if (!old) return;
    for (const std::string& name : entries(old.get())) {
        struct stat status {};
        const bool is_ours = is_config_name(name) || (ours >= 0 && fstatat(ours, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0);
        if (!is_ours && ours >= 0 && renameat2(old.get(), name.c_str(), ours, name.c_str(), RENAME_NOREPLACE) == 0) continue;
        unlinkat(old.get(), name.c_str(), 0);
    }
    unlinkat(parent, place.beside().c_str(), AT_REMOVEDIR);
}

enum class Built { kYes, kNotThisWay };   // kNotThisWay: file by file then

/// Unchanged files are linked, not copied: an editor that has one open goes on writing to the file that is there.
Built link_unchanged(int from, int into, const FileSet& after, const FileChanges& changes) {
    for (const std::string& name : entries(from)) {
        struct stat status {};
        if (fstatat(from, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;   // gone meanwhile: found out later, if it matters
        const auto is_in = [&](const std::vector<std::string>& names) { return std::find(names.begin(), names.end(), name) != names.end(); };
        if (is_config_name(name) && (!after.find(name) || is_in(changes.changed) || is_in(changes.added))) continue;
        if (S_ISREG(status.st_mode)) {
            if (linkat(from, name.c_str(), into, name.c_str(), 0) != 0) return Built::kNotThisWay;   // protected_hardlinks(5)
        } else if (S_ISLNK(status.st_mode)) {
            char target[PATH_MAX];
            const ssize_t length = readlinkat(from, name.c_str(), target, sizeof target - 1);
            if (length < 0) return Built::kNotThisWay;
            target[length] = 0;
            if (symlinkat(target, into, name.c_str()) != 0) return Built::kNotThisWay;
        } else {
            return Built::kNotThisWay;   // a folder (.git) must not be away even for a moment
        }
    }
    return Built::kYes;
}

class Exchange {
 public:
    Exchange(const Place& place, int parent, int ours, const FileSet& before, const FileSet& after, const ReplaceOptions& options)
        : place_(place), parent_(parent), ours_(ours), before_(before), after_(after), options_(options) {}

    /// Empty: it cannot be done this way, nothing was changed.
    std::optional<std::expected<void, ReplaceError>> run() {
        remove_beside(parent_, place_, ours_);   // of one that was killed
        if (mkdirat(parent_, place_.beside().c_str(), 0700) != 0) return missing() ? std::optional(failed("cannot write " + place_.parent, errno)) : std::nullopt;
        const Fd made(openat(parent_, place_.beside().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
        if (!made) return give_up(std::nullopt);
        step("made");
        const FileChanges changes = changes_between(before_, after_);
        if (!missing() && link_unchanged(ours_, made.get(), after_, changes) != Built::kYes) return give_up(std::nullopt);
        for (const auto* names : {&changes.added, &changes.changed})
            for (const std::string& name : *names)
                if (const int error = write_file(made.get(), name, after_.find(name)->text, ours_, name); error != 0)
                    return give_up(failed(fmt::format("cannot write {}/{}", place_.name, name), error));
        if (!take_over_mode(made.get()) || fsync(made.get()) != 0) return give_up(std::nullopt);
        step("written");
        return missing() ? put_in_place() : swap(made.get());
    }

 private:
    bool missing() const { return ours_ < 0; }
    void step(const char* name) const {
        if (options_.on_step) options_.on_step(name);
    }
    static std::expected<void, ReplaceError> failed(std::string what, int error) { return std::unexpected(cannot(std::move(what), error)); }
    template <typename Answer>
    std::optional<std::expected<void, ReplaceError>> give_up(Answer answer) const {
        remove_beside(parent_, place_, ours_);
        return answer;
    }

    bool take_over_mode(int made) const {
        struct stat status {};
        if (missing()) return fchmod(made, kDirectoryMode) == 0;
        if (fstat(ours_, &status) != 0) return false;
        if ((status.st_uid != geteuid() || status.st_gid != getegid()) && fchown(made, status.st_uid, status.st_gid) != 0) return false;
        return fchmod(made, status.st_mode & 07777) == 0;
    }

    std::expected<void, ReplaceError> put_in_place() const {
        if (renameat2(parent_, place_.beside().c_str(), parent_, place_.name.c_str(), RENAME_NOREPLACE) != 0) {
            const int error = errno;
            remove_beside(parent_, place_, ours_);
            return error == EEXIST ? std::unexpected(somebody_else(place_.path)) : failed("cannot make " + place_.path, error);
        }
        fsync(parent_);
        return {};
    }

    /// What somebody wrote into the new directory while it was in place goes with them.
    void rescue(int made) const {
        for (const std::string& name : entries(made)) {
            if (!is_config_name(name)) continue;
            const File* file = after_.find(name);
            if (!file || text_of(made, name).value_or(file->text) != file->text) renameat(made, name.c_str(), ours_, name.c_str());
        }
    }

    std::optional<std::expected<void, ReplaceError>> swap(int made) const {
        if (!still_holds(ours_, before_)) return give_up(std::unexpected(somebody_else(place_.path)));
        step("checked");
        if (!exchange()) return give_up(std::nullopt);   // a mount point, or a file system that cannot
        step("exchanged");
        // No path leads into the old directory any more: what it holds now is what the exchange took away.
        if (!still_holds(ours_, before_)) {
            step("taking back");
            exchange();
            rescue(made);
            return give_up(std::unexpected(somebody_else(place_.path)));
        }
        fsync(parent_);
        const Fd now(openat(parent_, place_.name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        remove_beside(parent_, place_, now.get());
        step("removed");
        return std::expected<void, ReplaceError>{};
    }

    bool exchange() const { return renameat2(parent_, place_.beside().c_str(), parent_, place_.name.c_str(), RENAME_EXCHANGE) == 0; }

    const Place& place_;
    const int parent_, ours_;
    const FileSet &before_, &after_;
    const ReplaceOptions& options_;
};

// ---- File by file ----

class OneByOne {
 public:
    OneByOne(const Place& place, int directory, const FileSet& before, const FileSet& after, const ReplaceOptions& options)
        : place_(place), directory_(directory), before_(before), after_(after), options_(options) {}

    std::expected<void, ReplaceError> run() {
        const FileChanges changes = changes_between(before_, after_);
        for (const auto* names : {&changes.added, &changes.changed})
            for (const std::string& name : *names)
                if (const int error = write_file(directory_, temp_name(name), after_.find(name)->text, directory_, name); error != 0) {
                    clean(changes);
                    return std::unexpected(cannot(fmt::format("cannot write {}/{}", place_.path, name), error));
                }
        step("written");
        std::expected<void, ReplaceError> result{};
        if (!still_holds(directory_, before_)) result = std::unexpected(somebody_else(place_.path));
        for (const auto* names : {&changes.added, &changes.changed, &changes.removed})
            for (const std::string& name : *names)
                if (result) {
                    result = change(name);
                    step("renamed");
                }
        if (!result) undo();
        clean(changes);
        fsync(directory_);
        return result;
    }

 private:
    void step(const char* name) const {
        if (options_.on_step) options_.on_step(name);
    }
    int rename(const std::string& from, const std::string& to, unsigned flags) const {
        return renameat2(directory_, from.c_str(), directory_, to.c_str(), flags) == 0 ? 0 : errno;
    }

    /// Afterwards the old text, if there was one, is under the temporary name, until clean().
    std::expected<void, ReplaceError> change(const std::string& name) {
        const File* old = before_.find(name);
        const bool goes = !after_.find(name);
        const int error = goes ? rename(name, temp_name(name), RENAME_NOREPLACE) : rename(temp_name(name), name, old ? RENAME_EXCHANGE : RENAME_NOREPLACE);
        if (error == EEXIST || error == ENOENT) return std::unexpected(somebody_else(place_.path + "/" + name));
        if (error != 0) return std::unexpected(cannot(fmt::format("cannot rename {}/{}", place_.path, name), error));
        done_.push_back(name);
        if (old && text_of(directory_, temp_name(name)) != old->text) return std::unexpected(somebody_else(place_.path + "/" + name));
        return {};
    }
    void undo() {
        for (auto name = done_.rbegin(); name != done_.rend(); ++name) {
            const bool was = before_.find(*name), is = after_.find(*name);
            if (was && is) rename(temp_name(*name), *name, RENAME_EXCHANGE);
            else if (was) rename(temp_name(*name), *name, RENAME_NOREPLACE);
            else rename(*name, temp_name(*name), RENAME_NOREPLACE);
        }
    }
    void clean(const FileChanges& changes) const {
        for (const auto* names : {&changes.added, &changes.changed, &changes.removed})
            for (const std::string& name : *names) unlinkat(directory_, temp_name(name).c_str(), 0);
    }

    const Place& place_;
    const int directory_;
    const FileSet &before_, &after_;
    const ReplaceOptions& options_;
    std::vector<std::string> done_;
};

std::optional<ReplaceError> no_links(int directory, const std::string& path, const FileChanges& changes) {
    struct stat status {};
    if (fstatat(directory, "..data", &status, AT_SYMLINK_NOFOLLOW) == 0)
        return ReplaceError{false, path + " is a Kubernetes volume", "change its ConfigMap or Secret; the gateway follows it"};
    for (const auto* names : {&changes.changed, &changes.removed})
        for (const std::string& name : *names)
            if (fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(status.st_mode))
                return ReplaceError{false, fmt::format("{}/{} is a link: replacing it would cut it", path, name), "change the file that it leads to"};
    return std::nullopt;
}

}  // namespace

std::expected<void, ReplaceError> replace_files(const std::string& directory, const FileSet& before, const FileSet& after,
                                                const ReplaceOptions& options) {
    const FileChanges changes = changes_between(before, after);
    if (changes.empty()) return {};
    const auto place = locate(directory);
    if (!place) return std::unexpected(cannot("cannot find " + directory, errno));
    const Fd parent(open(place->parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!parent) return std::unexpected(cannot("cannot open " + place->parent, errno));
    if (flock(parent.get(), LOCK_EX | LOCK_NB) != 0)
        return std::unexpected(ReplaceError{true, place->parent + " is locked: another gateway is changing its config", "try again"});
    const Fd ours(openat(parent.get(), place->name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!ours && errno != ENOENT) return std::unexpected(cannot("cannot open " + place->path, errno));
    if (!ours && !before.files.empty()) return std::unexpected(somebody_else(place->path));
    if (ours)
        if (auto link = no_links(ours.get(), place->path, changes)) return std::unexpected(std::move(*link));
    // One file is one rename wherever it is done; the directory itself moves only when it must.
    if ((options.exchange && changes.size() > 1) || !ours)
        if (auto done = Exchange(*place, parent.get(), ours.get(), before, after, options).run()) return *done;
    if (!ours) return std::unexpected(cannot("cannot make " + place->path, EACCES));
    return OneByOne(*place, ours.get(), before, after, options).run();
}

}  // namespace sluice::source
