// Cycles per TLS record, sealed and opened, all included (lists, mbufs, headers, AEAD), on one core with everything in its cache, and
// OpenSSL's EVP over one buffer beside it. Run on a quiet machine:
//   build/perf/micro_tls --benchmark_min_time=0.2
// "cycles" are TSC ticks per record in the best batch. Records of 1 KiB lie in one mbuf, those of 16 KiB over twelve of 1,448 bytes.
#include <benchmark/benchmark.h>
#include <x86intrin.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

#include "tests/support/eal.h"
#include "tls/record_engine.h"
#include "tls/records.h"

#include <openssl/evp.h>

#include "base/mbuf_pool.h"
#include "base/rng.h"

namespace {

using namespace sluice;
using namespace sluice::tls;

constexpr int kBatch = 32;
constexpr Instant kNow{1};

rte_mempool* pool() {
    test::test_eal();
    static rte_mempool* const made = make_mbuf_pool("bench", 16384, SOCKET_ID_ANY).value();
    return made;
}

class BestBatch {
 public:
    explicit BestBatch(benchmark::State& state) : state_(state) {}
    ~BestBatch() { state_.counters["cycles"] = static_cast<double>(best_) / kBatch; }
    template <typename Work>
    void run(Work work) {
        const uint64_t start = __rdtsc();
        work();
        best_ = std::min<uint64_t>(best_, __rdtsc() - start);
    }

 private:
    benchmark::State& state_;
    uint64_t best_ = UINT64_MAX;
};

TrafficKeys keys_of(Version version, Aead aead, Role role) {
    TrafficKeys keys;
    keys.role = role, keys.version = version, keys.aead = aead;
    keys.receive.key.fill(1), keys.transmit.key.fill(1);
    return keys;
}

/// Two ends with one key, past their youth, and plain text in mbufs of one TCP segment each.
struct Ends {
    Ends(Version version, Aead aead, uint32_t bytes)
        : nodes(20'000), engine(pool(), nodes, 16), sender_keys(keys_of(version, aead, Role::kServer)),
          receiver_keys(keys_of(version, aead, Role::kServer)), sender(engine, sender_keys), receiver(engine, receiver_keys),
          text(nodes), plain(nodes), wire(nodes), opened(nodes) {
        for (uint32_t left = kYoungBytes; left > 0;) left -= std::min(left, fill(kSegmentBytes));
        if (!sender.seal(text, wire, kNow) || receiver.open(wire, opened, UINT64_MAX) != Records::Status::kOk) std::abort();
        opened.clear();
        fill(bytes);
    }
    uint32_t fill(uint32_t bytes) {
        for (uint32_t left = bytes; left > 0;) {
            const uint32_t n = std::min(left, kSegmentBytes);
            rte_mbuf* m = rte_pktmbuf_alloc(pool());
            if (!text.push_back(Slice(m, m->data_off, n))) std::abort();
            left -= n;
        }
        return bytes;
    }
    void share_text() {
        for (const SliceNode* node = text.head(); node; node = node->next)
            if (!plain.push_back(node->slice.share())) std::abort();
    }
    SliceNodePool nodes;
    RecordEngine engine;
    TrafficKeys sender_keys, receiver_keys;
    Records sender, receiver;
    SliceQueue text, plain, wire, opened;
};

void seal(benchmark::State& state, Version version, Aead aead, uint32_t bytes) {
    Ends ends(version, aead, bytes);
    BestBatch batch(state);
    for (auto _ : state) {
        std::vector<std::unique_ptr<SliceQueue>> texts;
        for (int i = 0; i < kBatch; i++) {
            ends.share_text();
            texts.push_back(std::make_unique<SliceQueue>(std::move(ends.plain)));
        }
        batch.run([&] {
            for (auto& text : texts)
                if (!ends.sender.seal(*text, ends.wire, kNow)) std::abort();
        });
        ends.wire.clear();
    }
}

void open(benchmark::State& state, Version version, Aead aead, uint32_t bytes) {
    Ends ends(version, aead, bytes);
    BestBatch batch(state);
    for (auto _ : state) {
        for (int i = 0; i < kBatch; i++) {
            ends.share_text();
            if (!ends.sender.seal(ends.plain, ends.wire, kNow)) std::abort();
        }
        batch.run([&] {
            if (ends.receiver.open(ends.wire, ends.opened, UINT64_MAX) != Records::Status::kOk) std::abort();
        });
        if (ends.opened.bytes() != uint64_t{kBatch} * bytes) std::abort();
        ends.opened.clear();
    }
}

/// What a record costs through OpenSSL's EVP, one buffer, nothing else.
void evp_seal(benchmark::State& state, Version, Aead aead, uint32_t bytes) {
    const EVP_CIPHER* cipher = aead == Aead::kChaCha20Poly1305 ? EVP_chacha20_poly1305() : aead == Aead::kAes128Gcm ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
    std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
    uint8_t key[32] = {1}, nonce[12] = {}, header[5] = {23, 3, 3}, tag[16];
    std::vector<uint8_t> text(bytes + 1);
    EVP_EncryptInit_ex(context.get(), cipher, nullptr, key, nonce);
    BestBatch batch(state);
    for (auto _ : state) {
        batch.run([&] {
            for (int i = 0; i < kBatch; i++) {
                int n = 0;
                nonce[11]++;
                EVP_EncryptInit_ex(context.get(), nullptr, nullptr, nullptr, nonce);
                EVP_EncryptUpdate(context.get(), nullptr, &n, header, sizeof header);
                EVP_EncryptUpdate(context.get(), text.data(), &n, text.data(), static_cast<int>(text.size()));
                EVP_EncryptFinal_ex(context.get(), text.data() + n, &n);
                EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, sizeof tag, tag);
            }
        });
    }
}

#define RECORDS(work)                                                                                  \
    BENCHMARK_CAPTURE(work, aes128_1k, Version::kTls13, Aead::kAes128Gcm, 1024);                       \
    BENCHMARK_CAPTURE(work, aes128_16k, Version::kTls13, Aead::kAes128Gcm, 16384);                     \
    BENCHMARK_CAPTURE(work, aes256_1k, Version::kTls13, Aead::kAes256Gcm, 1024);                       \
    BENCHMARK_CAPTURE(work, aes256_16k, Version::kTls13, Aead::kAes256Gcm, 16384);                     \
    BENCHMARK_CAPTURE(work, chacha_1k, Version::kTls13, Aead::kChaCha20Poly1305, 1024);                \
    BENCHMARK_CAPTURE(work, chacha_16k, Version::kTls13, Aead::kChaCha20Poly1305, 16384)
RECORDS(seal);
RECORDS(open);
RECORDS(evp_seal);
BENCHMARK_CAPTURE(seal, tls12_aes128_1k, Version::kTls12, Aead::kAes128Gcm, 1024);
BENCHMARK_CAPTURE(open, tls12_aes128_1k, Version::kTls12, Aead::kAes128Gcm, 1024);

void expand_key(benchmark::State& state, Aead aead) {
    pool();
    SliceNodePool nodes(16);
    RecordEngine::Impl engine(pool(), nodes, 4, UINT64_MAX);
    Records::Direction direction{};
    direction.slot = UINT32_MAX;
    BestBatch batch(state);
    for (auto _ : state) {
        batch.run([&] {
            for (int i = 0; i < kBatch; i++) {
                benchmark::DoNotOptimize(engine.expanded(direction, aead));
                engine.give_back(direction);
            }
        });
    }
}
BENCHMARK_CAPTURE(expand_key, aes128_and_wipe, Aead::kAes128Gcm);
BENCHMARK_CAPTURE(expand_key, aes256_and_wipe, Aead::kAes256Gcm);

void key_update(benchmark::State& state, Digest digest) {
    pool();
    SliceNodePool nodes(16);
    RecordEngine::Impl engine(pool(), nodes, 4, UINT64_MAX);
    Records::Direction direction{};
    direction.slot = UINT32_MAX;
    BestBatch batch(state);
    for (auto _ : state) {
        batch.run([&] {
            for (int i = 0; i < kBatch; i++) engine.next_keys(direction, Aead::kAes128Gcm, digest);
        });
    }
}
BENCHMARK_CAPTURE(key_update, sha256, Digest::kSha256);
BENCHMARK_CAPTURE(key_update, sha384, Digest::kSha384);

}  // namespace

BENCHMARK_MAIN();
