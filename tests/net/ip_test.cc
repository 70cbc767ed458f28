// IPv4 and IPv6 validation: what reaches the transport, what is dropped and under which counter, every truncation.
#include <map>

#include "tests/net/wire.h"

namespace sluice::net::test {
namespace {

class IpTest : public StackTest {
 protected:
    IpTest() { make(); }
    const Counters& c() { return stack_->counters(); }
};

TEST_F(IpTest, Ipv4SegmentReachesTheTransport) {
    EXPECT_EQ(in(ethernet(kOurMac, kPeerMac, 0x0800, ipv4("192.0.2.7", "192.0.2.10", 6, tcp_syn("192.0.2.7", "192.0.2.10"))) +
                 Bytes(6, 0xee)), Verdict::kTransport);  // link padding
    EXPECT_EQ(out_.source, ip("192.0.2.7"));
    EXPECT_EQ(out_.destination, ip("192.0.2.10"));
    EXPECT_EQ(out_.payload_offset, 34);
    EXPECT_EQ(out_.payload_length, 20);
    EXPECT_FALSE(out_.l4_checksum_verified);
}

TEST_F(IpTest, Ipv4EveryTruncationIsDropped) {
    const Bytes whole = ethernet(kOurMac, kPeerMac, 0x0800, ipv4("192.0.2.7", "192.0.2.10", 6, tcp_syn("192.0.2.7", "192.0.2.10")));
    for (size_t n = 0; n < whole.size(); n++)
        EXPECT_EQ(in(Bytes(whole.begin(), whole.begin() + static_cast<long>(n))), Verdict::kConsumed) << n;
    EXPECT_EQ(c().rx_bad_link + c().rx_bad_ip, whole.size());
}

TEST_F(IpTest, Ipv4EveryHeaderBitIsCheckedBySum) {
    const Bytes packet = ipv4("192.0.2.7", "192.0.2.10", 6, tcp_syn("192.0.2.7", "192.0.2.10"));
    for (size_t bit = 0; bit < 160; bit++) {
        Bytes bad = packet;
        bad[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
        EXPECT_EQ(in(ethernet(kOurMac, kPeerMac, 0x0800, bad)), Verdict::kConsumed) << bit;
    }
}

TEST_F(IpTest, Ipv4MartiansAreDroppedByReason) {
    const auto drops = [&](const char* source, uint64_t Counters::*reason) {
        const uint64_t before = c().*reason;
        EXPECT_EQ(in_ip(ipv4(source, "192.0.2.10", 6, tcp_syn(source, "192.0.2.10"))), Verdict::kConsumed) << source;
        EXPECT_EQ(c().*reason, before + 1) << source;
    };
    drops("127.0.0.1", &Counters::rx_source_loopback);
    drops("0.0.0.0", &Counters::rx_source_reserved);
    drops("0.1.2.3", &Counters::rx_source_reserved);
    drops("240.1.2.3", &Counters::rx_source_reserved);
    drops("224.0.0.1", &Counters::rx_source_group);
    drops("255.255.255.255", &Counters::rx_source_group);
    drops("192.0.2.255", &Counters::rx_source_group);
    drops("192.0.2.10", &Counters::rx_source_ours);
    drops("10.0.0.10", &Counters::rx_source_ours);
    drops("10.0.3.4", &Counters::rx_source_other_port);   // lives behind the other port
    EXPECT_EQ(in_ip(ipv4("192.0.2.7", "127.0.0.1", 6, tcp_syn("192.0.2.7", "127.0.0.1"))), Verdict::kConsumed);
    EXPECT_EQ(c().rx_destination_loopback, 1u);
}

TEST_F(IpTest, ReversePathLooseAndStrict) {
    StackConfig config = two_ports();
    config.ports[0].routes = {{prefix("198.51.100.0/24"), ip("192.0.2.1")}};
    make(config);
    const auto enters = [&](const char* source, uint8_t port, const char* to) {
        return in_ip(ipv4(source, to, 6, tcp_syn(source, to)), port) == Verdict::kTransport;
    };
    EXPECT_TRUE(enters("198.51.100.7", 0, "192.0.2.10"));
    EXPECT_TRUE(enters("198.51.100.7", 1, "10.0.0.10")) << "loose: some port leads there";
    EXPECT_FALSE(enters("203.0.113.7", 0, "192.0.2.10")) << "no answer would find its way";
    EXPECT_EQ(c().rx_source_no_route, 1u);
    config.ports[1].strict_reverse_path = true;
    make(config);
    EXPECT_FALSE(enters("198.51.100.7", 1, "10.0.0.10"));
    EXPECT_TRUE(enters("10.0.3.4", 1, "10.0.0.10"));
    EXPECT_TRUE(enters("198.51.100.7", 0, "192.0.2.10"));
    EXPECT_EQ(c().rx_source_no_route, 1u);
}

TEST_F(IpTest, Ipv4OtherDestinationsAreExceptions) {
    for (const char* to : {"192.0.2.11", "10.0.0.10" /* the other port's */, "224.0.0.5", "192.0.2.255"})
        EXPECT_EQ(in_ip(ipv4("192.0.2.7", to, 6, tcp_syn("192.0.2.7", to))), Verdict::kException) << to;
    EXPECT_EQ(c().rx_not_ours, 4u);
}

TEST_F(IpTest, UnicastPacketInABroadcastFrameIsDropped) {
    EXPECT_EQ(in(ethernet(kBroadcast, kPeerMac, 0x0800, ipv4("192.0.2.7", "192.0.2.10", 6, tcp_syn("192.0.2.7", "192.0.2.10")))),
              Verdict::kConsumed);
    EXPECT_EQ(c().rx_destination_group, 1u);
}

TEST_F(IpTest, Ipv4Options) {
    const Bytes t = tcp_syn("192.0.2.7", "192.0.2.10");
    EXPECT_EQ(in_ip(ipv4("192.0.2.7", "192.0.2.10", 6, t, hex("94 04 0000"))), Verdict::kTransport);   // router alert
    EXPECT_EQ(out_.payload_offset, 38);
    EXPECT_EQ(in_ip(ipv4("192.0.2.7", "192.0.2.10", 6, t, hex("01010100"))), Verdict::kTransport);
    EXPECT_EQ(in_ip(ipv4("192.0.2.7", "192.0.2.10", 6, t, hex("83 07 04 0a000001 00"))), Verdict::kConsumed);
    EXPECT_EQ(in_ip(ipv4("192.0.2.7", "192.0.2.10", 6, t, hex("89 07 04 0a000001 00"))), Verdict::kConsumed);
    EXPECT_EQ(c().rx_source_routed, 2u);
    EXPECT_EQ(in_ip(ipv4("192.0.2.7", "192.0.2.10", 6, t, hex("94 05 0000"))), Verdict::kConsumed);    // over the end
    EXPECT_EQ(in_ip(ipv4("192.0.2.7", "192.0.2.10", 6, t, hex("94 00 0000"))), Verdict::kConsumed);
    EXPECT_EQ(in_ip(ipv4("192.0.2.7", "192.0.2.10", 6, t, hex("01010194"))), Verdict::kConsumed);
    EXPECT_EQ(c().rx_bad_ip, 3u);
}

TEST_F(IpTest, Ipv4IdsAreNotInOrder) {
    send("192.0.2.10", "192.0.2.7", tcp_with_pseudo("192.0.2.10", "192.0.2.7"));
    resolve("192.0.2.7");
    sent();
    std::vector<uint16_t> ids;
    for (int i = 0; i < 1000; i++) {
        send("192.0.2.10", "192.0.2.7", tcp_with_pseudo("192.0.2.10", "192.0.2.7"));
        const auto frames = sent();
        ASSERT_EQ(frames.size(), 1u);
        ids.push_back(get16(frames[0], 18));
    }
    // 999 steps, each of 65,536 with equal chance: more than a handful of equal ones, or of small ones, is no chance.
    std::map<uint16_t, int> steps;
    int small = 0;
    for (size_t i = 1; i < ids.size(); i++) {
        const auto step = static_cast<uint16_t>(ids[i] - ids[i - 1]);
        steps[step]++;
        small += step < 64;
    }
    for (const auto& [step, times] : steps) EXPECT_LT(times, 5) << step;
    EXPECT_LT(small, 12);
}

TEST_F(IpTest, FlowLabelsAreTheFlowsOwn) {
    const auto label = [&](const char* to, uint8_t port_low) {
        Bytes t = tcp_with_pseudo("2001:db8::10", to);
        t[3] = port_low;
        send("2001:db8::10", to, t);
        in_ip(ipv6("2001:db8::1", "2001:db8::10", 58,
                   icmp6("2001:db8::1", "2001:db8::10", 136, 0,
                         hex("60000000") + address_bytes(ip("2001:db8::1")) + hex("0201") + Bytes(kPeerMac.begin(), kPeerMac.end())), 255));
        for (const Bytes& f : sent())
            if (f[20] == 6) return uint32_t{f[15]} << 16 | uint32_t{f[16]} << 8 | f[17];
        return 0u;
    };
    const uint32_t first = label("2001:db9::5", 80);
    EXPECT_NE(first & 0xfffff, 0u);
    EXPECT_EQ(label("2001:db9::5", 80), first);
    EXPECT_NE(label("2001:db9::5", 81), first);
    EXPECT_NE(label("2001:db9::6", 80), first);
}

TEST_F(IpTest, OtherProtocolsAreExceptionsAndMayBeRefused) {
    const Bytes packet = ipv4("192.0.2.7", "192.0.2.10", 17, hex("1234 0035 0008 0000"));
    EXPECT_EQ(stack_->handle_frame(frame(ethernet(kOurMac, kPeerMac, 0x0800, packet)), 0, now_, out_), Verdict::kException);
    EXPECT_EQ(out_.protocol, 17);
    stack_->send_port_unreachable(out_, now_);
    rte_pktmbuf_free(out_.mbuf);
    sent();  // the ARP request
    resolve("192.0.2.7");
    const auto frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    const Bytes icmp(frames[0].begin() + 34, frames[0].end());
    EXPECT_EQ(Bytes(icmp.begin(), icmp.begin() + 2), (Bytes{3, 3}));
    EXPECT_EQ(slow_checksum(icmp), 0);
    EXPECT_EQ(Bytes(icmp.begin() + 8, icmp.end()), packet);
}

TEST_F(IpTest, IcmpErrorsAreRateLimited) {
    const Bytes f = ethernet(kOurMac, kPeerMac, 0x0800, ipv4("192.0.2.7", "192.0.2.10", 17, hex("1234 0035 0008 0000")));
    for (int i = 0; i < 5000; i++) {
        stack_->handle_frame(frame(f), 0, now_, out_);
        stack_->send_port_unreachable(out_, now_);
        rte_pktmbuf_free(out_.mbuf);
        now_ = now_ + microseconds(10);  // 100,000 a second asked for, 1,000 allowed
    }
    EXPECT_GT(c().icmp_rate_limited, 4800u);
    EXPECT_LT(c().icmp_rate_limited, 5000u);
}

TEST_F(IpTest, Ipv6SegmentReachesTheTransport) {
    EXPECT_EQ(in_ip(ipv6("2001:db8::7", "2001:db8::10", 6, tcp_syn("2001:db8::7", "2001:db8::10"))), Verdict::kTransport);
    EXPECT_EQ(out_.payload_offset, 54);
    EXPECT_EQ(out_.payload_length, 20);
    EXPECT_EQ(out_.source, ip("2001:db8::7"));
}

TEST_F(IpTest, Ipv6EveryTruncationIsDropped) {
    const Bytes whole = ethernet(kOurMac, kPeerMac, 0x86dd,
        ipv6("2001:db8::7", "2001:db8::10", 0, hex("3c00 0104 00000000 0600 0104 00000000") + tcp_syn("2001:db8::7", "2001:db8::10")));
    EXPECT_EQ(in(whole), Verdict::kTransport);
    EXPECT_EQ(out_.payload_offset, 70);
    for (size_t n = 0; n < whole.size(); n++)
        EXPECT_EQ(in(Bytes(whole.begin(), whole.begin() + static_cast<long>(n))), Verdict::kConsumed) << n;
}

TEST_F(IpTest, Ipv6MappedAndOtherMartiansAreDropped) {
    const auto send_from = [&](const Bytes& source) {
        Bytes p = ipv6("2001:db8::7", "2001:db8::10", 6, tcp_syn("2001:db8::7", "2001:db8::10"));
        std::memcpy(&p[8], source.data(), 16);
        return in_ip(p);
    };
    EXPECT_EQ(send_from(hex("00000000000000000000ffffc0000207")), Verdict::kConsumed);
    EXPECT_EQ(c().rx_source_mapped, 1u);
    EXPECT_EQ(send_from(address_bytes(ip("::1"))), Verdict::kConsumed);
    EXPECT_EQ(c().rx_source_loopback, 1u);
    EXPECT_EQ(send_from(address_bytes(ip("ff02::1"))), Verdict::kConsumed);
    EXPECT_EQ(c().rx_source_group, 1u);
    EXPECT_EQ(send_from(address_bytes(ip("::"))), Verdict::kConsumed);
    EXPECT_EQ(send_from(address_bytes(ip("::192.0.2.7"))), Verdict::kConsumed);   // v4-compatible
    EXPECT_EQ(c().rx_source_reserved, 2u);
    EXPECT_EQ(send_from(address_bytes(ip("2001:db8::10"))), Verdict::kConsumed);
    EXPECT_EQ(c().rx_source_ours, 1u);
}

class ChainTest : public IpTest {
 protected:
    ChainTest() {
        send("2001:db8::10", "2001:db8::7", tcp_with_pseudo("2001:db8::10", "2001:db8::7"));
        in_ip(ipv6("2001:db8::7", "2001:db8::10", 58,
                   icmp6("2001:db8::7", "2001:db8::10", 136, 0,
                         hex("60000000") + address_bytes(ip("2001:db8::7")) + hex("0201") + Bytes(kPeerMac.begin(), kPeerMac.end())), 255));
        sent();
    }
    Verdict with(uint8_t first, const Bytes& headers) { return in_ip(ipv6("2001:db8::7", "2001:db8::10", first, headers + syn_)); }
    /// The one parameter problem that was sent as (code, pointer); (-1, -1): nothing was.
    std::pair<int, int> problem() {
        const auto frames = sent();
        if (frames.empty()) return {-1, -1};
        EXPECT_EQ(frames.size(), 1u);
        const Bytes icmp(frames[0].begin() + 54, frames[0].end());
        EXPECT_EQ(icmp[0], 4);
        EXPECT_EQ(slow_checksum(pseudo_header(ip("2001:db8::10"), ip("2001:db8::7"), 58, icmp.size()) + icmp), 0);
        return {icmp[1], get16(icmp, 6)};
    }
    const Bytes syn_ = tcp_syn("2001:db8::7", "2001:db8::10");
    static constexpr std::pair<int, int> kSilence{-1, -1};
};

TEST_F(ChainTest, WhatMayPass) {
    EXPECT_EQ(with(44, hex("0600 0000 12345678")), Verdict::kTransport);   // atomic fragment (RFC 6946)
    EXPECT_EQ(with(43, hex("0600 0000 00000000")), Verdict::kTransport);   // routing, nothing left
    EXPECT_EQ(with(0, hex("3c00 0502 0000 0100") + hex("0600 0104 00000000")), Verdict::kTransport);   // router alert, padding
    EXPECT_EQ(with(60, hex("0600 3e04 00000000")), Verdict::kTransport);   // an unknown option that may be skipped
    EXPECT_EQ(problem(), kSilence);
}

TEST_F(ChainTest, RoutesOfTheSendersChoiceAreRefused) {
    EXPECT_EQ(with(43, hex("0602 0001 00000000 20010db8000000000000000000000099")), Verdict::kConsumed);   // type 0
    EXPECT_EQ(problem(), std::pair(0, 42));
    EXPECT_EQ(with(43, hex("0602 0401 00000000 20010db8000000000000000000000099")), Verdict::kConsumed);   // segment routing
    EXPECT_EQ(problem(), std::pair(0, 42));
    EXPECT_EQ(c().rx_source_routed, 2u);
}

TEST_F(ChainTest, UnknownOptionsAreAnsweredAsTheySay) {
    EXPECT_EQ(with(60, hex("0600 0100 4102 0000")), Verdict::kConsumed);   // 01: silence
    EXPECT_EQ(problem(), kSilence);
    EXPECT_EQ(with(60, hex("0600 0100 8102 0000")), Verdict::kConsumed);   // 10: an answer
    EXPECT_EQ(problem(), std::pair(2, 44));
    EXPECT_EQ(with(60, hex("0600 0100 c102 0000")), Verdict::kConsumed);   // 11: an answer, if we alone were meant
    EXPECT_EQ(problem(), std::pair(2, 44));
    const auto to_all = [&](const Bytes& options) {
        in(ethernet({0x33, 0x33, 0, 0, 0, 1}, kPeerMac, 0x86dd, ipv6("2001:db8::7", "ff02::1", 60, options + syn_)));
    };
    to_all(hex("0600 0100 c102 0000"));
    EXPECT_EQ(problem(), kSilence);
    to_all(hex("0600 0100 8102 0000"));
    EXPECT_EQ(problem(), std::pair(2, 44));   // from our own address, not from the group's
    EXPECT_EQ(c().rx_bad_extension, 5u);
}

TEST_F(ChainTest, OrderAndNumberAreBounded) {
    EXPECT_EQ(with(60, hex("3c00 0104 00000000") + hex("0000 0104 00000000") + hex("0600 0104 00000000")), Verdict::kConsumed);
    EXPECT_EQ(problem(), std::pair(1, 48));   // hop-by-hop late: at the field that names it
    EXPECT_EQ(with(44, hex("2c00 0000 12345678") + hex("0600 0000 12345678")), Verdict::kConsumed);   // a fragment in a fragment
    EXPECT_EQ(problem(), std::pair(1, 40));
    EXPECT_EQ(with(60, hex("0600 0109 00000000")), Verdict::kConsumed);    // an option over the end
    EXPECT_EQ(with(60, hex("06ff 0104 00000000")), Verdict::kConsumed);    // a header over the end
    EXPECT_EQ(c().rx_bad_ip, 2u);
    EXPECT_EQ(with(59, hex("")), Verdict::kConsumed);                      // no next header
    EXPECT_EQ(c().rx_bad_extension, 3u);
    Bytes chain;
    for (int i = 0; i < 8; i++) chain = chain + hex(i == 7 ? "0600 0104 00000000" : "3c00 0104 00000000");
    EXPECT_EQ(with(60, chain), Verdict::kConsumed);
    Bytes many = hex("0603");   // 30 bytes of options: fifteen of two bytes
    for (int i = 0; i < 15; i++) many = many + hex("0100");
    EXPECT_EQ(with(60, many), Verdict::kConsumed);
    EXPECT_EQ(c().rx_extension_limit, 2u);
    EXPECT_EQ(problem(), kSilence);
}

TEST_F(ChainTest, AnUnknownNextHeaderIsNamedBehindExtensionsToo) {
    for (const auto& [first, headers, pointer] : {std::tuple(uint8_t{200}, Bytes{}, 6), {uint8_t{60}, hex("c800 0104 00000000"), 40}}) {
        EXPECT_EQ(stack_->handle_frame(frame(ethernet(kOurMac, kPeerMac, 0x86dd, ipv6("2001:db8::7", "2001:db8::10", first, headers + syn_))),
                                       0, now_, out_), Verdict::kException);
        stack_->send_port_unreachable(out_, now_);
        rte_pktmbuf_free(out_.mbuf);
        EXPECT_EQ(problem(), std::pair(1, pointer));
    }
}

TEST_F(IpTest, SendRefusesWhatCannotGo) {
    EXPECT_FALSE(send("192.0.2.10", "192.0.2.7", Bytes(1490, 0)));
    EXPECT_EQ(c().tx_too_big, 1u);
    EXPECT_FALSE(send("10.0.0.10", "192.0.2.10", Bytes(20, 0)));   // ourselves
    EXPECT_FALSE(send("192.0.2.10", "224.0.0.1", Bytes(20, 0)));
    EXPECT_EQ(c().no_route, 2u);
}

TEST_F(IpTest, SoftwareChecksumOverAChainAndOddPieces) {
    send("192.0.2.10", "192.0.2.7", tcp_with_pseudo("192.0.2.10", "192.0.2.7"));
    resolve("192.0.2.7");
    sent();
    DatagramOut d;
    d.source = ip("192.0.2.10"), d.destination = ip("192.0.2.7"), d.protocol = kProtocolTcp;
    const Bytes payload = hex("01 02 03 04 05 06 07 08 09");
    Bytes t = tcp_syn("192.0.2.10", "192.0.2.7");
    put16(t, 16, static_cast<uint16_t>(~slow_checksum(pseudo_header(d.source, d.destination, 6, t.size() + payload.size()))));
    d.mbuf = rte_pktmbuf_alloc(sluice::test::test_mempool());
    std::memcpy(rte_pktmbuf_append(d.mbuf, 20), t.data(), 20);
    rte_pktmbuf_chain(d.mbuf, frame(payload, 3));
    EXPECT_TRUE(stack_->send(d, now_));
    const auto frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    const Bytes segment(frames[0].begin() + 34, frames[0].end());
    EXPECT_EQ(slow_checksum(pseudo_header(d.source, d.destination, 6, segment.size()) + segment), 0);
}

TEST_F(IpTest, LinklessPortCarriesBarePackets) {
    StackConfig config;
    PortConfig p;
    p.link_layer = false;
    p.addresses = {prefix("192.168.0.1/16"), prefix("fd00::1/64")};
    p.routes = {{prefix("0.0.0.0/0"), ip("192.168.0.2")}};
    config.ports = {p};
    make(config);
    at(1'000'000);
    EXPECT_TRUE(sent().empty());
    EXPECT_EQ(in(ipv4("192.168.7.7", "192.168.0.1", 6, tcp_syn("192.168.7.7", "192.168.0.1"))), Verdict::kTransport);
    EXPECT_EQ(out_.payload_offset, 20);
    EXPECT_EQ(in(ipv6("fd00::2", "fd00::1", 6, tcp_syn("fd00::2", "fd00::1"))), Verdict::kTransport);
    uint32_t hint = 0;
    EXPECT_TRUE(send("192.168.0.1", "8.8.8.8", tcp_with_pseudo("192.168.0.1", "8.8.8.8"), &hint));
    EXPECT_TRUE(send("192.168.0.1", "8.8.8.8", tcp_with_pseudo("192.168.0.1", "8.8.8.8"), &hint));
    const auto frames = sent();
    ASSERT_EQ(frames.size(), 2u);
    EXPECT_EQ(frames[0][0], 0x45);
    EXPECT_EQ(Bytes(frames[1].begin() + 20, frames[1].end()), tcp_syn("192.168.0.1", "8.8.8.8"));
}

}  // namespace
}  // namespace sluice::net::test
