// Mesh config -> the xDS resources of one proxy, with istiod's names and shapes.
// In: a MeshConfig that check() passed, and who the proxy is. Out: a ResourceSet, or why there is none.
// Pure function; the result owns its messages.
// Envoy v3 xDS; Istio networking API v1. docs/istio.md says where we differ from istiod.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "ctrl/model/diagnostic.h"
#include "ctrl/model/mesh_config.h"
#include "ctrl/xds/resources.h"

namespace sluice::translate {

struct ProxyNode {
    std::string id;
    std::string ns = "istio-system";
    model::Labels labels;                        // what Gateway selectors match
    std::string locality;                        // region/zone/subzone
    std::vector<std::string> listen_addresses;   // IPs of the ports marked `listen`; none: 0.0.0.0
    std::string access_log_path = "/dev/stdout";  // empty: no access log
    bool access_log_json = false;                // else Envoy's default text
};

// Warnings are appended to `warnings` when it is given: a VirtualService that reaches no server, say.
std::expected<xds::ResourceSet, std::vector<Diagnostic>> translate(const model::MeshConfig& mesh, const ProxyNode& node,
                                                                   std::vector<Diagnostic>* warnings = nullptr);

}  // namespace sluice::translate
