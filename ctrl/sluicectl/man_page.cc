// man(7): .TH, .SH, .TP, .B, .I. A dash that is typed is written \-, or copying it out of a terminal breaks.
#include "ctrl/sluicectl/man_page.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "ctrl/sluicectl/tree_walk.h"

namespace sluice::ctl {

namespace {

/// Text as roff takes it: backslashes and dashes kept, no line begins with a control character.
std::string escaped(const std::string& text) {
    std::string out;
    bool line_start = true;
    for (const char c : text) {
        if (line_start && (c == '.' || c == '\'')) out += "\\&";
        if (c == '\\') out += "\\e";
        else if (c == '-') out += "\\-";
        else out += c;
        line_start = c == '\n';
    }
    return out;
}

std::string joined(const std::string& program, const std::string& path, char between) {
    std::string out = program;
    if (!path.empty()) out += between + path;
    for (char& c : out)
        if (c == ' ') c = between;
    return out;
}

std::string synopsis(const CLI::App& root, const CLI::App& command, const std::string& path) {
    std::string out = fmt::format(".B {}\n", escaped(joined(root.get_name(), path, ' ')));
    if (!subcommands(command).empty()) out += ".I COMMAND\n";
    for (const OptionView& option : options(command)) {
        if (option.positional()) out += fmt::format(".RI {}\n", option.required ? escaped(option.usage()) : fmt::format("[ {} ]", escaped(option.value + (option.many ? "..." : ""))));
        else if (option.required) out += fmt::format(".B {}\n", escaped(option.usage()));
    }
    return out + ".RI [ OPTIONS ]\n";
}

std::string option_lines(const CLI::App& command) {
    std::string out;
    for (const OptionView& option : options(command)) {
        std::string help = option.help;
        if (!option.choices.empty() && help.find(option.choices.back()) == std::string::npos)
            help += fmt::format(" ({})", fmt::join(option.choices, ", "));
        out += fmt::format(".TP\n.B {}\n{}\n", escaped(option.usage()), escaped(help));
    }
    return out;
}

std::string command_lines(const CLI::App& root, const CLI::App& command, const std::string& path, int section) {
    std::string out;
    for (const CLI::App* sub : subcommands(command)) {
        const std::string name = joined(root.get_name(), path.empty() ? sub->get_name() : path + " " + sub->get_name(), '-');
        out += fmt::format(".TP\n.BR {} ({})\n{}\n", escaped(name), section, escaped(sub->get_description()));
    }
    return out;
}

std::string see_also(const CLI::App& root, const std::string& path, int section) {
    std::vector<std::string> pages;
    if (!path.empty()) pages.push_back(fmt::format(".BR {} ({})", escaped(root.get_name()), section));
    if (const size_t space = path.rfind(' '); space != std::string::npos)
        pages.push_back(fmt::format(".BR {} ({})", escaped(joined(root.get_name(), path.substr(0, space), '-')), section));
    pages.push_back(root.get_name() == "sluiced" ? ".BR sluicectl (1)" : ".BR sluiced (8)");
    return fmt::format("{}\n", fmt::join(pages, ",\n"));
}

}  // namespace

std::string ManPage::file_name() const { return fmt::format("{}.{}", name, section); }

ManPage man_page(const CLI::App& root, const CLI::App& command, const std::string& path, int section, const ManSource& source) {
    ManPage page{.name = joined(root.get_name(), path, '-'), .section = section, .text = {}};
    std::string title = page.name;
    for (char& c : title) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    std::string what = command.get_description();
    if (what.starts_with(root.get_name() + ": ")) what = what.substr(root.get_name().size() + 2);
    page.text = fmt::format(".TH {} {} \"{}\" \"sluice {}\" \"Sluice\"\n", escaped(title), section, source.date, source.version);
    page.text += fmt::format(".SH NAME\n{} \\- {}\n", escaped(page.name), escaped(what));
    page.text += ".SH SYNOPSIS\n" + synopsis(root, command, path);
    if (const std::string lines = command_lines(root, command, path, section); !lines.empty()) page.text += ".SH COMMANDS\n" + lines;
    if (const std::string lines = option_lines(command); !lines.empty()) page.text += ".SH OPTIONS\n" + lines;
    if (&command != &root) {
        if (const std::string lines = option_lines(root); !lines.empty()) page.text += ".SH OPTIONS OF THE WHOLE TOOL\n" + lines;
    }
    if (const std::string words = closing_words(&command == &root || closing_words(command).empty() ? root : command); !words.empty())
        page.text += ".SH NOTES\n" + escaped(words) + "\n";
    if (const auto lines = examples(command); !lines.empty()) {
        page.text += ".SH EXAMPLES\n.nf\n";
        for (const std::string& line : lines) page.text += escaped(line) + "\n";
        page.text += ".fi\n";
    }
    page.text += ".SH SEE ALSO\n" + see_also(root, path, section);
    return page;
}

}  // namespace sluice::ctl
