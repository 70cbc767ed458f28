// One whole build: clusters first (routes refer to their ids), then listeners, then the tables they ask for.
// In: the state of the world. Out: a Snapshot, or every refusal there is. Nothing is kept of a build that failed but ids.
// Control thread.
#include <set>

#include "ctrl/apply/apply.h"
#include "ctrl/apply/readers.h"

namespace sluice::apply {
namespace {

using snapshot::Publisher;
using snapshot::Snapshot;

void build_clusters(Build& build, Snapshot& out) {
    for (const auto& [name, cluster] : build.resources.clusters) {
        const uint32_t id = build.publisher.id_of(Publisher::IdKind::kCluster, name);
        if (id == UINT32_MAX) {
            build.sink.begin("envoy.config.cluster.v3.Cluster", name);
            build.sink.add("", "more clusters than this gateway has room for");
            return;
        }
        build.cluster_ids.emplace(name, id);
        if (out.clusters.size() <= id) out.clusters.resize(id + 1);
        out.clusters[id] = read_cluster(build, cluster, id);
        if (build.sink.full()) return;
    }
    // Two snapshots' worth of parts must fit while the old one retires.
    if (build.resources.clusters.size() * 4 > snapshot::kPartsMax) build.sink.add("", "more clusters than this gateway has room for");
}

void check_ports(Build& build, const Snapshot& out) {
    std::map<SocketAddress, const snapshot::Listener*> taken;
    for (const auto& listener : out.listeners) {
        const auto [other, added] = taken.emplace(listener->address, listener.get());
        if (added) continue;
        build.sink.begin("envoy.config.listener.v3.Listener", listener->name);
        build.sink.add("address", listener->address.to_string() + " is taken by listener " + other->second->name,
                       {listener->source, listener->object});
    }
}

/// Tables of all RDS resources, and inline ones; the chain of a table is that of the first listener that uses it.
void build_tables(Build& build, std::vector<ReadListener>& listeners, Snapshot& out) {
    std::map<std::string, std::shared_ptr<const route::RouteTable>> tables;
    const auto add = [&](const RouteRequest& request) {
        auto table = read_routes(build, request);
        if (table && tables.emplace(request.name, table).second) out.routes.push_back(std::move(table));
    };
    std::map<std::string, RouteRequest*> requests;
    for (auto& listener : listeners) {
        RouteRequest& request = listener.routes;
        if (request.config) {
            add(request);
            continue;
        }
        const auto [known, is_new] = requests.emplace(request.name, &request);
        if (is_new || known->second->chain == request.chain) continue;
        build.sink.begin("envoy.config.listener.v3.Listener", listener.listeners.front()->name);
        build.sink.add("", "routes " + request.name + " are shared with a listener that has other HTTP filters: not supported yet");
    }
    for (const auto& [name, config] : build.resources.routes) {
        if (build.sink.full()) return;
        const auto asked = requests.find(name);
        RouteRequest request{name, &*config, config.hash(), asked == requests.end() ? std::vector<std::string>() : asked->second->chain};
        add(request);
    }
    for (const auto& listener : listeners) {
        const auto table = tables.find(listener.routes.name);
        for (const auto& part : listener.listeners) {
            for (const auto& chain : part->chains) {
                if (out.chains.size() <= chain.id) out.chains.resize(chain.id + 1);
                out.chains[chain.id].routes = table == tables.end() ? nullptr : table->second.get();
            }
        }
    }
}

}  // namespace

std::expected<std::unique_ptr<Snapshot>, std::vector<Nack>> build(const xds::ResourceSet& resources, const Snapshot* previous,
                                                                 Publisher& publisher, uint64_t revision, std::string version,
                                                                 const OwnAccessLog& own_log) {
    NackSink sink;
    Build state{resources, previous, publisher, sink, own_log, {}};
    auto snapshot = std::make_unique<Snapshot>();
    snapshot->revision = revision;
    snapshot->version = std::move(version);
    build_clusters(state, *snapshot);
    std::vector<ReadListener> listeners;
    for (const auto& [name, listener] : resources.listeners) {
        if (sink.full()) break;
        ReadListener read;
        if (!read_listener(state, listener, read)) continue;
        for (const auto& part : read.listeners) snapshot->listeners.push_back(part);
        listeners.push_back(std::move(read));
    }
    check_ports(state, *snapshot);
    build_tables(state, listeners, *snapshot);
    if (sink.size() != 0) return std::unexpected(sink.take());
    return snapshot;
}

bool could_adopt(const Snapshot& snapshot) {
    for (const auto& table : snapshot.routes) {
        if (table->could_adopt()) return true;
    }
    return false;
}

}  // namespace sluice::apply
