// connections, capture: what goes on between the gateway and its peers.
#include <CLI/CLI.hpp>

#include "ctrl/sluicectl/command_tree.h"

namespace sluice::ctl {

namespace {

struct ListOptions {
    std::string port, host, cluster, peer, state, idle, sort, limit;
};

struct OneOptions {
    std::string id, wait = "10s";
    bool reset = false;
};

Filters filters_of(const ListOptions& o) {
    Filters filters;
    const auto put = [&](const char* name, const std::string& value) {
        if (!value.empty()) filters[name] = value;
    };
    put("port", o.port), put("host", o.host), put("cluster", o.cluster), put("peer", o.peer), put("state", o.state), put("sort", o.sort), put("limit", o.limit);
    if (!o.idle.empty()) filters["idle_us"] = std::to_string(duration(o.idle).us);
    return filters;
}

void add_list(CommandTree& tree, CLI::App* connections) {
    auto& o = tree.keep<ListOptions>();
    CLI::App* list = tree.command(connections, "list", "Open connections of both sides, with what each is doing",
                                  "sluicectl connections list --sort bytes --limit 20\nsluicectl connections list --cluster reviews --state established\n"
                                  "sluicectl connections list --peer 198.51.100.0/24 --idle 5m",
                                  [&o](const Context& c) { return connections_list(c, filters_of(o)); });
    list->add_option("--port", o.port, "Only those with this port at either end")->type_name("PORT")->check(is_number(1, 65535));
    list->add_option("--host", o.host, "Only those with a request for this host under way")->type_name("NAME");
    list->add_option("--cluster", o.cluster, "Only those of or towards this cluster or service")->type_name("NAME");
    list->add_option("--peer", o.peer, "Only those whose remote address is in this prefix")->type_name("CIDR");
    list->add_option("--state", o.state, "Only those in this TCP state (established, ...), or of this side: downstream, upstream")->type_name("STATE");
    list->add_option("--idle", o.idle, "Only those idle for so long")->type_name("TIME")->check(is_duration);
    list->add_option("--sort", o.sort, "The largest first, by bytes, age, idle, rtt or requests")->type_name("KEY")->check(CLI::IsMember({"bytes", "age", "idle", "rtt", "requests"}));
    list->add_option("--limit", o.limit, "At most so many [100]")->type_name("N")->check(is_number(1, 100'000));
}

struct CaptureCommand : CaptureOptions {
    std::string span = "0", snap, count;
};

void add_capture(CommandTree& tree) {
    auto& o = tree.keep<CaptureCommand>();
    CLI::App* capture = tree.command(nullptr, "capture", "Copy frames of the ports into a pcapng file, or to stdout for Wireshark",
                                     "sluicectl capture --port outside --filter 'host 192.0.2.7 and tcp port 80' -w client.pcapng --duration 30s\n"
                                     "sluicectl capture --connection 0.17.5 -w one.pcapng\nsluicectl capture --filter arp | wireshark -k -i -",
                                     [&o](const Context& c) {
                                         CaptureOptions wanted = o;
                                         wanted.duration = duration(o.span);
                                         if (!o.snap.empty()) wanted.snap_bytes = std::stoull(o.snap);
                                         if (!o.count.empty()) wanted.frames_max = std::stoull(o.count);
                                         return ctl::capture(c, wanted);
                                     });
    capture->add_option("--port", o.ports, "Only this port; may be given more than once")->type_name("NAME");
    capture->add_option("--connection", o.connection, "Only this connection and the one it is paired with")->type_name("ID");
    capture->add_option("--filter", o.filter, "Only frames that match, in libpcap's syntax (man pcap-filter)")->type_name("EXPRESSION");
    capture->add_option("--snap", o.snap, "At most so many bytes of each frame")->type_name("BYTES")->check(is_number(14, 262144));
    capture->add_option("--count", o.count, "End after so many frames")->type_name("N")->check(is_number(1, UINT64_MAX));
    add_duration(capture, "--duration", o.span, "End after so long");
    capture->add_option("-w,--write", o.file, "The file to write; - is stdout, the default")->type_name("FILE");
}

}  // namespace

void add_connection_commands(CommandTree& tree) {
    CLI::App* connections = tree.command(nullptr, "connections", "Connections of the cores: list, show, close", "sluicectl connections list");
    add_list(tree, connections);
    auto& shown = tree.keep<OneOptions>();
    tree.command(connections, "show", "Everything about one connection: TCP, HTTP, the other side", "sluicectl connections show 0.17.5",
                 [&shown](const Context& c) { return connections_show(c, shown.id); })
        ->add_option("ID", shown.id, "As `connections list` shows it")->required();
    auto& closed = tree.keep<OneOptions>();
    CLI::App* close = tree.command(connections, "close", "Close a connection after the request that it carries, or reset it at once",
                                   "sluicectl connections close 0.17.5\nsluicectl connections close 0.17.5 --reset",
                                   [&closed](const Context& c) { return connections_close(c, closed.id, closed.reset, duration(closed.wait)); });
    close->add_option("ID", closed.id, "As `connections list` shows it")->required();
    close->add_flag("--reset", closed.reset, "Cut it now: RST to the peer");
    add_duration(close, "--wait", closed.wait, "Look for so long whether it is gone [10s]");
    add_capture(tree);
}

}  // namespace sluice::ctl
