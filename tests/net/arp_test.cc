// ARP: exact frames out for exact frames in; what is not learnt; announcements; retries, failure and its memory.
#include "tests/net/wire.h"

namespace sluice::net::test {
namespace {

using ArpTest = StackTest;

TEST_F(ArpTest, AnswersARequestForItsAddress) {
    make();
    EXPECT_EQ(in(ethernet(kBroadcast, kPeerMac, 0x0806, arp(1, kPeerMac, "192.0.2.7", {}, "192.0.2.10"))), Verdict::kConsumed);
    const auto frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0], hex("020000000002 020000000001 0806 0001 0800 06 04 0002"
                             "020000000001 c000020a 020000000002 c0000207"));
}

TEST_F(ArpTest, IsSilentAboutOtherAddresses) {
    make();
    in(ethernet(kBroadcast, kPeerMac, 0x0806, arp(1, kPeerMac, "192.0.2.7", {}, "192.0.2.11")));
    in(ethernet(kBroadcast, kPeerMac, 0x0806, arp(1, kPeerMac, "192.0.2.7", {}, "10.0.0.10")));  // the other port's
    EXPECT_TRUE(sent().empty());
}

TEST_F(ArpTest, AnswersAProbeWithoutLearning) {
    make();
    in(ethernet(kBroadcast, kPeerMac, 0x0806, arp(1, kPeerMac, "0.0.0.0", {}, "192.0.2.10")));
    EXPECT_EQ(sent().size(), 1u);
}

TEST_F(ArpTest, MalformedIsDropped) {
    make();
    const Bytes good = arp(1, kPeerMac, "192.0.2.7", {}, "192.0.2.10");
    for (size_t at : {0u, 2u, 4u, 5u}) {
        Bytes bad = good;
        bad[at] ^= 0x40;
        in(ethernet(kBroadcast, kPeerMac, 0x0806, bad));
    }
    for (size_t n = 0; n < good.size(); n++) in(ethernet(kBroadcast, kPeerMac, 0x0806, Bytes(good.begin(), good.begin() + static_cast<long>(n))));
    EXPECT_EQ(stack_->counters().rx_bad_link, 4 + good.size());
    EXPECT_TRUE(sent().empty());
}

TEST_F(ArpTest, SendWaitsForTheGatewayAndGoesOutOnce) {
    make();
    EXPECT_TRUE(send("192.0.2.10", "198.51.100.1", tcp_with_pseudo("192.0.2.10", "198.51.100.1")));
    auto frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0], hex("ffffffffffff 020000000001 0806 0001 0800 06 04 0001"
                             "020000000001 c000020a 000000000000 c0000201"));
    resolve("192.0.2.1");
    frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(Bytes(frames[0].begin(), frames[0].begin() + 14), hex("020000000002 020000000001 0800"));
    const Bytes packet(frames[0].begin() + 14, frames[0].end());
    EXPECT_EQ(slow_checksum(Bytes(packet.begin(), packet.begin() + 20)), 0);
    EXPECT_EQ(Bytes(packet.begin() + 20, packet.end()), tcp_syn("192.0.2.10", "198.51.100.1"));
    EXPECT_EQ(get16(packet, 6), 0x4000);
}

TEST_F(ArpTest, HintSkipsTheLookUpAndDiesWithTheEntry) {
    StackConfig c = two_ports();
    c.neighbors_max = 1;
    make(c);
    uint32_t hint = 0;
    send("192.0.2.10", "192.0.2.7", tcp_syn("192.0.2.10", "192.0.2.7"), &hint);
    EXPECT_EQ(hint, 0u);
    resolve("192.0.2.7");
    sent();
    send("192.0.2.10", "192.0.2.7", tcp_syn("192.0.2.10", "192.0.2.7"), &hint);
    EXPECT_NE(hint, 0u);
    EXPECT_EQ(sent().size(), 1u);
    // Another neighbour takes the only entry once the first is out of use: the old hint must not reach its MAC.
    now_ = now_ + seconds(120);
    send("192.0.2.10", "192.0.2.8", tcp_syn("192.0.2.10", "192.0.2.8"));
    resolve("192.0.2.8", {2, 0, 0, 0, 0, 8});
    sent();
    const uint32_t old = hint;
    now_ = now_ + seconds(1);
    send("192.0.2.10", "192.0.2.7", tcp_syn("192.0.2.10", "192.0.2.7"), &hint);
    EXPECT_NE(hint, old);
    EXPECT_EQ(stack_->counters().neighbor_full, 1u);  // .8 was used a second ago
    EXPECT_TRUE(sent().empty());
}

TEST_F(ArpTest, ThreeRequestsThenFailureIsToldAndRemembered) {
    make();
    send("192.0.2.10", "192.0.2.99", tcp_syn("192.0.2.10", "192.0.2.99"));
    EXPECT_EQ(sent().size(), 1u);
    at(2'000'000);
    EXPECT_EQ(sent().size(), 1u);
    at(3'000'000);
    EXPECT_EQ(sent().size(), 1u);
    IcmpError error;
    EXPECT_FALSE(stack_->poll_icmp_error(error));
    at(4'000'000);
    EXPECT_TRUE(sent().empty());
    ASSERT_TRUE(stack_->poll_icmp_error(error));
    EXPECT_EQ(error.kind, IcmpError::Kind::kHostUnreachable);
    EXPECT_EQ(error.tuple.remote, (SocketAddress{ip("192.0.2.99"), 80}));
    EXPECT_EQ(error.tuple.local, (SocketAddress{ip("192.0.2.10"), 40000}));
    EXPECT_EQ(error.sequence, 0x01020304u);
    EXPECT_FALSE(send("192.0.2.10", "192.0.2.99", tcp_syn("192.0.2.10", "192.0.2.99")));
    EXPECT_TRUE(sent().empty());
    EXPECT_EQ(stack_->counters().neighbor_unresolved, 2u);
    at(7'100'000);  // forgotten: asked again
    EXPECT_TRUE(send("192.0.2.10", "192.0.2.99", tcp_syn("192.0.2.10", "192.0.2.99")));
    EXPECT_EQ(sent().size(), 1u);
}

TEST_F(ArpTest, PendingPacketsAreBounded) {
    StackConfig c = two_ports();
    c.pending_packets_max = 8;
    make(c);
    for (int i = 0; i < 100; i++) send("192.0.2.10", "192.0.2.50", tcp_syn("192.0.2.10", "192.0.2.50"));
    EXPECT_EQ(stack_->counters().pending_dropped, 96u);
    for (int i = 51; i < 60; i++) {
        const std::string to = "192.0.2." + std::to_string(i);
        send("192.0.2.10", to.c_str(), tcp_syn("192.0.2.10", to.c_str()));
    }
    sent();
    resolve("192.0.2.59");
    EXPECT_EQ(sent().size(), 1u);
}

TEST_F(ArpTest, AFloodOfRepliesMakesNoEntries) {
    make();
    for (uint32_t i = 0; i < 1'000'000; i++) {
        const MacAddress mac{2, 1, static_cast<uint8_t>(i >> 16), static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i), 0};
        static Bytes f = ethernet(kOurMac, kPeerMac, 0x0806, arp(2, mac, "192.0.2.77", kOurMac, "192.0.2.10"));
        std::memcpy(&f[22], mac.data(), 6);
        std::memcpy(&f[30], mac.data() + 2, 2);
        rte_mbuf* m = rte_pktmbuf_alloc(sluice::test::test_mempool());
        std::memcpy(rte_pktmbuf_append(m, static_cast<uint16_t>(f.size())), f.data(), f.size());
        stack_->handle_frame(m, 0, now_, out_);
    }
    sent();  // among the claimed addresses was ours, defended at a limited rate
    send("192.0.2.10", "192.0.2.77", tcp_syn("192.0.2.10", "192.0.2.77"));
    const auto frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(get16(frames[0], 12), 0x0806) << "an entry was made from an unsolicited reply";
}

TEST_F(ArpTest, AFreshAnswerIsNotOverwritten) {
    make();
    send("192.0.2.10", "192.0.2.7", tcp_syn("192.0.2.10", "192.0.2.7"));
    resolve("192.0.2.7");
    sent();
    const MacAddress thief{2, 6, 6, 6, 6, 6};
    resolve("192.0.2.7", thief);
    send("192.0.2.10", "192.0.2.7", tcp_syn("192.0.2.10", "192.0.2.7"));
    auto frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0][5], 2);
}

TEST_F(ArpTest, AClaimIsAskedAboutAndAForgeryMovesNothing) {
    make();
    send("192.0.2.10", "192.0.2.7", tcp_syn("192.0.2.10", "192.0.2.7"));
    resolve("192.0.2.7");
    sent();
    const MacAddress thief{2, 6, 6, 6, 6, 6};
    for (int second = 0; second < 20; second++) {
        now_ = now_ + seconds(2);
        for (int i = 0; i < 200; i++) resolve("192.0.2.7", thief);
        stack_->handle_timeout(now_);
        auto frames = sent();
        ASSERT_EQ(frames.size(), 1u) << "one question, whatever the number of claims";
        EXPECT_EQ(get16(frames[0], 12), 0x0806);
        EXPECT_EQ(frames[0][5], 2) << "asked of the address that answered so far";
        resolve("192.0.2.7");  // which answers
        send("192.0.2.10", "192.0.2.7", tcp_syn("192.0.2.10", "192.0.2.7"));
        frames = sent();
        ASSERT_EQ(frames.size(), 1u);
        EXPECT_EQ(frames[0][5], 2);
    }
}

TEST_F(ArpTest, AMoveIsFollowedWhenTheOldAddressIsSilent) {
    make();
    send("192.0.2.10", "192.0.2.7", tcp_syn("192.0.2.10", "192.0.2.7"));
    resolve("192.0.2.7");
    sent();
    const MacAddress standby{2, 6, 6, 6, 6, 6};
    now_ = now_ + seconds(2);
    resolve("192.0.2.7", standby);
    stack_->handle_timeout(now_);
    EXPECT_EQ(sent().size(), 1u);
    now_ = now_ + seconds(2);
    stack_->handle_timeout(now_);
    auto frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(static_cast<uint8_t>(frames[0][0]), 0xff) << "everybody is asked";
    resolve("192.0.2.7", standby);
    send("192.0.2.10", "192.0.2.7", tcp_syn("192.0.2.10", "192.0.2.7"));
    frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0][5], 6);
}

TEST_F(ArpTest, AStaleEntryIsProbedWhileInUse) {
    make();
    send("192.0.2.10", "192.0.2.7", tcp_syn("192.0.2.10", "192.0.2.7"));
    resolve("192.0.2.7");
    sent();
    now_ = now_ + seconds(31);
    send("192.0.2.10", "192.0.2.7", tcp_syn("192.0.2.10", "192.0.2.7"));
    auto frames = sent();
    ASSERT_EQ(frames.size(), 2u);
    EXPECT_EQ(Bytes(frames[0].begin(), frames[0].begin() + 14), hex("020000000002 020000000001 0806"));  // unicast probe
    EXPECT_EQ(get16(frames[1], 12), 0x0800);  // the packet does not wait
    for (int i = 0; i < 2; i++) at(now_.us + 1'000'000);
    EXPECT_EQ(sent().size(), 2u);
    at(now_.us + 1'000'000);  // no answer: asked of everyone
    frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0][0], 0xff);
}

TEST_F(ArpTest, AnswersAndQuestionsAreRateLimited) {
    StackConfig c = two_ports();
    c.neighbor_answers_per_s = 100;
    c.neighbor_solicits_per_s = 100;
    make(c);
    for (int i = 0; i < 1000; i++) in(ethernet(kBroadcast, kPeerMac, 0x0806, arp(1, kPeerMac, "192.0.2.7", {}, "192.0.2.10")));
    const size_t answers = sent().size();
    EXPECT_GE(answers, 1u);
    EXPECT_LE(answers, 6u);   // a twentieth of a second's worth at once
    EXPECT_EQ(stack_->counters().neighbor_answer_limited, 1000 - answers);
    for (int i = 11; i < 211; i++) {
        const std::string to = "192.0.2." + std::to_string(i);
        send("192.0.2.10", to.c_str(), tcp_syn("192.0.2.10", to.c_str()));
    }
    const size_t questions = sent().size();
    EXPECT_LE(questions, 6u);
    EXPECT_EQ(stack_->counters().neighbor_solicit_limited, 200 - questions);
}

TEST_F(ArpTest, EveryoneIsAskedOnceASecondWhateverIsSent) {
    make();
    for (int ms = 0; ms < 3000; ms++) {
        send("192.0.2.10", "192.0.2.99", tcp_syn("192.0.2.10", "192.0.2.99"));
        at(now_.us + 1000);
    }
    EXPECT_EQ(sent().size(), 3u);
    for (int ms = 0; ms < 2900; ms++) {   // known to be silent: nothing leaves, and the transport hears of it at once
        EXPECT_FALSE(send("192.0.2.10", "192.0.2.99", tcp_syn("192.0.2.10", "192.0.2.99")));
        IcmpError error;
        bool told = false;
        while (stack_->poll_icmp_error(error)) told = error.kind == IcmpError::Kind::kHostUnreachable;
        EXPECT_TRUE(told);
        at(now_.us + 1000);
    }
    EXPECT_TRUE(sent().empty());
}

class VlanTest : public StackTest {
 protected:
    VlanTest() {
        StackConfig c = two_ports();
        c.ports[0].vlan = 120;
        make(c);
    }
    const Bytes request_ = arp(1, kPeerMac, "192.0.2.7", {}, "192.0.2.10");
    Verdict in_stripped(const Bytes& bytes, uint16_t tci, uint64_t flags = RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED) {
        rte_mbuf* m = frame(bytes);
        m->vlan_tci = tci;
        m->ol_flags |= flags;
        return stack_->handle_frame(m, 0, now_, out_);
    }
};

TEST_F(VlanTest, TheTagIsDemandedAndWritten) {
    EXPECT_EQ(in(ethernet(kBroadcast, kPeerMac, 0x0806, request_)), Verdict::kException);
    EXPECT_EQ(in(ethernet(kBroadcast, kPeerMac, 0x8100, hex("0079 0806") + request_)), Verdict::kException);
    EXPECT_EQ(stack_->counters().rx_other_vlan, 2u);
    EXPECT_TRUE(sent().empty());
    EXPECT_EQ(in(ethernet(kBroadcast, kPeerMac, 0x8100, hex("6078 0806") + request_)), Verdict::kConsumed);   // priority 3
    const auto frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(Bytes(frames[0].begin() + 12, frames[0].begin() + 18), hex("8100 0078 0806"));
}

TEST_F(VlanTest, ATagThatThePortTookOffCounts) {
    EXPECT_EQ(in_stripped(ethernet(kBroadcast, kPeerMac, 0x0806, request_), 0x0079), Verdict::kException);
    rte_pktmbuf_free(out_.mbuf);
    EXPECT_EQ(stack_->counters().rx_other_vlan, 1u);
    EXPECT_TRUE(sent().empty());
    in_stripped(ethernet(kBroadcast, kPeerMac, 0x0806, request_), 0x6078);
    EXPECT_EQ(sent().size(), 1u);
}

TEST_F(VlanTest, StackedTagsAreRefused) {
    in(ethernet(kBroadcast, kPeerMac, 0x8100, hex("0078 8100 0078 0806") + request_));
    in(ethernet(kBroadcast, kPeerMac, 0x8100, hex("0078 88a8 0078 0806") + request_));
    in(ethernet(kBroadcast, kPeerMac, 0x88a8, hex("0078 0806") + request_));
    in(ethernet(kBroadcast, kPeerMac, 0x9100, hex("0078 0806") + request_));
    in_stripped(ethernet(kBroadcast, kPeerMac, 0x8100, hex("0078 0806") + request_), 0x0078);
    in_stripped(ethernet(kBroadcast, kPeerMac, 0x0806, request_), 0x0078,
                RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED | RTE_MBUF_F_RX_QINQ | RTE_MBUF_F_RX_QINQ_STRIPPED);
    EXPECT_EQ(stack_->counters().rx_stacked_vlan, 6u);
    EXPECT_TRUE(sent().empty());
}

TEST_F(VlanTest, AnUntaggedPortTakesPriorityTagsOnly) {
    make();
    in(ethernet(kBroadcast, kPeerMac, 0x8100, hex("e000 0806") + request_));
    EXPECT_EQ(sent().size(), 1u);
    in(ethernet(kBroadcast, kPeerMac, 0x8100, hex("0001 0806") + request_));
    EXPECT_TRUE(sent().empty());
    EXPECT_EQ(stack_->counters().rx_other_vlan, 1u);
}

TEST_F(VlanTest, ASegmentComesAndGoesWithItsTag) {
    const Bytes packet = ipv4("192.0.2.7", "192.0.2.10", 6, tcp_syn("192.0.2.7", "192.0.2.10"));
    EXPECT_EQ(in(ethernet(kOurMac, kPeerMac, 0x8100, hex("0078 0800") + packet)), Verdict::kTransport);
    EXPECT_EQ(out_.payload_offset, 38);
    send("192.0.2.10", "192.0.2.7", tcp_with_pseudo("192.0.2.10", "192.0.2.7"));
    sent();
    in(ethernet(kOurMac, kPeerMac, 0x8100, hex("0078 0806") + arp(2, kPeerMac, "192.0.2.7", kOurMac, "192.0.2.10")));
    const auto frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(Bytes(frames[0].begin(), frames[0].begin() + 18), hex("020000000002 020000000001 8100 0078 0800"));
    EXPECT_EQ(Bytes(frames[0].begin() + 38, frames[0].end()), tcp_syn("192.0.2.10", "192.0.2.7"));
}

}  // namespace
}  // namespace sluice::net::test
