// What a Snapshot was made of, kept with it so that the next build finds by hashes alone what did not change.
// In: one build's resources. Out: for the next build, the parts to take over. Of resources only what tells them apart is kept.
// Immutable once the build is done; owned by its Snapshot. Internal to ctrl/apply.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "snapshot/snapshot.h"

namespace sluice::apply {

/// A cluster as it was read: its part is Snapshot::clusters[id].
struct ClusterOrigin {
    uint64_t hash = 0;              // of the resource
    uint64_t assignment_hash = 0;   // of its ClusterLoadAssignment; 0: there was none
    uint32_t id = 0;
    std::vector<uint32_t> contexts = {};   // of TLS, that its transport sockets name
};

/// A context of TLS towards backends: what it was made of.
struct ContextOrigin {
    std::shared_ptr<const envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext> settings;
    uint64_t settings_hash = 0;
    uint64_t secrets_hash = 0;             // of the secrets it names, as they were
    std::vector<std::string> secrets;
    envoy::extensions::transport_sockets::tls::v3::CertificateValidationContext secret_names;   // Materials::secret_names
};

/// A virtual host of a table as it was read, and what it took from the clusters: it stays good while these ids are in use and those names
/// are unknown.
struct HostOrigin {
    uint64_t hash = 0;                          // of the resource
    std::vector<uint32_t> cluster_ids;          // distinct
    std::vector<std::string> unknown_clusters;
};

struct TableOrigin {
    uint64_t settings_hash = 0;                              // of all that its hosts have in common
    std::vector<std::shared_ptr<const HostOrigin>> hosts;    // in the table's order
};

struct Origin : snapshot::SnapshotOrigin {
    std::vector<ClusterOrigin> clusters;        // in the order of their names
    std::map<uint32_t, ContextOrigin> contexts; // by id
    std::unordered_map<const route::RouteTable*, std::shared_ptr<const TableOrigin>> tables;
};

}  // namespace sluice::apply
