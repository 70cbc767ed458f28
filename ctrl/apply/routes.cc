// RouteConfiguration -> RouteTable: virtual hosts, routes, their actions and header changes.
// In: a configuration whose fields the walk let through. Out: the compiled table, the previous one if nothing it depends on
// changed (its content, the ids of the clusters it names, the filters of its listener, compiled regexes).
// Envoy route.v3.
#include <algorithm>

#include "ctrl/apply/field_walk.h"
#include "ctrl/apply/filter_configs.h"
#include "ctrl/apply/readers.h"
#include "route/regex.h"

namespace sluice::apply {
namespace {

namespace pb = envoy::config::route::v3;

constexpr uint32_t kDirectBodyBytesDefault = 4096;  // Envoy's max_direct_response_body_size_bytes

class RoutesReader {
 public:
    RoutesReader(Build& build, const RouteRequest& request) : build_(build), request_(request), config_(*request.config) {}
    std::shared_ptr<const route::RouteTable> read();

 private:
    bool virtual_host(const pb::VirtualHost& in, route::VirtualHostInput& out, const At& at);
    bool one_route(const pb::Route& in, route::Route& out, const route::RouteMatch& match, const std::string& host, const At& at);
    bool forward(const pb::RouteAction& in, route::Route& out, const At& at);
    bool weighted(const pb::WeightedCluster& in, route::Route& out, const At& at);
    bool cluster(const std::string& name, uint32_t weight, route::Route& out, const At& at);
    bool redirect(const pb::RedirectAction& in, route::Route& out, const At& at);
    bool direct(const pb::DirectResponseAction& in, route::Route& out, const At& at);
    bool per_filter(const google::protobuf::Map<std::string, google::protobuf::Any>& in, route::Route& out, const At& at);
    std::shared_ptr<const route::RouteTable> unchanged(uint64_t hash) const;
    bool holds(const TableOrigin& origin) const;
    void remember(const route::RouteTable& table) const;

    Build& build_;
    const RouteRequest& request_;
    const pb::RouteConfiguration& config_;
};

bool read_regex_rewrite(const envoy::type::matcher::v3::RegexMatchAndSubstitute& in, std::shared_ptr<const re2::RE2>& regex,
                        std::string& substitution, const At& at) {
    auto compiled = route::compile_regex(in.pattern().regex());
    if (!compiled) return at.child("pattern.regex").refuse(compiled.error());
    regex = *compiled;
    const At here = at.child("substitution");
    return read_uri_text(in.substitution(), substitution, here) &&
           (route::check_substitution(*regex, substitution) ||
            here.refuse("\"" + substitution + "\" refers to a group that the pattern does not have"));
}

/// The table of the build before with all that it was made of, if that is what this one would be made of.
std::shared_ptr<const route::RouteTable> RoutesReader::unchanged(uint64_t hash) const {
    if (!build_.before) return nullptr;
    for (const auto& table : build_.previous->routes) {
        if (table->name() != request_.name || table->content_hash != hash || table->could_adopt()) continue;
        const auto origin = build_.before->tables.find(table.get());
        if (origin == build_.before->tables.end() || !(build_.same_clusters || holds(*origin->second))) return nullptr;
        build_.origin.tables.emplace(table.get(), origin->second);
        return table;
    }
    return nullptr;
}

/// A name keeps its id while it is in use; so a table is as before if none of its clusters went and none it missed came.
bool RoutesReader::holds(const TableOrigin& origin) const {
    const auto there = [&](uint32_t id) { return id < build_.has_cluster.size() && build_.has_cluster[id]; };
    return std::all_of(origin.cluster_ids.begin(), origin.cluster_ids.end(), there) &&
           std::none_of(origin.unknown_clusters.begin(), origin.unknown_clusters.end(),
                        [&](const std::string& name) { return build_.cluster_id(name) != UINT32_MAX; });
}

void RoutesReader::remember(const route::RouteTable& table) const {
    auto origin = std::make_shared<TableOrigin>();
    for (const auto& host : table.virtual_hosts()) {
        for (const auto& route : host.routes) {
            for (const auto& cluster : route.clusters) {
                if (cluster.cluster_id == UINT32_MAX) origin->unknown_clusters.push_back(cluster.cluster_name);
                else origin->cluster_ids.push_back(cluster.cluster_id);
            }
        }
    }
    const auto keep_distinct = [](auto& values) {
        std::sort(values.begin(), values.end());
        values.erase(std::unique(values.begin(), values.end()), values.end());
    };
    keep_distinct(origin->cluster_ids);
    keep_distinct(origin->unknown_clusters);
    build_.origin.tables.emplace(&table, std::move(origin));
}

std::shared_ptr<const route::RouteTable> RoutesReader::read() {
    uint64_t hash = request_.hash;
    for (const std::string& filter : request_.chain) hash = mix(hash, filter);
    if (auto same = unchanged(hash)) return same;
    if (!check_fields(config_, build_.sink)) return nullptr;

    const At at(build_.sink, &config_.metadata());
    std::vector<route::VirtualHostInput> hosts(static_cast<size_t>(config_.virtual_hosts_size()));
    bool good = true;
    for (int i = 0; i < config_.virtual_hosts_size(); i++) {
        const auto& in = config_.virtual_hosts(i);
        good &= virtual_host(in, hosts[static_cast<size_t>(i)], at.child("virtual_hosts", i, &in.metadata()));
    }
    route::HeaderOps request, response;
    good &= read_header_ops(config_.request_headers_to_add(), config_.request_headers_to_remove(), request, at,
                            "request_headers_to_add", "request_headers_to_remove");
    good &= read_header_ops(config_.response_headers_to_add(), config_.response_headers_to_remove(), response, at,
                            "response_headers_to_add", "response_headers_to_remove");
    if (!good) return nullptr;
    auto table = route::RouteTable::build(request_.name, std::move(hosts), std::move(request), std::move(response),
                                          config_.ignore_port_in_host_matching());
    if (!table) {
        at.child("virtual_hosts").refuse(table.error());
        return nullptr;
    }
    // The hash is the table's identity among snapshots; nobody else has the table yet.
    const_cast<route::RouteTable&>(**table).content_hash = hash;
    remember(**table);
    return *table;
}

bool RoutesReader::virtual_host(const pb::VirtualHost& in, route::VirtualHostInput& out, const At& at) {
    route::VirtualHost& host = out.virtual_host;
    host.name = in.name();
    host.domains.assign(in.domains().begin(), in.domains().end());
    const xds::Provenance place = xds::provenance(in.metadata());
    host.source = place.source;
    host.object = place.object;
    using RequireTls = route::VirtualHost::RequireTls;
    host.require_tls = in.require_tls() == pb::VirtualHost::ALL ? RequireTls::kAll : in.require_tls() == pb::VirtualHost::EXTERNAL_ONLY ? RequireTls::kExternalOnly : RequireTls::kNone;
    bool good = true;
    if (in.domains().empty()) good = at.child("domains").refuse("a virtual host without domains");
    if (!in.typed_per_filter_config().empty()) {
        good = at.child("typed_per_filter_config").refuse("filter configuration of a virtual host is not supported yet: give it to its routes");
    }
    good &= read_header_ops(in.request_headers_to_add(), in.request_headers_to_remove(), host.request_headers, at,
                            "request_headers_to_add", "request_headers_to_remove");
    good &= read_header_ops(in.response_headers_to_add(), in.response_headers_to_remove(), host.response_headers, at,
                            "response_headers_to_add", "response_headers_to_remove");
    host.routes.resize(static_cast<size_t>(in.routes_size()));
    out.matches.resize(host.routes.size());
    for (int i = 0; i < in.routes_size(); i++) {
        const pb::Route& route = in.routes(i);
        const At here = at.child("routes", i, &route.metadata());
        const auto n = static_cast<size_t>(i);
        good &= read_match(route.match(), out.matches[n], here.child("match")) &&
                one_route(route, host.routes[n], out.matches[n], host.name, here);
    }
    return good;
}

bool RoutesReader::one_route(const pb::Route& in, route::Route& out, const route::RouteMatch& match, const std::string& host,
                             const At& at) {
    out.name = in.name();
    const xds::Provenance place = xds::provenance(in.metadata());
    out.source = place.source;
    out.object = place.object;
    out.match_text = route::describe(match);
    // One counter per match of a host, wherever it stands: reordering keeps what was counted.
    out.stat_id = build_.publisher.id_of(snapshot::Publisher::IdKind::kRoute,
                                         request_.name + '\n' + host + '\n' + out.name + '\n' + out.match_text);
    if (out.stat_id == UINT32_MAX) return at.refuse("more routes than this gateway has room for");
    bool good = read_header_ops(in.request_headers_to_add(), in.request_headers_to_remove(), out.request_headers, at,
                                "request_headers_to_add", "request_headers_to_remove");
    good &= read_header_ops(in.response_headers_to_add(), in.response_headers_to_remove(), out.response_headers, at,
                            "response_headers_to_add", "response_headers_to_remove");
    good &= per_filter(in.typed_per_filter_config(), out, at);
    switch (in.action_case()) {
        case pb::Route::kRoute: return forward(in.route(), out, at.child("route")) && good;
        case pb::Route::kRedirect: return redirect(in.redirect(), out, at.child("redirect")) && good;
        case pb::Route::kDirectResponse: return direct(in.direct_response(), out, at.child("direct_response")) && good;
        default: return at.refuse("a route without an action: give route, redirect or direct_response");
    }
}

bool RoutesReader::cluster(const std::string& name, uint32_t weight, route::Route& out, const At& at) {
    route::WeightedCluster& one = out.clusters.emplace_back();
    one.cluster_name = name;
    one.weight = weight;
    if (name.empty()) return at.refuse("a cluster without a name");
    one.cluster_id = build_.cluster_id(name);
    if (one.cluster_id == UINT32_MAX && config_.validate_clusters().value()) return at.refuse("unknown cluster \"" + name + "\"");
    return true;
}

bool RoutesReader::weighted(const pb::WeightedCluster& in, route::Route& out, const At& at) {
    bool good = true;
    uint64_t total = 0;
    for (int i = 0; i < in.clusters_size(); i++) {
        const auto& one = in.clusters(i);
        const At here = at.child("clusters", i);
        if (!one.has_weight()) good = here.child("weight").refuse("is missing");
        total += one.weight().value();
        good &= cluster(one.name(), one.weight().value(), out, here.child("name"));
        route::WeightedCluster& made = out.clusters.back();
        good &= read_uri_text(one.host_rewrite_literal(), made.host_rewrite, here.child("host_rewrite_literal"));
        good &= read_header_ops(one.request_headers_to_add(), one.request_headers_to_remove(), made.request_headers, here,
                                "request_headers_to_add", "request_headers_to_remove");
        good &= read_header_ops(one.response_headers_to_add(), one.response_headers_to_remove(), made.response_headers, here,
                                "response_headers_to_add", "response_headers_to_remove");
    }
    if (total == 0) return at.refuse("weights add up to nothing");
    if (total > UINT32_MAX) return at.refuse("weights add up to more than 4294967295");
    if (in.has_total_weight() && in.total_weight().value() != total) {
        return at.child("total_weight").refuse("weights add up to " + std::to_string(total) + ", not to " + std::to_string(in.total_weight().value()));
    }
    return good;
}

bool RoutesReader::forward(const pb::RouteAction& in, route::Route& out, const At& at) {
    out.action = route::Route::Action::kForward;
    bool good = true;
    switch (in.cluster_specifier_case()) {
        case pb::RouteAction::kCluster: good = cluster(in.cluster(), 1, out, at.child("cluster")); break;
        case pb::RouteAction::kWeightedClusters: good = weighted(in.weighted_clusters(), out, at.child("weighted_clusters")); break;
        default: return at.refuse("a route without a cluster: give cluster or weighted_clusters");
    }
    Duration duration;
    if (in.has_timeout()) {
        good &= read_duration(in.timeout(), duration, at.child("timeout"));
        out.timeout = duration;
    }
    if (in.has_idle_timeout()) {
        good &= read_duration(in.idle_timeout(), duration, at.child("idle_timeout"));
        out.idle_timeout = duration;
    }
    if (!in.prefix_rewrite().empty() && in.has_regex_rewrite()) return at.refuse("both prefix_rewrite and regex_rewrite");
    if (!in.prefix_rewrite().empty()) {
        out.rewrite.path = route::Rewrite::Path::kPrefix;
        good &= read_uri_text(in.prefix_rewrite(), out.rewrite.text, at.child("prefix_rewrite"));
    } else if (in.has_regex_rewrite()) {
        out.rewrite.path = route::Rewrite::Path::kRegex;
        good &= read_regex_rewrite(in.regex_rewrite(), out.rewrite.regex, out.rewrite.text, at.child("regex_rewrite"));
    }
    return read_uri_text(in.host_rewrite_literal(), out.rewrite.host, at.child("host_rewrite_literal")) && good;
}

bool RoutesReader::redirect(const pb::RedirectAction& in, route::Route& out, const At& at) {
    out.action = route::Route::Action::kRedirect;
    route::Redirect& redirect = out.redirect;
    redirect.https = in.https_redirect();
    redirect.strip_query = in.strip_query();
    bool good = read_uri_text(in.scheme_redirect(), redirect.scheme, at.child("scheme_redirect")) &
                read_uri_text(in.host_redirect(), redirect.host, at.child("host_redirect")) &
                read_uri_text(in.path_redirect(), redirect.path, at.child("path_redirect")) &
                read_uri_text(in.prefix_rewrite(), redirect.prefix_rewrite, at.child("prefix_rewrite"));
    if (in.port_redirect() > 65535) good = at.child("port_redirect").refuse("not a port");
    if (in.port_redirect() != 0) redirect.port = static_cast<uint16_t>(in.port_redirect());
    if (in.has_regex_rewrite()) {
        good &= read_regex_rewrite(in.regex_rewrite(), redirect.regex, redirect.regex_substitution, at.child("regex_rewrite"));
    }
    switch (in.response_code()) {
        case pb::RedirectAction::MOVED_PERMANENTLY: redirect.status = 301; break;
        case pb::RedirectAction::FOUND: redirect.status = 302; break;
        case pb::RedirectAction::SEE_OTHER: redirect.status = 303; break;
        case pb::RedirectAction::TEMPORARY_REDIRECT: redirect.status = 307; break;
        case pb::RedirectAction::PERMANENT_REDIRECT: redirect.status = 308; break;
        default: return at.child("response_code").refuse("an unknown value");
    }
    return good;
}

bool RoutesReader::direct(const pb::DirectResponseAction& in, route::Route& out, const At& at) {
    out.action = route::Route::Action::kDirectResponse;
    if (in.status() < 200 || in.status() > 599) return at.child("status").refuse(std::to_string(in.status()) + " is not a status from 200 to 599");
    out.direct.status = static_cast<uint16_t>(in.status());
    const auto& body = in.body();
    out.direct.body = body.has_inline_bytes() ? body.inline_bytes() : body.inline_string();
    const uint32_t most = config_.has_max_direct_response_body_size_bytes() ? config_.max_direct_response_body_size_bytes().value()
                                                                           : kDirectBodyBytesDefault;
    if (out.direct.body.size() > most) {
        return at.child("body").refuse("longer than max_direct_response_body_size_bytes (" + std::to_string(most) + ")");
    }
    return true;
}

bool RoutesReader::per_filter(const google::protobuf::Map<std::string, google::protobuf::Any>& in, route::Route& out, const At& at) {
    bool good = true;
    for (const auto& [name, config] : in) {
        const std::string field = "typed_per_filter_config[" + name + "]";
        const auto position = std::find(request_.chain.begin(), request_.chain.end(), name);
        const FilterReader* reader = find_route_reader(config.type_url());
        if (!reader || !reader->read_route || position == request_.chain.end()) {
            good = at.child(field).refuse("extension " + extension_type(config) + " is not supported on routes");
            continue;
        }
        auto read = reader->read_route(config);
        if (!read) {
            good = at.child(field).refuse(read.error());
            continue;
        }
        out.per_filter.resize(request_.chain.size());
        out.per_filter[static_cast<size_t>(position - request_.chain.begin())] = std::move(*read);
    }
    return good;
}

}  // namespace

std::shared_ptr<const route::RouteTable> read_routes(Build& build, const RouteRequest& request) {
    build.sink.begin("envoy.config.route.v3.RouteConfiguration", request.name);
    return RoutesReader(build, request).read();
}

}  // namespace sluice::apply
