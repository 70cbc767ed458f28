// Paths -> bytes.
// In: the file system. Out: Inputs.
// Bounded like the mesh directory: so many files, so many bytes in all.
// stat(2); ctrl/source/files.h reads.
#include "ctrl/analyze/inputs.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iterator>

#include <fmt/format.h>

#include "ctrl/source/files.h"

namespace sluice::analyze {
namespace {

using source::kBytesMax, source::kFilesMax, source::unreadable;

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
            if (source::is_config_name(it->path().filename().string())) names.push_back(it->path().filename());
        if (error) return out_.errors.push_back(unreadable(path, fmt::format("cannot be read: {}", error.message())));
        if (names.empty())
            return out_.errors.push_back(unreadable(path, "no *.yaml, *.yml or *.json file in the directory", "subfolders are not read: name them"));
        std::sort(names.begin(), names.end());
        for (const std::string& name : names) file(path + "/" + name);
    }

    void file(const std::string& path) {
        if (out_.files.size() >= kFilesMax) return;
        Input input{path, ""};
        const std::string wrong = source::read_file(AT_FDCWD, path, kBytesMax - bytes_, input.text);
        bytes_ += std::min(input.text.size(), kBytesMax - bytes_);
        if (wrong.empty()) out_.files.push_back(std::move(input));
        else out_.errors.push_back(unreadable(path, "cannot be read: " + wrong));
        if (out_.files.size() == kFilesMax) out_.errors.push_back(unreadable(path, fmt::format("more than {} files", kFilesMax), "look at some of them at a time"));
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
