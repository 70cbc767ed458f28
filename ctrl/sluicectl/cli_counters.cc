// top, runtime, drops, stats: numbers of the cores, what they dropped, and counters by name.
#include <CLI/CLI.hpp>

#include "ctrl/sluicectl/command_tree.h"

namespace sluice::ctl {

namespace {

struct CounterOptions {
    std::string interval = "1s", filter, delta = "0";
};

struct TopOptions {
    std::string interval = "1s", count;
};

struct DropOptions {
    std::string delta = "0";
    bool all = false;
};

void add_top(CommandTree& tree) {
    auto& o = tree.keep<TopOptions>();
    CLI::App* top = tree.command(nullptr, "top", "Live: cores, requests, latencies, errors, drops; q quits", "sluicectl top\nsluicectl top -o json --count 10",
                                 [&o](const Context& c) { return ctl::top(c, duration(o.interval), o.count.empty() ? 0 : std::stoull(o.count)); });
    add_duration(top, "--interval", o.interval, "Look so often [1s]");
    top->add_option("--count", o.count, "End after so many looks")->type_name("N")->check(is_number(1, UINT64_MAX));
}

void add_drops(CommandTree& tree) {
    auto& o = tree.keep<DropOptions>();
    CLI::App* drops = tree.command(nullptr, "drops", "What was dropped or refused, by reason, with what it means and what to do",
                                   "sluicectl drops\nsluicectl drops --delta 10s\nsluicectl drops --zeros", [&o](const Context& c) { return ctl::drops(c, duration(o.delta), o.all); });
    add_duration(drops, "--delta", o.delta, "Watch for so long, show what came");
    drops->add_flag("--zeros", o.all, "Also reasons that were never seen");
}

}  // namespace

void add_counter_commands(CommandTree& tree) {
    add_top(tree);
    auto& o = tree.keep<CounterOptions>();
    CLI::App* cores = tree.command(nullptr, "runtime", "Cores: busy share, requests, cycles for each request by stage",
                                   "sluicectl runtime\nsluicectl runtime --interval 5s", [&o](const Context& c) { return runtime(c, duration(o.interval)); });
    add_duration(cores, "--interval", o.interval, "Measure for so long [1s]");
    add_drops(tree);
    CLI::App* counters = tree.command(nullptr, "stats", "Counters by name, or how they grow", "sluicectl stats upstream_cx\nsluicectl stats --delta 5s",
                                      [&o](const Context& c) { return stats(c, o.filter, duration(o.delta)); });
    counters->add_option("FILTER", o.filter, "Only names that contain this");
    add_duration(counters, "--delta", o.delta, "Watch for so long, show what changed");
}

}  // namespace sluice::ctl
