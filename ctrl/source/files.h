// The mesh files as they are on disk: names and bytes, read before anything looks into them. What revisions are made of.
// In: a directory. Out: a FileSet, and what could not be read.
// Plain values; a FileSet is shared and never changes once made.
// *.yaml, *.yml and *.json, no dotfiles, no subfolders. Kubernetes AtomicWriter: all files of one `..data` swap, or none.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ctrl/model/diagnostic.h"

namespace sluice::source {

inline constexpr size_t kFilesMax = 10'000;
inline constexpr size_t kBytesMax = 256u << 20;   // of all files

struct File {
    std::string name;   // in the directory
    std::string text;
    bool operator==(const File&) const = default;
};

struct FileSet {
    std::vector<File> files;   // by name
    std::string hash;          // of names and bytes, 16 hex digits
    size_t bytes = 0;          // of all texts

    const File* find(std::string_view name) const;
};
using FileSetPtr = std::shared_ptr<const FileSet>;

/// Sorts by name; of two files with one name the later one stays.
FileSetPtr make_file_set(std::vector<File> files);

struct Files {
    FileSetPtr set;                      // never null
    std::vector<Diagnostic> errors;      // unreadable files; a missing or empty directory
};

/// `shown_as` is the directory's name in findings; empty: its last element.
Files read_files(const std::string& directory, std::string shown_as = "");

/// What a file of mesh config may be called.
bool is_config_name(std::string_view name);

/// Appends the file's bytes to `text`; empty, or why not in words. A FIFO stops nobody; above `bytes_max` reading ends.
/// `name` is below the open `directory` (AT_FDCWD: a path).
std::string read_file(int directory, const std::string& name, size_t bytes_max, std::string& text);

/// The finding SLC0120.
Diagnostic unreadable(std::string file, std::string message, std::string cure = "");

struct FileChanges {
    std::vector<std::string> added, changed, removed;   // names
    bool empty() const { return added.empty() && changed.empty() && removed.empty(); }
    size_t size() const { return added.size() + changed.size() + removed.size(); }
    bool operator==(const FileChanges&) const = default;
};
FileChanges changes_between(const FileSet& from, const FileSet& to);

std::string last_element(std::string path);

}  // namespace sluice::source
