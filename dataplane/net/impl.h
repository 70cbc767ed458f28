// The insides of net::Stack, shared by the files of this room: addresses.cc, arp.cc, nd.cc, ipv4.cc, ipv6.cc, fragment.cc, icmp.cc,
// echo.cc, output.cc, stack.cc.
// Owns frames queued for ports and packets that wait for a neighbour. Nothing here is seen outside the room.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "net/ethernet.h"
#include "net/ip_headers.h"
#include "net/neighbor.h"
#include "net/path_mtu.h"
#include "net/random.h"
#include "net/reassembly.h"
#include "net/route.h"
#include "net/stack.h"

namespace sluice::net {

/// A ring with fixed capacity (a power of two); single owner.
template <typename T>
class FixedQueue {
 public:
    explicit FixedQueue(uint32_t capacity) : items_(capacity) {}
    uint32_t size() const { return tail_ - head_; }
    uint32_t room() const { return static_cast<uint32_t>(items_.size()) - size(); }
    bool push(const T& item) {
        if (room() == 0) return false;
        items_[tail_++ & (items_.size() - 1)] = item;
        return true;
    }
    bool pop(T& out) {
        if (size() == 0) return false;
        out = items_[head_++ & (items_.size() - 1)];
        return true;
    }

 private:
    std::vector<T> items_;
    uint32_t head_ = 0, tail_ = 0;
};

/// Sources found good on a port before: routes never change, and clear() is called when our addresses do, so the answer stays right.
/// Direct-mapped, a few dozen peers.
class GoodSources {
 public:
    bool contains(const IpAddress& source, uint8_t port) const {
        const Entry& e = entries_[slot(source)];
        return e.port == port && e.source == source;
    }
    void add(const IpAddress& source, uint8_t port) { entries_[slot(source)] = {source, port}; }
    void clear() { entries_.fill({}); }

 private:
    struct Entry {
        IpAddress source;
        uint16_t port = UINT16_MAX;
    };
    static constexpr uint32_t kEntries = 256;
    static uint32_t slot(const IpAddress& a) {
        uint64_t high, low;
        std::memcpy(&high, a.bytes.data(), 8);
        std::memcpy(&low, a.bytes.data() + 8, 8);
        return static_cast<uint32_t>(((high ^ low) * 0x9e3779b97f4a7c15) >> 56);
    }
    std::array<Entry, kEntries> entries_{};
};

struct PortState {
    PortState(const PortConfig& c, uint32_t queue_frames);
    PortConfig config;
    std::array<uint8_t, kEthernetHeaderBytes + kVlanTagBytes> link_header{};  // destination and ethertype still open
    uint8_t link_header_bytes = 0;
    FixedQueue<rte_mbuf*> transmit;
};

struct PendingPacket {
    rte_mbuf* mbuf = nullptr;   // whole frame but for the destination MAC
    uint16_t neighbor = 0;
};

struct Chain;   // extensions.h

struct Stack::Impl {
    Impl(const StackConfig& config, rte_mempool* pool);
    ~Impl();

    // arp.cc
    void handle_arp(rte_mbuf* frame, const LinkHeader& link, uint8_t port, Instant now);
    void send_arp(uint8_t port, uint16_t operation, const uint8_t* link_destination, const IpAddress& sender,
                  const uint8_t* target_mac, const IpAddress& target);
    // nd.cc
    void handle_neighbor_discovery(const DatagramIn& d, uint8_t hop_limit, Instant now);
    void neighbor_solicited(const DatagramIn& d, const IpAddress& target, const uint8_t* mac, Instant now);
    void neighbor_advertised(const DatagramIn& d, const IpAddress& target, const uint8_t* mac, uint32_t flags, Instant now);
    /// `link_destination` null: to the target's group.
    void send_neighbor_solicit(uint8_t port, const IpAddress& target, const IpAddress& source, const uint8_t* link_destination);
    void send_neighbor_advert(uint8_t port, const uint8_t* link_destination, const IpAddress& destination,
                              const IpAddress& target, bool solicited);
    // addresses.cc
    void start_addresses(Instant now);
    void handle_address_timeout(Instant now);
    void address_due(LocalAddress& l, Instant now);
    void decide(LocalAddress& l, AddressState state, const MacAddress& claimant);
    void set_address_state(LocalAddress& l, AddressState state, const MacAddress& claimant);
    void claimed(LocalAddress& l, const MacAddress& mac, bool probe, Instant now);
    void judge_claim(LocalAddress& l, const MacAddress& mac, bool probe, Instant now);
    void announce(const LocalAddress& l);
    // ipv4.cc, ipv6.cc
    Verdict handle_ipv4(rte_mbuf* frame, const LinkHeader& link, uint8_t port, Instant now, DatagramIn& out);
    Verdict handle_ipv6(rte_mbuf* frame, const LinkHeader& link, uint8_t port, Instant now, DatagramIn& out);
    Verdict deliver4(DatagramIn& d, Instant now);
    Verdict deliver6(DatagramIn& d, uint8_t hop_limit, Instant now);
    uint64_t* refuse_addresses6(const rte_mbuf* frame, const LinkHeader& link, const DatagramIn& d);
    bool group_of_ours(const IpAddress& destination, uint8_t port) const;
    bool refuse_chain(const Chain& chain, const DatagramIn& d, Instant now);
    // fragment.cc
    Verdict fragment_arrives(DatagramIn& f, Instant now);
    bool good_fragment4(const DatagramIn& f);
    bool good_fragment6(const DatagramIn& f, Instant now);
    Verdict reassemble(DatagramIn& f, Instant now);
    Verdict whole4(DatagramIn& d, Instant now);
    Verdict whole6(DatagramIn& d, Instant now);
    void expire_fragments(Instant now);
    // ipv4.cc, ipv6.cc: the way out
    bool write_ipv4(DatagramOut& out, const PortState& port, uint8_t ttl, uint16_t fragment, uint16_t id);
    bool write_ipv6(DatagramOut& out, const PortState& port, uint8_t hop_limit);
    // icmp.cc
    void handle_icmp4(DatagramIn& d, Instant now);
    void handle_icmp6(DatagramIn& d, uint8_t hop_limit, Instant now);
    void send_error(const DatagramIn& d, uint8_t type, uint8_t code, uint32_t rest, Instant now, bool about_groups = false);
    void quoted_error(const DatagramIn& d, IcmpError::Kind kind, uint16_t mtu);
    void local_error(const rte_mbuf* frame, uint8_t port, IcmpError::Kind kind);
    bool parse_quoted(const uint8_t* packet, uint32_t length, IcmpError& out) const;
    // echo.cc
    void echo_reply(DatagramIn& d, uint8_t reply_type, Instant now);
    void send_in_parts(DatagramOut& whole, uint32_t mtu, Instant now);
    // output.cc
    bool output(DatagramOut& out, Instant now, uint8_t hop_limit, bool dont_fragment);
    bool output_packet(DatagramOut& out, Instant now, uint8_t hop_limit, uint16_t fragment, uint16_t id);
    bool emit(rte_mbuf* frame, uint8_t port, const uint8_t* destination_mac, uint16_t ether_type);
    bool queue_frame(rte_mbuf* frame, uint8_t port);
    bool wait_for(Neighbor& n, rte_mbuf* frame, uint16_t ether_type, Instant now);
    void flush_pending(Neighbor& n, bool failed);
    void solicit(Neighbor& n, Instant now);
    void heard(uint8_t port, const IpAddress& ip, const MacAddress& mac, bool solicited, bool override_mac, Instant now);
    rte_mbuf* make_packet(uint16_t bytes);
    // shared checks
    /// Null, or the counter of why no packet from `source` may come in by this port.
    uint64_t* refuse_source(const IpAddress& source, uint8_t port) {
        if (good_sources.contains(source, port)) return nullptr;
        uint64_t* const why = martian_source(source, port);
        if (!why) good_sources.add(source, port);
        return why;
    }
    uint64_t* martian_source(const IpAddress& source, uint8_t port);
    bool verify_l4(const rte_mbuf* frame, uint8_t port, bool& verified);
    void note_merged(DatagramIn& d);

    Verdict drop(rte_mbuf* frame, uint64_t& counter) {
        counter++;
        rte_pktmbuf_free(frame);
        return Verdict::kConsumed;
    }

    StackConfig config;
    rte_mempool* pool;
    Counters counters{};
    std::vector<PortState> ports;
    std::vector<PortConfig> port_configs;   // with the addresses we added ourselves (link-local)
    RouteTable routes;
    GoodSources good_sources;
    NeighborTable neighbors;
    PathMtuCache path_mtu;
    KeyedRandom random;
    SipKey flow_key;
    Reassembler reassembler;
    TokenBucket error_bucket, echo_bucket, answer_bucket, solicit_bucket, claim_bucket;
    std::vector<PendingPacket> pending;     // a ring: the oldest is displaced
    uint32_t pending_next = 0;
    FixedQueue<IcmpError> errors;
    FixedQueue<NeighborUpdate> updates;
    Instant now_hint;                       // latest Instant seen, for const look-ups
    Instant address_deadline = Instant::never();
    bool started = false;
};

}  // namespace sluice::net
