// A Port over DPDK's ring driver, whose frames come back to it: bursts, linearisation, frames refused and dropped.
// And two workers over such ports, turned by hand: a segment that reached the wrong core is answered by its owner.
#include <gtest/gtest.h>

#include <cstring>

#include "tests/worker/echo_application.h"
#include "tests/worker/frames.h"
#include "worker/port.h"
#include "worker/worker.h"

namespace sluice::worker {
namespace {

using namespace test;

TEST(Port, SendsAndReceives) {
    const PortInfo info = ring_port(true);
    Port port(info, 0, sluice::test::test_mempool());
    rte_mbuf* frames[2] = {mbuf_of("first"), mbuf_of("second")};
    port.transmit(frames, 2);
    EXPECT_TRUE(port.flush(Instant{1}));
    rte_mbuf* got[8];
    ASSERT_EQ(port.receive(got, 8), 2);
    EXPECT_EQ(text_of(got[0]), "first");
    EXPECT_EQ(text_of(got[1]), "second");
    EXPECT_EQ(port.counters().tx_frames.get(), 2u);
    EXPECT_EQ(port.counters().rx_bytes.get(), 11u);
    rte_pktmbuf_free_bulk(got, 2);
}

TEST(Port, ChainsAndClonesAreLinearizedOnlyWhereTheDriverCannotTakeThem) {
    const unsigned before = mbufs_in_use();
    for (const bool multi_segment : {false, true}) {
        const PortInfo info = ring_port(multi_segment);
        Port port(info, 0, sluice::test::test_mempool());
        rte_mbuf* chain = mbuf_of("head ");
        rte_pktmbuf_chain(chain, mbuf_of("and "));
        rte_pktmbuf_chain(chain, mbuf_of("tail"));
        rte_mbuf* payload = mbuf_of("shared");
        rte_mbuf* clone = rte_pktmbuf_clone(payload, sluice::test::test_mempool());
        rte_mbuf* frames[2] = {chain, clone};
        port.transmit(frames, 2);
        port.flush(Instant{1});
        rte_mbuf* got[4];
        ASSERT_EQ(port.receive(got, 4), 2);
        EXPECT_EQ(text_of(got[0]), "head and tail");
        EXPECT_EQ(text_of(got[1]), "shared");
        EXPECT_EQ(got[0]->nb_segs, multi_segment ? 3 : 1);
        EXPECT_EQ(RTE_MBUF_DIRECT(got[1]), !multi_segment);
        EXPECT_EQ(port.counters().frames_linearized.get(), multi_segment ? 0u : 2u);
        EXPECT_EQ(port.counters().bytes_linearized.get(), multi_segment ? 0u : 19u);
        rte_pktmbuf_free_bulk(got, 2);
        rte_pktmbuf_free(payload);
    }
    EXPECT_EQ(mbufs_in_use(), before);
}

TEST(Port, RefusedFramesAreOfferedAgainThenDropped) {
    const unsigned before = mbufs_in_use();
    const PortInfo info = ring_port(true);
    {
        Port port(info, 0, sluice::test::test_mempool());
        uint32_t offered = 0;
        const auto fill = [&] {
            while (port.transmit_room() > 0) {
                rte_mbuf* m = mbuf_of("x");
                port.transmit(&m, 1);
                offered++;
            }
        };
        for (int i = 0; i < 3; i++) {
            fill();
            port.flush(Instant{1000});
        }
        EXPECT_TRUE(port.has_waiting());   // 1,023 left, the rest waits
        EXPECT_EQ(port.counters().tx_frames.get(), 1023u);
        rte_mbuf* got[64];
        const uint16_t n = port.receive(got, 64);
        rte_pktmbuf_free_bulk(got, n);
        EXPECT_TRUE(port.flush(Instant{2000}));
        EXPECT_EQ(port.counters().tx_frames.get(), 1023u + n);
        EXPECT_FALSE(port.flush(Instant{3000}));
        EXPECT_TRUE(port.has_waiting());
        EXPECT_FALSE(port.flush(Instant{20'000}));
        EXPECT_FALSE(port.has_waiting());
        EXPECT_EQ(port.counters().tx_dropped.get(), offered - 1023 - n);
        while (const uint16_t k = port.receive(got, 64)) rte_pktmbuf_free_bulk(got, k);
    }
    EXPECT_EQ(mbufs_in_use(), before);
}

/// A SYN from 192.0.2.7:`port` to 192.0.2.10:80 in an Ethernet frame, with `payload` bytes of text.
rte_mbuf* syn_frame(uint16_t port, uint16_t payload = 0) {
    uint8_t tcp[120] = {};
    const auto length = static_cast<uint16_t>(20 + payload);
    store_be16(tcp, port), store_be16(tcp + 2, 80);
    store_be32(tcp + 4, 1000);
    tcp[12] = 0x50, tcp[13] = 2;
    store_be16(tcp + 14, 65535);
    const IpAddress from = *IpAddress::parse("192.0.2.7"), to = *IpAddress::parse("192.0.2.10");
    store_checksum(tcp + 16, checksum_finish(checksum_add(tcp, length, pseudo_header_sum(from, to, 6, length))));
    net::Ipv4Header ip{};
    ip.version_ihl = 0x45, ip.total_length = be16_t(static_cast<uint16_t>(20 + length)), ip.ttl = 64, ip.protocol = 6;
    std::memcpy(ip.source, from.bytes.data() + 12, 4);
    std::memcpy(ip.destination, to.bytes.data() + 12, 4);
    ip.checksum = checksum_finish(checksum_add(&ip, 20));
    rte_mbuf* m = rte_pktmbuf_alloc(sluice::test::test_mempool());
    auto* p = reinterpret_cast<uint8_t*>(rte_pktmbuf_append(m, static_cast<uint16_t>(34 + length)));
    const uint8_t link[14] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 7, 8, 0};
    std::memcpy(p, link, 14), std::memcpy(p + 14, &ip, 20), std::memcpy(p + 34, tcp, length);
    return m;
}

/// Two cores, each with a device of its own, since Port takes the queues of its core.
struct TwoCores {
    TwoCores() {
        for (uint32_t i = 0; i < 2; i++) {
            WorkerConfig c;
            c.index = i;
            c.net.announce = false;
            net::PortConfig port;
            port.mac = infos[i][0].mac;
            port.addresses = {*IpPrefix::parse("192.0.2.10/24")};
            c.net.ports = {port};
            c.tcp.connections_max = 1000;
            c.slice_nodes = 4096;
            c.ports = &infos[i];
            c.pool = sluice::test::test_mempool();
            c.owners = &owners;
            c.exchange = &exchange;
            workers[i] = std::make_unique<Worker>(c);
            workers[i]->set_application(std::make_unique<test::EchoApplication>(*workers[i]));
        }
    }
    void arrives(uint32_t core, rte_mbuf* m) { ASSERT_EQ(rte_eth_tx_burst(infos[core][0].queues[core][0].ethdev, 0, &m, 1), 1); }
    void turn(int times) {
        for (int i = 0; i < times; i++)
            for (auto& w : workers) w->turn();
    }
    OwnerTable owners{2, 77};
    Exchange exchange{2};
    std::vector<PortInfo> infos[2] = {{ring_port(true, 2, 0)}, {ring_port(true, 2, 1)}};
    std::unique_ptr<Worker> workers[2];
};

TEST(Worker, ASegmentAtTheWrongCoreIsAnsweredByItsOwner) {
    TwoCores two;
    const OwnerTable& owners = two.owners;
    auto& workers = two.workers;
    uint32_t expected[2] = {};
    for (uint16_t port = 1000; port < 1100; port++) {
        two.arrives(0, syn_frame(port));   // every one
        expected[owners.owner({{*IpAddress::parse("192.0.2.10"), 80}, {*IpAddress::parse("192.0.2.7"), port}})]++;
    }
    two.turn(10);
    EXPECT_GT(expected[0], 20u);
    EXPECT_GT(expected[1], 20u);
    for (uint32_t i = 0; i < 2; i++) EXPECT_EQ(workers[i]->tcp().half_open(), expected[i]) << i;
    EXPECT_EQ(workers[0]->counters().handed_over.get(), expected[1]);
    EXPECT_EQ(workers[1]->counters().taken_over.get(), expected[1]);
    EXPECT_EQ(workers[0]->counters().handover_dropped.get(), 0u);
    // Cycles are accounted: all turns were either busy or empty.
    const auto& c = workers[0]->counters();
    EXPECT_GE(c.cycles.get(), c.busy_cycles.get());
    EXPECT_GT(c.busy_cycles.get(), 0u);
}

/// Bytes [begin, end) of the IP payload of `whole` as a fragment with this id.
rte_mbuf* fragment_of(const rte_mbuf* whole, uint16_t begin, uint16_t end, uint16_t id) {
    constexpr uint32_t kHeaders = net::kEthernetHeaderBytes + sizeof(net::Ipv4Header);
    const auto* bytes = rte_pktmbuf_mtod(whole, const char*);
    end = static_cast<uint16_t>(std::min<uint32_t>(end, whole->data_len - kHeaders));
    rte_mbuf* m = mbuf_of(std::string(bytes, kHeaders) + std::string(bytes + kHeaders + begin, static_cast<size_t>(end - begin)));
    auto* h = rte_pktmbuf_mtod_offset(m, net::Ipv4Header*, net::kEthernetHeaderBytes);
    h->total_length = be16_t(static_cast<uint16_t>(sizeof *h + end - begin));
    h->id = be16_t(id);
    h->fragment = be16_t(static_cast<uint16_t>(begin / 8 | (kHeaders + end < whole->data_len ? net::kIpv4MoreFragments : 0)));
    h->checksum = 0;
    h->checksum = checksum_finish(checksum_add(h, sizeof *h));
    return m;
}

TEST(Worker, FragmentsThatArriveAtDifferentCoresMeetAndGoToTheOwner) {
    const unsigned before = mbufs_in_use();
    {
        TwoCores two;
        uint32_t expected[2] = {}, collected_elsewhere = 0;
        for (uint16_t port = 1000; port < 1100; port++) {
            rte_mbuf* whole = syn_frame(port, 100);
            two.arrives(port % 2, fragment_of(whole, 64, 999, port));
            two.arrives((port + port / 2) % 2, fragment_of(whole, 0, 64, port));
            rte_pktmbuf_free(whole);
            const uint32_t owner = two.owners.owner({{*IpAddress::parse("192.0.2.10"), 80}, {*IpAddress::parse("192.0.2.7"), port}});
            expected[owner]++;
            net::DatagramIn f;
            f.source = *IpAddress::parse("192.0.2.7"), f.destination = *IpAddress::parse("192.0.2.10");
            f.protocol = net::kProtocolTcp, f.fragment_id = port;
            collected_elsewhere += two.owners.collector(f) != owner;
        }
        two.turn(10);
        EXPECT_GT(expected[0], 20u);
        EXPECT_GT(expected[1], 20u);
        EXPECT_GT(collected_elsewhere, 20u) << "so that whole datagrams were handed over, too";
        uint64_t reassembled = 0;
        for (uint32_t i = 0; i < 2; i++) {
            EXPECT_EQ(two.workers[i]->tcp().half_open(), expected[i]) << i;
            EXPECT_GT(two.workers[i]->counters().handed_over.get(), 0u);
            reassembled += two.workers[i]->net_counters().fragments_reassembled;
        }
        EXPECT_EQ(reassembled, 100u);
    }
    EXPECT_EQ(mbufs_in_use(), before);
}

TEST(Worker, PayloadIsRefusedWhileThePoolIsLow) {
    OwnerTable owners(1, 1);
    std::vector<PortInfo> infos = {ring_port(true)};
    rte_mempool* pool = rte_pktmbuf_pool_create("low_pool", 1023, 0, 0, 2048 + RTE_PKTMBUF_HEADROOM, 0);
    ASSERT_NE(pool, nullptr);
    {
        WorkerConfig c;
        c.net.announce = false;
        net::PortConfig port;
        port.mac = infos[0].mac;
        port.addresses = {*IpPrefix::parse("192.0.2.10/24")};
        c.net.ports = {port};
        c.tcp.connections_max = 1000;
        c.slice_nodes = 4096;
        c.ports = &infos;
        c.pool = pool;
        c.owners = &owners;
        Worker worker(c);
        worker.set_application(std::make_unique<test::EchoApplication>(worker));
        const auto inject = [&](uint16_t from, uint16_t payload) {
            rte_mbuf* m = syn_frame(from, payload);
            EXPECT_EQ(rte_eth_tx_burst(infos[0].queues[0][0].ethdev, 0, &m, 1), 1);
            for (int i = 0; i < 3; i++) worker.turn();
        };
        inject(1000, 50);
        EXPECT_EQ(worker.tcp().half_open(), 1u);
        EXPECT_EQ(worker.counters().pressure_dropped.get(), 0u);
        std::vector<rte_mbuf*> taken;
        while (rte_mempool_avail_count(pool) > 60) taken.push_back(rte_pktmbuf_alloc(pool));
        inject(1001, 50);
        EXPECT_EQ(worker.tcp().half_open(), 1u);
        EXPECT_EQ(worker.counters().pressure_dropped.get(), 1u);
        inject(1002, 0);   // what brings no payload is let in
        EXPECT_EQ(worker.tcp().half_open(), 2u);
        for (rte_mbuf* m : taken) rte_pktmbuf_free(m);
        inject(1003, 50);
        EXPECT_EQ(worker.tcp().half_open(), 3u);
    }
    EXPECT_EQ(rte_mempool_in_use_count(pool), 0u);
    rte_mempool_free(pool);
}

}  // namespace
}  // namespace sluice::worker
