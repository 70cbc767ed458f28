// Pool construction step by step, instead of rte_pktmbuf_pool_create: without hugepages that one puts one object on a page
// while AF_XDP's driver sizes its UMEM as count x object size, and half of the frames vanish silently (DESIGN.md, Wires).
#include "base/mbuf_pool.h"

#include <rte_errno.h>
#include <rte_mbuf.h>
#include <sys/mman.h>

#include <fmt/format.h>

#include "base/limits.h"

namespace sluice {

namespace {
constexpr uint32_t kCachePerCore = 256;
constexpr uint32_t kElementBytes = sizeof(rte_mbuf) + RTE_PKTMBUF_HEADROOM + limits::kMbufRoomBytes;
constexpr uint32_t kUmemChunkBytesMax = 4096;
}  // namespace

uint64_t mbuf_pool_bytes(uint32_t count) {
    return uint64_t{count} * rte_mempool_calc_obj_size(kElementBytes, 0, nullptr) + (2u << 20);
}

Result<rte_mempool*> make_mbuf_pool(const std::string& name, uint32_t count, int socket_id) {
    rte_mempool* pool = rte_mempool_create_empty(name.c_str(), count, kElementBytes, kCachePerCore,
                                                 sizeof(rte_pktmbuf_pool_private), socket_id, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
    const auto failure = [&](const char* what) -> std::string {
        const int error = rte_errno;
        rte_mempool_free(pool);
        return fmt::format("mbuf pool {} of {} buffers ({} MiB): {}: {}; give the gateway more memory (memory.limit) or fewer cores",
                           name, count, mbuf_pool_bytes(count) >> 20, what, rte_strerror(error));
    };
    if (!pool) return unexpected(failure("cannot be created"));
    rte_pktmbuf_pool_private data{};
    data.mbuf_data_room_size = RTE_PKTMBUF_HEADROOM + limits::kMbufRoomBytes;
    rte_pktmbuf_pool_init(pool, &data);
    if (rte_mempool_populate_default(pool) < 0) return unexpected(failure("no memory"));
    rte_mempool_obj_iter(pool, rte_pktmbuf_init, nullptr);
    const uint32_t object_bytes = rte_mempool_calc_obj_size(pool->elt_size, pool->flags, nullptr);
    if (object_bytes > kUmemChunkBytesMax) {
        rte_errno = EINVAL;
        return unexpected(failure("objects larger than a UMEM chunk"));
    }
    if (pool->nb_mem_chunks != 1 && !rte_eal_has_hugepages()) {
        rte_errno = ENOMEM;
        return unexpected(failure("memory is not in one piece"));
    }
    return pool;
}

void free_mbuf_pool(rte_mempool* pool) { rte_mempool_free(pool); }

void keep_out_of_dumps(rte_mempool* pool) {
    rte_mempool_mem_iter(pool, [](rte_mempool*, void*, rte_mempool_memhdr* chunk, unsigned) {
        // Whole pages of whatever size lies there: what shares one with a neighbour's memory stays.
        for (const uintptr_t page : {uintptr_t{1} << 12, uintptr_t{1} << 21, uintptr_t{1} << 30}) {
            const auto from = (reinterpret_cast<uintptr_t>(chunk->addr) + page - 1) & ~(page - 1);
            const auto to = (reinterpret_cast<uintptr_t>(chunk->addr) + chunk->len) & ~(page - 1);
            if (to <= from || madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTDUMP) == 0) return;
        }
    }, nullptr);
}

}  // namespace sluice
