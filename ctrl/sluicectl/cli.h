// The command line: which commands there are, their options, helps with examples. In: arguments. Out: an exit code.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "ctrl/sluicectl/commands.h"

namespace CLI {
class App;
}

namespace sluice::ctl {

/// `arguments` without the program's name. The second form is for tests, with their own clock.
int run(std::vector<std::string> arguments, std::ostream& out, std::ostream& err);
int run(std::vector<std::string> arguments, std::ostream& out, std::ostream& err, std::function<void(Duration)> sleep, std::function<Instant()> now);

/// Every group of commands, in the order of --help.
class CommandTree;
void add_all_commands(CommandTree& tree);

/// A completion script for bash, zsh or fish, of the commands and options that `app` has.
std::string completion(const CLI::App& app, const std::string& shell);

}  // namespace sluice::ctl
