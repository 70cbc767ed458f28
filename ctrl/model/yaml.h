// YAML text -> a tree that knows where everything stands. JSON is read too: it is YAML's flow style.
// In: a file's bytes, hostile. Out: documents as located trees, findings with line and caret.
// The File owns text and tree; nodes point into nothing else. Shared by the objects read from it.
// YAML 1.2 by yaml-cpp's event parser; caps on size, depth, nodes and aliases stop expansion bombs.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ctrl/model/diagnostic.h"

namespace sluice::yaml {

struct Place {
    int line = 0;    // from 1
    int column = 0;  // from 1, in bytes
};

struct Entry;

struct Node {
    enum class Kind { kNull, kScalar, kSequence, kMap };

    Kind kind = Kind::kNull;
    bool quoted = false;  // "5" is text, 5 is a number
    Place at;
    std::string text;            // kScalar
    std::vector<Node> items;     // kSequence
    std::vector<Entry> entries;  // kMap, in file order, keys unique

    const Entry* entry(std::string_view key) const;  // null when absent or not a map
    const Node* find(std::string_view key) const;
};

struct Entry {
    std::string key;
    Place at;  // of the key
    Node value;
};

struct Limits {
    size_t bytes_max = 32u << 20;
    size_t nodes_max = 4'000'000;       // in a file, aliases expanded
    size_t alias_nodes_max = 100'000;   // made by aliases alone
    int depth_max = 64;
};

struct File {
    std::string name;  // as shown to the user
    std::string text;
    std::vector<Node> documents;  // without empty ones
    std::vector<size_t> line_starts;
    std::vector<bool> secret_lines;  // from 0: those are never shown as they are; empty: none
    int first_line = 1;           // of its text, where that is a part of a file
    size_t nodes = 0, alias_nodes = 0;   // what counts against the limits

    std::string line(int number) const;  // from 1; without its end and its secrets, "" beyond the file
};

// Always returns a File; documents before an error are there. Findings are appended to `out`.
std::shared_ptr<const File> parse(std::string name, std::string text, std::vector<Diagnostic>& out,
                                  const Limits& limits = {});

// Where the documents of a file are: each begins with its own `---` but for the first. Empty where YAML's directives and document
// ends make it less simple: then only parse() knows.
struct Part {
    size_t begin = 0, end = 0;  // of the text
    int first_line = 1;
};
std::vector<Part> split(std::string_view text);

// The same for one such part: places are those in the whole file. What is wrong with a part should be told of the whole file,
// by parse(): a syntax error ends a file, and limits are a file's.
std::shared_ptr<const File> parse_part(std::string name, std::string text, int first_line, std::vector<Diagnostic>& out,
                                       const Limits& limits = {});

// A finding at a place of `file`, its source line filled in.
Diagnostic diagnostic(const File& file, Place at, std::string code, std::string message);

// Columns that a scalar takes, quotes included; 1 for the rest.
int width_of(const Node& node);

// Where a field path such as `spec.http[0].route[1].weight` stands below `root`: the key's place for a
// field, the item's for an element. The longest part that exists when the rest does not.
struct Located {
    Place at;
    int width = 1;                // of the key or scalar
    const Node* value = nullptr;  // null when the path does not exist in full
};
Located locate(const Node& root, std::string_view path);

// A map key as a path element: `.key`, or `["a.b"]` when it holds what a path cannot.
std::string path_key(std::string_view key);

}  // namespace sluice::yaml
