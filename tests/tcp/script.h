// One stack against a peer played by hand: exact segments in, exact segments out, time moved by the test.
// In: what the test sends and when. Out: parsed answers. Owns the stack and its nodes.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "tcp/connection_impl.h"
#include "tcp/segment.h"
#include "tcp/stack.h"
#include "tests/support/eal.h"

namespace sluice::tcp {

struct Answer {
    Segment segment;
    std::string payload;
    uint16_t source_port = 0, destination_port = 0;
    uint8_t ecn = 0;  // of the IP header
};

class Script : public testing::Test, public Environment {
 protected:
    void SetUp() override { start({}); }
    void TearDown() override {
        stack_.reset();
        EXPECT_EQ(nodes_->in_use(), 0u);
        nodes_.reset();
        EXPECT_EQ(rte_mempool_avail_count(test::test_mempool()), mbufs_) << "mbufs leaked";
    }
    void start(StackConfig config) {
        stack_.reset();
        nodes_ = std::make_unique<SliceNodePool>(10'000);
        mbufs_ = rte_mempool_avail_count(test::test_mempool());
        if (config.seed == 0) config.seed = 7;
        stack_ = std::make_unique<Stack>(config, test::test_mempool(), *nodes_, *this);
    }
    std::optional<net::RouteInfo> route(const IpAddress& to, const IpAddress&) override {
        if (to == kNowhere) return std::nullopt;
        net::RouteInfo info;
        info.source = us_.ip;
        info.mtu = mtu_;
        info.link_mtu = link_mtu_;
        info.path_mtu_until = path_mtu_until_;
        return info;
    }
    bool owns(const FourTuple&) override { return true; }

    void advance(Duration d) {
        const Instant end = now_ + d;
        while (stack_->poll_timeout() <= end) {
            now_ = std::max(now_, stack_->poll_timeout());
            stack_->handle_timeout(now_);
            while (auto answer = poll()) sent_.push_back(*answer);
        }
        now_ = end;
        stack_->handle_timeout(now_);
    }
    /// Hands the stack a segment from `from` (default: the peer). False if it belongs to nobody.
    bool deliver(HeaderFields f, std::string_view payload = "", std::optional<SocketAddress> from = {}) {
        const SocketAddress source = from.value_or(peer_);
        f.source_port = source.port;
        if (f.destination_port == 0) f.destination_port = us_.port;
        rte_mbuf* m = rte_pktmbuf_alloc(test::test_mempool());
        auto* header = reinterpret_cast<uint8_t*>(rte_pktmbuf_append(m, kHeaderBytesMax));
        const uint8_t n = write_header(f, header);
        rte_pktmbuf_trim(m, kHeaderBytesMax - n);
        if (!payload.empty()) std::memcpy(rte_pktmbuf_append(m, static_cast<uint16_t>(payload.size())), payload.data(), payload.size());
        const uint64_t pseudo = pseudo_header_sum(source.ip, us_.ip, net::kProtocolTcp, m->pkt_len);
        store_checksum(header + 16, checksum_finish(checksum_add(header, m->pkt_len, pseudo)));
        net::DatagramIn in;
        in.source = source.ip;
        in.destination = us_.ip;
        in.mbuf = m;
        in.payload_length = static_cast<uint16_t>(m->pkt_len);
        in.protocol = net::kProtocolTcp;
        in.ecn = std::exchange(next_ecn_, uint8_t{0});
        in.merged_bytes = std::exchange(next_merged_, uint16_t{0});
        const bool taken = stack_->handle_segment(in, now_);
        if (!taken) rte_pktmbuf_free(in.mbuf);
        return taken;
    }
    std::optional<Answer> poll() {
        net::DatagramOut out;
        if (!stack_->poll_transmit(out, now_)) return std::nullopt;
        std::string bytes(out.mbuf->pkt_len, 0);
        const void* p = rte_pktmbuf_read(out.mbuf, 0, out.mbuf->pkt_len, bytes.data());
        if (p != bytes.data()) std::memcpy(bytes.data(), p, bytes.size());
        rte_pktmbuf_free(out.mbuf);
        Answer a;
        const auto* raw = reinterpret_cast<const uint8_t*>(bytes.data());
        a.segment = *parse_segment({raw, bytes.size()}, static_cast<uint32_t>(bytes.size()));
        a.source_port = load_be16(raw);
        a.destination_port = load_be16(raw + 2);
        a.ecn = out.ecn;
        a.payload = bytes.substr(a.segment.header_bytes);
        return a;
    }
    /// The next segment; fails the test if there is none.
    Answer expect() {
        auto a = poll();
        EXPECT_TRUE(a.has_value()) << "no segment came";
        return a.value_or(Answer{});
    }
    void expect_silence() { EXPECT_FALSE(poll().has_value()); }
    uint16_t events(Connection** c = nullptr) {
        ConnectionEvent event;
        uint16_t all = 0;
        while (stack_->poll_event(event)) {
            all = static_cast<uint16_t>(all | event.events);
            if (c) *c = event.connection;
        }
        return all;
    }
    /// A segment of the established connection: next number, last ACK.
    HeaderFields next(uint8_t flags) const {
        HeaderFields f;
        f.seq = their_seq_;
        f.ack = our_seq_;
        f.flags = flags;
        f.window = 65535;
        return f;
    }
    /// Handshake by a peer that offers `syn`'s options; connection_ is the accepted one.
    void accept(HeaderFields syn = {}, Options options = {}) {
        if (!listener_) listener_ = stack_->listen(us_, this, options);
        syn.flags |= kSyn;
        syn.seq = Seq{1000};
        syn.window = 65535;
        if (syn.mss == 0) syn.mss = 1460;
        ASSERT_TRUE(deliver(syn));
        const Answer syn_ack = expect();
        ASSERT_EQ(syn_ack.segment.flags & (kSyn | kAck | kRst), kSyn | kAck);
        syn_ack_ = syn_ack.segment;
        our_seq_ = syn_ack.segment.seq + 1;
        their_seq_ = Seq{1001};
        HeaderFields ack = next(kAck);
        ack.timestamp = syn.timestamp;
        ack.ts_value = syn.ts_value;
        ack.ts_echo = syn_ack.segment.ts_value;
        deliver(ack);
        ASSERT_TRUE(events(&connection_) & kAccepted);
    }
    bool write(Connection* c, std::string_view text) {
        SliceQueue data(*nodes_);
        Slice slice = test::heap_slice(text);
        return data.push_back(std::move(slice)) && c->write(std::move(data));
    }
    std::string read(Connection* c) {
        std::string text(c->receive_queue().bytes(), 0);
        c->receive_queue().peek(0, {reinterpret_cast<uint8_t*>(text.data()), text.size()});
        c->receive_queue().clear();
        c->consumed(text.size());
        return text;
    }

    const SocketAddress us_{IpAddress::v4(0x0a000001), 80}, peer_{IpAddress::v4(0x0a000002), 40000};
    const IpAddress kNowhere = IpAddress::v4(0x01010101);
    uint16_t mtu_ = 1500, link_mtu_ = 0;  // link_mtu_ 0: the same
    Instant path_mtu_until_{};
    uint8_t next_ecn_ = 0;  // of the next segment delivered
    uint16_t next_merged_ = 0;
    Instant now_{5'000'000};
    Seq our_seq_, their_seq_;
    Segment syn_ack_;           // our answer in accept()
    Listener* listener_ = nullptr;
    Connection* connection_ = nullptr;
    std::vector<Answer> sent_;  // what left while time moved on
    std::unique_ptr<SliceNodePool> nodes_;
    std::unique_ptr<Stack> stack_;
    unsigned mbufs_ = 0;
};

/// A script that ends with whatever connection_ is by then: aborted and let go.
class ConnectedScript : public Script {
 protected:
    void TearDown() override {
        if (connection_) {
            connection_->abort();
            connection_->release();
            while (poll()) {}
        }
        Script::TearDown();
    }
};

}  // namespace sluice::tcp
