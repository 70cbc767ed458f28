// Routes by longest prefix, the port's own (on-link) prefixes included, and the choice of a source address.
// In: the ports' configuration, once; then addresses. Out: port and next hop. Owns its tables; routes never change, the state of
// our own addresses does. RFC 1122 3.3.1 (strong host model), RFC 6724 5 (source addresses), RFC 3704 (reverse path).
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
    uint8_t sent = 0;                        // probes, then announcements (addresses.cc)
    Instant deadline = Instant::never();     // of the next one
    Instant defend_after;

    AddressState state() const { return static_cast<AddressState>(load() & 0xff); }
    MacAddress claimant() const {
        MacAddress mac;
        const uint64_t word = load();
        for (size_t i = 0; i < mac.size(); i++) mac[i] = static_cast<uint8_t>(word >> (8 + 8 * i));
        return mac;
    }
    bool usable() const { return state() == AddressState::kUsed || state() == AddressState::kOptimistic; }
    void set_state(AddressState state, const MacAddress& claimant) {
        uint64_t word = static_cast<uint64_t>(state);
        for (size_t i = 0; i < claimant.size(); i++) word |= uint64_t{claimant[i]} << (8 + 8 * i);
        __atomic_store_n(&shown_, word, __ATOMIC_RELAXED);
    }
    /// Keeps who claimed it.
    void set_state(AddressState state) { set_state(state, claimant()); }

 private:
    uint64_t load() const { return __atomic_load_n(&shown_, __ATOMIC_RELAXED); }
    uint64_t shown_ = 0;                     // state, then the claimant's MAC: one word, so that any thread may look
};

class RouteTable {
 public:
    explicit RouteTable(std::span<const PortConfig> ports);
    /// The longest match; among equals the one on the port that owns `source`. Null if none, if the destination is ourselves, or if
    /// `source` is an address of ours that another host has.
    const RouteEntry* find(const IpAddress& destination, const IpAddress& source) const;
    /// The source for `destination` over `route`; null if the port has no usable address of that family and scope. IPv4: the one whose
    /// network holds the next hop, or else the first. IPv6: the longest match with the destination (RFC 6724 rule 8).
    const LocalAddress* choose_source(const RouteEntry& route, const IpAddress& destination) const;
    /// Our address, whatever its port and state; null if it is not ours.
    const LocalAddress* local(const IpAddress& address) const;
    /// In use here: one that another host has is that host's, who may send from it and is sent to.
    bool is_ours(const IpAddress& address) const;
    /// Our address on this port, whatever its state.
    LocalAddress* local_on(const IpAddress& address, uint8_t port);
    /// An answer to `source` would find a route: over `port` if `strict` (among the longest matches), else over any port.
    bool reachable(const IpAddress& source, uint8_t port, bool strict) const;
    /// `address` is on link on this port.
    bool on_link(const IpAddress& address, uint8_t port) const;
    /// `source` seen on `port` is an on-link address of another port only: spoofed.
    bool spoofed(const IpAddress& source, uint8_t port) const;
    /// Directed broadcast of an on-link IPv4 prefix, or 255.255.255.255.
    bool is_broadcast(const IpAddress& address) const;
    std::span<const LocalAddress> locals() const { return locals_; }
    std::span<LocalAddress> addresses() { return locals_; }

 private:
    std::vector<RouteEntry> v4_, v6_;   // by prefix length, longest first
    std::vector<LocalAddress> locals_;
};

}  // namespace sluice::net
