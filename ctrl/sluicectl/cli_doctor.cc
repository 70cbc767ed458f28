// doctor: the machine looked over for a gateway, before it starts or while it runs.
#include <CLI/CLI.hpp>

#include "ctrl/sluicectl/command_tree.h"

namespace sluice::ctl {

namespace {

struct DoctorOptions {
    std::string config = "/etc/sluice/sluice.yaml";
};

}  // namespace

void add_doctor_commands(CommandTree& tree) {
    auto& o = tree.keep<DoctorOptions>();
    CLI::App* command = tree.command(nullptr, "doctor", "Look this machine over for the gateway: each finding with the command that cures it; 1 warnings, 2 it would fail",
                                     "sluicectl doctor\nsluicectl doctor --config ./sluice.yaml\nsluicectl doctor -o json",
                                     [&o](const Context& c) { return doctor(c, o.config); });
    command->add_option("-c,--config", o.config, "The gateway's own file [/etc/sluice/sluice.yaml]")->type_name("FILE");
}

}  // namespace sluice::ctl
