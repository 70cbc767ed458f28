// Loss and what only looks like it: F-RTO, reordering windows, tail probes of cut frames, the first slow start.
// In: exact ACKs and time. Out: what is sent again, and what is not. One stack, a peer played by hand. Owns nothing.
#include "tcp/stack_impl.h"
#include "tests/tcp/script.h"

namespace sluice::tcp {
namespace {

class Recover : public ConnectedScript {
 protected:
    std::optional<net::RouteInfo> route(const IpAddress& to, const IpAddress& from) override {
        auto info = Script::route(to, from);
        info->tso = info->tx_checksum = info->multi_segment = offload_;
        return info;
    }
    std::vector<Answer> flight() {
        std::vector<Answer> all;
        while (auto a = poll()) all.push_back(*a);
        return all;
    }
    void ack(Seq upto) {
        HeaderFields f = next(kAck);
        f.ack = upto;
        deliver(f);
    }
    Tcb& tcb() { return *static_cast<Tcb*>(connection_); }
    bool offload_ = false;
};

TEST_F(Recover, ATimeoutForNothingIsTakenBackWithoutTimestamps) {  // RFC 5682
    accept();
    write(connection_, std::string(1460 * 20, 'x'));
    const auto first = flight();
    ASSERT_EQ(first.size(), 10u);
    const uint32_t window = tcb().congestion.cwnd;
    advance(milliseconds(210));
    ASSERT_EQ(sent_.size(), 1u) << "one segment is repeated";
    EXPECT_EQ(sent_[0].segment.seq, first[0].segment.seq);
    ack(first[1].segment.end());  // the delayed ACKs arrive
    const auto fresh = flight();
    ASSERT_EQ(fresh.size(), 2u) << "step 2b: new text, no repeats";
    EXPECT_EQ(fresh[0].segment.seq, first[9].segment.end());
    ack(first[3].segment.end());
    EXPECT_EQ(stack_->counters().spurious, 1u);
    EXPECT_GE(tcb().congestion.cwnd, window);
    for (const Answer& a : flight()) EXPECT_TRUE(a.segment.seq.at_or_after(first[9].segment.end())) << "nothing is repeated";
}

TEST_F(Recover, ARealTimeoutIsNot) {
    accept();
    write(connection_, std::string(1460 * 20, 'x'));
    const auto first = flight();
    advance(milliseconds(210));
    ASSERT_EQ(sent_.size(), 1u);
    ack(first[0].segment.end());
    EXPECT_EQ(flight().size(), 2u);
    for (int i = 0; i < 2; i++) ack(first[0].segment.end());  // the new text arrived out of order: the second is missing
    const auto again = flight();
    ASSERT_FALSE(again.empty());
    EXPECT_EQ(again[0].segment.seq, first[1].segment.seq);
    EXPECT_EQ(stack_->counters().spurious, 0u);
}

/// Seed 3035: the second of two segments waited for the first one's repeats, and was measured as a round trip of 21 s.
TEST_F(Recover, WhatWaitedBehindAHoleMeasuresNoRoundTrip) {
    accept();
    write(connection_, std::string(1460 * 2, 'x'));
    flight();
    advance(seconds(5));  // repeats of the first are lost as well
    const uint32_t before = tcb().rtt.rto_us;
    ack(our_seq_ + 1460 * 2);
    EXPECT_EQ(tcb().rtt.rto_us, before);
    EXPECT_FALSE(tcb().in_flight());
}

TEST_F(Recover, TheReorderingWindowWidensOnceARoundTrip) {  // RFC 8985 6.2 step 4
    HeaderFields syn;
    syn.sack_permitted = true;
    accept(syn);
    write(connection_, std::string(1460 * 4, 'x'));
    flight();
    now_ = now_ + milliseconds(100);
    ack(our_seq_ + 1460 * 4);
    ASSERT_GT(tcb().rtt.srtt_us, 10'000u);
    HeaderFields f = next(kAck);
    f.ack = our_seq_ + 1460 * 4;
    const SackBlock again[1] = {{our_seq_, our_seq_ + 1460}};
    f.sack = again;
    for (int i = 0; i < 10; i++) deliver(f);
    EXPECT_EQ(tcb().rack_reo_multiplier, 2);
    now_ = now_ + milliseconds(110);
    for (int i = 0; i < 10; i++) deliver(f);
    EXPECT_EQ(tcb().rack_reo_multiplier, 3);
}

TEST_F(Recover, OfACutFrameTheTailProbeRepeatsTheLastSegment) {
    offload_ = true;
    HeaderFields syn;
    syn.sack_permitted = true, syn.window_shift = 7;
    accept(syn);
    write(connection_, "x");
    flight();
    now_ = now_ + milliseconds(10);
    ack(our_seq_ + 1);  // a round-trip sample
    our_seq_ = our_seq_ + 1;
    for (int i = 0; i < 3; i++) write(connection_, std::string(2000, 'y'));
    const auto frame = flight();
    ASSERT_GE(frame[0].payload.size(), 1460u * 2) << "one frame, cut by the port";
    advance(milliseconds(250));
    ASSERT_FALSE(sent_.empty());
    EXPECT_LE(sent_[0].payload.size(), 1460u);
    EXPECT_EQ(sent_[0].segment.end(), our_seq_ + 6000);
    EXPECT_EQ(stack_->counters().tlp_probes, 1u);
}

TEST_F(Recover, CrumbsInFlightAreBounded) {  // CVE-2019-11478
    HeaderFields syn;
    syn.sack_permitted = true, syn.window_shift = 7;
    accept(syn);
    tcb().congestion.cwnd = 1 << 20;
    uint32_t sent = 0;
    for (int i = 0; i < 2000; i++) {
        write(connection_, "x");
        sent += static_cast<uint32_t>(flight().size());
    }
    EXPECT_EQ(sent, kSmallInFlightMax);
    ack(our_seq_ + 10);
    const auto rest = flight();
    ASSERT_EQ(rest.size(), 1u);
    EXPECT_EQ(rest[0].payload.size(), 2000u - kSmallInFlightMax) << "together";
}

/// Round trips of `rtt(i)` milliseconds until slow start ends; returns cwnd in segments.
uint32_t slow_start(bool cubic, uint32_t (*rtt_ms)(uint32_t window), uint32_t limit) {
    Congestion c;
    c.start(10 * 1000, cubic);
    Seq una{1}, nxt{1};
    Instant now{1'000'000};
    for (int round = 0; round < 60 && c.slow_start() && c.cwnd < limit * 1000; round++) {
        nxt = una + c.cwnd;
        const uint32_t segments = c.cwnd / 1000, ms = rtt_ms(segments);
        now = now + milliseconds(ms);
        for (uint32_t i = 0; i < segments; i++) {
            una = una + 1000;
            if (c.hystart()) c.on_round(una, nxt + i * 1000, milliseconds(ms));
            c.on_ack(1000, 1000, now, milliseconds(ms));
        }
    }
    return c.cwnd / 1000;
}

TEST(HyStart, AGrowingQueueEndsTheFirstSlowStart) {  // RFC 9406
    // 50 ms, and a bottleneck that holds 100 segments: beyond them each adds half a millisecond.
    auto queued = [](uint32_t window) -> uint32_t { return 50 + (window > 100 ? (window - 100) / 2 : 0); };
    for (const bool cubic : {true, false}) {
        const uint32_t segments = slow_start(cubic, queued, 100'000);
        EXPECT_GT(segments, 100u);
        EXPECT_LT(segments, 700u) << "five rounds at a quarter of the pace";
    }
}

TEST(HyStart, AFlatRoundTripDoesNot) {
    EXPECT_GE(slow_start(true, [](uint32_t) -> uint32_t { return 50; }, 5'000), 5'000u);
}

TEST(HyStart, ARepairThatIsNoCongestionCanBeTakenBack) {
    Congestion c;
    c.start(10'000, true);
    c.on_round(Seq{1}, Seq{10'001}, milliseconds(20));
    c.hold(1000);
    EXPECT_EQ(c.cwnd, 10'000u);
    c.undo(1000);
    EXPECT_EQ(c.cwnd, 10'000u) << "not what the rounds' memory reads like as a window";
    EXPECT_EQ(c.ssthresh, 10'000u);
}

TEST(HyStart, CubicStartsFromWhereItEnded) {
    Congestion c;
    c.start(10'000, true);
    c.ssthresh = 10'000;
    for (uint64_t i = 0; i < 2000; i++) c.on_ack(1000, 1000, Instant{1'000'000 + i * 10'000}, milliseconds(100));
    EXPECT_FALSE(c.hystart());
    EXPECT_GT(c.cwnd, 10'000u);
    EXPECT_LT(c.cwnd, 40'000'000u);
}

}  // namespace
}  // namespace sluice::tcp
