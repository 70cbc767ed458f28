// Makes a core's mbuf pool in the one shape that every driver takes, AF_XDP among them.
// In: name, number of mbufs, NUMA socket. Out: a pool, owned by EAL until free_mbuf_pool(), or what is missing and the cure.
#pragma once

#include <rte_mempool.h>

#include <cstdint>
#include <string>

#include "base/result.h"

namespace sluice {

/// Bytes of memory that `count` mbufs take, pool overhead included.
uint64_t mbuf_pool_bytes(uint32_t count);
Result<rte_mempool*> make_mbuf_pool(const std::string& name, uint32_t count, int socket_id);
void free_mbuf_pool(rte_mempool* pool);
/// Peers' payload stays out of core dumps (madvise(2), MADV_DONTDUMP).
void keep_out_of_dumps(rte_mempool* pool);

}  // namespace sluice
