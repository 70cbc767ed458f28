// drain, undrain: what changes a gateway while it runs.
#include <CLI/CLI.hpp>

#include "ctrl/sluicectl/command_tree.h"

namespace sluice::ctl {

namespace {

struct DrainOptions {
    std::string endpoint, wait = "0";
    bool force = false;
};

constexpr char kEndpointHelp[] = "Not the gateway, but this endpoint of its services: 10.0.0.21:9080, or every port of 10.0.0.21";

}  // namespace

void add_action_commands(CommandTree& tree) {
    auto& o = tree.keep<DrainOptions>();
    CLI::App* on = tree.command(nullptr, "drain", "Finish open requests, accept no new connections (/ready says so); or pick an endpoint no more",
                                "sluicectl drain --wait 30s\nsluicectl drain --endpoint 10.0.0.21:9080 --wait 30s", [&o](const Context& c) {
                                    return o.endpoint.empty() ? drain(c, true, duration(o.wait)) : drain_endpoint(c, o.endpoint, true, o.force, duration(o.wait));
                                });
    CLI::Option* endpoint = on->add_option("--endpoint", o.endpoint, kEndpointHelp)->type_name("ADDRESS");
    add_duration(on, "--wait", o.wait, "Wait so long at most until nothing is under way any more; 1 if something still is");
    on->add_flag("--force", o.force, "Also if a service has no other endpoint left (its requests are answered 503 UH)")->needs(endpoint);

    auto& u = tree.keep<DrainOptions>();
    CLI::App* off = tree.command(nullptr, "undrain", "Accept connections again after drain; or pick an endpoint again",
                                 "sluicectl undrain\nsluicectl undrain --endpoint 10.0.0.21:9080", [&u](const Context& c) {
                                     return u.endpoint.empty() ? drain(c, false, Duration{}) : drain_endpoint(c, u.endpoint, false, false, Duration{});
                                 });
    off->add_option("--endpoint", u.endpoint, kEndpointHelp)->type_name("ADDRESS");
}

}  // namespace sluice::ctl
