// Our own addresses: asked about at start while they are already in use, announced when nobody objected, defended later.
// In: time, claims heard by ARP and ND on any core. Out: probes and announcements queued, each address's state. Owns nothing.
// RFC 5227 (IPv4), RFC 4862 5.4 (IPv6), RFC 4429 (in use meanwhile); docs/decisions/0061-addresses-are-used-while-asked-about.md.
#include <algorithm>

#include "net/impl.h"

namespace sluice::net {

namespace {
// Three ARP probes or one solicitation, and silence for a second in all: RetransTimer of RFC 4861; RFC 5227's 4 to 7 s are for
// links and hosts of another age.
constexpr uint8_t kProbes4 = 3, kProbes6 = 1;
constexpr Duration kProbeInterval4 = milliseconds(330), kProbeInterval6 = seconds(1);
constexpr uint64_t kProbeWaitMaxUs = 100'000;          // machines that start together do not ask together
constexpr uint8_t kAnnouncements = 2;                  // ANNOUNCE_NUM
constexpr Duration kAnnounceInterval = seconds(2);
constexpr Duration kDefendInterval = seconds(10);
constexpr Duration kDuplicateRetry = seconds(60);      // RATE_LIMIT_INTERVAL
constexpr uint64_t kDuplicateRetryJitterUs = 10'000'000;

bool asking(const LocalAddress& l) {
    return l.state() == AddressState::kOptimistic || l.state() == AddressState::kTentative;
}
}  // namespace

void Stack::Impl::start_addresses(Instant now) {
    for (LocalAddress& l : routes.addresses()) {
        if (!ports[l.port].config.link_layer) continue;
        l.sent = 0;
        l.deadline = now;
        if (!ports[l.port].config.detect_duplicates) continue;
        l.set_state(AddressState::kOptimistic);
        l.deadline = now + Duration{static_cast<int64_t>(random.next() % kProbeWaitMaxUs)};
    }
    address_deadline = now;
}

void Stack::Impl::handle_address_timeout(Instant now) {
    if (now < address_deadline) return;
    address_deadline = Instant::never();
    for (LocalAddress& l : routes.addresses()) {
        if (l.deadline <= now) address_due(l, now);
        address_deadline = std::min(address_deadline, l.deadline);
    }
}

/// The next step for one address: a probe, the verdict, an announcement, or the next attempt.
void Stack::Impl::address_due(LocalAddress& l, Instant now) {
    if (l.state() == AddressState::kDuplicate) {
        l.set_state(AddressState::kTentative);
        l.sent = 0;
    }
    if (asking(l)) {
        const bool v4 = l.ip.is_v4();
        if (l.sent < (v4 ? kProbes4 : kProbes6)) {
            l.sent++;
            l.deadline = now + (v4 ? kProbeInterval4 : kProbeInterval6);
            if (v4) send_arp(l.port, 1, kBroadcastMac.data(), IpAddress::v4(0), nullptr, l.ip);
            else send_neighbor_solicit(l.port, l.ip, IpAddress{}, nullptr);
            return;
        }
        l.sent = 0;
        decide(l, AddressState::kUsed, MacAddress{});
    }
    announce(l);
    l.deadline = ++l.sent < kAnnouncements ? now + kAnnounceInterval : Instant::never();
}

/// What was remembered about sources and routes is looked up again: connections find that an address is gone, or is back.
void Stack::Impl::set_address_state(LocalAddress& l, AddressState state, const MacAddress& claimant) {
    l.set_state(state, claimant);
    good_sources.clear();
    neighbors.forget_hints();
}

/// Sets the state and tells the other cores.
void Stack::Impl::decide(LocalAddress& l, AddressState state, const MacAddress& claimant) {
    set_address_state(l, state, claimant);
    if (!config.share_neighbors) return;
    NeighborUpdate update;
    update.ip = l.ip, update.mac = claimant, update.port = l.port;
    update.kind = NeighborUpdate::Kind::kDecided;
    update.state = state;
    updates.push(update);
}

/// Another host says that `l` is its own, or wants to know whether it may have it (`probe`).
void Stack::Impl::claimed(LocalAddress& l, const MacAddress& mac, bool probe, Instant now) {
    counters.address_claimed++;
    if (config.announce) {
        judge_claim(l, mac, probe, now);
    } else if (config.share_neighbors && claim_bucket.take(now, random)) {
        NeighborUpdate update;
        update.ip = l.ip, update.mac = mac, update.port = l.port, update.probe = probe;
        update.kind = NeighborUpdate::Kind::kClaimed;
        updates.push(update);
    }
}

void Stack::Impl::judge_claim(LocalAddress& l, const MacAddress& mac, bool probe, Instant now) {
    if (asking(l)) {   // RFC 5227 2.1.1, RFC 4862 5.4.3 and 5.4.4: taken, or about to be
        counters.address_duplicate++;
        decide(l, AddressState::kDuplicate, mac);
        l.deadline = now + kDuplicateRetry + Duration{static_cast<int64_t>(random.next() % kDuplicateRetryJitterUs)};
        address_deadline = std::min(address_deadline, l.deadline);
    } else if (l.usable() && !probe && now >= l.defend_after) {
        // RFC 5227 2.4 (c): a gateway keeps its address whatever is said, and says so once per interval.
        l.defend_after = now + kDefendInterval;
        announce(l);
    }
}

/// Tells the link who has the address: after a restart or a move, peers' caches are right at once.
void Stack::Impl::announce(const LocalAddress& l) {
    static constexpr MacAddress kAllNodesMac{0x33, 0x33, 0, 0, 0, 1};
    if (l.ip.is_v4()) send_arp(l.port, 1, kBroadcastMac.data(), l.ip, nullptr, l.ip);
    else send_neighbor_advert(l.port, kAllNodesMac.data(), all_nodes(), l.ip, false);
}

std::vector<AddressStatus> Stack::addresses() const {
    std::vector<AddressStatus> all;
    for (const LocalAddress& l : impl_->routes.locals()) {
        AddressStatus status{l.ip, l.port, l.state(), l.claimant()};
        all.push_back(status);
    }
    return all;
}

}  // namespace sluice::net
