// The gateway's own file as the mesh sees it: who the proxy is.
// In: a GatewayHost. Out: a ProxyNode. Pure function.
// Shared by the running gateway, --check and analyze, so that all three translate for the same proxy.
#pragma once

#include "ctrl/host/gateway_host.h"
#include "ctrl/translate/translate.h"

namespace sluice::analyze {

translate::ProxyNode proxy_node(const host::GatewayHost& host);

}  // namespace sluice::analyze
