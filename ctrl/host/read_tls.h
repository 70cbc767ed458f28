// The identity and tls sections of the gateway's own file.
#pragma once

#include "ctrl/host/field_reader.h"
#include "ctrl/host/gateway_host.h"

namespace sluice::host {

void read_identity(Context& context, const yaml::Node& yaml, Identity& identity);
/// `workers`: as read before; their cores are no handshake thread's.
void read_tls(Context& context, const yaml::Node& yaml, const Workers& workers, Tls& tls);

}  // namespace sluice::host
