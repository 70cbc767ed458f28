// What the parts of check() share: one object under examination and its findings.
// In: objects. Out: findings.
// Borrows everything; private to this room.
// Codes are those of docs/istio.md.
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

    void error(std::string code, std::string_view path, std::string message, std::string cure = "") {
        add(Severity::kError, std::move(code), path, std::move(message), std::move(cure));
    }
    void warning(std::string code, std::string_view path, std::string message, std::string cure = "") {
        add(Severity::kWarning, std::move(code), path, std::move(message), std::move(cure));
    }

    void host(std::string_view path, std::string_view host, bool wildcard_allowed);
    void port(std::string_view path, uint32_t number);
    void ip_address(std::string_view path, const std::string& address);
    void export_to(std::string_view path, const google::protobuf::RepeatedPtrField<std::string>& names);
    // RE2 syntax, and a program small enough for every core to run.
    void regex(std::string_view path, const std::string& pattern);
    // HTTP is what this version serves; every other protocol is refused by its name.
    void protocol(std::string_view path, const std::string& protocol);

    const ObjectBase& object() const { return object_; }

 private:
    void add(Severity severity, std::string code, std::string_view path, std::string message, std::string cure) {
        // Warnings leave room, so that a revision with an error always shows one.
        if (out_.size() >= (severity == Severity::kError ? kFindingsMax : kFindingsMax / 2)) return;
        out_.push_back(object_.finding(std::move(code), path, std::move(message), std::move(cure)));
        out_.back().severity = severity;
    }

    const ObjectBase& object_;
    std::vector<Diagnostic>& out_;
};

// The parts; check() calls them.
void check_routes(const Object<istio::VirtualService>& object, std::vector<Diagnostic>& out);
void check_route_references(const Object<istio::VirtualService>& object, const MeshConfig& mesh,
                            const Registry& registry, std::vector<Diagnostic>& out);

}  // namespace sluice::model
