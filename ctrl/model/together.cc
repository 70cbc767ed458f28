// Who is to be looked at again after an edit.
// In: two states of a mesh. Out: findings by pass and place.
// A check from nothing is the same with nothing kept, so that both say the same. A finding whose cure names others (did you mean...?) is looked
// for again at every edit: there are few, and kept is at most kKeptMax of each severity.
#include "ctrl/model/together.h"

#include <algorithm>
#include <array>
#include <set>
#include <tuple>
#include <unordered_map>

#include "ctrl/model/checks.h"
#include "ctrl/model/difference.h"
#include "ctrl/model/names.h"
#include "ctrl/model/shape.h"

namespace sluice::model {
namespace {

using VirtualServiceObject = Object<istio::VirtualService>;
using RuleObject = Object<istio::DestinationRule>;
using ServiceEntryObject = Object<istio::ServiceEntry>;
using GatewayObject = Object<istio::Gateway>;

constexpr size_t kKeptMax = 2'000;   // many times what is told

/// In the order in which findings are told where there are too many.
enum class Pass : uint8_t { kVirtualServices, kRules, kServices, kOwners, kRuleOwners, kServers, kBindings, kUnbound, kShadows, kMerged, kUnfinished };

/// Of a finding: its pass, then its object's place, or a text.
using Key = std::tuple<Pass, std::string, int, int>;
Key key_of(Pass pass, const ObjectBase& object) { return {pass, object.file ? object.file->name : "", object.root ? object.root->at.line : 0, object.root ? object.root->at.column : 0}; }

/// VirtualServices that are merged, by name.
struct ByName {
    bool operator()(const VirtualServices& a, const VirtualServices& b) const {
        return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), less);
    }
    static bool less(const VirtualServiceObject* a, const VirtualServiceObject* b) {
        return std::tie(a->name, a->ns, a) < std::tie(b->name, b->ns, b);
    }
};

}  // namespace

struct Together::Impl {
    using Place = std::pair<std::string, std::string>;   // Gateway and host
    struct Group {
        std::set<Place> places;
        size_t comparisons = 0;
    };
    /// What is to be looked at.
    struct Stale {
        std::set<const VirtualServiceObject*> virtual_services, shadows;
        std::set<const RuleObject*> rules, owned_rules;
        std::set<const ServiceEntryObject*> services, owned_services;
        std::set<std::string> gateways;      // by key: bound or not
        std::set<Place> merged;
    };

    void check(const std::map<std::string, std::string>& places);
    void note(const MeshConfig& now);
    void note_services(const MeshConfig& now);
    void note_rules(const MeshConfig& now);
    void note_workloads(const MeshConfig& now);
    void note_virtual_services(const MeshConfig& now);
    void note_findings();
    void note_users(const std::string& host);
    void note_rules_of(const std::string& host);
    void came(const VirtualServiceObject& object);
    void went(const VirtualServiceObject& object);
    void went(const RuleObject& object);
    void share(const VirtualServiceObject& object, bool there);
    void settle_merged();
    void look(const std::map<std::string, std::string>& places);
    void look_at_shadows();
    void look_at_all_shadows();

    void keep(const Key& key, std::vector<Diagnostic> found);
    void forget(const Key& key);
    bool found(Pass pass, const ObjectBase& object) const { return findings.contains(key_of(pass, object)); }

    std::shared_ptr<const MeshConfig> mesh;
    std::unique_ptr<Registry> registry = std::make_unique<Registry>();
    std::unique_ptr<GatewayHosts> gateways;
    std::map<std::string, std::vector<const RuleObject*>> rules_by_key;
    std::map<std::string, std::set<const VirtualServiceObject*>> users;      // of a host
    Others::Subsets named_subsets;
    std::map<std::string, size_t> bound;                                     // to a Gateway, by key
    std::map<Place, VirtualServices> by_place;
    std::map<VirtualServices, Group, ByName> groups;                         // of more than one
    std::unordered_map<const VirtualServiceObject*, size_t> shares;          // how many groups it is in
    std::unordered_map<const VirtualServiceObject*, size_t> comparisons;     // that its own shadows took
    size_t comparisons_sum = 0;

    std::map<Key, std::vector<Diagnostic>> findings;
    std::array<size_t, 3> kept{};                                            // by severity
    bool overflown = false;                                                  // some were not kept: the next check begins anew
    Stale stale;
    size_t looked_at = 0;
    bool whole = false;
};

Together::Together() : impl_(std::make_unique<Impl>()) {}
Together::~Together() = default;
size_t Together::looked_at() const { return impl_->looked_at; }
bool Together::whole() const { return impl_->whole; }

void Together::Impl::forget(const Key& key) {
    const auto found = findings.find(key);
    if (found == findings.end()) return;
    for (const Diagnostic& d : found->second) kept[static_cast<size_t>(d.severity)]--;
    findings.erase(found);
}

void Together::Impl::keep(const Key& key, std::vector<Diagnostic> found) {
    forget(key);
    looked_at++;
    std::erase_if(found, [&](const Diagnostic& d) {
        size_t& n = kept[static_cast<size_t>(d.severity)];
        if (n == kKeptMax) return overflown = true;
        n++;
        return false;
    });
    if (!found.empty()) findings.emplace(key, std::move(found));
}

void Together::Impl::note_users(const std::string& host) {
    const auto found = users.find(host);
    if (found != users.end()) stale.virtual_services.insert(found->second.begin(), found->second.end());
}

void Together::Impl::note_rules_of(const std::string& host) {
    const auto& exact = registry->exact_rules(host);
    stale.rules.insert(exact.begin(), exact.end());
}

void Together::Impl::note_services(const MeshConfig& now) {
    const auto changed = difference(mesh->service_entries, now.service_entries);
    if (changed.empty()) return;
    std::map<std::string, const ServiceEntryObject*> before;
    std::set<std::string> hosts, places_only;
    for (const auto* entry : changed.went) {
        registry->remove(*entry);
        before.emplace(entry->key(), entry);
        forget(key_of(Pass::kServices, *entry)), forget(key_of(Pass::kOwners, *entry));
        for (const std::string& host : entry->spec.hosts()) hosts.insert(lower(host));
    }
    for (const auto* entry : changed.came) {
        registry->add(*entry);
        stale.services.insert(entry);
        const auto old = before.find(entry->key());
        const bool endpoints_only = old != before.end() && same_but_for_endpoints(*old->second, *entry);
        for (const std::string& host : entry->spec.hosts()) {
            hosts.insert(lower(host));
            if (endpoints_only) places_only.insert(lower(host));
        }
    }
    for (const std::string& host : hosts) {
        const auto& owners = registry->entries(host);
        stale.owned_services.insert(owners.begin(), owners.end());
        if (places_only.contains(host)) continue;
        note_users(host), note_rules_of(host);
        stale.rules.insert(registry->wildcard_rules().begin(), registry->wildcard_rules().end());
    }
}

void Together::Impl::went(const RuleObject& object) {
    registry->remove(object);
    forget(key_of(Pass::kRules, object)), forget(key_of(Pass::kRuleOwners, object));
    const std::string key = rule_key(object);
    auto& same = rules_by_key[key];
    std::erase(same, &object);
    stale.owned_rules.insert(same.begin(), same.end());
    if (same.empty()) rules_by_key.erase(key);
    stale.rules.erase(&object);
}

void Together::Impl::note_rules(const MeshConfig& now) {
    const auto changed = difference(mesh->destination_rules, now.destination_rules);
    const auto note = [&](const RuleObject& rule) {
        const std::string host = full_host(rule.spec.host(), rule.ns);
        if (!host.starts_with('*')) return note_users(host);
        for (const auto& [user, objects] : users)
            if (covers(host, user)) stale.virtual_services.insert(objects.begin(), objects.end());
    };
    for (const auto* rule : changed.went) went(*rule), note(*rule);
    for (const auto* rule : changed.came) {
        registry->add(*rule);
        auto& same = rules_by_key[rule_key(*rule)];
        same.insert(std::upper_bound(same.begin(), same.end(), rule, [](const auto* a, const auto* b) { return reads_before(*a, *b); }), rule);
        stale.owned_rules.insert(same.begin(), same.end());
        stale.rules.insert(rule);
        note(*rule);
    }
    for (const auto* rule : changed.went) stale.owned_rules.erase(rule);
}

void Together::Impl::note_workloads(const MeshConfig& now) {
    if (same_but_for_endpoints(mesh->workload_entries, now.workload_entries)) return;
    registry->for_each([&](const Service& service) {
        if (!service.entry->spec.has_workload_selector()) return;
        stale.services.insert(service.entry);
        note_rules_of(service.host);
    });
}

/// Its place among those that answer for the same hosts.
void Together::Impl::share(const VirtualServiceObject& object, bool there) {
    for (const std::string& key : gateway_keys(object)) {
        for (const std::string& wanted : object.spec.hosts()) {
            for (std::string& host : gateways->shared(key, object, wanted)) {
                const Place place{key, std::move(host)};
                VirtualServices& services = by_place[place];
                const auto at = std::lower_bound(services.begin(), services.end(), &object, ByName::less);
                const bool is_there = at != services.end() && *at == &object;
                if (is_there == there) continue;
                if (services.size() > 1) {   // the group that it was
                    const auto group = groups.find(services);
                    group->second.places.erase(place);
                    stale.merged.insert(place);
                    if (group->second.places.empty()) {
                        comparisons_sum -= group->second.comparisons;
                        for (const auto* one : services)
                            if (--shares[one] == 0) shares.erase(one), stale.shadows.insert(one);
                        groups.erase(group);
                    }
                }
                if (there) services.insert(at, &object);
                else services.erase(at);
                if (services.size() > 1) {
                    const auto [group, is_new] = groups.try_emplace(services);
                    group->second.places.insert(place);
                    stale.merged.insert(place);
                    if (is_new)
                        for (const auto* one : services)
                            if (shares[one]++ == 0) stale.shadows.insert(one);
                }
                if (services.empty()) by_place.erase(place);
            }
        }
    }
}

void Together::Impl::went(const VirtualServiceObject& object) {
    for (const Pass pass : {Pass::kVirtualServices, Pass::kBindings, Pass::kShadows}) forget(key_of(pass, object));
    for (const auto& [host, subset] : destinations_of(object)) {
        auto& of_host = users[host];
        of_host.erase(&object);
        if (of_host.empty()) users.erase(host);
        if (!subset.empty() && --named_subsets[{host, subset}] == 0) named_subsets.erase({host, subset});
        note_rules_of(host);
    }
    for (const std::string& key : gateway_keys(object))
        if (--bound[key] == 0) stale.gateways.insert(key);
    share(object, false);
    comparisons_sum -= comparisons[&object];
    comparisons.erase(&object);
}

void Together::Impl::came(const VirtualServiceObject& object) {
    for (const auto& [host, subset] : destinations_of(object)) {
        users[host].insert(&object);
        if (!subset.empty()) named_subsets[{host, subset}]++;
        note_rules_of(host);
    }
    for (const std::string& key : gateway_keys(object))
        if (bound[key]++ == 0) stale.gateways.insert(key);
    share(object, true);
    stale.virtual_services.insert(&object);
    stale.shadows.insert(&object);
}

void Together::Impl::note_virtual_services(const MeshConfig& now) {
    const auto changed = difference(mesh->virtual_services, now.virtual_services);
    for (const auto* object : changed.went) went(*object);
    for (const auto* object : changed.came) came(*object);
    for (const auto* object : changed.went) stale.virtual_services.erase(object), stale.shadows.erase(object);
}

/// Whatever has something to say may have something else to say now.
void Together::Impl::note_findings() {
    const auto note = [&](Pass pass, const auto& objects, auto& into) {
        if (std::none_of(findings.begin(), findings.end(), [&](const auto& one) { return std::get<Pass>(one.first) == pass; })) return;
        for (const auto& object : objects)
            if (found(pass, object)) into.insert(&object);
    };
    note(Pass::kVirtualServices, mesh->virtual_services, stale.virtual_services);
    note(Pass::kRules, mesh->destination_rules, stale.rules);
    note(Pass::kServices, mesh->service_entries, stale.services);
}

void Together::Impl::look(const std::map<std::string, std::string>& places) {
    const Others others{*mesh, *registry, places, *gateways, named_subsets};
    const auto each = [&](Pass pass, const auto& objects, auto&& check) {
        for (const auto* object : objects) {
            std::vector<Diagnostic> said;
            check(*object, said);
            keep(key_of(pass, *object), std::move(said));
        }
    };
    // In reading order, which is that of what is kept where there is too much.
    const auto in_order = [](const auto& set) {
        std::vector objects(set.begin(), set.end());
        std::sort(objects.begin(), objects.end(), [](const auto* a, const auto* b) { return reads_before(*a, *b); });
        return objects;
    };
    const auto refers = [&](const auto& object, auto& said) { check_references(others, object, said); };
    const auto virtual_services = in_order(stale.virtual_services);
    each(Pass::kVirtualServices, virtual_services, refers);
    each(Pass::kRules, in_order(stale.rules), refers);
    each(Pass::kServices, in_order(stale.services), refers);
    each(Pass::kOwners, in_order(stale.owned_services), [&](const auto& object, auto& said) { check_owners(*registry, object, said); });
    each(Pass::kRuleOwners, in_order(stale.owned_rules), [&](const auto& object, auto& said) { check_rule_owner(rules_by_key.at(rule_key(object)), object, said); });
    each(Pass::kBindings, virtual_services, [&](const auto& object, auto& said) { check_binding(*gateways, object, said); });
    for (const auto& gateway : mesh->gateways) {
        if (!stale.gateways.contains(gateway.key())) continue;
        std::vector<Diagnostic> said;
        const auto found = bound.find(gateway.key());
        if (found == bound.end() || found->second == 0) check_unbound(gateway, said);
        keep(key_of(Pass::kUnbound, gateway), std::move(said));
    }
    look_at_shadows();
}

/// Comparisons are counted for each unit: as long as all together are within their bound, none was cut short by the others.
void Together::Impl::look_at_shadows() {
    for (const auto* object : stale.shadows) {
        std::vector<Diagnostic> said;
        size_t left = kShadowComparisonsMax;
        check_shadows(*gateways, *object, shares.contains(object), left, said);
        comparisons_sum += kShadowComparisonsMax - left - comparisons[object];
        comparisons[object] = kShadowComparisonsMax - left;
        keep(key_of(Pass::kShadows, *object), std::move(said));
    }
    for (const Place& place : stale.merged) forget({Pass::kMerged, place.first + '\n' + place.second, 0, 0});
    std::set<const Group*> done;
    for (const Place& place : stale.merged) {
        const auto here = by_place.find(place);
        const auto group = here == by_place.end() ? groups.end() : groups.find(here->second);
        if (group == groups.end() || !done.insert(&group->second).second) continue;
        for (const Place& other : group->second.places) forget({Pass::kMerged, other.first + '\n' + other.second, 0, 0});
        std::vector<Diagnostic> said;
        size_t left = kShadowComparisonsMax;
        const Place& first = *group->second.places.begin();
        check_merged(group->first, first, left, said);
        comparisons_sum += kShadowComparisonsMax - left - group->second.comparisons;
        group->second.comparisons = kShadowComparisonsMax - left;
        keep({Pass::kMerged, first.first + '\n' + first.second, 0, 0}, std::move(said));
    }
    if (comparisons_sum >= kShadowComparisonsMax) look_at_all_shadows();
    else forget({Pass::kUnfinished, "", 0, 0});
}

/// There is too much to compare: from the first on until the bound is reached, whatever the edit was.
void Together::Impl::look_at_all_shadows() {
    size_t left = kShadowComparisonsMax;
    for (const auto& object : mesh->virtual_services) {
        std::vector<Diagnostic> said;
        check_shadows(*gateways, object, shares.contains(&object), left, said);
        keep(key_of(Pass::kShadows, object), std::move(said));
    }
    for (const auto& [services, group] : groups) {
        std::vector<Diagnostic> said;
        const Place& first = *group.places.begin();
        check_merged(services, first, left, said);
        keep({Pass::kMerged, first.first + '\n' + first.second, 0, 0}, std::move(said));
    }
    std::vector<Diagnostic> said;
    tell_shadows_unfinished(mesh->virtual_services.back(), said);
    keep({Pass::kUnfinished, "", 0, 0}, std::move(said));
    overflown = true;   // what each alone would say is not known any more
}

void Together::Impl::note(const MeshConfig& now) {
    note_services(now);
    note_rules(now);
    note_workloads(now);
    note_virtual_services(now);
}

void Together::check(std::shared_ptr<const MeshConfig> mesh, const std::map<std::string, std::string>& places, std::vector<Diagnostic>& out) {
    const auto before = impl_->mesh;   // its objects are looked at once more
    const bool whole = !before || impl_->overflown || before->gateways != mesh->gateways;
    if (whole) {
        impl_ = std::make_unique<Impl>();
        impl_->gateways = std::make_unique<GatewayHosts>(*mesh);
        auto nothing = std::make_shared<MeshConfig>();
        nothing->gateways = mesh->gateways;
        impl_->mesh = std::move(nothing);
        for (const auto& gateway : mesh->gateways) impl_->stale.gateways.insert(gateway.key());
        std::vector<Diagnostic> said;
        check_servers(*mesh, said);
        impl_->keep({Pass::kServers, "", 0, 0}, std::move(said));
    }
    Impl& impl = *impl_;
    impl.whole = whole;
    impl.looked_at = 0;
    impl.note(*mesh);
    impl.mesh = std::move(mesh);
    impl.note_findings();
    impl.look(places);
    impl.stale = {};
    // Readers and checks leave less room for what is less bad.
    for (const auto& [key, found] : impl.findings)
        for (const Diagnostic& d : found)
            if (out.size() < room_for(d.severity)) out.push_back(d);
}

}  // namespace sluice::model
