// Packets in and out of a simulated host. See host.h.
#include "tests/sim/host.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/checksum.h"
#include "base/endian.h"
#include "tests/support/eal.h"

namespace sluice::sim {

Host::Host(const HostConfig& config, Rng rng)
    : config_(config), rng_(rng), nodes_(config.nodes) {
    if (!config_.pool) config_.pool = test::test_mempool();
    stack_ = std::make_unique<tcp::Stack>(config.tcp, config_.pool, nodes_, *this);
}

std::optional<net::RouteInfo> Host::route(const IpAddress&, const IpAddress&) {
    net::RouteInfo route;
    route.source = config_.address;
    route.mtu = config_.mtu;
    route.tx_checksum = config_.tx_checksum;
    route.multi_segment = config_.multi_segment;
    route.tso = config_.tso;
    return route;
}

void Host::deliver(const Packet& packet, Instant now) {
    if (packet.told_mtu != 0) return told(packet, now);
    if (rng_.chance(config_.memory_fault)) return;
    rte_mbuf* head = rte_pktmbuf_alloc(config_.pool);
    if (!head) return;
    const uint16_t ip_bytes = 20;
    const auto total = static_cast<uint32_t>(packet.bytes.size());
    std::memset(rte_pktmbuf_append(head, ip_bytes), 0, ip_bytes);
    rte_mbuf* tail = head;
    for (uint32_t at = 0; at < total;) {
        uint32_t n = std::min<uint32_t>(total - at, rte_pktmbuf_tailroom(tail));
        if (config_.chained_receive && at >= 60) n = static_cast<uint32_t>(rng_.between(1, n));
        else if (config_.chained_receive) n = std::min<uint32_t>(n, 60);
        std::memcpy(rte_pktmbuf_append(tail, static_cast<uint16_t>(n)), packet.bytes.data() + at, n);
        if (tail != head) head->pkt_len += n;
        at += n;
        if (at < total && (config_.chained_receive || rte_pktmbuf_tailroom(tail) == 0)) {
            rte_mbuf* more = rte_pktmbuf_alloc(config_.pool);
            if (!more) return rte_pktmbuf_free(head);
            tail->next = more;
            tail = more;
            head->nb_segs++;
        }
    }
    net::DatagramIn in;
    in.source = packet.source;
    in.destination = packet.destination;
    in.mbuf = head;
    in.payload_offset = ip_bytes;
    in.payload_length = static_cast<uint16_t>(total);
    in.protocol = net::kProtocolTcp;
    in.ecn = packet.ecn;
    const uint64_t bad = stack_->counters().bad_checksum + stack_->counters().bad_header;
    if (!stack_->handle_segment(in, now)) {
        rejected_++;
        stack_->reject(in, now);
        rte_pktmbuf_free(in.mbuf);
    }
    if (packet.damaged && stack_->counters().bad_checksum + stack_->counters().bad_header == bad) damaged_accepted_++;
}

/// "Fragmentation needed": it quotes the first bytes of what we had sent.
void Host::told(const Packet& packet, Instant now) {
    net::IcmpError error;
    error.kind = net::IcmpError::Kind::kFragmentationNeeded;
    error.tuple = {{packet.source, load_be16(packet.bytes.data())}, {packet.destination, load_be16(packet.bytes.data() + 2)}};
    error.sequence = load_be32(packet.bytes.data() + 4);
    error.path_mtu = packet.told_mtu;
    stack_->handle_icmp_error(error, now);
}

uint32_t Host::transmit(PacketSink& wire, Instant now) {
    net::DatagramOut out;
    uint32_t sent = 0;
    for (; stack_->poll_transmit(out, now); sent++) finish_and_send(out, wire, now);
    return sent;
}

void Host::finish_and_send(net::DatagramOut& out, PacketSink& wire, Instant now) {
    std::vector<uint8_t> bytes(out.mbuf->pkt_len);
    uint32_t at = 0, segments = 0;
    for (const rte_mbuf* m = out.mbuf; m; m = m->next, segments++) {
        std::memcpy(bytes.data() + at, rte_pktmbuf_mtod(m, const uint8_t*), m->data_len);
        at += m->data_len;
    }
    EXPECT_EQ(at, out.mbuf->pkt_len);
    EXPECT_EQ(segments, out.mbuf->nb_segs);
    EXPECT_GE(rte_pktmbuf_headroom(out.mbuf), net::kTransportHeadroom);
    EXPECT_TRUE(segments == 1 || config_.multi_segment);
    rte_pktmbuf_free(out.mbuf);
    const uint32_t ip_bytes = out.destination.is_v4() ? 20 : 40;
    const uint32_t header = out.l4_header_length;
    const auto total = static_cast<uint32_t>(bytes.size());
    const uint32_t part_max = out.tso_segment_bytes ? out.tso_segment_bytes : total - header;
    EXPECT_LE(header + part_max + ip_bytes, config_.mtu);
    const uint8_t flags = bytes[13];
    uint32_t from = header;
    do {  // as a port does that segments: sequence moves on, PSH and FIN only on the last
        const uint32_t n = std::min(part_max, total - from);
        Packet packet{.source = out.source, .destination = out.destination, .bytes = {}, .ecn = out.ecn};
        packet.bytes.assign(bytes.begin(), bytes.begin() + header);
        packet.bytes.insert(packet.bytes.end(), bytes.begin() + from, bytes.begin() + from + n);
        store_be32(packet.bytes.data() + 4, load_be32(bytes.data() + 4) + (from - header));
        if (from + n < total) packet.bytes[13] = flags & static_cast<uint8_t>(~0x09);
        const uint64_t pseudo = pseudo_header_sum(out.source, out.destination, 6, header + n);
        if (!out.checksum_complete) {
            uint16_t left;
            std::memcpy(&left, packet.bytes.data() + 16, 2);
            EXPECT_EQ(left, checksum_fold(pseudo_header_sum(out.source, out.destination, 6, out.tso_segment_bytes ? 0 : total)));
            std::memset(packet.bytes.data() + 16, 0, 2);
            store_checksum(packet.bytes.data() + 16, checksum_finish(checksum_add(packet.bytes.data(), header + n, pseudo)));
        }
        EXPECT_EQ(checksum_finish(checksum_add(packet.bytes.data(), header + n, pseudo)), 0);
        wire.send(std::move(packet), now);
        from += n;
    } while (from < total);
}

}  // namespace sluice::sim
