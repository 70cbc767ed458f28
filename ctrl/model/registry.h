// Services by host name: what a destination means, and who serves it.
// In: a MeshConfig. Out: look-ups for checks and for ctrl/translate.
// Borrows the MeshConfig, which must outlive it.
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
    explicit Registry(const MeshConfig& mesh);

    const std::vector<Service>& services() const { return services_; }
    const Service* find(const std::string& host) const;
    std::vector<std::string> hosts() const;

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

    std::vector<ServiceEndpoint> endpoints(const Service& service, const istio::ServicePort& port) const {
        return endpoints_of(mesh_, service, port);
    }

 private:
    const Object<istio::DestinationRule>* rule_in(const Service& service, const std::string& ns, const Proxy& proxy) const;

    using Rule = Object<istio::DestinationRule>;
    std::vector<const Rule*> rules_of(const Service& service) const;

    const MeshConfig& mesh_;
    std::map<std::string, std::vector<const Rule*>> exact_rules_;  // by full host
    std::vector<const Rule*> wildcard_rules_;
    std::vector<Service> services_;
    std::map<std::string, size_t, std::less<>> by_host_;
};

}  // namespace sluice::model
