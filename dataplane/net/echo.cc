// Echo, of both families: the request becomes its reply in the same mbuf; one that fits no packet of its way goes back in fragments, so
// that an operator may ask with packets of any size. In: requests whose checksum is verified. Out: frames queued, at a limited rate.
// Takes the mbuf over. RFC 1122 3.2.2.6, RFC 4443 4.2, RFC 1624 (checksum), RFC 791 3.2 and RFC 8200 4.5 (fragments out).
#include <algorithm>
#include <cstring>

#include "base/checksum.h"
#include "net/impl.h"

namespace sluice::net {

namespace {
constexpr uint8_t kFragmentHeader = 44;
constexpr uint32_t kFragmentHeaderBytes = 8;

/// Turns the type at the message's begin into `type`. RFC 1624: HC' = ~(~HC + ~m + m'); for ICMPv6 the pseudo-header is symmetric
/// in the addresses.
void set_type(uint8_t* message, uint8_t type) {
    uint16_t sum;
    std::memcpy(&sum, message + 2, 2);
    const uint16_t before = message[0];   // type is the low byte in memory order, code the high one (0)
    message[0] = type;
    sum = checksum_finish(uint64_t{static_cast<uint16_t>(~sum)} + static_cast<uint16_t>(~before) + type);
    store_checksum(message + 2, sum == 0 ? uint16_t{0xffff} : sum);  // an all-zero message sums to +0: only 0xffff is right for both
}

/// Cuts link padding off the end. False: it is longer than the last segment, or somebody else holds the mbuf, too.
bool trim(rte_mbuf* m, uint32_t bytes) {
    if (rte_mbuf_refcnt_read(m) != 1 || bytes > rte_pktmbuf_lastseg(m)->data_len) return false;
    rte_pktmbuf_trim(m, static_cast<uint16_t>(bytes));
    return true;
}
}  // namespace

void Stack::Impl::echo_reply(DatagramIn& d, uint8_t reply_type, Instant now) {
    rte_mbuf* m = d.mbuf;
    if (!echo_bucket.take(now, random)) {
        drop(m, counters.echo_rate_limited);
        return;
    }
    const RouteEntry* route = routes.find(d.source, d.destination);
    if (!route) {
        drop(m, counters.no_route);
        return;
    }
    if (!trim(m, m->pkt_len - d.payload_offset - d.payload_length)) {
        drop(m, counters.rx_bad_ip);
        return;
    }
    rte_pktmbuf_adj(m, d.payload_offset);
    m->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
    set_type(rte_pktmbuf_mtod(m, uint8_t*), reply_type);
    DatagramOut out;
    out.source = d.destination;
    out.destination = d.source;
    out.mbuf = m;
    out.protocol = d.protocol;
    out.checksum_complete = true;
    const PortConfig& port = ports[route->port].config;
    const uint16_t learnt = path_mtu.find(d.source, now).mtu;
    const uint32_t mtu = learnt != 0 ? std::min(learnt, port.mtu) : port.mtu;
    const uint32_t header = d.source.is_v4() ? sizeof(Ipv4Header) : sizeof(Ipv6Header);
    const bool fits = m->pkt_len + header <= mtu;
    if (!fits || (m->next && !port.multi_segment)) send_in_parts(out, mtu, now);
    else if (output(out, now, config.hop_limit, false)) counters.icmp_tx++;
}

/// A message that does not fit one packet, or lies in a chain that the port cannot send: copied into packets that do.
void Stack::Impl::send_in_parts(DatagramOut& whole, uint32_t mtu, Instant now) {
    const bool v4 = whole.destination.is_v4();
    const uint32_t length = whole.mbuf->pkt_len, header = v4 ? sizeof(Ipv4Header) : sizeof(Ipv6Header);
    const bool cut = length + header > mtu;
    const uint32_t skip = cut && !v4 ? kFragmentHeaderBytes : 0;
    const uint32_t room = cut ? (mtu - header - skip) & ~7u : length;
    const uint64_t id = random.next();   // RFC 7739: not to be guessed
    bool sent = true;
    for (uint32_t at = 0; at < length && sent; at += room) {
        const uint32_t n = std::min(room, length - at);
        const bool more = at + n < length;
        DatagramOut part;
        part.source = whole.source;
        part.destination = whole.destination;
        part.protocol = skip ? kFragmentHeader : whole.protocol;
        part.checksum_complete = true;
        part.mbuf = make_packet(static_cast<uint16_t>(skip + n));
        if (!part.mbuf) break;
        auto* p = rte_pktmbuf_mtod(part.mbuf, uint8_t*);
        if (skip) {
            p[0] = whole.protocol, p[1] = 0;
            store_be16(p + 2, static_cast<uint16_t>(at | more));
            store_be32(p + 4, static_cast<uint32_t>(id));
        }
        if (const void* from = rte_pktmbuf_read(whole.mbuf, at, n, p + skip); from != p + skip) std::memcpy(p + skip, from, n);
        const auto field = static_cast<uint16_t>(at / 8 | (more ? kIpv4MoreFragments : 0));
        sent = output_packet(part, now, config.hop_limit, field, static_cast<uint16_t>(id));
    }
    if (sent) counters.icmp_tx++;
    rte_pktmbuf_free(whole.mbuf);
}

}  // namespace sluice::net
