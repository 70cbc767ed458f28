// All that can be said about config without a running gateway: the gateway's own file, mesh files, one against the other.
// In: paths, perhaps the gateway's file. Out: a Report, and what was read of it for those who go on (sluiced --check).
// An Analysis owns everything; nothing is kept between two.
// The same readers and checks as the gateway's control thread: what is an error here is refused there.
#pragma once

#include <istream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ctrl/analyze/report.h"
#include "ctrl/host/gateway_host.h"
#include "ctrl/model/mesh_config.h"
#include "ctrl/xds/resources.h"

namespace sluice::analyze {

struct Request {
    std::vector<std::string> paths;        // files, directories, `-` for `in`; empty: the mesh directory that `host_file` names
    std::optional<std::string> host_file;  // also read, and the mesh looked at as this gateway sees it
    std::istream* in = nullptr;
};

struct Analysis {
    Report report;
    std::optional<host::GatewayHost> host;              // of host_file, when it is good
    std::shared_ptr<const model::MeshConfig> mesh;      // null when an error was found in it
    std::shared_ptr<const xds::ResourceSet> resources;  // for `host`; null without it or with errors
    std::string mesh_hash;
};

Analysis analyze(const Request& request);

}  // namespace sluice::analyze
