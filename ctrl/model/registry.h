// Services by host name: what a destination means, and who serves it.
// In: a MeshConfig, or objects one by one. Out: look-ups for checks and for ctrl/translate.
// Borrows the objects, which must outlive it.
// Istio: a ServiceEntry is a service; a DestinationRule applies to it by host, nearest namespace first.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ctrl/model/mesh_config.h"

namespace sluice::model {

inline constexpr char kRootNamespace[] = "istio-system";

struct ServiceEndpoint {
    std::string address;
    uint32_t port = 0;
    Labels labels;
    std::string locality;  // region/zone/subzone
    uint32_t weight = 1;
    std::string name;      // ns/workload for a WorkloadEntry
    std::string service_account;
    bool mutual_tls = false;   // label security.istio.io/tlsMode: istio
};

struct Service {
    std::string host;  // lower case
    std::string ns;
    const Object<istio::ServiceEntry>* entry = nullptr;

    const istio::ServicePort* port(uint32_t number) const;
    bool visible_from(const std::string& ns) const;
};

// Those of its entry, and the workloads that it selects.
std::vector<ServiceEndpoint> endpoints_of(const MeshConfig& mesh, const Service& service, const istio::ServicePort& port);

class Registry {
 public:
    Registry() = default;
    explicit Registry(const MeshConfig& mesh);
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    // One object more, or one less, than there were. What is found stays where it is until its last object goes.
    void add(const Object<istio::ServiceEntry>& entry);
    void remove(const Object<istio::ServiceEntry>& entry);
    void add(const Object<istio::DestinationRule>& rule);
    void remove(const Object<istio::DestinationRule>& rule);

    // Calls f(const Service&) for each, by host.
    template <typename F>
    void for_each(F&& f) const {
        for (const auto& [host, known] : by_host_) f(known.service);
    }
    const Service* find(const std::string& host) const;
    std::vector<std::string> hosts() const;
    // All that have the host, in reading order: more than one is an error.
    const std::vector<const Object<istio::ServiceEntry>*>& entries(const std::string& host) const;
    // Those for the very host, in reading order; and those for wildcards.
    const std::vector<const Object<istio::DestinationRule>*>& exact_rules(const std::string& host) const;
    const std::vector<const Object<istio::DestinationRule>*>& wildcard_rules() const { return wildcard_rules_; }

    // The rule that a proxy applies to the service: its own namespace's, then the service's, then the root's.
    // In each a rule whose workloadSelector names the proxy comes first, then the most specific host.
    struct Proxy {
        const std::string& ns;
        const Labels& labels;
    };
    const Object<istio::DestinationRule>* rule_for(const Service& service, const Proxy& proxy) const;

    // Some rule of the host has the subset, whoever it is visible to.
    bool has_subset(const Service& service, const std::string& subset) const;
    std::vector<std::string> subsets(const Service& service) const;

 private:
    const Object<istio::DestinationRule>* rule_in(const Service& service, const std::string& ns, const Proxy& proxy) const;

    using Rule = Object<istio::DestinationRule>;
    std::vector<const Rule*> rules_of(const Service& service) const;

    struct Known {
        Service service;
        std::vector<const Object<istio::ServiceEntry>*> entries;   // that have the host; the first one stands
    };
    std::map<std::string, Known, std::less<>> by_host_;
    std::map<std::string, std::vector<const Rule*>> exact_rules_;  // by full host; in reading order
    std::vector<const Rule*> wildcard_rules_;                      // in reading order
};

}  // namespace sluice::model
