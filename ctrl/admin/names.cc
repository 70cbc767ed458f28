// Splitting and shortening. Domain matching follows route.v3.VirtualHost.domains: exact, then longest suffix, then "*".
#include "ctrl/admin/names.h"

#include <fmt/format.h>

#include <algorithm>

#include "http/message.h"

namespace sluice::admin {

ClusterName split_cluster_name(std::string_view name) {
    const size_t a = name.find('|');
    const size_t b = a == name.npos ? name.npos : name.find('|', a + 1);
    const size_t c = b == name.npos ? name.npos : name.find('|', b + 1);
    if (c == name.npos) return {"", "", std::string(name)};
    return {std::string(name.substr(a + 1, b - a - 1)), std::string(name.substr(b + 1, c - b - 1)), std::string(name.substr(c + 1))};
}

std::string short_host(std::string_view host, bool with_namespace) {
    const size_t svc = host.find(".svc");
    if (svc == host.npos || (svc + 4 != host.size() && host[svc + 4] != '.')) return std::string(host);
    const std::string_view name_and_namespace = host.substr(0, svc);
    return std::string(with_namespace ? name_and_namespace : name_and_namespace.substr(0, name_and_namespace.find('.')));
}

namespace {

std::string forward_target(const route::Route& route) {
    std::string out, last_host;
    uint64_t total = 0;
    for (const auto& c : route.clusters) total += c.weight;
    for (const auto& c : route.clusters) {
        const ClusterName name = split_cluster_name(c.cluster_name);
        const std::string host = short_host(name.host, false);
        if (!out.empty()) out += ' ';
        if (host != last_host) out += host;
        if (!name.subset.empty()) out += (host != last_host ? " " : "") + name.subset;
        else if (host == last_host) out += ":" + name.port;
        if (route.clusters.size() > 1 && total) out += fmt::format(" {}%", (c.weight * uint64_t{100} + total / 2) / total);
        if (c.cluster_id == UINT32_MAX) out += " (unknown cluster)";
        last_host = host;
    }
    return out.empty() ? "nowhere" : out;
}

}  // namespace

std::string route_target(const route::Route& route) {
    switch (route.action) {
        case route::Route::Action::kForward: return forward_target(route);
        case route::Route::Action::kDirectResponse: return fmt::format("direct {}", route.direct.status);
        case route::Route::Action::kRedirect: break;
    }
    const route::Redirect& r = route.redirect;
    const std::string scheme = r.https ? "https" : r.scheme;
    std::string to = scheme.empty() ? "" : scheme + "://";
    to += r.host.empty() && !to.empty() ? "HOST" : r.host;
    if (r.port) to += fmt::format(":{}", *r.port);
    to += !r.path.empty() ? r.path : r.prefix_rewrite;
    return fmt::format("redirect {}{}{}", r.status, to.empty() ? "" : " ", to);
}

std::string listener_place(const snapshot::Listener& listener, std::span<const PortState> ports) {
    std::string names;
    const bool any = listener.address.ip.is_unspecified();
    const std::string ip = listener.address.ip.to_string();
    for (const PortState& port : ports) {
        const bool mine = any ? port.listen : std::any_of(port.addresses.begin(), port.addresses.end(), [&](const std::string& a) {
            return a.substr(0, a.find('/')) == ip;
        });
        if (mine) names += (names.empty() ? "" : ",") + port.name;
    }
    return names.empty() ? listener.address.to_string() : fmt::format("{}:{}", names, listener.address.port);
}

const char* left_out_text(upstream::LeftOut why) {
    switch (why) {
        case upstream::LeftOut::kUnhealthy: return "unhealthy";
        case upstream::LeftOut::kDraining: return "draining";
        case upstream::LeftOut::kTimeout: return "timeout";
    }
    return "";
}

size_t domain_match(std::string_view domain, std::string_view host) {
    if (domain == "*") return 1;
    // Istio adds each domain with its port too; a filter is given without.
    const size_t colon = domain.rfind(':');
    if (colon != domain.npos && !domain.ends_with(']') && host.find(':') == host.npos) domain = domain.substr(0, colon);
    if (http::iequals(domain, host)) return SIZE_MAX;
    if (domain.starts_with('*') && host.size() > domain.size() - 1 &&
        http::iequals(host.substr(host.size() - (domain.size() - 1)), domain.substr(1)))
        return domain.size() + 1;
    return 0;
}

}  // namespace sluice::admin
