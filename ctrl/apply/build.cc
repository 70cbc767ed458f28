// One whole build: clusters first (routes refer to their ids), then listeners, then the tables they ask for.
// In: the state of the world. Out: a Snapshot, or every refusal there is. Nothing is kept of a build that failed but ids.
// What did not change is found by the hashes of the build before (origin.h) and taken over unread: an edit of one cluster
// among many costs that cluster and a walk over the others' hashes.
// Control thread.
#include <ctime>

#include "ctrl/apply/apply.h"
#include "ctrl/apply/client_contexts.h"
#include "ctrl/apply/readers.h"

namespace sluice::apply {
namespace {

using snapshot::Publisher;
using snapshot::Snapshot;

/// Clusters in the order of their names, beside those of the build before and the assignments, in the same order.
class ClusterWalk {
 public:
    ClusterWalk(Build& build, Snapshot& out)
        : build_(build), out_(out), assignment_(build.resources.endpoints.begin()) {}
    void run();

 private:
    bool in_step(const std::string& name, const ClusterResource& cluster);
    bool take_over(const ClusterResource& cluster);
    void read(const std::string& name, const ClusterResource& cluster);
    Assignment assignment_of(const ClusterResource& cluster);
    std::shared_ptr<const upstream::Cluster>& place_of(uint32_t id);

    Build& build_;
    Snapshot& out_;
    xds::Resources<envoy::config::endpoint::v3::ClusterLoadAssignment>::const_iterator assignment_;   // where it is likely to be
    size_t next_ = 0;        // of the build before
    size_t taken_ids_ = 0;   // ids that the build before had too
};

std::shared_ptr<const upstream::Cluster>& ClusterWalk::place_of(uint32_t id) {
    if (out_.clusters.size() <= id) {
        out_.clusters.resize(id + 1);
        build_.has_cluster.resize(id + 1);
    }
    build_.has_cluster[id] = true;
    const auto* previous = build_.previous;
    taken_ids_ += previous && id < previous->clusters.size() && previous->clusters[id] != nullptr;
    return out_.clusters[id];
}

/// True if the build before had this very cluster: then next_ is its place. Equal hashes are equal names too, as read_cluster()
/// takes a cluster under its own name only; so names are compared only behind what is new, changed or gone.
bool ClusterWalk::in_step(const std::string& name, const ClusterResource& cluster) {
    if (!build_.before) return false;
    const auto& before = build_.before->clusters;
    if (next_ < before.size() && before[next_].hash == cluster.hash()) return true;
    const auto name_of = [&](size_t at) -> const std::string& { return build_.previous->clusters[before[at].id]->name; };
    while (next_ < before.size() && name_of(next_) < name) next_++;
    if (next_ == before.size() || name_of(next_) != name) return false;
    if (before[next_].hash == cluster.hash()) return true;
    next_++;
    return false;
}

/// The part of the build before, if the cluster's assignment did not change either.
bool ClusterWalk::take_over(const ClusterResource& cluster) {
    const ClusterOrigin& origin = build_.before->clusters[next_++];
    for (const uint32_t context : origin.contexts)
        if (!build_.client_contexts.stands(context)) return false;
    const auto end = build_.resources.endpoints.end();
    if (assignment_ != end && assignment_->second.hash() == origin.assignment_hash) {
        ++assignment_;
    } else if (origin.assignment_hash != origin.hash && assignment_of(cluster).hash != origin.assignment_hash) {
        return false;   // one that is part of the cluster has the cluster's hash
    }
    place_of(origin.id) = build_.previous->clusters[origin.id];
    for (const uint32_t context : origin.contexts) build_.client_contexts.use(context);
    build_.origin.clusters.push_back(origin);
    return true;
}

/// A STATIC cluster's endpoints are part of it, and so of its hash.
Assignment ClusterWalk::assignment_of(const ClusterResource& cluster) {
    using Proto = envoy::config::cluster::v3::Cluster;
    if (cluster->type() == Proto::STATIC) return cluster->has_load_assignment() ? Assignment{&cluster->load_assignment(), cluster.hash()} : Assignment{};
    const std::string& service = cluster->eds_cluster_config().service_name();
    const auto found = build_.resources.endpoints.find(service.empty() ? cluster->name() : service);
    if (found == build_.resources.endpoints.end()) return {};
    assignment_ = std::next(found);
    return {&*found->second, found->second.hash()};
}

void ClusterWalk::read(const std::string& name, const ClusterResource& cluster) {
    const uint32_t id = build_.publisher.id_of(Publisher::IdKind::kCluster, name);
    if (id == UINT32_MAX) {
        build_.sink.begin("envoy.config.cluster.v3.Cluster", name);
        build_.sink.add("", "more clusters than this gateway has room for");
        return;
    }
    const Assignment assignment = assignment_of(cluster);
    place_of(id) = read_cluster(build_, {name, cluster, assignment, id});
    for (const uint32_t context : build_.origin_contexts) build_.client_contexts.use(context);
    build_.origin.clusters.push_back({cluster.hash(), assignment.hash, id, build_.origin_contexts});
}

void ClusterWalk::run() {
    const auto& clusters = build_.resources.clusters;
    if (build_.previous) {
        out_.clusters.resize(build_.previous->clusters.size());
        build_.has_cluster.resize(out_.clusters.size());
    }
    build_.origin.clusters.reserve(clusters.size());
    for (const auto& [name, cluster] : clusters) {
        if (in_step(name, cluster) && take_over(cluster)) continue;
        read(name, cluster);
        if (build_.sink.full()) return;
    }
    build_.same_clusters = build_.before && taken_ids_ == clusters.size() && build_.before->clusters.size() == clusters.size();
    // Two snapshots' worth of parts must fit while the old one retires.
    if (clusters.size() * 4 > snapshot::kPartsMax) build_.sink.add("", "more clusters than this gateway has room for");
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
        for (auto& chain : listener.chains) {
            RouteRequest& request = chain.routes;
            if (request.config) {
                add(request);
                continue;
            }
            const auto [known, is_new] = requests.emplace(request.name, &request);
            if (is_new || known->second->chain == request.chain) continue;
            build.sink.begin("envoy.config.listener.v3.Listener", listener.listeners.front()->name);
            build.sink.add("", "routes " + request.name + " are shared with a listener that has other HTTP filters: not supported yet");
        }
    }
    for (const auto& [name, config] : build.resources.routes) {
        if (build.sink.full()) return;
        const auto asked = requests.find(name);
        add({name, config, asked == requests.end() ? std::vector<std::string>() : asked->second->chain});
    }
    for (const auto& listener : listeners) {
        for (const auto& part : listener.listeners) {
            for (size_t i = 0; i < part->chains.size(); i++) {
                const uint32_t id = part->chains[i].id;
                const auto table = tables.find(listener.chains[i].routes.name);
                if (out.chains.size() <= id) out.chains.resize(id + 1);
                out.chains[id].routes = table == tables.end() ? nullptr : table->second.get();
                out.chains[id].tls = listener.chains[i].tls;
            }
        }
    }
}

}  // namespace

std::expected<std::unique_ptr<Snapshot>, std::vector<Nack>> build(const xds::ResourceSet& resources, const Snapshot* previous,
                                                                 Publisher& publisher, uint64_t revision, std::string version,
                                                                 const OwnAccessLog& own_log, const TlsInputs& tls) {
    NackSink sink;
    auto origin = std::make_shared<Origin>();
    const snapshot::TlsState* tls_before = tls.before ? tls.before : previous ? previous->tls.get() : nullptr;
    Secrets secrets(resources, tls_before, tls.now_s ? tls.now_s : std::time(nullptr), tls.strict, sink);
    const Origin* before = previous ? dynamic_cast<const Origin*>(previous->origin.get()) : nullptr;
    ClientContexts contexts(secrets, tls, publisher, {previous, before});
    Build state{resources, previous, before, publisher, sink, own_log, *origin, secrets, tls, contexts};
    auto snapshot = std::make_unique<Snapshot>();
    snapshot->revision = revision;
    snapshot->version = std::move(version);
    ClusterWalk(state, *snapshot).run();
    std::vector<ReadListener> listeners;
    for (const auto& [name, listener] : resources.listeners) {
        if (sink.full()) break;
        ReadListener read;
        if (!read_listener(state, listener, read)) continue;
        for (const auto& part : read.listeners) snapshot->listeners.push_back(part);
        listeners.push_back(std::move(read));
    }
    for (const auto& listener : snapshot->listeners)
        for (const auto& chain : listener->chains)
            snapshot->backends_texts |= chain.http.access_logs && chain.http.access_logs->captures().certificate_texts(true);
    check_ports(state, *snapshot);
    build_tables(state, listeners, *snapshot);
    if (sink.size() != 0) return std::unexpected(sink.take());
    snapshot->client_contexts = contexts.take(*origin);
    snapshot->origin = std::move(origin);
    snapshot->tls = secrets.take();
    return snapshot;
}

bool could_adopt(const Snapshot& snapshot) {
    for (const auto& table : snapshot.routes) {
        if (table->could_adopt()) return true;
    }
    return false;
}

}  // namespace sluice::apply
