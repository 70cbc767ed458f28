// pc (proxy-config): the tables in force, with their counters.
#include <CLI/CLI.hpp>

#include "ctrl/sluicectl/command_tree.h"

namespace sluice::ctl {

namespace {

struct FilterOptions {
    std::string host, port, source;
};

struct TableCommand {
    const char* name;
    const char* what;
    const char* examples;
    int (*show)(const Context&, const Filters&);
    const char* host_help;   // null: it has no host
    bool has_port = true;
};

void add_table(CommandTree& tree, CLI::App* pc, const TableCommand& table) {
    auto& o = tree.keep<FilterOptions>();
    CLI::App* sub = tree.command(pc, table.name, table.what, table.examples, [&o, show = table.show](const Context& c) {
        Filters filters;
        if (!o.host.empty()) filters["host"] = o.host;
        if (!o.port.empty()) filters["port"] = o.port;
        if (!o.source.empty()) filters["source"] = o.source;
        return show(c, filters);
    });
    if (table.host_help) sub->add_option("--host", o.host, table.host_help)->type_name("NAME");
    if (table.has_port) sub->add_option("--port", o.port, table.host_help ? "Only this port of it" : "Only this port")->type_name("PORT")->check(is_number(1, 65535));
    sub->add_option("--source", o.source, "Only what was written here: mesh/reviews.yaml, or with its line, mesh/reviews.yaml:14")->type_name("PLACE");
}

}  // namespace

void add_proxy_config_commands(CommandTree& tree) {
    CLI::App* pc = tree.command(nullptr, "pc", "Proxy config: the tables in force, with counters", "sluicectl pc routes --host shop.example");
    pc->alias("proxy-config");
    add_table(tree, pc, {"listeners", "Where the gateway listens", "sluicectl pc listeners --port 80", listeners, nullptr});
    add_table(tree, pc, {"routes", "Routes in the order they are tried, with hits and where they were written",
                         "sluicectl pc routes --host shop.example\nsluicectl pc routes --source mesh/reviews.yaml -o wide", routes, "Only the virtual host that serves this name"});
    add_table(tree, pc, {"clusters", "Services and their subsets", "sluicectl pc clusters --host reviews.shop", clusters, "Only this service"});
    add_table(tree, pc, {"endpoints", "Addresses behind services, up or down", "sluicectl pc endpoints --host reviews.shop --port 9080", endpoints,
                         "Only this service"});
    add_table(tree, pc, {"secrets", "Certificates and roots: in force or refused, and until when", "sluicectl pc secrets\nsluicectl pc secrets -o wide", secrets, nullptr, false});
}

}  // namespace sluice::ctl
