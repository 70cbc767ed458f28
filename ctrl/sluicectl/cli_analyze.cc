// analyze: config without a gateway.
#include <CLI/CLI.hpp>

#include "ctrl/model/codes.h"
#include "ctrl/sluicectl/analyze.h"
#include "ctrl/sluicectl/command_tree.h"

namespace sluice::ctl {

namespace {

std::string is_code(const std::string& text) { return find_code(text) ? "" : "`" + text + "` is no code: docs/errors.md lists them"; }

}  // namespace

void add_analyze_commands(CommandTree& tree) {
    auto& o = tree.keep<AnalyzeOptions>();
    CLI::App* analyze = tree.command(nullptr, "analyze", "Find mistakes in mesh files, and in the gateway's own; needs no gateway. 1 if anything is found",
                                     "sluicectl analyze /etc/sluice/mesh\nsluicectl analyze --config /etc/sluice/sluice.yaml\n"
                                     "sluicectl analyze --config sluice.yaml new/*.yaml -o json\nsluicectl analyze --explain SLC0104",
                                     [&o](const Context& c) { return ctl::analyze(c, o); });
    analyze->add_option("PATH", o.paths, "Files, directories, or - for standard input; with --config the default is its mesh.directory")->type_name("");
    analyze->add_option("--config", o.host_file, "The gateway's own file: checked too, and the mesh is looked at as this gateway sees it")->type_name("FILE");
    analyze->add_option("--failure-threshold", o.threshold, "Exit with 1 from this severity on: error, warning or info [warning]")
        ->type_name("SEVERITY")
        ->check(CLI::IsMember({"error", "warning", "info"}));
    analyze->add_option("--explain", o.code, "Say what a code means, with an example and the cure")->type_name("CODE")->check(is_code);
}

}  // namespace sluice::ctl
