// What the connections of a core share: ipsec-mb's functions for this CPU, and expanded keys, 1 KiB a direction, lent while a connection
// is active. A list from the newest to the oldest use; the oldest is wiped and taken when all are lent. Allocates at start alone.
#include "tls/record_engine.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <new>

namespace sluice::tls {

RecordEngine::RecordEngine(rte_mempool* mbufs, SliceNodePool& nodes, uint32_t expanded_max, uint64_t key_records_max)
    : impl_(std::make_unique<Impl>(mbufs, nodes, expanded_max, key_records_max)) {}
RecordEngine::~RecordEngine() = default;
const RecordCounters& RecordEngine::counters() const { return impl_->counters; }

RecordEngine::Impl::Impl(rte_mempool* mbuf_pool, SliceNodePool& node_pool, uint32_t expanded_max, uint64_t records_max, IMB_ARCH arch)
    : mbufs(mbuf_pool), nodes(node_pool), mbuf_room(rte_pktmbuf_data_room_size(mbuf_pool) - RTE_PKTMBUF_HEADROOM),
      key_records_max(records_max), kept(std::make_unique<uint8_t[]>(kRecordHeaderBytes + kCiphertextMax)), slots(std::max(expanded_max, 1u)),
      memory(sizeof(gcm_key_data) * slots), keys(static_cast<gcm_key_data*>(memory.data())),
      owners(std::make_unique<const Records::Direction*[]>(slots)), links(std::make_unique<Links[]>(slots)) {
    static_assert(alignof(gcm_key_data) == LargeMemory::kAlignment);
    mb = alloc_mb_mgr(0);
    if (!mb || mbuf_room < kSegmentBytes) {   // before the first turn
        std::fprintf(stderr, mb ? "tls: mbufs are smaller than a TCP segment\n" : "tls: ipsec-mb has no memory for its manager\n");
        std::abort();
    }
    switch (arch) {
        case IMB_ARCH_SSE: init_mb_mgr_sse(mb); break;
        case IMB_ARCH_AVX2: init_mb_mgr_avx2(mb); break;
        default: init_mb_mgr_auto(mb, nullptr);
    }
    gcm128 = {mb->gcm128_pre, mb->gcm128_enc, mb->gcm128_dec, mb->gcm128_init, mb->gcm128_enc_update, mb->gcm128_dec_update,
              mb->gcm128_enc_finalize, mb->gcm128_dec_finalize};
    gcm256 = {mb->gcm256_pre, mb->gcm256_enc, mb->gcm256_dec, mb->gcm256_init, mb->gcm256_enc_update, mb->gcm256_dec_update,
              mb->gcm256_enc_finalize, mb->gcm256_dec_finalize};
}

RecordEngine::Impl::~Impl() {
    OPENSSL_cleanse(keys, sizeof(gcm_key_data) * touched);
    free_mb_mgr(mb);
}

const gcm_key_data* RecordEngine::Impl::expand(Records::Direction& direction, Aead aead) {
    uint32_t slot = oldest;
    if (touched < slots && (slot == kNone || owners[slot])) {
        slot = touched++;
    } else {
        if (owners[slot]) counters.keys_evicted++;
        unlink(slot);
    }
    owners[slot] = &direction;
    direction.slot = slot;
    link_newest(slot);
    gcm(aead).expand(direction.key, &keys[slot]);
    counters.keys_expanded++;
    return &keys[slot];
}

void RecordEngine::Impl::give_back(Records::Direction& direction) {
    const uint32_t slot = std::exchange(direction.slot, kNone);
    if (slot >= slots || owners[slot] != &direction) return;
    owners[slot] = nullptr;
    OPENSSL_cleanse(&keys[slot], sizeof keys[slot]);
    unlink(slot);
    link_oldest(slot);
}

void RecordEngine::Impl::unlink(uint32_t slot) {
    const Links link = links[slot];
    (link.newer == kNone ? newest : links[link.newer].older) = link.older;
    (link.older == kNone ? oldest : links[link.older].newer) = link.newer;
}

void RecordEngine::Impl::link_newest(uint32_t slot) {
    links[slot] = {.newer = kNone, .older = newest};
    (newest == kNone ? oldest : links[newest].newer) = slot;
    newest = slot;
}

void RecordEngine::Impl::link_oldest(uint32_t slot) {
    links[slot] = {.newer = oldest, .older = kNone};
    (oldest == kNone ? newest : links[oldest].older) = slot;
    oldest = slot;
}

}  // namespace sluice::tls
