// /v1/listeners, routes, clusters, endpoints: the tables in force with their counters and where each line was written.
// Filters: host (a virtual host's domain, or a service's name), port (of a listener, or of a service), source (file, or file:line).
#include <fmt/format.h>

#include <algorithm>

#include "ctrl/admin/json.h"
#include "ctrl/admin/names.h"
#include "ctrl/admin/views.h"

namespace sluice::admin {

namespace {

using telemetry::CoreStats;

template <typename Pick>
uint64_t total(const Sources& s, Pick pick) {
    return telemetry::sum(std::span<const CoreStats* const>(s.cores), pick);
}

Json responses_json(const Sources& s, auto&& classes_of) {
    Json out;
    for (size_t i = 0; i < 5; i++)
        out[fmt::format("{}xx", i + 1)] = total(s, [&](const CoreStats& c) -> const telemetry::Counter& { return classes_of(c).classes[i]; });
    return out;
}

const route::RouteTable* table_of(const Tables& tables, const std::string& name) {
    for (const auto& table : tables.routes)
        if (table && table->name() == name) return table.get();
    return nullptr;
}

size_t route_count(const route::RouteTable* table) {
    size_t n = 0;
    if (table)
        for (const auto& host : table->virtual_hosts()) n += host.routes.size();
    return n;
}

/// HTTP, HTTPS, or both where the first bytes tell them apart.
const char* protocol_of(const snapshot::Listener& listener) {
    const auto tls = std::ranges::count_if(listener.chains, [](const auto& chain) { return chain.tls; });
    return tls == 0 ? "HTTP" : tls == std::ssize(listener.chains) ? "HTTPS" : "HTTP+HTTPS";
}

Json chains_json(const snapshot::Listener& listener, const Tables& tables) {
    Json out = Json::array();
    for (const auto& chain : listener.chains)
        out.push_back({{"name", chain.name}, {"match", chain.match_text}, {"tls", chain.tls ? Json(chain.tls_text) : Json(nullptr)},
                       {"waits_for_secret", chain.tls && chain.id < tables.chains.size() && !tables.chains[chain.id]},
                       {"route_table", chain.http.route_config_name}, {"default", listener.default_chain >= 0 && &chain == &listener.chains[static_cast<size_t>(listener.default_chain)]}});
    return out;
}

/// Of a listener's first chain.
std::string route_table_name(const snapshot::Listener& listener) {
    return listener.chains.empty() ? std::string() : listener.chains.front().http.route_config_name;
}

/// The listeners that use a route table, by port filter.
std::vector<const snapshot::Listener*> listeners_using(const Tables& tables, const std::string& name, const std::string& port) {
    std::vector<const snapshot::Listener*> out;
    for (const auto& listener : tables.listeners)
        if (listener && port_is(port, listener->address.port) &&
            std::ranges::any_of(listener->chains, [&](const auto& chain) { return chain.http.route_config_name == name; }))
            out.push_back(listener.get());
    return out;
}

Json route_json(const Sources& s, const std::string& table, const route::VirtualHost& host, const route::Route& route) {
    Json to = Json::array();
    for (const auto& c : route.clusters) to.push_back({{"cluster", c.cluster_name}, {"weight", c.weight}, {"known", c.cluster_id != UINT32_MAX}});
    const char* kActions[] = {"forward", "redirect", "direct"};
    Json out{{"table", table}, {"virtual_host", host.name}, {"domains", host.domains}, {"order", route.order + 1}, {"name", route.name},
             {"match", route.match_text}, {"action", kActions[static_cast<size_t>(route.action)]}, {"to", route_target(route)},
             {"clusters", std::move(to)},
             {"hits", total(s, [&](const CoreStats& c) -> const telemetry::Counter& { return c.route_hits(route.stat_id); })},
             {"source", route.source}, {"object", route.object}};
    if (route.timeout) out["timeout_ms"] = route.timeout->us / 1000;
    return out;
}

/// Virtual hosts to show: all, or the one that the router would choose for `host`.
std::vector<const route::VirtualHost*> chosen_hosts(const route::RouteTable& table, const std::string& host) {
    std::vector<const route::VirtualHost*> out;
    size_t best = 0;
    for (const auto& candidate : table.virtual_hosts()) {
        if (host.empty()) {
            out.push_back(&candidate);
            continue;
        }
        size_t match = 0;
        for (const auto& domain : candidate.domains) match = std::max(match, domain_match(domain, host));
        if (match > best) {
            best = match;
            out = {&candidate};
        }
    }
    return out;
}

bool cluster_is(const upstream::Cluster& cluster, const Request& request) {
    const std::string host = request.parameter("host"), port = request.parameter("port");
    const ClusterName name = split_cluster_name(cluster.name);
    const bool host_matches = host.empty() || name.host == host || short_host(name.host, true) == host || short_host(name.host, false) == host ||
                              cluster.name == host;
    return host_matches && (port.empty() || name.port == port);
}

const char* policy_text(upstream::LbPolicy policy) {
    switch (policy) {
        case upstream::LbPolicy::kRoundRobin: return "ROUND_ROBIN";
        case upstream::LbPolicy::kLeastRequest: return "LEAST_REQUEST";
        case upstream::LbPolicy::kRandom: return "RANDOM";
    }
    return "";
}

Json endpoint_json(const Sources& s, const upstream::Cluster& cluster, const upstream::Endpoint& endpoint, const char* state, uint64_t now_us) {
    const auto e = telemetry::summarize_endpoint(s.cores, endpoint.id);
    Json row{{"cluster", cluster.name}, {"address", endpoint.address.to_string()}, {"state", state ? state : e.down_since_us ? "down" : "up"},
             {"weight", endpoint.weight}, {"priority", endpoint.priority}, {"locality", endpoint.locality},
             {"requests", e.requests}, {"requests_active", e.active}, {"failures", e.failures},
             {"connect_failures", e.connect_failures}, {"responses_5xx", e.responses_5xx}};
    if (e.last_failure_us) row["last_failure"] = telemetry::to_string(e.last_failure_reason);
    if (e.down_since_us) row["down_s"] = now_us > e.down_since_us ? static_cast<double>(now_us - e.down_since_us) / 1e6 : 0.0;
    return row;
}

/// `source=mesh/reviews.yaml`, or with `:14`: written in that file, or at that line.
bool written_at(const std::string& source, const Request& request) {
    const std::string wanted = request.parameter("source");
    if (wanted.empty() || source == wanted) return true;
    return source.size() > wanted.size() && source.starts_with(wanted) && source[wanted.size()] == ':';
}

}  // namespace

std::string listeners_json(const Sources& s, const Request& request) {
    const auto tables = tables_of(s);
    const auto ports = ports_of(s);
    Json out = Json::array();
    for (const auto& l : tables->listeners) {
        if (!l || !port_is(request.parameter("port"), l->address.port) || !written_at(l->source, request)) continue;
        const auto count = [&](telemetry::Counter telemetry::ListenerStats::*field) {
            return total(s, [&](const CoreStats& c) -> const telemetry::Counter& { return c.listener(l->id).*field; });
        };
        telemetry::HistogramSum duration;
        for (const CoreStats* core : s.cores) duration.add(core->listener(l->id).request_duration_us);
        out.push_back({{"name", l->name}, {"place", listener_place(*l, ports)}, {"address", l->address.to_string()}, {"protocol", protocol_of(*l)}, {"chains", chains_json(*l, *tables)},
                       {"source", l->source}, {"object", l->object}, {"route_table", route_table_name(*l)},
                       {"routes", route_count(table_of(*tables, route_table_name(*l)))},
                       {"connections", count(&telemetry::ListenerStats::connections)},
                       {"connections_active", count(&telemetry::ListenerStats::connections_active)},
                       {"requests", count(&telemetry::ListenerStats::requests)},
                       {"requests_active", count(&telemetry::ListenerStats::requests_active)},
                       {"responses", responses_json(s, [&](const CoreStats& c) -> const auto& { return c.listener(l->id).responses; })},
                       {"no_route", count(&telemetry::ListenerStats::no_route)},
                       {"no_cluster", count(&telemetry::ListenerStats::no_cluster)},
                       {"duration_us", {{"p50", duration.quantile(0.5)}, {"p90", duration.quantile(0.9)}, {"p99", duration.quantile(0.99)}}}});
    }
    return dump(out);
}

std::string routes_json(const Sources& s, const Request& request) {
    const auto tables = tables_of(s);
    Json out = Json::array();
    for (const auto& table : tables->routes) {
        if (!table) continue;
        const auto users = listeners_using(*tables, table->name(), request.parameter("port"));
        if (users.empty() && !request.parameter("port").empty()) continue;
        for (const auto* host : chosen_hosts(*table, request.parameter("host")))
            for (const auto& route : host->routes)
                if (written_at(route.source, request)) out.push_back(route_json(s, table->name(), *host, route));
        if (!request.parameter("source").empty()) continue;
        uint64_t none = 0;
        for (const auto* l : users)
            none += total(s, [&](const CoreStats& c) -> const telemetry::Counter& { return c.listener(l->id).no_route; });
        out.push_back({{"table", table->name()}, {"virtual_host", nullptr}, {"domains", Json::array()}, {"order", nullptr}, {"name", ""},
                       {"match", "(none)"}, {"action", "none"}, {"to", "404 NR"}, {"clusters", Json::array()}, {"hits", none},
                       {"source", "built in"}, {"object", ""}});
    }
    return dump(out);
}

std::string clusters_json(const Sources& s, const Request& request) {
    const auto tables = tables_of(s);
    Json out = Json::array();
    for (const auto& c : tables->clusters) {
        if (!c || !cluster_is(*c, request) || !written_at(c->source, request)) continue;
        const ClusterName name = split_cluster_name(c->name);
        const auto count = [&](telemetry::Counter telemetry::ClusterStats::*field) {
            return total(s, [&](const CoreStats& core) -> const telemetry::Counter& { return core.cluster(c->id).*field; });
        };
        using S = telemetry::ClusterStats;
        out.push_back({{"name", c->name}, {"host", name.host}, {"port", name.port}, {"subset", name.subset}, {"policy", policy_text(c->policy)},
                       {"endpoints", c->endpoints ? c->endpoints->endpoints.size() : 0}, {"connect_timeout_ms", c->connect_timeout.us / 1000},
                       {"requests", count(&S::requests)}, {"requests_active", count(&S::requests_active)},
                       {"responses", responses_json(s, [&](const CoreStats& core) -> const auto& { return core.cluster(c->id).responses; })},
                       {"connections_open", count(&S::connections_open)}, {"connections_idle", count(&S::connections_idle)},
                       {"connections", count(&S::connections)}, {"connect_failures", count(&S::connect_failures)},
                       {"connect_timeouts", count(&S::connect_timeouts)}, {"request_timeouts", count(&S::request_timeouts)},
                       {"resets", count(&S::resets)}, {"retries", count(&S::retries)}, {"overflows", count(&S::overflows)},
                       {"no_healthy", count(&S::no_healthy)}, {"source", c->source}, {"object", c->object}});
    }
    return dump(out);
}

std::string endpoints_json(const Sources& s, const Request& request) {
    const auto tables = tables_of(s);
    const uint64_t now = unix_us_now();
    Json out = Json::array();
    for (const auto& c : tables->clusters) {
        if (!c || !c->endpoints || !cluster_is(*c, request) || !written_at(c->source, request)) continue;
        for (const auto& endpoint : c->endpoints->endpoints) out.push_back(endpoint_json(s, *c, endpoint, nullptr, now));
        for (const auto& endpoint : c->endpoints->left_out) out.push_back(endpoint_json(s, *c, endpoint, left_out_text(endpoint.why), now));
    }
    return dump(out);
}

}  // namespace sluice::admin
