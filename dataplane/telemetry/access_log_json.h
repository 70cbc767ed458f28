// The JSON form of an access log line: one object, Istio's key names, null for what is absent, numbers as numbers.
#pragma once

#include <string>

#include "telemetry/access_log.h"

namespace sluice::telemetry {

void append_json_line(const AccessLogEntry& entry, std::string& out);

}  // namespace sluice::telemetry
