// From arguments to a command that runs. Wrong use is exit code 2 and one line.
#include "ctrl/sluicectl/cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <thread>

#include "ctrl/sluicectl/command_tree.h"

namespace sluice::ctl {

namespace {

Instant steady_now() {
    return {static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch()).count())};
}

}  // namespace

void add_all_commands(CommandTree& tree) {
    // In the order of --help: what one looks at, what one changes, the tool itself.
    add_status_commands(tree);
    add_doctor_commands(tree);
    add_analyze_commands(tree);
    add_config_commands(tree);
    add_proxy_config_commands(tree);
    add_counter_commands(tree);
    add_connection_commands(tree);
    add_action_commands(tree);
    add_log_commands(tree);
    add_completion_commands(tree);
}

int run(std::vector<std::string> arguments, std::ostream& out, std::ostream& err) {
    return run(std::move(arguments), out, err, [](Duration d) { std::this_thread::sleep_for(std::chrono::microseconds(d.us)); }, steady_now);
}

int run(std::vector<std::string> arguments, std::ostream& out, std::ostream& err, std::function<void(Duration)> sleep, std::function<Instant()> now) {
    CommandTree tree;
    add_all_commands(tree);
    std::reverse(arguments.begin(), arguments.end());   // as CLI11 takes them
    try {
        tree.app().parse(std::move(arguments));
    } catch (const CLI::CallForHelp&) {
        out << tree.app().help();
        return 0;
    } catch (const CLI::ParseError& e) {
        err << "sluicectl: " << e.what() << ": sluicectl --help lists the commands\n";
        return 2;
    }
    const Context context{Client(tree.target()), tree.form(), out, err, std::move(sleep), std::move(now)};
    try {
        return tree.action()(context);
    } catch (const nlohmann::json::exception& e) {
        return fail(context, {2, fmt::format("the gateway's answer is not understood ({}): is it of another version?", e.what())});
    }
}

}  // namespace sluice::ctl
