// Fragments of both families: in every order, cut at every place, overlapping, tiny, without end; bounds on all that is kept.
#include <algorithm>
#include <cstdlib>
#include <random>

#include "net/reassembly.h"
#include "tests/net/wire.h"

namespace sluice::net::test {
namespace {

/// A TCP segment with `payload` bytes that differ by place, and a right checksum.
Bytes segment(const char* from, const char* to, size_t payload) {
    Bytes t = tcp_syn(from, to);
    for (size_t i = 0; i < payload; i++) t.push_back(static_cast<uint8_t>(i * 7 + i / 256));
    put16(t, 16, 0);
    put16(t, 16, slow_checksum(pseudo_header(ip(from), ip(to), 6, t.size()) + t));
    return t;
}

class FragmentTest : public StackTest {
 protected:
    FragmentTest() { make(); }
    const Counters& c() { return stack_->counters(); }

    static Bytes part(const Bytes& whole, size_t begin, size_t end) {
        return Bytes(whole.begin() + static_cast<long>(begin), whole.begin() + static_cast<long>(std::min(end, whole.size())));
    }
    /// Bytes [begin, end) of `whole` as an IPv4 fragment.
    Verdict in4(const Bytes& whole, size_t begin, size_t end, uint16_t id = 1, const char* from = "192.0.2.7", uint8_t protocol = 6) {
        const bool more = end < whole.size();
        Bytes p = ipv4(from, "192.0.2.10", protocol, part(whole, begin, end), {}, static_cast<uint16_t>(begin / 8 | (more ? 0x2000 : 0)));
        put16(p, 4, id);
        put16(p, 10, 0);
        put16(p, 10, slow_checksum(Bytes(p.begin(), p.begin() + 20)));
        return keep(ethernet(kOurMac, kPeerMac, 0x0800, p) + Bytes(3, 0xee));   // with padding
    }
    Verdict in6(const Bytes& whole, size_t begin, size_t end, uint32_t id = 1, uint8_t next = 6, const char* from = "2001:db8::7") {
        const bool more = end < whole.size();
        Bytes h = Bytes{next, 0, 0, 0, 0, 0, 0, 0};
        put16(h, 2, static_cast<uint16_t>(begin | more));
        put16(h, 4, static_cast<uint16_t>(id >> 16));
        put16(h, 6, static_cast<uint16_t>(id));
        return keep(ethernet(kOurMac, kPeerMac, 0x86dd, ipv6(from, "2001:db8::10", 44, h + part(whole, begin, end))) + Bytes(3, 0xee));
    }
    /// The payload of a datagram that came out whole is left in payload_, its packet in packet_.
    Verdict keep(const Bytes& bytes) {
        const Verdict v = stack_->handle_frame(frame(bytes, segment_), 0, now_, out_);
        if (v != Verdict::kTransport) {
            if (v == Verdict::kException) rte_pktmbuf_free(out_.mbuf);
            return v;
        }
        const Bytes all = take_bytes(out_.mbuf);
        EXPECT_EQ(all.size(), size_t{out_.payload_offset} + out_.payload_length);
        payload_ = Bytes(all.begin() + out_.payload_offset, all.end());
        packet_ = Bytes(all.begin() + 14, all.end());
        return v;
    }
    size_t segment_ = 0;   // received frames are cut into mbufs of this size
    Bytes payload_, packet_;
};

TEST_F(FragmentTest, Ipv4ThreePartsInEveryOrder) {
    const Bytes whole = segment("192.0.2.7", "192.0.2.10", 3000);
    const std::pair<size_t, size_t> parts[] = {{0, 1480}, {1480, 2960}, {2960, 3020}};
    int order[] = {0, 1, 2};
    uint16_t id = 1;
    do {
        id++;
        EXPECT_EQ(in4(whole, parts[order[0]].first, parts[order[0]].second, id), Verdict::kConsumed);
        EXPECT_EQ(in4(whole, parts[order[1]].first, parts[order[1]].second, id), Verdict::kConsumed);
        ASSERT_EQ(in4(whole, parts[order[2]].first, parts[order[2]].second, id), Verdict::kTransport);
        EXPECT_EQ(payload_, whole);
        EXPECT_EQ(out_.source, ip("192.0.2.7"));
        EXPECT_EQ(out_.protocol, kProtocolTcp);
        EXPECT_FALSE(out_.is_fragment);
        EXPECT_EQ(slow_checksum(Bytes(packet_.begin(), packet_.begin() + 20)), 0);
        EXPECT_EQ(get16(packet_, 2), 3040);
        EXPECT_EQ(get16(packet_, 6), 0);
    } while (std::next_permutation(std::begin(order), std::end(order)));
    EXPECT_EQ(c().fragments_reassembled, 6u);
    EXPECT_EQ(c().rx_fragments, 18u);
    EXPECT_EQ(stack_->poll_timeout(), Instant::never());
}

TEST_F(FragmentTest, Ipv6InEveryOrder) {
    const Bytes whole = segment("2001:db8::7", "2001:db8::10", 2000);
    for (int reversed = 0; reversed < 2; reversed++) {
        const uint32_t id = 0x01020304u + static_cast<uint32_t>(reversed);
        EXPECT_EQ(reversed ? in6(whole, 1232, 9999, id) : in6(whole, 0, 1232, id), Verdict::kConsumed);
        ASSERT_EQ(reversed ? in6(whole, 0, 1232, id) : in6(whole, 1232, 9999, id), Verdict::kTransport);
        EXPECT_EQ(payload_, whole);
        EXPECT_EQ(get16(packet_, 4), 8 + whole.size());
        EXPECT_EQ(get16(packet_, 42), 0);   // an atomic fragment now
    }
}

TEST_F(FragmentTest, Ipv6OptionsBehindTheFragmentHeaderAreWalked) {
    const Bytes options = hex("0600 0104 00000000");   // destination options, then TCP
    const Bytes tcp = segment("2001:db8::7", "2001:db8::10", 100);
    EXPECT_EQ(in6(options + tcp, 0, 64, 9, 60), Verdict::kConsumed);
    ASSERT_EQ(in6(options + tcp, 64, 9999, 9, 6 /* RFC 8200 4.5: the first one's counts */), Verdict::kTransport);
    EXPECT_EQ(payload_, tcp);
    EXPECT_EQ(out_.protocol, kProtocolTcp);
}

TEST_F(FragmentTest, RandomCutsOrdersDuplicatesAndMbufChains) {
    const char* seed_text = std::getenv("SLUICE_SEED");
    const uint64_t seed = seed_text ? std::strtoull(seed_text, nullptr, 10) : std::random_device{}();
    SCOPED_TRACE("SLUICE_SEED=" + std::to_string(seed) + " net_test --gtest_filter=FragmentTest.RandomCutsOrdersDuplicatesAndMbufChains");
    std::mt19937_64 rng(seed);
    const auto below = [&](size_t n) { return static_cast<size_t>(rng() % n); };
    for (int round = 0; round < 300; round++) {
        const bool v6 = below(2);
        segment_ = below(3) == 0 ? 96 + below(64) : 0;
        const Bytes whole = v6 ? segment("2001:db8::7", "2001:db8::10", below(4000)) : segment("192.0.2.7", "192.0.2.10", below(4000));
        std::vector<std::pair<size_t, size_t>> parts;
        for (size_t at = 0; at < whole.size();) {
            const size_t n = std::max<size_t>(at == 0 ? 24 : 8, below(whole.size()) / 8 * 8);
            parts.push_back({at, at + n});
            at += n;
        }
        if (parts.size() > 60 || parts.size() < 2) continue;
        std::shuffle(parts.begin(), parts.end(), rng);
        const auto id = static_cast<uint16_t>(round);
        for (size_t i = 0; i < parts.size(); i++) {
            const auto give = [&](size_t k) {
                return v6 ? in6(whole, parts[k].first, parts[k].second, id) : in4(whole, parts[k].first, parts[k].second, id);
            };
            if (i > 0 && below(4) == 0) {   // one of those before, again
                EXPECT_EQ(give(below(i)), Verdict::kConsumed);
            }
            ASSERT_EQ(give(i), i + 1 == parts.size() ? Verdict::kTransport : Verdict::kConsumed);
        }
        ASSERT_EQ(payload_, whole);
    }
    EXPECT_GT(c().fragments_duplicate, 0u);
    EXPECT_EQ(c().fragments_abandoned, 0u);
}

TEST_F(FragmentTest, DatagramsDoNotMix) {
    const Bytes a = segment("192.0.2.7", "192.0.2.10", 1000), b = segment("192.0.2.8", "192.0.2.10", 1000);
    in4(a, 0, 512, 5);
    in4(b, 0, 512, 5, "192.0.2.8");
    in4(a, 0, 512, 6);
    EXPECT_EQ(in4(a, 512, 9999, 7), Verdict::kConsumed);
    ASSERT_EQ(in4(b, 512, 9999, 5, "192.0.2.8"), Verdict::kTransport);
    EXPECT_EQ(payload_, b);
    ASSERT_EQ(in4(a, 512, 9999, 5), Verdict::kTransport);
    EXPECT_EQ(payload_, a);
}

TEST_F(FragmentTest, AnOverlapEndsTheDatagramForItsTime) {
    for (const bool v6 : {false, true}) {
        const Bytes whole = v6 ? segment("2001:db8::7", "2001:db8::10", 2000) : segment("192.0.2.7", "192.0.2.10", 2000);
        const auto give = [&](size_t begin, size_t end) { return v6 ? in6(whole, begin, end, 3) : in4(whole, begin, end, 3); };
        const uint64_t before = c().fragments_abandoned;
        give(0, 800);
        give(792, 1600);     // eight bytes twice
        EXPECT_EQ(c().fragments_abandoned, before + 1);
        // RFC 5722 4: "including any constituent fragments not yet received".
        EXPECT_EQ(give(0, 800), Verdict::kConsumed);
        EXPECT_EQ(give(800, 9999), Verdict::kConsumed);
        EXPECT_EQ(rte_mempool_in_use_count(sluice::test::test_mempool()), in_use_) << "nothing is kept of it";
        at(now_.us + 60'000'000);
        EXPECT_TRUE(sent().empty()) << "and nobody is told";
        EXPECT_EQ(give(0, 800), Verdict::kConsumed);
        EXPECT_EQ(give(800, 9999), Verdict::kTransport);
    }
    EXPECT_EQ(c().fragments_refused, 4u);
}

TEST_F(FragmentTest, OverlapsFromEverySideAndTwoEnds) {
    const Bytes whole = segment("192.0.2.7", "192.0.2.10", 2000);
    uint16_t id = 100;
    const auto abandoned = [&](std::initializer_list<std::pair<size_t, size_t>> parts, const Bytes& last = {}) {
        const uint64_t before = c().fragments_abandoned;
        id++;
        for (const auto& [begin, end] : parts) in4(whole, begin, end, id);
        if (!last.empty()) in4(last, 1600, 9999, id);
        return c().fragments_abandoned == before + 1;
    };
    EXPECT_TRUE(abandoned({{800, 1600}, {0, 808}}));              // from before
    EXPECT_TRUE(abandoned({{800, 1600}, {1592, 9999}}));          // from behind
    EXPECT_TRUE(abandoned({{0, 1600}, {400, 800}}));              // inside
    EXPECT_TRUE(abandoned({{400, 800}, {0, 1600}}));              // around
    EXPECT_TRUE(abandoned({{400, 800}, {400, 808}}));             // the same begin
    EXPECT_TRUE(abandoned({{400, 800}, {392, 800}}));             // the same end
    EXPECT_TRUE(abandoned({{1600, 9999}}, part(whole, 0, 1900))); // two ends
    EXPECT_TRUE(abandoned({{1200, 1808}}, part(whole, 0, 1608))); // an end before what came
    EXPECT_FALSE(abandoned({{0, 800}, {800, 1600}, {1600, 9999}}));
}

TEST_F(FragmentTest, TinyFirstFragmentsAreRefused) {
    const Bytes whole = segment("192.0.2.7", "192.0.2.10", 200);
    in4(whole, 0, 8);
    in4(whole, 0, 16);
    in4(whole, 8, 104);      // RFC 3128: where the flags are
    EXPECT_EQ(c().fragments_tiny_first, 3u);
    Bytes options = whole;
    options[12] = 0xf0;      // a TCP header of 60 bytes
    in4(options, 0, 56);
    EXPECT_EQ(c().fragments_tiny_first, 4u);
    EXPECT_EQ(in4(options, 0, 64), Verdict::kConsumed);
    EXPECT_EQ(c().fragments_tiny_first, 4u);

    send("2001:db8::10", "2001:db8::7", tcp_with_pseudo("2001:db8::10", "2001:db8::7"));
    in_ip(ipv6("2001:db8::7", "2001:db8::10", 58, icmp6("2001:db8::7", "2001:db8::10", 136, 0,
        hex("60000000") + address_bytes(ip("2001:db8::7")) + hex("0201") + Bytes(kPeerMac.begin(), kPeerMac.end())), 255));
    sent();
    in6(segment("2001:db8::7", "2001:db8::10", 200), 0, 16);
    auto frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(Bytes(frames[0].begin() + 54, frames[0].begin() + 56), (Bytes{4, 3}));   // RFC 7112 5
    in6(hex("3c00 0104 00000000") + hex("0603 0104"), 0, 8, 2, 60);                    // the chain goes on in the next one
    frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0][55], 3);
    EXPECT_EQ(c().fragments_tiny_first, 6u);
}

TEST_F(FragmentTest, LengthsThatCannotBe) {
    const Bytes whole = segment("192.0.2.7", "192.0.2.10", 1000);
    const Bytes whole6 = segment("2001:db8::7", "2001:db8::10", 1000);
    in4(whole, 0, 100);                                   // not of eights, and more to come
    EXPECT_EQ(c().fragments_bad, 1u);
    Bytes p = ipv4("192.0.2.7", "192.0.2.10", 6, Bytes(100, 1), {}, 8190);   // "ping of death": 65,520 + 100
    keep(ethernet(kOurMac, kPeerMac, 0x0800, p));
    p = ipv4("192.0.2.7", "192.0.2.10", 6, {}, {}, 0x2001);
    keep(ethernet(kOurMac, kPeerMac, 0x0800, p));
    EXPECT_EQ(c().fragments_bad, 3u);

    send("2001:db8::10", "2001:db8::7", tcp_with_pseudo("2001:db8::10", "2001:db8::7"));
    in_ip(ipv6("2001:db8::7", "2001:db8::10", 58, icmp6("2001:db8::7", "2001:db8::10", 136, 0,
        hex("60000000") + address_bytes(ip("2001:db8::7")) + hex("0201") + Bytes(kPeerMac.begin(), kPeerMac.end())), 255));
    sent();
    in6(whole6, 0, 100);
    auto frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(Bytes(frames[0].begin() + 54, frames[0].begin() + 56), (Bytes{4, 0}));
    EXPECT_EQ(frames[0][61], 4);                          // at the payload length
    keep(ethernet(kOurMac, kPeerMac, 0x86dd, ipv6("2001:db8::7", "2001:db8::10", 44, hex("0600 fff8 00000007") + Bytes(100, 1))));
    frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0][61], 42);                         // at the fragment offset
    EXPECT_EQ(c().fragments_bad, 5u);
}

TEST_F(FragmentTest, TimeExceededIsSentOnlyForAFirstFragment) {
    send("192.0.2.10", "192.0.2.7", tcp_with_pseudo("192.0.2.10", "192.0.2.7"));
    resolve("192.0.2.7");
    at(now_.us + 2'000'000);
    sent();
    const Bytes whole = segment("192.0.2.7", "192.0.2.10", 1000);
    in4(whole, 0, 800, 1);
    in4(whole, 800, 9999, 2);
    EXPECT_EQ(stack_->poll_timeout(), now_ + seconds(30));
    at(now_.us + 29'999'999);
    EXPECT_TRUE(sent().empty());
    at(now_.us + 1);
    auto frames = sent();
    std::erase_if(frames, [](const Bytes& f) { return get16(f, 12) != 0x0800; });   // the neighbour is probed, too
    ASSERT_EQ(frames.size(), 1u);
    const Bytes icmp(frames[0].begin() + 34, frames[0].end());
    EXPECT_EQ(Bytes(icmp.begin(), icmp.begin() + 2), (Bytes{11, 1}));
    EXPECT_EQ(slow_checksum(icmp), 0);
    EXPECT_EQ(get16(icmp, 8 + 4), 1);       // quotes the first fragment
    EXPECT_EQ(c().fragments_timeout, 2u);
    make();
    in6(segment("2001:db8::7", "2001:db8::10", 1000), 0, 800, 1);
    EXPECT_EQ(stack_->poll_timeout(), now_ + seconds(60));
}

TEST_F(FragmentTest, WhatIsKeptIsBounded) {
    StackConfig config = two_ports();
    config.reassembly_datagrams_max = 16;
    make(config);
    const Bytes whole = segment("192.0.2.7", "192.0.2.10", 100);
    for (uint16_t id = 0; id < 1000; id++) in4(whole, 0, 64, id);
    EXPECT_EQ(rte_mempool_in_use_count(sluice::test::test_mempool()) - in_use_, 16u);
    EXPECT_EQ(c().fragments_evicted, 984u);
    EXPECT_EQ(in4(whole, 64, 9999, 999), Verdict::kTransport) << "the youngest is still there";
    EXPECT_EQ(in4(whole, 64, 9999, 983), Verdict::kConsumed) << "the oldest gave way";

    config = two_ports();
    config.reassembly_bytes_max = 20'000;
    make(config);
    const Bytes large = segment("192.0.2.7", "192.0.2.10", 2000);
    for (uint16_t id = 0; id < 1000; id++) in4(large, 0, 1480, id);
    EXPECT_LE(rte_mempool_in_use_count(sluice::test::test_mempool()) - in_use_, 20'000u / 1480);
    EXPECT_EQ(in4(large, 1480, 9999, 999), Verdict::kTransport);

    config = two_ports();
    config.reassembly_fragments_max = 4;
    make(config);
    for (size_t i = 0; i < 5; i++) in4(large, 128 * i, 128 * i + 64, 1);
    EXPECT_EQ(c().fragments_abandoned, 1u);
    EXPECT_EQ(rte_mempool_in_use_count(sluice::test::test_mempool()), in_use_);
}

TEST_F(FragmentTest, AFloodDoesNotKeepHonestOnesOut) {
    const Bytes whole = segment("192.0.2.7", "192.0.2.10", 2000);
    std::mt19937 rng(1);
    for (uint16_t round = 0; round < 200; round++) {
        in4(whole, 0, 1480, round);
        for (int i = 0; i < 50; i++)
            in4(whole, 8 + 8 * (rng() % 100), 1480, static_cast<uint16_t>(rng()), "192.0.2.66");
        ASSERT_EQ(in4(whole, 1480, 9999, round), Verdict::kTransport);
        now_ = now_ + milliseconds(1);
    }
}

TEST_F(FragmentTest, LargePingsComeBackInParts) {
    send("192.0.2.10", "192.0.2.7", tcp_with_pseudo("192.0.2.10", "192.0.2.7"));
    resolve("192.0.2.7");
    send("2001:db8::10", "2001:db8::7", tcp_with_pseudo("2001:db8::10", "2001:db8::7"));
    in_ip(ipv6("2001:db8::7", "2001:db8::10", 58, icmp6("2001:db8::7", "2001:db8::10", 136, 0,
        hex("60000000") + address_bytes(ip("2001:db8::7")) + hex("0201") + Bytes(kPeerMac.begin(), kPeerMac.end())), 255));
    sent();
    Bytes data = hex("1234 0001");
    for (int i = 0; i < 4001; i++) data.push_back(static_cast<uint8_t>(i * 3));
    const Bytes ping4 = icmp4(8, 0, data), ping6 = icmp6("2001:db8::7", "2001:db8::10", 128, 0, data);
    for (const bool v6 : {false, true}) {
        for (size_t at : {2960u, 0u, 1480u}) {
            if (v6) in6(ping6, at, at + 1480 < 4000 ? at + 1480 : 9999, 4, 58);
            else in4(ping4, at, at + 1480 < 4000 ? at + 1480 : 9999, 4, "192.0.2.7", 1);
        }
        const auto frames = sent();
        ASSERT_EQ(frames.size(), 3u);
        Bytes reply;
        const size_t header = v6 ? 14 + 48 : 14 + 20;
        for (const Bytes& f : frames) {
            EXPECT_LE(f.size(), 1514u);
            const uint16_t field = get16(f, v6 ? 56 : 20);
            EXPECT_EQ(v6 ? field & 0xfff8u : (field & 0x1fffu) * 8, reply.size());
            EXPECT_EQ((field & (v6 ? 1 : 0x2000)) != 0, &f != &frames.back());
            EXPECT_EQ(Bytes(f.begin() + (v6 ? 58 : 18), f.begin() + (v6 ? 62 : 20)),
                      Bytes(frames[0].begin() + (v6 ? 58 : 18), frames[0].begin() + (v6 ? 62 : 20))) << "one id";
            reply = reply + Bytes(f.begin() + static_cast<long>(header), f.end());
        }
        EXPECT_EQ(reply, v6 ? icmp6("2001:db8::10", "2001:db8::7", 129, 0, data) : icmp4(0, 0, data));
    }
}

TEST_F(FragmentTest, CongestionMarksOfTheParts) {
    uint8_t ecn = 9;
    EXPECT_TRUE(merge_ecn(1 << 2 | 1 << 3, ecn));   // ECT(0) and CE
    EXPECT_EQ(ecn, 3);
    EXPECT_FALSE(merge_ecn(1 << 0 | 1 << 3, ecn));  // RFC 3168 5.3: not ECN-capable, and marked
    EXPECT_TRUE(merge_ecn(1 << 2, ecn));
    EXPECT_EQ(ecn, 2);
    EXPECT_TRUE(merge_ecn(1 << 0 | 1 << 2, ecn));
    EXPECT_EQ(ecn, 0);
}

TEST_F(FragmentTest, WhoDoesNotTakeThemGetsThemAsTheyAre) {
    const Bytes whole = hex("1234 0035 0040 0000") + Bytes(56, 1);
    EXPECT_EQ(in4(whole, 0, 32, 1, "192.0.2.7", 17), Verdict::kException);
    EXPECT_EQ(out_.protocol, 0) << "and no error is sent about a part";
    EXPECT_EQ(in4(whole, 32, 9999, 1, "192.0.2.7", 17), Verdict::kException);
}

TEST_F(FragmentTest, NeighborDiscoveryInFragmentsIsIgnored) {   // RFC 6980
    const Bytes na = icmp6("2001:db8::7", "2001:db8::10", 136, 0,
                           hex("60000000") + address_bytes(ip("2001:db8::7")) + hex("0201 020000000066"));
    send("2001:db8::10", "2001:db8::7", tcp_with_pseudo("2001:db8::10", "2001:db8::7"));
    sent();
    in6(na, 0, 24, 1, 58);
    in6(na, 24, 9999, 1, 58);
    EXPECT_EQ(c().fragments_reassembled, 1u);
    EXPECT_EQ(c().nd_bad, 1u);
    EXPECT_TRUE(sent().empty());
}

TEST_F(FragmentTest, WithSeveralCoresTheyAreSteeredFirst) {
    StackConfig config = two_ports();
    config.share_fragments = true;
    make(config);
    Stack collector(config, sluice::test::test_mempool());
    const Bytes whole = segment("192.0.2.7", "192.0.2.10", 1000);
    DatagramIn d;
    for (int i = 0; i < 2; i++) {
        const Bytes piece = i == 0 ? part(whole, 800, 9999) : part(whole, 0, 800);
        const Bytes p = ipv4("192.0.2.7", "192.0.2.10", 6, piece, {}, i == 0 ? 100 : 0x2000);
        ASSERT_EQ(stack_->handle_frame(frame(ethernet(kOurMac, kPeerMac, 0x0800, p)), 0, now_, d), Verdict::kFragment);
        EXPECT_TRUE(d.is_fragment);
        EXPECT_EQ(collector.handle_fragment(d, now_), i == 0 ? Verdict::kConsumed : Verdict::kTransport);
    }
    const Bytes all = take_bytes(d.mbuf);
    EXPECT_EQ(Bytes(all.begin() + d.payload_offset, all.end()), whole);
    EXPECT_EQ(collector.counters().fragments_reassembled, 1u);
}

}  // namespace
}  // namespace sluice::net::test
