// What the kernel says about one of its network interfaces that a software port is to use.
// In: an interface's name. Out: its queues and MTU, or why it cannot be used and the cure. Control thread only.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "base/result.h"

namespace sluice::worker {

/// Checks that the interface exists and brings it up. Returns its number of receive queues.
Result<uint32_t> prepare_interface(const std::string& name);
uint16_t interface_mtu(const std::string& name);

/// Takes an interface's XDP program off, whoever attached it; needs CAP_NET_ADMIN. An interface that is gone is fine.
void detach_xdp(const std::string& name);

/// Keeps other gateways of this network namespace off an interface while it lives: two AF_XDP programs on one interface
/// end with none, since the one that stops takes the program off. Held by a name in the namespace's abstract sockets, so that
/// nothing is left behind by a process that was killed.
class InterfaceClaim {
 public:
    static Result<InterfaceClaim> take(const std::string& name);
    InterfaceClaim(InterfaceClaim&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
    InterfaceClaim& operator=(InterfaceClaim&&) = delete;
    ~InterfaceClaim();

 private:
    explicit InterfaceClaim(int fd) : fd_(fd) {}
    int fd_;
};

}  // namespace sluice::worker
