// The counters behind faults.h and mempool operations that fail on demand: a stack of free objects.
#include "tests/sim/faults.h"

#include <rte_mbuf.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "base/pool.h"
#include "base/rng.h"
#include "tests/support/eal.h"

namespace sluice::sim {

namespace {

constexpr unsigned kMbufs = 48'000;

struct State {
    Faults faults;
    bool armed = false;
    uint32_t objects = 1, mbufs = 1;  // allocations left until one fails
    uint64_t happened = 0;
    Rng rng{1};
} state;

/// Every Nth on average: a fixed step could fall into step with what is tried again, and starve it for ever.
bool due(uint32_t every, uint32_t& left) {
    if (!state.armed || every == 0 || --left > 0) return false;
    left = static_cast<uint32_t>(state.rng.between(1, 2 * uint64_t{every}));
    state.happened++;
    return true;
}

using FreeObjects = std::vector<void*>;

int pool_alloc(rte_mempool* pool) {
    static FreeObjects free_objects;  // there is one such pool, and it lasts as long as the process
    free_objects.reserve(kMbufs);
    pool->pool_data = &free_objects;
    return 0;
}
void pool_free(rte_mempool*) {}
int pool_enqueue(rte_mempool* pool, void* const* objects, unsigned n) {
    auto& free_objects = *static_cast<FreeObjects*>(pool->pool_data);
    free_objects.insert(free_objects.end(), objects, objects + n);
    return 0;
}
int pool_dequeue(rte_mempool* pool, void** objects, unsigned n) {
    auto& free_objects = *static_cast<FreeObjects*>(pool->pool_data);
    if (free_objects.size() < n || due(state.faults.every_mbuf, state.mbufs)) return -ENOBUFS;
    for (unsigned i = 0; i < n; i++) {
        objects[i] = free_objects.back();
        free_objects.pop_back();
    }
    return 0;
}
unsigned pool_count(const rte_mempool* pool) {
    return static_cast<unsigned>(static_cast<const FreeObjects*>(pool->pool_data)->size());
}

rte_mempool_ops make_ops() {
    rte_mempool_ops ops{};
    std::snprintf(ops.name, sizeof ops.name, "sluice_faulty");
    ops.alloc = pool_alloc, ops.free = pool_free;
    ops.enqueue = pool_enqueue, ops.dequeue = pool_dequeue;
    ops.get_count = pool_count;
    return ops;
}
const rte_mempool_ops faulty_ops = make_ops();

rte_mempool* make_pool() {
    test::test_eal();
    if (rte_mempool_register_ops(&faulty_ops) < 0) std::abort();
    const unsigned room = 2048 + RTE_PKTMBUF_HEADROOM;
    rte_mempool* pool = rte_mempool_create_empty("sim_mbufs", kMbufs, sizeof(rte_mbuf) + room, 0,
                                                 sizeof(rte_pktmbuf_pool_private), SOCKET_ID_ANY, 0);
    if (!pool || rte_mempool_set_ops_byname(pool, "sluice_faulty", nullptr) != 0) std::abort();
    rte_pktmbuf_pool_private sizes{};
    sizes.mbuf_data_room_size = room;
    rte_pktmbuf_pool_init(pool, &sizes);
    if (rte_mempool_populate_default(pool) < 0) std::abort();
    rte_mempool_obj_iter(pool, rte_pktmbuf_init, nullptr);
    return pool;
}

}  // namespace

void Faults::set(const Faults& faults) {
    state = {};
    state.faults = faults;
    state.rng = Rng(faults.every_object * 1000 + faults.every_mbuf);
    pool_fault = [] { return due(state.faults.every_object, state.objects); };
}
uint64_t Faults::happened() { return state.happened; }
rte_mempool* Faults::mbufs() {
    static rte_mempool* const pool = make_pool();
    return pool;
}
unsigned Faults::mbufs_in_use() { return rte_mempool_in_use_count(mbufs()); }
Faults::Armed::Armed() { state.armed = true; }
Faults::Armed::~Armed() { state.armed = false; }

}  // namespace sluice::sim
