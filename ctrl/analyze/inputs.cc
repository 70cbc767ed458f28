// Paths -> bytes.
// In: the file system. Out: Inputs.
// Bounded like the mesh directory: so many files, so many bytes in all.
// stat(2), open(2): O_NONBLOCK, so that a FIFO stops nobody.
#include "ctrl/analyze/inputs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iterator>

#include <fmt/format.h>

namespace sluice::analyze {
namespace {

constexpr size_t kFilesMax = 10'000;
constexpr size_t kBytesMax = 256u << 20;

Diagnostic unreadable(std::string file, std::string message, std::string cure = "") {
    Diagnostic d;
    d.file = std::move(file);
    d.code = "SLC0120";
    d.message = std::move(message);
    d.cure = std::move(cure);
    return d;
}

bool is_config_name(const std::string& name) {
    return !name.starts_with('.') && (name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json"));
}

class Reading {
 public:
    void path(const std::string& path) {
        struct stat status {};
        if (stat(path.c_str(), &status) != 0) {
            out_.exist = false;
            out_.errors.push_back(unreadable(path, fmt::format("cannot be read: {}", std::strerror(errno)), "name a file or a directory that there is"));
        } else if (S_ISDIR(status.st_mode)) {
            directory(path);
        } else {
            file(path);
        }
    }

    void stream(std::istream& in) {
        std::string text(std::istreambuf_iterator<char>(in), {});
        out_.files.push_back({"<stdin>", std::move(text)});
    }

    Inputs take() { return std::move(out_); }

 private:
    void directory(std::string path) {
        while (path.size() > 1 && path.ends_with('/')) path.pop_back();
        std::error_code error;
        std::vector<std::string> names;
        for (std::filesystem::directory_iterator it(path, error), end; !error && it != end; it.increment(error))
            if (is_config_name(it->path().filename())) names.push_back(it->path().filename());
        if (error) return out_.errors.push_back(unreadable(path, fmt::format("cannot be read: {}", error.message())));
        if (names.empty())
            return out_.errors.push_back(unreadable(path, "no *.yaml, *.yml or *.json file in the directory", "subfolders are not read: name them"));
        std::sort(names.begin(), names.end());
        for (const std::string& name : names) file(path + "/" + name);
    }

    void file(const std::string& path) {
        if (out_.files.size() >= kFilesMax) return;
        Input input{path, ""};
        const std::string wrong = slurp(path, input.text);
        if (wrong.empty()) out_.files.push_back(std::move(input));
        else out_.errors.push_back(unreadable(path, "cannot be read: " + wrong));
        if (out_.files.size() == kFilesMax) out_.errors.push_back(unreadable(path, fmt::format("more than {} files", kFilesMax), "look at some of them at a time"));
    }

    // Empty, or errno in words.
    std::string slurp(const std::string& path, std::string& text) {
        const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0) return std::strerror(errno);
        struct stat status {};
        std::string wrong;
        if (fstat(fd, &status) != 0) wrong = std::strerror(errno);
        else if (!S_ISREG(status.st_mode)) wrong = "not a regular file";
        char buffer[65536];
        while (wrong.empty()) {
            const ssize_t got = read(fd, buffer, sizeof buffer);
            if (got == 0) break;
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) wrong = std::strerror(errno);
            else text.append(buffer, static_cast<size_t>(got));
            if (bytes_ + text.size() > kBytesMax) wrong = fmt::format("all files together are larger than {} MiB", kBytesMax >> 20);
        }
        close(fd);
        bytes_ += text.size();
        return wrong;
    }

    Inputs out_;
    size_t bytes_ = 0;
};

}  // namespace

Inputs read_inputs(const std::vector<std::string>& paths, std::istream* in) {
    Reading reading;
    for (const std::string& path : paths) {
        if (path == "-" && in) reading.stream(*in);
        else reading.path(path);
    }
    return reading.take();
}

}  // namespace sluice::analyze
