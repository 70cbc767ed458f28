// CLI11 keeps a list of choices only within an option's type name, `FORM:{table,wide}`: taken apart here, once.
#include "ctrl/sluicectl/tree_walk.h"

#include <CLI/CLI.hpp>
#include <sstream>

namespace sluice::ctl {

namespace {

OptionView view_of(const CLI::Option& option) {
    OptionView view;
    view.help = option.get_description();
    view.required = option.get_required();
    view.many = option.get_items_expected_max() > 1;
    if (!option.get_lnames().empty()) view.long_name = option.get_lnames()[0];
    if (!option.get_snames().empty()) view.short_name = option.get_snames()[0];
    if (option.get_items_expected_max() == 0) return view;   // a flag
    const std::string type = option.get_type_name();
    const size_t colon = type.find(":{");
    view.value = type.substr(0, type.find(':'));
    if (view.positional()) view.value = option.get_name(true);
    if (colon != std::string::npos) {
        std::istringstream list(type.substr(colon + 2, type.rfind('}') - colon - 2));
        for (std::string choice; std::getline(list, choice, ',');) view.choices.push_back(choice);
    }
    if (view.value.empty()) view.value = "VALUE";
    return view;
}

/// The footer in two: what stands before "Example", and the lines after it.
std::pair<std::string, std::string> footer_parts(const CLI::App& app) {
    const std::string footer = app.get_footer();
    const size_t at = footer.rfind("Example");
    if (at == std::string::npos) return {footer, ""};
    const size_t lines = footer.find('\n', at);
    return {footer.substr(0, at), lines == std::string::npos ? "" : footer.substr(lines + 1)};
}

void walk_below(const CLI::App& app, const std::string& path, const std::function<void(const CLI::App&, const std::string&)>& visit) {
    visit(app, path);
    for (const CLI::App* sub : subcommands(app)) walk_below(*sub, path.empty() ? sub->get_name() : path + " " + sub->get_name(), visit);
}

}  // namespace

void walk(const CLI::App& app, const std::function<void(const CLI::App&, const std::string&)>& visit) { walk_below(app, "", visit); }

std::vector<const CLI::App*> subcommands(const CLI::App& app) {
    return app.get_subcommands([](const CLI::App*) { return true; });
}

std::string OptionView::usage() const {
    const std::string more = many ? "..." : "";
    if (positional()) return required ? value + more : "[" + value + more + "]";
    std::string out;
    if (!short_name.empty()) out = "-" + short_name;
    if (!long_name.empty()) out += (out.empty() ? "--" : ", --") + long_name;
    return takes_value() ? out + " " + value + more : out;
}

std::vector<OptionView> options(const CLI::App& app) {
    std::vector<OptionView> positionals, named;
    for (const CLI::Option* option : app.get_options()) {
        OptionView view = view_of(*option);
        if (view.long_name == "help") continue;
        (view.positional() ? positionals : named).push_back(std::move(view));
    }
    positionals.insert(positionals.end(), named.begin(), named.end());
    return positionals;
}

std::vector<std::string> examples(const CLI::App& app) {
    std::vector<std::string> out;
    std::istringstream lines(footer_parts(app).second);
    for (std::string line; std::getline(lines, line);) {
        const size_t start = line.find_first_not_of(' ');
        if (start != std::string::npos) out.push_back(line.substr(start));
    }
    return out;
}

std::string closing_words(const CLI::App& app) {
    std::string words = footer_parts(app).first;
    while (!words.empty() && words.back() == '\n') words.pop_back();
    return words;
}

}  // namespace sluice::ctl
