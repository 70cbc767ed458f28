// libFuzzer target: segments into tcp::Stack with connections in every state. Input: commands of a byte each with their
// arguments: segments near what the stack expects (so that all states are reached) with raw options, segments of raw bytes, time,
// what routers say, and what an application does. Payloads are exact-size heap buffers. What it sends must be well formed, nothing may be lost.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "base/endian.h"
#include "tcp/stack.h"
#include "tests/support/eal.h"

namespace {

using namespace sluice;
using namespace sluice::tcp;

class Input {
 public:
    Input(const uint8_t* data, size_t size) : data_(data), size_(size) {}
    bool empty() const { return size_ == 0; }
    uint8_t byte() {
        if (size_ == 0) return 0;
        size_--;
        return *data_++;
    }
    uint16_t word() { return static_cast<uint16_t>(byte() << 8 | byte()); }
    std::span<const uint8_t> bytes(size_t n) {
        n = std::min(n, size_);
        const std::span<const uint8_t> taken(data_, n);
        data_ += n, size_ -= n;
        return taken;
    }

 private:
    const uint8_t* data_;
    size_t size_;
};

class World final : public Environment {
 public:
    World() : stack_(config(), test::test_mempool(), nodes_, *this) {
        stack_.listen({us_, 80}, this, {});
    }
    std::optional<net::RouteInfo> route(const IpAddress&, const IpAddress&) override {
        net::RouteInfo info;
        info.source = us_;
        info.mtu = 1500;
        return info;
    }
    bool owns(const FourTuple&) override { return true; }

    void step(Input& in) {
        const uint8_t command = in.byte();
        switch (command % 8) {
            case 0: case 1: case 2: near_segment(in); break;
            case 3: deliver(in.bytes(in.byte())); break;
            case 4:
                if (command == 0xfc) return too_large(in);
                now_ = now_ + milliseconds(in.word());
                stack_.handle_timeout(now_);
                break;
            case 5: write(in); break;
            case 6: read(in); break;
            case 7: end(in); break;
        }
        drain();
    }

 private:
    static StackConfig config() {
        StackConfig config;
        config.seed = 7;
        config.connections_max = 16;
        config.listeners_max = 4;
        config.syn_backlog = 4;
        config.ecn = StackConfig::Ecn::kOn;
        return config;
    }

    /// A segment whose sequence and acknowledgement lie near those in use, from one of four peers.
    void near_segment(Input& in) {
        const uint8_t who = in.byte();
        Peer& peer = peers_[who % 4];
        const auto options = in.bytes(in.byte() % 41);
        const auto payload = in.bytes(in.byte());
        std::vector<uint8_t> bytes(20 + (options.size() + 3) / 4 * 4, 0);
        store_be16(bytes.data(), static_cast<uint16_t>(1000 + who % 4));
        store_be16(bytes.data() + 2, peer.active ? peer.our_port : 80);
        const uint32_t seq = peer.seq + static_cast<uint32_t>(static_cast<int8_t>(in.byte()));
        store_be32(bytes.data() + 4, seq);
        store_be32(bytes.data() + 8, peer.ack + static_cast<uint32_t>(static_cast<int8_t>(in.byte())));
        bytes[12] = static_cast<uint8_t>(bytes.size() / 4 << 4);
        bytes[13] = in.byte();
        store_be16(bytes.data() + 14, in.word());
        if (!options.empty()) std::memcpy(bytes.data() + 20, options.data(), options.size());
        bytes.insert(bytes.end(), payload.begin(), payload.end());
        peer.seq = seq + static_cast<uint32_t>(payload.size()) + (bytes[13] & 2 ? 1 : 0) + (bytes[13] & 1 ? 1 : 0);
        deliver(bytes);
    }

    void deliver(std::span<const uint8_t> bytes) {
        Slice slice = test::heap_slice(bytes);
        if (!slice.segment()) return;
        rte_mbuf_refcnt_update(slice.segment(), 1);
        net::DatagramIn datagram;
        datagram.source = them_;
        datagram.destination = us_;
        datagram.mbuf = slice.segment();
        datagram.payload_length = static_cast<uint16_t>(bytes.size());
        datagram.protocol = net::kProtocolTcp;
        datagram.ecn = bytes.size() > 15 ? bytes[15] & 3 : 0;
        datagram.l4_checksum_verified = true;
        stack_.prefetch({&datagram, 1});
        if (!stack_.handle_segment(datagram, now_)) {
            stack_.reject(datagram, now_);
            rte_pktmbuf_free(datagram.mbuf);
        }
    }

    /// A router says that something near what was sent last is too large.
    void too_large(Input& in) {
        const uint8_t who = in.byte();
        const Peer& peer = peers_[who % 4];
        net::IcmpError error;
        error.kind = static_cast<net::IcmpError::Kind>(who / 4 % 6);
        error.tuple = {{us_, peer.our_port}, {them_, static_cast<uint16_t>(1000 + who % 4)}};
        error.sequence = peer.ack - in.byte();
        error.path_mtu = in.word();
        stack_.handle_icmp_error(error, now_);
        drain();
    }

    void write(Input& in) {
        if (open_.empty()) {
            Error error = Error::kNone;
            Connection* c = stack_.connect({them_, static_cast<uint16_t>(1000 + in.byte() % 4)}, us_, {}, this, now_, &error);
            if (c) open_.push_back(c);
            return;
        }
        Connection* c = open_[in.byte() % open_.size()];
        SliceQueue data(nodes_);
        for (int i = in.byte() % 4; i >= 0; i--) {
            if (!data.push_back(test::heap_slice(in.bytes(in.byte())))) break;
        }
        if (c->send_room() > 0) c->write(std::move(data));
    }

    void read(Input& in) {
        if (open_.empty()) return;
        Connection* c = open_[in.byte() % open_.size()];
        const uint64_t n = std::min<uint64_t>(c->receive_queue().bytes(), in.word());
        c->receive_queue().consume(n);
        c->consumed(n);
        c->set_read_enabled(in.byte() % 2 == 0);
    }

    void end(Input& in) {
        if (open_.empty()) return;
        const size_t i = in.byte() % open_.size();
        switch (in.byte() % 3) {
            case 0: open_[i]->shutdown_write(); return;
            case 1: open_[i]->abort(); break;
            default: break;
        }
        open_[i]->release();
        open_.erase(open_.begin() + static_cast<long>(i));
    }

    void drain() {
        ConnectionEvent event;
        while (stack_.poll_event(event)) {
            if (event.events & kAccepted) open_.push_back(event.connection);
            if (std::find(open_.begin(), open_.end(), event.connection) == open_.end()) std::abort();
            if (event.events & kFailed) {
                std::erase(open_, event.connection);
                event.connection->release();
            }
        }
        net::DatagramOut out;
        for (int i = 0; i < 4096 && stack_.poll_transmit(out, now_); i++) check_sent(out);
    }

    void check_sent(net::DatagramOut& out) {
        const auto* header = rte_pktmbuf_mtod(out.mbuf, const uint8_t*);
        const uint32_t header_bytes = static_cast<uint32_t>(header[12] >> 4) * 4;
        if (out.mbuf->data_len < 20 || header_bytes < 20 || header_bytes > out.mbuf->pkt_len) std::abort();
        if (out.mbuf->pkt_len > 1480 || !(out.source == us_) || !(out.destination == them_)) std::abort();
        const uint16_t to = load_be16(header + 2);
        if (to >= 1000 && to < 1004) {
            Peer& peer = peers_[to - 1000];
            peer.active = load_be16(header) != 80;
            peer.our_port = load_be16(header);
            peer.ack = load_be32(header + 4) + out.mbuf->pkt_len - header_bytes + (header[13] & 2 ? 1 : 0) + (header[13] & 1 ? 1 : 0);
        }
        rte_pktmbuf_free(out.mbuf);
    }

    struct Peer {
        uint32_t seq = 1'000'000, ack = 0;
        uint16_t our_port = 80;
        bool active = false;
    };
    const IpAddress us_ = IpAddress::v4(0xc000020a), them_ = IpAddress::v4(0xc0000202);
    SliceNodePool nodes_{4096};
    Instant now_{1'000'000};
    Peer peers_[4];
    std::vector<Connection*> open_;
    Stack stack_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    test::test_eal();
    const unsigned before = rte_mempool_in_use_count(test::test_mempool());
    {
        World world;
        Input in(data, size);
        for (int steps = 0; !in.empty() && steps < 400; steps++) world.step(in);
    }
    if (rte_mempool_in_use_count(test::test_mempool()) != before) std::abort();
    return 0;
}
