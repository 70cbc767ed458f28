// The parts that need no stack: header parsing and writing, RTO, congestion windows, cookies, the demux table.
#include <gtest/gtest.h>

#include <unordered_map>

#include "base/rng.h"
#include "tcp/congestion.h"
#include "tcp/demux.h"
#include "tcp/rto.h"
#include "tcp/segment.h"
#include "tcp/syn_cookie.h"

namespace sluice::tcp {
namespace {

TEST(Segment, WritesAndReadsEveryOption) {
    HeaderFields f;
    f.source_port = 1, f.destination_port = 2, f.seq = Seq{3}, f.ack = Seq{4}, f.flags = kSyn | kAck, f.window = 5;
    f.mss = 1460, f.window_shift = 7, f.sack_permitted = true, f.timestamp = true, f.ts_value = 8, f.ts_echo = 9;
    uint8_t bytes[kHeaderBytesMax];
    const uint8_t n = write_header(f, bytes);
    EXPECT_EQ(n, 40);
    const auto s = parse_segment({bytes, n}, n);
    ASSERT_TRUE(s);
    EXPECT_EQ(s->seq, Seq{3});
    EXPECT_EQ(s->ack, Seq{4});
    EXPECT_EQ(s->flags, kSyn | kAck);
    EXPECT_EQ(s->window, 5u);
    EXPECT_EQ(s->mss, 1460);
    EXPECT_EQ(s->window_shift, 7);
    EXPECT_TRUE(s->sack_permitted && s->has_timestamp && s->has_window_scale);
    EXPECT_EQ(s->ts_value, 8u);
    EXPECT_EQ(s->ts_echo, 9u);
    EXPECT_EQ(s->length(), 1u);
}

TEST(Segment, SackBlocksTakeTheRoomThatIsLeft) {
    const SackBlock blocks[4] = {{Seq{1}, Seq{2}}, {Seq{3}, Seq{4}}, {Seq{5}, Seq{6}}, {Seq{7}, Seq{8}}};
    HeaderFields f;
    f.sack = blocks;
    uint8_t bytes[kHeaderBytesMax];
    uint8_t n = write_header(f, bytes);
    EXPECT_EQ(parse_segment({bytes, n}, n)->sack_count, 4);
    f.timestamp = true;
    n = write_header(f, bytes);
    EXPECT_LE(n, kHeaderBytesMax);
    const auto s = parse_segment({bytes, n}, n);
    EXPECT_EQ(s->sack_count, 3);
    EXPECT_EQ(s->sack[2], blocks[2]);
    EXPECT_TRUE(s->has_timestamp);
}

TEST(Segment, RefusesLengthsThatLie) {
    uint8_t bytes[kHeaderBytesMax] = {};
    HeaderFields f;
    const uint8_t n = write_header(f, bytes);
    for (uint32_t cut = 0; cut < n; cut++) EXPECT_FALSE(parse_segment({bytes, cut}, cut));
    bytes[12] = 4 << 4;  // 16 bytes
    EXPECT_FALSE(parse_segment({bytes, 60}, 60));
    bytes[12] = 15 << 4;
    EXPECT_FALSE(parse_segment({bytes, 40}, 40));
}

TEST(Segment, RandomOptionsNeverReadOutside) {
    Rng rng(1);
    for (int i = 0; i < 100'000; i++) {
        const auto size = static_cast<uint32_t>(20 + 4 * rng.below(11));
        std::vector<uint8_t> bytes(size);  // exact: address sanitizer watches the edge
        for (auto& b : bytes) b = static_cast<uint8_t>(rng.chance(0.3) ? rng.below(12) : rng.next());
        bytes[12] = static_cast<uint8_t>(size / 4 << 4);
        const auto s = parse_segment(bytes, size);
        ASSERT_TRUE(s);
        EXPECT_LE(s->sack_count, 4);
        EXPECT_LE(s->window_shift, kWindowShiftMax);
    }
}

TEST(Rto, FollowsRfc6298) {
    RttEstimator e;
    EXPECT_EQ(e.rto_us, 1'000'000u);
    e.sample(milliseconds(100), milliseconds(200), seconds(60));
    EXPECT_EQ(e.srtt_us, 100'000u);
    EXPECT_EQ(e.rttvar_us, 50'000u);
    EXPECT_EQ(e.rto_us, 300'000u);
    for (int i = 0; i < 100; i++) e.sample(milliseconds(100), milliseconds(200), seconds(60));
    EXPECT_EQ(e.rto_us, 200'000u) << "the configured minimum";
    EXPECT_EQ(e.backed_off(3, seconds(60)).us, 1'600'000);
    EXPECT_EQ(e.backed_off(200, seconds(60)), seconds(60));
}

TEST(Congestion, SlowStartDoublesThenRenoGrowsByOneSegment) {
    Congestion c;
    c.start(10'000, false);
    for (int i = 0; i < 10; i++) c.on_ack(1000, 1000, Instant{0}, milliseconds(10));
    EXPECT_EQ(c.cwnd, 20'000u);
    c.on_loss(20'000, 1000);
    EXPECT_EQ(c.ssthresh, 10'000u);
    c.cwnd = c.ssthresh;
    for (int i = 0; i < 10; i++) c.on_ack(1000, 1000, Instant{0}, milliseconds(10));
    EXPECT_EQ(c.cwnd, 11'000u);
    c.on_timeout(11'000, 1000);
    EXPECT_EQ(c.cwnd, 1000u);
    EXPECT_EQ(c.ssthresh, 5500u);
}

TEST(Congestion, CubicReducesTo70PercentAndComesBackAlongTheCurve) {
    Congestion c;
    c.start(1'000'000, true);
    c.on_loss(1'000'000, 1000);
    EXPECT_NEAR(c.ssthresh, 700'000, 1000);
    c.cwnd = c.ssthresh;
    // K = cbrt(1000 * 0.3 / 0.4) = 9.09 s: at K the window is back at its maximum, nearly flat.
    Instant now{0};
    const Duration rtt = milliseconds(100);
    uint32_t at_half = 0;
    for (int ms = 0; ms < 9090; ms += 100) {
        for (uint32_t acked = 0, window = c.cwnd; acked < window; acked += 1000) c.on_ack(1000, 1000, now, rtt);
        now = now + rtt;
        if (ms == 4500) at_half = c.cwnd;
    }
    EXPECT_NEAR(c.cwnd, 1'000'000, 30'000);
    EXPECT_NEAR(at_half, 1'000'000 - 0.4 * 4.5 * 4.5 * 4.5 * 1000, 40'000) << "concave: fast first, slow near the maximum";
    c.on_loss(c.cwnd / 2, 1000);
    EXPECT_GT(c.ssthresh, 2000u);
}

TEST(SynCookies, OnlyOursAndOnlyForAWhile) {
    const SynCookies cookies({1, 2}), others({1, 3});
    const FourTuple tuple{{IpAddress::v4(1), 80}, {IpAddress::v4(2), 4000}};
    FourTuple other = tuple;
    other.remote.port++;
    const Instant now{1'000'000'000};
    const Seq cookie = cookies.make(tuple, Seq{77}, 1460, now);
    EXPECT_EQ(cookies.check(tuple, Seq{77}, cookie, now + seconds(60)), 1460);
    EXPECT_FALSE(cookies.check(tuple, Seq{77}, cookie, now + seconds(140)));
    EXPECT_FALSE(cookies.check(tuple, Seq{78}, cookie, now));
    EXPECT_FALSE(cookies.check(other, Seq{77}, cookie, now));
    EXPECT_FALSE(others.check(tuple, Seq{77}, cookie, now));
    EXPECT_EQ(cookies.check(tuple, Seq{77}, cookies.make(tuple, Seq{77}, 1459, now), now), 1440) << "the next lower entry";
    EXPECT_EQ(cookies.check(tuple, Seq{77}, cookies.make(tuple, Seq{77}, 1, now), now), 216);
    int forged = 0;
    Rng rng(1);
    for (int i = 0; i < 100'000; i++) forged += cookies.check(tuple, Seq{77}, Seq{static_cast<uint32_t>(rng.next())}, now).has_value();
    EXPECT_EQ(forged, 0);
}

TEST(SynCookies, OptionsRideInTheTimestamp) {
    for (uint32_t now : {0u, 1u, 63u, 64u, 0xffffffffu, 123456789u}) {
        for (int shift = -1; shift <= 14; shift++) {
            CookieOptions o;
            o.sack = shift % 2 == 0;
            if (shift >= 0) o.window_shift = static_cast<uint8_t>(shift);
            const uint32_t stamp = SynCookies::stamp(now, o);
            EXPECT_LE(static_cast<int32_t>(stamp - now), 0);
            const CookieOptions back = SynCookies::unstamp(stamp);
            EXPECT_EQ(back.sack, o.sack);
            EXPECT_EQ(back.window_shift, o.window_shift);
        }
    }
}

TEST(Demux, AgreesWithAMapAlsoWhenEverythingCollides) {
    for (const uint32_t hash_mask : {0xffffffffu, 0x3u}) {
        Demux demux(200);
        std::unordered_map<uint32_t, uint32_t> model;  // index -> hash
        Rng rng(hash_mask);
        for (int i = 0; i < 20'000; i++) {
            const auto index = static_cast<uint32_t>(rng.below(200));
            if (model.contains(index)) {
                demux.erase(model[index], {index, index % 2 == 0});
                model.erase(index);
            } else {
                model[index] = static_cast<uint32_t>(rng.next()) & hash_mask;
                demux.insert(model[index], {index, index % 2 == 0});
            }
            ASSERT_EQ(demux.size(), model.size());
            const auto probe = static_cast<uint32_t>(rng.below(200));
            Demux::Ref ref;
            const uint32_t hash = model.contains(probe) ? model[probe] : static_cast<uint32_t>(rng.next()) & hash_mask;
            const bool found = demux.find(hash, ref, [&](Demux::Ref r) { return r.index == probe; });
            ASSERT_EQ(found, model.contains(probe));
            if (found) ASSERT_EQ(ref.time_wait, probe % 2 == 0);
        }
    }
}

TEST(Demux, ChosenTuplesDoNotCollideWithoutTheKey) {
    // Tuples that a weak hash would put together (all sums and xors of addresses and ports equal) spread evenly.
    const SipKey key{123, 456};
    std::vector<int> buckets(1024);
    for (uint32_t i = 0; i < 65536; i++) {
        const FourTuple t{{IpAddress::v4(0x0a000001), 80}, {IpAddress::v4(0x0a000000 + i), static_cast<uint16_t>(0xffff - i)}};
        buckets[hash_tuple(key, t) % 1024]++;
    }
    double chi2 = 0;
    for (const int n : buckets) chi2 += (n - 64.0) * (n - 64.0) / 64.0;
    EXPECT_LT(chi2, 1024 + 6 * 45) << "six standard deviations of a uniform spread";
}

}  // namespace
}  // namespace sluice::tcp
