// Translation as a function that remembers: what each unit (a service's clusters, a virtual host) was made of, and what was made.
// In: a mesh whose unchanged objects are those of the last one. Out: all resources; the caller's are copies that share.
// Keeps the last mesh, an index of who depends on what, and everything made. A translation from nothing is the same with nothing kept.
// istiod's resource names: listeners ADDRESS_PORT, routes http.PORT, clusters DIRECTION|PORT|SUBSET|HOST.
#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "ctrl/model/difference.h"
#include "ctrl/model/names.h"
#include "ctrl/model/shape.h"
#include "ctrl/translate/group_routes.h"
#include "ctrl/translate/parts.h"

namespace sluice::translate {
namespace {

using ServiceEntryObject = model::Object<istio::ServiceEntry>;
using RuleObject = model::Object<istio::DestinationRule>;

bool same_files(const std::shared_ptr<const std::map<std::string, FileText>>& a, const std::shared_ptr<const std::map<std::string, FileText>>& b) {
    return a == b || (a && b && *a == *b);
}

/// Hosts that its routes lead to.
std::set<std::string> destinations_of(const VirtualServiceObject& service) {
    std::set<std::string> out;
    for (const auto& http : service.spec.http())
        for (const auto& destination : http.route()) out.insert(model::full_host(destination.destination().host(), service.ns));
    return out;
}

/// Under its name, unless it is what is there.
template <typename Message>
void put(xds::Resources<Message>& resources, const std::string& name, xds::Resource<Message> made) {
    const auto found = resources.find(name);
    if (found == resources.end() || found->second.hash() != made.hash()) resources[name] = std::move(made);
}

/// Of what is made, those that are as before stay the very same.
template <typename Message>
void put_all(xds::Resources<Message>& resources, const xds::Resources<Message>& made) {
    std::vector<std::string> gone;
    for (const auto& [name, resource] : resources)
        if (!made.contains(name)) gone.push_back(name);
    for (const std::string& name : gone) resources.erase(name);
    for (const auto& [name, resource] : made) put(resources, name, resource);
}

}  // namespace

struct Translator::Impl {
    /// One service's clusters.
    struct Unit {
        std::vector<std::string> clusters;   // by name; endpoints have the same
        std::vector<Diagnostic> errors;
        SecretAsks asks;
    };
    /// What an update has to make.
    struct Stale {
        std::set<std::string> services;                      // by host
        std::set<const VirtualServiceObject*> virtual_services;
        bool secrets = false;
    };

    void reset() { *this = {}; }
    void update(std::shared_ptr<const model::MeshConfig> now, const ProxyNode& node);
    void open_gateways(const ProxyNode& node);
    void note_services(const model::MeshConfig& now, Stale& stale);
    void note_rules(const model::MeshConfig& now, Stale& stale);
    void note_workloads(const model::MeshConfig& now, Stale& stale) const;
    void note_virtual_services(const model::MeshConfig& now, const ProxyNode& node, Stale& stale);
    void note_users(const std::string& host, Stale& stale) const;
    void make_service(const std::string& host, const ProxyNode& node, Stale& stale);
    void make_routes(const ProxyNode& node);
    void make_secrets(const ProxyNode& node);
    std::vector<Diagnostic> errors() const;

    std::shared_ptr<const model::MeshConfig> mesh;   // of the last time; null: nothing is kept
    std::shared_ptr<const std::map<std::string, FileText>> files;
    std::unique_ptr<model::Registry> registry = std::make_unique<model::Registry>();
    std::vector<ServerGroup> groups;
    std::deque<GroupRoutes> tables;                  // they stay where they are
    Unit gateways;                                   // of all listeners
    std::map<std::string, Unit> services;            // by host
    std::map<std::string, std::set<const VirtualServiceObject*>> users;        // of a host
    std::map<const VirtualServiceObject*, Diagnostic> unexported;
    std::vector<Diagnostic> secret_errors, warnings;
    xds::ResourceSet resources;
    Work work;
};

Translator::Translator() : impl_(std::make_unique<Impl>()) {}
Translator::~Translator() = default;
const Translator::Work& Translator::work() const { return impl_->work; }

/// Listeners, and a table for each group; VirtualServices come to it later.
void Translator::Impl::open_gateways(const ProxyNode& node) {
    Context context{*mesh, *registry, node, gateways.errors, gateways.asks};
    groups = group_servers(context);
    for (const ServerGroup& group : groups) {
        auto listener = build_listener(context, group);
        const std::string name = listener.name();
        put(resources.listeners, name, xds::Resource(std::move(listener)));
        for (const ServerGroup& routes : group.by_routes()) tables.emplace_back(routes, group);
    }
    if (groups.empty()) warn_unselected(context, warnings);
}

void Translator::Impl::note_users(const std::string& host, Stale& stale) const {
    const auto found = users.find(host);
    if (found != users.end()) stale.virtual_services.insert(found->second.begin(), found->second.end());
}

void Translator::Impl::note_services(const model::MeshConfig& now, Stale& stale) {
    const auto changed = model::difference(mesh->service_entries, now.service_entries);
    std::map<std::string, const ServiceEntryObject*> went;
    for (const auto* entry : changed.went) {
        registry->remove(*entry);
        went.emplace(entry->key(), entry);
    }
    const auto note = [&](const ServiceEntryObject& entry, bool users_too) {
        for (const std::string& text : entry.spec.hosts()) {
            const std::string host = model::lower(text);
            stale.services.insert(host);
            if (users_too) note_users(host, stale);
        }
    };
    for (const auto* entry : changed.came) {
        registry->add(*entry);
        // Routes do not see where endpoints are.
        const auto before = went.find(entry->key());
        const bool endpoints_only = before != went.end() && model::same_but_for_endpoints(*before->second, *entry);
        note(*entry, !endpoints_only);
        if (endpoints_only) went.erase(before);
    }
    for (const auto& [key, entry] : went) note(*entry, true);
}

void Translator::Impl::note_rules(const model::MeshConfig& now, Stale& stale) {
    const auto changed = model::difference(mesh->destination_rules, now.destination_rules);
    const auto note = [&](const RuleObject& rule) {
        const std::string host = model::full_host(rule.spec.host(), rule.ns);
        if (!host.starts_with('*')) return void((stale.services.insert(host), note_users(host, stale)));
        registry->for_each([&](const model::Service& service) {
            if (model::covers(host, service.host)) stale.services.insert(service.host), note_users(service.host, stale);
        });
    };
    for (const auto* rule : changed.went) registry->remove(*rule), note(*rule);
    for (const auto* rule : changed.came) registry->add(*rule), note(*rule);
}

void Translator::Impl::note_workloads(const model::MeshConfig& now, Stale& stale) const {
    if (model::difference(mesh->workload_entries, now.workload_entries).empty()) return;
    registry->for_each([&](const model::Service& service) {
        if (service.entry->spec.has_workload_selector()) stale.services.insert(service.host);
    });
}

void Translator::Impl::note_virtual_services(const model::MeshConfig& now, const ProxyNode& node, Stale& stale) {
    const auto changed = model::difference(mesh->virtual_services, now.virtual_services);
    for (const auto* service : changed.went) {
        for (GroupRoutes& table : tables) table.remove(*service);
        for (const std::string& host : destinations_of(*service)) {
            const auto found = users.find(host);
            if (found == users.end()) continue;
            found->second.erase(service);
            if (found->second.empty()) users.erase(found);
        }
        unexported.erase(service);
        stale.virtual_services.erase(service);
    }
    for (const auto* service : changed.came) {
        work.virtual_services++;
        if (model::visible_from(service->spec.export_to(), service->ns, node.ns)) {
            for (GroupRoutes& table : tables) table.add(*service);
            for (const std::string& host : destinations_of(*service)) users[host].insert(service);
        } else if (std::any_of(groups.begin(), groups.end(), [&](const ServerGroup& group) { return is_bound(*service, group); })) {
            // check() knows whether a server takes the hosts; here it is this proxy's view.
            unexported.emplace(service, service->finding("SLC0136", "spec.exportTo", "not exported to this gateway's namespace " + node.ns,
                                                         "add " + node.ns + ", or remove `exportTo`"));
        }
    }
}

void Translator::Impl::make_service(const std::string& host, const ProxyNode& node, Stale& stale) {
    work.services++;
    const model::Service* service = registry->find(host);
    const bool there = service && service->visible_from(node.ns);
    const auto known = services.find(host);
    if (!there && known == services.end()) return;
    Unit& unit = services[host];
    stale.secrets |= !unit.asks.empty();
    const std::vector<std::string> before = std::move(unit.clusters);
    unit = {};
    ServiceResources made;
    if (there) {
        Context context{*mesh, *registry, node, unit.errors, unit.asks};
        made = build_service(context, *service);
    }
    stale.secrets |= !unit.asks.empty();
    for (auto& cluster : made.clusters) {
        unit.clusters.push_back(cluster.name());
        put(resources.clusters, unit.clusters.back(), xds::Resource(std::move(cluster)));
    }
    for (auto& assignment : made.endpoints) {
        const std::string name = assignment.cluster_name();
        put(resources.endpoints, name, xds::Resource(std::move(assignment)));
    }
    for (const std::string& name : before) {
        if (std::find(unit.clusters.begin(), unit.clusters.end(), name) != unit.clusters.end()) continue;
        resources.clusters.erase(name), resources.endpoints.erase(name);
    }
    if (!there) services.erase(host);
}

void Translator::Impl::make_routes(const ProxyNode& node) {
    std::vector<Diagnostic> no_errors;
    SecretAsks no_asks;
    const Context context{*mesh, *registry, node, no_errors, no_asks};
    for (GroupRoutes& table : tables)
        if (auto made = table.make(context)) put(resources.routes, table.name(), std::move(*made));
}

/// All that is asked for, in an order that does not depend on what was made when.
void Translator::Impl::make_secrets(const ProxyNode& node) {
    work.secrets = true;
    secret_errors.clear();
    SecretMaker maker(*mesh, node, secret_errors);
    bool identity = gateways.asks.identity;
    for (const auto& ask : gateways.asks.others) ask(maker);
    for (const auto& [host, unit] : services) {
        identity |= unit.asks.identity;
        for (const auto& ask : unit.asks.others) ask(maker);
    }
    if (identity) maker.identity();
    MadeSecrets made = maker.take();
    put_all(resources.secrets, made.secrets);
    resources.secret_places = std::move(made.places);
    resources.secret_errors = std::move(made.errors);
}

std::vector<Diagnostic> Translator::Impl::errors() const {
    std::vector<Diagnostic> out = gateways.errors;
    for (const auto& [host, unit] : services) out.insert(out.end(), unit.errors.begin(), unit.errors.end());
    for (const GroupRoutes& table : tables) table.append_errors(out);
    out.insert(out.end(), secret_errors.begin(), secret_errors.end());
    sort_by_place(out);
    return out;
}

void Translator::Impl::update(std::shared_ptr<const model::MeshConfig> now, const ProxyNode& node) {
    Stale stale;
    work = {};
    work.whole = !mesh || mesh->gateways != now->gateways || (files == nullptr) != (node.files == nullptr);
    if (work.whole) {
        reset();
        work.whole = stale.secrets = true;
        auto nothing = std::make_shared<model::MeshConfig>();
        nothing->gateways = now->gateways;
        mesh = std::move(nothing);
        open_gateways(node);
    } else {
        stale.secrets = !same_files(files, node.files) || !model::same_secrets(*mesh, *now);
    }
    note_services(*now, stale);
    note_rules(*now, stale);
    note_workloads(*now, stale);
    note_virtual_services(*now, node, stale);
    mesh = std::move(now);
    files = node.files;
    for (const auto* service : stale.virtual_services)
        for (GroupRoutes& table : tables) table.touch(*service);
    for (const std::string& host : stale.services) make_service(host, node, stale);
    make_routes(node);
    if (stale.secrets) make_secrets(node);
}

std::expected<xds::ResourceSet, std::vector<Diagnostic>> Translator::translate(std::shared_ptr<const model::MeshConfig> mesh, const ProxyNode& node,
                                                                               std::vector<Diagnostic>* warnings) {
    const auto before = impl_->mesh;   // its objects are looked at once more
    impl_->update(std::move(mesh), node);
    if (auto errors = impl_->errors(); !errors.empty()) return std::unexpected(std::move(errors));
    if (warnings) {
        std::vector<Diagnostic> said = impl_->warnings;
        for (const auto& [service, warning] : impl_->unexported) said.push_back(warning);
        sort_by_place(said);
        warnings->insert(warnings->end(), said.begin(), said.end());
    }
    return impl_->resources;
}

std::expected<xds::ResourceSet, std::vector<Diagnostic>> translate(const model::MeshConfig& mesh, const ProxyNode& node, std::vector<Diagnostic>* warnings) {
    return Translator().translate(std::shared_ptr<const model::MeshConfig>(std::shared_ptr<void>(), &mesh), node, warnings);
}

}  // namespace sluice::translate
