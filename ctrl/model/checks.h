// What the parts of check() share: one object under examination and its findings.
// In: objects. Out: findings.
// Borrows everything; private to this room.
// Codes are those of ctrl/model/codes_table.h.
#pragma once

#include <string>
#include <string_view>
#include <vector>

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
// Names of one object that another defines: hosts, subsets, ports, Gateways (check_references.cc).
void check_references(const MeshConfig& mesh, const Registry& registry, std::vector<Diagnostic>& out);
// Two objects that want the same, and objects that nobody wants (check_conflicts.cc).
void check_conflicts(const MeshConfig& mesh, std::vector<Diagnostic>& out);
// Routes behind wider ones (check_shadow.cc).
void check_shadows(const MeshConfig& mesh, std::vector<Diagnostic>& out);

// `name` as a VirtualService of namespace `ns` writes it -> ns/name; `mesh` stays.
std::string gateway_key(std::string_view name, std::string_view ns);
// Those of the VirtualService as keys, without `mesh`.
std::vector<std::string> gateway_keys(const Object<istio::VirtualService>& object);

}  // namespace sluice::model
