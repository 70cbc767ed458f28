// completion, man: the tool about itself, walked out of the command tree.
#include <CLI/CLI.hpp>

#include "ctrl/sluicectl/cli.h"
#include "ctrl/sluicectl/command_tree.h"

namespace sluice::ctl {

namespace {

struct CompletionOptions {
    std::string shell;
};

}  // namespace

void add_completion_commands(CommandTree& tree) {
    auto& o = tree.keep<CompletionOptions>();
    tree.command(nullptr, "completion", "Print a completion script for your shell",
                 "sluicectl completion bash > /etc/bash_completion.d/sluicectl\nsluicectl completion zsh > ~/.zfunc/_sluicectl\n"
                 "sluicectl completion fish > ~/.config/fish/completions/sluicectl.fish",
                 [&tree, &o](const Context& c) { return c.out << completion(tree.app(), o.shell), 0; })
        ->add_option("SHELL", o.shell, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
}

}  // namespace sluice::ctl
