// config: the mesh configuration in force.
#include <CLI/CLI.hpp>

#include "ctrl/sluicectl/command_tree.h"

namespace sluice::ctl {

void add_config_commands(CommandTree& tree) {
    CLI::App* config = tree.command(nullptr, "config", "The configuration in force", "sluicectl config show");
    tree.command(config, "show", "Revision in force, and what was rejected, with its place and cure", "sluicectl config show", config_show);
}

}  // namespace sluice::ctl
