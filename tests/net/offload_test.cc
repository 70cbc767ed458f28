// Frames of many segments: merged ones come in as chains up to IP's own limit, those to be cut leave with what the port must know.
#include "tests/net/wire.h"

namespace sluice::net::test {
namespace {

constexpr uint64_t kMerged = RTE_MBUF_F_RX_LRO | RTE_MBUF_F_RX_L4_CKSUM_NONE;

class OffloadTest : public StackTest {
 protected:
    explicit OffloadTest() {
        StackConfig config = two_ports();
        config.ports[0].rx_checksum = config.ports[0].tx_tcp_checksum = config.ports[0].tso = config.ports[0].multi_segment = true;
        make(config);
    }
    /// TCP with a wrong checksum and `bytes` of payload: what a peer in another process hands over whole.
    static Bytes segment(size_t bytes) { return hex("9c40 0050 01020304 00000000 50 10 faf0 dead 0000") + Bytes(bytes, 'x'); }
    Verdict in_merged(const Bytes& packet, uint16_t merged_bytes, uint64_t flags, size_t cut) {
        rte_mbuf* m = frame(ethernet(kOurMac, kPeerMac, packet[0] >> 4 == 6 ? 0x86dd : 0x0800, packet), cut);
        m->ol_flags |= flags;
        m->tso_segsz = merged_bytes;
        const Verdict v = stack_->handle_frame(m, 0, now_, out_);
        if (v == Verdict::kTransport) rte_pktmbuf_free(out_.mbuf);
        return v;
    }
    const Counters& c() { return stack_->counters(); }
};

TEST_F(OffloadTest, AMergedFrameComesInAsAChain) {
    EXPECT_EQ(in_merged(ipv4("192.0.2.7", "192.0.2.10", 6, segment(40'000)), 1448, kMerged, 2048), Verdict::kTransport);
    EXPECT_EQ(out_.payload_length, 40'020);
    EXPECT_EQ(out_.merged_bytes, 1448);
    EXPECT_TRUE(out_.l4_checksum_verified) << "left unfinished by who shares memory with us";
    EXPECT_EQ(c().rx_merged, 1u);
    EXPECT_EQ(in_merged(ipv6("2001:db8::7", "2001:db8::10", 6, segment(40'000)), 1428, kMerged, 2048), Verdict::kTransport);
    EXPECT_EQ(out_.payload_length, 40'020);
    EXPECT_EQ(out_.merged_bytes, 1428);
    EXPECT_EQ(c().rx_merged, 2u);
}

TEST_F(OffloadTest, AsLongAsIpAllows) {
    EXPECT_EQ(in_merged(ipv4("192.0.2.7", "192.0.2.10", 6, segment(65'535 - 40)), 1448, kMerged, 1500), Verdict::kTransport);
    EXPECT_EQ(out_.payload_offset + out_.payload_length, 14 + 65'535);
    EXPECT_EQ(in_merged(ipv6("2001:db8::7", "2001:db8::10", 6, segment(65'535 - 20)), 1428, kMerged, 1500), Verdict::kTransport);
    EXPECT_EQ(out_.payload_length, 65'535);
}

TEST_F(OffloadTest, OneThatSaysMoreThanItHoldsIsDropped) {
    Bytes packet = ipv4("192.0.2.7", "192.0.2.10", 6, segment(40'000));
    packet.resize(packet.size() - 1);
    EXPECT_EQ(in_merged(packet, 1448, kMerged, 2048), Verdict::kConsumed);
    EXPECT_EQ(c().rx_bad_ip, 1u);
}

TEST_F(OffloadTest, TheNextFrameIsNotTakenForMerged) {
    EXPECT_EQ(in_merged(ipv4("192.0.2.7", "192.0.2.10", 6, segment(3000)), 1448, kMerged, 2048), Verdict::kTransport);
    EXPECT_EQ(in_merged(ipv4("192.0.2.7", "192.0.2.10", 6, segment(100)), 1448, RTE_MBUF_F_RX_L4_CKSUM_GOOD, 2048), Verdict::kTransport);
    EXPECT_EQ(out_.merged_bytes, 0);
    EXPECT_EQ(c().rx_merged, 1u);
}

TEST_F(OffloadTest, ChecksumsByWhatThePortSaw) {
    const Bytes packet = ipv4("192.0.2.7", "192.0.2.10", 6, segment(100));
    const auto verified = [&](uint64_t flags) { return in_merged(packet, 0, flags, 0) == Verdict::kTransport && out_.l4_checksum_verified; };
    EXPECT_TRUE(verified(RTE_MBUF_F_RX_L4_CKSUM_GOOD));
    EXPECT_TRUE(verified(RTE_MBUF_F_RX_L4_CKSUM_NONE));   // its bits are those of GOOD and BAD together
    EXPECT_FALSE(verified(RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN));
    EXPECT_EQ(in_merged(packet, 0, RTE_MBUF_F_RX_L4_CKSUM_BAD, 0), Verdict::kConsumed);
    EXPECT_EQ(c().rx_bad_checksum, 1u);
    StackConfig plain = two_ports();
    make(plain);
    EXPECT_FALSE(verified(RTE_MBUF_F_RX_L4_CKSUM_NONE)) << "a port that was not asked to check";
}

TEST_F(OffloadTest, AFrameToBeCutLeavesWhole) {
    send("192.0.2.10", "192.0.2.7", tcp_with_pseudo("192.0.2.10", "192.0.2.7"));
    resolve("192.0.2.7");
    for (rte_mbuf* waited; stack_->poll_transmit(0, &waited, 1) == 1;) rte_pktmbuf_free(waited);
    for (const bool cut : {true, false}) {
        DatagramOut d;
        d.source = ip("192.0.2.10"), d.destination = ip("192.0.2.7");
        d.protocol = kProtocolTcp;
        d.l4_header_length = 20;
        d.tso_segment_bytes = cut ? 1000 : 0;
        d.mbuf = frame(segment(cut ? 5000 : 500), 1800);
        rte_mbuf* head = rte_pktmbuf_alloc(sluice::test::test_mempool());   // headers need headroom
        std::memcpy(rte_pktmbuf_append(head, 20), segment(0).data(), 20);
        rte_pktmbuf_adj(d.mbuf, 20);
        rte_pktmbuf_chain(head, d.mbuf);
        d.mbuf = head;
        ASSERT_TRUE(stack_->send(d, now_));
        rte_mbuf* m = nullptr;
        ASSERT_EQ(stack_->poll_transmit(0, &m, 1), 1);
        EXPECT_EQ(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG, cut ? RTE_MBUF_F_TX_TCP_SEG : 0);
        EXPECT_EQ(m->tso_segsz, cut ? 1000 : 0);
        EXPECT_EQ(m->l2_len + 0, 14);   // bit fields
        EXPECT_EQ(m->l3_len + 0, 20);
        EXPECT_EQ(m->l4_len + 0, 20);
        EXPECT_EQ(get16(take_bytes(m), 16), (cut ? 5000 : 500) + 40) << "IP's total length";
        EXPECT_EQ(c().tx_cut_by_port, 1u);
    }
}

}  // namespace
}  // namespace sluice::net::test
