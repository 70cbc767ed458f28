// Records that go out and come back: every suite, every cut of input and output, sizes, key updates, the pool of expanded keys, empty
// pools. The other end is OpenSSL's EVP (record_harness.h) or a second Records. Random tests print their seed: SLUICE_SEED=N repeats one.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/tls/record_harness.h"

namespace sluice::tls::test {
namespace {

using Status = Records::Status;

uint64_t seed() {
    const char* given = std::getenv("SLUICE_SEED");
    return given ? std::strtoull(given, nullptr, 0) : 20261127;
}

class EverySuite : public ::testing::TestWithParam<Suite> {
 protected:
    EverySuite() : rng(seed()), ours(random_keys(GetParam(), Role::kServer, rng)), theirs(mirror(ours)) {
        RecordProperty("seed", std::to_string(seed()));
    }
    Memory memory;
    Rng rng;
    TrafficKeys ours, theirs;
};
INSTANTIATE_TEST_SUITE_P(Records, EverySuite, ::testing::ValuesIn(suites().begin(), suites().end()), [](const auto& info) {
    std::string name = info.param.name;
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
});

TEST_P(EverySuite, WhatTheReferenceSealsIsOpenedInAnyCut) {
    SCOPED_TRACE("SLUICE_SEED=" + std::to_string(seed()));
    ReferenceRecords reference(theirs);
    Records records(memory.engine, ours);
    SliceQueue in(memory.nodes), plain(memory.nodes);
    for (int i = 0; i < 400; i++) {
        const Bytes text = random_bytes(rng, i < 70 ? static_cast<size_t>(i + 1) : rng.between(1, kPlaintextMax));
        const size_t padding = GetParam().version == Version::kTls13 && rng.chance(0.3) ? rng.below(kPlaintextMax - text.size() + 1) : 0;
        push_cut(in, reference.seal(kDataType, text, padding), rng);
        ASSERT_EQ(records.open(in, plain, UINT64_MAX), Status::kOk) << "record " << i;
        ASSERT_TRUE(in.empty());
        ASSERT_EQ(taken(plain), text) << "record " << i << " of " << text.size() << " bytes";
    }
    EXPECT_EQ(memory.engine.counters().records_in, 400u);
    EXPECT_EQ(memory.engine.counters().keys_expanded, GetParam().aead == Aead::kChaCha20Poly1305 ? 0u : 1u);
}

TEST_P(EverySuite, WhatIsSealedInAnyCutIsOpenedByTheReference) {
    SCOPED_TRACE("SLUICE_SEED=" + std::to_string(seed()));
    ReferenceRecords reference(theirs);
    Records records(memory.engine, ours);
    SliceQueue plain(memory.nodes), out(memory.nodes);
    uint64_t now_us = 0;
    for (int i = 0; i < 300; i++) {
        records.set_segment_bytes(static_cast<uint32_t>(rng.between(1000, 3000)));
        const Bytes text = random_bytes(rng, i < 70 ? static_cast<size_t>(i + 1) : rng.between(1, 60'000));
        push_cut(plain, text, rng);
        ASSERT_TRUE(records.seal(plain, out, Instant{now_us += rng.below(3'000'000)}));
        ASSERT_TRUE(plain.empty());
        Bytes wire = taken(out), opened;
        while (!wire.empty()) {
            const auto record = reference.open(wire);
            ASSERT_EQ(record.type, kDataType) << "write " << i;
            ASSERT_LE(record.content.size(), kPlaintextMax);
            opened.insert(opened.end(), record.content.begin(), record.content.end());
        }
        ASSERT_EQ(opened, text);
    }
}

TEST_P(EverySuite, EverySingleCutOfOneRecord) {
    const Bytes text = random_bytes(rng, 77);
    ReferenceRecords reference(theirs);
    Records records(memory.engine, ours);
    SliceQueue in(memory.nodes), plain(memory.nodes);
    const size_t whole = ReferenceRecords(theirs).seal(kDataType, text).size();
    for (size_t first = 1; first < whole; first++) {
        for (const size_t second : {size_t{1}, size_t{7}, size_t{16}, whole}) {
            const size_t sizes[] = {first, second, whole};
            push(in, reference.seal(kDataType, text), sizes);
            ASSERT_EQ(records.open(in, plain, UINT64_MAX), Status::kOk) << first << " " << second;
            ASSERT_EQ(taken(plain), text) << first << " " << second;
        }
    }
}

TEST_P(EverySuite, BytesThatComeOneByOne) {
    ReferenceRecords reference(theirs);
    Records records(memory.engine, ours);
    SliceQueue in(memory.nodes), plain(memory.nodes);
    const Bytes text = random_bytes(rng, 300);
    const Bytes wire = reference.seal(kDataType, text);
    for (size_t i = 0; i < wire.size(); i++) {
        EXPECT_EQ(records.in_record(in), i > 0);
        push(in, {&wire[i], 1});
        ASSERT_EQ(records.open(in, plain, UINT64_MAX), Status::kOk);
        ASSERT_EQ(plain.bytes(), i + 1 == wire.size() ? text.size() : 0) << i;
    }
    EXPECT_FALSE(records.in_record(in));
    EXPECT_EQ(taken(plain), text);
    EXPECT_EQ(memory.engine.counters().gathered, 1u);
}

TEST_P(EverySuite, TwoRecordsInOneMbufAndTheLimitOfPlainBytes) {
    ReferenceRecords reference(theirs);
    Records records(memory.engine, ours);
    SliceQueue in(memory.nodes), plain(memory.nodes);
    Bytes wire;
    for (int i = 0; i < 5; i++) {
        const Bytes record = reference.seal(kDataType, Bytes(100, static_cast<uint8_t>('a' + i)));
        wire.insert(wire.end(), record.begin(), record.end());
    }
    push(in, wire);
    ASSERT_EQ(records.open(in, plain, 150), Status::kOk);
    EXPECT_EQ(plain.bytes(), 200u);                       // the second record passed the limit
    EXPECT_EQ(in.bytes(), wire.size() / 5 * 3);
    ASSERT_EQ(records.open(in, plain, 200), Status::kOk);
    EXPECT_EQ(plain.bytes(), 200u);
    ASSERT_EQ(records.open(in, plain, UINT64_MAX), Status::kOk);
    const Bytes text = taken(plain);
    ASSERT_EQ(text.size(), 500u);
    for (size_t i = 0; i < 500; i++) ASSERT_EQ(text[i], 'a' + i / 100);
    EXPECT_EQ(memory.engine.counters().opened_in_place, 5u);
}

TEST_P(EverySuite, BothWaysBetweenTwoRecordsWithMbufsAsTheyCome) {
    TrafficKeys a_keys = ours, b_keys = theirs;
    Records a(memory.engine, a_keys), b(memory.engine, b_keys);
    EXPECT_EQ(a_keys.transmit.key, decltype(a_keys.transmit.key){});   // taken over and wiped
    SliceQueue plain(memory.nodes), wire(memory.nodes), opened(memory.nodes);
    for (int i = 0; i < 20; i++) {
        for (const auto& [from, to] : {std::pair{&a, &b}, std::pair{&b, &a}}) {
            const Bytes text = random_bytes(rng, rng.between(1, 100'000));
            push_cut(plain, text, rng);
            ASSERT_TRUE(from->seal(plain, wire, Instant{}));
            ASSERT_EQ(to->open(wire, opened, UINT64_MAX), Status::kOk);
            ASSERT_EQ(taken(opened), text);
        }
    }
}

TEST_P(EverySuite, InputOfSealIsNotWrittenTo) {
    Records records(memory.engine, ours);
    SliceQueue plain(memory.nodes), out(memory.nodes);
    const Bytes text = random_bytes(rng, 5000);
    const Slice held = sluice::test::heap_slice(text);
    ASSERT_TRUE(plain.push_back(held.share()));
    ASSERT_TRUE(records.seal(plain, out, Instant{}));
    EXPECT_TRUE(std::equal(text.begin(), text.end(), held.data()));
}

TEST_P(EverySuite, ACloneIsOpenedInMbufsOfOurOwn) {
    ReferenceRecords reference(theirs);
    Records records(memory.engine, ours);
    SliceQueue in(memory.nodes), plain(memory.nodes);
    const Bytes text = random_bytes(rng, 1000);
    const Bytes wire = reference.seal(kDataType, text);
    rte_mbuf* original = rte_pktmbuf_alloc(sluice::test::test_mempool());
    std::memcpy(rte_pktmbuf_mtod(original, uint8_t*), wire.data(), wire.size());
    rte_mbuf* clone = rte_pktmbuf_alloc(sluice::test::test_mempool());
    rte_pktmbuf_attach(clone, original);
    ASSERT_TRUE(in.push_back(Slice(clone, original->data_off, static_cast<uint32_t>(wire.size()))));
    ASSERT_EQ(records.open(in, plain, UINT64_MAX), Status::kOk);
    EXPECT_EQ(taken(plain), text);
    EXPECT_EQ(std::memcmp(rte_pktmbuf_mtod(original, uint8_t*), wire.data(), wire.size()), 0);
    rte_pktmbuf_free(original);
}

TEST_P(EverySuite, SmallRecordsFirstThenLargeThenSmallAfterAPause) {
    ReferenceRecords reference(theirs);
    Records records(memory.engine, ours);
    SliceQueue plain(memory.nodes), out(memory.nodes);
    const auto sizes = [&](size_t bytes, Instant now) {
        push(plain, Bytes(bytes, 'x'));
        EXPECT_TRUE(records.seal(plain, out, now));
        std::vector<size_t> found;
        for (const SliceNode* node = out.head(); node; node = node->next) {
            EXPECT_GE(rte_pktmbuf_headroom(node->slice.segment()), 128);
            EXPECT_LE(node->slice.size(), kSegmentBytes);
        }
        for (Bytes wire = taken(out); !wire.empty();) found.push_back(reference.open(wire).content.size());
        return found;
    };
    const auto small = sizes(kYoungBytes, Instant{});
    const size_t overhead = GetParam().version == Version::kTls13 ? 22 : GetParam().aead == Aead::kChaCha20Poly1305 ? 21 : 29;
    EXPECT_EQ(small.size(), (kYoungBytes + kSegmentBytes - overhead - 1) / (kSegmentBytes - overhead));
    EXPECT_EQ(small[0], kSegmentBytes - overhead);
    const auto large = sizes(100'000, Instant{} + kPause);
    EXPECT_EQ(large[0], 11 * kSegmentBytes - overhead);
    EXPECT_EQ(large.size(), 7u);
    EXPECT_EQ(sizes(kPlaintextMax, Instant{} + kPause).size(), 1u);
    EXPECT_EQ(sizes(5000, Instant{} + kPause * 2 + milliseconds(50))[0], kSegmentBytes - overhead);
}

TEST_P(EverySuite, RoomForSendingIsNeverTooMuch) {
    Records records(memory.engine, ours);
    records.set_segment_bytes(1);   // clamped
    SliceQueue plain(memory.nodes), out(memory.nodes);
    for (const uint64_t room : {uint64_t{0}, uint64_t{30}, uint64_t{93}, uint64_t{94}, uint64_t{1300}, uint64_t{1448}, uint64_t{65'536}}) {
        const uint64_t bytes = Records::plain_room(room);
        if (bytes == 0) continue;
        push(plain, Bytes(bytes, 'x'));
        ASSERT_TRUE(records.seal(plain, out, Instant{}));
        EXPECT_LE(taken(out).size(), room);
        EXPECT_GE(bytes, (room - 64) * 97 / 100 - 29);
    }
}

TEST_P(EverySuite, WithoutMbufsNothingIsLostAndNoNonceUsed) {
    ReferenceRecords reference(theirs);
    Records records(memory.engine, ours);
    SliceQueue plain(memory.nodes), out(memory.nodes);
    const Bytes text = random_bytes(rng, 40'000);
    push(plain, text);
    std::vector<rte_mbuf*> held;
    while (rte_mbuf* m = rte_pktmbuf_alloc(sluice::test::test_mempool())) held.push_back(m);
    for (int i = 0; i < 10; i++) rte_pktmbuf_free(held.back()), held.pop_back();
    EXPECT_FALSE(records.seal(plain, out, Instant{}));
    EXPECT_GT(memory.engine.counters().no_mbuf, 0u);
    EXPECT_GT(out.bytes(), 0u);
    const uint32_t nodes = memory.nodes.in_use();
    for (rte_mbuf* m : held) rte_pktmbuf_free(m);
    memory.nodes.withhold(3);
    EXPECT_FALSE(records.seal(plain, out, Instant{}));
    EXPECT_LE(memory.nodes.in_use(), nodes + 3);
    memory.nodes.restore();
    EXPECT_TRUE(records.seal(plain, out, Instant{}));
    Bytes opened;
    for (Bytes wire = taken(out); !wire.empty();) {
        const auto record = reference.open(wire);
        ASSERT_EQ(record.type, kDataType);
        opened.insert(opened.end(), record.content.begin(), record.content.end());
    }
    EXPECT_EQ(opened, text);
}

TEST_P(EverySuite, OpeningWithoutAListNodeWaits) {
    ReferenceRecords reference(theirs);
    Records records(memory.engine, ours);
    SliceQueue in(memory.nodes), plain(memory.nodes);
    const Bytes first = random_bytes(rng, 100);
    push(in, reference.seal(kDataType, first));
    memory.nodes.withhold(0);
    EXPECT_EQ(records.open(in, plain, UINT64_MAX), Status::kOk);
    EXPECT_EQ(plain.bytes(), 0u);
    memory.nodes.restore();
    EXPECT_EQ(records.open(in, plain, UINT64_MAX), Status::kOk);
    EXPECT_EQ(taken(plain), first);
}

TEST(Records, ExpandedKeysGoToTheLeastRecentlyUsed) {
    Memory memory(3);
    Rng rng(seed());
    const Suite& suite = suites()[0];
    std::vector<TrafficKeys> keys;
    std::vector<std::unique_ptr<Records>> records;
    std::vector<ReferenceRecords> peers;
    for (int i = 0; i < 4; i++) {
        keys.push_back(random_keys(suite, Role::kServer, rng));
        peers.emplace_back(mirror(keys.back()));
        records.push_back(std::make_unique<Records>(memory.engine, keys.back()));
    }
    SliceQueue in(memory.nodes), plain(memory.nodes);
    const auto use = [&](size_t i) {
        push(in, peers[i].seal(kDataType, Bytes(10, 'x')));
        EXPECT_EQ(records[i]->open(in, plain, UINT64_MAX), Status::kOk);
        EXPECT_EQ(taken(plain), Bytes(10, 'x'));
        return memory.engine.counters().keys_expanded;
    };
    EXPECT_EQ(use(0), 1u);
    EXPECT_EQ(use(1), 2u);
    EXPECT_EQ(use(2), 3u);
    EXPECT_EQ(use(0), 3u);                                   // still there, and now the newest
    EXPECT_EQ(use(3), 4u);                                   // takes 1's
    EXPECT_EQ(memory.engine.counters().keys_evicted, 1u);
    EXPECT_EQ(use(0), 4u);
    EXPECT_EQ(use(2), 4u);
    EXPECT_EQ(use(1), 5u);                                   // takes 3's
    records[1].reset();
    EXPECT_EQ(use(3), 6u);                                   // takes the one given back
    EXPECT_EQ(memory.engine.counters().keys_evicted, 2u);
    EXPECT_EQ(use(0), 6u);
    EXPECT_EQ(use(2), 6u);
}

TEST(Records, ManyConnectionsShareFewExpandedKeys) {
    Memory memory(5);
    Rng rng(seed());
    std::vector<std::unique_ptr<Records>> records;
    std::vector<ReferenceRecords> peers;
    for (int i = 0; i < 40; i++) {
        TrafficKeys keys = random_keys(suites()[static_cast<size_t>(i) % suites().size()], Role::kServer, rng);
        peers.emplace_back(mirror(keys));
        records.push_back(std::make_unique<Records>(memory.engine, keys));
    }
    SliceQueue in(memory.nodes), plain(memory.nodes), out(memory.nodes);
    for (int i = 0; i < 2000; i++) {
        const size_t at = rng.below(40);
        const Bytes text = random_bytes(rng, rng.between(1, 50));
        push(in, peers[at].seal(kDataType, text));
        ASSERT_EQ(records[at]->open(in, plain, UINT64_MAX), Status::kOk);
        ASSERT_EQ(bytes_of(plain), text);
        ASSERT_TRUE(records[at]->seal(plain, out, Instant{}));
        Bytes wire = taken(out);
        ASSERT_EQ(peers[at].open(wire).content, text);
    }
}

TEST(Records, IdleStateFitsFourCacheLines) { EXPECT_LE(sizeof(Records), 256u); }

}  // namespace
}  // namespace sluice::tls::test
