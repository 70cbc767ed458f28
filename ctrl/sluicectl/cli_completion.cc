// completion, man: the tool about itself, walked out of the command tree.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "ctrl/sluicectl/cli.h"
#include "ctrl/sluicectl/command_tree.h"
#include "ctrl/sluicectl/man_page.h"
#include "ctrl/sluicectl/tree_walk.h"

namespace sluice::ctl {

namespace {

struct CompletionOptions {
    std::string shell;
};

struct ManOptions {
    std::vector<std::string> command;
    std::string all, date;
};

/// One file a command into the directory, which is made if it is missing.
int write_all(const Context& c, const CLI::App& root, const ManOptions& o, const ManSource& source) {
    std::error_code failed;
    std::filesystem::create_directories(o.all, failed);
    size_t pages = 0;
    bool good = !failed;
    walk(root, [&](const CLI::App& command, const std::string& path) {
        if (!good) return;
        const ManPage page = man_page(root, command, path, 1, source);
        std::ofstream file(std::filesystem::path(o.all) / page.file_name());
        good = static_cast<bool>(file << page.text << std::flush);
        pages++;
    });
    if (!good) return fail(c, {2, fmt::format("{} cannot be written: {}", o.all, failed ? failed.message() : std::strerror(errno))});
    c.out << fmt::format("{} pages in {}\n", pages, o.all);
    return 0;
}

int man(const Context& c, const CLI::App& root, const ManOptions& o) {
    const ManSource source{.version = SLUICE_VERSION, .date = o.date};
    if (!o.all.empty()) return write_all(c, root, o, source);
    std::string wanted;
    for (const std::string& word : o.command) wanted += (wanted.empty() ? "" : " ") + word;
    if (wanted.starts_with("proxy-config")) wanted.replace(0, 12, "pc");
    bool found = false;
    walk(root, [&](const CLI::App& command, const std::string& path) {
        if (path != wanted) return;
        c.out << man_page(root, command, path, 1, source).text;
        found = true;
    });
    return found ? 0 : fail(c, {2, fmt::format("no command `{}`: sluicectl --help lists the commands", wanted)});
}

/// Every command that does something, with its options: for scripts, and for the test that tries them all.
nlohmann::ordered_json tree_json(const CLI::App& root) {
    nlohmann::ordered_json commands = nlohmann::ordered_json::array();
    walk(root, [&](const CLI::App& command, const std::string& path) {
        if (!subcommands(command).empty()) return;
        nlohmann::ordered_json one{{"command", path}, {"help", command.get_description()}, {"examples", examples(command)}};
        one["options"] = nlohmann::ordered_json::array();
        for (const OptionView& option : options(command)) one["options"].push_back({{"usage", option.usage()}, {"help", option.help}});
        commands.push_back(std::move(one));
    });
    return {{"commands", std::move(commands)}};
}

int commands(const Context& c, const CLI::App& root) {
    const nlohmann::ordered_json tree = tree_json(root);
    if (write_data(c, tree)) return 0;
    for (const auto& one : tree["commands"]) c.out << fmt::format("{:<22} {}\n", one["command"].get<std::string>(), one["help"].get<std::string>());
    return 0;
}

}  // namespace

void add_completion_commands(CommandTree& tree) {
    tree.command(nullptr, "commands", "Every command in one list, with its options in JSON", "sluicectl commands\nsluicectl commands -o json",
                 [&tree](const Context& c) { return commands(c, tree.app()); });

    auto& o = tree.keep<CompletionOptions>();
    tree.command(nullptr, "completion", "Print a completion script for your shell",
                 "sluicectl completion bash > /etc/bash_completion.d/sluicectl\nsluicectl completion zsh > ~/.zfunc/_sluicectl\n"
                 "sluicectl completion fish > ~/.config/fish/completions/sluicectl.fish",
                 [&tree, &o](const Context& c) { return c.out << completion(tree.app(), o.shell), 0; })
        ->add_option("SHELL", o.shell, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));

    auto& m = tree.keep<ManOptions>();
    CLI::App* pages = tree.command(nullptr, "man", "Print the manual page of a command, or write all of them",
                                   "sluicectl man pc routes | man -l -\nsluicectl man --all /usr/local/share/man/man1", [&tree, &m](const Context& c) { return man(c, tree.app(), m); });
    pages->add_option("COMMAND", m.command, "The command's words; none: sluicectl itself");
    pages->add_option("--all", m.all, "Write every page into this directory")->type_name("DIR");
    pages->add_option("--date", m.date, "Date for the pages' foot (2026-11-27)")->type_name("DATE");
}

}  // namespace sluice::ctl
