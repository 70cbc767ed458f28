// The wire floor: moves every frame from one port to the other and back, on one core, and does nothing else.
// In: two devices (af_xdp:IFACE or af_packet:IFACE), --core N, --busy. Out: frames moved, printed at SIGTERM.
// What a proxied request costs above this is ours to answer for; what this costs is the wire's. Mbufs are owned by
// one pool and pass from port to port unread. It sleeps when idle, so that /proc/stat tells how busy its core is.
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_pause.h>
#include <sys/prctl.h>
#include <time.h>

namespace {

constexpr uint16_t kBurst = 32;
constexpr uint16_t kRing = 2048;         // af_xdp takes this many mbufs a queue when it starts
constexpr unsigned kMbufs = 16384 - 1;
constexpr unsigned kSpins = 64;          // empty turns before the first sleep
constexpr long kSleepNs = 20'000;

volatile std::sig_atomic_t stopping = 0;

[[noreturn]] void die(const std::string& text) {
    std::fprintf(stderr, "forwarder: %s\n", text.c_str());
    std::exit(2);
}

// af_xdp:eth0 -> the vdev that opens queue 0 of eth0.
std::string vdev(const std::string& device, int number) {
    const size_t colon = device.find(':');
    const std::string driver = device.substr(0, colon);
    if (colon == std::string::npos || (driver != "af_xdp" && driver != "af_packet")) {
        die(device + ": write af_xdp:IFACE or af_packet:IFACE");
    }
    const std::string name = "net_" + driver + std::to_string(number) + ",iface=" + device.substr(colon + 1);
    if (driver == "af_xdp") return name + ",start_queue=0,queue_count=1,busy_budget=0";
    return name + ",blocksz=65536,framesz=2048,framecnt=2048,qpairs=1";
}

// One memory chunk and objects of at most a page, or AF_XDP without hugepages loses half of its frames in silence:
// it sizes its UMEM as n x object size.
rte_mempool* make_pool() {
    const unsigned element = sizeof(rte_mbuf) + RTE_MBUF_DEFAULT_BUF_SIZE;
    rte_mempool* pool = rte_mempool_create_empty("frames", kMbufs, element, 256, sizeof(rte_pktmbuf_pool_private),
                                                 SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
    if (pool == nullptr) die("no memory for a pool of frames");
    rte_pktmbuf_pool_private shape{};
    shape.mbuf_data_room_size = RTE_MBUF_DEFAULT_BUF_SIZE;
    rte_pktmbuf_pool_init(pool, &shape);
    if (rte_mempool_populate_default(pool) < 0) die("no memory for frames");
    rte_mempool_obj_iter(pool, rte_pktmbuf_init, nullptr);
    if (pool->nb_mem_chunks != 1) die("the pool of frames came in pieces");
    return pool;
}

void open_port(uint16_t port, rte_mempool* pool) {
    rte_eth_conf conf{};
    if (rte_eth_dev_configure(port, 1, 1, &conf) != 0 ||
        rte_eth_rx_queue_setup(port, 0, kRing, SOCKET_ID_ANY, nullptr, pool) != 0 ||
        rte_eth_tx_queue_setup(port, 0, kRing, SOCKET_ID_ANY, nullptr) != 0 || rte_eth_dev_start(port) != 0) {
        die("port " + std::to_string(port) + " does not start");
    }
    rte_eth_promiscuous_enable(port);
}

struct Counters {
    uint64_t moved[2] = {};
    uint64_t dropped = 0;
};

// One direction, once; how many frames it received.
uint16_t forward(uint16_t from, uint16_t to, Counters& counters) {
    rte_mbuf* frames[kBurst];
    const uint16_t received = rte_eth_rx_burst(from, 0, frames, kBurst);
    if (received == 0) return 0;
    const uint16_t sent = rte_eth_tx_burst(to, 0, frames, received);
    counters.moved[from] += sent;
    counters.dropped += received - sent;
    if (sent < received) rte_pktmbuf_free_bulk(frames + sent, received - sent);
    return received;
}

void run(bool busy, Counters& counters) {
    unsigned empty = 0;
    const timespec nap{0, kSleepNs};
    while (!stopping) {
        if (forward(0, 1, counters) + forward(1, 0, counters) > 0) {
            empty = 0;
        } else if (++empty > kSpins && !busy) {
            clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, nullptr);
        } else {
            rte_pause();
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    std::vector<std::string> devices;
    std::string core = "1";
    bool busy = false;
    for (int i = 1; i < argc; ++i) {
        if (std::strcmp(argv[i], "--core") == 0 && i + 1 < argc) core = argv[++i];
        else if (std::strcmp(argv[i], "--busy") == 0) busy = true;
        else devices.emplace_back(argv[i]);
    }
    if (devices.size() != 2) die("usage: forwarder DEVICE DEVICE [--core N] [--busy]; a DEVICE is af_xdp:eth0 or af_packet:eth0");

    std::vector<std::string> words = {"forwarder", "--no-huge", "--no-pci", "--iova-mode=va", "--no-telemetry", "-m", "256",
                                      "--file-prefix=sluice-forwarder", "--lcores=0@" + core, "--log-level=4",
                                      "--vdev=" + vdev(devices[0], 0), "--vdev=" + vdev(devices[1], 1)};
    std::vector<char*> eal;
    for (std::string& word : words) eal.push_back(word.data());
    if (rte_eal_init(static_cast<int>(eal.size()), eal.data()) < 0) die("EAL does not start");
    // EAL starts even when a device does not probe.
    if (rte_eth_dev_count_avail() != 2) die("a device does not open: is it there, and is this root?");
    rte_mempool* pool = make_pool();
    open_port(0, pool);
    open_port(1, pool);

    std::signal(SIGTERM, [](int) { stopping = 1; });
    std::signal(SIGINT, [](int) { stopping = 1; });
    prctl(PR_SET_TIMERSLACK, 1);
    std::printf("ready\n");
    std::fflush(stdout);
    Counters counters;
    run(busy, counters);
    std::printf("moved %lu and %lu frames, dropped %lu\n", counters.moved[0], counters.moved[1], counters.dropped);
    for (uint16_t port = 0; port < 2; ++port) {
        rte_eth_dev_stop(port);
        rte_eth_dev_close(port);
    }
    rte_eal_cleanup();
    return 0;
}
