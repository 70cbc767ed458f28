// runtime, stats: numbers of the cores, and counters by name.
#include <CLI/CLI.hpp>

#include "ctrl/sluicectl/command_tree.h"

namespace sluice::ctl {

namespace {

struct CounterOptions {
    std::string interval = "1s", filter, delta = "0";
};

}  // namespace

void add_counter_commands(CommandTree& tree) {
    auto& o = tree.keep<CounterOptions>();
    CLI::App* cores = tree.command(nullptr, "runtime", "Cores: busy share, requests, cycles for each request by stage",
                                   "sluicectl runtime\nsluicectl runtime --interval 5s", [&o](const Context& c) { return runtime(c, duration(o.interval)); });
    add_duration(cores, "--interval", o.interval, "Measure for so long [1s]");
    CLI::App* counters = tree.command(nullptr, "stats", "Counters by name, or how they grow", "sluicectl stats upstream_cx\nsluicectl stats --delta 5s",
                                      [&o](const Context& c) { return stats(c, o.filter, duration(o.delta)); });
    counters->add_option("FILTER", o.filter, "Only names that contain this");
    add_duration(counters, "--delta", o.delta, "Watch for so long, show what changed");
}

}  // namespace sluice::ctl
