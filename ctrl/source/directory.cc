// Reading all files of a directory as one revision.
// In: file names and bytes. Out: Load.
// Bytes move into yaml::File; the rest is local.
// Kubernetes AtomicWriter: files are links into `..data`, a link that is replaced by rename.
#include "ctrl/source/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include <fmt/format.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ctrl/model/check.h"
#include "ctrl/model/object_reader.h"

namespace sluice::source {
namespace {

constexpr size_t kFilesMax = 10'000;
constexpr size_t kBytesMax = 256u << 20;  // of all files
constexpr int kSwapRetries = 8;

struct RawFile {
    std::string name;  // in the directory
    std::string text;
};

struct RawDirectory {
    std::vector<RawFile> files;
    std::vector<Diagnostic> errors;
};

Diagnostic unreadable(std::string file, std::string message, std::string cure = "") {
    Diagnostic d;
    d.file = std::move(file);
    d.code = "SLC0120";
    d.message = std::move(message);
    d.cure = std::move(cure);
    return d;
}

bool is_config_name(std::string_view name) {
    if (name.starts_with('.')) return false;  // editors' files, Kubernetes' ..data
    return name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json");
}

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

RawDirectory read_once(int directory, const std::string& shown_as) {
    RawDirectory raw;
    const std::vector<std::string> names = names_in(directory);
    if (names.size() > kFilesMax) {
        raw.errors.push_back(unreadable(shown_as, fmt::format("more than {} files", kFilesMax)));
        return raw;
    }
    size_t bytes = 0;
    for (const std::string& name : names) {
        RawFile file{name, ""};
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

std::string hash_of(const std::vector<RawFile>& files) {
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    for (const RawFile& file : files) {
        const uint64_t sizes[2] = {file.name.size(), file.text.size()};
        XXH3_64bits_update(&state, sizes, sizeof sizes);
        XXH3_64bits_update(&state, file.name.data(), file.name.size());
        XXH3_64bits_update(&state, file.text.data(), file.text.size());
    }
    return fmt::format("{:016x}", XXH3_64bits_digest(&state));
}

std::string last_element(std::string path) {
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    return path.substr(path.rfind('/') + 1);
}

}  // namespace

Load load_directory(const std::string& directory, std::string shown_as) {
    if (shown_as.empty()) shown_as = last_element(directory);
    RawDirectory raw = read_raw(directory, shown_as);

    Load load;
    load.file_count = raw.files.size();
    load.hash = hash_of(raw.files);
    load.diagnostics = std::move(raw.errors);
    auto mesh = std::make_shared<model::MeshConfig>();
    mesh->hash = load.hash;
    for (RawFile& file : raw.files) {
        mesh->files.push_back(shown_as + "/" + file.name);
        model::read_objects(yaml::parse(mesh->files.back(), std::move(file.text), load.diagnostics), *mesh,
                            load.diagnostics);
    }
    model::check(*mesh, /*references=*/!has_errors(load.diagnostics), load.diagnostics);
    note_cut(load.diagnostics, shown_as);
    sort_by_place(load.diagnostics);
    if (has_errors(load.diagnostics)) return load;
    mesh->warnings = load.diagnostics;
    load.mesh = std::move(mesh);
    return load;
}

}  // namespace sluice::source
