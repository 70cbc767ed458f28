// Claims of hosts, and the virtual hosts made of them.
// In: VirtualServices. Out: virtual hosts.
// Keeps every virtual host until a VirtualService behind it changes.
// Envoy route.v3; Istio VirtualService and Gateway v1.
#include "ctrl/translate/group_routes.h"

#include <algorithm>

#include <fmt/format.h>

#include "ctrl/model/names.h"

namespace sluice::translate {
namespace {

namespace route = envoy::config::route::v3;

std::string gateway_key(const std::string& name, const std::string& ns) {
    return name.find('/') == std::string::npos ? ns + "/" + name : name;
}

bool is_bound(const VirtualServiceObject& service, const model::ObjectBase& gateway) {
    for (const std::string& name : service.spec.gateways())
        if (name != "mesh" && gateway_key(name, service.ns) == gateway.key()) return true;
    return false;
}

bool scope_allows(const std::string& scope, const model::ObjectBase& gateway, const model::ObjectBase& service) {
    return scope == "*" || scope == service.ns || (scope == "." && gateway.ns == service.ns);
}

// The hosts of `service` that the server takes.
std::vector<std::string> shared_hosts(const ServerGroup::Member& member, const VirtualServiceObject& service) {
    std::vector<std::string> out;
    for (const std::string& wanted : service.spec.hosts()) {
        const std::string host = model::full_host(wanted, service.ns);
        for (const std::string& text : member.server().hosts()) {
            const model::ScopedHost open = model::split_scope(text);
            if (!scope_allows(open.ns, *member.gateway, service)) continue;
            const std::string server_host = model::lower(open.host);
            if (model::covers(server_host, host)) out.push_back(host);
            else if (model::covers(host, server_host)) out.push_back(server_host);
        }
    }
    return out;
}

// A route that every request takes.
bool is_catch_all(const route::Route& candidate) {
    const route::RouteMatch& match = candidate.match();
    return match.prefix() == "/" && match.headers().empty() && match.query_parameters().empty();
}

void catch_all_last(route::VirtualHost& host) {
    std::vector<route::Route> routes(std::make_move_iterator(host.mutable_routes()->begin()),
                                     std::make_move_iterator(host.mutable_routes()->end()));
    std::stable_partition(routes.begin(), routes.end(), [](const route::Route& r) { return !is_catch_all(r); });
    host.clear_routes();
    for (route::Route& r : routes) *host.add_routes() = std::move(r);
}

}  // namespace

bool is_bound(const VirtualServiceObject& service, const ServerGroup& group) {
    return std::any_of(group.members.begin(), group.members.end(), [&](const ServerGroup::Member& member) { return is_bound(service, *member.gateway); });
}

GroupRoutes::GroupRoutes(ServerGroup group, ServerGroup socket) : group_(std::move(group)), socket_(std::move(socket)), name_(group_.route_name()) {
    for (const ServerGroup::Member& member : group_.members)
        if (member.server().tls().https_redirect())
            for (const std::string& text : member.server().hosts()) redirected_.emplace(model::lower(model::split_scope(text).host), &member);
}

bool GroupRoutes::redirects(const std::string& host, const Claims& claims) const {
    return redirected_.contains(host) || std::any_of(claims.begin(), claims.end(), [](const Claim& claim) { return claim.redirects; });
}

// Equal for hosts that share a virtual host.
std::string GroupRoutes::key_of(const std::string& host, const Claims& claims) const {
    std::string out;
    for (const Claim& claim : claims) {
        out += claim.service->key() + ":";
        for (const std::string& gateway : claim.gateways) out += gateway + ",";
    }
    return redirects(host, claims) ? out + "redirected" : out;
}

GroupRoutes::Claim& GroupRoutes::claim_of(HostState& host, const VirtualServiceObject& service) {
    const auto at = std::lower_bound(host.claims.begin(), host.claims.end(), service, [](const Claim& claim, const VirtualServiceObject& one) {
        return std::tie(claim.service->name, claim.service->ns) < std::tie(one.name, one.ns);
    });
    if (at != host.claims.end() && at->service == &service) return *at;
    return *host.claims.insert(at, {&service, {}, false});
}

void GroupRoutes::add(const VirtualServiceObject& service) {
    for (const ServerGroup::Member& member : group_.members) {
        if (!is_bound(service, *member.gateway)) continue;
        for (const std::string& host : shared_hosts(member, service)) {
            Claim& claim = claim_of(hosts_[host], service);
            if (claim.gateways.empty()) hosts_of_[&service].push_back(host);
            claim.gateways.insert(member.gateway->key());
            claim.redirects |= member.server().tls().https_redirect();
            unsettled_.insert(host);
        }
    }
}

void GroupRoutes::remove(const VirtualServiceObject& service) {
    const auto found = hosts_of_.find(&service);
    if (found == hosts_of_.end()) return;
    for (const std::string& host : found->second) {
        std::erase_if(hosts_.at(host).claims, [&](const Claim& claim) { return claim.service == &service; });
        unsettled_.insert(host);
    }
    hosts_of_.erase(found);
}

void GroupRoutes::touch(const VirtualServiceObject& service) {
    const auto found = hosts_of_.find(&service);
    if (found != hosts_of_.end()) unsettled_.insert(found->second.begin(), found->second.end());
}

void GroupRoutes::leave(const std::string& host, const std::string& key) {
    const auto found = merged_.find(key);
    if (found == merged_.end()) return;
    Merged& merged = found->second;
    by_first_host_.erase(*merged.hosts.begin());
    merged.hosts.erase(host);
    merged.stale = true;
    if (!merged.hosts.empty()) {
        by_first_host_[*merged.hosts.begin()] = &merged;
        return;
    }
    erroneous_ -= !merged.errors.empty();
    merged_.erase(found);
}

void GroupRoutes::place(const std::string& host, HostState& state) {
    const std::string key = key_of(host, state.claims);
    if (state.merged != key) {
        leave(host, state.merged);
        Merged& merged = merged_[key];
        if (!merged.hosts.empty()) by_first_host_.erase(*merged.hosts.begin());
        merged.hosts.insert(host);
        by_first_host_[*merged.hosts.begin()] = &merged;
        state.merged = key;
    }
    merged_.at(key).stale = true;
}

// Hosts whose claims changed find the virtual host that they are part of now.
void GroupRoutes::settle() {
    for (const std::string& host : unsettled_) {
        const auto found = hosts_.find(host);
        if (found == hosts_.end()) continue;
        if (found->second.claims.empty()) {
            leave(host, found->second.merged);
            hosts_.erase(found);
        } else {
            place(host, found->second);
        }
    }
    changed_ |= !unsettled_.empty();
    unsettled_.clear();
}

GroupRoutes::Host GroupRoutes::make_host(const Context& context, Merged& merged) const {
    const Claims& claims = hosts_.at(*merged.hosts.begin()).claims;
    Context own{context.mesh, context.registry, context.node, merged.errors, context.asks};
    route::VirtualHost out;
    out.set_name(fmt::format("{}:{}", *merged.hosts.begin(), group_.port));
    for (const std::string& host : merged.hosts) out.add_domains(host);
    for (const Claim& claim : claims) append_routes(own, *claim.service, claim.gateways, group_, out);
    if (claims.size() > 1) catch_all_last(out);
    describe(*claims.front().service, "spec.hosts", *out.mutable_metadata());
    if (redirects(*merged.hosts.begin(), claims)) out.set_require_tls(route::VirtualHost::ALL);
    return out;
}

// Every request that came without TLS gets 301 to https.
GroupRoutes::Host GroupRoutes::make_redirect(const std::string& host, const ServerGroup::Member& member) const {
    route::VirtualHost out;
    out.set_name(fmt::format("{}:{}", host, group_.port));
    out.add_domains(host);
    out.set_require_tls(route::VirtualHost::ALL);
    describe(*member.gateway, member.path() + ".tls.httpsRedirect", *out.mutable_metadata());
    return out;
}

// Hosts of the other HTTPS servers of the port: the client called them by a name that is not this server's, and gets 421 (RFC 9110 15.5.20).
std::optional<GroupRoutes::Host> GroupRoutes::make_misdirected() const {
    std::set<std::string> own;   // and those of hosts_
    for (const auto& [host, member] : redirected_) own.insert(host);
    for (const std::string& text : group_.members.front().server().hosts()) own.insert(model::lower(model::split_scope(text).host));
    route::VirtualHost misdirected;
    misdirected.set_name(fmt::format("misdirected:{}", group_.port));
    for (const ServerGroup::Member& other : socket_.members) {
        if (!other.tls()) continue;
        for (const std::string& text : other.server().hosts())
            if (std::string host = model::lower(model::split_scope(text).host); host != "*" && !hosts_.contains(host) && own.insert(host).second) misdirected.add_domains(host);
    }
    if (misdirected.domains().empty()) return std::nullopt;
    route::Route& all = *misdirected.add_routes();
    all.mutable_match()->set_prefix("/");
    all.mutable_direct_response()->set_status(421);
    return Host(std::move(misdirected));
}

std::optional<GroupRoutes::Table> GroupRoutes::make(const Context& context) {
    settle();
    if (!std::exchange(changed_, false)) return std::nullopt;
    std::vector<Host> hosts;
    hosts.reserve(by_first_host_.size() + redirected_.size() + 1);
    // Hosts that no VirtualService claims are redirected too.
    for (const auto& [host, member] : redirected_)
        if (!hosts_.contains(host)) hosts.push_back(make_redirect(host, *member));
    for (const auto& [first, merged] : by_first_host_) {
        if (merged->stale) {
            erroneous_ -= !merged->errors.empty();
            merged->errors.clear();
            Host made = make_host(context, *merged);
            if (made.hash() != merged->made.hash()) merged->made = std::move(made);
            erroneous_ += !merged->errors.empty();
            merged->stale = false;
        }
        hosts.push_back(merged->made);
    }
    if (group_.tls)
        if (auto misdirected = make_misdirected()) hosts.push_back(std::move(*misdirected));
    if (hosts.empty()) {
        // istiod's way to say "open, and nothing behind it": every request is a 404.
        route::VirtualHost nothing;
        nothing.set_name(fmt::format("blackhole:{}", group_.port));
        nothing.add_domains("*");
        hosts.emplace_back(std::move(nothing));
    }
    route::RouteConfiguration head;
    head.set_name(name_);
    describe(*group_.members.front().gateway, group_.members.front().path(), *head.mutable_metadata());
    head.mutable_validate_clusters()->set_value(false);
    head.mutable_max_direct_response_body_size_bytes()->set_value(1 << 20);
    head.set_ignore_port_in_host_matching(true);
    return Table(std::move(head), std::move(hosts));
}

void GroupRoutes::append_errors(std::vector<Diagnostic>& out) const {
    if (erroneous_ == 0) return;
    for (const auto& [key, merged] : merged_) out.insert(out.end(), merged.errors.begin(), merged.errors.end());
}

}  // namespace sluice::translate
