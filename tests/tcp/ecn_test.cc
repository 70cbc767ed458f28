// Explicit congestion notification (RFC 3168, 8511): agreeing both ways, falling back, echoing marks, answering them.
// In: exact segments and IP bits. Out: what left, with its IP bits. One stack, a peer played by hand. Owns nothing.
#include "tests/tcp/script.h"

namespace sluice::tcp {
namespace {

class Ecn : public ConnectedScript {
 protected:
    void start_with(StackConfig::Ecn mode) {
        StackConfig config;
        config.ecn = mode;
        start(config);
    }
    void accept_ecn() {
        HeaderFields syn;
        syn.flags = kEce | kCwr;
        syn.sack_permitted = true;
        accept(syn);
    }
    /// Active open; the first SYN as it left.
    Answer open() {
        connection_ = stack_->connect(peer_, {}, {}, nullptr, now_, nullptr);
        return expect();
    }
    void answer_syn(const Answer& syn, uint8_t flags) {
        HeaderFields f;
        f.destination_port = syn.source_port, f.flags = static_cast<uint8_t>(kSyn | kAck | flags), f.seq = Seq{500};
        f.ack = syn.segment.seq + 1, f.window = 65535, f.mss = 1460;
        deliver(f);
        EXPECT_TRUE(events() & kConnected);
        our_seq_ = syn.segment.seq + 1, their_seq_ = Seq{501};
        while (poll()) {}
    }
};

TEST_F(Ecn, AgreedOnRequest) {
    accept_ecn();
    EXPECT_EQ(syn_ack_.flags, kSyn | kAck | kEce);
    write(connection_, "text");
    const Answer text = expect();
    EXPECT_EQ(text.ecn, kEct0);
    EXPECT_EQ(text.segment.flags & (kEce | kCwr), 0);
    HeaderFields f = next(kAck);
    f.ack = our_seq_ + 4;
    deliver(f, "answer");
    advance(milliseconds(50));
    ASSERT_EQ(sent_.size(), 1u);
    EXPECT_EQ(sent_[0].ecn, 0) << "a pure ACK is not ECT (RFC 3168 6.1.4)";
}

TEST_F(Ecn, NotAskedOrOff) {
    accept();
    EXPECT_EQ(syn_ack_.flags, kSyn | kAck);
    write(connection_, "text");
    EXPECT_EQ(expect().ecn, 0);
    connection_->abort(), connection_->release(), poll();
    connection_ = nullptr, listener_ = nullptr;
    start_with(StackConfig::Ecn::kOff);
    accept_ecn();
    EXPECT_EQ(syn_ack_.flags, kSyn | kAck);
}

TEST_F(Ecn, ActiveOpenAsksAndIsAgreedTo) {
    start_with(StackConfig::Ecn::kOn);
    const Answer syn = open();
    EXPECT_EQ(syn.segment.flags, kSyn | kEce | kCwr);
    EXPECT_EQ(syn.ecn, 0);
    answer_syn(syn, kEce);
    write(connection_, "text");
    EXPECT_EQ(static_cast<int>(connection_->state()), static_cast<int>(State::kEstablished));
    EXPECT_EQ(expect().ecn, kEct0);
}

TEST_F(Ecn, ReflectedBitsAreNoAgreement) {
    start_with(StackConfig::Ecn::kOn);
    answer_syn(open(), kEce | kCwr);
    write(connection_, "text");
    EXPECT_EQ(expect().ecn, 0);
}

TEST_F(Ecn, ALostSynIsRepeatedWithoutAsking) {  // RFC 3168 6.1.1.1
    start_with(StackConfig::Ecn::kOn);
    const Answer first = open();
    advance(milliseconds(1100));
    ASSERT_EQ(sent_.size(), 1u);
    EXPECT_EQ(sent_[0].segment.flags, kSyn);
    answer_syn(first, kEce);  // the first arrived after all
    write(connection_, "text");
    EXPECT_EQ(expect().ecn, 0) << "a SYN without the bits was sent: no ECT";
}

TEST_F(Ecn, APlainRepeatOfTheirSynWithdrawsTheRequest) {
    stack_->listen(us_, this, {});
    HeaderFields syn;
    syn.flags = kSyn | kEce | kCwr, syn.seq = Seq{1000}, syn.window = 65535;
    deliver(syn);
    EXPECT_EQ(expect().segment.flags, kSyn | kAck | kEce);
    syn.flags = kSyn;
    deliver(syn);
    const Answer again = expect();
    EXPECT_EQ(again.segment.flags, kSyn | kAck);
    our_seq_ = again.segment.seq + 1, their_seq_ = Seq{1001};
    deliver(next(kAck));
    ASSERT_TRUE(events(&connection_) & kAccepted);
    write(connection_, "text");
    EXPECT_EQ(expect().ecn, 0);
}

TEST_F(Ecn, MarksAreEchoedUntilAnswered) {
    accept_ecn();
    HeaderFields f = next(kAck);
    next_ecn_ = kCongestionExperienced;
    deliver(f, "a");
    EXPECT_EQ(expect().segment.flags, kAck | kEce) << "at once";
    f.seq = f.seq + 1;
    next_ecn_ = kEct0;
    deliver(f, "b");
    advance(milliseconds(50));
    ASSERT_EQ(sent_.size(), 1u);
    EXPECT_EQ(sent_[0].segment.flags, kAck | kEce) << "still";
    write(connection_, "x");
    EXPECT_EQ(expect().segment.flags & (kEce | kCwr), kEce) << "on text too";
    f.seq = f.seq + 1, f.flags = kAck | kCwr, f.ack = our_seq_ + 1;
    next_ecn_ = kEct0;
    deliver(f, "c");
    sent_.clear();
    advance(milliseconds(50));
    ASSERT_EQ(sent_.size(), 1u);
    EXPECT_EQ(sent_[0].segment.flags, kAck) << "answered";
    f.seq = f.seq + 1;
    next_ecn_ = kCongestionExperienced;
    deliver(f, "d");
    EXPECT_EQ(expect().segment.flags, kAck | kEce) << "CWR and a new mark on one segment: echoed";
    EXPECT_EQ(stack_->counters().ecn_marks_in, 2u);
}

TEST_F(Ecn, AMarkReducesOnceAWindowAndIsAnsweredOnce) {
    accept_ecn();
    auto& t = *static_cast<Tcb*>(connection_);
    write(connection_, std::string(1460 * 30, 'x'));
    uint32_t flight = 0;
    while (auto a = poll()) {
        EXPECT_EQ(a->ecn, kEct0);
        flight++;
    }
    ASSERT_EQ(flight, 10u);
    const uint32_t before = t.congestion.cwnd;
    HeaderFields f = next(kAck | kEce);
    for (int i = 1; i <= 5; i++) {
        f.ack = our_seq_ + 1460u * static_cast<uint32_t>(i);
        deliver(f);
    }
    EXPECT_EQ(stack_->counters().ecn_reductions, 1u);
    EXPECT_EQ(t.congestion.cwnd, before * 85 / 100) << "RFC 8511: 0.85 for CUBIC";
    EXPECT_EQ(t.congestion.cwnd, t.congestion.ssthresh);
    std::vector<Answer> out;
    while (auto a = poll()) out.push_back(*a);
    ASSERT_GE(out.size(), 2u);
    EXPECT_EQ(out[0].segment.flags & kCwr, kCwr);
    EXPECT_EQ(out[1].segment.flags & kCwr, 0);
    EXPECT_EQ(stack_->counters().retransmits, 0u) << "a mark is no loss";
    f.ack = our_seq_ + 1460u * 11;  // beyond what was in flight at the first mark
    deliver(f);
    EXPECT_EQ(stack_->counters().ecn_reductions, 2u);
}

TEST_F(Ecn, RepeatsAreNotEct) {
    accept_ecn();
    write(connection_, std::string(1460 * 6, 'x'));
    std::vector<Answer> flight;
    while (auto a = poll()) flight.push_back(*a);
    now_ = now_ + milliseconds(20);
    HeaderFields f = next(kAck);
    const SackBlock block[1] = {{flight[1].segment.seq, flight[5].segment.end()}};
    f.sack = block;
    deliver(f);
    const Answer again = expect();
    EXPECT_EQ(again.segment.seq, flight[0].segment.seq);
    EXPECT_EQ(again.ecn, 0) << "RFC 3168 6.1.5";
    write(connection_, std::string(1460, 'y'));
    f.ack = flight[5].segment.end(), f.sack = {};
    deliver(f);
    const Answer fresh = expect();
    EXPECT_EQ(fresh.ecn, kEct0);
    EXPECT_EQ(fresh.segment.flags & kCwr, kCwr) << "cwnd fell for the loss: the peer is told as well (6.1.2)";
}

TEST_F(Ecn, CookiesRememberIt) {
    StackConfig config;
    config.syn_backlog = 0;
    start(config);
    HeaderFields syn;
    syn.flags = kSyn | kEce | kCwr, syn.seq = Seq{1000}, syn.window = 65535, syn.timestamp = true, syn.ts_value = 9;
    stack_->listen(us_, this, {});
    deliver(syn);
    const Answer cookie = expect();
    EXPECT_EQ(cookie.segment.flags, kSyn | kAck | kEce);
    our_seq_ = cookie.segment.seq + 1, their_seq_ = Seq{1001};
    HeaderFields f = next(kAck);
    f.timestamp = true, f.ts_value = 10, f.ts_echo = cookie.segment.ts_value;
    deliver(f);
    ASSERT_TRUE(events(&connection_) & kAccepted);
    EXPECT_EQ(static_cast<Tcb*>(connection_)->rtt.rto_us, 1'000'000u) << "a cookie is no repeated SYN";
    write(connection_, "text");
    EXPECT_EQ(expect().ecn, kEct0);
}

}  // namespace
}  // namespace sluice::tcp
