// The root of the tree, and how every command below it is made.
#include "ctrl/sluicectl/command_tree.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>

#include "ctrl/host/gateway_host.h"

namespace sluice::ctl {

CommandTree::CommandTree()
    : app_(std::make_unique<CLI::App>("sluicectl: asks and steers a Sluice gateway.", "sluicectl")), target_("/run/sluice/admin.sock") {
    app_->option_defaults()->always_capture_default();
    app_->add_option("--target", target_, "The gateway's admin.socket")->type_name("SOCK");
    app_->add_option("-o,--output", form_, "table, wide, json or yaml")
        ->type_name("FORM")
        ->check(CLI::IsMember({"table", "wide", "json", "yaml"}, CLI::ignore_case));
    app_->option_defaults()->always_capture_default(false);
    app_->require_subcommand(1);
    app_->footer("Exit codes: 0 ok, 1 degraded or findings, 2 down or wrong use.\nExample:\n  sluicectl status");
}

CommandTree::~CommandTree() = default;

CLI::App* CommandTree::command(CLI::App* parent, const std::string& name, const std::string& what, const std::string& examples, Action action) {
    CLI::App* sub = (parent ? parent : app_.get())->add_subcommand(name, what);
    sub->fallthrough();
    std::string indented;
    for (const char c : examples) indented += c == '\n' ? std::string("\n  ") : std::string(1, c);
    sub->footer((examples.find('\n') == std::string::npos ? "Example:\n  " : "Examples:\n  ") + indented);
    if (action) sub->callback([this, action = std::move(action)] { action_ = action; });
    else sub->require_subcommand(1);
    return sub;
}

Form CommandTree::form() const {
    const std::string form = CLI::detail::to_lower(form_);
    if (form == "json") return Form::kJson;
    if (form == "yaml") return Form::kYaml;
    return form == "wide" ? Form::kWide : Form::kTable;
}

std::string is_duration(const std::string& text) {
    return host::parse_duration(text) ? "" : fmt::format("`{}` is not a duration: 500ms, 5s, 1m30s", text);
}

Duration duration(const std::string& text) { return *host::parse_duration(text); }

std::function<std::string(const std::string&)> is_number(uint64_t min, uint64_t max) {
    return [min, max](const std::string& text) -> std::string {
        uint64_t n = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
        if (error == std::errc{} && end == text.data() + text.size() && n >= min && n <= max) return "";
        return max == UINT64_MAX ? fmt::format("`{}` is not a number from {} on", text, min) : fmt::format("`{}` is not a number from {} to {}", text, min, max);
    };
}

CLI::Option* add_duration(CLI::App* command, const std::string& name, std::string& into, const std::string& help) {
    return command->add_option(name, into, help)->type_name("TIME")->check(is_duration);
}

}  // namespace sluice::ctl
