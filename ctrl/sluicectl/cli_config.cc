// config: the mesh configuration in force, the revisions before it, and how to change it.
#include <CLI/CLI.hpp>

#include "ctrl/sluicectl/command_tree.h"
#include "ctrl/sluicectl/config_commands.h"

namespace sluice::ctl {

namespace {

struct ShowOptions {
    std::string revision;
    bool files = false;
};

struct DiffOptions {
    std::string from = "in_force", to;
    bool resources = false;
};

struct EditOptions {
    ApplyOptions apply;
    uint64_t revision = 0;
    std::string wait = "30s";
};

void add_show(CommandTree& tree, CLI::App* config) {
    auto& o = tree.keep<ShowOptions>();
    CLI::App* show = tree.command(config, "show", "Revision in force, and what was rejected, with its place and cure",
                                  "sluicectl config show\nsluicectl config show --revision 7 --files", [&o](const Context& c) {
                                      if (o.revision.empty() && !o.files) return config_show(c);
                                      return config_show_revision(c, o.revision.empty() ? "in_force" : o.revision, o.files);
                                  });
    show->add_option("--revision", o.revision, "Another one: a number, in_force, refused or directory")->type_name("N")->check(is_revision);
    show->add_flag("--files", o.files, "Its files as they were");
}

void add_diff(CommandTree& tree, CLI::App* config) {
    auto& o = tree.keep<DiffOptions>();
    CLI::App* diff = tree.command(config, "diff", "What changed between two revisions, or since the one in force; 1 if anything did",
                                  "sluicectl config diff\nsluicectl config diff 7 8\nsluicectl config diff 7 --resources", [&o](const Context& c) {
                                      const bool from_given = o.from != "in_force";
                                      return config_diff(c, o.from, !o.to.empty() ? o.to : from_given ? "in_force" : "directory", o.resources);
                                  });
    diff->add_option("FROM", o.from, "A revision: a number, in_force, refused or directory [in_force]")->type_name("")->check(is_revision);
    diff->add_option("TO", o.to, "Another [the one in force, or the directory if FROM is that]")->type_name("")->check(is_revision);
    diff->add_flag("--resources", o.resources, "Listeners, routes, clusters and endpoints instead of lines");
}

void add_apply(CommandTree& tree, CLI::App* config) {
    auto& o = tree.keep<EditOptions>();
    CLI::App* apply = tree.command(config, "apply", "Put files into the mesh directory: validated first, all or none, live on all cores at the end",
                                   "sluicectl config apply reviews.yaml\nsluicectl config apply mesh/ --prune --dry-run\nsluicectl config apply --delete old.yaml", [&o](const Context& c) {
                                       if (o.apply.paths.empty() && o.apply.remove.empty()) return fail(c, {2, "name a file or a folder, or --delete one"});
                                       o.apply.wait = duration(o.wait);
                                       return config_apply(c, o.apply);
                                   });
    apply->add_option("PATH", o.apply.paths, "Files, or folders of them; other files of the mesh directory stay")->type_name("");
    apply->add_option("--delete", o.apply.remove, "Remove this file of the mesh directory in the same step")->type_name("FILE")->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    apply->add_flag("--prune", o.apply.prune, "Remove every file that is not given");
    apply->add_flag("--dry-run", o.apply.dry_run, "Validate, show the difference, change nothing");
    add_duration(apply, "--wait", o.wait, "For all cores, at most so long; 0s: not at all [30s]");
}

void add_rollback(CommandTree& tree, CLI::App* config) {
    auto& o = tree.keep<EditOptions>();
    CLI::App* rollback = tree.command(config, "rollback", "Put the files of an earlier revision back into the mesh directory, and show what that changes",
                                      "sluicectl config rollback\nsluicectl config rollback 7 --dry-run",
                                      [&o](const Context& c) { return config_rollback(c, o.revision, o.apply.dry_run, duration(o.wait)); });
    rollback->add_option("N", o.revision, "The revision [the one in force if the directory holds something else, otherwise the good one before]")
        ->type_name("")->check(is_number(1, UINT64_MAX));
    rollback->add_flag("--dry-run", o.apply.dry_run, "Show what would change, change nothing");
    add_duration(rollback, "--wait", o.wait, "For all cores, at most so long; 0s: not at all [30s]");
}

}  // namespace

void add_config_commands(CommandTree& tree) {
    CLI::App* config = tree.command(nullptr, "config", "The configuration in force, the revisions before it, and how to change it", "sluicectl config show");
    add_show(tree, config);
    tree.command(config, "history", "The revisions that were: when, from where, with what outcome; 1 if they are not kept safely", "sluicectl config history\nsluicectl config history -o wide", config_history);
    add_diff(tree, config);
    add_apply(tree, config);
    add_rollback(tree, config);
}

}  // namespace sluice::ctl
