// The index behind "does some server take this host".
// In: names. Out: verdicts.
// A name is looked up whole, then as `*.` and each of its suffixes, then as `*`.
// Istio: host names are compared without case (RFC 4343).
#include "ctrl/model/gateway_hosts.h"

#include <algorithm>

#include <fmt/format.h>

#include "ctrl/model/names.h"

namespace sluice::model {

GatewayHosts::GatewayHosts(const MeshConfig& mesh) {
    for (const auto& object : mesh.gateways) {
        Gateway& gateway = gateways_[object.key()];
        gateway.ns = object.ns;
        for (const istio::Server& server : object.spec.servers()) {
            gateway.ports.insert(server.port().number());
            for (const std::string& text : server.hosts()) {
                const ScopedHost scoped = split_scope(text);
                std::set<std::string>& scopes = gateway.hosts[lower(scoped.host)];
                if (scopes.empty()) gateway.in_order.push_back(lower(scoped.host));
                scopes.insert(scoped.ns);
            }
        }
    }
}

bool GatewayHosts::allows(const Gateway& gateway, const std::string& open, const ObjectBase& service) {
    const auto scopes = gateway.hosts.find(open);
    if (scopes == gateway.hosts.end()) return false;
    return scopes->second.contains("*") || scopes->second.contains(service.ns) ||
           (scopes->second.contains(".") && gateway.ns == service.ns);
}

bool GatewayHosts::takes(const std::string& key, const ObjectBase& service, const std::string& wanted) const {
    return !shared(key, service, wanted).empty();
}

std::vector<std::string> GatewayHosts::shared(const std::string& key, const ObjectBase& service, const std::string& wanted) const {
    constexpr size_t kSharedMax = 100;
    const auto found = gateways_.find(key);
    if (found == gateways_.end()) return {};
    const Gateway& gateway = found->second;
    const std::string host = full_host(wanted, service.ns);
    if (allows(gateway, host, service) || allows(gateway, "*", service)) return {host};
    for (size_t dot = host.find('.'); dot != std::string::npos; dot = host.find('.', dot + 1))
        if (!host.starts_with('*') || dot > 1)
            if (allows(gateway, "*" + host.substr(dot), service)) return {host};
    std::vector<std::string> out;
    if (!host.starts_with('*')) return out;
    for (const std::string& open : gateway.in_order)
        if (out.size() < kSharedMax && covers(host, open) && allows(gateway, open, service)) out.push_back(open);
    return out;
}

bool GatewayHosts::has_port(const std::string& key, uint32_t port) const {
    const auto gateway = gateways_.find(key);
    return gateway != gateways_.end() && gateway->second.ports.contains(port);
}

std::string GatewayHosts::sample(const std::string& key) const {
    constexpr size_t kShown = 3;
    const auto gateway = gateways_.find(key);
    if (gateway == gateways_.end()) return "";
    const auto& hosts = gateway->second.in_order;
    std::string out = fmt::format("{}", fmt::join(hosts.begin(), hosts.begin() + static_cast<ptrdiff_t>(std::min(hosts.size(), kShown)), ", "));
    if (hosts.size() > kShown) out += fmt::format(" and {} more", hosts.size() - kShown);
    return out;
}

}  // namespace sluice::model
