// What an access log writes of a request's connections: TLS, identities, why they failed. In: a field a format asked for. Out: its text,
// in the stream's arena or wherever it lies; empty where there is none. Called only for what some log wants.
#pragma once

#include <string_view>

#include "base/arena.h"
#include "proxy/stream.h"
#include "telemetry/access_log_captures.h"

namespace sluice::proxy {

/// Of the client's connection.
std::string_view connection_text(telemetry::ConnectionField field, const DownstreamInfo& info, std::string_view failure, Arena& arena);
/// Of either: what its handshake agreed on and proved.
std::string_view tls_text(telemetry::ConnectionField field, const TlsInfo& tls, Arena& arena);

}  // namespace sluice::proxy
