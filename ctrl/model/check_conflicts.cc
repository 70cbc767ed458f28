// Two objects that want the same, and objects that nobody wants.
// In: one object, and what is known of the others. Out: findings.
// Borrows everything. Every look-up is by a map, so the cost grows with what is written, not with its square.
// Istio's IST0132 (host not found in gateway), IST0145 (conflicting gateways), IST0109's merge rule.
#include <algorithm>
#include <map>
#include <set>

#include <absl/strings/ascii.h>
#include <fmt/format.h>

#include "ctrl/model/checks.h"
#include "ctrl/model/gateway_hosts.h"
#include "ctrl/model/names.h"

namespace sluice::model {
namespace {

// Both may select one gateway: neither asks for a label that the other gives another value.
bool may_meet(const istio::Gateway& a, const istio::Gateway& b) {
    return std::all_of(a.selector().begin(), a.selector().end(), [&](const auto& label) {
        const auto other = b.selector().find(label.first);
        return other == b.selector().end() || other->second == label.second;
    });
}

struct OpenServer {
    const Object<istio::Gateway>* gateway;
    int server;
    std::string path;  // of the host

    const istio::Server& get() const { return gateway->spec.servers(server); }
    std::string place() const { return gateway->id() + " at " + gateway->source(path); }
};

// HTTP and HTTPS share a port: the first bytes tell them apart (Istio's PERMISSIVE).
bool tell_apart(const std::string& a, const std::string& b) { return (a == "HTTP" && b == "HTTPS") || (a == "HTTPS" && b == "HTTP"); }

}  // namespace

// One name, one service: which of two the API would take depends on creation times, which files have not.
void check_owners(const Registry& registry, const Object<istio::ServiceEntry>& object, std::vector<Diagnostic>& out) {
    for (int i = 0; i < object.spec.hosts_size(); ++i) {
        const std::string host = lower(object.spec.hosts(i));
        const Object<istio::ServiceEntry>* owner = registry.find(host)->entry;
        int first = 0;
        while (lower(owner->spec.hosts(first)) != host) ++first;
        if (owner == &object && first == i) continue;
        Checker(object, out).report("SLC0116", fmt::format("spec.hosts[{}]", i),
                                    fmt::format("{} at {} also defines this host", owner->id(), owner->source(fmt::format("spec.hosts[{}]", first))),
                                    "keep all its ports and endpoints in one");
    }
}

// Rules for chosen workloads stand beside the one for all of them.
std::string rule_key(const Object<istio::DestinationRule>& object) {
    std::string key = object.ns + "/" + full_host(object.spec.host(), object.ns);
    const std::map<std::string, std::string> labels(object.spec.workload_selector().match_labels().begin(), object.spec.workload_selector().match_labels().end());
    for (const auto& [name, value] : labels) key += fmt::format(",{}={}", name, value);
    return key;
}

void check_rule_owner(const std::vector<const Object<istio::DestinationRule>*>& same, const Object<istio::DestinationRule>& object, std::vector<Diagnostic>& out) {
    const auto* owner = same.front();
    if (owner != &object)
        Checker(object, out).report("SLC0116", "spec.host", fmt::format("{} at {} is for the same host", owner->id(), owner->source("spec.host")), "put both in one");
}

// Servers of one socket: protocols that can be told apart, and each host once.
void check_servers(const MeshConfig& mesh, std::vector<Diagnostic>& out) {
    constexpr size_t kComparedMax = 16;  // Gateways of one host on one port, before one of them is named
    std::map<std::string, std::vector<OpenServer>> by_host, by_socket;
    for (const auto& gateway : mesh.gateways) {
        for (int i = 0; i < gateway.spec.servers_size(); ++i) {
            const istio::Server& server = gateway.spec.servers(i);
            const std::string socket = fmt::format("{} {}", server.port().number(), server.bind());
            const OpenServer here{&gateway, i, fmt::format("spec.servers[{}].port.protocol", i)};
            auto& others = by_socket[socket];
            const std::string protocol = absl::AsciiStrToUpper(server.port().protocol());
            const bool known = std::find(protocols().begin(), protocols().end(), protocol) != protocols().end();
            const auto differs = std::find_if(others.begin(), others.end(), [&](const OpenServer& other) {
                const std::string theirs = absl::AsciiStrToUpper(other.get().port().protocol());
                return known && theirs != protocol && !tell_apart(theirs, protocol) && may_meet(other.gateway->spec, gateway.spec);
            });
            if (differs != others.end())
                Checker(gateway, out).report("SLC0116", here.path, fmt::format("port {} speaks {} for {}", server.port().number(),
                                             differs->get().port().protocol(), differs->place()), "one port speaks one protocol");
            if (others.size() < kComparedMax) others.push_back(here);

            for (int h = 0; h < server.hosts_size(); ++h) {
                const ScopedHost scoped = split_scope(server.hosts(h));
                const std::string scope = scoped.ns == "." ? gateway.ns : scoped.ns;
                const std::string key = fmt::format("{} {} {}/{}", socket, protocol, scope, lower(scoped.host));
                const OpenServer host{&gateway, i, fmt::format("spec.servers[{}].hosts[{}]", i, h)};
                auto& same = by_host[key];
                const auto found = std::find_if(same.begin(), same.end(), [&](const OpenServer& other) {
                    return may_meet(other.gateway->spec, gateway.spec);
                });
                if (found != same.end())
                    Checker(gateway, out).report("SLC0128", host.path, fmt::format("{} takes {} on port {} too", found->place(),
                                                 scoped.host, server.port().number()));
                if (same.size() < kComparedMax) same.push_back(host);
            }
        }
    }
}

// Each host of a VirtualService comes in by some server of its Gateways.
void check_binding(const GatewayHosts& hosts, const Object<istio::VirtualService>& object, std::vector<Diagnostic>& out) {
    Checker c(object, out);
    const auto keys = gateway_keys(object);
    if (keys.empty())
        return c.report("SLC0126", object.spec.gateways().empty() ? "spec" : "spec.gateways", "bound to no Gateway: it speaks to sidecars only");
    // An unknown Gateway is an error of its own.
    if (std::any_of(keys.begin(), keys.end(), [&](const std::string& key) { return !hosts.known(key); })) return;
    const bool mesh_too = static_cast<int>(keys.size()) < object.spec.gateways_size();
    std::vector<int> homeless;
    for (int i = 0; i < object.spec.hosts_size(); ++i)
        if (!wrong_host(object.spec.hosts(i), true) && std::none_of(keys.begin(), keys.end(), [&](const std::string& key) { return hosts.takes(key, object, object.spec.hosts(i)); }))
            homeless.push_back(i);
    // Of a VirtualService for sidecars too, hosts that come by no gateway are the sidecars'.
    if (mesh_too && static_cast<int>(homeless.size()) < object.spec.hosts_size()) return;
    for (const int i : homeless)
        c.report("SLC0125", fmt::format("spec.hosts[{}]", i), fmt::format("no server of {} takes {}", fmt::join(keys, ", "), full_host(object.spec.hosts(i), object.ns)),
                 fmt::format("its servers take {}", hosts.sample(keys.front())));
}

// Each Gateway has somebody behind it.
void check_unbound(const Object<istio::Gateway>& object, std::vector<Diagnostic>& out) {
    Checker(object, out).report("SLC0133", "metadata.name", "no VirtualService is bound to it: every request gets 404");
}

}  // namespace sluice::model
