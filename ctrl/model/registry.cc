// The index behind service look-ups.
// In: ServiceEntry, WorkloadEntry, DestinationRule objects. Out: services, rules, endpoints.
// Borrows the objects.
// Istio's order of DestinationRules: client namespace, service namespace, root namespace.
#include "ctrl/model/registry.h"

#include <algorithm>
#include <tuple>

#include "ctrl/model/names.h"

namespace sluice::model {
namespace {

uint32_t port_of(const istio::WorkloadEntry& workload, const istio::ServicePort& port) {
    // Istio: the workload's own port of that name, then targetPort, then the service's number.
    if (const auto own = workload.ports().find(port.name()); own != workload.ports().end()) return own->second;
    return port.target_port() != 0 ? port.target_port() : port.number();
}

ServiceEndpoint endpoint(const istio::WorkloadEntry& workload, const istio::ServicePort& port) {
    ServiceEndpoint out;
    out.address = workload.address();
    out.port = port_of(workload, port);
    out.labels = Labels(workload.labels().begin(), workload.labels().end());
    out.locality = workload.locality();
    out.weight = workload.weight() != 0 ? workload.weight() : 1;
    out.service_account = workload.service_account();
    const auto mode = out.labels.find("security.istio.io/tlsMode");
    out.mutual_tls = mode != out.labels.end() && mode->second == "istio";
    return out;
}

}  // namespace

const istio::ServicePort* Service::port(uint32_t number) const {
    for (const istio::ServicePort& port : entry->spec.ports())
        if (port.number() == number) return &port;
    return nullptr;
}

bool Service::visible_from(const std::string& from) const {
    return model::visible_from(entry->spec.export_to(), ns, from);
}

namespace {

template <typename T>
void insert_in_order(std::vector<const T*>& objects, const T& one) {
    // Objects mostly come in reading order.
    auto at = objects.end();
    while (at != objects.begin() && reads_before(one, **std::prev(at))) --at;
    objects.insert(at, &one);
}

}  // namespace

Registry::Registry(const MeshConfig& mesh) {
    for (const auto& entry : mesh.service_entries) add(entry);
    for (const Rule& rule : mesh.destination_rules) add(rule);
}

void Registry::add(const Object<istio::ServiceEntry>& entry) {
    for (const std::string& text : entry.spec.hosts()) {
        std::string host = lower(text);
        Known& known = by_host_[host];
        // A host of two entries is an error of check(); the first one stands.
        if (std::find(known.entries.begin(), known.entries.end(), &entry) != known.entries.end()) continue;
        insert_in_order(known.entries, entry);
        known.service = {std::move(host), known.entries.front()->ns, known.entries.front()};
    }
}

void Registry::remove(const Object<istio::ServiceEntry>& entry) {
    for (const std::string& text : entry.spec.hosts()) {
        const auto found = by_host_.find(lower(text));
        if (found == by_host_.end()) continue;
        Known& known = found->second;
        std::erase(known.entries, &entry);
        if (known.entries.empty()) by_host_.erase(found);
        else known.service.ns = known.entries.front()->ns, known.service.entry = known.entries.front();
    }
}

void Registry::add(const Rule& rule) {
    const std::string host = full_host(rule.spec.host(), rule.ns);
    insert_in_order(host.starts_with('*') ? wildcard_rules_ : exact_rules_[host], rule);
}

void Registry::remove(const Rule& rule) {
    const std::string host = full_host(rule.spec.host(), rule.ns);
    if (host.starts_with('*')) return void(std::erase(wildcard_rules_, &rule));
    const auto found = exact_rules_.find(host);
    if (found == exact_rules_.end()) return;
    std::erase(found->second, &rule);
    if (found->second.empty()) exact_rules_.erase(found);
}

std::vector<const Registry::Rule*> Registry::rules_of(const Service& service) const {
    std::vector<const Rule*> out;
    if (const auto exact = exact_rules_.find(service.host); exact != exact_rules_.end()) out = exact->second;
    for (const Rule* rule : wildcard_rules_)
        if (covers(lower(rule->spec.host()), service.host)) out.push_back(rule);
    return out;
}

const Service* Registry::find(const std::string& host) const {
    const auto found = by_host_.find(host);
    return found == by_host_.end() ? nullptr : &found->second.service;
}

const std::vector<const Object<istio::ServiceEntry>*>& Registry::entries(const std::string& host) const {
    static const std::vector<const Object<istio::ServiceEntry>*> kNone;
    const auto found = by_host_.find(host);
    return found == by_host_.end() ? kNone : found->second.entries;
}

const std::vector<const Registry::Rule*>& Registry::exact_rules(const std::string& host) const {
    static const std::vector<const Rule*> kNone;
    const auto found = exact_rules_.find(host);
    return found == exact_rules_.end() ? kNone : found->second;
}

std::vector<std::string> Registry::hosts() const {
    std::vector<std::string> out;
    for (const auto& [host, known] : by_host_) out.push_back(host);
    return out;
}

const Object<istio::DestinationRule>* Registry::rule_in(const Service& service, const std::string& ns,
                                                        const Proxy& proxy) const {
    const auto labels = [](const Rule& rule) -> const auto& { return rule.spec.workload_selector().match_labels(); };
    // A rule that selects the workload, of its own namespace only, comes before one for all. Then the exact name
    // comes first; of wildcards the longest is the most specific.
    const auto rank = [&](const Rule& rule) {
        const std::string& host = rule.spec.host();
        return std::tuple(!labels(rule).empty(), !host.starts_with('*'), host.size());
    };
    const Rule* best = nullptr;
    for (const Rule* rule : rules_of(service)) {
        if (rule->ns != ns || !model::visible_from(rule->spec.export_to(), rule->ns, proxy.ns)) continue;
        if (!labels(*rule).empty() && (rule->ns != proxy.ns || !has_labels(proxy.labels, labels(*rule)))) continue;
        if (!best || rank(*rule) > rank(*best)) best = rule;
    }
    return best;
}

const Object<istio::DestinationRule>* Registry::rule_for(const Service& service, const Proxy& proxy) const {
    if (proxy.ns != kRootNamespace)
        if (const auto* own = rule_in(service, proxy.ns, proxy)) return own;
    if (const auto* at_service = rule_in(service, service.ns, proxy)) return at_service;
    return rule_in(service, kRootNamespace, proxy);
}

bool Registry::has_subset(const Service& service, const std::string& subset) const {
    for (const std::string& name : subsets(service))
        if (name == subset) return true;
    return false;
}

std::vector<std::string> Registry::subsets(const Service& service) const {
    std::vector<std::string> out;
    for (const Rule* rule : rules_of(service))
        for (const istio::Subset& subset : rule->spec.subsets()) out.push_back(subset.name());
    return out;
}

std::vector<ServiceEndpoint> endpoints_of(const MeshConfig& mesh, const Service& service, const istio::ServicePort& port) {
    std::vector<ServiceEndpoint> out;
    const istio::ServiceEntry& entry = service.entry->spec;
    for (const istio::WorkloadEntry& workload : entry.endpoints()) out.push_back(endpoint(workload, port));
    if (!entry.has_workload_selector()) return out;
    for (const auto& workload : mesh.workload_entries) {
        if (workload.ns != service.ns) continue;
        // Labels of the object and of its spec count; the spec's win.
        Labels labels(workload.spec.labels().begin(), workload.spec.labels().end());
        labels.insert(workload.labels.begin(), workload.labels.end());
        if (!has_labels(labels, entry.workload_selector().labels())) continue;
        ServiceEndpoint found = endpoint(workload.spec, port);
        found.labels = std::move(labels);
        found.name = workload.key();
        out.push_back(std::move(found));
    }
    return out;
}

}  // namespace sluice::model
