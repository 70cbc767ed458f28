// Many connections, each with one request behind it, that are only kept: what they cost the server is looked at meanwhile.
// In: whom, how many. Out: once all are there, run_hold() returns; they live as long as `held`.
#pragma once

#include <deque>
#include <string>

#include "perf/tls_client/connection.h"

namespace sluice::perf {

/// `at_a_time` handshakes at once. Empty: all are there.
std::string run_hold(ClientContext& context, const SocketAddress& target, uint32_t connections, uint32_t at_a_time, const std::string& request,
                     std::deque<ClientConnection>& held);

}  // namespace sluice::perf
