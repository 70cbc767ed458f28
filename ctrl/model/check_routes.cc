// VirtualService: its routes' values. What they name is in check_references.cc, their order in check_shadow.cc.
// In: objects. Out: findings.
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

// RFC 9110 (7.6.1), RFC 9112 (6): these frame a message or belong to one connection.
bool is_framing(std::string_view name) {
    constexpr std::string_view kNames[] = {"content-length", "transfer-encoding", "connection", "upgrade", "te", "keep-alive", "proxy-connection", "trailer"};
    return std::find(std::begin(kNames), std::end(kNames), lower(name)) != std::end(kNames);
}

constexpr char kNotUriText[] = "holds a space or a character that is not ASCII";
constexpr char kUriTextCure[] = "percent-encode it: %20 for a space";

// RFC 3986 (2): what a request line or a Location can hold.
bool is_uri_text(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) < 0x7f; });
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
    void odd_weights(const std::string& path, const istio::HTTPRoute& route, int64_t total);
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
    if (spec.hosts().empty()) c_.report("SLC0106", "spec.hosts", "no host", "add at least one");
    for (int i = 0; i < spec.hosts_size(); ++i) c_.host(fmt::format("spec.hosts[{}]", i), spec.hosts(i), true);
    c_.export_to("spec.exportTo", spec.export_to());
    if (spec.http().empty()) c_.report("SLC0106", "spec", "no route", "add `http`");
    for (int i = 0; i < spec.http_size(); ++i) {
        const std::string path = fmt::format("spec.http[{}]", i);
        route(path, spec.http(i));
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
    if (count == 0) return c_.report("SLC0106", path, "nothing to do", "add `route`, `redirect` or `directResponse`");
    if (count > 1)
        return c_.report("SLC0116", path, "`route`, `redirect` and `directResponse` exclude each other", "keep one");
    if (route.route_size() > 0) return;
    const char* action = route.has_redirect() ? "redirect" : "directResponse";
    if (route.has_rewrite())
        c_.report("SLC0116", path + ".rewrite", fmt::format("`rewrite` has no meaning beside `{}`", action),
                 "remove one");
    if (route.has_timeout())
        c_.report("SLC0116", path + ".timeout", fmt::format("`timeout` has no meaning beside `{}`", action),
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
        c_.report("SLC0103", path + (match.has_exact() ? ".exact" : ".prefix"),
                  "a path begins with `/`: this matches nothing", fmt::format("write `/{}`", text));
}

void RouteChecker::string_match(const std::string& path, const istio::StringMatch& match) {
    if (match.has_regex()) c_.regex(path + ".regex", match.regex());
}

void RouteChecker::named_matches(const std::string& path,
                                 const google::protobuf::Map<std::string, istio::StringMatch>& matches, bool header) {
    for (const auto& [name, value] : matches) {
        const std::string below = path + yaml::path_key(name);
        if (header && name.starts_with(':'))
            c_.report("SLC0103", below, "a pseudo-header is not a header", "match `uri`, `method` or `authority`");
        else if (header && !is_token(name))
            c_.report("SLC0103", below, fmt::format("`{}` is not a header name", name), "a header name holds letters, digits and `-`");
        // Istio takes the regex `*` for "present".
        if (!(header && value.regex() == "*")) string_match(below, value);
    }
}

void RouteChecker::weights(const std::string& path, const istio::HTTPRoute& route) {
    int64_t total = 0;
    for (int i = 0; i < route.route_size(); ++i) {
        const int32_t weight = route.route(i).weight();
        if (weight < 0)
            c_.report("SLC0111", fmt::format("{}.route[{}].weight", path, i), "a weight cannot be negative",
                      "0 sends nothing there");
        total += weight;
    }
    if (route.route_size() > 1 && total == 0)
        c_.report("SLC0111", path + ".route", "all weights are 0: no destination would be chosen",
                 "give each a `weight`");
    if (total > UINT32_MAX) c_.report("SLC0111", path + ".route", "the weights' sum is beyond 4294967295",
                                       "write smaller shares");
    if (route.route_size() > 1 && total > 0) odd_weights(path, route, total);
}

// Istio: a destination gets weight / sum of weights; one without a weight, as with `weight: 0`, gets nothing.
void RouteChecker::odd_weights(const std::string& path, const istio::HTTPRoute& route, int64_t total) {
    for (int i = 0; i < route.route_size(); ++i) {
        const std::string below = fmt::format("{}.route[{}]", path, i);
        if (route.route(i).weight() == 0 && !yaml::locate(*object_.root, below + ".weight").value)
            c_.report("SLC0130", below, "no `weight` among several destinations: it gets no request", "add `weight`");
    }
    if (total != 100)
        c_.report("SLC0130", path + ".route", fmt::format("the weights add up to {}: each is a share of that", total),
                  "if percentages are meant, let them add up to 100");
}

void RouteChecker::headers(const std::string& path, const istio::Headers& headers, bool authority_allowed) {
    header_values(path + ".request.set", headers.request().set(), authority_allowed);
    header_values(path + ".request.add", headers.request().add(), false);
    header_values(path + ".response.set", headers.response().set(), false);
    header_values(path + ".response.add", headers.response().add(), false);
    const auto removed = [&](const std::string& below, const google::protobuf::RepeatedPtrField<std::string>& names) {
        for (int i = 0; i < names.size(); ++i)
            if (!is_token(names[i]) || absl::EqualsIgnoreCase(names[i], "host") || is_framing(names[i]))
                c_.report("SLC0103", fmt::format("{}[{}]", below, i), fmt::format("`{}` cannot be removed", names[i]),
                          is_token(names[i]) ? "leave it out: a message needs it, or it is of one connection alone"
                                             : "a header name holds letters, digits and `-`");
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
                c_.report("SLC0105", below, "the host cannot be set here in this version",
                         "use the route's `rewrite.authority`");
            else
                authority(below, value);
            continue;
        }
        if (!is_token(name))
            c_.report("SLC0103", below, fmt::format("`{}` is not a header name", name), "a header name holds letters, digits and `-`");
        else if (is_framing(name))
            c_.report("SLC0103", below, fmt::format("`{}` is the connection's own and cannot be set", name), "leave it out: the gateway writes it");
        // RFC 9110 (5.5): a field value holds no CR, LF or NUL.
        if (std::any_of(value.begin(), value.end(),
                        [](char v) { return (static_cast<unsigned char>(v) < 0x20 && v != '\t') || v == 0x7f; }))
            c_.report("SLC0103", below, "a header value cannot hold control characters",
                      "write it in one line");
        no_format(below, value);
    }
}

// In xDS a value is a format string; taking `%` for itself would mean something else to Envoy.
void RouteChecker::no_format(const std::string& path, const std::string& value) {
    if (value.find('%') != std::string::npos)
        c_.report("SLC0105", path,
                  "`%` begins a command such as %DOWNSTREAM_REMOTE_ADDRESS%: not supported in this version",
                  "write the value without `%`");
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
        return c_.report("SLC0106", path, "nothing to rewrite", "add `uri`, `authority` or `uriRegexRewrite`");
    if (!rewrite.uri().empty() && rewrite.has_uri_regex_rewrite())
        c_.report("SLC0116", path, "`uri` and `uriRegexRewrite` exclude each other", "keep one");
    if (!rewrite.uri().empty() && !rewrite.uri().starts_with('/'))
        c_.report("SLC0103", path + ".uri", "a path begins with `/`", fmt::format("write `/{}`", rewrite.uri()));
    if (!is_uri_text(rewrite.uri())) c_.report("SLC0103", path + ".uri", kNotUriText, kUriTextCure);
    if (!rewrite.authority().empty()) authority(path + ".authority", rewrite.authority());
    if (!rewrite.has_uri_regex_rewrite()) return;
    const istio::RegexRewrite& regex = rewrite.uri_regex_rewrite();
    c_.regex(path + ".uriRegexRewrite.match", regex.match());
    const RE2 compiled(regex.match(), RE2::Quiet);
    std::string error;
    if (compiled.ok() && !compiled.CheckRewriteString(regex.rewrite(), &error))
        c_.report("SLC0112", path + ".uriRegexRewrite.rewrite", error, "\\1 is the first group of `match`");
    if (!is_uri_text(regex.rewrite())) c_.report("SLC0103", path + ".uriRegexRewrite.rewrite", kNotUriText, kUriTextCure);
}

void RouteChecker::redirect(const std::string& path, const istio::HTTPRedirect& redirect) {
    constexpr uint32_t kCodes[] = {0, 301, 302, 303, 307, 308};
    if (std::find(std::begin(kCodes), std::end(kCodes), redirect.redirect_code()) == std::end(kCodes))
        c_.report("SLC0103", path + ".redirectCode", fmt::format("{} is not a redirect", redirect.redirect_code()),
                 "301, 302, 303, 307 or 308");
    if (!redirect.scheme().empty() && redirect.scheme() != "http" && redirect.scheme() != "https")
        c_.report("SLC0103", path + ".scheme", fmt::format("`{}` is not http or https", redirect.scheme()), "scheme: https");
    if (!redirect.uri().empty() && !redirect.uri().starts_with('/'))
        c_.report("SLC0103", path + ".uri", "a path begins with `/`", redirect.uri().starts_with("%PREFIX()%")
                  ? "%PREFIX()% is not supported in this version" : fmt::format("write `/{}`", redirect.uri()));
    if (!is_uri_text(redirect.uri())) c_.report("SLC0103", path + ".uri", kNotUriText, kUriTextCure);
    if (!redirect.authority().empty()) authority(path + ".authority", redirect.authority());
    if (redirect.has_port()) c_.port(path + ".port", redirect.port());
    if (redirect.uri().empty() && redirect.authority().empty() && redirect.scheme().empty() &&
        redirect.redirect_port_case() == istio::HTTPRedirect::REDIRECT_PORT_NOT_SET)
        c_.report("SLC0106", path, "it would redirect to itself", "add `uri`, `authority`, `scheme` or `port`");
}

void RouteChecker::direct_response(const std::string& path, const istio::HTTPDirectResponse& response) {
    constexpr size_t kBodyBytesMax = 1 << 20;  // max_direct_response_body_size_bytes
    if (response.status() < 200 || response.status() > 599)
        c_.report("SLC0103", path + ".status", fmt::format("{} is not a final status", response.status()), "200 to 599");
    const auto& body = response.body();
    const std::string field = body.has_string() ? ".body.string" : ".body.bytes";
    const size_t bytes = body.has_string() ? body.string().size() : body.bytes().size();
    if (bytes > kBodyBytesMax) c_.report("SLC0103", path + field, fmt::format("larger than {} bytes", kBodyBytesMax),
                                             "serve it from a backend");
    // RFC 9110 (15.3.5, 15.4.5): these have no content.
    if (bytes > 0 && (response.status() == 204 || response.status() == 304))
        c_.report("SLC0116", path + field, fmt::format("a {} response has no body", response.status()), "remove it");
}

}  // namespace

void check_routes(const Object<istio::VirtualService>& object, std::vector<Diagnostic>& out) {
    RouteChecker(object, out).check();
}

}  // namespace sluice::model
