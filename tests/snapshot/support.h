// Small snapshots for tests: clusters with one endpoint, whose parts count themselves and are poisoned when freed.
// In: cluster names with versions. Out: snapshots that share unchanged parts with the one before.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>

#include "snapshot/snapshot.h"

namespace sluice::snapshot::test {

inline constexpr uint32_t kHealthy = 0x600d, kFreed = 0xdead;

/// Parts alive; the poison is what a reader of freed memory would see without a sanitizer.
inline std::atomic<int>& live_parts() {
    static std::atomic<int> count{0};
    return count;
}

inline std::shared_ptr<upstream::EndpointSet> make_endpoints(uint32_t id) {
    auto* set = new upstream::EndpointSet;
    set->endpoints.push_back({id, {}, 1, 0, {}});
    set->lowest_priority_count = kHealthy;
    live_parts()++;
    return {set, [](upstream::EndpointSet* p) {
                p->lowest_priority_count = kFreed;
                live_parts()--;
                delete p;
            }};
}

inline std::shared_ptr<upstream::Cluster> make_cluster(uint32_t id, std::string name, std::shared_ptr<const upstream::EndpointSet> set) {
    auto* cluster = new upstream::Cluster;
    cluster->id = id;
    cluster->name = std::move(name);
    cluster->max_connections = kHealthy;
    cluster->endpoints = std::move(set);
    live_parts()++;
    return {cluster, [](upstream::Cluster* p) {
                p->max_connections = kFreed;
                live_parts()--;
                delete p;
            }};
}

/// Clusters by name, each with a version: one that `previous` has with the same version is shared.
inline std::unique_ptr<Snapshot> make_snapshot(Publisher& publisher, const std::map<std::string, int>& clusters, uint64_t revision) {
    auto snapshot = std::make_unique<Snapshot>();
    snapshot->revision = revision;
    for (const auto& [name, version] : clusters) {
        const uint32_t id = publisher.id_of(Publisher::IdKind::kCluster, name);
        if (snapshot->clusters.size() <= id) snapshot->clusters.resize(id + 1);
        const Snapshot* previous = publisher.current();
        const upstream::Cluster* before = previous && id < previous->clusters.size() ? previous->clusters[id].get() : nullptr;
        if (before && before->name == name && before->content_hash == static_cast<uint64_t>(version)) {
            snapshot->clusters[id] = previous->clusters[id];
            continue;
        }
        auto made = make_cluster(id, name, make_endpoints(publisher.id_of(Publisher::IdKind::kEndpoint, name)));
        made->content_hash = static_cast<uint64_t>(version);
        snapshot->clusters[id] = made;
    }
    return snapshot;
}

}  // namespace sluice::snapshot::test
