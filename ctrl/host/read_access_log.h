// The accessLog section of the gateway's own file. Internal to ctrl/host.
#pragma once

#include "ctrl/host/field_reader.h"
#include "ctrl/host/gateway_host.h"

namespace sluice::host {

void read_access_log(Context& context, const yaml::Node& yaml, AccessLog& log);

}  // namespace sluice::host
