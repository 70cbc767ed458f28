// Completion scripts, walked out of the command tree, so that they offer exactly what there is: commands, options, the values
// of options that have a list, files where a file is meant. zsh runs the bash script through its own bashcompinit.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <set>

#include "ctrl/sluicectl/cli.h"
#include "ctrl/sluicectl/tree_walk.h"

namespace sluice::ctl {

namespace {

/// Spellings of an option, joined.
std::string spellings(const OptionView& option, const char* between) {
    std::string out;
    if (!option.short_name.empty()) out = "-" + option.short_name;
    if (!option.long_name.empty()) out += (out.empty() ? "--" : std::string(between) + "--") + option.long_name;
    return out;
}

/// The patterns of every option that takes a value: the word after it is not a command.
std::string valued_options(const CLI::App& root) {
    std::set<std::string> names;
    walk(root, [&](const CLI::App& command, const std::string&) {
        for (const OptionView& option : options(command))
            if (!option.positional() && option.takes_value()) names.insert(spellings(option, "|"));
    });
    return fmt::format("{}", fmt::join(names, "|"));
}

/// What may follow a command: its subcommands, its options, the root's options, values of its arguments.
std::string words_after(const CLI::App& command, const CLI::App& root) {
    std::vector<std::string> words;
    for (const CLI::App* sub : subcommands(command)) words.push_back(sub->get_name());
    for (const OptionView& option : options(command)) {
        if (option.positional()) words.insert(words.end(), option.choices.begin(), option.choices.end());
        else if (!option.long_name.empty()) words.push_back("--" + option.long_name);
    }
    if (&command != &root)
        for (const OptionView& option : options(root)) words.push_back("--" + option.long_name);
    words.push_back("--help");
    return fmt::format("{}", fmt::join(words, " "));
}

bool takes_files(const CLI::App& command) {
    for (const OptionView& option : options(command))
        if (option.positional() && option.names_file()) return true;
    return false;
}

// Three tables of a bash script: how a word extends the path, what follows a path, and what follows an option.
struct BashTables {
    std::string paths, words, values;
};

BashTables bash_tables(const CLI::App& root) {
    BashTables tables;
    walk(root, [&](const CLI::App& command, const std::string& path) {
        for (const CLI::App* sub : subcommands(command)) {
            std::string patterns;
            const std::string prefix = path.empty() ? "" : path + " ";
            for (const std::string& name : [&] { auto all = sub->get_aliases(); all.insert(all.begin(), sub->get_name()); return all; }())
                patterns += fmt::format("{}\"{}{}\"", patterns.empty() ? "" : "|", prefix, name);
            tables.paths += fmt::format("        {}) path=\"{}{}\" ;;\n", patterns, prefix, sub->get_name());
        }
        tables.words += fmt::format("        \"{}\") words=\"{}\"{} ;;\n", path, words_after(command, root), takes_files(command) ? " files=1" : "");
        for (const OptionView& option : options(command)) {
            if (option.positional() || !option.takes_value()) continue;
            for (const std::string& name : {option.short_name.empty() ? "" : "-" + option.short_name, option.long_name.empty() ? "" : "--" + option.long_name}) {
                if (name.empty()) continue;
                // The root's options may stand anywhere.
                const std::string where = path.empty() ? "*:" + name : fmt::format("\"{}:{}\"", path, name);
                tables.values += fmt::format("    {}) words=\"{}\"{} value=1 ;;\n", where, fmt::join(option.choices, " "), option.names_file() ? " files=1" : "");
            }
        }
    });
    return tables;
}

std::string bash(const CLI::App& root) {
    const BashTables tables = bash_tables(root);
    return fmt::format(R"(_sluicectl() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" path="" words="" files="" value="" skip="" i word
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [ -n "$skip" ]; then skip=""; continue; fi
        case "${{COMP_WORDS[i]}}" in
        {}) skip=1; continue ;;
        -*) continue ;;
        esac
        word="${{path:+$path }}${{COMP_WORDS[i]}}"
        case "$word" in
{}        esac
    done
    case "$path:$before" in
{}    esac
    if [ -z "$value" ]; then
        case "$path" in
{}        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    [ -z "$files" ] || COMPREPLY+=($(compgen -f -- "$current"))
}}
complete -F _sluicectl sluicectl
)",
                       valued_options(root), tables.paths, tables.values, tables.words);
}

std::string fish_quoted(std::string text) {
    for (size_t i = 0; (i = text.find_first_of("'\\", i)) != std::string::npos; i += 2) text.insert(i, "\\");
    return "'" + text + "'";
}

/// A function that prints the path of the commands typed so far; every line below asks it.
std::string fish_path(const CLI::App& root) {
    std::string cases;
    walk(root, [&](const CLI::App& command, const std::string& path) {
        for (const CLI::App* sub : subcommands(command)) {
            const std::string prefix = path.empty() ? "" : path + " ";
            std::string names = fish_quoted(prefix + sub->get_name());
            for (const std::string& alias : sub->get_aliases()) names += " " + fish_quoted(prefix + alias);
            cases += fmt::format("            case {}\n                set path {}\n", names, fish_quoted(prefix + sub->get_name()));
        }
    });
    std::string valued = valued_options(root);
    for (char& c : valued)
        if (c == '|') c = ' ';
    return fmt::format(R"(function __sluicectl_path
    set -l path ''
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        if contains -- $word {}
            set skip 1
            continue
        end
        string match -q -- '-*' $word; and continue
        switch (string trim -- "$path $word")
{}        end
    end
    echo $path
end
)",
                       valued, cases);
}

std::string fish(const CLI::App& root) {
    std::string out = fish_path(root);
    walk(root, [&](const CLI::App& command, const std::string& path) {
        const std::string here = fmt::format("test \"$(__sluicectl_path)\" = {}", fish_quoted(path));
        const std::string condition = path.empty() ? "test -z \"$(__sluicectl_path)\"" : here;
        for (const CLI::App* sub : subcommands(command))
            out += fmt::format("complete -c sluicectl -f -n {} -a {} -d {}\n", fish_quoted(condition), sub->get_name(), fish_quoted(sub->get_description()));
        for (const OptionView& option : options(command)) {
            const std::string where = path.empty() && !option.positional() ? "" : " -n " + fish_quoted(condition);
            const std::string values = option.choices.empty() ? "" : " -a " + fish_quoted(fmt::format("{}", fmt::join(option.choices, " ")));
            if (option.positional()) {
                if (!values.empty() || option.names_file()) out += fmt::format("complete -c sluicectl{}{}{}\n", option.names_file() ? " -F" : " -f", where, values);
                continue;
            }
            out += fmt::format("complete -c sluicectl{}{}{}{} -d {}{}\n", where, option.short_name.empty() ? "" : " -s " + option.short_name,
                               option.long_name.empty() ? "" : " -l " + option.long_name,
                               !option.takes_value() ? "" : option.names_file() ? " -r -F" : " -x", fish_quoted(option.help), values);
        }
    });
    return out;
}

}  // namespace

std::string completion(const CLI::App& app, const std::string& shell) {
    if (shell == "fish") return fish(app);
    if (shell == "zsh") return "#compdef sluicectl\nautoload -U +X bashcompinit && bashcompinit\n" + bash(app);
    return bash(app);
}

}  // namespace sluice::ctl
