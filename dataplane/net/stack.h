// One core's link and IP layers as a plain state machine: frames in, datagrams out and back. No I/O and no clock.
// Ethernet + VLAN, ARP (RFC 826), ND (RFC 4861), IPv4 (RFC 791), IPv6 (RFC 8200), ICMP (RFC 792, 4443), routes by
// longest prefix. Owns mbufs handed to it until it hands them on. Per core; ports and routes are fixed at start.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ip_address.h"
#include "base/result.h"
#include "base/time.h"
#include "net/datagram.h"
#include "net/ethernet.h"

namespace sluice::net {

struct PortConfig {
    std::string name;
    MacAddress mac{};
    std::vector<IpPrefix> addresses;  // address with the on-link prefix length
    struct Route {
        IpPrefix to;
        IpAddress via;        // unspecified: on link
    };
    std::vector<Route> routes;
    uint16_t mtu = 1500;
    uint16_t vlan = 0;        // 0 = untagged
    bool link_layer = true;   // false: packets carry no Ethernet header and no neighbours are resolved (test harness)
    bool rx_checksum = false, tx_ip_checksum = false, tx_tcp_checksum = false, tso = false, multi_segment = false;
};

struct StackConfig {
    std::vector<PortConfig> ports;
    uint64_t seed = 0;               // IP ids, rate-limit jitter
    uint32_t neighbors_max = 4096;
    uint32_t pending_packets_max = 256;  // frames waiting for a neighbour, all of them together; half of it for one
    uint32_t icmp_errors_per_s = 1000;
    uint32_t transmit_queue_frames = 1024;  // per port, a power of two: what one turn may produce
    bool announce = true;                // gratuitous ARP and unsolicited NA at the first handle_timeout
    bool share_neighbors = false;        // several cores serve the ports: hand on what is heard (poll_neighbor_update)
};

/// What one core heard about a neighbour, for the other cores (an answer may arrive on any queue).
struct NeighborUpdate {
    IpAddress ip;
    MacAddress mac{};
    uint8_t port = 0;
    bool solicited = false, override_mac = false;
};

struct Counters {  // per core, plain; the telemetry thread reads them relaxed
    uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes;
    uint64_t rx_bad_link, rx_bad_ip, rx_bad_checksum, rx_not_ours, rx_no_protocol, rx_fragment_dropped, rx_martian;
    uint64_t icmp_rx, icmp_tx, icmp_rate_limited, arp_rx, arp_tx, nd_rx, nd_tx;
    uint64_t no_route, neighbor_unresolved, neighbor_full, pending_dropped, tx_no_mbuf, bytes_linearized;
    uint64_t tx_queue_full, tx_too_big, rx_source_routed, neighbor_conflict;
};

/// What became of a received frame.
enum class Verdict : uint8_t {
    kTransport,    // `out` is filled; the caller owns out.mbuf
    kConsumed,     // the stack kept or freed it (ARP, ICMP, dropped and counted)
    kException,    // not ours to answer (other protocol or destination): the caller owns the mbuf; `out` is filled and
                   // out.protocol non-zero if it was an IP packet to us (send_port_unreachable may answer it)
};

class Stack {
 public:
    /// `pool` gives the mbufs of packets the stack itself makes (ARP, ICMP); it outlives the stack.
    Stack(const StackConfig& config, rte_mempool* pool);
    ~Stack();

    /// Takes ownership of `frame` (one mbuf, or a chain where the port receives chains).
    Verdict handle_frame(rte_mbuf* frame, uint8_t port, Instant now, DatagramIn& out);
    /// Drops are answered where the RFCs say so: the transport found no listener. `datagram` stays the caller's.
    void send_port_unreachable(const DatagramIn& datagram, Instant now);
    /// Next validated ICMP error about one of our segments, or our own finding that a next hop does not answer.
    bool poll_icmp_error(IcmpError& out);

    /// Route, source address and MTU towards `destination` (source unspecified = choose one); empty if there is no route.
    std::optional<RouteInfo> route(const IpAddress& destination, const IpAddress& source) const;
    bool is_local(const IpAddress& address) const;
    /// Learns a smaller path MTU (RFC 8201, 1191), checked by the transport first; expires after 10 minutes.
    void update_path_mtu(const IpAddress& destination, uint16_t mtu, Instant now);

    /// Sends a transport segment: prepends IP and link headers and queues the frame for its port. Takes ownership of out.mbuf in
    /// every case. False if it was dropped (no route, no room; counted). Refreshes out.route_hint.
    bool send(DatagramOut& out, Instant now);

    /// Frames ready for `port`, at most `max`; the caller owns them. Nothing else leaves the stack.
    uint16_t poll_transmit(uint8_t port, rte_mbuf** frames, uint16_t max);
    /// Frames that `port` can still take before poll_transmit must be called.
    uint16_t transmit_room(uint8_t port) const;

    /// Between cores (share_neighbors): what was heard here, and what another core heard.
    bool poll_neighbor_update(NeighborUpdate& out);
    void handle_neighbor_update(const NeighborUpdate& update, Instant now);

    void handle_timeout(Instant now);
    Instant poll_timeout() const;
    const Counters& counters() const;
    /// The worker copied a frame into one mbuf for a port that takes no chains.
    void count_linearized(uint64_t bytes);
    std::span<const PortConfig> ports() const;

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::net
