// One core's link and IP layers as a plain state machine: frames in, datagrams out and back. No I/O and no clock.
// Ethernet + VLAN, ARP (RFC 826), ND (RFC 4861), IPv4 (RFC 791), IPv6 (RFC 8200), ICMP (RFC 792, 4443), fragments, routes by
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
#include "base/limits.h"
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
    bool strict_reverse_path = false;   // a source must be reached by this port; false: by any port (RFC 3704 2.2, 2.4)
    bool detect_duplicates = true;      // of our addresses (RFC 5227, RFC 4862)
    bool link_layer = true;   // false: packets carry no Ethernet header and no neighbours are resolved (test harness)
    bool rx_checksum = false, tx_ip_checksum = false, tx_tcp_checksum = false, tso = false, multi_segment = false;
};

struct StackConfig {
    std::vector<PortConfig> ports;
    uint64_t seed = 0;               // of every keyed hash and id: secret
    uint32_t neighbors_max = limits::kNeighborsMax;
    uint32_t pending_packets_max = 256;  // frames waiting for a neighbour, all of them together; half of it for one
    uint32_t icmp_errors_per_s = 1000;   // that we send; each rate is a core's
    uint32_t echo_replies_per_s = 10000;
    uint32_t neighbor_answers_per_s = 10000;   // ARP replies and neighbour advertisements
    uint32_t neighbor_solicits_per_s = 1000;   // to everybody: addresses that are asked for the first time
    uint32_t transmit_queue_frames = 1024;  // per port, a power of two: what one turn may produce
    uint32_t reassembly_datagrams_max = limits::kReassemblyDatagrams;
    uint32_t reassembly_fragments_max = limits::kReassemblyFragments;   // of one datagram
    uint64_t reassembly_bytes_max = limits::kReassemblyBytes;           // and never more than a sixteenth of the pool
    uint8_t hop_limit = 64;              // of what we send, IPv4's TTL as well
    bool announce = true;                // this core probes for our addresses and announces them
    bool share_neighbors = false;        // several cores serve the ports: hand on what is heard (poll_neighbor_update)
    bool share_fragments = false;        // several cores: fragments come out as Verdict::kFragment, to be steered to one core
};

/// Whether one of our own addresses is ours alone (RFC 5227, RFC 4862, RFC 4429).
enum class AddressState : uint8_t {
    kUsed,        // nobody else has it
    kOptimistic,  // in use while the others are asked
    kDuplicate,   // another host has it: not used, not announced; asked again later
    kTentative,   // asked again, not used yet
};

struct AddressStatus {
    IpAddress ip;
    uint8_t port = 0;
    AddressState state{};
    MacAddress claimant{};   // who had it, if kDuplicate or kTentative
};

/// What one core heard on the wire, for the other cores (a packet may arrive on any queue).
struct NeighborUpdate {
    enum class Kind : uint8_t {
        kHeard,     // a neighbour's MAC
        kClaimed,   // our own address, by another host: the core that announces decides
        kDecided,   // that core's decision: the address may be used, or not
    };
    IpAddress ip;
    MacAddress mac{};
    uint8_t port = 0;
    Kind kind = Kind::kHeard;
    bool solicited = false, override_mac = false;   // kHeard
    bool probe = false;                             // kClaimed: asked for, not yet taken
    AddressState state{};                           // kDecided
};

struct Counters {  // per core, plain; the telemetry thread reads them relaxed. ctrl/admin shows every one
    uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes;
    // Link.
    uint64_t rx_merged;   // frames of several TCP segments: a port's large receive, or a peer on this machine that never cut them
    uint64_t rx_bad_link, rx_other_host, rx_other_vlan, rx_stacked_vlan;
    // IP headers.
    uint64_t rx_bad_ip, rx_bad_checksum, rx_not_ours, rx_no_protocol, rx_source_routed, rx_bad_extension, rx_extension_limit;
    // Sources no packet may have, and destinations no unicast packet may have.
    uint64_t rx_source_ours, rx_source_loopback, rx_source_group, rx_source_reserved, rx_source_mapped, rx_source_other_port,
        rx_source_no_route, rx_destination_loopback, rx_destination_group, rx_destination_duplicate;
    // Fragments: received, datagrams made whole, and why others were not.
    uint64_t rx_fragments, fragments_reassembled, fragments_bad, fragments_tiny_first, fragments_duplicate, fragments_abandoned,
        fragments_refused, fragments_evicted, fragments_timeout;
    // ICMP.
    uint64_t icmp_rx, icmp_tx, icmp_rate_limited, echo_rate_limited, icmp_redirect_ignored, icmp_bad_quote, icmp_error_dropped;
    // ARP and ND.
    uint64_t arp_rx, arp_tx, nd_rx, nd_tx, nd_bad, nd_router_ignored, neighbor_off_link, neighbor_answer_limited,
        neighbor_solicit_limited, neighbor_conflict, address_claimed, address_duplicate;
    // The way out.
    uint64_t no_route, neighbor_unresolved, neighbor_full, pending_dropped, tx_no_mbuf, bytes_linearized, tx_queue_full, tx_too_big;
    uint64_t tx_cut_by_port;   // frames of several TCP segments (TSO)
};

/// What became of a received frame.
enum class Verdict : uint8_t {
    kTransport,    // `out` is filled; the caller owns out.mbuf
    kConsumed,     // the stack kept or freed it (ARP, ICMP, dropped and counted)
    kException,    // not ours to answer (other protocol or destination): the caller owns the mbuf; `out` is filled and
                   // out.protocol non-zero if it was an IP packet to us (send_port_unreachable may answer it)
    kFragment,     // with share_fragments: `out` goes to handle_fragment() of the one core that its addresses, fragment_id and
                   // protocol choose; the caller owns out.mbuf
};

class Stack {
 public:
    /// `pool` gives the mbufs of packets the stack itself makes (ARP, ICMP); it outlives the stack.
    Stack(const StackConfig& config, rte_mempool* pool);
    ~Stack();

    /// Takes ownership of `frame` (one mbuf, or a chain where the port receives chains).
    Verdict handle_frame(rte_mbuf* frame, uint8_t port, Instant now, DatagramIn& out);
    /// A fragment that came out of handle_frame() of this or another core: kTransport and a whole datagram in `d` once the last
    /// one is there. Takes d.mbuf over like handle_frame().
    Verdict handle_fragment(DatagramIn& d, Instant now);
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
    /// Our addresses, link-local ones that were added among them. Any thread, at any time.
    std::vector<AddressStatus> addresses() const;

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::net
