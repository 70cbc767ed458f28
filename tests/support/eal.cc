// Starts EAL for tests and makes slices whose edges address sanitizer sees.
#include "tests/support/eal.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <sched.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unistd.h>

namespace sluice::test {

void test_eal() {
    static const bool started = [] {
        cpu_set_t affinity;
        sched_getaffinity(0, sizeof affinity, &affinity);
        std::string prefix = "--file-prefix=slutest" + std::to_string(getpid());
        std::string args[] = {"test", "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry",
                              "--lcores=0@0-1", "-m", "512", "--log-level=lib.*:error", "--iova-mode=va", prefix};
        char* argv[std::size(args)];
        for (size_t i = 0; i < std::size(args); i++) argv[i] = args[i].data();
        if (rte_eal_init(static_cast<int>(std::size(args)), argv) < 0) {
            std::fprintf(stderr, "test_eal: rte_eal_init failed: %s\n", rte_strerror(rte_errno));
            std::abort();
        }
        sched_setaffinity(0, sizeof affinity, &affinity);
        return true;
    }();
    (void)started;
}

rte_mempool* test_mempool() {
    test_eal();
    static rte_mempool* const pool =
        rte_pktmbuf_pool_create("test_mbufs", 65535, 0, 0, 2048 + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
    if (!pool) std::abort();
    return pool;
}

namespace {
struct HeapBuffer {
    rte_mbuf_ext_shared_info info;
    uint8_t* bytes;
};
void free_heap_buffer(void*, void* opaque) {
    auto* buffer = static_cast<HeapBuffer*>(opaque);
    std::free(buffer->bytes);
    delete buffer;
}
}  // namespace

Slice heap_slice(std::span<const uint8_t> bytes) {
    rte_mbuf* m = rte_pktmbuf_alloc(test_mempool());
    if (!m) return {};
    auto* buffer = new HeapBuffer;
    buffer->bytes = static_cast<uint8_t*>(std::malloc(bytes.empty() ? 1 : bytes.size()));
    if (!bytes.empty()) std::memcpy(buffer->bytes, bytes.data(), bytes.size());
    buffer->info.free_cb = free_heap_buffer;
    buffer->info.fcb_opaque = buffer;
    rte_mbuf_ext_refcnt_set(&buffer->info, 1);
    rte_pktmbuf_attach_extbuf(m, buffer->bytes, rte_mem_virt2iova(buffer->bytes),
                              static_cast<uint16_t>(bytes.size()), &buffer->info);
    m->data_off = 0;
    m->data_len = static_cast<uint16_t>(bytes.size());
    m->pkt_len = m->data_len;
    return Slice(m, 0, static_cast<uint32_t>(bytes.size()));
}

Slice heap_slice(std::string_view text) {
    return heap_slice({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

}  // namespace sluice::test
