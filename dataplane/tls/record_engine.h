// Inside of RecordEngine: ipsec-mb's manager, the functions of each AEAD, the pool of expanded keys, one record's worth of scratch.
// In: raw keys of a direction. Out: its expanded key, from the pool or made now. Owns all of it; wiped at the end. Single core.
#pragma once

#include <intel-ipsec-mb.h>

#include <memory>

#include "base/large_memory.h"
#include "tls/records.h"

namespace sluice::tls {

/// AES-GCM of one key size.
struct GcmFunctions {
    aes_gcm_pre_t expand;
    aes_gcm_enc_dec_t seal, open;                          // a whole record that lies in one piece
    aes_gcm_init_t begin;
    aes_gcm_enc_dec_update_t seal_piece, open_piece;
    aes_gcm_enc_dec_finalize_t seal_end, open_end;
};

struct RecordEngine::Impl {
    /// `arch` IMB_ARCH_NONE: the best of this CPU; another: for tests.
    Impl(rte_mempool* mbufs, SliceNodePool& nodes, uint32_t expanded_max, uint64_t key_records_max, IMB_ARCH arch = IMB_ARCH_NONE);
    ~Impl();

    /// The expanded key of `direction`; the least recently used one makes room.
    const gcm_key_data* expanded(Records::Direction& direction, Aead aead) {
        if (direction.slot < slots && owners[direction.slot] == &direction) [[likely]] {
            if (direction.slot != newest) move_to_front(direction.slot);
            return &keys[direction.slot];
        }
        return expand(direction, aead);
    }
    /// `direction` ends or has a new key: its slot is wiped and the first to be taken again.
    void give_back(Records::Direction& direction);
    const GcmFunctions& gcm(Aead aead) const { return aead == Aead::kAes128Gcm ? gcm128 : gcm256; }

    /// RFC 8446 7.2: secret, key and IV of the next generation; sequence 0. (record_keys.cc)
    void next_keys(Records::Direction& direction, Aead aead, Digest digest);

    IMB_MGR* mb = nullptr;
    GcmFunctions gcm128{}, gcm256{};
    rte_mempool* mbufs;
    SliceNodePool& nodes;
    uint32_t mbuf_room;                                    // behind the headroom
    uint64_t key_records_max;                              // sealed with one 1.3 key
    RecordCounters counters;
    /// The last post-handshake record of a client, and whose it is.
    const Records* kept_for = nullptr;
    uint32_t kept_bytes = 0;
    std::unique_ptr<uint8_t[]> kept;

 private:
    static constexpr uint32_t kNone = UINT32_MAX;
    struct Links {
        uint32_t newer = kNone, older = kNone;
    };
    const gcm_key_data* expand(Records::Direction& direction, Aead aead);
    void unlink(uint32_t slot);
    void link_newest(uint32_t slot);
    void link_oldest(uint32_t slot);
    void move_to_front(uint32_t slot) {
        unlink(slot);
        link_newest(slot);
    }

    uint32_t slots, touched = 0;                           // slots from `touched` on were never used
    uint32_t newest = kNone, oldest = kNone;
    LargeMemory memory;
    gcm_key_data* keys;
    std::unique_ptr<const Records::Direction*[]> owners;   // nullptr: free
    std::unique_ptr<Links[]> links;
};

}  // namespace sluice::tls
