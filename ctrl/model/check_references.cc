// Names of one object that another defines: hosts, subsets, ports, Gateways, workloads.
// In: one object, and what is known of the others. Out: findings.
// Borrows everything.
// Istio's IST0101, IST0112 and IST0127 (referenced resource not found, port selector required, no matching workloads).
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "ctrl/model/checks.h"
#include "ctrl/model/names.h"

namespace sluice::model {

std::string gateway_key(std::string_view name, std::string_view ns) {
    if (name == "mesh" || name.find('/') != std::string_view::npos) return std::string(name);
    return fmt::format("{}/{}", ns, name);
}

std::vector<std::string> gateway_keys(const Object<istio::VirtualService>& object) {
    std::vector<std::string> out;
    for (const std::string& name : object.spec.gateways())
        if (name != "mesh") out.push_back(gateway_key(name, object.ns));
    return out;
}

namespace {

class References {
 public:
    References(const Others& others, std::vector<Diagnostic>& out) : others_(others), registry_(others.registry), out_(out) {}

    void virtual_service(const Object<istio::VirtualService>& object);
    void destination_rule(const Object<istio::DestinationRule>& object);
    void service_entry(const Object<istio::ServiceEntry>& object);

 private:
    void destination(Checker& c, const std::string& path, const istio::Destination& destination);
    void unknown_host(Checker& c, const std::string& path, const std::string& host);
    void port(Checker& c, const std::string& path, const istio::Destination& destination, const Service& service);
    void gateway(Checker& c, const std::string& path, const std::string& name);
    void subsets(Checker& c, const istio::DestinationRule& rule, const Service& service);

    const Others& others_;
    const Registry& registry_;
    std::vector<Diagnostic>& out_;
};

void References::virtual_service(const Object<istio::VirtualService>& object) {
    Checker c(object, out_);
    for (int i = 0; i < object.spec.gateways_size(); ++i)
        gateway(c, fmt::format("spec.gateways[{}]", i), object.spec.gateways(i));
    for (int h = 0; h < object.spec.http_size(); ++h) {
        const istio::HTTPRoute& route = object.spec.http(h);
        for (int r = 0; r < route.route_size(); ++r)
            destination(c, fmt::format("spec.http[{}].route[{}].destination", h, r), route.route(r).destination());
        for (int m = 0; m < route.match_size(); ++m)
            for (int g = 0; g < route.match(m).gateways_size(); ++g)
                gateway(c, fmt::format("spec.http[{}].match[{}].gateways[{}]", h, m, g), route.match(m).gateways(g));
    }
}

void References::destination(Checker& c, const std::string& path, const istio::Destination& destination) {
    const std::string host = full_host(destination.host(), c.object().ns);
    const Service* service = registry_.find(host);
    if (!service) {
        if (auto wrong = wrong_host(destination.host(), false))
            return c.report("SLC0114", path + ".host", fmt::format("`{}`: {}", destination.host(), *wrong));
        return unknown_host(c, path + ".host", host);
    }
    if (!destination.subset().empty() && !registry_.has_subset(*service, destination.subset())) {
        const std::vector<std::string> known = registry_.subsets(*service);
        std::string cure = did_you_mean(destination.subset(), known);
        if (cure.empty() && !known.empty()) cure = fmt::format("it has {}", fmt::join(known, ", "));
        c.report("SLC0109", path + ".subset",
                 fmt::format("no DestinationRule of {} has the subset {}", host, destination.subset()), cure);
    }
    port(c, path, destination, *service);
}

void References::unknown_host(Checker& c, const std::string& path, const std::string& host) {
    std::string cure = did_you_mean(host, registry_.hosts());
    // `reviews.shop` reads like a host in a namespace; only names without a dot are completed.
    const std::string completed = host + ".svc." + kDnsDomain;
    if (registry_.find(completed)) cure = "did you mean `" + completed + "`?";
    // The Service of a Kubernetes cluster may stand in the same file.
    const std::string suffix = std::string(".svc.") + kDnsDomain;
    if (host.ends_with(suffix)) {
        const std::string name = host.substr(0, host.size() - suffix.size());
        const size_t dot = name.find('.');
        const auto service = others_.places.find(fmt::format("Service {}/{}", name.substr(dot + 1), name.substr(0, dot)));
        if (service != others_.places.end())
            cure = fmt::format("the Service in {} is passed over: write a ServiceEntry with resolution: STATIC", service->second);
    }
    c.report("SLC0108", path, fmt::format("no ServiceEntry has the host {}", host), cure);
}

void References::port(Checker& c, const std::string& path, const istio::Destination& destination, const Service& service) {
    const auto& ports = service.entry->spec.ports();
    std::vector<std::string> numbers;
    for (const auto& known : ports) numbers.push_back(std::to_string(known.number()));
    if (destination.has_port()) {
        if (!service.port(destination.port().number()))
            c.report("SLC0115", path + ".port.number", fmt::format("{} has no port {}", service.host, destination.port().number()),
                     fmt::format("it has {}", fmt::join(numbers, ", ")));
    } else if (ports.size() > 1) {
        c.report("SLC0115", path, fmt::format("{} has {} ports", service.host, ports.size()),
                 fmt::format("add `port: {{number: ...}}`: it has {}", fmt::join(numbers, ", ")));
    }
}

void References::gateway(Checker& c, const std::string& path, const std::string& name) {
    if (name == "mesh") return;
    const std::string key = gateway_key(name, c.object().ns);
    if (others_.gateways.known(key)) return;
    std::vector<std::string> gateways;
    for (const auto& gateway : others_.mesh.gateways) gateways.push_back(gateway.key());
    std::string cure = did_you_mean(key, gateways);
    // The same name in another namespace is what a missing `namespace/` looks like.
    for (const std::string& known : gateways)
        if (known.substr(known.find('/')) == key.substr(key.find('/'))) cure = "did you mean `" + known + "`?";
    c.report("SLC0110", path, fmt::format("there is no Gateway {}", key), cure);
}

void References::destination_rule(const Object<istio::DestinationRule>& object) {
    Checker c(object, out_);
    const std::string host = full_host(object.spec.host(), object.ns);
    if (host.starts_with('*')) {
        bool any = false;
        registry_.for_each([&](const Service& s) { any |= covers(host, s.host); });
        if (any) return;
    } else if (const Service* service = registry_.find(host)) {
        return subsets(c, object.spec, *service);
    }
    c.report("SLC0123", "spec.host", fmt::format("no service is called {}", host), did_you_mean(host, registry_.hosts()));
}

void References::subsets(Checker& c, const istio::DestinationRule& rule, const Service& service) {
    if (rule.subsets().empty() || service.entry->spec.ports().empty()) return;
    const auto endpoints = endpoints_of(others_.mesh, service, service.entry->spec.ports(0));
    for (int i = 0; i < rule.subsets_size(); ++i) {
        const istio::Subset& subset = rule.subsets(i);
        const std::string path = fmt::format("spec.subsets[{}]", i);
        const bool served = std::any_of(endpoints.begin(), endpoints.end(),
                                        [&](const ServiceEndpoint& e) { return has_labels(e.labels, subset.labels()); });
        if (!served)
            c.report("SLC0132", path + ".labels", fmt::format("no endpoint of {} has these labels", service.host));
        if (!others_.named_subsets.contains({service.host, subset.name()}))
            c.report("SLC0129", path + ".name", fmt::format("no route names the subset {}", subset.name()));
    }
}

void References::service_entry(const Object<istio::ServiceEntry>& object) {
    if (!object.spec.has_workload_selector() || object.spec.workload_selector().labels().empty()) return;
    for (const auto& workload : others_.mesh.workload_entries) {
        if (workload.ns != object.ns) continue;
        Labels labels(workload.spec.labels().begin(), workload.spec.labels().end());
        labels.insert(workload.labels.begin(), workload.labels.end());
        if (has_labels(labels, object.spec.workload_selector().labels())) return;
    }
    Checker(object, out_).report("SLC0137", "spec.workloadSelector.labels",
                                 fmt::format("no WorkloadEntry of namespace {} has these labels", object.ns));
}

}  // namespace

void check_references(const Others& others, const Object<istio::VirtualService>& object, std::vector<Diagnostic>& out) {
    References(others, out).virtual_service(object);
}
void check_references(const Others& others, const Object<istio::DestinationRule>& object, std::vector<Diagnostic>& out) {
    References(others, out).destination_rule(object);
}
void check_references(const Others& others, const Object<istio::ServiceEntry>& object, std::vector<Diagnostic>& out) {
    References(others, out).service_entry(object);
}

std::set<std::pair<std::string, std::string>> destinations_of(const Object<istio::VirtualService>& object) {
    std::set<std::pair<std::string, std::string>> out;
    for (const istio::HTTPRoute& http : object.spec.http())
        for (const auto& route : http.route()) out.emplace(full_host(route.destination().host(), object.ns), route.destination().subset());
    return out;
}

}  // namespace sluice::model
