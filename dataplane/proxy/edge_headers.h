// What a gateway does to the headers at its edge, as Envoy's connection manager does: X-Forwarded-For and -Proto with trusted
// hops, x-request-id, x-envoy-* from outside, server and date. In: a head as read and the connection. Out: the head to be
// routed and forwarded; new text lies in the stream's arena. THREATS.md 30; RFC 9110 7.6.1 for what is hop by hop.
#pragma once

#include <string_view>

#include "base/ip_address.h"
#include "base/rng.h"
#include "http/message.h"
#include "proxy/tls_info.h"
#include "snapshot/snapshot.h"

namespace sluice::proxy {

/// Removed from every request that does not come from inside. No address counts as inside unless configured, and nothing
/// configures it yet (Envoy's explicit_internal_address_config), so that is every request:
///   x-envoy-internal, -retry-on, -retry-grpc-on, -max-retries, -retriable-status-codes, -retriable-header-names,
///   -upstream-alt-stat-name, -upstream-rq-timeout-ms, -upstream-rq-per-try-timeout-ms, -upstream-rq-timeout-alt-response,
///   -expected-rq-timeout-ms, -force-trace, -ip-tags, -original-url, -hedge-on-per-try-timeout, -attempt-count
/// with use_remote_address (we are the edge) also
///   x-envoy-decorator-operation, -downstream-service-cluster, -downstream-service-node, -original-path, -original-host,
///   -external-address (then set to the trusted client)
/// and x-forwarded-client-cert unless the listener passes it on (client_cert.h; SANITIZE is the default).
/// Hop-by-hop fields go as well. `client` becomes the trusted client address. False if the arena is full.
[[nodiscard]] bool prepare_request_headers(const snapshot::HttpConnectionManager& config, http::Request& request,
                                           const SocketAddress& peer, std::string_view scheme, Rng& rng, IpAddress& client,
                                           const TlsInfo* tls = nullptr);

/// server and date. `date` and the configuration outlive the list's use. False if the arena is full.
[[nodiscard]] bool prepare_response_headers(const snapshot::HttpConnectionManager& config, http::Response& response,
                                            bool local_reply, std::string_view date);

/// The address `from_right` places before the last in an X-Forwarded-For value; false if there is none or it is no address.
bool forwarded_address(std::string_view value, uint32_t from_right, IpAddress& address);

}  // namespace sluice::proxy
