// In which memory a segment leaves: new text in its own mbufs where nobody else looks at them, everything else beside them.
// Frames are kept for a while, as a driver does, so that what was lent is still out when it is acknowledged or sent again.
#include <cstdio>
#include <deque>

#include "base/rng.h"
#include "tests/tcp/script.h"

namespace sluice::tcp {
namespace {

class Frame : public ConnectedScript {
 protected:
    bool multi_segment_ = true;

    std::optional<net::RouteInfo> route(const IpAddress& to, const IpAddress& from) override {
        auto info = ConnectedScript::route(to, from);
        if (info) info->multi_segment = multi_segment_;
        return info;
    }
    /// An mbuf with this text `offset` bytes from its start.
    static Slice slice_of(std::string_view text, uint32_t offset = RTE_PKTMBUF_HEADROOM) {
        rte_mbuf* m = rte_pktmbuf_alloc(test::test_mempool());
        EXPECT_NE(m, nullptr);
        std::memcpy(static_cast<char*>(m->buf_addr) + offset, text.data(), text.size());
        return Slice(m, offset, static_cast<uint32_t>(text.size()));
    }
    bool send(std::vector<Slice> slices) {
        SliceQueue data(*nodes_);
        for (Slice& slice : slices)
            if (!data.push_back(std::move(slice))) return false;
        return connection_->write(std::move(data));
    }
    /// The next frame as it goes to the IP layer; the caller frees it. What the layers below do with its head is done here.
    rte_mbuf* take() {
        net::DatagramOut out;
        if (!stack_->poll_transmit(out, now_)) return nullptr;
        EXPECT_GE(rte_pktmbuf_headroom(out.mbuf), net::kTransportHeadroom);
        void* link = rte_pktmbuf_prepend(out.mbuf, net::kTransportHeadroom);
        std::memset(link, 0xee, net::kTransportHeadroom);
        return out.mbuf;
    }
    static std::string payload_of(const rte_mbuf* frame) {
        std::string bytes(frame->pkt_len, 0);
        const void* p = rte_pktmbuf_read(frame, 0, frame->pkt_len, bytes.data());
        if (p != bytes.data()) std::memcpy(bytes.data(), p, bytes.size());
        bytes.erase(0, net::kTransportHeadroom);
        const auto* raw = reinterpret_cast<const uint8_t*>(bytes.data());
        return bytes.substr(parse_segment({raw, bytes.size()}, static_cast<uint32_t>(bytes.size()))->header_bytes);
    }
    void acknowledge(uint32_t bytes) {
        HeaderFields f = next(kAck);
        f.ack = our_seq_ + bytes;
        deliver(f);
        our_seq_ = f.ack;
    }
};

TEST_F(Frame, NewTextLeavesInItsOwnMbufs) {
    accept();
    Slice head = slice_of("HTTP/1.1 200 OK\r\n\r\n"), body = slice_of(std::string(1000, 'b'), 100);   // no room for both headers
    rte_mbuf *const first = head.segment(), *const second = body.segment();
    std::vector<Slice> both;
    both.push_back(std::move(head));
    both.push_back(std::move(body));
    ASSERT_TRUE(send(std::move(both)));
    rte_mbuf* const frame = take();
    ASSERT_EQ(frame, first);
    EXPECT_EQ(frame->next, second);
    EXPECT_EQ(frame->nb_segs, 2);
    EXPECT_EQ(payload_of(frame), "HTTP/1.1 200 OK\r\n\r\n" + std::string(1000, 'b'));
    EXPECT_EQ(rte_mbuf_refcnt_read(first), 2) << "the send queue's and the driver's";
    acknowledge(1019);
    EXPECT_EQ(rte_mbuf_refcnt_read(first), 1) << "the driver's alone";
    rte_pktmbuf_free(frame);
}

TEST_F(Frame, AHeadIsWrittenInFrontOfItsBody) {
    for (const bool multi_segment : {true, false}) {
        SCOPED_TRACE(multi_segment ? "with chains" : "without chains");
        multi_segment_ = multi_segment;
        if (!connection_) accept();
        Slice head = slice_of("HTTP/1.1 200 OK\r\n\r\n"), body = slice_of(std::string(1000, 'b'), 500);
        rte_mbuf *const first = head.segment(), *const second = body.segment();
        std::vector<Slice> both;
        both.push_back(std::move(head));
        both.push_back(std::move(body));
        ASSERT_TRUE(send(std::move(both)));
        rte_mbuf* const frame = take();
        ASSERT_EQ(frame, second);
        EXPECT_EQ(frame->nb_segs, 1);
        EXPECT_EQ(payload_of(frame), "HTTP/1.1 200 OK\r\n\r\n" + std::string(1000, 'b'));
        EXPECT_EQ(rte_mbuf_refcnt_read(first), 1) << "the send queue's alone";
        EXPECT_EQ(rte_mbuf_refcnt_read(second), 2) << "the send queue's and the driver's";
        acknowledge(1019);
        rte_pktmbuf_free(frame);
    }
}

TEST_F(Frame, AHeadIsNotWrittenIntoABodyThatOthersLookAt) {
    accept();
    Slice head = slice_of("HTTP/1.1 200 OK\r\n\r\n"), body = slice_of(std::string(1000, 'b'), 500);
    rte_mbuf* const second = body.segment();
    std::memset(static_cast<char*>(second->buf_addr), 'h', 500);
    Slice other = body.share();
    std::vector<Slice> both;
    both.push_back(std::move(head));
    both.push_back(std::move(body));
    ASSERT_TRUE(send(std::move(both)));
    rte_mbuf* const frame = take();
    EXPECT_EQ(payload_of(frame), "HTTP/1.1 200 OK\r\n\r\n" + std::string(1000, 'b'));
    EXPECT_EQ(std::string(static_cast<char*>(second->buf_addr), 500), std::string(500, 'h'));
    acknowledge(1019);
    rte_pktmbuf_free(frame);
}

TEST_F(Frame, ARepeatLeavesBesideTheFrameThatIsStillOut) {
    accept();
    std::vector<Slice> text;
    text.push_back(slice_of(std::string(1200, 'x')));
    rte_mbuf* const own = text[0].segment();
    ASSERT_TRUE(send(std::move(text)));
    rte_mbuf* const frame = take();
    ASSERT_EQ(frame, own);
    rte_mbuf* again = nullptr;
    for (int i = 0; i < 20 && !again; i++) {
        now_ = now_ + milliseconds(100);
        stack_->handle_timeout(now_);
        again = take();
    }
    ASSERT_NE(again, nullptr);
    EXPECT_NE(again, own);
    EXPECT_EQ(payload_of(again), std::string(1200, 'x'));
    EXPECT_EQ(payload_of(frame), std::string(1200, 'x'));
    rte_pktmbuf_free(frame);
    EXPECT_EQ(payload_of(again), std::string(1200, 'x'));
    rte_pktmbuf_free(again);
    acknowledge(1200);
}

TEST_F(Frame, WhatOthersLookAtIsNotWritten) {
    accept();
    Slice text = slice_of(std::string(1200, 'x'));
    rte_mbuf* const own = text.segment();
    Slice other = text.share();
    std::memset(static_cast<char*>(own->buf_addr), 'h', RTE_PKTMBUF_HEADROOM);
    std::vector<Slice> one;
    one.push_back(std::move(text));
    ASSERT_TRUE(send(std::move(one)));
    rte_mbuf* const frame = take();
    EXPECT_NE(frame, own);
    EXPECT_EQ(payload_of(frame), std::string(1200, 'x'));
    EXPECT_EQ(std::string(static_cast<char*>(own->buf_addr), RTE_PKTMBUF_HEADROOM), std::string(RTE_PKTMBUF_HEADROOM, 'h'));
    rte_pktmbuf_free(frame);
    acknowledge(1200);
}

TEST_F(Frame, ThereMustBeRoomForEveryHeader) {
    accept();
    for (const uint32_t offset : {0u, net::kTransportHeadroom + 19u, net::kTransportHeadroom + 20u}) {
        std::vector<Slice> one;
        one.push_back(slice_of("text", offset));
        rte_mbuf* const own = one[0].segment();
        ASSERT_TRUE(send(std::move(one)));
        rte_mbuf* const frame = take();
        EXPECT_EQ(frame == own, offset == net::kTransportHeadroom + 20u) << offset;
        EXPECT_EQ(payload_of(frame), "text");
        rte_pktmbuf_free(frame);
        acknowledge(4);
    }
}

TEST_F(Frame, APortWithoutChainsGetsOneMbuf) {
    multi_segment_ = false;
    accept();
    std::vector<Slice> one, two;
    one.push_back(slice_of(std::string(900, 'a')));
    rte_mbuf* const own = one[0].segment();
    ASSERT_TRUE(send(std::move(one)));
    rte_mbuf* frame = take();
    EXPECT_EQ(frame, own);
    rte_pktmbuf_free(frame);
    acknowledge(900);
    two.push_back(slice_of("head"));
    two.push_back(slice_of(std::string(900, 'b')));
    ASSERT_TRUE(send(std::move(two)));
    frame = take();
    EXPECT_EQ(frame->nb_segs, 1);
    EXPECT_EQ(payload_of(frame), "head" + std::string(900, 'b'));
    rte_pktmbuf_free(frame);
    acknowledge(904);
}


/// A body's segments, moved on by the length of a head: cut where its mbufs end, each leaves as it came.
TEST_F(Frame, APortWithoutChainsGetsABodyInTheMbufsItCameIn) {
    multi_segment_ = false;
    accept();
    std::vector<Slice> answer;
    std::vector<rte_mbuf*> own;
    for (const uint32_t size : {300u, 1180u, 1460u, 1460u, 1460u, 200u}) {
        answer.push_back(slice_of(std::string(size, static_cast<char>('a' + answer.size()))));
        own.push_back(answer.back().segment());
    }
    ASSERT_TRUE(send(std::move(answer)));
    for (size_t i = 0; i < own.size(); i++) {
        rte_mbuf* const frame = take();
        ASSERT_NE(frame, nullptr);
        EXPECT_EQ(frame, own[i]) << i;
        EXPECT_EQ(payload_of(frame).front(), static_cast<char>('a' + i));
        rte_pktmbuf_free(frame);
    }
    EXPECT_EQ(take(), nullptr);
    EXPECT_EQ(stack_->counters().bytes_copied_tx, 0u);
    acknowledge(300 + 1180 + 3 * 1460 + 200);
}

TEST_F(Frame, SmallPiecesAndLargeOnesStillFillSegments) {
    multi_segment_ = false;
    accept();
    for (const uint32_t size : {200u, 900u, 2000u}) {   // one that is not nearly full, and one that is more
        std::vector<Slice> many;
        for (uint32_t bytes = 0; bytes < 6000; bytes += size) many.push_back(slice_of(std::string(std::min(size, 1900u), 'x')));
        uint32_t total = 0;
        for (const Slice& slice : many) total += slice.size();
        ASSERT_TRUE(send(std::move(many)));
        for (uint32_t left = total; left > 0;) {
            rte_mbuf* const frame = take();
            ASSERT_NE(frame, nullptr);
            const auto bytes = static_cast<uint32_t>(payload_of(frame).size());
            EXPECT_EQ(bytes, std::min(left, 1460u)) << size;
            left -= bytes;
            rte_pktmbuf_free(frame);
        }
        acknowledge(total);
    }
}

class RandomFrames : public Frame, public testing::WithParamInterface<int> {
 protected:
    std::deque<rte_mbuf*> driver_;
    std::vector<Slice> watched_;
    std::string text_;
    uint32_t got_ = 0, at_ = 0;   // in order at the peer; the first byte of text_ that is not acknowledged

    void add_text(Rng& rng) {
        std::vector<Slice> slices;
        for (uint64_t n = 1 + rng.below(6); n > 0; n--) {
            const auto offset = static_cast<uint32_t>(rng.below(400));
            std::string piece(1 + rng.below(1600), 0);
            for (char& c : piece) c = static_cast<char>(rng.next());
            slices.push_back(slice_of(piece, offset));
            text_ += piece;
            if (rng.chance(0.2)) watched_.push_back(slices.back().share());
        }
        ASSERT_TRUE(send(std::move(slices)));
    }
    /// A frame arrives, or not; the driver keeps it until later.
    bool one_frame(Rng& rng, Seq start) {
        rte_mbuf* const frame = take();
        if (!frame) return false;
        const std::string payload = payload_of(frame);
        const auto* raw = rte_pktmbuf_mtod_offset(frame, const uint8_t*, net::kTransportHeadroom);
        const uint32_t place = load_be32(raw + 4) - start.v;
        if (!payload.empty()) {
            EXPECT_EQ(payload, text_.substr(place, payload.size())) << "at " << place;
            if (place <= got_ && rng.chance(0.8)) got_ = std::max(got_, place + static_cast<uint32_t>(payload.size()));
        }
        driver_.push_back(frame);
        while (driver_.size() > rng.below(20)) {
            const size_t which = rng.below(driver_.size());
            rte_pktmbuf_free(driver_[which]);
            driver_.erase(driver_.begin() + static_cast<std::ptrdiff_t>(which));
        }
        return true;
    }
};

TEST_P(RandomFrames, EveryByteIsRightWhateverIsStillOut) {
    const auto seed = static_cast<uint64_t>(GetParam());
    std::printf("repeat: tcp_test --gtest_filter=*RandomFrames*/%d\n", GetParam());
    Rng rng(seed);
    multi_segment_ = rng.chance(0.7);
    accept();
    const Seq start = our_seq_;
    for (int i = 0; i < 300 && !HasFailure(); i++) {
        if (text_.size() - at_ < 40'000 && rng.chance(0.5)) add_text(rng);
        for (uint64_t n = rng.below(10); n > 0 && one_frame(rng, start); n--) {}
        if (got_ > at_ && rng.chance(0.6)) {
            acknowledge(got_ - at_);
            at_ = got_;
        }
        if (rng.chance(0.3)) watched_.clear();
        now_ = now_ + milliseconds(rng.below(300));
        stack_->handle_timeout(now_);
    }
    for (int i = 0; i < 3000 && at_ < text_.size() && !HasFailure(); i++) {
        while (one_frame(rng, start)) {}
        if (got_ > at_) acknowledge(got_ - at_), at_ = got_;
        now_ = now_ + milliseconds(100);
        stack_->handle_timeout(now_);
    }
    EXPECT_EQ(at_, text_.size());
    for (rte_mbuf* frame : driver_) rte_pktmbuf_free(frame);
    watched_.clear();
}
INSTANTIATE_TEST_SUITE_P(Seeds, RandomFrames, testing::Range(1, 21));

}  // namespace
}  // namespace sluice::tcp
