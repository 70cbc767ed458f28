// The ports section of the gateway's own file.
#pragma once

#include <vector>

#include "ctrl/host/field_reader.h"
#include "ctrl/host/gateway_host.h"

namespace sluice::host {

void read_ports(Context& context, const Object& file, std::vector<Port>& ports);

}  // namespace sluice::host
