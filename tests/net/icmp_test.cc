// ICMP and ND: ping both families, errors in validated before they reach the transport, solicitations answered exactly.
#include "tests/net/wire.h"

namespace sluice::net::test {
namespace {

class IcmpTest : public StackTest {
 protected:
    IcmpTest() { make(); }
    /// Makes 2001:db8::7 resolvable.
    void resolve6(const char* address = "2001:db8::7") {
        const Bytes body = hex("60000000") + address_bytes(ip(address)) + hex("0201") + Bytes(kPeerMac.begin(), kPeerMac.end());
        in_ip(ipv6(address, "2001:db8::10", 58, icmp6(address, "2001:db8::10", 136, 0, body), 255));
    }
};

TEST_F(IcmpTest, EchoIpv4) {
    const Bytes data = hex("1234 0001 00112233445566");   // odd length
    in(ethernet(kOurMac, kPeerMac, 0x0800, ipv4("192.0.2.7", "192.0.2.10", 1, icmp4(8, 0, data))) + Bytes(9, 0));
    sent();
    resolve("192.0.2.7");
    const auto frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    const Bytes packet(frames[0].begin() + 14, frames[0].end());
    EXPECT_EQ(Bytes(packet.begin() + 20, packet.end()), icmp4(0, 0, data));
    EXPECT_EQ(get16(packet, 2), packet.size());
    EXPECT_EQ(Bytes(packet.begin() + 12, packet.begin() + 20), address_bytes(ip("192.0.2.10")) + address_bytes(ip("192.0.2.7")));
}

TEST_F(IcmpTest, EchoIpv4ChecksumEdges) {
    // All 65,536 checksums: the incremental update must agree with the full sum, 0x0000 and 0xffff included.
    StackConfig c = two_ports();
    c.echo_replies_per_s = 10'000'000;
    make(c);
    send("192.0.2.10", "192.0.2.7", tcp_syn("192.0.2.10", "192.0.2.7"));
    resolve("192.0.2.7");
    sent();
    for (uint32_t v = 0; v < 65536; v++) {
        Bytes data(6, 0);
        put16(data, 4, static_cast<uint16_t>(v));
        in_ip(ipv4("192.0.2.7", "192.0.2.10", 1, icmp4(8, 0, data)));
        const auto frames = sent();
        ASSERT_EQ(frames.size(), 1u) << v;
        ASSERT_EQ(slow_checksum(Bytes(frames[0].begin() + 34, frames[0].end())), 0) << v;
    }
}

TEST_F(IcmpTest, EchoIpv6) {
    const Bytes data = hex("1234 0001 00112233");
    in_ip(ipv6("2001:db8::7", "2001:db8::10", 58, icmp6("2001:db8::7", "2001:db8::10", 128, 0, data)));
    auto frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    // Our solicitation, byte for byte but the checksum, which must be right.
    EXPECT_EQ(Bytes(frames[0].begin(), frames[0].begin() + 14), hex("3333ff000007 020000000001 86dd"));
    EXPECT_EQ(Bytes(frames[0].begin() + 14, frames[0].end()),
              ipv6("2001:db8::10", "ff02::1:ff00:7", 58,
                   icmp6("2001:db8::10", "ff02::1:ff00:7", 135, 0,
                         hex("00000000") + address_bytes(ip("2001:db8::7")) + hex("0101 020000000001")), 255));
    resolve6();
    frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(Bytes(frames[0].begin() + 54, frames[0].end()), icmp6("2001:db8::10", "2001:db8::7", 129, 0, data));
}

TEST_F(IcmpTest, BroadcastAndMulticastPingsAreNotAnswered) {
    in(ethernet(kBroadcast, kPeerMac, 0x0800, ipv4("192.0.2.7", "192.0.2.255", 1, icmp4(8, 0, hex("00010001")))));
    in(ethernet({0x33, 0x33, 0, 0, 0, 1}, kPeerMac, 0x86dd,
                ipv6("2001:db8::7", "ff02::1", 58, icmp6("2001:db8::7", "ff02::1", 128, 0, hex("00010001")))));
    EXPECT_TRUE(sent().empty());
}

TEST_F(IcmpTest, BadChecksumsAreDropped) {
    Bytes bad = icmp4(8, 0, hex("00010001"));
    bad[3] ^= 1;
    in_ip(ipv4("192.0.2.7", "192.0.2.10", 1, bad));
    Bytes bad6 = icmp6("2001:db8::7", "2001:db8::10", 128, 0, hex("00010001"));
    bad6[3] ^= 1;
    in_ip(ipv6("2001:db8::7", "2001:db8::10", 58, bad6));
    EXPECT_EQ(stack_->counters().rx_bad_checksum, 2u);
    EXPECT_TRUE(sent().empty());
}

TEST_F(IcmpTest, SolicitationIsAnswered) {
    const Bytes ns = icmp6("2001:db8::7", "ff02::1:ff00:10", 135, 0,
                           hex("00000000") + address_bytes(ip("2001:db8::10")) + hex("0101 020000000002"));
    in(ethernet({0x33, 0x33, 0xff, 0, 0, 0x10}, kPeerMac, 0x86dd, ipv6("2001:db8::7", "ff02::1:ff00:10", 58, ns, 255)));
    const auto frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0], ethernet(kPeerMac, kOurMac, 0x86dd,
        ipv6("2001:db8::10", "2001:db8::7", 58,
             icmp6("2001:db8::10", "2001:db8::7", 136, 0, hex("60000000") + address_bytes(ip("2001:db8::10")) + hex("0201 020000000001")), 255)));
}

TEST_F(IcmpTest, DuplicateAddressProbeIsAnsweredToAll) {
    const Bytes ns = icmp6("::", "ff02::1:ff00:10", 135, 0, hex("00000000") + address_bytes(ip("2001:db8::10")));
    in(ethernet({0x33, 0x33, 0xff, 0, 0, 0x10}, kPeerMac, 0x86dd, ipv6("::", "ff02::1:ff00:10", 58, ns, 255)));
    const auto frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(Bytes(frames[0].begin(), frames[0].begin() + 6), hex("333300000001"));
    EXPECT_EQ(Bytes(frames[0].begin() + 38, frames[0].begin() + 54), address_bytes(ip("ff02::1")));
}

TEST_F(IcmpTest, NdFromAfarOrMalformedIsIgnored) {
    const auto body = [](const Bytes& options) { return hex("00000000") + address_bytes(ip("2001:db8::10")) + options; };
    const auto send_ns = [&](const Bytes& b, uint8_t hops, const char* source = "2001:db8::7") {
        in_ip(ipv6(source, "2001:db8::10", 58, icmp6(source, "2001:db8::10", 135, 0, b), hops));
    };
    send_ns(body(hex("0101 020000000002")), 254);
    send_ns(body(hex("0100 020000000002")), 255);   // option length zero
    send_ns(body(hex("0102 020000000002")), 255);   // option over the end
    send_ns(body(hex("0101 030000000002")), 255);   // a group MAC
    send_ns(body(hex("0101 020000000002")), 255, "2001:db9::7");  // not on link
    send_ns(hex("00000000 2001"), 255);
    EXPECT_TRUE(sent().empty());
}

TEST_F(IcmpTest, QuotedSegmentBecomesAnError) {
    const Bytes quoted = ipv4("192.0.2.10", "198.51.100.5", 6, tcp_syn("192.0.2.10", "198.51.100.5"));
    const auto error_with = [&](uint8_t type, uint8_t code, const Bytes& rest, const Bytes& q) {
        in_ip(ipv4("198.51.100.1", "192.0.2.10", 1, icmp4(type, code, rest + q)));
    };
    IcmpError e;
    error_with(3, 1, hex("00000000"), quoted);
    ASSERT_TRUE(stack_->poll_icmp_error(e));
    EXPECT_EQ(e.kind, IcmpError::Kind::kHostUnreachable);
    EXPECT_EQ(e.tuple, (FourTuple{{ip("192.0.2.10"), 40000}, {ip("198.51.100.5"), 80}}));
    EXPECT_EQ(e.sequence, 0x01020304u);
    error_with(3, 4, hex("0000 0578"), quoted);
    ASSERT_TRUE(stack_->poll_icmp_error(e));
    EXPECT_EQ(e.kind, IcmpError::Kind::kFragmentationNeeded);
    EXPECT_EQ(e.path_mtu, 1400);
    error_with(3, 4, hex("0000 0044"), quoted);   // 68: raised to the floor
    ASSERT_TRUE(stack_->poll_icmp_error(e));
    EXPECT_EQ(e.path_mtu, 552);
    error_with(3, 3, hex("00000000"), Bytes(quoted.begin(), quoted.begin() + 28));  // the least a router quotes
    EXPECT_TRUE(stack_->poll_icmp_error(e));
}

TEST_F(IcmpTest, ForgedQuotesAreRefused) {
    const auto refused = [&](const Bytes& q) {
        in_ip(ipv4("198.51.100.1", "192.0.2.10", 1, icmp4(3, 1, hex("00000000") + q)));
        IcmpError e;
        return !stack_->poll_icmp_error(e);
    };
    const Bytes t = tcp_syn("192.0.2.10", "198.51.100.5");
    EXPECT_TRUE(refused(ipv4("192.0.2.11", "198.51.100.5", 6, t)));   // not ours
    EXPECT_TRUE(refused(ipv4("10.0.0.10", "198.51.100.5", 6, t)));    // ours, but the error came to another address
    EXPECT_TRUE(refused(ipv4("192.0.2.10", "198.51.100.5", 17, t)));
    EXPECT_TRUE(refused(ipv4("192.0.2.10", "198.51.100.5", 6, t, {}, 0x0001)));
    EXPECT_TRUE(refused(ipv4("192.0.2.10", "198.51.100.5", 6, hex("9c40 0050 0102"))));
    EXPECT_TRUE(refused({}));
    Bytes long_header = ipv4("192.0.2.10", "198.51.100.5", 6, hex("9c40 0050 01020304"));
    long_header[0] = 0x4f;
    EXPECT_TRUE(refused(long_header));
}

TEST_F(IcmpTest, PacketTooBigIpv6) {
    const Bytes quoted = ipv6("2001:db8::10", "2001:db9::5", 6, tcp_syn("2001:db8::10", "2001:db9::5"));
    in_ip(ipv6("2001:db9::1", "2001:db8::10", 58, icmp6("2001:db9::1", "2001:db8::10", 2, 0, hex("00000500") + quoted)));
    IcmpError e;
    ASSERT_TRUE(stack_->poll_icmp_error(e));
    EXPECT_EQ(e.path_mtu, 1280);
    EXPECT_EQ(e.tuple.remote.ip, ip("2001:db9::5"));
}

TEST_F(IcmpTest, RedirectsAndRouterAdvertisementsChangeNothing) {
    in_ip(ipv4("192.0.2.1", "192.0.2.10", 1, icmp4(5, 1, address_bytes(ip("192.0.2.66")) +
        ipv4("192.0.2.10", "198.51.100.5", 6, tcp_syn("192.0.2.10", "198.51.100.5")))));
    in_ip(ipv6("fe80::1", "2001:db8::10", 58, icmp6("fe80::1", "2001:db8::10", 137, 0,
        hex("00000000") + address_bytes(ip("2001:db8::66")) + address_bytes(ip("2001:db9::5"))), 255));
    in_ip(ipv6("fe80::1", "2001:db8::10", 58, icmp6("fe80::1", "2001:db8::10", 134, 0, hex("40000708 00000000 00000000")), 255));
    EXPECT_EQ(stack_->counters().icmp_redirect_ignored, 2u);
    EXPECT_EQ(stack_->counters().nd_router_ignored, 1u);
    send("192.0.2.10", "198.51.100.5", tcp_syn("192.0.2.10", "198.51.100.5"));
    auto frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(Bytes(frames[0].begin() + 38, frames[0].end()), address_bytes(ip("192.0.2.1"))) << "the configured router is asked for";
}

TEST_F(IcmpTest, EchoRepliesAreRateLimited) {
    StackConfig c = two_ports();
    c.echo_replies_per_s = 200;
    make(c);
    send("192.0.2.10", "192.0.2.7", tcp_syn("192.0.2.10", "192.0.2.7"));
    resolve("192.0.2.7");
    sent();
    size_t answers = 0;
    for (int i = 0; i < 10'000; i++) {   // a second
        in_ip(ipv4("192.0.2.7", "192.0.2.10", 1, icmp4(8, 0, hex("00010001"))));
        answers += sent().size();
        now_ = now_ + microseconds(100);
    }
    EXPECT_GT(answers, 100u);
    EXPECT_LE(answers, 211u);
    EXPECT_EQ(stack_->counters().echo_rate_limited, 10'000 - answers);
}

TEST_F(IcmpTest, PathMtuIsLearntLoweredAndForgotten) {
    const IpAddress to = ip("198.51.100.5");
    EXPECT_EQ(stack_->route(to, {})->mtu, 1500);
    EXPECT_EQ(stack_->route(to, {})->source, ip("192.0.2.10"));
    stack_->update_path_mtu(to, 1400, now_);
    stack_->update_path_mtu(to, 1450, now_);   // never raised by a message
    at(now_.us + 1);
    EXPECT_EQ(stack_->route(to, {})->mtu, 1400);
    EXPECT_EQ(stack_->route(ip("198.51.100.6"), {})->mtu, 1500);
    at(now_.us + 601'000'000);
    EXPECT_EQ(stack_->route(to, {})->mtu, 1500);
}

/// RFC 9293 MUST-46: whoever connects to many is refused before anything is sent.
TEST_F(IcmpTest, NoRouteLeadsToABroadcast) {
    EXPECT_TRUE(stack_->route(ip("192.0.2.7"), {}));
    EXPECT_FALSE(stack_->route(ip("192.0.2.255"), {}));
    EXPECT_FALSE(stack_->route(ip("255.255.255.255"), {}));
    EXPECT_FALSE(stack_->route(ip("224.0.0.1"), {}));
}

TEST_F(IcmpTest, TheHopLimitIsTheOperators) {
    StackConfig c = two_ports();
    c.hop_limit = 99;
    make(c);
    send("192.0.2.10", "192.0.2.7", tcp_syn("192.0.2.10", "192.0.2.7"));
    resolve("192.0.2.7");
    const auto frames = sent();
    ASSERT_FALSE(frames.empty());
    EXPECT_EQ(static_cast<uint8_t>(frames.back()[14 + 8]), 99);
}

}  // namespace
}  // namespace sluice::net::test
