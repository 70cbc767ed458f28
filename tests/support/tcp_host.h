// One machine of a test that holds tcp::Stack itself: a route to everywhere, and datagrams as plain segments.
// In: segments from a wire. Out: segments to a wire, every checksum verified. The simulation (tests/sim) uses the C interface instead.
// Owns the stack and its list nodes; mbufs come from the process's test pool.
#pragma once

#include <memory>

#include "tcp/stack.h"
#include "tests/support/tcp_wire.h"

namespace sluice::test {

struct HostConfig {
    IpAddress address;
    tcp::StackConfig tcp;
    uint16_t mtu = 1500;
    bool multi_segment = false;
    uint32_t nodes = 200'000;
};

class Host final : public tcp::Environment {
 public:
    explicit Host(const HostConfig& config);

    std::optional<net::RouteInfo> route(const IpAddress& destination, const IpAddress& source) override;
    bool owns(const FourTuple&) override { return true; }

    void deliver(const WireSegment& segment, Instant now);
    /// Everything that is ready goes onto `wire`.
    void transmit(Wire& wire, Instant now);

    tcp::Stack& stack() { return *stack_; }
    SliceNodePool& nodes() { return nodes_; }
    const HostConfig& config() const { return config_; }

 private:
    HostConfig config_;
    SliceNodePool nodes_;
    std::unique_ptr<tcp::Stack> stack_;
};

}  // namespace sluice::test
