// The files that a user named, as they are: single files, directories, standard input.
// In: paths. Out: names and bytes, and findings for what could not be read.
// Plain values.
// In a directory the files are those that a gateway reads: *.yaml, *.yml and *.json, no dotfiles, no subfolders.
#pragma once

#include <istream>
#include <string>
#include <vector>

#include "ctrl/model/diagnostic.h"

namespace sluice::analyze {

struct Input {
    std::string name;  // as shown
    std::string text;
};

struct Inputs {
    std::vector<Input> files;
    std::vector<Diagnostic> errors;
    bool exist = true;  // false: some path does not
};

Inputs read_inputs(const std::vector<std::string>& paths, std::istream* in);

}  // namespace sluice::analyze
