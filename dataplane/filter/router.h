// envoy.filters.http.router: the terminal filter. Turns the matched route into an answer (404, redirect, direct response) or
// into a request to a cluster, with its header changes and rewrites in Envoy's order.
// In: a request and its stream. Out: a local reply, or calls on the stream's Forwarder. Lives in the stream's arena.
#pragma once

#include "filter/filter.h"

namespace sluice::filter {

inline constexpr std::string_view kRouterTypeUrl = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";

const Factory& router_factory();

/// Response header changes of everything the request matched: weighted cluster, route, virtual host, table (Envoy's order:
/// the most specific first). False if the arena is full. `cluster` may be nullptr.
[[nodiscard]] bool apply_response_header_ops(http::HeaderList& headers, const route::WeightedCluster* cluster,
                                             StreamContext& context);

/// The virtual host serves this request over TLS only, and it came in clear. No address is internal, so kExternalOnly is kAll.
bool wants_https(const route::VirtualHost& host, const http::Request& request);

}  // namespace sluice::filter
