// log: the access log, and the gateway's own.
#include <CLI/CLI.hpp>

#include "ctrl/sluicectl/command_tree.h"

namespace sluice::ctl {

namespace {

struct LogOptions {
    std::string level;
};

struct TailOptions {
    std::string flags, status, host, path, lines = "10";
    bool no_follow = false;
};

Filters filters_of(const TailOptions& o) {
    Filters filters{{"history", o.lines}, {"follow", o.no_follow ? "0" : "1"}};
    const auto put = [&](const char* name, const std::string& value) {
        if (!value.empty()) filters[name] = value;
    };
    put("flags", o.flags), put("status", o.status), put("host", o.host), put("path", o.path);
    return filters;
}

void add_tail(CommandTree& tree, CLI::App* log) {
    auto& o = tree.keep<TailOptions>();
    CLI::App* tail = tree.command(log, "tail", "The last requests and those that follow, with why each failed", "sluicectl log tail --status 5xx\nsluicectl log tail --flags UF,UH --host shop.example\n"
                                  "sluicectl log tail -n 100 --no-follow -o json", [&o](const Context& c) { return log_tail(c, filters_of(o)); });
    tail->add_option("--flags", o.flags, "Only requests with one of these response flags")->type_name("UF,...");
    tail->add_option("--status", o.status, "Only these: 503, 5xx or 400-499")->type_name("STATUS");
    tail->add_option("--host", o.host, "Only requests for this host")->type_name("NAME");
    tail->add_option("--path", o.path, "Only paths that begin so")->type_name("PREFIX");
    tail->add_option("-n,--lines", o.lines, "Begin with so many of the past [10]")->type_name("N")->check(is_number(0, 1000));
    tail->add_flag("--no-follow", o.no_follow, "Only those of the past");
}

}  // namespace

void add_log_commands(CommandTree& tree) {
    auto& o = tree.keep<LogOptions>();
    CLI::App* log = tree.command(nullptr, "log", "The access log, and the gateway's own", "sluicectl log tail --status 5xx\nsluicectl log level debug");
    add_tail(tree, log);
    tree.command(log, "reopen", "Open the access log's file again, as logrotate wants", "sluicectl log reopen", log_reopen);
    tree.command(log, "level", "Show or set the level of the gateway's own log", "sluicectl log level\nsluicectl log level debug",
                 [&o](const Context& c) { return log_level(c, o.level); })
        ->add_option("LEVEL", o.level, "debug, info, warning or error");
}

}  // namespace sluice::ctl
