// VirtualService: its routes' values, and what they name.
// In: objects, the registry. Out: findings.
// Borrows everything.
// Istio's validation of VirtualService v1; RFC 9110 (5.1, 5.5) for header names and values.
#include <algorithm>

#include <absl/strings/match.h>
#include <fmt/format.h>
#include <re2/re2.h>

#include "ctrl/model/checks.h"
#include "ctrl/model/names.h"

namespace sluice::model {
namespace {

// RFC 9110 (5.6.2) token.
bool is_token(std::string_view name) {
    constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
    return !name.empty() && std::all_of(name.begin(), name.end(), [&](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               kMarks.find(c) != std::string_view::npos;
    });
}

class RouteChecker {
 public:
    RouteChecker(const Object<istio::VirtualService>& object, std::vector<Diagnostic>& out)
        : object_(object), c_(object, out) {}

    void check();

 private:
    void route(const std::string& path, const istio::HTTPRoute& route);
    void actions(const std::string& path, const istio::HTTPRoute& route);
    void match(const std::string& path, const istio::HTTPMatchRequest& match);
    void string_match(const std::string& path, const istio::StringMatch& match);
    void uri_match(const std::string& path, const istio::StringMatch& match);
    void named_matches(const std::string& path, const google::protobuf::Map<std::string, istio::StringMatch>& matches,
                       bool header);
    void weights(const std::string& path, const istio::HTTPRoute& route);
    void headers(const std::string& path, const istio::Headers& headers, bool authority_allowed);
    void header_values(const std::string& path, const google::protobuf::Map<std::string, std::string>& values,
                       bool authority_allowed);
    void rewrite(const std::string& path, const istio::HTTPRewrite& rewrite);
    void redirect(const std::string& path, const istio::HTTPRedirect& redirect);
    void direct_response(const std::string& path, const istio::HTTPDirectResponse& response);
    void authority(const std::string& path, const std::string& authority);
    void no_format(const std::string& path, const std::string& value);

    const Object<istio::VirtualService>& object_;
    Checker c_;
};

void RouteChecker::check() {
    const istio::VirtualService& spec = object_.spec;
    if (spec.hosts().empty()) c_.error("SLC0106", "spec.hosts", "no host", "add at least one");
    for (int i = 0; i < spec.hosts_size(); ++i) c_.host(fmt::format("spec.hosts[{}]", i), spec.hosts(i), true);
    c_.export_to("spec.exportTo", spec.export_to());
    if (spec.http().empty()) c_.error("SLC0106", "spec", "no route", "add `http`");
    for (int i = 0; i < spec.http_size(); ++i) {
        const std::string path = fmt::format("spec.http[{}]", i);
        route(path, spec.http(i));
        if (i > 0 && spec.http(i - 1).match().empty())
            c_.warning("SLC0118", path, "never reached: the route before it takes every request",
                       "give that one a `match`, or move it last");
    }
}

void RouteChecker::route(const std::string& path, const istio::HTTPRoute& route) {
    actions(path, route);
    for (int i = 0; i < route.match_size(); ++i) match(fmt::format("{}.match[{}]", path, i), route.match(i));
    weights(path, route);
    const bool one_destination = route.route_size() == 1;
    for (int i = 0; i < route.route_size(); ++i)
        headers(fmt::format("{}.route[{}].headers", path, i), route.route(i).headers(), one_destination);
    headers(path + ".headers", route.headers(), true);
    if (route.has_rewrite()) rewrite(path + ".rewrite", route.rewrite());
    if (route.has_redirect()) redirect(path + ".redirect", route.redirect());
    if (route.has_direct_response()) direct_response(path + ".directResponse", route.direct_response());
}

// Exactly one thing happens to a request.
void RouteChecker::actions(const std::string& path, const istio::HTTPRoute& route) {
    const int count = (route.route_size() > 0) + route.has_redirect() + route.has_direct_response();
    if (count == 0) return c_.error("SLC0106", path, "nothing to do", "add `route`, `redirect` or `directResponse`");
    if (count > 1)
        return c_.error("SLC0116", path, "`route`, `redirect` and `directResponse` exclude each other", "keep one");
    if (route.route_size() > 0) return;
    const char* action = route.has_redirect() ? "redirect" : "directResponse";
    if (route.has_rewrite())
        c_.error("SLC0116", path + ".rewrite", fmt::format("`rewrite` has no meaning beside `{}`", action),
                 "remove one");
    if (route.has_timeout())
        c_.error("SLC0116", path + ".timeout", fmt::format("`timeout` has no meaning beside `{}`", action),
                 "remove one");
}

void RouteChecker::match(const std::string& path, const istio::HTTPMatchRequest& match) {
    if (match.has_uri()) uri_match(path + ".uri", match.uri());
    if (match.has_scheme()) string_match(path + ".scheme", match.scheme());
    if (match.has_method()) string_match(path + ".method", match.method());
    if (match.has_authority()) string_match(path + ".authority", match.authority());
    named_matches(path + ".headers", match.headers(), true);
    named_matches(path + ".withoutHeaders", match.without_headers(), true);
    named_matches(path + ".queryParams", match.query_params(), false);
    if (match.port() != 0) c_.port(path + ".port", match.port());
}

void RouteChecker::uri_match(const std::string& path, const istio::StringMatch& match) {
    string_match(path, match);
    const std::string& text = match.has_exact() ? match.exact() : match.prefix();
    const bool anything = match.has_regex() || (!match.has_exact() && text.empty());
    if (!anything && !text.starts_with('/') && text != "*")  // `OPTIONS *`
        c_.error("SLC0103", path + (match.has_exact() ? ".exact" : ".prefix"),
                 "a path begins with `/`: this matches nothing");
}

void RouteChecker::string_match(const std::string& path, const istio::StringMatch& match) {
    if (match.has_regex()) c_.regex(path + ".regex", match.regex());
}

void RouteChecker::named_matches(const std::string& path,
                                 const google::protobuf::Map<std::string, istio::StringMatch>& matches, bool header) {
    for (const auto& [name, value] : matches) {
        const std::string below = path + yaml::path_key(name);
        if (header && name.starts_with(':'))
            c_.error("SLC0103", below, "a pseudo-header is not a header", "match `uri`, `method` or `authority`");
        else if (header && !is_token(name))
            c_.error("SLC0103", below, fmt::format("`{}` is not a header name", name));
        // Istio takes the regex `*` for "present".
        if (!(header && value.regex() == "*")) string_match(below, value);
    }
}

void RouteChecker::weights(const std::string& path, const istio::HTTPRoute& route) {
    int64_t total = 0;
    for (int i = 0; i < route.route_size(); ++i) {
        const int32_t weight = route.route(i).weight();
        if (weight < 0)
            c_.error("SLC0111", fmt::format("{}.route[{}].weight", path, i), "a weight cannot be negative");
        total += weight;
    }
    if (route.route_size() > 1 && total == 0)
        c_.error("SLC0111", path + ".route", "all weights are 0: no destination would be chosen",
                 "give each a `weight`");
    if (total > UINT32_MAX) c_.error("SLC0111", path + ".route", "the weights' sum is beyond 4294967295");
}

void RouteChecker::headers(const std::string& path, const istio::Headers& headers, bool authority_allowed) {
    header_values(path + ".request.set", headers.request().set(), authority_allowed);
    header_values(path + ".request.add", headers.request().add(), false);
    header_values(path + ".response.set", headers.response().set(), false);
    header_values(path + ".response.add", headers.response().add(), false);
    const auto removed = [&](const std::string& below, const google::protobuf::RepeatedPtrField<std::string>& names) {
        for (int i = 0; i < names.size(); ++i)
            if (!is_token(names[i]) || absl::EqualsIgnoreCase(names[i], "host"))
                c_.error("SLC0103", fmt::format("{}[{}]", below, i), fmt::format("`{}` cannot be removed", names[i]));
    };
    removed(path + ".request.remove", headers.request().remove());
    removed(path + ".response.remove", headers.response().remove());
}

void RouteChecker::header_values(const std::string& path, const google::protobuf::Map<std::string, std::string>& values,
                                 bool authority_allowed) {
    for (const auto& [name, value] : values) {
        const std::string below = path + yaml::path_key(name);
        if (name == ":authority" || absl::EqualsIgnoreCase(name, "host")) {
            if (!authority_allowed)
                c_.error("SLC0105", below, "the host cannot be set here in this version",
                         "use the route's `rewrite.authority`");
            else
                authority(below, value);
            continue;
        }
        if (!is_token(name)) c_.error("SLC0103", below, fmt::format("`{}` is not a header name", name));
        // RFC 9110 (5.5): a field value holds no CR, LF or NUL.
        if (std::any_of(value.begin(), value.end(),
                        [](char v) { return (static_cast<unsigned char>(v) < 0x20 && v != '\t') || v == 0x7f; }))
            c_.error("SLC0103", below, "a header value cannot hold control characters");
        no_format(below, value);
    }
}

// In xDS a value is a format string; taking `%` for itself would mean something else to Envoy.
void RouteChecker::no_format(const std::string& path, const std::string& value) {
    if (value.find('%') != std::string::npos)
        c_.error("SLC0105", path,
                 "`%` begins a command such as %DOWNSTREAM_REMOTE_ADDRESS%: not supported in this version");
}

void RouteChecker::authority(const std::string& path, const std::string& authority) {
    const size_t colon = authority.rfind(':');
    const bool has_port = colon != std::string::npos && colon + 1 < authority.size() &&
                          authority.find_first_not_of("0123456789", colon + 1) == std::string::npos;
    const std::string host = has_port && !is_ip_address(authority) ? authority.substr(0, colon) : authority;
    const bool bracketed =
        host.starts_with('[') && host.ends_with(']') && is_ip_address(host.substr(1, host.size() - 2));
    if (!bracketed) c_.host(path, host, false);
}

void RouteChecker::rewrite(const std::string& path, const istio::HTTPRewrite& rewrite) {
    if (rewrite.uri().empty() && rewrite.authority().empty() && !rewrite.has_uri_regex_rewrite())
        return c_.error("SLC0106", path, "nothing to rewrite", "add `uri`, `authority` or `uriRegexRewrite`");
    if (!rewrite.uri().empty() && rewrite.has_uri_regex_rewrite())
        c_.error("SLC0116", path, "`uri` and `uriRegexRewrite` exclude each other", "keep one");
    if (!rewrite.uri().empty() && !rewrite.uri().starts_with('/'))
        c_.error("SLC0103", path + ".uri", "a path begins with `/`");
    if (!rewrite.authority().empty()) authority(path + ".authority", rewrite.authority());
    if (!rewrite.has_uri_regex_rewrite()) return;
    const istio::RegexRewrite& regex = rewrite.uri_regex_rewrite();
    c_.regex(path + ".uriRegexRewrite.match", regex.match());
    const RE2 compiled(regex.match(), RE2::Quiet);
    std::string error;
    if (compiled.ok() && !compiled.CheckRewriteString(regex.rewrite(), &error))
        c_.error("SLC0112", path + ".uriRegexRewrite.rewrite", error);
}

void RouteChecker::redirect(const std::string& path, const istio::HTTPRedirect& redirect) {
    constexpr uint32_t kCodes[] = {0, 301, 302, 303, 307, 308};
    if (std::find(std::begin(kCodes), std::end(kCodes), redirect.redirect_code()) == std::end(kCodes))
        c_.error("SLC0103", path + ".redirectCode", fmt::format("{} is not a redirect", redirect.redirect_code()),
                 "301, 302, 303, 307 or 308");
    if (!redirect.scheme().empty() && redirect.scheme() != "http" && redirect.scheme() != "https")
        c_.error("SLC0103", path + ".scheme", fmt::format("`{}` is not http or https", redirect.scheme()));
    if (!redirect.uri().empty() && !redirect.uri().starts_with('/'))
        c_.error("SLC0103", path + ".uri", "a path begins with `/`", redirect.uri().starts_with("%PREFIX()%")
                 ? "%PREFIX()% is not supported in this version" : "");
    if (!redirect.authority().empty()) authority(path + ".authority", redirect.authority());
    if (redirect.has_port()) c_.port(path + ".port", redirect.port());
    if (redirect.uri().empty() && redirect.authority().empty() && redirect.scheme().empty() &&
        redirect.redirect_port_case() == istio::HTTPRedirect::REDIRECT_PORT_NOT_SET)
        c_.error("SLC0106", path, "it would redirect to itself", "add `uri`, `authority`, `scheme` or `port`");
}

void RouteChecker::direct_response(const std::string& path, const istio::HTTPDirectResponse& response) {
    constexpr size_t kBodyBytesMax = 1 << 20;  // max_direct_response_body_size_bytes
    if (response.status() < 200 || response.status() > 599)
        c_.error("SLC0103", path + ".status", fmt::format("{} is not a final status", response.status()), "200 to 599");
    const auto& body = response.body();
    const std::string field = body.has_string() ? ".body.string" : ".body.bytes";
    const size_t bytes = body.has_string() ? body.string().size() : body.bytes().size();
    if (bytes > kBodyBytesMax) c_.error("SLC0103", path + field, fmt::format("larger than {} bytes", kBodyBytesMax));
    // RFC 9110 (15.3.5, 15.4.5): these have no content.
    if (bytes > 0 && (response.status() == 204 || response.status() == 304))
        c_.error("SLC0116", path + field, fmt::format("a {} response has no body", response.status()), "remove it");
}

void check_destination(Checker& c, const std::string& path, const istio::Destination& destination,
                       const Registry& registry) {
    const std::string host = full_host(destination.host(), c.object().ns);
    const Service* service = registry.find(host);
    if (!service) {
        if (auto wrong = wrong_host(destination.host(), false))
            return c.error("SLC0114", path + ".host", fmt::format("`{}`: {}", destination.host(), *wrong));
        std::string cure = did_you_mean(host, registry.hosts());
        // `reviews.shop` reads like a host in a namespace; only names without a dot are completed.
        const std::string completed = host + ".svc." + kDnsDomain;
        if (registry.find(completed)) cure = "did you mean `" + completed + "`?";
        return c.error("SLC0108", path + ".host", fmt::format("no ServiceEntry has the host {}", host), cure);
    }
    if (!destination.subset().empty() && !registry.has_subset(*service, destination.subset()))
        c.error("SLC0109", path + ".subset",
                fmt::format("no DestinationRule of {} has the subset {}", host, destination.subset()),
                did_you_mean(destination.subset(), registry.subsets(*service)));
    const auto& ports = service->entry->spec.ports();
    if (destination.has_port()) {
        if (!service->port(destination.port().number()))
            c.error("SLC0115", path + ".port.number",
                    fmt::format("{} has no port {}", host, destination.port().number()),
                    ports.empty() ? "" : fmt::format("it has {}", ports[0].number()));
    } else if (ports.size() > 1) {
        c.error("SLC0115", path, fmt::format("{} has {} ports", host, ports.size()), "add `port: {number: ...}`");
    }
}

void check_gateway_name(Checker& c, const std::string& path, const std::string& name, const MeshConfig& mesh) {
    if (name == "mesh") return;
    const std::string key = name.find('/') == std::string::npos ? c.object().ns + "/" + name : name;
    if (mesh.places.contains("Gateway " + key)) return;
    std::vector<std::string> known;
    for (const auto& gateway : mesh.gateways) known.push_back(gateway.key());
    c.error("SLC0110", path, fmt::format("there is no Gateway {}", key), did_you_mean(key, known));
}

}  // namespace

void check_routes(const Object<istio::VirtualService>& object, std::vector<Diagnostic>& out) {
    RouteChecker(object, out).check();
}

void check_route_references(const Object<istio::VirtualService>& object, const MeshConfig& mesh,
                            const Registry& registry, std::vector<Diagnostic>& out) {
    Checker c(object, out);
    for (int i = 0; i < object.spec.gateways_size(); ++i)
        check_gateway_name(c, fmt::format("spec.gateways[{}]", i), object.spec.gateways(i), mesh);
    for (int h = 0; h < object.spec.http_size(); ++h) {
        const istio::HTTPRoute& route = object.spec.http(h);
        for (int r = 0; r < route.route_size(); ++r)
            check_destination(c, fmt::format("spec.http[{}].route[{}].destination", h, r),
                              route.route(r).destination(), registry);
        for (int m = 0; m < route.match_size(); ++m)
            for (int g = 0; g < route.match(m).gateways_size(); ++g)
                check_gateway_name(c, fmt::format("spec.http[{}].match[{}].gateways[{}]", h, m, g),
                                   route.match(m).gateways(g), mesh);
    }
}

}  // namespace sluice::model
