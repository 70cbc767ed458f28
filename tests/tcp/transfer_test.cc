// Text in both directions: ACK policy, windows, silly windows, probes, recovery, keep-alive. One peer, exact segments.
#include "tests/tcp/script.h"

namespace sluice::tcp {
namespace {

class Transfer : public ConnectedScript {
 protected:
    void receive_text(std::string_view text, Seq seq) {
        HeaderFields f = next(kAck | kPsh);
        f.seq = seq;
        deliver(f, text);
    }
};

TEST_F(Transfer, AnAnswerCarriesTheAck) {
    accept();
    receive_text("GET", their_seq_);
    EXPECT_EQ(events(), kReadable);
    expect_silence();
    EXPECT_EQ(read(connection_), "GET");
    write(connection_, "OK");
    const Answer a = expect();
    EXPECT_EQ(a.payload, "OK");
    EXPECT_EQ(a.segment.ack, their_seq_ + 3);
    expect_silence();
}

TEST_F(Transfer, ALoneSegmentIsAcknowledgedWithinTheDelay) {
    accept();
    receive_text("GET", their_seq_);
    advance(milliseconds(39));
    EXPECT_TRUE(sent_.empty());
    advance(milliseconds(3));
    ASSERT_EQ(sent_.size(), 1u);
    EXPECT_EQ(sent_[0].segment.ack, their_seq_ + 3);
    EXPECT_EQ(read(connection_), "GET");
}

TEST_F(Transfer, EverySecondFullSegmentAtOnce) {
    accept();
    const std::string full(1460, 'x');
    for (uint32_t i = 0; i < 40; i++) {
        receive_text(full, their_seq_ + i * 1460);
        read(connection_);
        if (i >= 20 && i % 2 == 0) expect_silence();
        else if (i >= 20) EXPECT_EQ(expect().segment.ack, their_seq_ + (i + 1) * 1460);
        else poll();
    }
}

/// Bursts of many connections: one ACK speaks for up to eight segments, and for less after a moment (RFC 9293 3.8.6.3).
TEST_F(Transfer, InABacklogAcksArePutTogetherOverTurns) {
    accept();
    const std::string full(1460, 'x');
    uint32_t n = 0;
    const auto burst = [&](uint32_t segments) {
        for (uint32_t i = 0; i < segments; i++, n++) receive_text(full, their_seq_ + n * 1460);
        read(connection_);
    };
    for (int i = 0; i < 40; i++) burst(1), poll();   // past the quick ACKs of the start
    stack_->set_backlog(true);
    burst(2);
    expect_silence();
    burst(2);
    expect_silence();
    burst(4);
    EXPECT_EQ(expect().segment.ack, their_seq_ + n * 1460);
    expect_silence();
    burst(3);
    expect_silence();
    sent_.clear();
    advance(milliseconds(2));
    ASSERT_EQ(sent_.size(), 1u) << "nothing more came";
    EXPECT_EQ(sent_[0].segment.ack, their_seq_ + n * 1460);
    burst(2);
    stack_->set_backlog(false);
    burst(1);
    EXPECT_EQ(expect().segment.ack, their_seq_ + n * 1460) << "one by one again";
    stack_->set_backlog(true);
    receive_text(full, their_seq_ + (n + 1) * 1460);
    EXPECT_EQ(expect().segment.ack, their_seq_ + n * 1460) << "a gap is told at once";
}

TEST_F(Transfer, AfterAGapFullSegmentsAreAcknowledgedOneByOne) {
    accept();
    const std::string full(1460, 'x');
    uint32_t n = 0;
    for (; n < 40; n++) {   // past the quick ACKs of the start
        receive_text(full, their_seq_ + n * 1460);
        read(connection_);
        poll();
    }
    receive_text(full, their_seq_ + n * 1460);
    expect_silence();       // every second one
    receive_text(full, their_seq_ + (n + 2) * 1460);
    EXPECT_EQ(expect().segment.ack, their_seq_ + (n + 1) * 1460);
    receive_text(full, their_seq_ + (n + 1) * 1460);
    EXPECT_EQ(expect().segment.ack, their_seq_ + (n + 3) * 1460);
    read(connection_);
    n += 3;
    poll();
    // A sender that lost has few segments in flight: a delayed ACK would stop it for 40 ms.
    for (uint32_t i = 0; i < 10; i++, n++) {
        receive_text(full, their_seq_ + n * 1460);
        read(connection_);
        EXPECT_EQ(expect().segment.ack, their_seq_ + (n + 1) * 1460) << i;
    }
}

/// A burst is handled whole before anything is sent. Where segments get lost, ACKs do: each segment keeps its own (RFC 5681 4.2).
TEST_F(Transfer, ABurstWithAGapIsAcknowledgedSegmentBySegment) {
    HeaderFields syn;
    syn.sack_permitted = true;
    accept(syn);
    const std::string full(1460, 'x');
    for (const uint32_t i : {0u, 1u, 2u}) receive_text(full, their_seq_ + i * 1460);
    EXPECT_EQ(expect().segment.ack, their_seq_ + 3 * 1460) << "one for all while nothing is missing";
    expect_silence();
    for (const uint32_t i : {4u, 5u, 7u, 3u, 6u}) receive_text(full, their_seq_ + i * 1460);
    const struct { uint32_t ack, sack_from, sack_to; } expected[] = {{3, 4, 5}, {3, 4, 6}, {3, 7, 8}, {6, 7, 8}, {8, 0, 0}};
    for (const auto& e : expected) {
        const Segment s = expect().segment;
        EXPECT_EQ(s.ack, their_seq_ + e.ack * 1460);
        if (e.sack_to == 0) EXPECT_EQ(s.sack_count, 0);
        else EXPECT_EQ(s.sack[0], (SackBlock{their_seq_ + e.sack_from * 1460, their_seq_ + e.sack_to * 1460}));
    }
    expect_silence();
    for (uint32_t i = 0; i < 20; i++) receive_text(full, their_seq_ + (8 + i) * 1460);
    uint32_t acks = 0;
    while (poll()) acks++;
    EXPECT_EQ(acks, 16u) << "fifteen one by one, then together again";
    read(connection_);
}

TEST_F(Transfer, AGapIsReportedAndClosed) {
    HeaderFields syn;
    syn.sack_permitted = true;
    accept(syn);
    receive_text("defg", their_seq_ + 3);
    Answer a = expect();
    EXPECT_EQ(a.segment.ack, their_seq_);
    ASSERT_EQ(a.segment.sack_count, 1);
    EXPECT_EQ(a.segment.sack[0], (SackBlock{their_seq_ + 3, their_seq_ + 7}));
    EXPECT_EQ(read(connection_), "");
    receive_text("abcd", their_seq_);
    a = expect();
    EXPECT_EQ(a.segment.ack, their_seq_ + 7);
    EXPECT_EQ(a.segment.sack_count, 0);
    EXPECT_EQ(read(connection_), "abcdefg");
    receive_text("abcd", their_seq_);
    a = expect();
    ASSERT_EQ(a.segment.sack_count, 1) << "D-SACK";
    EXPECT_EQ(a.segment.sack[0], (SackBlock{their_seq_, their_seq_ + 4}));
}

/// A frame that was only late comes after its repeat, with the older timestamp. Dropped by PAWS, it is a duplicate all the same: a
/// sender that is not told reduces its window for nothing, and goes on repeating what is only late.
TEST_F(Transfer, ALateOriginalIsReportedThoughItsTimestampIsOld) {
    HeaderFields syn;
    syn.sack_permitted = syn.timestamp = true, syn.ts_value = 1000;
    accept(syn);
    HeaderFields f = next(kAck);
    f.timestamp = true, f.ts_value = 1005;
    deliver(f, "repeat");
    expect_silence();
    f.ts_value = 1003;
    deliver(f, "repeat");
    EXPECT_EQ(stack_->counters().paws_dropped, 1u);
    Segment s = expect().segment;
    ASSERT_EQ(s.sack_count, 1) << "RFC 2883";
    EXPECT_EQ(s.sack[0], (SackBlock{their_seq_, their_seq_ + 6}));
    f.seq = their_seq_ + 4;
    deliver(f, "at and beyond");  // only what is known is a duplicate; the rest is not taken, for its age
    s = expect().segment;
    ASSERT_EQ(s.sack_count, 1);
    EXPECT_EQ(s.sack[0], (SackBlock{their_seq_ + 4, their_seq_ + 6}));
    EXPECT_EQ(s.ack, their_seq_ + 6);
    EXPECT_EQ(read(connection_), "repeat");
}

TEST_F(Transfer, AWindowIsNeverOverrunAndOpensInUsefulSteps) {
    Options options;
    options.receive_buffer_bytes = 3000;
    accept({}, options);
    receive_text(std::string(1460, 'a'), their_seq_);
    receive_text(std::string(1460, 'b'), their_seq_ + 1460);
    Answer a = expect();
    EXPECT_EQ(a.segment.window, 80u);
    receive_text(std::string(1460, 'c'), their_seq_ + 2920);
    a = expect();
    EXPECT_EQ(a.segment.ack, their_seq_ + 3000) << "what lies beyond the window is cut off";
    EXPECT_EQ(a.segment.window, 0u);
    connection_->receive_queue().consume(100);
    connection_->consumed(100);
    expect_silence();  // 100 bytes are no window worth telling (RFC 9293 3.8.6.2.2)
    receive_text("d", their_seq_ + 3000);
    EXPECT_EQ(expect().segment.window, 0u) << "a probe is answered";
    connection_->receive_queue().consume(2900);
    connection_->consumed(2900);
    EXPECT_EQ(expect().segment.window, 3000u);
}

TEST_F(Transfer, BackPressureHoldsTheWindow) {
    accept();
    connection_->set_read_enabled(false);
    receive_text(std::string(1000, 'a'), their_seq_);
    read(connection_);
    const uint32_t held = expect().segment.window;
    EXPECT_LT(held, 65535u);
    for (int i = 1; i < 60; i++) {
        receive_text(std::string(1000, 'a'), their_seq_ + 1000 * i);
        read(connection_);
    }
    Answer last{};
    while (auto a = poll()) last = *a;
    EXPECT_LT(last.segment.window, 10'000u) << "consumed, but not offered again";
    connection_->set_read_enabled(true);
    EXPECT_GT(expect().segment.window, 30'000u);
}

TEST_F(Transfer, NagleAndNoDelay) {
    Options options;
    options.no_delay = false;
    accept({}, options);
    write(connection_, "a");
    EXPECT_EQ(expect().payload, "a");
    write(connection_, "b");
    write(connection_, "c");
    expect_silence();
    our_seq_ = our_seq_ + 1;
    deliver(next(kAck));
    EXPECT_EQ(expect().payload, "bc");
}

TEST_F(Transfer, ThreeDuplicatesRepeatTheFirstSegment) {
    accept();
    write(connection_, std::string(1460 * 8, 'x'));
    std::vector<Answer> flight;
    while (auto a = poll()) flight.push_back(*a);
    ASSERT_EQ(flight.size(), 8u);
    for (int i = 0; i < 2; i++) deliver(next(kAck));
    expect_silence();
    deliver(next(kAck));
    const Answer again = expect();
    EXPECT_EQ(again.segment.seq, flight[0].segment.seq);
    EXPECT_EQ(again.payload, flight[0].payload);
    EXPECT_EQ(stack_->counters().fast_recoveries, 1u);
}

TEST_F(Transfer, SackRepeatsExactlyTheHoles) {
    HeaderFields syn;
    syn.sack_permitted = true;
    accept(syn);
    write(connection_, std::string(1460 * 10, 'x'));
    std::vector<Answer> flight;
    while (auto a = poll()) flight.push_back(*a);
    ASSERT_EQ(flight.size(), 10u);
    now_ = now_ + milliseconds(20);
    HeaderFields f = next(kAck);
    const SackBlock blocks[2] = {{flight[2].segment.seq, flight[5].segment.seq}, {flight[6].segment.seq, flight[9].segment.end()}};
    f.sack = blocks;
    deliver(f);
    std::vector<uint32_t> repeated;
    while (auto a = poll()) repeated.push_back(a->segment.seq - our_seq_);
    EXPECT_EQ(repeated, (std::vector<uint32_t>{0, 1460, 5 * 1460}));
}

TEST_F(Transfer, TimeoutsBackOffAndGiveUp) {
    accept();
    write(connection_, "x");
    expect();
    std::vector<Instant> at;
    const Instant start = now_;
    while (!(events() & kFailed)) {
        ASSERT_LT(now_ - start, seconds(3000));
        advance(milliseconds(100));
        for (; !sent_.empty(); sent_.pop_back()) at.push_back(now_);
    }
    EXPECT_EQ(connection_->error(), Error::kTimedOut);
    ASSERT_EQ(at.size(), 15u);
    EXPECT_GE((at[2] - at[1]).us, (at[1] - at[0]).us * 3 / 2) << "RFC 6298 (5.5)";
    EXPECT_GT(now_ - start, seconds(100)) << "RFC 9293 MUST-23: R2 is at least 100 s";
}

TEST_F(Transfer, UserTimeout) {
    Options options;
    options.user_timeout = seconds(5);
    accept({}, options);
    write(connection_, "x");
    const Instant start = now_;
    while (!(events() & kFailed)) advance(milliseconds(100));
    EXPECT_GE(now_ - start, seconds(5));
    EXPECT_LT(now_ - start, seconds(13));
}

TEST_F(Transfer, ZeroWindowIsProbedAndOpens) {
    accept();
    HeaderFields f = next(kAck);
    f.window = 0;
    deliver(f);
    write(connection_, "hello");
    expect_silence();
    advance(seconds(3));
    ASSERT_GE(sent_.size(), 2u);
    for (const Answer& a : sent_) EXPECT_EQ(a.segment.seq, our_seq_ - 1) << "an old number asks for an ACK";
    f.window = 1000;
    deliver(f);
    EXPECT_EQ(expect().payload, "hello");
}

TEST_F(Transfer, KeepAliveProbesAndGivesUp) {
    Options options;
    options.keepalive_idle = seconds(10), options.keepalive_interval = seconds(2), options.keepalive_probes = 3;
    accept({}, options);
    advance(seconds(11));
    ASSERT_EQ(sent_.size(), 1u);
    EXPECT_EQ(sent_[0].segment.seq, our_seq_ - 1);
    deliver(next(kAck));
    sent_.clear();
    advance(seconds(9));
    EXPECT_TRUE(sent_.empty()) << "an answer starts the time anew";
    advance(seconds(10));
    EXPECT_EQ(sent_.size(), 3u);
    EXPECT_TRUE(events() & kFailed);
    EXPECT_EQ(connection_->error(), Error::kTimedOut);
}

/// Seed 11178: a probe was out when text was written, and the timer then fired every tick until that was acknowledged.
TEST_F(Transfer, KeepAliveRestsWhileTextIsOnItsWay) {
    Options options;
    options.keepalive_idle = seconds(10), options.keepalive_interval = seconds(2), options.keepalive_probes = 3;
    accept({}, options);
    advance(seconds(11));
    ASSERT_EQ(stack_->counters().keepalive_probes, 1u);
    write(connection_, "x");
    expect();
    unsigned wakeups = 0;
    for (const Instant end = now_ + seconds(10); stack_->poll_timeout() <= end; wakeups++) {
        now_ = std::max(now_, stack_->poll_timeout());
        stack_->handle_timeout(now_);
        while (poll()) {}
    }
    EXPECT_LT(wakeups, 100u);
    EXPECT_EQ(stack_->counters().keepalive_probes, 1u);
}

TEST_F(Transfer, RoomAndEvents) {
    Options options;
    options.send_buffer_bytes = 10'000;
    accept({}, options);
    connection_->set_want_sent(true);
    EXPECT_EQ(connection_->send_room(), 10'000u);
    write(connection_, std::string(10'000, 'x'));
    EXPECT_EQ(connection_->send_room(), 0u);
    while (poll()) {}
    our_seq_ = our_seq_ + 5000;
    deliver(next(kAck));
    EXPECT_EQ(events(), kWritable);
    EXPECT_EQ(connection_->unacknowledged(), 5000u);
    our_seq_ = our_seq_ + 5000;
    deliver(next(kAck));
    EXPECT_EQ(events(), kSent);
}

/// Found by tcp_segment_fuzz: half of a segment acknowledged up to an empty slice, which was then let go with the first half.
TEST_F(Transfer, EmptySlicesWithinASegment) {
    accept();
    SliceQueue data(*nodes_);
    for (const std::string_view text : {"a", "", "b", ""}) ASSERT_TRUE(data.push_back(test::heap_slice(text)));
    ASSERT_TRUE(connection_->write(std::move(data)));
    EXPECT_EQ(expect().payload, "ab");
    our_seq_ = our_seq_ + 1;
    deliver(next(kAck));
    write(connection_, "c");  // takes the list node that came free
    EXPECT_EQ(expect().payload, "c");
    advance(milliseconds(210));
    ASSERT_EQ(sent_.size(), 1u);
    EXPECT_EQ(sent_[0].payload, "b");
    our_seq_ = our_seq_ + 2;
    deliver(next(kAck));
    EXPECT_EQ(connection_->unacknowledged(), 0u);
}

TEST_F(Transfer, SmallSegmentsShareBuffers) {
    accept();
    // Received mbufs are the pool's own, as a driver gives them: 1000 one-byte segments must not pin 1000 of them.
    const unsigned before = rte_mempool_avail_count(test::test_mempool());
    for (uint32_t i = 0; i < 1000; i++) receive_text("x", their_seq_ + i);
    while (poll()) {}
    EXPECT_GE(rte_mempool_avail_count(test::test_mempool()) + 5, before);
    EXPECT_EQ(read(connection_).size(), 1000u);
}

TEST_F(Transfer, ASmallerPathMtuCutsAndRepeats) {
    accept();
    write(connection_, std::string(1460 * 3, 'x'));
    while (poll()) {}
    net::IcmpError icmp;
    icmp.kind = net::IcmpError::Kind::kFragmentationNeeded;
    icmp.tuple = connection_->tuple();
    icmp.path_mtu = 1000;
    icmp.sequence = (our_seq_ - 5000).v;
    stack_->handle_icmp_error(icmp, now_);
    expect_silence();  // RFC 5927: quotes nothing in flight
    icmp.sequence = our_seq_.v;
    stack_->handle_icmp_error(icmp, now_);
    uint32_t bytes = 0;
    while (auto a = poll()) {
        EXPECT_LE(a->payload.size(), 960u);
        bytes += static_cast<uint32_t>(a->payload.size());
    }
    EXPECT_EQ(bytes, 1460u * 3);
}

}  // namespace
}  // namespace sluice::tcp
