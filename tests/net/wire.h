// Builds and reads exact frames for the tests of net/: bytes from hex, ARP, IPv4, IPv6, ICMP, TCP; checksums by the slow,
// obvious method, independent of base/checksum.h. Received frames are exact-size heap buffers, so ASan sees overreads.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/ip_address.h"
#include "net/ip_headers.h"
#include "net/stack.h"
#include "tests/support/eal.h"

namespace sluice::net::test {

using Bytes = std::vector<uint8_t>;

inline IpAddress ip(const char* text) { return *IpAddress::parse(text); }
inline IpPrefix prefix(const char* text) { return *IpPrefix::parse(text); }

inline constexpr MacAddress kOurMac{2, 0, 0, 0, 0, 1};
inline constexpr MacAddress kPeerMac{2, 0, 0, 0, 0, 2};
inline constexpr MacAddress kBroadcast{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

inline Bytes hex(std::string_view text) {
    Bytes out;
    std::string digits;
    for (char c : text)
        if (c != ' ' && c != '\n') digits += c;
    for (size_t i = 0; i + 1 < digits.size(); i += 2) out.push_back(static_cast<uint8_t>(std::stoi(digits.substr(i, 2), nullptr, 16)));
    return out;
}
inline Bytes operator+(Bytes a, const Bytes& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}
inline Bytes address_bytes(const IpAddress& a) {
    return a.is_v4() ? Bytes(a.bytes.begin() + 12, a.bytes.end()) : Bytes(a.bytes.begin(), a.bytes.end());
}
inline void put16(Bytes& b, size_t at, uint16_t v) { b[at] = static_cast<uint8_t>(v >> 8), b[at + 1] = static_cast<uint8_t>(v); }
inline uint16_t get16(const Bytes& b, size_t at) { return static_cast<uint16_t>(b[at] << 8 | b[at + 1]); }

inline uint16_t slow_checksum(const Bytes& b) {
    uint32_t sum = 0;
    for (size_t i = 0; i < b.size(); i++) sum += i % 2 == 0 ? static_cast<uint32_t>(b[i]) << 8 : b[i];
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<uint16_t>(~sum);
}
inline Bytes pseudo_header(const IpAddress& s, const IpAddress& d, uint8_t protocol, size_t length) {
    Bytes p = address_bytes(s) + address_bytes(d);
    if (s.is_v4()) return p + Bytes{0, protocol, static_cast<uint8_t>(length >> 8), static_cast<uint8_t>(length)};
    return p + Bytes{0, 0, static_cast<uint8_t>(length >> 8), static_cast<uint8_t>(length), 0, 0, 0, protocol};
}

inline Bytes ethernet(const MacAddress& to, const MacAddress& from, uint16_t type, const Bytes& payload) {
    Bytes f(to.begin(), to.end());
    f.insert(f.end(), from.begin(), from.end());
    f.push_back(static_cast<uint8_t>(type >> 8)), f.push_back(static_cast<uint8_t>(type));
    return f + payload;
}
inline Bytes arp(uint16_t op, const MacAddress& sha, const char* spa, const MacAddress& tha, const char* tpa) {
    Bytes b = hex("0001 0800 06 04");
    b.push_back(0), b.push_back(static_cast<uint8_t>(op));
    return b + Bytes(sha.begin(), sha.end()) + address_bytes(ip(spa)) + Bytes(tha.begin(), tha.end()) + address_bytes(ip(tpa));
}
inline Bytes ipv4(const char* s, const char* d, uint8_t protocol, const Bytes& payload, const Bytes& options = {},
                  uint16_t fragment = 0x4000) {
    Bytes h(20);
    h[0] = static_cast<uint8_t>(0x40 | (5 + options.size() / 4));
    put16(h, 2, static_cast<uint16_t>(20 + options.size() + payload.size()));
    put16(h, 6, fragment);
    h[8] = 64, h[9] = protocol;
    const Bytes a = address_bytes(ip(s)) + address_bytes(ip(d));
    std::memcpy(&h[12], a.data(), 8);
    h = h + options;
    put16(h, 10, slow_checksum(h));
    return h + payload;
}
inline Bytes ipv6(const char* s, const char* d, uint8_t next, const Bytes& payload, uint8_t hop_limit = 64) {
    Bytes h(8);
    h[0] = 0x60;
    put16(h, 4, static_cast<uint16_t>(payload.size()));
    h[6] = next, h[7] = hop_limit;
    return h + address_bytes(ip(s)) + address_bytes(ip(d)) + payload;
}
inline Bytes icmp4(uint8_t type, uint8_t code, const Bytes& rest) {
    Bytes b = Bytes{type, code, 0, 0} + rest;
    put16(b, 2, slow_checksum(b));
    return b;
}
inline Bytes icmp6(const char* s, const char* d, uint8_t type, uint8_t code, const Bytes& rest) {
    Bytes b = Bytes{type, code, 0, 0} + rest;
    put16(b, 2, slow_checksum(pseudo_header(ip(s), ip(d), 58, b.size()) + b));
    return b;
}
/// 20 bytes of TCP header, SYN to port 80, with a right checksum.
inline Bytes tcp_syn(const char* s, const char* d) {
    Bytes b = hex("9c40 0050 01020304 00000000 50 02 faf0 0000 0000");
    put16(b, 16, slow_checksum(pseudo_header(ip(s), ip(d), 6, b.size()) + b));
    return b;
}

/// A frame as the NIC hands it in: exact size, or cut into segments of `segment` bytes.
inline rte_mbuf* frame(const Bytes& bytes, size_t segment = 0) {
    rte_mbuf* head = nullptr;
    rte_mbuf* tail = nullptr;
    if (segment == 0) segment = bytes.empty() ? 1 : bytes.size();
    for (size_t at = 0; at < bytes.size() || !head; at += segment) {
        const size_t n = std::min(segment, bytes.size() - at);
        Slice slice = sluice::test::heap_slice(std::span(bytes.data() + at, n));
        rte_mbuf* m = slice.segment();
        rte_mbuf_refcnt_update(m, 1);
        if (!head) head = m;
        else tail->next = m, head->nb_segs++, head->pkt_len += m->data_len;
        tail = m;
    }
    return head;
}
inline Bytes take_bytes(rte_mbuf* m) {
    Bytes out;
    for (const rte_mbuf* s = m; s; s = s->next) {
        const auto* p = rte_pktmbuf_mtod(s, const uint8_t*);
        out.insert(out.end(), p, p + s->data_len);
    }
    rte_pktmbuf_free(m);
    return out;
}

/// One stack with an "outside" port 192.0.2.10/24, 2001:db8::10/64 and a default gateway each, and an "inside" port.
class StackTest : public ::testing::Test {
 protected:
    StackTest() { sluice::test::test_eal(); }
    ~StackTest() override {
        stack_.reset();
        EXPECT_EQ(rte_mempool_in_use_count(sluice::test::test_mempool()), in_use_) << "mbufs leaked";
    }
    static StackConfig two_ports() {
        StackConfig c;
        PortConfig outside;
        outside.name = "outside";
        outside.mac = kOurMac;
        outside.addresses = {prefix("192.0.2.10/24"), prefix("2001:db8::10/64")};
        outside.routes = {{prefix("0.0.0.0/0"), ip("192.0.2.1")}, {prefix("::/0"), ip("2001:db8::1")}};
        PortConfig inside;
        inside.name = "inside";
        inside.mac = {2, 0, 0, 0, 0, 3};
        inside.addresses = {prefix("10.0.0.10/16")};
        c.ports = {outside, inside};
        c.announce = false;
        c.seed = 7;
        return c;
    }
    Stack& make(const StackConfig& c) {
        stack_.reset();
        in_use_ = rte_mempool_in_use_count(sluice::test::test_mempool());
        stack_ = std::make_unique<Stack>(c, sluice::test::test_mempool());
        return *stack_;
    }
    Stack& make() { return make(two_ports()); }
    Verdict in(const Bytes& bytes, uint8_t port = 0, size_t segment = 0) {
        const Verdict v = stack_->handle_frame(frame(bytes, segment), port, now_, out_);
        if (v == Verdict::kException) rte_pktmbuf_free(out_.mbuf);
        if (v == Verdict::kTransport) rte_pktmbuf_free(out_.mbuf);
        return v;
    }
    Verdict in_ip(const Bytes& packet, uint8_t port = 0) {
        return in(ethernet(port == 0 ? kOurMac : MacAddress{2, 0, 0, 0, 0, 3}, kPeerMac, packet[0] >> 4 == 6 ? 0x86dd : 0x0800, packet), port);
    }
    std::vector<Bytes> sent(uint8_t port = 0) {
        std::vector<Bytes> frames;
        rte_mbuf* m;
        while (stack_->poll_transmit(port, &m, 1) == 1) frames.push_back(take_bytes(m));
        return frames;
    }
    /// Sends `payload` as a TCP segment whose checksum is left to the IP layer.
    bool send(const char* from, const char* to, const Bytes& payload, uint32_t* hint = nullptr) {
        DatagramOut d;
        d.source = ip(from);
        d.destination = ip(to);
        d.protocol = kProtocolTcp;
        d.mbuf = rte_pktmbuf_alloc(sluice::test::test_mempool());
        std::memcpy(rte_pktmbuf_append(d.mbuf, static_cast<uint16_t>(payload.size())), payload.data(), payload.size());
        if (hint) d.route_hint = *hint;
        const bool ok = stack_->send(d, now_);
        if (hint) *hint = d.route_hint;
        return ok;
    }
    void at(uint64_t us) {
        now_ = Instant{us};
        stack_->handle_timeout(now_);
    }
    /// Resolves `address` at `mac`, as the peer would.
    void resolve(const char* address, const MacAddress& mac = kPeerMac) {
        EXPECT_EQ(in(ethernet(kOurMac, mac, 0x0806, arp(2, mac, address, kOurMac, "192.0.2.10"))), Verdict::kConsumed);
    }
    static Bytes tcp_with_pseudo(const char* from, const char* to) {
        Bytes t = tcp_syn(from, to);
        put16(t, 16, 0);
        // The field holds the pseudo-header's sum, not complemented.
        put16(t, 16, static_cast<uint16_t>(~slow_checksum(pseudo_header(ip(from), ip(to), 6, t.size()))));
        return t;
    }

    std::unique_ptr<Stack> stack_;
    Instant now_{1'000'000};
    DatagramIn out_;
    unsigned in_use_ = 0;
};

}  // namespace sluice::net::test
