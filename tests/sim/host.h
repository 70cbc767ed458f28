// One simulated machine: a tcp::Stack with a route to everywhere, and the conversion of its datagrams to plain packets.
// In: packets from a link. Out: packets to a link, every checksum verified and every oversized one cut as a port would.
// Owns the stack and its list nodes; mbufs come from the pool it is given, or the process's test pool.
#pragma once

#include <memory>

#include "base/rng.h"
#include "tcp/stack.h"
#include "tests/sim/link.h"

namespace sluice::sim {

struct HostConfig {
    IpAddress address;
    tcp::StackConfig tcp;
    uint16_t mtu = 1500;
    bool tx_checksum = false, multi_segment = false, tso = false;
    bool chained_receive = false;    // hand packets over in pieces
    double memory_fault = 0;         // share of packets that find no mbuf
    uint32_t nodes = 200'000;
    rte_mempool* pool = nullptr;     // null: test_mempool()
};

class Host final : public tcp::Environment {
 public:
    Host(const HostConfig& config, Rng rng);

    std::optional<net::RouteInfo> route(const IpAddress& destination, const IpAddress& source) override;
    bool owns(const FourTuple&) override { return true; }

    void deliver(const Packet& packet, Instant now);
    /// Everything that is ready goes onto `wire`. Returns how many datagrams that were.
    uint32_t transmit(PacketSink& wire, Instant now);

    tcp::Stack& stack() { return *stack_; }
    SliceNodePool& nodes() { return nodes_; }
    HostConfig& config() { return config_; }
    uint64_t rejected() const { return rejected_; }
    uint64_t damaged_accepted() const { return damaged_accepted_; }

 private:
    void told(const Packet& packet, Instant now);
    void finish_and_send(net::DatagramOut& out, PacketSink& wire, Instant now);

    HostConfig config_;
    Rng rng_;
    SliceNodePool nodes_;
    std::unique_ptr<tcp::Stack> stack_;
    uint64_t rejected_ = 0, damaged_accepted_ = 0;
};

}  // namespace sluice::sim
