// drain, undrain: what changes a gateway while it runs.
#include <CLI/CLI.hpp>

#include "ctrl/sluicectl/command_tree.h"

namespace sluice::ctl {

void add_action_commands(CommandTree& tree) {
    tree.command(nullptr, "drain", "Finish open requests, accept no new connections; /ready says so", "sluicectl drain",
                 [](const Context& c) { return drain(c, true); });
    tree.command(nullptr, "undrain", "Accept connections again after drain", "sluicectl undrain", [](const Context& c) { return drain(c, false); });
}

}  // namespace sluice::ctl
