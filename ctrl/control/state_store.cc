// Files under the state directory: lock, revisions/00000007.json, content/9f2c61ab00000000.
#include "ctrl/control/state_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace sluice::control {

namespace {

constexpr mode_t kFolderMode = 0700, kFileMode = 0600;
constexpr size_t kRecordBytesMax = 8u << 20;
constexpr std::string_view kTemp = ".new";

std::string words(int error) { return std::strerror(error); }

std::string cure_of(int error) {
    switch (error) {
        case EACCES:
        case EPERM: return fmt::format(": it must belong to uid {}, as whom the gateway runs", geteuid());
        case ENOSPC:
        case EDQUOT: return ": make room on that disk";
        case EROFS: return ": state.directory must be on a disk that can be written";
        case ENOENT: return ": make it, or correct state.directory";
        default: return "";
    }
}

/// Who may write where our config comes from may change it: only the gateway's own user and root.
std::string untrusted(const struct stat& status) {
    if (status.st_uid != geteuid() && status.st_uid != 0) return fmt::format("it belongs to uid {}", status.st_uid);
    if (status.st_mode & (S_IWGRP | S_IWOTH)) return fmt::format("others may write it (mode {:o})", status.st_mode & 07777);
    return "";
}

std::string record_name(uint64_t revision) { return fmt::format("{:08}.json", revision); }

/// 0: not the name of a record.
uint64_t revision_of(std::string_view name) {
    if (!name.ends_with(".json")) return 0;
    name.remove_suffix(5);
    uint64_t revision = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), revision);
    return error == std::errc{} && end == name.data() + name.size() ? revision : 0;
}

bool is_hash(std::string_view name) {
    return name.size() == 16 && std::all_of(name.begin(), name.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::vector<std::string> names_in(int folder) {
    std::vector<std::string> names;
    DIR* stream = fdopendir(dup(folder));
    if (!stream) return names;
    rewinddir(stream);
    while (const dirent* entry = readdir(stream)) names.emplace_back(entry->d_name);
    closedir(stream);
    std::sort(names.begin(), names.end());
    return names;
}

int open_folder(int parent, const char* name) {
    if (mkdirat(parent, name, kFolderMode) != 0 && errno != EEXIST) return -1;
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/// 0 or errno.
int write_all(int fd, const std::string& text) {
    for (size_t at = 0; at < text.size();) {
        const ssize_t wrote = ::write(fd, text.data() + at, text.size() - at);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return errno;
        at += static_cast<size_t>(wrote);
    }
    return 0;
}

}  // namespace

StateStore::StateStore(std::string directory, int directory_fd, Fault fault)
    : directory_(std::move(directory)), fault_(std::move(fault)), directory_fd_(directory_fd) {}

StateStore::~StateStore() {
    for (const int fd : {revisions_fd_, content_fd_, directory_fd_})
        if (fd >= 0) close(fd);
}

std::expected<std::unique_ptr<StateStore>, std::string> StateStore::open(const std::string& directory, Fault fault) {
    const auto failed = [&](const char* what, int error) {
        return std::unexpected(fmt::format("state.directory {}: {}{}{}", directory, what, words(error), cure_of(error)));
    };
    if (mkdir(directory.c_str(), kFolderMode) != 0 && errno != EEXIST) return failed("cannot be made: ", errno);
    const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return failed("", errno);
    std::unique_ptr<StateStore> store(new StateStore(directory, fd, std::move(fault)));
    struct stat status {};
    fstat(fd, &status);
    if (const std::string wrong = untrusted(status); !wrong.empty())
        return std::unexpected(fmt::format("state.directory {}: {}: not used; chmod 700, chown to the gateway's user", directory, wrong));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return std::unexpected(fmt::format("state.directory {}: another gateway uses it: give each its own", directory));
    if (auto opened = store->open_folders(); !opened) return std::unexpected(opened.error());
    return store;
}

std::expected<void, std::string> StateStore::open_folders() {
    for (auto& [fd, name] : {std::pair<int&, const char*>{revisions_fd_, "revisions"}, {content_fd_, "content"}}) {
        fd = open_folder(directory_fd_, name);
        if (fd < 0) return std::unexpected(fmt::format("{}/{}: {}{}", directory_, name, words(errno), cure_of(errno)));
        struct stat status {};
        fstat(fd, &status);
        if (const std::string wrong = untrusted(status); !wrong.empty())
            return std::unexpected(fmt::format("{}/{}: {}: not used; chmod 700, chown to the gateway's user", directory_, name, wrong));
        for (const std::string& file : names_in(fd))   // of a write that was cut
            if (file.ends_with(kTemp)) unlinkat(fd, file.c_str(), 0);
    }
    fsync(directory_fd_);
    return {};
}

std::expected<std::string, std::string> StateStore::read(int folder, const std::string& name) const {
    const int fd = openat(folder, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return std::unexpected(words(errno));
    struct stat status {};
    std::string wrong = fstat(fd, &status) != 0 ? words(errno) : !S_ISREG(status.st_mode) ? "not a file" : untrusted(status);
    const size_t bytes_max = folder == revisions_fd_ ? kRecordBytesMax : source::kBytesMax + (8u << 20);
    std::string text;
    char buffer[65536];
    while (wrong.empty()) {
        const ssize_t got = ::read(fd, buffer, sizeof buffer);
        if (got == 0) break;
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) wrong = words(errno);
        else text.append(buffer, static_cast<size_t>(got));
        if (text.size() > bytes_max) wrong = "too large";
    }
    close(fd);
    if (!wrong.empty()) return std::unexpected(wrong);
    return text;
}

std::vector<Record> StateStore::load() const {
    std::vector<Record> records;
    for (const std::string& name : names_in(revisions_fd_)) {
        const uint64_t revision = revision_of(name);
        if (revision == 0) continue;
        const auto text = read(revisions_fd_, name);
        auto record = text ? read_record(*text) : std::unexpected("cannot be read: " + text.error());
        if (record && record->revision != revision) record = std::unexpected("it is the record of another revision");
        if (record && !is_hash(record->hash)) record = std::unexpected("not a record of this version");
        if (!record) {
            Record damaged;
            damaged.revision = revision, damaged.fate = Fate::kDamaged;
            damaged.damage = fmt::format("{}/revisions/{}: {}", directory_, name, record.error());
            record = std::move(damaged);
        }
        records.push_back(std::move(*record));
    }
    std::sort(records.begin(), records.end(), [](const Record& a, const Record& b) { return a.revision < b.revision; });
    return records;
}

std::expected<void, std::string> StateStore::write(int folder, const std::string& name, const std::string& text, const char* what) {
    const std::string temp = name + std::string(kTemp);
    const auto failed = [&](int error) {
        unlinkat(folder, temp.c_str(), 0);
        return std::unexpected(fmt::format("{}/{}/{}: cannot be written: {}{}", directory_, what, name, words(error), cure_of(error)));
    };
    unlinkat(folder, temp.c_str(), 0);
    if (const int error = fault("open")) return failed(error);
    const int fd = openat(folder, temp.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, kFileMode);
    if (fd < 0) return failed(errno);
    int error = fault("write");
    if (!error) error = write_all(fd, text);
    if (!error) error = fault("sync");
    if (!error && fsync(fd) != 0) error = errno;
    if (close(fd) != 0 && !error) error = errno;
    if (!error) error = fault("rename");
    if (!error && renameat(folder, temp.c_str(), folder, name.c_str()) != 0) error = errno;
    if (error) return failed(error);
    error = fault("sync directory");
    if (!error && fsync(folder) != 0) error = errno;
    if (error) return failed(error);
    return {};
}

std::expected<void, std::string> StateStore::put(const Record& record, const source::FileSet* files) {
    // The files first: a record never names files that are not there.
    if (files && !content(files->hash))
        if (auto written = write(content_fd_, files->hash, write_files(*files), "content"); !written) return written;
    return write(revisions_fd_, record_name(record.revision), write_record(record), "revisions");
}

std::expected<source::FileSetPtr, std::string> StateStore::content(const std::string& hash) const {
    if (!is_hash(hash)) return std::unexpected("no files are kept of it");
    const auto text = read(content_fd_, hash);
    auto files = text ? control::read_files(*text, hash) : std::unexpected(text.error());
    if (!files) return std::unexpected(fmt::format("{}/content/{}: {}", directory_, hash, files.error()));
    return files;
}

void StateStore::keep_only(const std::vector<Record>& records) {
    std::set<std::string> wanted;
    for (const Record& record : records) wanted.insert(record_name(record.revision)), wanted.insert(record.hash);
    for (const std::string& name : names_in(revisions_fd_))
        if (revision_of(name) != 0 && !wanted.contains(name)) unlinkat(revisions_fd_, name.c_str(), 0);
    for (const std::string& name : names_in(content_fd_))
        if (is_hash(name) && !wanted.contains(name)) unlinkat(content_fd_, name.c_str(), 0);
}

}  // namespace sluice::control
