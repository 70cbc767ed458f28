// RouteConfiguration -> RouteTable: virtual hosts, routes, their actions and header changes.
// In: a configuration whose fields the walk let through. Out: the compiled table; virtual hosts on which nothing they depend on changed
// (their content, the ids of the clusters they name, the filters of the listener, compiled regexes) are those of the table before.
// Envoy route.v3.
#include <algorithm>
#include <unordered_map>

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
    RoutesReader(Build& build, const RouteRequest& request) : build_(build), request_(request), config_(request.config->head()) {}
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
    void find_before();
    std::vector<bool> match_hosts(std::vector<route::RouteTable::HostSource>& sources) const;
    bool walk(const std::vector<route::RouteTable::HostSource>& sources);
    bool read_hosts(std::vector<route::RouteTable::HostSource>& sources, const At& at);
    bool holds(const HostOrigin& origin) const;
    std::shared_ptr<const HostOrigin> origin_of(const route::VirtualHost& host, uint64_t hash) const;

    Build& build_;
    const RouteRequest& request_;
    const pb::RouteConfiguration& config_;                    // without its virtual hosts
    std::shared_ptr<const route::RouteTable> before_;         // nullptr: everything is read
    std::shared_ptr<const TableOrigin> before_origin_;
    std::shared_ptr<TableOrigin> origin_ = std::make_shared<TableOrigin>();
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

bool RoutesReader::holds(const HostOrigin& origin) const {
    if (build_.same_clusters) return true;
    const auto there = [&](uint32_t id) { return id < build_.has_cluster.size() && build_.has_cluster[id]; };
    // A name keeps its id while it is in use.
    return std::all_of(origin.cluster_ids.begin(), origin.cluster_ids.end(), there) &&
           std::none_of(origin.unknown_clusters.begin(), origin.unknown_clusters.end(),
                        [&](const std::string& name) { return build_.cluster_id(name) != UINT32_MAX; });
}

/// The table of this name in the build before, if what its hosts have in common is the same.
void RoutesReader::find_before() {
    if (!build_.before) return;
    for (const auto& table : build_.previous->routes) {
        if (table->name() != request_.name) continue;
        const auto origin = build_.before->tables.find(table.get());
        if (origin == build_.before->tables.end() || origin->second->settings_hash != origin_->settings_hash) return;
        before_ = table;
        before_origin_ = origin->second;
    }
}

/// By number in the table before: which of its hosts are these, unchanged. `kept` of each of these is that number.
std::vector<bool> RoutesReader::match_hosts(std::vector<route::RouteTable::HostSource>& sources) const {
    std::vector<bool> unchanged(before_origin_ ? before_origin_->hosts.size() : 0);
    if (unchanged.empty()) return unchanged;
    const auto& before = before_origin_->hosts;
    const auto& now = request_.config->hosts();
    const auto take = [&](size_t i, uint32_t number) {
        if (unchanged[number] || !holds(*before[number])) return;
        unchanged[number] = true;
        sources[i].kept = number;
    };
    // Most stand where they stood: the same number from the front, or from the end.
    size_t front = 0;
    while (front < now.size() && front < before.size() && before[front]->hash == now[front].hash()) take(front, static_cast<uint32_t>(front)), front++;
    size_t end = now.size(), before_end = before.size();
    while (end > front && before_end > front && before[before_end - 1]->hash == now[end - 1].hash()) take(--end, static_cast<uint32_t>(--before_end));
    if (end == front) return unchanged;
    std::unordered_map<uint64_t, uint32_t> by_hash;
    for (size_t i = front; i < before_end; i++) by_hash.emplace(before[i]->hash, static_cast<uint32_t>(i));
    for (size_t i = front; i < end; i++)
        if (const auto found = by_hash.find(now[i].hash()); found != by_hash.end()) take(i, found->second);
    return unchanged;
}

std::shared_ptr<const HostOrigin> RoutesReader::origin_of(const route::VirtualHost& host, uint64_t hash) const {
    auto origin = std::make_shared<HostOrigin>();
    origin->hash = hash;
    for (const auto& route : host.routes) {
        for (const auto& cluster : route.clusters) {
            if (cluster.cluster_id == UINT32_MAX) origin->unknown_clusters.push_back(cluster.cluster_name);
            else origin->cluster_ids.push_back(cluster.cluster_id);
        }
    }
    const auto keep_distinct = [](auto& values) {
        std::sort(values.begin(), values.end());
        values.erase(std::unique(values.begin(), values.end()), values.end());
    };
    keep_distinct(origin->cluster_ids);
    keep_distinct(origin->unknown_clusters);
    return origin;
}

/// Hosts that are new, changed or worn out; places in refusals are those of the whole configuration.
bool RoutesReader::read_hosts(std::vector<route::RouteTable::HostSource>& sources, const At& at) {
    const auto& hosts = request_.config->hosts();
    bool good = true;
    for (size_t i = 0; i < hosts.size(); i++) {
        auto& source = sources[i];
        if (source.kept != UINT32_MAX) {
            origin_->hosts.push_back(before_origin_->hosts[source.kept]);
            continue;
        }
        good &= virtual_host(*hosts[i], source.fresh, at.child("virtual_hosts", static_cast<int>(i), &hosts[i]->metadata()));
        origin_->hosts.push_back(origin_of(source.fresh.virtual_host, hosts[i].hash()));
    }
    return good;
}

/// The walk over fields: of what is read. It tells of the hosts with their places in the configuration.
bool RoutesReader::walk(const std::vector<route::RouteTable::HostSource>& sources) {
    bool good = check_fields(config_, build_.sink);
    const xds::Provenance place = xds::provenance(config_.metadata());
    for (size_t i = 0; i < sources.size(); i++) {
        if (sources[i].kept != UINT32_MAX) continue;
        const auto& host = *request_.config->hosts()[i];
        good &= check_fields(host, build_.sink, {"virtual_hosts[" + std::to_string(i) + "]", place});
    }
    return good;
}

std::shared_ptr<const route::RouteTable> RoutesReader::read() {
    origin_->settings_hash = content_hash(config_);
    for (const std::string& filter : request_.chain) origin_->settings_hash = mix(origin_->settings_hash, filter);
    uint64_t hash = request_.config->hash();
    for (const std::string& filter : request_.chain) hash = mix(hash, filter);
    find_before();
    std::vector<route::RouteTable::HostSource> sources(request_.config->hosts().size());
    std::vector<bool> unchanged = match_hosts(sources);
    const bool all_same = before_ && before_->content_hash == hash && std::all_of(unchanged.begin(), unchanged.end(), [](bool same) { return same; });
    if (all_same && !before_->could_adopt()) {
        build_.origin.tables.emplace(before_.get(), before_origin_);
        return before_;
    }
    if (before_) {
        const std::vector<bool> worn = route::RouteTable::worn_out(*before_, unchanged);
        for (auto& source : sources)
            if (source.kept != UINT32_MAX && worn[source.kept]) source.kept = UINT32_MAX;
    }
    if (!walk(sources)) return nullptr;

    const At at(build_.sink, &config_.metadata());
    bool good = read_hosts(sources, at);
    route::RouteTable::Options options{.name = request_.name, .request_headers = {}, .response_headers = {}, .ignore_port = config_.ignore_port_in_host_matching()};
    good &= read_header_ops(config_.request_headers_to_add(), config_.request_headers_to_remove(), options.request_headers, at,
                            "request_headers_to_add", "request_headers_to_remove");
    good &= read_header_ops(config_.response_headers_to_add(), config_.response_headers_to_remove(), options.response_headers, at,
                            "response_headers_to_add", "response_headers_to_remove");
    if (!good) return nullptr;
    auto table = route::RouteTable::build(std::move(options), before_.get(), std::move(sources));
    if (!table) {
        at.child("virtual_hosts").refuse(table.error());
        return nullptr;
    }
    // The hash is the table's identity among snapshots; nobody else has the table yet.
    const_cast<route::RouteTable&>(**table).content_hash = hash;
    build_.origin.tables.emplace(table->get(), std::move(origin_));
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
