// Reading all files of a directory as one set.
// In: file names and bytes. Out: Files.
// Bytes move into the set; the rest is local.
// Kubernetes AtomicWriter: files are links into `..data`, a link that is replaced by rename.
#include "ctrl/source/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace sluice::source {
namespace {

constexpr int kSwapRetries = 8;

struct RawDirectory {
    std::vector<File> files;
    std::vector<Diagnostic> errors;
};

std::string link_target(int directory, const char* name) {
    char buffer[PATH_MAX];
    const ssize_t length = readlinkat(directory, name, buffer, sizeof buffer);
    return length < 0 ? "" : std::string(buffer, static_cast<size_t>(length));
}

std::vector<std::string> names_in(int directory) {
    std::vector<std::string> names;
    DIR* stream = fdopendir(dup(directory));
    if (!stream) return names;
    rewinddir(stream);
    while (const dirent* entry = readdir(stream))
        if (is_config_name(entry->d_name)) names.emplace_back(entry->d_name);
    closedir(stream);
    std::sort(names.begin(), names.end());
    return names;
}

RawDirectory read_once(int directory, const std::string& shown_as) {
    RawDirectory raw;
    const std::vector<std::string> names = names_in(directory);
    if (names.size() > kFilesMax) {
        raw.errors.push_back(unreadable(shown_as, fmt::format("more than {} files", kFilesMax)));
        return raw;
    }
    size_t bytes = 0;
    for (const std::string& name : names) {
        File file{name, ""};
        const std::string wrong = read_file(directory, name, kBytesMax - bytes, file.text);
        bytes += file.text.size();
        if (!wrong.empty())
            raw.errors.push_back(unreadable(shown_as + "/" + name, "cannot be read: " + wrong));
        else
            raw.files.push_back(std::move(file));
    }
    return raw;
}

RawDirectory read_raw(const std::string& path, const std::string& shown_as) {
    RawDirectory raw;
    const int directory = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) {
        raw.errors.push_back(unreadable(path, fmt::format("cannot read the mesh directory: {}", std::strerror(errno)),
                                        "create it, or correct `mesh.directory`"));
        return raw;
    }
    for (int i = 0; i < kSwapRetries; ++i) {
        const std::string before = link_target(directory, "..data");
        raw = read_once(directory, shown_as);
        if (link_target(directory, "..data") == before) break;  // not swapped under us
    }
    close(directory);
    if (raw.files.empty() && raw.errors.empty())
        raw.errors.push_back(unreadable(path, "no *.yaml, *.yml or *.json file in the mesh directory",
                                        "an empty file says that nothing is wanted"));
    return raw;
}

std::string hash_of(const std::vector<File>& files) {
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    for (const File& file : files) {
        const uint64_t sizes[2] = {file.name.size(), file.text.size()};
        XXH3_64bits_update(&state, sizes, sizeof sizes);
        XXH3_64bits_update(&state, file.name.data(), file.name.size());
        XXH3_64bits_update(&state, file.text.data(), file.text.size());
    }
    return fmt::format("{:016x}", XXH3_64bits_digest(&state));
}

}  // namespace

Diagnostic unreadable(std::string file, std::string message, std::string cure) {
    Diagnostic d;
    d.file = std::move(file);
    d.code = "SLC0120";
    d.message = std::move(message);
    d.cure = std::move(cure);
    return d;
}

// Nothing read but a reason: errno in words. O_NONBLOCK: a FIFO must not stop the gateway.
std::string read_file(int directory, const std::string& name, size_t bytes_max, std::string& text) {
    const int fd = openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return std::strerror(errno);
    struct stat status {};
    std::string wrong;
    if (fstat(fd, &status) != 0) wrong = std::strerror(errno);
    else if (!S_ISREG(status.st_mode)) wrong = "not a regular file";
    char buffer[65536];
    while (wrong.empty()) {
        const ssize_t got = ::read(fd, buffer, sizeof buffer);
        if (got == 0) break;
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) wrong = std::strerror(errno);
        else text.append(buffer, static_cast<size_t>(got));
        if (text.size() > bytes_max) wrong = fmt::format("all files together are larger than {} MiB", kBytesMax >> 20);
    }
    close(fd);
    return wrong;
}

bool is_config_name(std::string_view name) {
    if (name.starts_with('.')) return false;  // editors' files, Kubernetes' ..data
    return name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json");
}

const File* FileSet::find(std::string_view name) const {
    const auto at = std::lower_bound(files.begin(), files.end(), name, [](const File& f, std::string_view n) { return f.name < n; });
    return at != files.end() && at->name == name ? &*at : nullptr;
}

FileSetPtr make_file_set(std::vector<File> files) {
    auto set = std::make_shared<FileSet>();
    std::stable_sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.name < b.name; });
    for (File& file : files) {
        if (!set->files.empty() && set->files.back().name == file.name) set->files.back() = std::move(file);
        else set->files.push_back(std::move(file));
    }
    for (const File& file : set->files) set->bytes += file.text.size();
    set->hash = hash_of(set->files);
    return set;
}

Files read_files(const std::string& directory, std::string shown_as) {
    if (shown_as.empty()) shown_as = last_element(directory);
    RawDirectory raw = read_raw(directory, shown_as);
    return {make_file_set(std::move(raw.files)), std::move(raw.errors)};
}

FileChanges changes_between(const FileSet& from, const FileSet& to) {
    FileChanges out;
    for (const File& file : to.files) {
        const File* before = from.find(file.name);
        if (!before) out.added.push_back(file.name);
        else if (before->text != file.text) out.changed.push_back(file.name);
    }
    for (const File& file : from.files)
        if (!to.find(file.name)) out.removed.push_back(file.name);
    return out;
}

std::string last_element(std::string path) {
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    return path.substr(path.rfind('/') + 1);
}

}  // namespace sluice::source
