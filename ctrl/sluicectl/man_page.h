// Manual pages out of a command tree, in the man(7) macros. The page says what --help says, and where to read on.
// Pure; reproducible: no date but the one given.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace sluice::ctl {

struct ManPage {
    std::string name;      // sluicectl-pc-routes
    int section = 1;
    std::string text;

    std::string file_name() const;   // sluicectl-pc-routes.1
};

struct ManSource {
    std::string version;   // 0.1.0
    std::string date;      // 2026-11-27; may be empty
};

/// The page of one command. `path`: its words after the program's name. Options that `root` gives to all are named at its end.
ManPage man_page(const CLI::App& root, const CLI::App& command, const std::string& path, int section, const ManSource& source);

}  // namespace sluice::ctl
