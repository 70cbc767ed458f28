// A connection's use of a context: one count for each connection, taken when its handshake begins and given back at its end, never for
// each request. The certificates it shows are read there while it lasts, also after others took its place in the tables.
#pragma once

#include "tls/context.h"

namespace sluice::tls {

using ServerContextRef = std::shared_ptr<const ServerContext>;
using ClientContextRef = std::shared_ptr<const ClientContext>;

}  // namespace sluice::tls
