// Which VirtualServices answer for which hosts on one socket.
// In: a group of servers. Out: one RouteConfiguration.
// Appends to the ResourceSet.
// Istio: a server's hosts and a VirtualService's hosts meet in the narrower of two that overlap; several
// VirtualServices of one host are merged in order, catch-all routes last.
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "ctrl/model/names.h"
#include "ctrl/translate/parts.h"

namespace sluice::translate {
namespace {

namespace route = envoy::config::route::v3;
using VirtualServiceObject = model::Object<istio::VirtualService>;

// A VirtualService as one host sees it: reached through these Gateways.
struct Claim {
    const VirtualServiceObject* service;
    std::set<std::string> gateways;
};
using Claims = std::vector<Claim>;

// Equal for equal claims.
std::string text_of(const Claims& claims) {
    std::string out;
    for (const Claim& claim : claims) {
        out += claim.service->key() + ":";
        for (const std::string& gateway : claim.gateways) out += gateway + ",";
    }
    return out;
}

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

bool is_visible(const Context& context, const VirtualServiceObject& service) {
    return model::visible_from(service.spec.export_to(), service.ns, context.node.ns);
}

std::map<std::string, Claims> claims_by_host(const Context& context, const ServerGroup& group) {
    std::map<std::string, Claims> out;
    std::vector<const VirtualServiceObject*> services;
    for (const auto& service : context.mesh.virtual_services)
        if (is_visible(context, service)) services.push_back(&service);
    std::sort(services.begin(), services.end(), [](const auto* a, const auto* b) {
        return std::tie(a->name, a->ns) < std::tie(b->name, b->ns);
    });
    for (const auto* service : services) {
        for (const ServerGroup::Member& member : group.members) {
            if (!is_bound(*service, *member.gateway)) continue;
            for (const std::string& host : shared_hosts(member, *service)) {
                Claims& claims = out[host];
                if (claims.empty() || claims.back().service != service) claims.push_back({service, {}});
                claims.back().gateways.insert(member.gateway->key());
            }
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

route::VirtualHost virtual_host(Context& context, const ServerGroup& group, const std::string& host,
                                const Claims& claims) {
    route::VirtualHost out;
    out.set_name(fmt::format("{}:{}", host, group.port));
    out.add_domains(host);
    for (const Claim& claim : claims) append_routes(context, *claim.service, claim.gateways, group, out);
    if (claims.size() > 1) catch_all_last(out);
    describe(*claims.front().service, "spec.hosts", *out.mutable_metadata());
    return out;
}

// Hosts of servers with `tls.httpsRedirect`: the server's own, and what VirtualServices make of them.
std::map<std::string, const ServerGroup::Member*> redirected_hosts(const ServerGroup& group,
                                                                   const std::map<std::string, Claims>& hosts) {
    std::map<std::string, const ServerGroup::Member*> out;
    for (const ServerGroup::Member& member : group.members) {
        if (!member.server().tls().https_redirect()) continue;
        for (const std::string& text : member.server().hosts())
            out.emplace(model::lower(model::split_scope(text).host), &member);
        for (const auto& [host, claims] : hosts) {
            const bool of_member = std::any_of(claims.begin(), claims.end(), [&](const Claim& claim) {
                const auto shared = shared_hosts(member, *claim.service);
                return is_bound(*claim.service, *member.gateway) && std::find(shared.begin(), shared.end(), host) != shared.end();
            });
            if (of_member) out.emplace(host, &member);
        }
    }
    return out;
}

// Every request that came without TLS gets 301 to https.
route::VirtualHost redirecting_host(const ServerGroup& group, const std::string& host, const ServerGroup::Member& member) {
    route::VirtualHost out;
    out.set_name(fmt::format("{}:{}", host, group.port));
    out.add_domains(host);
    out.set_require_tls(route::VirtualHost::ALL);
    describe(*member.gateway, member.path() + ".tls.httpsRedirect", *out.mutable_metadata());
    return out;
}

// Hosts of the other HTTPS servers of the port: the client called them by a name that is not this server's, and gets 421 (RFC 9110 15.5.20).
void add_misdirected(const ServerGroup& group, const ServerGroup& socket, route::RouteConfiguration& out) {
    std::set<std::string> own;
    for (const auto& host : out.virtual_hosts()) own.insert(host.domains().begin(), host.domains().end());
    for (const std::string& text : group.members.front().server().hosts()) own.insert(model::lower(model::split_scope(text).host));
    route::VirtualHost misdirected;
    misdirected.set_name(fmt::format("misdirected:{}", group.port));
    for (const ServerGroup::Member& other : socket.members) {
        if (!other.tls()) continue;
        for (const std::string& text : other.server().hosts())
            if (std::string host = model::lower(model::split_scope(text).host); host != "*" && own.insert(host).second) misdirected.add_domains(host);
    }
    if (misdirected.domains().empty()) return;
    route::Route& all = *misdirected.add_routes();
    all.mutable_match()->set_prefix("/");
    all.mutable_direct_response()->set_status(421);
    *out.add_virtual_hosts() = std::move(misdirected);
}

}  // namespace

void build_route_configuration(Context& context, const ServerGroup& group, const ServerGroup& socket) {
    route::RouteConfiguration out;
    out.set_name(group.route_name());
    describe(*group.members.front().gateway, group.members.front().path(), *out.mutable_metadata());
    out.mutable_validate_clusters()->set_value(false);
    out.mutable_max_direct_response_body_size_bytes()->set_value(1 << 20);
    out.set_ignore_port_in_host_matching(true);

    const std::map<std::string, Claims> hosts = claims_by_host(context, group);
    const auto redirected = redirected_hosts(group, hosts);
    // Hosts that no VirtualService claims are redirected too.
    for (const auto& [host, member] : redirected)
        if (!hosts.contains(host)) *out.add_virtual_hosts() = redirecting_host(group, host, *member);
    // Hosts with the same claims share a virtual host, named after the first of them.
    std::map<std::string, int> built;
    for (const auto& [host, claims] : hosts) {
        const bool redirects = redirected.contains(host);
        const auto [same, is_new] = built.emplace(text_of(claims) + (redirects ? "redirected" : ""), out.virtual_hosts_size());
        if (!is_new) {
            out.mutable_virtual_hosts(same->second)->add_domains(host);
            continue;
        }
        *out.add_virtual_hosts() = virtual_host(context, group, host, claims);
        if (redirects) out.mutable_virtual_hosts(same->second)->set_require_tls(route::VirtualHost::ALL);
    }
    if (group.tls) add_misdirected(group, socket, out);
    if (out.virtual_hosts().empty()) {
        // istiod's way to say "open, and nothing behind it": every request is a 404.
        route::VirtualHost& nothing = *out.add_virtual_hosts();
        nothing.set_name(fmt::format("blackhole:{}", group.port));
        nothing.add_domains("*");
    }
    context.out.routes[out.name()] = std::move(out);
}

// check() knows whether a server takes the hosts; here it is this proxy's view.
void warn_unexported(Context& context, const std::vector<ServerGroup>& groups) {
    for (const auto& service : context.mesh.virtual_services) {
        if (is_visible(context, service)) continue;
        const bool bound = std::any_of(groups.begin(), groups.end(), [&](const ServerGroup& group) {
            return std::any_of(group.members.begin(), group.members.end(), [&](const ServerGroup::Member& member) { return is_bound(service, *member.gateway); });
        });
        if (bound)
            context.warnings.push_back(service.finding("SLC0136", "spec.exportTo", fmt::format("not exported to this gateway's namespace {}", context.node.ns),
                                                       fmt::format("add {}, or remove `exportTo`", context.node.ns)));
    }
}

}  // namespace sluice::translate
