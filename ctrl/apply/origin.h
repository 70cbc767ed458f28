// What a Snapshot was made of, kept with it so that the next build finds by hashes alone what did not change.
// In: one build's resources. Out: for the next build, the parts to take over. No resource is kept, only what tells it apart.
// Immutable once the build is done; owned by its Snapshot. Internal to ctrl/apply.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "snapshot/snapshot.h"

namespace sluice::apply {

/// A cluster as it was read: its part is Snapshot::clusters[id].
struct ClusterOrigin {
    uint64_t hash = 0;              // of the resource
    uint64_t assignment_hash = 0;   // of its ClusterLoadAssignment; 0: there was none
    uint32_t id = 0;
    uint64_t secrets_hash = 0;      // of all secrets, where it may use one; else 0
};

/// What a table took from the clusters: it stays good while these ids are in use and those names are unknown.
struct TableOrigin {
    std::vector<uint32_t> cluster_ids;          // distinct
    std::vector<std::string> unknown_clusters;
};

struct Origin : snapshot::SnapshotOrigin {
    std::vector<ClusterOrigin> clusters;        // in the order of their names
    std::unordered_map<const route::RouteTable*, std::shared_ptr<const TableOrigin>> tables;
};

}  // namespace sluice::apply
