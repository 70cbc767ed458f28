// States and eviction of the neighbour cache (see neighbor.h).
// A flood of addresses that do not answer displaces its own kind first; an entry in use is never displaced (THREATS.md 10).
#include "net/neighbor.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace sluice::net {

namespace {
constexpr uint32_t kEvictionScan = 64;

uint64_t mix(uint64_t a, uint64_t b) {
    const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}
}  // namespace

NeighborTable::NeighborTable(uint32_t capacity, uint64_t seed)
    : entries_(std::clamp<uint32_t>(capacity, 1, 65534)),
      buckets_(std::bit_ceil(entries_.size() * 2)),
      key_{mix(seed ^ 0x9e3779b97f4a7c15, 0xd6e8feb86659fd93) | 1, mix(seed ^ 0xa0761d6478bd642f, 0xe7037ed1a0b428db) | 1} {
    free_.reserve(entries_.size());
    for (size_t i = entries_.size(); i > 0; i--) free_.push_back(static_cast<uint16_t>(i - 1));
}

uint32_t NeighborTable::bucket(uint8_t port, const IpAddress& ip) const {
    uint64_t a, b;
    std::memcpy(&a, ip.bytes.data(), 8);
    std::memcpy(&b, ip.bytes.data() + 8, 8);
    const uint64_t h = mix(mix(a ^ key_[0], b ^ key_[1]) ^ port, key_[0]);
    return static_cast<uint32_t>(h) & static_cast<uint32_t>(buckets_.size() - 1);
}

Neighbor* NeighborTable::find(uint8_t port, const IpAddress& ip) {
    for (uint16_t i = buckets_[bucket(port, ip)]; i != 0; i = entries_[i - 1].hash_next) {
        Neighbor& n = entries_[i - 1];
        if (n.port == port && n.ip == ip) return &n;
    }
    return nullptr;
}

Neighbor* NeighborTable::find_or_add(uint8_t port, const IpAddress& ip, Instant now) {
    if (Neighbor* n = find(port, ip)) return n;
    if (free_.empty() && !evict(now)) return nullptr;
    Neighbor& n = entries_[free_.back()];
    free_.pop_back();
    in_use_++;
    const auto generation = static_cast<uint16_t>(n.generation + 1);
    n = Neighbor{};
    n.generation = generation;
    n.ip = ip;
    n.port = port;
    uint16_t& head = buckets_[bucket(port, ip)];
    n.hash_next = head;
    head = static_cast<uint16_t>(index(n) + 1);
    return &n;
}

/// Looks at a bounded number of entries from a moving hand. First choice: failed ones, then unresolved, then long unused.
Neighbor* NeighborTable::evict(Instant now) {
    Neighbor* best = nullptr;
    int best_rank = 3;
    for (uint32_t i = 0; i < std::min(kEvictionScan, capacity()); i++) {
        Neighbor& n = entries_[hand_];
        hand_ = (hand_ + 1) % capacity();
        int rank = 3;
        if (n.state == Neighbor::State::kFailed || n.state == Neighbor::State::kFree) rank = 0;
        else if (n.state == Neighbor::State::kIncomplete && n.pending == 0) rank = 1;
        else if (n.has_mac() && now - n.used > kNeighborInUse) rank = 2;
        if (rank < best_rank) best = &n, best_rank = rank;
        if (rank == 0) break;
    }
    if (best) remove(*best);
    return best;
}

void NeighborTable::remove(Neighbor& n) {
    uint16_t* link = &buckets_[bucket(n.port, n.ip)];
    const auto self = static_cast<uint16_t>(index(n) + 1);
    while (*link != self) link = &entries_[*link - 1].hash_next;
    *link = n.hash_next;
    n.state = Neighbor::State::kFree;
    n.deadline = Instant::never();
    n.hash_next = 0;
    free_.push_back(index(n));
    in_use_--;
}

void NeighborTable::arm(Neighbor& n, Instant deadline) {
    n.deadline = deadline;
    next_scan_ = std::min(next_scan_, deadline);
}

void NeighborTable::start(Neighbor& n, Instant now) {
    n.state = Neighbor::State::kIncomplete;
    n.solicits = 1;
    n.used = now;
    arm(n, now + kNeighborRetransmit);
}

void NeighborTable::probe(Neighbor& n, Instant now) {
    n.state = Neighbor::State::kProbe;
    n.solicits = 1;
    arm(n, now + kNeighborRetransmit);
}

void NeighborTable::contest(Neighbor& n, Instant now) {
    n.state = Neighbor::State::kProbe;
    n.solicits = kNeighborSolicits - 1;  // one question, sent by the next handle_timeout()
    arm(n, now);
}

bool NeighborTable::expire(Neighbor& n, Instant now, Due& due) {
    n.deadline = Instant::never();
    switch (n.state) {
        case Neighbor::State::kIncomplete:
            if (n.solicits < kNeighborSolicits) {
                n.solicits++;
                n.deadline = now + kNeighborRetransmit;
                due = Due::kSolicit;
                return true;
            }
            n.state = Neighbor::State::kFailed;  // RFC 4861 7.2.2: tell the senders, remember for a while
            n.deadline = now + kNeighborNegative;
            due = Due::kFailed;
            return true;
        case Neighbor::State::kProbe:
            due = Due::kSolicit;
            if (n.solicits < kNeighborSolicits) {
                n.solicits++;
                n.deadline = now + kNeighborRetransmit;
                return true;
            }
            if (now - n.used > kNeighborInUse) {
                remove(n);
                return false;
            }
            start(n, now);  // the address may have moved to another MAC: ask everyone
            return true;
        case Neighbor::State::kFailed:
            remove(n);
            return false;
        default: return false;
    }
}

Neighbor* NeighborTable::learn(uint8_t port, const IpAddress& ip, const MacAddress& mac, bool solicited, bool override_mac,
                               Instant now) {
    Neighbor* n = find(port, ip);
    if (!n) return nullptr;  // RFC 4861 7.2.5: an advertisement makes no entry
    const bool was_usable = n->has_mac();
    if (was_usable && n->mac != mac) {
        // Never taken at its word (THREATS.md 10): the address that answered so far is asked first, and everybody if it is silent.
        // A move is followed within a second or two, a forgery moves nothing.
        if (override_mac && n->state == Neighbor::State::kReachable && now - n->confirmed >= kNeighborLock) contest(*n, now);
        return nullptr;
    } else if (was_usable && !solicited) {
        return nullptr;  // known already, and no proof that it hears us
    }
    n->mac = mac;
    n->state = Neighbor::State::kReachable;
    n->deadline = Instant::never();
    // Without a solicited answer the entry is stale: its next use probes it. Instants may be younger than 30 s, so go by zero.
    n->confirmed = solicited || !was_usable ? now : Instant{now.us - std::min<uint64_t>(now.us, static_cast<uint64_t>(kNeighborReachable.us))};
    return was_usable ? nullptr : n;
}

}  // namespace sluice::net
