// HTTPRoute -> Envoy routes.
// In: a VirtualService and the Gateways through which it is reached. Out: routes of a virtual host, in order.
// Appends to the virtual host.
// Envoy v3 Route; Istio VirtualService v1. One Envoy route for each match block.
#include <algorithm>

#include <absl/strings/match.h>
#include <fmt/format.h>
#include <re2/re2.h>

#include "ctrl/model/names.h"
#include "ctrl/translate/parts.h"

namespace sluice::translate {
namespace {

namespace core = envoy::config::core::v3;
namespace route = envoy::config::route::v3;
namespace matcher = envoy::type::matcher::v3;
using VirtualServiceObject = model::Object<istio::VirtualService>;
using StringMatches = google::protobuf::Map<std::string, istio::StringMatch>;

// protobuf maps have no order; routes must not differ between two runs.
template <typename Map>
std::vector<std::pair<std::string, typename Map::mapped_type>> sorted(const Map& map) {
    std::vector<std::pair<std::string, typename Map::mapped_type>> out(map.begin(), map.end());
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    return out;
}

class RouteBuilder {
 public:
    RouteBuilder(Context& context, const VirtualServiceObject& service, const std::set<std::string>& gateways,
                 const ServerGroup& group, route::VirtualHost& out)
        : context_(context), service_(service), gateways_(gateways), port_(group.port), tls_(group.tls), out_(out) {}

    void append(int index) {
        index_ = index;
        const istio::HTTPRoute& http = service_.spec.http(index);
        if (http.match().empty()) return append(http, nullptr);
        for (const istio::HTTPMatchRequest& match : http.match())
            if (applies(match)) append(http, &match);
    }

 private:
    // Conditions on where the request arrives are decided here and leave no trace in the route.
    bool applies(const istio::HTTPMatchRequest& match) const {
        if (match.port() != 0 && match.port() != port_) return false;
        if (match.has_scheme() && !matches(match.scheme(), tls_ ? "https" : "http")) return false;
        if (!match.source_namespace().empty() && match.source_namespace() != context_.node.ns) return false;
        if (!model::has_labels(context_.node.labels, match.source_labels())) return false;
        if (match.gateways().empty()) return true;
        return std::any_of(match.gateways().begin(), match.gateways().end(), [&](const std::string& name) {
            return gateways_.contains(name.find('/') == std::string::npos ? service_.ns + "/" + name : name);
        });
    }

    static bool matches(const istio::StringMatch& match, const std::string& value) {
        if (match.has_exact()) return value == match.exact();
        if (match.has_prefix()) return value.starts_with(match.prefix());
        return !match.has_regex() || RE2::FullMatch(value, match.regex());
    }

    void append(const istio::HTTPRoute& http, const istio::HTTPMatchRequest* match) {
        route::Route out;
        out.set_name(http.name());
        if (match && !match->name().empty()) out.set_name(http.name() + "." + match->name());
        set_match(match, *out.mutable_match());
        set_headers(http.headers(), out);
        if (http.has_redirect()) set_redirect(http.redirect(), *out.mutable_redirect());
        else if (http.has_direct_response())
            set_direct_response(http.direct_response(), *out.mutable_direct_response());
        else set_action(http, out);
        describe(service_, fmt::format("spec.http[{}]", index_), *out.mutable_metadata());
        *out_.add_routes() = std::move(out);
    }

    void set_match(const istio::HTTPMatchRequest* match, route::RouteMatch& out);
    void set_named_matches(const StringMatches& matches, bool invert, route::RouteMatch& out);
    void set_action(const istio::HTTPRoute& http, route::Route& out);
    void set_weighted(const istio::HTTPRoute& http, route::RouteAction& out);
    void set_redirect(const istio::HTTPRedirect& redirect, route::RedirectAction& out);
    void set_direct_response(const istio::HTTPDirectResponse& response, route::DirectResponseAction& out);
    template <typename Target>
    void set_headers(const istio::Headers& headers, Target& out);
    std::string cluster_of(const istio::Destination& destination);

    Context& context_;
    const VirtualServiceObject& service_;
    const std::set<std::string>& gateways_;
    uint32_t port_;
    bool tls_;
    route::VirtualHost& out_;
    int index_ = 0;
};

// False: nothing to compare with, the name's presence is enough. Istio takes the regex `*` for that too.
bool set_string_match(const istio::StringMatch& match, matcher::StringMatcher& out) {
    if (!match.exact().empty()) out.set_exact(match.exact());
    else if (!match.prefix().empty()) out.set_prefix(match.prefix());
    else if (!match.regex().empty() && match.regex() != "*") out.mutable_safe_regex()->set_regex(match.regex());
    else return false;
    return true;
}

void add_pseudo_header(const char* name, const istio::StringMatch& match, route::RouteMatch& out) {
    route::HeaderMatcher& header = *out.add_headers();
    header.set_name(name);
    if (!set_string_match(match, *header.mutable_string_match())) header.set_present_match(true);
}

void RouteBuilder::set_match(const istio::HTTPMatchRequest* match, route::RouteMatch& out) {
    out.set_prefix("/");
    if (!match) return;
    const istio::StringMatch& uri = match->uri();
    if (uri.has_exact()) out.set_path(uri.exact());
    else if (uri.has_regex()) out.mutable_safe_regex()->set_regex(uri.regex());
    else if (!uri.prefix().empty()) out.set_prefix(uri.prefix());
    out.mutable_case_sensitive()->set_value(!match->ignore_uri_case());

    set_named_matches(match->headers(), false, out);
    set_named_matches(match->without_headers(), true, out);
    std::stable_sort(out.mutable_headers()->begin(), out.mutable_headers()->end(),
                     [](const auto& a, const auto& b) { return a.name() < b.name(); });
    if (match->has_method()) add_pseudo_header(":method", match->method(), out);
    if (match->has_authority()) add_pseudo_header(":authority", match->authority(), out);
    for (const auto& [name, value] : sorted(match->query_params())) {
        route::QueryParameterMatcher& parameter = *out.add_query_parameters();
        parameter.set_name(name);
        if (!set_string_match(value, *parameter.mutable_string_match())) parameter.set_present_match(true);
    }
}

void RouteBuilder::set_named_matches(const StringMatches& matches, bool invert, route::RouteMatch& out) {
    for (const auto& [name, value] : sorted(matches)) {
        route::HeaderMatcher& header = *out.add_headers();
        header.set_name(model::lower(name));
        header.set_invert_match(invert);
        if (!set_string_match(value, *header.mutable_string_match())) header.set_present_match(true);
    }
}

// Target: Route or WeightedCluster.ClusterWeight; both have the same four fields.
template <typename Target>
void RouteBuilder::set_headers(const istio::Headers& headers, Target& out) {
    const auto add = [](const auto& values, bool overwrite, auto* options) {
        for (const auto& [name, value] : sorted(values)) {
            if (name == ":authority" || absl::EqualsIgnoreCase(name, "host")) continue;  // a rewrite, see set_action
            core::HeaderValueOption& option = *options->Add();
            option.mutable_header()->set_key(model::lower(name));
            option.mutable_header()->set_value(value);
            if (overwrite) option.set_append_action(core::HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD);
        }
    };
    add(headers.request().set(), true, out.mutable_request_headers_to_add());
    add(headers.request().add(), false, out.mutable_request_headers_to_add());
    add(headers.response().set(), true, out.mutable_response_headers_to_add());
    add(headers.response().add(), false, out.mutable_response_headers_to_add());
    for (const std::string& name : headers.request().remove()) out.add_request_headers_to_remove(model::lower(name));
    for (const std::string& name : headers.response().remove()) out.add_response_headers_to_remove(model::lower(name));
}

// `headers.request.set: {host: ...}` is how Istio's users set the host.
std::string host_set(const istio::Headers& headers) {
    for (const auto& [name, value] : headers.request().set())
        if (name == ":authority" || absl::EqualsIgnoreCase(name, "host")) return value;
    return "";
}

void RouteBuilder::set_action(const istio::HTTPRoute& http, route::Route& out) {
    route::RouteAction& action = *out.mutable_route();
    std::string host = host_set(http.headers());
    if (http.route_size() == 1) {
        action.set_cluster(cluster_of(http.route(0).destination()));
        set_headers(http.route(0).headers(), out);
        if (std::string own = host_set(http.route(0).headers()); !own.empty()) host = own;
    } else {
        set_weighted(http, action);
    }
    // Istio: no timeout unless asked for. Envoy's own default would be 15 s.
    *action.mutable_timeout() = http.timeout();
    const istio::HTTPRewrite& rewrite = http.rewrite();
    if (!rewrite.uri().empty()) action.set_prefix_rewrite(rewrite.uri());
    if (rewrite.has_uri_regex_rewrite()) {
        action.mutable_regex_rewrite()->mutable_pattern()->set_regex(rewrite.uri_regex_rewrite().match());
        action.mutable_regex_rewrite()->set_substitution(rewrite.uri_regex_rewrite().rewrite());
    }
    if (!rewrite.authority().empty()) host = rewrite.authority();
    if (!host.empty()) action.set_host_rewrite_literal(host);
}

void RouteBuilder::set_weighted(const istio::HTTPRoute& http, route::RouteAction& out) {
    for (const istio::HTTPRouteDestination& destination : http.route()) {
        if (destination.weight() == 0) continue;
        auto& cluster = *out.mutable_weighted_clusters()->add_clusters();
        cluster.set_name(cluster_of(destination.destination()));
        cluster.mutable_weight()->set_value(static_cast<uint32_t>(destination.weight()));
        set_headers(destination.headers(), cluster);
    }
}

void RouteBuilder::set_redirect(const istio::HTTPRedirect& redirect, route::RedirectAction& out) {
    if (!redirect.uri().empty()) out.set_path_redirect(redirect.uri());
    if (!redirect.authority().empty()) out.set_host_redirect(redirect.authority());
    if (!redirect.scheme().empty()) out.set_scheme_redirect(redirect.scheme());
    if (redirect.has_port()) out.set_port_redirect(redirect.port());
    // Envoy cannot take the request's port; istiod writes the listener's, which it is.
    if (redirect.has_derive_port() && redirect.derive_port() == istio::HTTPRedirect::FROM_REQUEST_PORT)
        out.set_port_redirect(port_);
    switch (redirect.redirect_code()) {
        case 302: out.set_response_code(route::RedirectAction::FOUND); break;
        case 303: out.set_response_code(route::RedirectAction::SEE_OTHER); break;
        case 307: out.set_response_code(route::RedirectAction::TEMPORARY_REDIRECT); break;
        case 308: out.set_response_code(route::RedirectAction::PERMANENT_REDIRECT); break;
        default: out.set_response_code(route::RedirectAction::MOVED_PERMANENTLY); break;
    }
}

void RouteBuilder::set_direct_response(const istio::HTTPDirectResponse& response, route::DirectResponseAction& out) {
    out.set_status(response.status());
    if (response.body().has_string()) out.mutable_body()->set_inline_string(response.body().string());
    if (response.body().has_bytes()) out.mutable_body()->set_inline_bytes(response.body().bytes());
}

// check() knows that the host, the port and some rule's subset exist; here it is this proxy's view.
std::string RouteBuilder::cluster_of(const istio::Destination& destination) {
    const std::string host = model::full_host(destination.host(), service_.ns);
    const model::Service* service = context_.registry.find(host);
    const std::string path = fmt::format("spec.http[{}]", index_);
    if (!service || !service->visible_from(context_.node.ns)) {
        context_.errors.push_back(service_.finding(
            "SLC0108", path, fmt::format("{} is not exported to namespace {}", host, context_.node.ns),
            "add it to the ServiceEntry's `exportTo`"));
        return "";
    }
    if (!destination.subset().empty()) {
        const auto* rule = context_.registry.rule_for(*service, {context_.node.ns, context_.node.labels});
        const bool known =
            rule && std::any_of(rule->spec.subsets().begin(), rule->spec.subsets().end(),
                                [&](const auto& subset) { return subset.name() == destination.subset(); });
        if (!known)
            context_.errors.push_back(
                service_.finding("SLC0109", path,
                                 fmt::format("the DestinationRule that applies to {} here ({}) has no subset {}",
                                             host, rule ? rule->key() : "none", destination.subset()),
                                 fmt::format("rules count in namespaces {}, {} and {}", context_.node.ns, service->ns,
                                             model::kRootNamespace)));
    }
    const uint32_t port = destination.has_port() ? destination.port().number() : service->entry->spec.ports(0).number();
    return cluster_name(port, destination.subset(), host);
}

}  // namespace

void append_routes(Context& context, const VirtualServiceObject& service, const std::set<std::string>& gateways,
                   const ServerGroup& group, route::VirtualHost& out) {
    RouteBuilder builder(context, service, gateways, group, out);
    for (int i = 0; i < service.spec.http_size(); ++i) builder.append(i);
}

}  // namespace sluice::translate
