// What size of packet the path takes: black holes, told sizes, and the search back upward (RFC 4821, 8899, 1191).
// In: a peer behind a path that swallows what is larger than `path_`. Out: sizes of what left. One stack. Owns nothing.
#include <algorithm>

#include "tests/tcp/script.h"

namespace sluice::tcp {
namespace {

class PathMtu : public ConnectedScript {
 protected:
    void open() {
        HeaderFields syn;
        syn.sack_permitted = true, syn.window_shift = 7;
        Options options;
        options.send_buffer_bytes = 1 << 20;
        accept(syn, options);
    }
    Tcb& tcb() { return *static_cast<Tcb*>(connection_); }

    /// The peer and the path for `duration`: what fits arrives 10 ms later and is acknowledged with SACK.
    void run(Duration duration) {
        const Instant end = now_ + duration;
        while (now_ < end) {
            while (auto a = poll()) receive(*a);
            now_ = now_ + milliseconds(10);
            stack_->handle_timeout(now_);
            acknowledge();
            if (writing_ && tcb().send_queue.bytes() < 20'000) write(connection_, std::string(20'000, 'x'));
        }
    }
    /// Nothing to send for so long.
    void idle(Duration duration) {
        writing_ = false;
        for (int i = 0; i < 1000 && !tcb().send_queue.empty(); i++) run(milliseconds(10));
        advance(duration);
        writing_ = true;
    }
    void receive(const Answer& a) {
        const uint32_t packet = static_cast<uint32_t>(a.payload.size()) + a.segment.header_bytes + 20;
        largest_ = std::max(largest_, packet);
        if (a.payload.empty()) return;
        if (packet > path_) return;
        const uint64_t at = a.segment.seq - our_seq_;
        pieces_.push_back({at, at + a.payload.size()});
        got_ = true;
    }
    void acknowledge() {
        std::sort(pieces_.begin(), pieces_.end());
        uint64_t upto = 0;
        for (const auto& [from, to] : pieces_) {
            if (from <= upto) upto = std::max(upto, to);
        }
        std::erase_if(pieces_, [&](const auto& p) { return p.second <= upto; });
        delivered_ += upto;
        our_seq_ = our_seq_ + static_cast<uint32_t>(upto);
        for (auto& p : pieces_) p.first -= std::min(p.first, upto), p.second -= upto;
        if (!std::exchange(got_, false)) return;
        HeaderFields f = next(kAck);
        std::vector<SackBlock> blocks;
        for (const auto& [from, to] : pieces_) {
            const Seq start = our_seq_ + static_cast<uint32_t>(from), stop = our_seq_ + static_cast<uint32_t>(to);
            if (!blocks.empty() && blocks.back().end == start) blocks.back().end = stop;
            else blocks.push_back({start, stop});
        }
        if (blocks.size() > 4) blocks.resize(4);
        f.sack = blocks;
        deliver(f);
    }

    uint32_t path_ = 1500, largest_ = 0;
    uint64_t delivered_ = 0;
    bool got_ = false, writing_ = true;
    std::vector<std::pair<uint64_t, uint64_t>> pieces_;
};

TEST_F(PathMtu, ABlackHoleIsFoundAndTheLargestSizeThatPasses) {
    open();
    path_ = 1400;
    run(seconds(4));
    EXPECT_EQ(stack_->counters().mtu_black_holes, 1u);
    EXPECT_EQ(tcb().path_mtu, 1280) << "the base, to begin with";
    EXPECT_GT(delivered_, 500'000u);
    run(seconds(60));
    EXPECT_EQ(tcb().path_mtu, 1400) << "searched upward";
    largest_ = 0;
    run(seconds(100));
    EXPECT_EQ(largest_, 1400u) << "what failed is left alone for ten minutes";
    path_ = 1500;
    idle(seconds(600));
    run(seconds(1));
    EXPECT_EQ(tcb().path_mtu, 1500) << "and the path grows back";
    EXPECT_EQ(stack_->counters().timeouts, 3u) << "probes cost no timeout";
}

TEST_F(PathMtu, NarrowerThanTheBaseGoesToTheFloor) {
    open();
    path_ = 600;
    run(seconds(20));
    EXPECT_EQ(tcb().path_mtu, 576);
    EXPECT_GT(delivered_, 100'000u);
}

/// Seed 20223: one segment of 1,000 bytes on a path of 700 went on as it was until the connection gave up.
TEST_F(PathMtu, ASegmentBelowTheBaseGoesToTheFloorAtOnce) {
    open();
    path_ = 700;
    write(connection_, std::string(1000, 'x'));
    advance(seconds(3));
    uint32_t small = 0;
    for (const Answer& a : sent_) small += !a.payload.empty() && a.payload.size() <= 536 ? 1 : 0;
    EXPECT_GE(small, 1u);
    EXPECT_EQ(tcb().path_mtu, 576);
}

TEST_F(PathMtu, AnOutageIsForgotten) {
    open();
    run(seconds(1));
    path_ = 0;
    run(seconds(3));
    EXPECT_EQ(tcb().path_mtu, 1280) << "it may have been the size";
    path_ = 1500;
    run(seconds(30));
    EXPECT_EQ(tcb().path_mtu, 1500);
}

TEST_F(PathMtu, AToldSizeGrowsBackToo) {
    open();
    write(connection_, std::string(1460 * 3, 'x'));
    while (poll()) {}
    net::IcmpError icmp;
    icmp.kind = net::IcmpError::Kind::kFragmentationNeeded;
    icmp.tuple = connection_->tuple();
    icmp.path_mtu = 1300;
    icmp.sequence = our_seq_.v;
    stack_->handle_icmp_error(icmp, now_);
    const uint32_t window = tcb().congestion.cwnd;
    EXPECT_EQ(tcb().path_mtu, 1300);
    run(seconds(60));
    EXPECT_GE(tcb().congestion.cwnd, window) << "too large is not too much";
    EXPECT_EQ(tcb().path_mtu, 1300);
    idle(seconds(600));
    run(seconds(1));
    EXPECT_EQ(tcb().path_mtu, 1500);
    EXPECT_EQ(stack_->counters().timeouts, 0u);
}

/// The IP layer remembers what a router said to another connection: that grows old for this one too.
TEST_F(PathMtu, ARememberedSizeGrowsBackWhenItIsForgotten) {
    mtu_ = 1300, link_mtu_ = 1500;
    path_mtu_until_ = now_ + seconds(300);
    open();
    EXPECT_EQ(tcb().path_mtu, 1300);
    run(seconds(60));
    EXPECT_EQ(largest_, 1300u) << "nothing larger while it is believed";
    idle(seconds(250));
    run(seconds(1));
    EXPECT_EQ(tcb().path_mtu, 1500);
    EXPECT_EQ(stack_->counters().mtu_probes, 1u);
}

TEST_F(PathMtu, ARememberedSizeIsKeptIfThePathIsStillNarrow) {
    mtu_ = 1300, link_mtu_ = 1500;
    path_mtu_until_ = now_ + seconds(9999);  // ten minutes are the most, whatever the IP layer says
    path_ = 1300;
    open();
    run(seconds(1));
    idle(seconds(600));
    const uint64_t before = delivered_;
    run(seconds(60));
    EXPECT_EQ(tcb().path_mtu, 1300);
    EXPECT_GE(stack_->counters().mtu_probes, 2u);
    EXPECT_EQ(stack_->counters().timeouts, 0u);
    EXPECT_GT(delivered_ - before, 1'000'000u);
}

TEST_F(PathMtu, TheMssOfferedIsTheLinksAndNotThePaths) {
    mtu_ = 1300, link_mtu_ = 1500;
    open();
    EXPECT_EQ(syn_ack_.mss, 1460) << "what comes in may take another path (RFC 9293 MUST-67)";
}

TEST_F(PathMtu, ALostProbeIsNoCongestion) {
    open();
    run(seconds(1));
    tcb().path_mtu = 1280;  // as after a black hole long ago
    tcb().snd_mss = 1240;
    tcb().mtu_search_at = static_cast<uint8_t>(now_.us >> 23);
    path_ = 1300;
    const uint32_t window = tcb().congestion.cwnd;
    run(milliseconds(100));
    EXPECT_GE(stack_->counters().mtu_probes, 1u);
    EXPECT_GE(tcb().congestion.cwnd, window);
    run(seconds(5));
    EXPECT_EQ(stack_->counters().timeouts, 0u);
    EXPECT_EQ(tcb().path_mtu, 1280);
}

}  // namespace
}  // namespace sluice::tcp
