// Routes by longest prefix, the port's own (on-link) prefixes included, and the choice of a source address.
// In: the ports' configuration, once; then addresses. Out: port and next hop. Owns its tables; immutable after construction.
// RFC 1122 3.3.1 (strong host model), RFC 6724 (source address: same scope, longest match with the next hop).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/ip_address.h"
#include "net/stack.h"

namespace sluice::net {

struct RouteEntry {
    IpPrefix to;
    IpAddress via;         // meaningless if on_link
    uint8_t port = 0;
    bool on_link = false;
    const IpAddress& next_hop(const IpAddress& destination) const { return on_link ? destination : via; }
};

struct LocalAddress {
    IpAddress ip;
    uint8_t prefix_length = 0;
    uint8_t port = 0;
};

class RouteTable {
 public:
    explicit RouteTable(std::span<const PortConfig> ports);
    /// The longest match; among equals the one on the port that owns `source`. Null if none, or the destination is ourselves.
    const RouteEntry* find(const IpAddress& destination, const IpAddress& source) const;
    /// The source for `destination` over `route`; null if the port has no address of that family and scope.
    const LocalAddress* choose_source(const RouteEntry& route, const IpAddress& destination) const;
    /// Our address, whatever its port; null if it is not ours.
    const LocalAddress* local(const IpAddress& address) const;
    bool is_local_on(const IpAddress& address, uint8_t port) const;
    /// `address` is on link on this port.
    bool on_link(const IpAddress& address, uint8_t port) const;
    /// `source` seen on `port` is an on-link address of another port only: spoofed.
    bool spoofed(const IpAddress& source, uint8_t port) const;
    /// Directed broadcast of an on-link IPv4 prefix, or 255.255.255.255.
    bool is_broadcast(const IpAddress& address) const;
    std::span<const LocalAddress> locals() const { return locals_; }

 private:
    std::vector<RouteEntry> v4_, v6_;   // by prefix length, longest first
    std::vector<LocalAddress> locals_;
};

}  // namespace sluice::net
