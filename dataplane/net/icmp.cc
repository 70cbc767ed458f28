// ICMP and ICMPv6: what comes in is told apart (echo.cc answers echo), errors about our segments validated and handed up, errors of
// our own rate limited.
// In: datagrams whose IP headers were validated. Out: frames queued, IcmpError entries. Frees what it does not reuse.
// RFC 792, RFC 4443, RFC 1122 3.2.2, RFC 1812 4.3.2.7 (when not to send), RFC 1191, RFC 8201, RFC 5927.
#include <algorithm>
#include <cstring>

#include "base/checksum.h"
#include "net/impl.h"

namespace sluice::net {

namespace {
constexpr uint32_t kQuote4Bytes = 548, kQuote6Bytes = 1232;   // an error of at most 576 and 1,280 bytes
constexpr uint32_t kQuotedTransportBytes = 8;                 // ports and sequence (RFC 792)
constexpr int kQuotedExtensionsMax = 4;

/// The ICMP message as one span, if it lies in the first mbuf.
const uint8_t* contiguous(const DatagramIn& d, uint32_t bytes) {
    if (d.payload_length < bytes || d.payload_offset + bytes > d.mbuf->data_len) return nullptr;
    return rte_pktmbuf_mtod_offset(d.mbuf, const uint8_t*, d.payload_offset);
}
}  // namespace

void Stack::Impl::handle_icmp4(DatagramIn& d, Instant now) {
    const uint8_t* p = contiguous(d, sizeof(IcmpHeader));
    if (!p) {
        drop(d.mbuf, counters.rx_bad_ip);
        return;
    }
    if (checksum_finish(checksum_add_mbuf(d.mbuf, d.payload_offset, d.payload_length, 0)) != 0) {
        drop(d.mbuf, counters.rx_bad_checksum);
        return;
    }
    counters.icmp_rx++;
    const uint8_t type = p[0], code = p[1];
    using Kind = IcmpError::Kind;
    if (type == kIcmpEcho && code == 0) {
        echo_reply(d, kIcmpEchoReply, now);
        return;
    }
    if (type == kIcmpUnreachable) {
        switch (code) {  // RFC 1122 3.2.2.1
            case 0: case 6: case 8: case 11: quoted_error(d, Kind::kNetUnreachable, 0); break;
            case 1: case 5: case 7: case 12: quoted_error(d, Kind::kHostUnreachable, 0); break;
            case 2: case 3: quoted_error(d, Kind::kPortUnreachable, 0); break;
            case 4: quoted_error(d, Kind::kFragmentationNeeded, load_be16(p + 6)); break;
            case 9: case 10: case 13: quoted_error(d, Kind::kProhibited, 0); break;
            default: break;
        }
    } else if (type == kIcmpTimeExceeded) {
        quoted_error(d, Kind::kTimeExceeded, 0);
    } else if (type == kIcmpRedirect) {
        counters.icmp_redirect_ignored++;   // routes are configured: nobody on the link may bend them (RFC 6274 3.15)
    }
    rte_pktmbuf_free(d.mbuf);
}

void Stack::Impl::handle_icmp6(DatagramIn& d, uint8_t hop_limit, Instant now) {
    const uint8_t* p = contiguous(d, sizeof(IcmpHeader));
    if (!p) {
        drop(d.mbuf, counters.rx_bad_ip);
        return;
    }
    const uint64_t pseudo = pseudo_header_sum(d.source, d.destination, kProtocolIcmp6, d.payload_length);
    if (checksum_finish(checksum_add_mbuf(d.mbuf, d.payload_offset, d.payload_length, pseudo)) != 0) {
        drop(d.mbuf, counters.rx_bad_checksum);
        return;
    }
    counters.icmp_rx++;
    const uint8_t type = p[0], code = p[1];
    using Kind = IcmpError::Kind;
    if (type == kIcmp6Redirect) {
        counters.icmp_redirect_ignored++;
    } else if (type >= kIcmp6RouterSolicit && type < kIcmp6Redirect) {
        if (ports[d.port].config.link_layer) handle_neighbor_discovery(d, hop_limit, now);
    } else if (type == kIcmp6Echo && code == 0) {
        // A group is not answered: the asker would choose how much we amplify.
        if (!d.source.is_unspecified() && !d.destination.is_multicast()) {
            echo_reply(d, kIcmp6EchoReply, now);
            return;
        }
    } else if (type == kIcmp6Unreachable) {
        switch (code) {  // RFC 4443 3.1
            case 0: quoted_error(d, Kind::kNetUnreachable, 0); break;
            case 1: case 5: case 6: quoted_error(d, Kind::kProhibited, 0); break;
            case 2: case 3: quoted_error(d, Kind::kHostUnreachable, 0); break;
            case 4: quoted_error(d, Kind::kPortUnreachable, 0); break;
            default: break;
        }
    } else if (type == kIcmp6PacketTooBig) {
        quoted_error(d, Kind::kFragmentationNeeded, static_cast<uint16_t>(std::min(load_be32(p + 4), 65535u)));
    } else if (type == kIcmp6TimeExceeded) {
        quoted_error(d, Kind::kTimeExceeded, 0);
    } else if (type == kIcmp6ParameterProblem && code == 1) {
        quoted_error(d, Kind::kPortUnreachable, 0);  // next header unknown there: no TCP
    }
    rte_pktmbuf_free(d.mbuf);
}

/// Reads the IP and TCP headers that an error quotes. Only a segment that we could have sent passes.
bool Stack::Impl::parse_quoted(const uint8_t* packet, uint32_t length, IcmpError& out) const {
    if (length < 1) return false;
    uint32_t offset;
    uint8_t protocol;
    if (packet[0] >> 4 == 4) {
        if (length < sizeof(Ipv4Header)) return false;
        const auto* h = reinterpret_cast<const Ipv4Header*>(packet);
        offset = (h->version_ihl & 0xfu) * 4;
        if (offset < sizeof *h || (h->fragment.value() & kIpv4OffsetMask) != 0) return false;
        protocol = h->protocol;
        out.tuple.local.ip = ip_from_v4(h->source);
        out.tuple.remote.ip = ip_from_v4(h->destination);
    } else if (packet[0] >> 4 == 6) {
        if (length < sizeof(Ipv6Header)) return false;
        const auto* h = reinterpret_cast<const Ipv6Header*>(packet);
        offset = sizeof *h;
        protocol = h->next_header;
        out.tuple.local.ip = IpAddress::v6(h->source);
        out.tuple.remote.ip = IpAddress::v6(h->destination);
        if (out.tuple.local.ip.is_v4() || out.tuple.remote.ip.is_v4()) return false;
    } else {
        return false;
    }
    // We send no extension headers, so whatever quotes one does not quote us.
    if (protocol != kProtocolTcp || offset + kQuotedTransportBytes > length || !routes.local(out.tuple.local.ip)) return false;
    out.tuple.local.port = load_be16(packet + offset);
    out.tuple.remote.port = load_be16(packet + offset + 2);
    out.sequence = load_be32(packet + offset + 4);
    return true;
}

void Stack::Impl::quoted_error(const DatagramIn& d, IcmpError::Kind kind, uint16_t mtu) {
    const uint32_t start = d.payload_offset + uint32_t{sizeof(IcmpHeader)};
    const uint32_t end = std::min<uint32_t>(d.payload_offset + d.payload_length, d.mbuf->data_len);
    if (end <= start) return;
    IcmpError error;
    const bool v4 = d.source.is_v4();
    if (!parse_quoted(rte_pktmbuf_mtod_offset(d.mbuf, const uint8_t*, start), end - start, error) ||
        error.tuple.local.ip.is_v4() != v4 || error.tuple.local.ip != d.destination) {
        counters.icmp_bad_quote++;
        return;
    }
    error.kind = kind;
    if (kind == IcmpError::Kind::kFragmentationNeeded && mtu != 0)
        error.path_mtu = std::max(mtu, v4 ? kIpv4MinMtu : kIpv6MinMtu);
    if (!errors.push(error)) counters.icmp_error_dropped++;  // the peer will be told again
}

/// Our own finding about a frame we made ourselves (link header included, unless `port` has none).
void Stack::Impl::local_error(const rte_mbuf* frame, uint8_t port, IcmpError::Kind kind) {
    const uint32_t skip = ports[port].link_header_bytes;
    IcmpError error;
    if (frame->data_len <= skip ||
        !parse_quoted(rte_pktmbuf_mtod_offset(frame, const uint8_t*, skip), frame->data_len - skip, error))
        return;
    error.kind = kind;
    if (!errors.push(error)) counters.icmp_error_dropped++;
}

/// Sends an error about `d`, unless the RFCs forbid it or too many went out. `about_groups`: also if it went to a group
/// (RFC 4443 2.4 (e.3)), from the address that a packet to its sender would have.
void Stack::Impl::send_error(const DatagramIn& d, uint8_t type, uint8_t code, uint32_t rest, Instant now, bool about_groups) {
    const bool to_group = d.destination.is_multicast();
    if ((to_group && !about_groups) || routes.is_broadcast(d.destination) || d.source.is_unspecified() ||
        d.protocol == kProtocolIcmp || d.protocol == kProtocolIcmp6)
        return;
    IpAddress source = d.destination;
    if (to_group) {
        const RouteEntry* route = routes.find(d.source, {});
        const LocalAddress* local = route ? routes.choose_source(*route, d.source) : nullptr;
        if (!local) return;
        source = local->ip;
    }
    if (!error_bucket.take(now, random)) {
        counters.icmp_rate_limited++;
        return;
    }
    const bool v4 = d.destination.is_v4();
    const uint32_t ip_start = d.mbuf->l2_len;
    const uint32_t packet = d.payload_offset - ip_start + d.payload_length;
    const uint32_t quote = std::min({packet, v4 ? kQuote4Bytes : kQuote6Bytes, d.mbuf->data_len - ip_start});
    rte_mbuf* m = make_packet(static_cast<uint16_t>(sizeof(IcmpHeader) + quote));
    if (!m) return;
    auto* p = rte_pktmbuf_mtod(m, uint8_t*);
    p[0] = type, p[1] = code, p[2] = 0, p[3] = 0;
    store_be32(p + 4, rest);
    std::memcpy(p + 8, rte_pktmbuf_mtod_offset(d.mbuf, const uint8_t*, ip_start), quote);
    const uint64_t pseudo =
        v4 ? 0 : pseudo_header_sum(source, d.source, kProtocolIcmp6, static_cast<uint32_t>(m->pkt_len));
    store_checksum(p + 2, checksum_finish(checksum_add(p, m->pkt_len, pseudo)));
    DatagramOut out;
    out.source = source;
    out.destination = d.source;
    out.mbuf = m;
    out.protocol = v4 ? kProtocolIcmp : kProtocolIcmp6;
    out.checksum_complete = true;
    if (output(out, now, config.hop_limit, false)) counters.icmp_tx++;
}

}  // namespace sluice::net
