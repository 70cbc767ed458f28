// The neighbour cache of one core, for ARP and ND alike: IP address on a port -> MAC, with the states of RFC 4861 7.3.
// In: what was heard (learn), what is wanted (find_or_add), time. Out: entries that want a solicitation, entries that failed.
// Entries are made only by our own wish to send, never by what a peer says, and number at most `capacity`.
// Owns its entries; packets waiting for one are the caller's. RFC 826, RFC 4861 7.
//
// STALE of 7.3.2 is kReachable older than ReachableTime; its next use probes at once, while packets go on (use()). DELAY is left
// out: it waits five seconds for a word from upper layers, which give none here, and a probe costs one frame in 30 s.
#pragma once

#include <cstdint>
#include <vector>

#include "base/ip_address.h"
#include "base/time.h"
#include "net/ethernet.h"

namespace sluice::net {

inline constexpr Duration kNeighborRetransmit = seconds(1);     // RetransTimer
inline constexpr Duration kNeighborReachable = seconds(30);     // ReachableTime
inline constexpr Duration kNeighborNegative = seconds(3);       // how long a failure is remembered
inline constexpr Duration kNeighborLock = seconds(1);           // a fresh answer is not questioned
inline constexpr Duration kNeighborInUse = seconds(60);         // an entry used within is not evicted
inline constexpr uint8_t kNeighborSolicits = 3;                 // MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT

struct Neighbor {
    enum class State : uint8_t { kFree, kIncomplete, kReachable, kProbe, kFailed };
    IpAddress ip;
    Instant confirmed;      // last proof that `mac` answers
    Instant deadline = Instant::never();
    Instant used;
    MacAddress mac{};
    uint8_t port = 0;
    State state = State::kFree;
    uint8_t solicits = 0;
    uint16_t generation = 0;
    uint16_t hash_next = 0;   // index + 1
    uint16_t pending = 0;     // packets that wait for it
    bool has_mac() const { return state == State::kReachable || state == State::kProbe; }
};

class NeighborTable {
 public:
    NeighborTable(uint32_t capacity, uint64_t seed);

    Neighbor* find(uint8_t port, const IpAddress& ip);
    /// Nullptr if the table is full of entries that are in use or have packets waiting. A new entry is kFree: call start().
    Neighbor* find_or_add(uint8_t port, const IpAddress& ip, Instant now);

    /// Resolution begins or begins again: one solicitation is due now.
    void start(Neighbor& n, Instant now);
    /// `n` was used: true if it wants a unicast probe now (reachability is older than ReachableTime).
    bool use(Neighbor& n, Instant now) {
        n.used = now;
        if (n.state != Neighbor::State::kReachable || now - n.confirmed < kNeighborReachable) return false;
        probe(n, now);
        return true;
    }

    /// Something was heard about (port, ip). Returns the entry if it has just become usable: send what waits for it.
    Neighbor* learn(uint8_t port, const IpAddress& ip, const MacAddress& mac, bool solicited, bool override_mac, Instant now);

    /// Earliest deadline of all entries, rounded up so that a table of unresolvable entries costs one scan per 10 ms.
    Instant poll_timeout() const { return next_scan_; }
    enum class Due : uint8_t { kSolicit, kFailed };
    /// Calls fn(Neighbor&, Due) for each entry whose time has come.
    template <typename Fn>
    void handle_timeout(Instant now, Fn&& fn);

    /// A handle for `n` that find_handle() refuses once the entry was reused. Never 0; the top bit is clear.
    uint32_t handle(const Neighbor& n) const {
        return (static_cast<uint32_t>(n.generation & 0x7fff) << 16) | (index(n) + 1);
    }
    Neighbor* find_handle(uint32_t handle) {
        const uint32_t i = (handle & 0xffff) - 1;
        if (i >= entries_.size()) return nullptr;
        Neighbor& n = entries_[i];
        return (n.generation & 0x7fff) == handle >> 16 && n.has_mac() ? &n : nullptr;
    }
    uint16_t index(const Neighbor& n) const { return static_cast<uint16_t>(&n - entries_.data()); }
    Neighbor& at(uint16_t i) { return entries_[i]; }
    /// No handle given out so far finds its entry again.
    void forget_hints() {
        for (Neighbor& n : entries_) n.generation++;
    }
    uint32_t in_use() const { return in_use_; }
    uint32_t capacity() const { return static_cast<uint32_t>(entries_.size()); }
    void remove(Neighbor& n);

 private:
    uint32_t bucket(uint8_t port, const IpAddress& ip) const;
    Neighbor* evict(Instant now);
    void probe(Neighbor& n, Instant now);
    void arm(Neighbor& n, Instant deadline);
    /// Somebody else claims n's address: ask the one that has it.
    void contest(Neighbor& n, Instant now);
    /// What follows when n's deadline passed. False: nothing to tell.
    bool expire(Neighbor& n, Instant now, Due& due);

    std::vector<Neighbor> entries_;
    std::vector<uint16_t> buckets_;   // index + 1 of the first entry
    std::vector<uint16_t> free_;
    uint64_t key_[2];
    Instant next_scan_ = Instant::never();
    uint32_t in_use_ = 0;
    uint32_t hand_ = 0;
};

template <typename Fn>
void NeighborTable::handle_timeout(Instant now, Fn&& fn) {
    if (now < next_scan_) return;
    Instant earliest = Instant::never();
    for (Neighbor& n : entries_) {
        if (n.deadline <= now) {
            Due due;
            if (expire(n, now, due)) fn(n, due);
        }
        if (n.deadline < earliest) earliest = n.deadline;
    }
    const Instant soonest = now + milliseconds(10);
    next_scan_ = earliest == Instant::never() || earliest > soonest ? earliest : soonest;
}

}  // namespace sluice::net
