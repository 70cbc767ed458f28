// The command tree as what writes about it needs it: paths, options, the values an option takes. Completion scripts and man
// pages are made of these, so that they say exactly what there is. Borrows the tree.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}

namespace sluice::ctl {

/// Calls `visit` for the command and all below it; `path` is "" for the root, "pc routes" below.
void walk(const CLI::App& app, const std::function<void(const CLI::App& command, const std::string& path)>& visit);

std::vector<const CLI::App*> subcommands(const CLI::App& app);

struct OptionView {
    std::string long_name, short_name;   // without dashes; both empty: a positional argument
    std::string value;                   // TIME, FILE, N: empty for a flag
    std::vector<std::string> choices;    // the values it takes, where they are a fixed list
    std::string help;
    bool required = false, many = false;

    bool positional() const { return long_name.empty() && short_name.empty(); }
    bool takes_value() const { return !value.empty(); }
    /// It names a file, a directory or a socket.
    bool names_file() const { return value == "FILE" || value == "PATH" || value == "DIR" || value == "SOCK"; }
    /// "-o FORM, --output FORM"; "[PATH...]"
    std::string usage() const;
};

/// Positional arguments first, in their order; --help is left out.
std::vector<OptionView> options(const CLI::App& app);

/// The lines below "Example:" of a command's help.
std::vector<std::string> examples(const CLI::App& app);
/// What its help ends with before the examples.
std::string closing_words(const CLI::App& app);

}  // namespace sluice::ctl
