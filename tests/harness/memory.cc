// EAL start-up, and pools whose memory is mapped step by step (see memory.h).
// A pool has no per-core caches and rings for one user: a stack is used by one thread at a time.
#include "tests/harness/memory.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mempool.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <string>

namespace sluice::harness {

namespace {

constexpr uint32_t kStepMbufs = 1024, kStockMbufs = 512;
constexpr size_t kFirstPiece = 120;  // holds all headers

std::string main_lcore(const cpu_set_t& allowed) {
    unsigned cpu = 0;
    while (cpu + 1 < CPU_SETSIZE && !CPU_ISSET(cpu, &allowed)) cpu++;
    return "--lcores=0@" + std::to_string(cpu);
}

const char* init_eal() {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    sched_getaffinity(0, sizeof allowed, &allowed);
    std::string arguments[] = {"sluice_tcp", "--no-huge", "--no-shconf", "--no-telemetry", "--no-pci", "--iova-mode=va", "-m", "256",
                               "--log-level=*:error", main_lcore(allowed), "--file-prefix=sluice-tcp-" + std::to_string(getpid())};
    char* argv[std::size(arguments) + 1] = {};
    for (size_t i = 0; i < std::size(arguments); i++) argv[i] = arguments[i].data();
    const int done = rte_eal_init(static_cast<int>(std::size(arguments)), argv);
    sched_setaffinity(0, sizeof allowed, &allowed);
    if (done >= 0 || rte_errno == EALREADY) return nullptr;  // the process may have started it for its own ends
    return "DPDK's EAL did not start (see stderr)";
}

void unmap(rte_mempool_memhdr* chunk, void*) { munmap(chunk->addr, chunk->len); }

/// Objects from number *first on become mbufs; those before are in use or ready.
void init_new(rte_mempool* pool, void* first, void* object, unsigned number) {
    if (number >= *static_cast<const uint32_t*>(first)) rte_pktmbuf_init(pool, nullptr, object, number);
}

}  // namespace

const char* start_eal() {
    static std::once_flag once;
    static const char* error = nullptr;
    std::call_once(once, [] { error = init_eal(); });
    return error;
}

PacketMemory::PacketMemory(uint32_t room, uint32_t mbufs_max) {
    static std::atomic<uint32_t> number{0};
    const std::string name = "th_" + std::to_string(number++);
    element_bytes_ = (static_cast<uint32_t>(sizeof(rte_mbuf)) + RTE_PKTMBUF_HEADROOM + room + 63) & ~63u;
    pool_ = rte_mempool_create_empty(name.c_str(), mbufs_max, element_bytes_, 0, sizeof(rte_pktmbuf_pool_private), SOCKET_ID_ANY,
                                     RTE_MEMPOOL_F_NO_IOVA_CONTIG | RTE_MEMPOOL_F_SP_PUT | RTE_MEMPOOL_F_SC_GET);
    if (!pool_) return;
    rte_mempool_set_ops_byname(pool_, "ring_sp_sc", nullptr);
    rte_pktmbuf_pool_private data{};
    data.mbuf_data_room_size = static_cast<uint16_t>(element_bytes_ - sizeof(rte_mbuf));
    rte_pktmbuf_pool_init(pool_, &data);
    if (grow()) return;
    rte_mempool_free(pool_);
    pool_ = nullptr;
}

PacketMemory::~PacketMemory() { rte_mempool_free(pool_); }

bool PacketMemory::grow() {
    uint32_t ready = pool_->populated_size;
    const uint32_t wanted = std::min(kStepMbufs, pool_->size - ready);
    if (wanted == 0) return false;
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t object = rte_mempool_calc_obj_size(element_bytes_, pool_->flags, nullptr);
    const size_t length = (object * wanted + RTE_MEMPOOL_ALIGN + page - 1) / page * page;
    void* const memory = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return false;
    if (rte_mempool_populate_iova(pool_, static_cast<char*>(memory), RTE_BAD_IOVA, length, unmap, nullptr) <= 0) {
        munmap(memory, length);
        return false;
    }
    rte_mempool_obj_iter(pool_, init_new, &ready);
    return true;
}

void PacketMemory::restock() {
    while (rte_mempool_avail_count(pool_) < kStockMbufs && grow()) {
    }
}

uint32_t PacketMemory::in_use() const { return pool_->populated_size - rte_mempool_avail_count(pool_); }

uint64_t PacketMemory::bytes_in_use() const { return uint64_t{in_use()} * element_bytes_; }

void PacketMemory::withhold(uint32_t left) {
    const uint32_t ready = rte_mempool_avail_count(pool_);
    if (ready <= left) return;
    withheld_.resize(ready - left);
    if (rte_mempool_get_bulk(pool_, withheld_.data(), ready - left) != 0) withheld_.clear();
}

void PacketMemory::give_back() {
    if (withheld_.empty()) return;
    rte_mempool_put_bulk(pool_, withheld_.data(), static_cast<unsigned>(withheld_.size()));
    withheld_.clear();
}

rte_mbuf* PacketMemory::copy(std::span<const uint8_t> packet, Rng* pieces) const {
    rte_mbuf* head = nullptr;
    rte_mbuf** link = &head;
    uint32_t segments = 0;
    const auto length = static_cast<uint32_t>(packet.size());
    while (!packet.empty()) {
        rte_mbuf* const m = rte_pktmbuf_alloc(pool_);
        if (!m) {
            rte_pktmbuf_free(head);
            return nullptr;
        }
        size_t part = std::min<size_t>(packet.size(), rte_pktmbuf_tailroom(m));
        if (pieces) part = !head ? std::min(part, kFirstPiece) : pieces->between(1, part);
        std::memcpy(rte_pktmbuf_mtod(m, void*), packet.data(), part);
        m->data_len = static_cast<uint16_t>(part);
        *link = m;
        link = &m->next;
        head->nb_segs = static_cast<uint16_t>(++segments);
        head->pkt_len = length;
        packet = packet.subspan(part);
    }
    return head;
}

}  // namespace sluice::harness
