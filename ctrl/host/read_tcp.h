// The tcp section of the gateway's own file.
#pragma once

#include "ctrl/host/field_reader.h"
#include "ctrl/host/gateway_host.h"

namespace sluice::host {

void read_tcp(Context& context, const yaml::Node& yaml, Tcp& tcp);

}  // namespace sluice::host
