// One field after another.
// In: GatewayHost. Out: ProxyNode.
// Owns nothing.
// Gateways without `bind` open on the ports marked `listen`.
#include "ctrl/analyze/proxy_node.h"

namespace sluice::analyze {

translate::ProxyNode proxy_node(const host::GatewayHost& host) {
    translate::ProxyNode node{.id = host.node.id, .ns = host.node.ns, .labels = {}, .locality = host.node.locality,
                              .listen_addresses = {}, .access_log_path = host.access_log.path};
    node.trust_domain = host.mesh.trust_domain;
    node.trust_domain_aliases = host.mesh.trust_domain_aliases;
    node.num_trusted_proxies = host.topology.num_trusted_proxies;
    node.forward_client_cert = host.topology.forward_client_cert;
    for (const auto& anchor : host.mesh.ca_certificates) node.ca_certificates.push_back({anchor.pem, anchor.file, anchor.trust_domains});
    node.identity = {host.identity.certificate, host.identity.private_key, host.identity.roots};
    node.mesh_directory = host.mesh.directory;
    for (const auto& [key, value] : host.node.labels) node.labels[key] = value;
    for (const auto& port : host.ports)
        if (port.listen)
            for (const auto& prefix : port.addresses) node.listen_addresses.push_back(prefix.address.to_string());
    return node;
}

}  // namespace sluice::analyze
