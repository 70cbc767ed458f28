// libFuzzer target: frames into net::Stack. Input: a first byte of choices, then frames, each an exact-size heap buffer (ASan sees
// overreads), some cut into segments: (16-bit length, bytes) as they are, or mended so that they pass the first checks (addresses,
// lengths, checksums), or a fragment made of seven bytes, so that datagrams are put together and overlap. Everything the stack
// sends must be well formed, what comes out whole must hold what it says, and no mbuf may be lost.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/checksum.h"
#include "net/ip_headers.h"
#include "net/stack.h"
#include "tests/support/eal.h"

namespace {

using namespace sluice;
using namespace sluice::net;

rte_mbuf* make_frame(const uint8_t* data, size_t size, size_t segment) {
    rte_mbuf* head = nullptr;
    rte_mbuf* tail = nullptr;
    for (size_t at = 0; at < size || !head; at += segment) {
        const size_t n = size - at < segment ? size - at : segment;
        Slice slice = test::heap_slice(std::span(data + at, n));
        rte_mbuf* m = slice.segment();
        rte_mbuf_refcnt_update(m, 1);
        if (!head) head = m;
        else tail->next = m, head->nb_segs++, head->pkt_len += m->data_len;
        tail = m;
    }
    return head;
}

constexpr uint8_t kOurMac[6] = {2, 0, 0, 0, 0, 1};
constexpr uint8_t kOurs4[4] = {192, 0, 2, 10};
const IpAddress kOurs6 = *IpAddress::parse("2001:db8::10"), kPeer6 = *IpAddress::parse("2001:db8::7");

/// Puts right what random bytes never hit: our MAC, our address, lengths that fit, checksums.
void mend(std::vector<uint8_t>& f, bool tagged) {
    const size_t ip = tagged ? 18 : 14;
    if (f.size() < ip + 20) return;
    if (f[0] & 1) f[0] = 0xff;
    else std::memcpy(f.data(), kOurMac, 6);
    f[6] &= 0xfe;
    if (tagged) store_be16(&f[12], kEtherTypeVlan), store_be16(&f[14], 120);
    const size_t left = f.size() - ip;
    if (f[ip] & 0x20 && left >= 40) {
        store_be16(&f[ip - 2], kEtherTypeIpv6);
        f[ip] = 0x60;
        store_be16(&f[ip + 4], static_cast<uint16_t>(left - 40));
        std::memcpy(&f[ip + 8], kPeer6.bytes.data(), 15);
        if (f[ip + 24] != 0xff) std::memcpy(&f[ip + 24], kOurs6.bytes.data(), 16);
        if (f[ip + 6] == kProtocolIcmp6 && left >= 48) {
            const IpAddress source = IpAddress::v6(&f[ip + 8]), destination = IpAddress::v6(&f[ip + 24]);
            std::memset(&f[ip + 42], 0, 2);
            store_checksum(&f[ip + 42], checksum_finish(checksum_add(&f[ip + 40], left - 40,
                pseudo_header_sum(source, destination, kProtocolIcmp6, static_cast<uint32_t>(left - 40)))));
        }
        return;
    }
    store_be16(&f[ip - 2], kEtherTypeIpv4);
    size_t header = (f[ip] & 0xfu) * 4;
    if (header < 20 || header > left) header = 20;
    f[ip] = static_cast<uint8_t>(0x40 | header / 4);
    store_be16(&f[ip + 2], static_cast<uint16_t>(left));
    f[ip + 8] |= 1;
    const uint8_t peer[3] = {192, 0, 2};
    std::memcpy(&f[ip + 12], peer, 3);
    std::memcpy(&f[ip + 16], kOurs4, 4);
    if (f[ip + 9] == kProtocolIcmp && left >= header + 8) {
        std::memset(&f[ip + header + 2], 0, 2);
        store_checksum(&f[ip + header + 2], checksum_finish(checksum_add(&f[ip + header], left - header)));
    }
    std::memset(&f[ip + 10], 0, 2);
    store_checksum(&f[ip + 10], checksum_finish(checksum_add(&f[ip], header)));
}

/// A fragment out of seven bytes: family, protocol and more-to-come; source; id; offset; length; filler. Few ids: they meet.
std::vector<uint8_t> fragment(const uint8_t* d, bool tagged) {
    const bool v6 = d[0] & 1, more = d[0] & 2;
    static constexpr uint8_t kProtocols[] = {6, 6, 6, 6, 1, 58, 60, 17};
    const uint8_t protocol = kProtocols[d[0] >> 5];
    const size_t length = size_t{d[5]} * (d[0] & 4 ? 8 : 1), ip = tagged ? 18 : 14, header = v6 ? 48 : 20;
    std::vector<uint8_t> f(ip + header + length, d[6]);
    std::memset(f.data(), 0, ip + header);
    std::memcpy(f.data(), kOurMac, 6);
    f[6] = 2, f[11] = 2;
    const auto units = static_cast<uint16_t>((d[3] << 8 | d[4]) & 0x1fff);
    const uint16_t offset = d[0] & 8 ? units : units & 0x3f;
    if (length >= 20) f[ip + header + 12] = 0x50;   // a TCP header of 20 bytes
    if (v6) {
        f[ip] = 0x60;
        f[ip + 6] = 44, f[ip + 7] = 64;
        f[ip + 40] = protocol;
        store_be16(&f[ip + 42], static_cast<uint16_t>(offset << 3 | more));
        f[ip + 47] = d[2] & 3;
    } else {
        f[ip] = 0x45, f[ip + 5] = d[2] & 3, f[ip + 9] = protocol;
        store_be16(&f[ip + 6], static_cast<uint16_t>(offset | (more ? kIpv4MoreFragments : 0)));
    }
    const uint8_t source = d[1] & 1;
    mend(f, tagged);
    f[ip + (v6 ? 23 : 15)] = static_cast<uint8_t>(7 + source);
    if (!v6) {
        std::memset(&f[ip + 10], 0, 2);
        store_checksum(&f[ip + 10], checksum_finish(checksum_add(&f[ip], 20)));
    }
    return f;
}

/// What a datagram for the transport must be.
void check_datagram(const DatagramIn& d) {
    uint32_t bytes = 0;
    uint16_t segments = 0;
    for (const rte_mbuf* m = d.mbuf; m; m = m->next) bytes += m->data_len, segments++;
    if (bytes != d.mbuf->pkt_len || segments != d.mbuf->nb_segs) std::abort();
    if (d.payload_offset + uint32_t{d.payload_length} > d.mbuf->pkt_len || d.protocol != kProtocolTcp || d.is_fragment) std::abort();
}

void check_sent(Stack& stack) {
    rte_mbuf* m;
    while (stack.poll_transmit(0, &m, 1) == 1) {
        const uint16_t type = load_be16(rte_pktmbuf_mtod_offset(m, const uint8_t*, 12));
        if (type == kEtherTypeIpv4) {
            const auto* h = rte_pktmbuf_mtod_offset(m, const Ipv4Header*, 14);
            if (checksum_finish(checksum_add(h, 20)) != 0 || h->total_length.value() + 14u != m->pkt_len) std::abort();
        } else if (type == kEtherTypeIpv6) {
            const auto* h = rte_pktmbuf_mtod_offset(m, const Ipv6Header*, 14);
            if (h->payload_length.value() + 54u != m->pkt_len) std::abort();
        }
        rte_pktmbuf_free(m);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    test::test_eal();
    if (size < 1) return 0;
    const uint8_t choices = data[0];
    data++, size--;
    const unsigned before = rte_mempool_in_use_count(test::test_mempool());
    {
        StackConfig config;
        PortConfig port;
        port.mac = {2, 0, 0, 0, 0, 1};
        port.addresses = {*IpPrefix::parse("192.0.2.10/24"), *IpPrefix::parse("2001:db8::10/64")};
        port.routes = {{*IpPrefix::parse("0.0.0.0/0"), *IpAddress::parse("192.0.2.1")},
                       {*IpPrefix::parse("::/0"), *IpAddress::parse("2001:db8::1")}};
        const bool tagged = choices & 1;
        port.vlan = tagged ? 120 : 0;
        port.multi_segment = (choices & 2) != 0;
        config.ports = {port};
        config.neighbors_max = 16;
        config.pending_packets_max = 8;
        config.transmit_queue_frames = 64;
        config.reassembly_datagrams_max = 4;
        config.reassembly_fragments_max = 8;
        config.share_fragments = config.share_neighbors = (choices & 8) != 0;
        Stack stack(config, test::test_mempool());
        const size_t segment = choices & 4 ? 64 + (choices >> 4) : 65535;
        Instant now{1'000'000};
        while (size >= 2) {
            const uint16_t word = load_be16(data);
            data += 2, size -= 2;
            std::vector<uint8_t> bytes;
            if (word & 0x8000) {
                if (size < 7) break;
                bytes = fragment(data, tagged);
                data += 7, size -= 7;
            } else {
                const size_t n = std::min<size_t>(word % 2048, size);
                bytes.assign(data, data + n);
                data += n, size -= n;
                if (word & 0x4000) mend(bytes, tagged);
            }
            DatagramIn d;
            Verdict verdict = stack.handle_frame(make_frame(bytes.data(), bytes.size(), segment), 0, now, d);
            if (verdict == Verdict::kFragment) verdict = stack.handle_fragment(d, now);
            switch (verdict) {
                case Verdict::kTransport: check_datagram(d); [[fallthrough]];
                case Verdict::kException:
                    stack.send_port_unreachable(d, now);
                    rte_pktmbuf_free(d.mbuf);
                    break;
                case Verdict::kConsumed: break;
                case Verdict::kFragment: std::abort();
            }
            IcmpError error;
            while (stack.poll_icmp_error(error)) stack.update_path_mtu(error.tuple.remote.ip, error.path_mtu, now);
            NeighborUpdate update;
            while (stack.poll_neighbor_update(update)) stack.handle_neighbor_update(update, now);
            check_sent(stack);
            now = now + (word & 0x2000 ? seconds(31) : milliseconds(100));
            if (stack.poll_timeout() <= now) stack.handle_timeout(now);
            check_sent(stack);
        }
    }
    if (rte_mempool_in_use_count(test::test_mempool()) != before) std::abort();
    return 0;
}
