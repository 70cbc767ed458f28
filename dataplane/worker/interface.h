// What the kernel says about one of its network interfaces that a software port is to use.
// In: an interface's name. Out: its queues and MTU, or why it cannot be used and the cure. Control thread only.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace sluice::worker {

/// Checks that the interface exists and brings it up. Returns its number of receive queues.
Result<uint32_t> prepare_interface(const std::string& name);
uint16_t interface_mtu(const std::string& name);

}  // namespace sluice::worker
