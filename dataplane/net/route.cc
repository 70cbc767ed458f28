// Building and searching the route table (see route.h). A gateway has a handful of routes and looks one up per connection,
// not per packet (DatagramOut::route_hint), so a sorted list is enough.
#include "net/route.h"

#include <algorithm>
#include <bit>

#include "net/ip_headers.h"

namespace sluice::net {

RouteTable::RouteTable(std::span<const PortConfig> ports) {
    for (uint8_t p = 0; p < ports.size(); p++) {
        for (const IpPrefix& a : ports[p].addresses) {
            LocalAddress& l = locals_.emplace_back();
            l.ip = a.address, l.prefix_length = a.length, l.port = p;
            (a.address.is_v4() ? v4_ : v6_).push_back({a, {}, p, true});
        }
        for (const PortConfig::Route& r : ports[p].routes) {
            const bool on_link = r.via.is_unspecified();
            (r.to.address.is_v4() ? v4_ : v6_).push_back({r.to, r.via, p, on_link});
        }
    }
    const auto longest_first = [](const RouteEntry& a, const RouteEntry& b) { return a.to.length > b.to.length; };
    std::stable_sort(v4_.begin(), v4_.end(), longest_first);
    std::stable_sort(v6_.begin(), v6_.end(), longest_first);
}

const LocalAddress* RouteTable::local(const IpAddress& address) const {
    for (const LocalAddress& l : locals_)
        if (l.ip == address) return &l;
    return nullptr;
}

bool RouteTable::is_ours(const IpAddress& address) const {
    const LocalAddress* l = local(address);
    return l && l->usable();
}

LocalAddress* RouteTable::local_on(const IpAddress& address, uint8_t port) {
    for (LocalAddress& l : locals_)
        if (l.ip == address && l.port == port) return &l;
    return nullptr;
}

bool RouteTable::reachable(const IpAddress& source, uint8_t port, bool strict) const {
    const RouteEntry* best = nullptr;
    for (const RouteEntry& r : source.is_v4() ? v4_ : v6_) {
        if (best && r.to.length < best->to.length) break;
        if (!r.to.contains(source)) continue;
        if (!strict || r.port == port) return true;
        best = &r;
    }
    return false;
}

const RouteEntry* RouteTable::find(const IpAddress& destination, const IpAddress& source) const {
    if (destination.is_multicast() || destination.is_unspecified() || is_ours(destination)) return nullptr;
    const LocalAddress* from = source.is_unspecified() ? nullptr : local(source);
    if (from && !from->usable()) return nullptr;
    const RouteEntry* best = nullptr;
    for (const RouteEntry& r : destination.is_v4() ? v4_ : v6_) {
        if (best && r.to.length < best->to.length) break;
        if (!r.to.contains(destination)) continue;
        if (!from || r.port == from->port) return &r;
        if (!best) best = &r;
    }
    // Link-local addresses mean one link: another port's route cannot be right (RFC 4007 6).
    if (best && from && is_link_local(destination)) return nullptr;
    return best;
}

namespace {
/// Leading bits that both have.
int common_bits(const IpAddress& a, const IpAddress& b) {
    for (int i = 0; i < 16; i++)
        if (a.bytes[i] != b.bytes[i]) return 8 * i + std::countl_zero(static_cast<uint8_t>(a.bytes[i] ^ b.bytes[i]));
    return 128;
}
}  // namespace

const LocalAddress* RouteTable::choose_source(const RouteEntry& route, const IpAddress& destination) const {
    const bool v4 = destination.is_v4();
    const IpAddress& hop = route.next_hop(destination);
    const LocalAddress* best = nullptr;
    int best_match = -1;
    for (const LocalAddress& l : locals_) {
        if (l.port != route.port || l.ip.is_v4() != v4 || !l.usable()) continue;
        if (!v4 && is_link_local(l.ip) != is_link_local(destination)) continue;   // rule 2: the same scope
        // Rule 8 looks at the network's part only: common bits of interface identifiers mean nothing.
        const int match = v4 ? (IpPrefix{l.ip, l.prefix_length}.contains(hop) ? l.prefix_length : 0)
                             : std::min<int>(common_bits(l.ip, destination), l.prefix_length);
        if (match > best_match) best = &l, best_match = match;
    }
    return best;
}

bool RouteTable::on_link(const IpAddress& address, uint8_t port) const {
    for (const RouteEntry& r : address.is_v4() ? v4_ : v6_)
        if (r.on_link && r.port == port && r.to.contains(address)) return true;
    return false;
}

bool RouteTable::spoofed(const IpAddress& source, uint8_t port) const {
    bool elsewhere = false;
    for (const LocalAddress& l : locals_) {
        if (!IpPrefix{l.ip, l.prefix_length}.contains(source)) continue;
        if (l.port == port) return false;
        elsewhere = true;
    }
    return elsewhere;
}

bool RouteTable::is_broadcast(const IpAddress& address) const {
    if (!address.is_v4()) return false;
    const uint32_t value = address.v4_value();
    if (value == 0xffffffff) return true;
    for (const LocalAddress& l : locals_) {
        if (!l.ip.is_v4() || l.prefix_length >= 31) continue;  // RFC 3021: a /31 has no broadcast
        const uint32_t host_bits = l.prefix_length == 0 ? 0xffffffff : 0xffffffffu >> l.prefix_length;
        if ((value | host_bits) == value && ((value ^ l.ip.v4_value()) & ~host_bits) == 0) return true;
    }
    return false;
}

}  // namespace sluice::net
