// Our own addresses: probed at start, announced when nobody has them, given up when somebody does, defended later.
#include "tests/net/wire.h"

namespace sluice::net::test {
namespace {

class AddressTest : public StackTest {
 protected:
    AddressTest() {
        StackConfig c = two_ports();
        c.announce = true;
        make(c);
    }
    const Counters& c() { return stack_->counters(); }
    AddressState state(const char* address) {
        for (const AddressStatus& a : stack_->addresses())
            if (a.ip == ip(address)) return a.state;
        ADD_FAILURE() << address;
        return {};
    }
    /// Time passes as the worker lets it: from one deadline to the next, up to `d` later.
    std::vector<Bytes> pass(Duration d) {
        const Instant end = now_ + d;
        std::vector<Bytes> frames;
        while (stack_->poll_timeout() <= end) {
            now_ = std::max(now_, stack_->poll_timeout());
            stack_->handle_timeout(now_);
            for (Bytes& f : sent()) frames.push_back(std::move(f));
        }
        now_ = end;
        return frames;
    }
    static size_t count(const std::vector<Bytes>& frames, const Bytes& wanted) {
        return static_cast<size_t>(std::count(frames.begin(), frames.end(), wanted));
    }
    static Bytes probe4(const MacAddress& from = kOurMac) { return ethernet(kBroadcast, from, 0x0806, arp(1, from, "0.0.0.0", {}, "192.0.2.10")); }
    static Bytes announcement4() { return ethernet(kBroadcast, kOurMac, 0x0806, arp(1, kOurMac, "192.0.2.10", {}, "192.0.2.10")); }
    static Bytes probe6(const MacAddress& from = kOurMac) {
        return ethernet({0x33, 0x33, 0xff, 0, 0, 0x10}, from, 0x86dd,
            ipv6("::", "ff02::1:ff00:10", 58, icmp6("::", "ff02::1:ff00:10", 135, 0, hex("00000000") + address_bytes(ip("2001:db8::10"))), 255));
    }
    static Bytes announcement6(const MacAddress& from = kOurMac) {
        return ethernet({0x33, 0x33, 0, 0, 0, 1}, from, 0x86dd,
            ipv6("2001:db8::10", "ff02::1", 58, icmp6("2001:db8::10", "ff02::1", 136, 0,
                 hex("20000000") + address_bytes(ip("2001:db8::10")) + hex("0201") + Bytes(from.begin(), from.end())), 255));
    }
    static Bytes claim4(uint16_t op = 2) { return ethernet(kBroadcast, kPeerMac, 0x0806, arp(op, kPeerMac, "192.0.2.10", kOurMac, "192.0.2.10")); }
    bool takes_segments(const char* to = "192.0.2.10") {
        const bool v4 = ip(to).is_v4();
        const char* from = v4 ? "192.0.2.7" : "2001:db8::7";
        return in_ip(v4 ? ipv4(from, to, 6, tcp_syn(from, to)) : ipv6(from, to, 6, tcp_syn(from, to))) == Verdict::kTransport;
    }
};

TEST_F(AddressTest, ProbesThenAnnouncesTwice) {
    EXPECT_LE(stack_->poll_timeout(), now_);
    auto frames = pass(milliseconds(900));
    EXPECT_EQ(count(frames, probe4()), 3u);
    EXPECT_EQ(count(frames, probe6()), 1u);
    EXPECT_EQ(count(frames, announcement4()) + count(frames, announcement6()), 0u);
    EXPECT_EQ(state("192.0.2.10"), AddressState::kOptimistic);
    frames = pass(milliseconds(300));
    EXPECT_EQ(count(frames, announcement4()), 1u);
    EXPECT_EQ(count(frames, announcement6()), 1u);
    EXPECT_EQ(state("192.0.2.10"), AddressState::kUsed);
    EXPECT_EQ(state("fe80::ff:fe00:1"), AddressState::kUsed) << "the link-local address that we gave ourselves";
    frames = pass(seconds(10));
    EXPECT_EQ(count(frames, announcement4()), 1u);
    EXPECT_EQ(count(frames, announcement6()), 1u);
    EXPECT_EQ(stack_->poll_timeout(), Instant::never());
}

TEST_F(AddressTest, IsInUseWhileItAsks) {
    pass(milliseconds(500));
    EXPECT_TRUE(takes_segments());
    EXPECT_TRUE(takes_segments("2001:db8::10"));
    in(ethernet(kBroadcast, kPeerMac, 0x0806, arp(1, kPeerMac, "192.0.2.7", {}, "192.0.2.10")));
    EXPECT_EQ(sent().size(), 1u);
    // RFC 4429: an answer takes nobody's place, and a question tells nobody our MAC.
    in(ethernet({0x33, 0x33, 0xff, 0, 0, 0x10}, kPeerMac, 0x86dd, ipv6("2001:db8::7", "ff02::1:ff00:10", 58,
        icmp6("2001:db8::7", "ff02::1:ff00:10", 135, 0, hex("00000000") + address_bytes(ip("2001:db8::10")) + hex("0101 020000000002")), 255)));
    auto frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0][58], 0x40);
    send("2001:db8::10", "2001:db8::9", tcp_with_pseudo("2001:db8::10", "2001:db8::9"));
    frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0].size(), 54u + 24);
}

TEST_F(AddressTest, AnAnswerToTheProbeEndsItsUse) {
    pass(milliseconds(500));
    in(claim4());
    EXPECT_EQ(state("192.0.2.10"), AddressState::kDuplicate);
    EXPECT_EQ(stack_->addresses()[0].claimant, kPeerMac);
    EXPECT_EQ(c().address_duplicate, 1u);
    EXPECT_FALSE(takes_segments());
    EXPECT_EQ(c().rx_destination_duplicate, 1u);
    EXPECT_TRUE(takes_segments("2001:db8::10")) << "the others are not touched";
    in(ethernet(kBroadcast, kPeerMac, 0x0806, arp(1, kPeerMac, "192.0.2.7", {}, "192.0.2.10")));
    EXPECT_TRUE(sent().empty());
    EXPECT_FALSE(stack_->route(ip("192.0.2.7"), {})) << "no source is left for it";
    EXPECT_FALSE(send("192.0.2.10", "192.0.2.7", tcp_with_pseudo("192.0.2.10", "192.0.2.7")));
    const auto frames = pass(seconds(30));
    EXPECT_EQ(count(frames, announcement4()) + count(frames, probe4()), 0u);
    EXPECT_EQ(count(frames, announcement6()), 2u);
}

TEST_F(AddressTest, WhoHasItIsANeighbourLikeOthers) {
    StackConfig config = two_ports();
    config.announce = true;
    config.ports[0].addresses.push_back(prefix("192.0.2.77/24"));
    make(config);
    pass(milliseconds(500));
    in(ethernet(kBroadcast, kPeerMac, 0x0806, arp(2, kPeerMac, "192.0.2.77", kOurMac, "192.0.2.77")));
    EXPECT_EQ(state("192.0.2.77"), AddressState::kDuplicate);
    in(ethernet(kBroadcast, kPeerMac, 0x0806, arp(1, kPeerMac, "192.0.2.77", {}, "192.0.2.10")));
    EXPECT_EQ(sent().size(), 1u) << "its question about another address of ours is answered";
    const Bytes syn = ipv4("192.0.2.77", "192.0.2.10", 6, tcp_syn("192.0.2.77", "192.0.2.10"));
    EXPECT_EQ(in_ip(syn), Verdict::kTransport);
    send("192.0.2.10", "192.0.2.77", tcp_with_pseudo("192.0.2.10", "192.0.2.77"));
    resolve("192.0.2.77");
    auto frames = sent();
    ASSERT_EQ(frames.size(), 2u);
    EXPECT_EQ(get16(frames[1], 12), 0x0800);
    pass(seconds(75));   // it went away
    EXPECT_EQ(state("192.0.2.77"), AddressState::kUsed);
    EXPECT_EQ(in_ip(syn), Verdict::kConsumed) << "now it is ours, and nobody else sends from it";
    EXPECT_EQ(c().rx_source_ours, 1u);
}

TEST_F(AddressTest, AHintDoesNotOutliveTheAddress) {
    pass(milliseconds(100));
    uint32_t hint = 0;
    send("192.0.2.10", "192.0.2.7", tcp_with_pseudo("192.0.2.10", "192.0.2.7"));
    resolve("192.0.2.7");
    send("192.0.2.10", "192.0.2.7", tcp_with_pseudo("192.0.2.10", "192.0.2.7"), &hint);
    EXPECT_NE(hint, 0u);
    sent();
    in(claim4());
    EXPECT_FALSE(send("192.0.2.10", "192.0.2.7", tcp_with_pseudo("192.0.2.10", "192.0.2.7"), &hint));
    EXPECT_EQ(c().no_route, 1u);
}

TEST_F(AddressTest, IsAskedForAgainAndTakenWhenFree) {
    pass(milliseconds(500));
    in(claim4());
    const auto frames = pass(seconds(75));
    EXPECT_EQ(count(frames, probe4()), 3u);
    EXPECT_EQ(count(frames, announcement4()), 2u);
    EXPECT_EQ(state("192.0.2.10"), AddressState::kUsed);
    EXPECT_TRUE(takes_segments());
}

TEST_F(AddressTest, IsNotUsedWhileAskedForAgain) {
    pass(milliseconds(500));
    in(claim4());
    now_ = now_ + seconds(70);
    stack_->handle_timeout(now_);
    EXPECT_EQ(count(sent(), probe4()), 1u);
    EXPECT_EQ(state("192.0.2.10"), AddressState::kTentative);
    EXPECT_FALSE(takes_segments());
    in(claim4(1));
    EXPECT_EQ(state("192.0.2.10"), AddressState::kDuplicate);
}

TEST_F(AddressTest, TwoThatAskAtOnceBothGiveUp) {   // RFC 5227 2.1.1, RFC 4862 5.4.3
    pass(milliseconds(200));
    in(probe4(kPeerMac));
    in(probe6(kPeerMac));
    EXPECT_EQ(state("192.0.2.10"), AddressState::kDuplicate);
    EXPECT_EQ(state("2001:db8::10"), AddressState::kDuplicate);
    EXPECT_TRUE(sent().empty());
}

TEST_F(AddressTest, OurOwnFramesComeBackHarmlessly) {   // RFC 7527
    pass(milliseconds(200));
    for (const Bytes& f : {probe4(), probe6(), announcement4(), announcement6()}) in(f);
    EXPECT_EQ(state("192.0.2.10"), AddressState::kOptimistic);
    EXPECT_EQ(state("2001:db8::10"), AddressState::kOptimistic);
    EXPECT_EQ(c().address_claimed, 0u);
}

TEST_F(AddressTest, AnAdvertisementForOursIsAConflict) {
    pass(milliseconds(200));
    in(announcement6(kPeerMac));
    EXPECT_EQ(state("2001:db8::10"), AddressState::kDuplicate);
    EXPECT_FALSE(takes_segments("2001:db8::10"));
    EXPECT_TRUE(takes_segments());
}

TEST_F(AddressTest, LaterClaimsAreAnsweredOncePerIntervalAndMoveNothing) {   // RFC 5227 2.4 (c)
    pass(seconds(5));
    for (int i = 0; i < 1000; i++) {
        in(claim4());
        in(announcement6(kPeerMac));
        now_ = now_ + milliseconds(1);
    }
    auto frames = sent();
    EXPECT_EQ(count(frames, announcement4()), 1u);
    EXPECT_EQ(count(frames, announcement6()), 1u);
    EXPECT_EQ(frames.size(), 2u);
    now_ = now_ + seconds(10);
    in(claim4());
    EXPECT_EQ(count(sent(), announcement4()), 1u);
    EXPECT_EQ(c().address_claimed, 2001u);
    EXPECT_EQ(c().address_duplicate, 0u);
    EXPECT_TRUE(takes_segments());
}

TEST_F(AddressTest, ALaterProbeIsTold) {
    pass(seconds(5));
    in(probe4(kPeerMac));
    in(probe6(kPeerMac));
    EXPECT_EQ(sent().size(), 2u);
    EXPECT_EQ(state("192.0.2.10"), AddressState::kUsed);
}

TEST_F(AddressTest, DetectionCanBeSwitchedOff) {
    StackConfig config = two_ports();
    config.announce = true;
    for (PortConfig& p : config.ports) p.detect_duplicates = false;
    make(config);
    stack_->handle_timeout(now_);
    const auto frames = sent();
    EXPECT_EQ(count(frames, announcement4()), 1u);
    EXPECT_EQ(count(frames, probe4()), 0u);
    in(claim4());
    EXPECT_EQ(state("192.0.2.10"), AddressState::kUsed);
}

TEST_F(AddressTest, CoresDecideTogether) {
    StackConfig config = two_ports();
    config.announce = config.share_neighbors = true;
    make(config);                                    // the first core
    config.announce = false;
    Stack second(config, sluice::test::test_mempool());
    pass(milliseconds(200));
    DatagramIn d;
    EXPECT_EQ(second.handle_frame(frame(claim4()), 0, now_, d), Verdict::kConsumed);   // the answer came to the other core
    NeighborUpdate update;
    ASSERT_TRUE(second.poll_neighbor_update(update));
    EXPECT_EQ(update.kind, NeighborUpdate::Kind::kClaimed);
    stack_->handle_neighbor_update(update, now_);
    EXPECT_EQ(state("192.0.2.10"), AddressState::kDuplicate);
    ASSERT_TRUE(stack_->poll_neighbor_update(update));
    EXPECT_EQ(update.kind, NeighborUpdate::Kind::kDecided);
    second.handle_neighbor_update(update, now_);
    EXPECT_EQ(second.addresses()[0].state, AddressState::kDuplicate);
    EXPECT_EQ(second.handle_frame(frame(ethernet(kOurMac, kPeerMac, 0x0800, ipv4("192.0.2.7", "192.0.2.10", 6, tcp_syn("192.0.2.7", "192.0.2.10")))),
                                  0, now_, d), Verdict::kConsumed);
    EXPECT_EQ(second.counters().rx_destination_duplicate, 1u);
}

}  // namespace
}  // namespace sluice::net::test
