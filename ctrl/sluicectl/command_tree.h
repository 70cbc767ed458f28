// The tree of commands: what each is called, its help, its examples, what it runs. Each group of commands adds itself from a
// file of its own (cli_GROUP.cc); completion scripts and man pages are walked out of the same tree.
// Owns the CLI11 objects and the options that groups keep here; lives for one command line.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ctrl/sluicectl/commands.h"

namespace CLI {
class App;
class Option;
}

namespace sluice::ctl {

using Action = std::function<int(const Context&)>;

class CommandTree {
 public:
    CommandTree();
    ~CommandTree();
    CommandTree(const CommandTree&) = delete;
    CommandTree& operator=(const CommandTree&) = delete;

    /// The root, with the options of the whole tool (--target, -o), which may stand anywhere.
    CLI::App& app() { return *app_; }

    /// A command below `parent` (null: the root). `examples`: whole command lines, one a line. Without an action it is a group
    /// that wants a subcommand.
    CLI::App* command(CLI::App* parent, const std::string& name, const std::string& what, const std::string& examples, Action action = {});

    /// A place for a group's options that lives as long as the tree: `auto& o = tree.keep<Options>();`, bound to CLI11 options
    /// and read by the action.
    template <typename Options>
    Options& keep() {
        auto options = std::make_shared<Options>();
        kept_.push_back(options);
        return *options;
    }

    /// What was asked for, after parsing.
    const Action& action() const { return action_; }
    const std::string& target() const { return target_; }
    Form form() const;

 private:
    std::unique_ptr<CLI::App> app_;
    std::vector<std::shared_ptr<void>> kept_;
    Action action_;
    std::string target_, form_ = "table";
};

// ---- What options may be, said in words (CLI11's own checks print types). Each returns "" or what is wrong. ----

std::string is_duration(const std::string& text);
/// Of a text that is_duration() passed.
Duration duration(const std::string& text);
/// A whole number between two bounds.
std::function<std::string(const std::string&)> is_number(uint64_t min, uint64_t max);

/// `--NAME TIME`, checked. `into` holds the default.
CLI::Option* add_duration(CLI::App* command, const std::string& name, std::string& into, const std::string& help);

// ---- The groups ----

void add_status_commands(CommandTree& tree);         // status, wait
void add_doctor_commands(CommandTree& tree);         // doctor
void add_analyze_commands(CommandTree& tree);        // analyze
void add_config_commands(CommandTree& tree);         // config ...
void add_proxy_config_commands(CommandTree& tree);   // pc ...
void add_counter_commands(CommandTree& tree);        // runtime, stats
void add_connection_commands(CommandTree& tree);     // connections ..., capture
void add_action_commands(CommandTree& tree);         // drain, undrain
void add_log_commands(CommandTree& tree);            // log ...
void add_completion_commands(CommandTree& tree);     // completion, man

}  // namespace sluice::ctl
