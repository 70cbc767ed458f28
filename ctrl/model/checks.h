// What the parts of check() share: one object under examination and its findings.
// In: objects. Out: findings.
// Borrows everything; private to this room.
// Codes are those of ctrl/model/codes_table.h.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ctrl/model/gateway_hosts.h"
#include "ctrl/model/mesh_config.h"
#include "ctrl/model/registry.h"

namespace sluice::model {

class Checker {
 public:
    Checker(const ObjectBase& object, std::vector<Diagnostic>& out) : object_(object), out_(out) {}

    // An error, a warning or an info, as the code says (codes.h).
    void report(std::string code, std::string_view path, std::string message, std::string cure = "") {
        if (out_.size() >= kFindingsMax) return;
        Diagnostic d = object_.finding(std::move(code), path, std::move(message), std::move(cure));
        if (out_.size() < room_for(d.severity)) out_.push_back(std::move(d));
    }

    void host(std::string_view path, std::string_view host, bool wildcard_allowed);
    void port(std::string_view path, uint32_t number);
    void ip_address(std::string_view path, const std::string& address);
    void export_to(std::string_view path, const google::protobuf::RepeatedPtrField<std::string>& names);
    // RE2 syntax, and a program small enough for every core to run.
    void regex(std::string_view path, const std::string& pattern);
    // HTTP is what this version serves, and HTTPS where TLS ends here; every other protocol is refused by its name.
    void protocol(std::string_view path, const std::string& protocol, bool https = false);

    const ObjectBase& object() const { return object_; }

 private:
    // A regex's finding, its caret under the part that RE2 names where that stands literally in the line.
    void bad_regex(std::string_view path, const std::string& error, std::string_view part);

    const ObjectBase& object_;
    std::vector<Diagnostic>& out_;
};

// Istio's names of protocols.
const std::vector<std::string>& protocols();

// The parts; check() calls them.
void check_server_tls(Checker& c, const std::string& path, const istio::Server& server);           // check_tls.cc
void check_client_tls(Checker& c, const std::string& path, const istio::ClientTLSSettings& tls);   // check_tls.cc
void check_routes(const Object<istio::VirtualService>& object, std::vector<Diagnostic>& out);

// What the checks below know of the other objects; together.h keeps it up with edits.
struct Others {
    const MeshConfig& mesh;
    const Registry& registry;
    const std::map<std::string, std::string>& places;   // of every object seen, also of kinds that are passed over: id -> file:line
    const GatewayHosts& gateways;
    // Host and subset: how many VirtualServices name it.
    using Subsets = std::map<std::pair<std::string, std::string>, size_t>;
    const Subsets& named_subsets;
};
// Names of one object that another defines: hosts, subsets, ports, Gateways, workloads (check_references.cc).
void check_references(const Others& others, const Object<istio::VirtualService>& object, std::vector<Diagnostic>& out);
void check_references(const Others& others, const Object<istio::DestinationRule>& object, std::vector<Diagnostic>& out);
void check_references(const Others& others, const Object<istio::ServiceEntry>& object, std::vector<Diagnostic>& out);
// Of its destinations: host and subset.
std::set<std::pair<std::string, std::string>> destinations_of(const Object<istio::VirtualService>& object);

// Two objects that want the same, and objects that nobody wants (check_conflicts.cc).
void check_owners(const Registry& registry, const Object<istio::ServiceEntry>& object, std::vector<Diagnostic>& out);
// Rules for the same host and workloads, in reading order; `object` is one of them.
void check_rule_owner(const std::vector<const Object<istio::DestinationRule>*>& same, const Object<istio::DestinationRule>& object, std::vector<Diagnostic>& out);
std::string rule_key(const Object<istio::DestinationRule>& object);
void check_servers(const MeshConfig& mesh, std::vector<Diagnostic>& out);
void check_binding(const GatewayHosts& gateways, const Object<istio::VirtualService>& object, std::vector<Diagnostic>& out);
void check_unbound(const Object<istio::Gateway>& object, std::vector<Diagnostic>& out);

// Routes behind wider ones (check_shadow.cc).
using VirtualServices = std::vector<const Object<istio::VirtualService>*>;
inline constexpr size_t kShadowComparisonsMax = 3'000'000;   // of a whole mesh; about half a second
// Within one VirtualService; `shares`: some host of it has another one's routes too. `budget` is what is left of comparisons.
void check_shadows(const GatewayHosts& gateways, const Object<istio::VirtualService>& object, bool shares, size_t& budget, std::vector<Diagnostic>& out);
// Among VirtualServices whose routes are merged for this host of that Gateway; in the order of merging.
void check_merged(const VirtualServices& services, const std::pair<std::string, std::string>& gateway_and_host, size_t& budget, std::vector<Diagnostic>& out);
void tell_shadows_unfinished(const Object<istio::VirtualService>& last, std::vector<Diagnostic>& out);

// `name` as a VirtualService of namespace `ns` writes it -> ns/name; `mesh` stays.
std::string gateway_key(std::string_view name, std::string_view ns);
// Those of the VirtualService as keys, without `mesh`.
std::vector<std::string> gateway_keys(const Object<istio::VirtualService>& object);

}  // namespace sluice::model
