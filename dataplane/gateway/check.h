// sluiced --check: everything the operator's file refers to, read and built without touching a device.
#pragma once

#include <string>

namespace sluice::gateway {

/// Findings go to stderr, one line of what there is to stdout. Returns the exit code.
int check(const std::string& path, bool as_json);

}  // namespace sluice::gateway
