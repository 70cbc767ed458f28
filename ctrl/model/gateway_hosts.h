// Which hosts come in by which Gateway.
// In: the Gateways of a revision. Out: look-ups by Gateway and host; their cost grows with a name's labels, not with the hosts.
// Owns its index; keeps nothing of the revision.
// Istio: a server's host is `*`, `*.domain` or a name, `namespace/host` for VirtualServices of that namespace alone.
#pragma once

#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "ctrl/model/mesh_config.h"

namespace sluice::model {

class GatewayHosts {
 public:
    explicit GatewayHosts(const MeshConfig& mesh);

    bool known(const std::string& gateway) const { return gateways_.contains(gateway); }
    // `host` as the VirtualService writes it. A wildcard is taken where some name under it is.
    bool takes(const std::string& gateway, const ObjectBase& service, const std::string& host) const;
    // The names for which both speak, narrower of two that overlap; at most 100.
    std::vector<std::string> shared(const std::string& gateway, const ObjectBase& service, const std::string& host) const;
    bool has_port(const std::string& gateway, uint32_t port) const;
    // Some of its hosts, for people: "shop.example, *.example.com and 3 more".
    std::string sample(const std::string& gateway) const;

 private:
    struct Gateway {
        std::string ns;
        std::unordered_map<std::string, std::set<std::string>> hosts;  // lower case -> namespaces
        std::vector<std::string> in_order;
        std::set<uint32_t> ports;
    };
    static bool allows(const Gateway& gateway, const std::string& open, const ObjectBase& service);

    std::unordered_map<std::string, Gateway> gateways_;  // by ns/name
};

}  // namespace sluice::model
