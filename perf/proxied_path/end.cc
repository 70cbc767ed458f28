// An end and the wire between two (see end.h).
#include "perf/proxied_path/end.h"

#include <rte_ip.h>

#include <cstring>

#include "base/endian.h"
#include "tests/support/eal.h"

namespace sluice::perf {

namespace {
rte_mempool* make_pool(const EndSetup& setup) {
    test::test_eal();
    auto made = make_mbuf_pool(setup.name, setup.mbufs, SOCKET_ID_ANY);
    CHECK(made.has_value());
    return *made;
}

/// An untagged IPv4 frame with TCP, or none.
void set_rss_hash(rte_mbuf& m, const worker::OwnerTable& owners) {
    const auto* frame = rte_pktmbuf_mtod(&m, const uint8_t*);
    constexpr size_t kIp = 14, kProtocol = kIp + 9, kSource = kIp + 12, kDestination = kIp + 16, kTcp = kIp + 20;
    if (m.data_len < kTcp + 4 || load_be16(frame + 12) != RTE_ETHER_TYPE_IPV4 || frame[kProtocol] != IPPROTO_TCP) return;
    m.hash.rss = owners.rss_hash({{IpAddress::v4(load_be32(frame + kDestination)), load_be16(frame + kTcp + 2)},
                                  {IpAddress::v4(load_be32(frame + kSource)), load_be16(frame + kTcp)}});
    m.ol_flags |= RTE_MBUF_F_RX_RSS_HASH;
}
}  // namespace

End::End(const EndSetup& setup, const SharedTables& tables, worker::Exchange& exchange, uint32_t core)
    : pool(make_pool(setup)), port(std::make_unique<RingPort>(setup.name, pool, setup.last_of_mac, core, tables.owners.by_rss())) {
    worker::WorkerConfig config;
    config.index = core;
    net::PortConfig ip;
    ip.name = setup.name;
    ip.addresses = setup.addresses;
    ip.mac = port->ports[0].mac;
    ip.mtu = 1500;
    ip.detect_duplicates = false;
    ip.rx_checksum = ip.tx_tcp_checksum = ip.multi_segment = true;
    config.net.ports.push_back(ip);
    config.net.seed = config.tcp.seed = setup.last_of_mac + 16 * core;
    config.tcp.connections_max = setup.connections_max;
    config.tcp.port_first = setup.port_first;
    config.slice_nodes = 131072;
    config.poll.busy = true;
    config.ports = &port->ports;
    config.pool = pool;
    config.owners = &tables.owners;
    config.exchange = tables.cores > 1 ? &exchange : nullptr;
    worker = std::make_unique<worker::Worker>(config);
}

void carry(End& from, End& to, const worker::OwnerTable& owners) {
    void* frame = nullptr;
    while (rte_ring_sc_dequeue(from.port->out, &frame) == 0) {
        auto* sent = static_cast<rte_mbuf*>(frame);
        rte_mbuf* m = rte_pktmbuf_alloc(to.pool);
        CHECK(m && sent->pkt_len <= rte_pktmbuf_tailroom(m));
        for (const rte_mbuf* s = sent; s; s = s->next)
            std::memcpy(rte_pktmbuf_append(m, s->data_len), rte_pktmbuf_mtod(s, const void*), s->data_len);
        m->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_IP_CKSUM_GOOD;
        if (owners.by_rss()) set_rss_hash(*m, owners);
        rte_pktmbuf_free(sent);
        if (rte_ring_sp_enqueue(to.port->in, m) != 0) rte_pktmbuf_free(m);   // the wire is full: lost, as on any other
    }
}

}  // namespace sluice::perf
