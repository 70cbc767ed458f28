// One end of a wire in memory: a worker on an ethdev whose frames lie in two rings. In: its addresses and sizes. Out: a worker to be turned by
// the caller; carry() moves what one end sent to the other, copied into mbufs of the receiver's own pool as a wire does it.
// Owns its pool, port and worker. One thread. DPDK's ring driver (rte_eth_from_rings).
#pragma once

#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_ring.h>

#include <memory>
#include <string>
#include <vector>

#include "base/mbuf_pool.h"
#include "perf/proxied_path/check.h"
#include "perf/proxied_path/tables.h"
#include "worker/worker.h"

namespace sluice::perf {

/// An ethdev whose frames lie in two rings: `out` what it has sent, `in` what it will receive.
struct RingPort {
    RingPort(const std::string& name, rte_mempool* pool, uint8_t last_of_mac, uint32_t core, bool rss) {
        in = rte_ring_create((name + "_in").c_str(), 4096, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
        out = rte_ring_create((name + "_out").c_str(), 4096, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
        const int id = rte_eth_from_rings(name.c_str(), &in, 1, &out, 1, 0);
        CHECK(id >= 0);
        ethdev = static_cast<uint16_t>(id);
        rte_eth_conf conf{};
        CHECK(rte_eth_dev_configure(ethdev, 1, 1, &conf) == 0);
        CHECK(rte_eth_rx_queue_setup(ethdev, 0, 256, 0, nullptr, pool) == 0);
        CHECK(rte_eth_tx_queue_setup(ethdev, 0, 256, 0, nullptr) == 0);
        CHECK(rte_eth_dev_start(ethdev) == 0);
        worker::PortInfo info;
        info.name = name;
        info.mac = {2, 0, 0, 0, 0, last_of_mac};
        info.rx_checksum = info.tx_tcp_checksum = true;   // as virtio does: nobody sums here
        info.multi_segment = true;
        info.rss = rss;
        info.queues.resize(core + 1);   // by core: the others have none here
        info.queues[core].push_back({ethdev, 0});
        ports.push_back(info);
    }
    ~RingPort() {
        rte_eth_dev_stop(ethdev);
        rte_eth_dev_close(ethdev);
        for (rte_ring* ring : {in, out}) {
            void* frame = nullptr;
            while (rte_ring_sc_dequeue(ring, &frame) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(frame));
            rte_ring_free(ring);
        }
    }
    RingPort(const RingPort&) = delete;
    rte_ring *in = nullptr, *out = nullptr;
    uint16_t ethdev = 0;
    std::vector<worker::PortInfo> ports;
};

struct EndSetup {
    std::string name;
    std::vector<IpPrefix> addresses;
    uint8_t last_of_mac = 1;
    uint32_t connections_max = 16384;
    uint16_t port_first = 32768;
    uint32_t mbufs = 32768;
};

/// One worker on a ring port.
struct End {
    End(const EndSetup& setup, const SharedTables& tables, worker::Exchange& exchange, uint32_t core);
    ~End() {
        worker.reset();
        port.reset();
        free_mbuf_pool(pool);
    }
    rte_mempool* pool;
    std::unique_ptr<RingPort> port;
    std::unique_ptr<worker::Worker> worker;
};

/// What `from` has sent arrives at `to`; as a port with RSS does it, with its hash where the gateway has more than one core.
void carry(End& from, End& to, const worker::OwnerTable& owners);

}  // namespace sluice::perf
