// Names as operators know them, from names as xDS has them. Istio's cluster names are outbound|PORT|SUBSET|HOST.
// In: names and addresses. Out: short texts. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "ctrl/admin/sources.h"

namespace sluice::admin {

struct ClusterName {
    std::string port, subset, host;   // host is the whole name where it is not Istio's
};
ClusterName split_cluster_name(std::string_view name);
/// reviews.shop.svc.cluster.local -> "reviews.shop", or "reviews" without namespace; other hosts as they are.
std::string short_host(std::string_view host, bool with_namespace);

/// "reviews v1 90% v2 10%", "redirect 301 https://...", "direct 200".
std::string route_target(const route::Route& route);

/// "outside:80": the listening port's name where the address is one of its own, or all listening ports' for 0.0.0.0 and [::].
std::string listener_place(const snapshot::Listener& listener, std::span<const PortState> ports);

/// "unhealthy", "draining", "timeout".
const char* left_out_text(upstream::LeftOut why);

/// How well a virtual host's domain matches `host`: 0 not at all; "*" < "*.example" < "shop.example".
size_t domain_match(std::string_view domain, std::string_view host);
}  // namespace sluice::admin
