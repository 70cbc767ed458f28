// The ports of the gateway's own connections towards backends, kept apart from the kernel's: an exception port shares addresses.
// In: what the operator wrote, whether a port has an exception path, the kernel's range. Out: a range, or what to change.
// Plain values. RFC 6056 (the wider the range, the harder to guess).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "ctrl/host/gateway_host.h"

namespace sluice::host {

/// "40000-49999"
std::optional<PortRange> parse_port_range(std::string_view text);

/// The kernel's range for connections of its own, in this process's network namespace; empty if it cannot be read.
std::optional<PortRange> kernel_ephemeral_ports();

/// What is written, or the default; with an exception path, disjoint from the kernel's range or an error with its cure.
Result<PortRange> ephemeral_ports(const GatewayHost& host, std::optional<PortRange> kernel);

}  // namespace sluice::host
