// status, wait: what the gateway is doing, and until when a script should wait.
#include <CLI/CLI.hpp>

#include "ctrl/sluicectl/command_tree.h"

namespace sluice::ctl {

namespace {

struct WaitOptions {
    std::string timeout = "30s";
    uint64_t revision = 0;
};

}  // namespace

void add_status_commands(CommandTree& tree) {
    tree.command(nullptr, "status", "What the gateway does now; 1 if anything needs an operator", "sluicectl status\nsluicectl status -o json", status);

    auto& o = tree.keep<WaitOptions>();
    CLI::App* wait = tree.command(nullptr, "wait", "Wait for a state", "sluicectl wait ready --timeout 10s\nsluicectl wait revision 8");
    CLI::App* ready = tree.command(wait, "ready", "Until a revision is live on all cores", "sluicectl wait ready --timeout 10s",
                                   [&o](const Context& c) { return wait_ready(c, duration(o.timeout)); });
    add_duration(ready, "--timeout", o.timeout, "Give up after [30s]");
    CLI::App* revision = tree.command(wait, "revision", "Until this revision or a later one is live on all cores; 1 if it is rejected", "sluicectl wait revision 8",
                                      [&o](const Context& c) { return wait_revision(c, o.revision, duration(o.timeout)); });
    revision->add_option("N", o.revision, "The revision")->type_name("")->required()->check(is_number(1, UINT64_MAX));
    add_duration(revision, "--timeout", o.timeout, "Give up after [30s]");
}

}  // namespace sluice::ctl
