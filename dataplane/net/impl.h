// The insides of net::Stack, shared by the files of this room: arp.cc, nd.cc, ipv4.cc, ipv6.cc, icmp.cc, output.cc, stack.cc.
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
#include "net/route.h"
#include "net/stack.h"

namespace sluice::net {

/// splitmix64 (public domain constants): IP ids and jitter, nothing secret.
class SmallRandom {
 public:
    explicit SmallRandom(uint64_t seed) : state_(seed) {}
    uint64_t next() {
        uint64_t z = (state_ += 0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }

 private:
    uint64_t state_;
};

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

/// Tokens per second with a small burst, refilled by time; jittered so that its level tells an outsider nothing exact
/// (the SAD DNS side channel).
class TokenBucket {
 public:
    explicit TokenBucket(uint32_t per_s) : per_s_(per_s), burst_(per_s / 20 + 1), tokens_(burst_) {}
    bool take(Instant now, SmallRandom& random) {
        const auto gained = static_cast<uint64_t>((now - last_).us) * per_s_ / 1'000'000;
        if (gained > 0) {
            tokens_ = std::min<uint64_t>(burst_ - random.next() % (burst_ / 4 + 1), tokens_ + gained);
            last_ = now;
        }
        if (tokens_ == 0) return false;
        tokens_--;
        return true;
    }

 private:
    uint64_t per_s_, burst_, tokens_;
    Instant last_;
};

/// Sources found good on a port before: routes never change, so the answer stays right. Direct-mapped, a few dozen peers.
class GoodSources {
 public:
    bool contains(const IpAddress& source, uint8_t port) const {
        const Entry& e = entries_[slot(source)];
        return e.port == port && e.source == source;
    }
    void add(const IpAddress& source, uint8_t port) { entries_[slot(source)] = {source, port}; }

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

struct Stack::Impl {
    Impl(const StackConfig& config, rte_mempool* pool);
    ~Impl();

    // arp.cc
    void handle_arp(rte_mbuf* frame, const LinkHeader& link, uint8_t port, Instant now);
    void send_arp(uint8_t port, uint16_t operation, const uint8_t* link_destination, const IpAddress& sender,
                  const uint8_t* target_mac, const IpAddress& target);
    // nd.cc
    void handle_neighbor_discovery(const DatagramIn& d, uint8_t hop_limit, Instant now);
    void send_neighbor_solicit(uint8_t port, const Neighbor& n, const IpAddress& source);
    void send_neighbor_advert(uint8_t port, const uint8_t* link_destination, const IpAddress& destination,
                              const IpAddress& target, bool solicited);
    // ipv4.cc, ipv6.cc
    Verdict handle_ipv4(rte_mbuf* frame, const LinkHeader& link, uint8_t port, Instant now, DatagramIn& out);
    Verdict handle_ipv6(rte_mbuf* frame, const LinkHeader& link, uint8_t port, Instant now, DatagramIn& out);
    bool write_ipv4(DatagramOut& out, const PortState& port, uint8_t ttl, bool dont_fragment);
    bool write_ipv6(DatagramOut& out, const PortState& port, uint8_t hop_limit);
    // icmp.cc
    void handle_icmp4(DatagramIn& d, Instant now);
    void handle_icmp6(DatagramIn& d, uint8_t hop_limit, Instant now);
    void echo_reply(DatagramIn& d, uint8_t reply_type, Instant now);
    void send_error(const DatagramIn& d, uint8_t type, uint8_t code, uint32_t rest, Instant now);
    void quoted_error(const DatagramIn& d, IcmpError::Kind kind, uint16_t mtu);
    void local_error(const rte_mbuf* frame, uint8_t port, IcmpError::Kind kind);
    bool parse_quoted(const uint8_t* packet, uint32_t length, IcmpError& out) const;
    // output.cc
    bool output(DatagramOut& out, Instant now, uint8_t hop_limit, bool dont_fragment);
    bool emit(rte_mbuf* frame, uint8_t port, const uint8_t* destination_mac, uint16_t ether_type);
    bool queue_frame(rte_mbuf* frame, uint8_t port);
    bool wait_for(Neighbor& n, rte_mbuf* frame, uint16_t ether_type, Instant now);
    void flush_pending(Neighbor& n, bool failed);
    void solicit(Neighbor& n);
    void heard(uint8_t port, const IpAddress& ip, const MacAddress& mac, bool solicited, bool override_mac, Instant now);
    void announce();
    rte_mbuf* make_packet(uint16_t bytes);
    // shared checks
    bool good_source(const IpAddress& source, uint8_t port) {
        if (good_sources.contains(source, port)) return true;
        if (martian_source(source, port)) return false;
        good_sources.add(source, port);
        return true;
    }
    bool martian_source(const IpAddress& source, uint8_t port) const;
    bool verify_l4(const rte_mbuf* frame, uint8_t port, bool& verified);

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
    SmallRandom random;
    TokenBucket error_bucket;
    std::vector<PendingPacket> pending;     // a ring: the oldest is displaced
    uint32_t pending_next = 0;
    FixedQueue<IcmpError> errors;
    FixedQueue<NeighborUpdate> updates;
    Instant now_hint;                       // latest Instant seen, for const look-ups
    bool announced = false;
};

}  // namespace sluice::net
