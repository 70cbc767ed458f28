// Lines 3, 4, 6 and 7 of the list of threats (docs/threat_model.md): numbers nobody can guess, peers that hold on, exact
// sequences of segments that once broke other stacks. In: those segments. Out: what the stack did. Owns nothing.
#include <cmath>
#include <functional>
#include <vector>

#include "tcp/stack_impl.h"
#include "tests/tcp/script.h"

namespace sluice::tcp {
namespace {

class Threat : public Script {
 protected:
    void finish() {
        connection_->abort();
        connection_->release();
        while (poll()) {}
    }
    /// A segment for any tuple, from any peer.
    void from(const SocketAddress& peer, uint8_t flags, Seq seq, Seq ack, std::string_view text = "", uint32_t window = 65535) {
        HeaderFields f;
        f.flags = flags, f.seq = seq, f.ack = ack, f.window = static_cast<uint16_t>(window);
        deliver(f, text, peer);
    }
};

/// Distance of a million samples' distribution over 256 cells from an even one, in standard deviations.
double chi_square(const std::function<uint32_t(uint32_t)>& sample) {
    constexpr uint32_t kSamples = 1'000'000, kCells = 256;
    std::vector<uint32_t> cells(kCells);
    for (uint32_t i = 0; i < kSamples; i++) cells[sample(i) % kCells]++;
    const double expected = double{kSamples} / kCells;
    double sum = 0;
    for (const uint32_t n : cells) sum += (n - expected) * (n - expected) / expected;
    return (sum - (kCells - 1)) / std::sqrt(2.0 * (kCells - 1));
}

/// What the stack would use towards neighbour i: the i-th port, then the next address.
struct Numbers {
    explicit Numbers(Environment& environment)
        : nodes(16), holder(config(), test::test_mempool(), nodes, environment), impl(holder, config(), test::test_mempool(), nodes, environment) {}
    static StackConfig config() {
        StackConfig c;
        c.seed = 11, c.connections_max = 16;
        return c;
    }
    static FourTuple neighbour(uint32_t i) {
        return {{IpAddress::v4(0x0a000001), 80}, {IpAddress::v4(0x0a000100 + i / 1000), static_cast<uint16_t>(1000 + i % 1000)}};
    }
    SliceNodePool nodes;
    Stack holder;
    Stack::Impl impl;
};

TEST_F(Threat, AMillionInitialNumbersAreEvenAndUnrelated) {  // 3; RFC 6528
    Numbers n(*this);
    auto isn = [&](uint32_t i) { return n.impl.initial_sequence(Numbers::neighbour(i), now_).v; };
    for (const uint32_t shift : {0u, 8u, 16u, 24u}) {
        EXPECT_LT(std::abs(chi_square([&](uint32_t i) { return isn(i) >> shift; })), 5) << "bits from " << shift;
        EXPECT_LT(std::abs(chi_square([&](uint32_t i) { return (isn(i + 1) - isn(i)) >> shift; })), 5) << "neighbours' distance";
    }
    const FourTuple same = Numbers::neighbour(7);
    EXPECT_EQ(n.impl.initial_sequence(same, now_ + seconds(1)) - n.impl.initial_sequence(same, now_), 250'000u)
        << "one tuple's numbers move on with the clock, so that an old connection's stay behind";
}

TEST_F(Threat, TimestampsOfPeersAreUnrelatedAndOfOnePeerTheSame) {  // 3; RFC 7323 7.1
    Numbers n(*this);
    auto offset = [&](uint32_t i) {
        return n.impl.timestamp_offset({{IpAddress::v4(0x0a000001), 80}, {IpAddress::v4(0x0a000100 + i), 5000}});
    };
    for (const uint32_t shift : {0u, 8u, 16u, 24u}) {
        EXPECT_LT(std::abs(chi_square([&](uint32_t i) { return offset(i) >> shift; })), 5);
        EXPECT_LT(std::abs(chi_square([&](uint32_t i) { return (offset(i + 1) - offset(i)) >> shift; })), 5);
    }
    EXPECT_EQ(n.impl.timestamp_offset(Numbers::neighbour(1)), n.impl.timestamp_offset(Numbers::neighbour(2)));
}

TEST_F(Threat, AMillionPortsAreEvenAndUnrelated) {  // 3; RFC 6056
    Numbers n(*this);
    auto port = [&](uint32_t i) {
        FourTuple tuple{{IpAddress::v4(0x0a000001), 0}, {IpAddress::v4(0x0a000100 + i), 80}};
        uint32_t hash = 0;
        bool reuse = false;
        n.impl.choose_port(tuple, hash, nullptr, reuse, now_);
        return uint32_t{tuple.local.port};
    };
    constexpr uint32_t kRange = 60999 - 32768 + 1;
    auto cell = [&](uint32_t p) { return static_cast<uint32_t>(uint64_t{p - 32768} * 256 / kRange); };
    EXPECT_LT(std::abs(chi_square([&](uint32_t i) { return cell(port(i)); })), 6) << "28,232 ports in 256 cells";
    uint32_t last = 0;
    EXPECT_LT(std::abs(chi_square([&](uint32_t i) {
        const uint32_t p = port(i), step = (p + kRange - last) % kRange;
        last = p;
        return step * 256 / kRange;
    })), 6) << "the next remote's port tells nothing";
}

TEST_F(Threat, SackStormsOfATinyMss) {  // 4; CVE-2019-11477, -11478, -11479
    HeaderFields syn;
    syn.mss = 48, syn.sack_permitted = true, syn.window_shift = 7;
    accept(syn);
    auto& t = *static_cast<Tcb*>(connection_);
    t.congestion.cwnd = 1 << 20;
    write(connection_, std::string(60'000, 'x'));
    write(connection_, std::string(60'000, 'x'));
    uint32_t segments = 0;
    while (poll()) segments++;
    EXPECT_LE(segments, 120'000u / kMssMin + 3);
    const uint32_t records = stack_->usage().records;
    for (uint32_t i = 0; i < 20'000; i++) {  // holes everywhere, in the middle of segments too
        SackBlock blocks[4];
        for (uint32_t b = 0; b < 4; b++) blocks[b] = {our_seq_ + (i * 131 + b * 977) % 119'000, our_seq_ + (i * 131 + b * 977) % 119'000 + 1 + i % 700};
        HeaderFields f = next(kAck);
        f.sack = blocks;
        deliver(f);
        while (auto a = poll()) EXPECT_LE(a->payload.size(), kMssMin);
        ASSERT_LE(stack_->usage().records, records) << "no block cuts a segment";
    }
    finish();
}

/// 100,000 peers that open, take nothing and let go of nothing; in each state that a peer can hold us in.
TEST_F(Threat, HeldSocketsAreGoneWithinAMinute) {  // 6; sockstress
    StackConfig config;
    config.connections_max = 100'100;
    config.syn_backlog = 1'000'000;
    start(config);
    stack_->listen(us_, this, {});
    std::vector<std::pair<Connection*, SocketAddress>> held;
    for (uint32_t i = 0; i < 100'000; i++) {
        const SocketAddress peer{IpAddress::v4(0x0b000000 + i / 50'000), static_cast<uint16_t>(1024 + i % 50'000)};
        from(peer, kSyn, Seq{100}, Seq{});
        const Seq iss = expect().segment.seq;
        from(peer, kAck, Seq{101}, iss + 1, "", i % 3 == 0 ? 0 : 65535);  // a third opens no window at all
        Connection* c = nullptr;
        ASSERT_TRUE(events(&c) & kAccepted);
        held.push_back({c, peer});
    }
    std::string text = "answer";
    for (uint32_t i = 0; i < held.size(); i++) {
        auto& [c, peer] = held[i];
        if (i % 3 == 0) {  // zero window: the answer never leaves
            SliceQueue data(*nodes_);
            Slice slice(rte_pktmbuf_alloc(test::test_mempool()), RTE_PKTMBUF_HEADROOM, 6);
            if (i < 9000 && slice.segment() && data.push_back(std::move(slice))) c->write(std::move(data));
        }
        c->release();  // the layer above has given up on them
        while (auto fin = poll()) {
            if (i % 3 == 1) from(peer, kAck, Seq{101}, fin->segment.end());  // FIN-WAIT-2, and silence
        }                                                                    // else LAST-ACK's likeness: FIN never acknowledged
    }
    EXPECT_EQ(stack_->connections(), 100'000u);
    advance(seconds(61));
    EXPECT_EQ(stack_->connections(), 0u);
    EXPECT_EQ(stack_->time_wait(), 0u);
    while (poll()) {}
    EXPECT_EQ(stack_->usage().timers, 0u);
}

TEST_F(Threat, OptimisticAcksGainNothing) {  // 7
    accept();
    auto& t = *static_cast<Tcb*>(connection_);
    write(connection_, std::string(1460 * 30, 'x'));
    while (poll()) {}
    const Seq una = t.snd_una;
    const uint32_t window = t.congestion.cwnd;
    from(peer_, kAck, their_seq_, t.snd_nxt + 1);  // of what was never sent
    EXPECT_EQ(t.snd_una, una);
    EXPECT_EQ(expect().segment.flags, kAck);
    expect_silence();
    for (uint32_t i = 1; i <= 1460; i++) from(peer_, kAck, their_seq_, una + i);  // one segment in a thousand pieces
    EXPECT_LE(t.congestion.cwnd, window + 1460) << "growth counts bytes, not ACKs (RFC 3465)";
    finish();
}

TEST_F(Threat, AShrunkWindowIsBorne) {  // 7; RFC 9293 SHLD-15, MUST-34
    accept();
    auto& t = *static_cast<Tcb*>(connection_);
    write(connection_, std::string(1460 * 8, 'x'));
    while (poll()) {}
    from(peer_, kAck, their_seq_, our_seq_ + 1460, "", 1000);  // its right edge moves back
    EXPECT_EQ(t.snd_wnd, 1000u);
    EXPECT_EQ(t.usable_window(), 0u);
    expect_silence();
    advance(milliseconds(300));
    ASSERT_FALSE(sent_.empty()) << "what was sent into the old window is repeated";
    EXPECT_EQ(sent_[0].segment.seq, our_seq_ + 1460);
    from(peer_, kAck, their_seq_, our_seq_ + 1460 * 8);
    EXPECT_EQ(t.snd_una, our_seq_ + 1460 * 8);
    finish();
}

TEST_F(Threat, TimeWaitIsNotAssassinated) {  // 7; RFC 1337
    accept();
    connection_->shutdown_write();
    expect();
    our_seq_ = our_seq_ + 1;
    deliver(next(kAck | kFin));
    expect();
    connection_->release();
    their_seq_ = their_seq_ + 1;
    const Seq exact = their_seq_;
    for (const uint32_t seq : {exact.v, exact.v - 1, exact.v + 1, exact.v + 5000}) from(peer_, kRst, Seq{seq}, our_seq_);
    EXPECT_EQ(stack_->time_wait(), 1u) << "H1, H3: no RST ends it";
    from(peer_, kAck, their_seq_ - 100, our_seq_, "old text");
    EXPECT_EQ(expect().segment.ack, their_seq_) << "H2: answered by an ACK, not taken";
    from(peer_, kAck, their_seq_ - 100, our_seq_, "old text");
    expect_silence();  // within the limit of one answer per half second
    from(peer_, kSyn, their_seq_ - 1000, Seq{});
    EXPECT_EQ(stack_->time_wait(), 1u) << "an old SYN opens nothing";
    advance(seconds(61));
    EXPECT_EQ(stack_->time_wait(), 0u);
}

TEST_F(Threat, UrgentDataIsOrdinaryData) {  // RFC 6093 3.1
    accept();
    HeaderFields f = next(kAck | kUrg);
    deliver(f, "urgent");
    EXPECT_EQ(events(), kReadable);
    EXPECT_EQ(read(connection_), "urgent");
    finish();
}

TEST_F(Threat, BothOpenAndCloseAtOnce) {  // 7; RFC 9293 figures 8 and 13
    Connection* c = stack_->connect(peer_, {}, {}, nullptr, now_, nullptr);
    const Answer syn = expect();
    HeaderFields f;
    f.destination_port = syn.source_port, f.window = 1000, f.mss = 1000;
    f.flags = kSyn, f.seq = Seq{500};
    deliver(f);
    expect();
    f.flags = kAck, f.seq = Seq{501}, f.ack = syn.segment.seq + 1;  // a bare ACK instead of the crossing SYN-ACK does as well
    deliver(f);
    EXPECT_EQ(c->state(), State::kEstablished);
    c->shutdown_write();
    const Answer fin = expect();
    EXPECT_EQ(fin.segment.flags & kFin, kFin);
    f.flags = kAck | kFin;
    deliver(f);
    EXPECT_EQ(c->state(), State::kClosing);
    expect();
    f.flags = kAck, f.seq = Seq{502}, f.ack = fin.segment.end();
    deliver(f);
    EXPECT_EQ(stack_->time_wait(), 1u);
    c->release();
    advance(seconds(61));
    EXPECT_EQ(stack_->poll_timeout(), Instant::never());
}

}  // namespace
}  // namespace sluice::tcp
