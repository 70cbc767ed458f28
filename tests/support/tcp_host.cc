// Segments in and out of a test's machine. See tcp_host.h.
#include "tests/support/tcp_host.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/checksum.h"
#include "tests/support/eal.h"

namespace sluice::test {

Host::Host(const HostConfig& config)
    : config_(config), nodes_(config.nodes), stack_(std::make_unique<tcp::Stack>(config.tcp, test_mempool(), nodes_, *this)) {}

std::optional<net::RouteInfo> Host::route(const IpAddress&, const IpAddress&) {
    net::RouteInfo route;
    route.source = config_.address;
    route.mtu = config_.mtu;
    route.multi_segment = config_.multi_segment;
    return route;
}

void Host::deliver(const WireSegment& segment, Instant now) {
    rte_mbuf* const m = rte_pktmbuf_alloc(test_mempool());
    if (!m) return;
    const auto length = static_cast<uint16_t>(segment.bytes.size());
    std::memcpy(rte_pktmbuf_append(m, length), segment.bytes.data(), length);
    net::DatagramIn in;
    in.source = segment.source;
    in.destination = segment.destination;
    in.mbuf = m;
    in.payload_length = length;
    in.protocol = net::kProtocolTcp;
    in.ecn = segment.ecn;
    if (stack_->handle_segment(in, now)) return;
    stack_->reject(in, now);
    rte_pktmbuf_free(in.mbuf);
}

void Host::transmit(Wire& wire, Instant now) {
    net::DatagramOut out;
    while (stack_->poll_transmit(out, now)) {
        WireSegment segment{.source = out.source, .destination = out.destination, .bytes = {}, .ecn = out.ecn};
        for (const rte_mbuf* m = out.mbuf; m; m = m->next) {
            const auto* bytes = rte_pktmbuf_mtod(m, const uint8_t*);
            segment.bytes.insert(segment.bytes.end(), bytes, bytes + m->data_len);
        }
        const auto length = static_cast<uint32_t>(segment.bytes.size());
        EXPECT_EQ(length, out.mbuf->pkt_len);
        EXPECT_GE(rte_pktmbuf_headroom(out.mbuf), net::kTransportHeadroom);
        EXPECT_TRUE(out.mbuf->nb_segs == 1 || config_.multi_segment);
        EXPECT_LE(length + (out.destination.is_v4() ? 20u : 40u), config_.mtu);
        rte_pktmbuf_free(out.mbuf);
        const uint64_t pseudo = pseudo_header_sum(out.source, out.destination, net::kProtocolTcp, length);
        EXPECT_TRUE(out.checksum_complete);
        EXPECT_EQ(checksum_finish(checksum_add(segment.bytes.data(), length, pseudo)), 0);
        wire.send(std::move(segment), now);
    }
}

}  // namespace sluice::test
