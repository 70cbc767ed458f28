// log: the access log, and the gateway's own.
#include <CLI/CLI.hpp>

#include "ctrl/sluicectl/command_tree.h"

namespace sluice::ctl {

namespace {

struct LogOptions {
    std::string level;
};

}  // namespace

void add_log_commands(CommandTree& tree) {
    auto& o = tree.keep<LogOptions>();
    CLI::App* log = tree.command(nullptr, "log", "The access log, and the gateway's own", "sluicectl log reopen\nsluicectl log level debug");
    tree.command(log, "reopen", "Open the access log's file again, as logrotate wants", "sluicectl log reopen", log_reopen);
    tree.command(log, "level", "Show or set the level of the gateway's own log", "sluicectl log level\nsluicectl log level debug",
                 [&o](const Context& c) { return log_level(c, o.level); })
        ->add_option("LEVEL", o.level, "debug, info, warning or error");
}

}  // namespace sluice::ctl
