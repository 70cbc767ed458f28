// Neighbor Discovery: answers solicitations for our addresses, learns from advertisements, asks and announces.
// In: ICMPv6 messages of types 133-137, checksum verified. Out: frames queued on the port. Routers are configured, so router
// advertisements and redirects are ignored: neither can be trusted on an open link. RFC 4861 7, RFC 4291 2.7.1, RFC 4429.
#include <cstring>

#include "base/checksum.h"
#include "net/impl.h"

namespace sluice::net {

namespace {
constexpr uint8_t kOptionSourceLink = 1, kOptionTargetLink = 2;
constexpr uint8_t kNdHopLimit = 255;
constexpr uint32_t kNdMessageBytes = 24;              // ICMP header with flags, and the target
constexpr uint32_t kLinkOptionBytes = 8;
constexpr uint32_t kFlagSolicited = 0x40000000, kFlagOverride = 0x20000000;

/// The link-layer address option of `type`; false if the options are malformed (RFC 4861 7.1.1). `mac` is null if absent.
bool find_link_option(const uint8_t* options, uint32_t length, uint8_t type, const uint8_t*& mac) {
    mac = nullptr;
    while (length > 0) {
        if (length < 8 || options[1] == 0 || options[1] * 8u > length) return false;
        if (options[0] == type && options[1] == 1) mac = options + 2;
        length -= options[1] * 8u;
        options += options[1] * 8u;
    }
    return true;
}

/// ff02::1:ffXX:XXXX and others -> 33:33 and the last four bytes (RFC 2464 7).
MacAddress multicast_mac(const IpAddress& a) {
    return {0x33, 0x33, a.bytes[12], a.bytes[13], a.bytes[14], a.bytes[15]};
}

void write_header(rte_mbuf* m, const IpAddress& source, const IpAddress& destination) {
    const auto length = static_cast<uint16_t>(m->pkt_len);
    auto* icmp = rte_pktmbuf_mtod(m, uint8_t*);
    store_checksum(icmp + 2, checksum_finish(
        checksum_add(icmp, length, pseudo_header_sum(source, destination, kProtocolIcmp6, length))));
    auto* h = reinterpret_cast<Ipv6Header*>(rte_pktmbuf_prepend(m, sizeof(Ipv6Header)));
    h->version_class_flow = be32_t(0x60000000);
    h->payload_length = be16_t(length);
    h->next_header = kProtocolIcmp6;
    h->hop_limit = kNdHopLimit;
    std::memcpy(h->source, source.bytes.data(), 16);
    std::memcpy(h->destination, destination.bytes.data(), 16);
}
}  // namespace

void Stack::Impl::handle_neighbor_discovery(const DatagramIn& d, uint8_t hop_limit, Instant now) {
    counters.nd_rx++;
    const auto* message = rte_pktmbuf_mtod_offset(d.mbuf, const uint8_t*, d.payload_offset);
    const uint8_t type = message[0];
    if (type != kIcmp6NeighborSolicit && type != kIcmp6NeighborAdvert) {
        counters.nd_router_ignored++;
        return;
    }
    // RFC 4861 7.1: hop limit 255 proves that it comes from this link. All of it lies in the first mbuf or is dropped.
    if (hop_limit != kNdHopLimit || message[1] != 0 || d.payload_length < kNdMessageBytes ||
        d.payload_offset + d.payload_length > d.mbuf->data_len) {
        counters.nd_bad++;
        return;
    }
    const IpAddress target = IpAddress::v6(message + 8);
    const uint8_t* mac = nullptr;
    const bool is_solicit = type == kIcmp6NeighborSolicit;
    if (target.is_multicast() || target.is_v4() ||
        !find_link_option(message + kNdMessageBytes, d.payload_length - kNdMessageBytes,
                          is_solicit ? kOptionSourceLink : kOptionTargetLink, mac) ||
        (mac && (is_group_mac(mac) || is_zero_mac(mac)))) {
        counters.nd_bad++;
        return;
    }
    const auto* link = rte_pktmbuf_mtod(d.mbuf, const EthernetHeader*);
    if (std::memcmp(link->source, ports[d.port].config.mac.data(), 6) == 0) return;   // our own frame came back (RFC 7527)
    if (is_solicit) neighbor_solicited(d, target, mac, now);
    else neighbor_advertised(d, target, mac, load_be32(message + 4), now);
}

void Stack::Impl::neighbor_solicited(const DatagramIn& d, const IpAddress& target, const uint8_t* mac, Instant now) {
    const auto* link = rte_pktmbuf_mtod(d.mbuf, const EthernetHeader*);
    const bool probe = d.source.is_unspecified();
    if (probe && (mac || !d.destination.is_multicast())) {
        counters.nd_bad++;
        return;
    }
    LocalAddress* ours = routes.local_on(target, d.port);
    if (!ours) return;
    if (probe) {   // RFC 4862 5.4.3: somebody wants the address; it is taken if it is ours for good
        MacAddress claimant;
        std::memcpy(claimant.data(), link->source, 6);
        claimed(*ours, claimant, true, now);
        if (ours->state() != AddressState::kUsed) return;
    } else if (!routes.on_link(d.source, d.port)) {
        counters.neighbor_off_link++;
        return;
    } else if (mac) {
        MacAddress address;
        std::memcpy(address.data(), mac, 6);
        heard(d.port, d.source, address, false, true, now);
    }
    if (!ours->usable()) return;
    if (!answer_bucket.take(now, random)) {
        counters.neighbor_answer_limited++;
        return;
    }
    if (probe) send_neighbor_advert(d.port, multicast_mac(all_nodes()).data(), all_nodes(), target, false);
    // The answer goes back to the station that asked, without an entry for it.
    else send_neighbor_advert(d.port, mac ? mac : link->source, d.source, target, true);
}

void Stack::Impl::neighbor_advertised(const DatagramIn& d, const IpAddress& target, const uint8_t* mac, uint32_t flags, Instant now) {
    const bool solicited = (flags & kFlagSolicited) != 0;
    if (solicited && d.destination.is_multicast()) {  // RFC 4861 7.1.2
        counters.nd_bad++;
        return;
    }
    MacAddress address;
    std::memcpy(address.data(), mac ? mac : rte_pktmbuf_mtod(d.mbuf, const EthernetHeader*)->source, 6);
    if (const LocalAddress* ours = routes.local(target)) {
        if (ours->port == d.port) claimed(*routes.local_on(target, d.port), address, false, now);
        else counters.address_claimed++;
        if (ours->usable()) return;   // else the sender has it, and is a neighbour like others
    }
    if (routes.is_ours(d.source)) {   // let in for what it says of our own address, and of nothing else
        counters.nd_bad++;
        return;
    }
    if (!mac) return;
    if (!routes.on_link(target, d.port)) {
        counters.neighbor_off_link++;
        return;
    }
    heard(d.port, target, address, solicited, (flags & kFlagOverride) != 0, now);
}

void Stack::Impl::send_neighbor_solicit(uint8_t port, const IpAddress& target, const IpAddress& source,
                                        const uint8_t* link_destination) {
    // From no address (RFC 4862 5.4.2), or from one in doubt (RFC 4429 3.2): nobody shall learn our MAC for it.
    const LocalAddress* local = routes.local(source);
    const bool with_option = local && local->state() == AddressState::kUsed;
    const uint32_t bytes = kNdMessageBytes + (with_option ? kLinkOptionBytes : 0);
    rte_mbuf* m = make_packet(static_cast<uint16_t>(bytes));
    if (!m) return;
    auto* p = rte_pktmbuf_mtod(m, uint8_t*);
    std::memset(p, 0, bytes);
    p[0] = kIcmp6NeighborSolicit;
    std::memcpy(p + 8, target.bytes.data(), 16);
    if (with_option) {
        p[24] = kOptionSourceLink, p[25] = 1;
        std::memcpy(p + 26, ports[port].config.mac.data(), 6);
    }
    const IpAddress destination = link_destination ? target : solicited_node(target);
    write_header(m, source, destination);
    if (emit(m, port, link_destination ? link_destination : multicast_mac(destination).data(), kEtherTypeIpv6)) counters.nd_tx++;
}

void Stack::Impl::send_neighbor_advert(uint8_t port, const uint8_t* link_destination, const IpAddress& destination,
                                       const IpAddress& target, bool solicited) {
    rte_mbuf* m = make_packet(kNdMessageBytes + kLinkOptionBytes);
    if (!m) return;
    auto* p = rte_pktmbuf_mtod(m, uint8_t*);
    std::memset(p, 0, kNdMessageBytes + kLinkOptionBytes);
    p[0] = kIcmp6NeighborAdvert;
    const LocalAddress* local = routes.local(target);
    const bool in_doubt = local && local->state() == AddressState::kOptimistic;   // RFC 4429 3.3: takes nobody's place
    store_be32(p + 4, (solicited ? kFlagSolicited : 0) | (in_doubt ? 0 : kFlagOverride));
    std::memcpy(p + 8, target.bytes.data(), 16);
    p[24] = kOptionTargetLink, p[25] = 1;
    std::memcpy(p + 26, ports[port].config.mac.data(), 6);
    write_header(m, target, destination);
    if (emit(m, port, link_destination, kEtherTypeIpv6)) counters.nd_tx++;
}

}  // namespace sluice::net
