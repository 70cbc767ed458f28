// Opening: handshakes of both sides, refusals, backlog and cookies, ports and initial numbers nobody can guess.
#include <set>

#include "tests/tcp/script.h"

namespace sluice::tcp {
namespace {

using Open = Script;

TEST_F(Open, PassiveWithAllOptions) {
    HeaderFields syn;
    syn.mss = 1400, syn.sack_permitted = true, syn.window_shift = 7, syn.timestamp = true, syn.ts_value = 42;
    syn.flags = kSyn, syn.seq = Seq{1000}, syn.window = 1000;
    stack_->listen(us_, this, {});
    ASSERT_TRUE(deliver(syn));
    const Answer a = expect();
    EXPECT_EQ(a.segment.flags, kSyn | kAck);
    EXPECT_EQ(a.segment.ack, Seq{1001});
    EXPECT_EQ(a.segment.mss, 1460);
    EXPECT_TRUE(a.segment.sack_permitted && a.segment.has_timestamp && a.segment.has_window_scale);
    EXPECT_EQ(a.segment.ts_echo, 42u);
    EXPECT_EQ(a.segment.window_shift, 3) << "256 KiB needs 3";
    EXPECT_EQ(stack_->half_open(), 1u);
    EXPECT_EQ(events(), 0) << "nothing to accept before the handshake is done";
    our_seq_ = a.segment.seq + 1, their_seq_ = Seq{1001};
    HeaderFields ack = next(kAck);
    ack.timestamp = true, ack.ts_value = 43, ack.ts_echo = a.segment.ts_value;
    deliver(ack);
    EXPECT_TRUE(events(&connection_) & kAccepted);
    EXPECT_EQ(stack_->half_open(), 0u);
    EXPECT_EQ(connection_->listener_user(), this);
    EXPECT_EQ(connection_->state(), State::kEstablished);
    connection_->abort();
    connection_->release();
    EXPECT_EQ(expect().segment.flags, kRst | kAck);
}

TEST_F(Open, PlainPeerGetsNoOptions) {
    HeaderFields syn;
    accept(syn);
    write(connection_, "hi");
    const Answer a = expect();
    EXPECT_EQ(a.payload, "hi");
    EXPECT_FALSE(a.segment.has_timestamp);
    connection_->abort(), connection_->release(), poll();
}

TEST_F(Open, ActiveAndRefused) {
    Error error;
    Connection* c = stack_->connect(peer_, {}, {}, nullptr, now_, &error);
    ASSERT_TRUE(c);
    const Answer syn = expect();
    EXPECT_EQ(syn.segment.flags, kSyn);
    HeaderFields f;
    f.destination_port = syn.source_port, f.flags = kRst | kAck, f.ack = syn.segment.seq;  // wrong: acknowledges nothing of ours
    deliver(f);
    EXPECT_EQ(events(), 0) << "a blind reset";
    f.ack = syn.segment.seq + 1;
    deliver(f);
    EXPECT_EQ(events(), kFailed);
    EXPECT_EQ(c->error(), Error::kRefused);
    c->release();
    EXPECT_EQ(stack_->connections(), 0u);
}

TEST_F(Open, ActiveTimesOutWithBackoff) {
    Connection* c = stack_->connect(peer_, {}, {}, nullptr, now_, nullptr);
    expect();
    const Instant start = now_;
    while (!(events() & kFailed)) {
        ASSERT_LT(now_ - start, seconds(300));
        advance(milliseconds(500));
    }
    EXPECT_EQ(sent_.size(), 6u) << "six repeats: 1, 2, 4, 8, 16, 32 s";
    EXPECT_EQ(c->error(), Error::kTimedOut);
    c->release();
    EXPECT_EQ(stack_->poll_timeout(), Instant::never());
}

TEST_F(Open, NoRouteAndNoPorts) {
    Error error;
    EXPECT_FALSE(stack_->connect({kNowhere, 80}, {}, {}, nullptr, now_, &error));
    EXPECT_EQ(error, Error::kNoRoute);
    StackConfig config;
    config.port_first = 40000, config.port_last = 40003;
    start(config);
    std::set<uint16_t> ports;
    std::vector<Connection*> all;
    for (int i = 0; i < 4; i++) {
        all.push_back(stack_->connect(peer_, {}, {}, nullptr, now_, &error));
        ASSERT_TRUE(all.back());
        ports.insert(all.back()->tuple().local.port);
    }
    EXPECT_EQ(ports.size(), 4u);
    EXPECT_FALSE(stack_->connect(peer_, {}, {}, nullptr, now_, &error));
    EXPECT_EQ(error, Error::kNoPorts);
    EXPECT_EQ(stack_->counters().ports_exhausted, 1u);
    SocketAddress other = peer_;
    other.port++;
    all.push_back(stack_->connect(other, {}, {}, nullptr, now_, &error));
    EXPECT_TRUE(all.back()) << "another remote has its own ports";
    // A port that comes free is found again, if not at once: the range is not looked through for each request.
    const uint16_t freed = all[2]->tuple().local.port;
    all[2]->abort();
    all[2]->release();
    all.erase(all.begin() + 2);
    all.push_back(stack_->connect(peer_, {}, {}, nullptr, now_ + milliseconds(100), &error));
    ASSERT_TRUE(all.back());
    EXPECT_EQ(all.back()->tuple().local.port, freed);
    for (Connection* c : all) c->release();
}

TEST_F(Open, SimultaneousOpen) {
    Connection* c = stack_->connect(peer_, {}, {}, nullptr, now_, nullptr);
    const Answer syn = expect();
    HeaderFields f;
    f.destination_port = syn.source_port, f.flags = kSyn, f.seq = Seq{500}, f.window = 1000, f.mss = 1000;
    deliver(f);
    const Answer syn_ack = expect();
    EXPECT_EQ(syn_ack.segment.flags, kSyn | kAck);
    EXPECT_EQ(syn_ack.segment.seq, syn.segment.seq);
    EXPECT_EQ(syn_ack.segment.ack, Seq{501});
    f.flags = kSyn | kAck, f.ack = syn.segment.seq + 1;
    deliver(f);
    EXPECT_TRUE(events() & kConnected);
    EXPECT_EQ(c->state(), State::kEstablished);
    while (poll()) {}
    c->abort(), c->release(), poll();
}

TEST_F(Open, BacklogFullMeansCookiesAndNoMemory) {
    StackConfig config;
    config.syn_backlog = 2;
    start(config);
    stack_->listen(us_, this, {});
    const auto nodes = nodes_->in_use();
    auto syn_from = [&](uint16_t port) {
        HeaderFields syn;
        syn.flags = kSyn, syn.seq = Seq{port * 1000u}, syn.window = 65535, syn.mss = 1460;
        syn.timestamp = true, syn.ts_value = port, syn.sack_permitted = true, syn.window_shift = 5;
        deliver(syn, "", SocketAddress{peer_.ip, port});
        return expect();
    };
    for (uint16_t port = 1; port <= 100; port++) EXPECT_EQ(syn_from(port).segment.flags, kSyn | kAck);
    EXPECT_EQ(stack_->connections(), 2u);
    EXPECT_EQ(stack_->half_open(), 2u);
    EXPECT_EQ(nodes_->in_use(), nodes);
    EXPECT_EQ(stack_->counters().syn_cookies_sent, 98u);

    now_ = now_ + seconds(30);
    const Answer cookie = syn_from(777);
    HeaderFields ack;
    ack.flags = kAck, ack.seq = Seq{777001}, ack.ack = cookie.segment.seq + 1, ack.window = 100;
    ack.timestamp = true, ack.ts_value = 780, ack.ts_echo = cookie.segment.ts_value;
    deliver(ack, "hello", SocketAddress{peer_.ip, 777});
    ASSERT_TRUE(events(&connection_) & kAccepted);
    EXPECT_EQ(read(connection_), "hello") << "text that comes with the cookie is not lost";
    auto& t = *static_cast<Tcb*>(connection_);
    EXPECT_TRUE(t.sack && t.timestamps);
    EXPECT_EQ(t.snd_shift, 5);
    EXPECT_EQ(t.snd_mss, 1460 - 12);
    EXPECT_EQ(t.snd_wnd, 100u << 5);
    ack.ack = ack.ack + 1;
    deliver(ack, "", SocketAddress{peer_.ip, 778});
    EXPECT_EQ(stack_->counters().syn_cookies_good, 1u);
    connection_->abort(), connection_->release();
    while (poll()) {}
    advance(seconds(200));  // half-open ones give up
    EXPECT_EQ(stack_->connections(), 0u);
    EXPECT_EQ(stack_->poll_timeout(), Instant::never());
}

TEST_F(Open, ACookieIsRedeemedOnce) {
    StackConfig config;
    config.syn_backlog = 0;
    start(config);
    stack_->listen(us_, this, {});
    HeaderFields syn;
    syn.flags = kSyn, syn.seq = Seq{1000}, syn.window = 65535;
    deliver(syn);
    our_seq_ = expect().segment.seq + 1, their_seq_ = Seq{1001};
    deliver(next(kAck));
    ASSERT_TRUE(events(&connection_) & kAccepted);
    connection_->abort(), connection_->release(), poll();
    deliver(next(kAck));  // doubled on the way, and late; or a peer that has not heard of the end
    EXPECT_EQ(events(), 0);
    EXPECT_EQ(expect().segment.flags, kRst);
    EXPECT_EQ(stack_->connections(), 0u);
    EXPECT_EQ(stack_->counters().syn_cookies_good, 1u);
}

TEST_F(Open, AnOfferedWindowScaleIsAnsweredByZeroToo) {  // RFC 7323 2.2; found by reading: windows were read as scaled
    Options options;
    options.receive_buffer_bytes = 30'000;
    HeaderFields syn;
    syn.window_shift = 7;
    accept(syn, options);
    ASSERT_TRUE(syn_ack_.has_window_scale);
    EXPECT_EQ(syn_ack_.window_shift, 0);
    connection_->abort(), connection_->release(), poll();
}

TEST_F(Open, ListenerClosedMeanwhile) {
    Listener* l = stack_->listen(us_, this, {});
    HeaderFields syn;
    syn.flags = kSyn, syn.seq = Seq{1000}, syn.window = 65535;
    deliver(syn);
    const Answer a = expect();
    stack_->close_listener(l);
    our_seq_ = a.segment.seq + 1, their_seq_ = Seq{1001};
    deliver(next(kAck));
    EXPECT_EQ(expect().segment.flags & kRst, kRst);
    EXPECT_EQ(events(), 0);
    EXPECT_EQ(stack_->connections(), 0u);
    EXPECT_FALSE(deliver(syn)) << "nobody listens";
    EXPECT_TRUE(stack_->listen(us_, this, {}));
}

TEST_F(Open, WildcardListenerAndExactOne) {
    int any, exact;
    EXPECT_TRUE(stack_->listen({IpAddress::v4(0), 80}, &any, {}));
    EXPECT_FALSE(stack_->listen({IpAddress::v4(0), 80}, &any, {})) << "taken";
    accept();  // listens on the exact address
    EXPECT_EQ(connection_->listener_user(), this);
    (void)exact;
    connection_->abort(), connection_->release(), poll();
}

TEST_F(Open, NumbersAndPortsAreNotGuessable) {
    // Same remote: ports differ by no fixed step over remotes; ISNs of neighbouring tuples are unrelated (RFC 6528, 6056).
    std::set<uint32_t> steps;
    std::vector<uint32_t> isns;
    std::vector<Connection*> all;
    uint16_t last = 0;
    for (uint16_t i = 0; i < 200; i++) {
        Connection* c = stack_->connect({IpAddress::v4(0x0a000100u + i), 80}, {}, {}, nullptr, now_, nullptr);
        ASSERT_TRUE(c);
        all.push_back(c);
        const Answer a = expect();
        isns.push_back(a.segment.seq.v);
        steps.insert(static_cast<uint16_t>(a.source_port - last));
        last = a.source_port;
    }
    EXPECT_GT(steps.size(), 190u);
    std::set<uint32_t> high;
    for (const uint32_t isn : isns) high.insert(isn >> 24);
    EXPECT_GT(high.size(), 100u) << "spread over the whole space at one moment";
    for (Connection* c : all) c->release();
}

TEST_F(Open, MssFloor) {  // CVE-2019-11479
    HeaderFields syn;
    syn.mss = 48;
    accept(syn);
    write(connection_, std::string(1000, 'x'));
    EXPECT_GE(expect().payload.size(), 200u);
    while (poll()) {}
    connection_->abort(), connection_->release(), poll();
}

}  // namespace
}  // namespace sluice::tcp
