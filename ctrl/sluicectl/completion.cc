// Completion scripts, walked out of the command tree, so that they offer exactly what there is. zsh runs the bash script
// through its own bashcompinit; fish has a line for each command.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "ctrl/sluicectl/cli.h"

namespace sluice::ctl {

namespace {

/// Names of an app's subcommands and long options, for one level of the tree.
std::string words(const CLI::App& app, const CLI::App& root) {
    std::string out;
    const auto add = [&](const std::string& word) { out += (out.empty() ? "" : " ") + word; };
    for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) add(sub->get_name());
    for (const CLI::App* from : {&app, &root}) {
        for (const CLI::Option* option : from->get_options())
            if (!option->get_lnames().empty() && (from == &app || option->get_lnames()[0] != "help")) add("--" + option->get_lnames()[0]);
        if (&app == &root) break;
    }
    for (const CLI::Option* option : app.get_options())
        if (option->get_positional() && option->get_name() == "SHELL") out = "bash zsh fish " + out;
    return out;
}

void bash_cases(const CLI::App& app, const CLI::App& root, const std::string& path, std::string& out) {
    out += fmt::format("        \"{}\") words=\"{}\" ;;\n", path, words(app, root));
    for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) bash_cases(*sub, root, path + " " + sub->get_name(), out);
}

std::string bash(const CLI::App& app) {
    std::string cases;
    bash_cases(app, app, "", cases);
    return "_sluicectl() {\n"
           "    local current=\"${COMP_WORDS[COMP_CWORD]}\" before=\"${COMP_WORDS[COMP_CWORD-1]}\" path=\"\" words=\"\" i skip=\"\"\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        if [ -n \"$skip\" ]; then skip=\"\"; continue; fi\n"
           "        case \"${COMP_WORDS[i]}\" in\n"
           "        -h|--help|-*=*) ;;\n"
           "        -*) skip=1 ;;\n"
           "        proxy-config) path=\"$path pc\" ;;\n"
           "        *) path=\"$path ${COMP_WORDS[i]}\" ;;\n"
           "        esac\n"
           "    done\n"
           "    case \"$before\" in\n"
           "        -o|--output) words=\"table wide json yaml\" ;;\n"
           "        --target) COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n"
           "        *) case \"$path\" in\n" + cases +
           "        esac ;;\n"
           "    esac\n"
           "    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
           "}\n"
           "complete -F _sluicectl sluicectl\n";
}

std::string fish_quoted(std::string text) {
    for (size_t i = 0; (i = text.find_first_of("'\\", i)) != std::string::npos; i += 2) text.insert(i, "\\");
    return "'" + text + "'";
}

void fish_lines(const CLI::App& app, const std::string& parent, std::string& out) {
    const std::string condition = parent.empty() ? "__fish_use_subcommand" : "__fish_seen_subcommand_from " + parent;
    for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
        out += fmt::format("complete -c sluicectl -f -n '{}' -a {} -d {}\n", condition, sub->get_name(), fish_quoted(sub->get_description()));
        fish_lines(*sub, sub->get_name(), out);
    }
    for (const CLI::Option* option : app.get_options()) {
        if (option->get_lnames().empty()) continue;
        const std::string where = parent.empty() ? "" : fmt::format(" -n '{}'", condition);
        out += fmt::format("complete -c sluicectl{} -l {} -d {}\n", where, option->get_lnames()[0], fish_quoted(option->get_description()));
    }
    if (parent == "completion") out += "complete -c sluicectl -f -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'\n";
}

}  // namespace

std::string completion(const CLI::App& app, const std::string& shell) {
    if (shell == "fish") {
        std::string out;
        fish_lines(app, "", out);
        return out + "complete -c sluicectl -f -s o -a 'table wide json yaml'\n";
    }
    if (shell == "zsh") return "#compdef sluicectl\nautoload -U +X bashcompinit && bashcompinit\n" + bash(app);
    return bash(app);
}

}  // namespace sluice::ctl
