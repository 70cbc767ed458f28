// Endings: orderly, half, both at once, abortive, by the peer, by attackers who do not succeed, and TIME-WAIT.
#include "base/rng.h"
#include "tcp/stack_impl.h"
#include "tests/tcp/script.h"

namespace sluice::tcp {
namespace {

class Close : public Script {
 protected:
    void finish() {
        connection_->abort();
        connection_->release();
        while (poll()) {}
    }
};

TEST_F(Close, TheyCloseFirst) {
    accept();
    deliver(next(kAck | kFin), "bye");
    EXPECT_EQ(events(), kReadable | kPeerClosed);
    EXPECT_EQ(connection_->state(), State::kCloseWait);
    EXPECT_EQ(expect().segment.ack, their_seq_ + 4);
    EXPECT_EQ(read(connection_), "bye");
    write(connection_, "later");
    EXPECT_EQ(expect().payload, "later") << "half closed: we may still send";
    connection_->release();
    const Answer fin = expect();
    EXPECT_EQ(fin.segment.flags & kFin, kFin);
    their_seq_ = their_seq_ + 4, our_seq_ = fin.segment.seq + 1;
    deliver(next(kAck));
    EXPECT_EQ(stack_->connections(), 0u);
    EXPECT_EQ(stack_->time_wait(), 0u) << "the side that closes first waits";
}

TEST_F(Close, WeCloseFirstAndWait) {
    accept();
    write(connection_, "x");
    connection_->shutdown_write();
    const Answer fin = expect();
    EXPECT_EQ(fin.payload, "x");
    EXPECT_EQ(fin.segment.flags & kFin, kFin);
    EXPECT_EQ(connection_->state(), State::kFinWait1);
    our_seq_ = our_seq_ + 2;
    deliver(next(kAck), "still talking");
    EXPECT_EQ(connection_->state(), State::kFinWait2);
    EXPECT_EQ(read(connection_), "still talking");
    their_seq_ = their_seq_ + 13;
    deliver(next(kAck | kFin));
    EXPECT_TRUE(events() & kPeerClosed);
    EXPECT_EQ(expect().segment.ack, their_seq_ + 1);
    EXPECT_EQ(stack_->time_wait(), 1u);
    connection_->release();
    EXPECT_EQ(stack_->connections(), 0u) << "TIME-WAIT needs no control block";
    deliver(next(kAck | kFin));
    EXPECT_EQ(expect().segment.ack, their_seq_ + 1) << "our last ACK was lost: again";
    HeaderFields rst = next(kRst);
    deliver(rst);
    EXPECT_EQ(stack_->time_wait(), 1u) << "RFC 1337";
    advance(seconds(61));
    EXPECT_EQ(stack_->time_wait(), 0u);
}

TEST_F(Close, BothAtOnce) {
    accept();
    connection_->shutdown_write();
    EXPECT_EQ(expect().segment.flags & kFin, kFin);
    deliver(next(kAck | kFin));
    EXPECT_EQ(connection_->state(), State::kClosing);
    expect();
    their_seq_ = their_seq_ + 1, our_seq_ = our_seq_ + 1;
    deliver(next(kAck));
    EXPECT_EQ(stack_->time_wait(), 1u);
    connection_->release();
    advance(seconds(61));
}

TEST_F(Close, TimeWaitLetsANewSynIn) {
    HeaderFields syn;
    syn.timestamp = true, syn.ts_value = 100;
    accept(syn);
    connection_->shutdown_write();
    const Seq old_fin = expect().segment.seq;
    our_seq_ = our_seq_ + 1;
    HeaderFields f = next(kAck | kFin);
    f.timestamp = true, f.ts_value = 101;
    deliver(f);
    expect();
    connection_->release();
    syn.flags = kSyn, syn.seq = Seq{500}, syn.ts_value = 101;
    deliver(syn);
    EXPECT_NE(expect().segment.flags, kSyn | kAck) << "not newer than what was seen";
    syn.ts_value = 200;
    deliver(syn);
    const Answer a = expect();
    EXPECT_EQ(a.segment.flags, kSyn | kAck);
    EXPECT_TRUE(a.segment.seq.after(old_fin)) << "above the old numbers";
    EXPECT_EQ(stack_->time_wait(), 0u);
    EXPECT_EQ(stack_->counters().time_wait_reused, 1u);
    advance(seconds(200));
}

TEST_F(Close, UnreadTextMakesItAReset) {  // RFC 2525 2.17
    accept();
    deliver(next(kAck), "unread");
    connection_->release();
    EXPECT_EQ(expect().segment.flags & kRst, kRst);
    EXPECT_EQ(stack_->connections(), 0u);
}

TEST_F(Close, TextForAReleasedConnectionIsReset) {
    accept();
    connection_->release();
    EXPECT_EQ(expect().segment.flags & kFin, kFin);
    our_seq_ = our_seq_ + 1;
    deliver(next(kAck), "anybody there?");
    EXPECT_EQ(expect().segment.flags & kRst, kRst);
    EXPECT_EQ(stack_->connections(), 0u);
}

TEST_F(Close, OrphansDoNotStay) {
    accept();
    connection_->release();
    expect();
    our_seq_ = our_seq_ + 1;
    deliver(next(kAck));  // FIN-WAIT-2, and then silence
    EXPECT_EQ(stack_->connections(), 1u);
    advance(seconds(62));
    EXPECT_EQ(stack_->connections(), 0u);
    EXPECT_EQ(stack_->poll_timeout(), Instant::never());
}

TEST_F(Close, ZeroWindowHoldsAnOrphanForAMinute) {  // THREATS 6
    accept();
    HeaderFields f = next(kAck);
    f.window = 0;
    deliver(f);
    write(connection_, "never read");
    connection_->release();
    for (int i = 0; i < 62; i++) {
        advance(seconds(1));
        if (stack_->connections()) deliver(f);  // the peer is alive, and keeps its window shut
    }
    EXPECT_EQ(stack_->connections(), 0u);
    EXPECT_EQ(nodes_->in_use(), 0u);
    while (poll()) {}
}

TEST_F(Close, ResetOnlyByTheExactNumber) {  // RFC 5961 3
    accept();
    HeaderFields rst = next(kRst);
    rst.seq = their_seq_ + 1;
    deliver(rst);
    const Answer challenge = expect();
    EXPECT_EQ(challenge.segment.flags, kAck);
    EXPECT_EQ(challenge.segment.ack, their_seq_);
    for (int i = 2; i < 1000; i++) {
        rst.seq = their_seq_ + static_cast<uint32_t>(i);
        deliver(rst);
    }
    expect_silence();  // challenges are limited
    EXPECT_EQ(connection_->state(), State::kEstablished);
    rst.seq = their_seq_;
    deliver(rst);
    EXPECT_EQ(events(), kFailed);
    EXPECT_EQ(connection_->error(), Error::kReset);
    connection_->release();
}

TEST_F(Close, ChallengesOfTheCoreAreLimitedAndTheLimitIsNotSteady) {  // RFC 5961 7, CVE-2016-5696
    StackConfig config;
    config.connections_max = 8192;
    start(config);
    std::vector<Connection*> all;
    for (int i = 0; i < 8000; i++) all.push_back(stack_->connect(peer_, {}, {}, nullptr, now_, nullptr));
    std::vector<HeaderFields> rsts;
    std::vector<Answer> syns;
    while (auto a = poll()) syns.push_back(*a);
    ASSERT_EQ(syns.size(), all.size());
    for (const Answer& syn : syns) {
        HeaderFields f;
        f.destination_port = syn.source_port, f.flags = kSyn | kAck, f.seq = Seq{1}, f.ack = syn.segment.seq + 1, f.window = 9999;
        deliver(f);
        f.flags = kRst, f.seq = Seq{100};  // in the window, not exact
        rsts.push_back(f);
    }
    while (poll()) {}
    uint64_t last = 0;
    unsigned different = 0;
    for (int second = 0; second < 5; second++) {
        now_ = now_ + seconds(1);
        const uint64_t before = stack_->counters().challenge_acks;
        for (const HeaderFields& f : rsts) deliver(f);
        while (poll()) {}
        const uint64_t n = stack_->counters().challenge_acks - before;
        EXPECT_GE(n, kChallengesPerSecond / 2);
        EXPECT_LT(n, kChallengesPerSecond * 3 / 2);
        different += n != last;
        last = n;
    }
    EXPECT_EQ(different, 5u);
    for (Connection* c : all) c->abort(), c->release();
    while (poll()) {}
}

TEST_F(Close, AMillionRandomResetsAndSyns) {
    accept();
    Rng rng(3);
    uint64_t answers = 0;
    for (int i = 0; i < 1'000'000; i++) {
        HeaderFields f = next(rng.chance(0.8) ? kRst : kSyn);
        f.seq = Seq{static_cast<uint32_t>(rng.next())};
        if (f.seq == their_seq_ && f.flags == kRst) continue;
        deliver(f);
        while (poll()) answers++;
    }
    EXPECT_EQ(connection_->state(), State::kEstablished);
    EXPECT_LE(answers, 1u) << "no time has passed: one challenge";
    finish();
}

TEST_F(Close, BlindTextAndAcksAreRefused) {  // RFC 5961 4, 5
    accept();
    HeaderFields f = next(kAck);
    f.ack = our_seq_ + 100;  // acknowledges what was never sent
    deliver(f, "evil");
    EXPECT_EQ(read(connection_), "");
    f.ack = our_seq_ - 100'000;
    deliver(f, "evil");
    EXPECT_EQ(read(connection_), "");
    f = next(kSyn);
    deliver(f);
    EXPECT_EQ(connection_->state(), State::kEstablished);
    EXPECT_LE(stack_->counters().challenge_acks, 1u);
    while (poll()) {}
    finish();
}

TEST_F(Close, OldTimestampsAreDropped) {  // PAWS
    HeaderFields syn;
    syn.timestamp = true, syn.ts_value = 1000;
    accept(syn);
    HeaderFields f = next(kAck);
    f.timestamp = true, f.ts_value = 999;
    deliver(f, "old");
    EXPECT_EQ(read(connection_), "");
    EXPECT_EQ(stack_->counters().paws_dropped, 1u);
    EXPECT_EQ(expect().segment.ts_echo, 1000u);
    f.ts_value = 1001;
    deliver(f, "new");
    EXPECT_EQ(read(connection_), "new");
    f.timestamp = false;
    f.seq = f.seq + 3;
    deliver(f, "bare");
    EXPECT_EQ(read(connection_), "") << "RFC 7323 3.2: agreed timestamps must be there";
    while (poll()) {}
    finish();
}

TEST_F(Close, IcmpErrorsOnlyEndWhatIsOpening) {  // RFC 5927
    accept();
    write(connection_, "x");
    expect();
    net::IcmpError icmp;
    icmp.kind = net::IcmpError::Kind::kPortUnreachable;
    icmp.tuple = connection_->tuple();
    icmp.sequence = our_seq_.v;
    stack_->handle_icmp_error(icmp, now_);
    EXPECT_EQ(connection_->state(), State::kEstablished);
    finish();
    Connection* c = stack_->connect(peer_, {}, {}, nullptr, now_, nullptr);
    const Answer syn = expect();
    icmp.tuple = c->tuple();
    icmp.sequence = syn.segment.seq.v + 5;
    stack_->handle_icmp_error(icmp, now_);
    EXPECT_EQ(c->state(), State::kSynSent);
    icmp.sequence = syn.segment.seq.v;
    stack_->handle_icmp_error(icmp, now_);
    EXPECT_EQ(c->error(), Error::kRefused);
    c->release();
}

/// RFC 9293 MUST-47: an error that ends nothing by itself is told, and is the reason if nothing comes back any more.
TEST_F(Close, ASoftErrorIsTheReasonInTheEnd) {
    for (const bool progress : {false, true}) {
        accept();
        write(connection_, "x");
        const Answer text = expect();
        net::IcmpError icmp;
        icmp.kind = net::IcmpError::Kind::kHostUnreachable;
        icmp.tuple = connection_->tuple();
        icmp.sequence = our_seq_.v;
        stack_->handle_icmp_error(icmp, now_);
        EXPECT_EQ(connection_->info().soft_error, Error::kUnreachable);
        if (progress) {
            our_seq_ = text.segment.seq + 1;
            deliver(next(kAck));
            EXPECT_EQ(connection_->info().soft_error, Error::kNone) << "the path works again";
            write(connection_, "y");
        }
        advance(seconds(3600));
        EXPECT_TRUE(events() & kFailed);
        EXPECT_EQ(connection_->error(), progress ? Error::kTimedOut : Error::kUnreachable);
        connection_->release();
        while (poll()) {}
    }
}

/// Found by tcp_segment_fuzz: closed, its handle still held, and bytes nobody has read when the stack ends.
TEST_F(Close, TheStackEndsWithUnreadTextOfAClosedConnection) {
    accept();
    connection_->shutdown_write();
    expect();
    our_seq_ = our_seq_ + 1;
    deliver(next(kAck | kFin), "unread");
    EXPECT_EQ(connection_->state(), State::kTimeWait);
    expect();  // TearDown counts mbufs and list nodes
}

TEST_F(Close, UnwantedSegmentsGetAReset) {
    HeaderFields f = next(kAck);
    f.ack = Seq{4711};
    EXPECT_FALSE(deliver(f)) << "no listener: the caller decides";
    listener_ = stack_->listen(us_, this, {});
    EXPECT_TRUE(deliver(f));
    const Answer rst = expect();
    EXPECT_EQ(rst.segment.flags, kRst);
    EXPECT_EQ(rst.segment.seq, Seq{4711});
}

}  // namespace
}  // namespace sluice::tcp
