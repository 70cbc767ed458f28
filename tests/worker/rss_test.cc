// Two cores on a port that steers by Toeplitz and a redirection table, as hardware does: every segment arrives at its owner and
// nothing is handed over. DPDK's null driver keeps the key and table that program_rss gives it; a NIC made here reads them
// from it, hashes each frame by the definition, bit by bit, and puts it into that core's queue of a ring device.
#include <gtest/gtest.h>
#include <rte_eth_ring.h>
#include <rte_ring.h>

#include <cstring>
#include <map>

#include "base/rng.h"
#include "tests/worker/frames.h"
#include "worker/rss.h"
#include "worker/worker.h"

namespace sluice::worker {
namespace {

using namespace test;

constexpr uint32_t kCores = 2;
constexpr uint8_t kSyn = 2, kAck = 16;

RssKey key_of(uint64_t seed) {
    Rng rng(seed);
    RssKey key;
    for (uint8_t& byte : key) byte = static_cast<uint8_t>(rng.next());
    return key;
}

/// The definition: for each bit of the input that is set, the 32 bits of the key that begin there.
uint32_t toeplitz(const std::string& input, const uint8_t* key) {
    uint32_t result = 0;
    for (size_t bit = 0; bit < input.size() * 8; bit++) {
        if ((static_cast<uint8_t>(input[bit / 8]) >> (7 - bit % 8) & 1) == 0) continue;
        uint32_t window = 0;
        for (size_t k = bit; k < bit + 32; k++) window = window << 1 | (key[k / 8] >> (7 - k % 8) & 1u);
        result ^= window;
    }
    return result;
}

uint16_t null_device(uint16_t queues) {
    sluice::test::test_eal();
    static int number = 0;
    const std::string name = "net_null" + std::to_string(number++);
    uint16_t ethdev = 0;
    EXPECT_EQ(rte_eal_hotplug_add("vdev", name.c_str(), "no-rx=1"), 0);
    EXPECT_EQ(rte_eth_dev_get_port_by_name(name.c_str(), &ethdev), 0);
    rte_eth_conf conf{};
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP;
    EXPECT_EQ(rte_eth_dev_configure(ethdev, queues, queues, &conf), 0);
    for (uint16_t q = 0; q < queues; q++) {
        EXPECT_EQ(rte_eth_rx_queue_setup(ethdev, q, 256, 0, nullptr, sluice::test::test_mempool()), 0);
        EXPECT_EQ(rte_eth_tx_queue_setup(ethdev, q, 256, 0, nullptr), 0);
    }
    EXPECT_EQ(rte_eth_dev_start(ethdev), 0);
    return ethdev;
}

/// A wire into the port's queues and out of them. Packets are bare IP, as a port without link layer has them.
class HashingNic {
 public:
    explicit HashingNic(const RssKey& key) : table_ethdev_(null_device(kCores)) {
        entries_ = rss_table_size(table_ethdev_);
        EXPECT_GE(entries_, 64u);
        EXPECT_TRUE(program_rss(table_ethdev_, key, entries_, kCores));
        rte_eth_rss_conf conf{};
        conf.rss_key = key_.data();
        conf.rss_key_len = kRssKeyBytes;
        EXPECT_EQ(rte_eth_dev_rss_hash_conf_get(table_ethdev_, &conf), 0);
        static int number = 0;
        const std::string name = "rss" + std::to_string(number++);
        for (uint32_t q = 0; q < kCores; q++) {
            rx_[q] = rte_ring_create((name + "rx" + std::to_string(q)).c_str(), 4096, 0, 0);
            tx_[q] = rte_ring_create((name + "tx" + std::to_string(q)).c_str(), 4096, 0, 0);
        }
        const int ethdev = rte_eth_from_rings(name.c_str(), rx_, kCores, tx_, kCores, 0);
        EXPECT_GE(ethdev, 0);
        rte_eth_conf none{};
        const auto id = static_cast<uint16_t>(ethdev);
        EXPECT_EQ(rte_eth_dev_configure(id, kCores, kCores, &none), 0);
        info_.queues.resize(kCores);
        for (uint16_t q = 0; q < kCores; q++) {
            EXPECT_EQ(rte_eth_rx_queue_setup(id, q, 256, 0, nullptr, sluice::test::test_mempool()), 0);
            EXPECT_EQ(rte_eth_tx_queue_setup(id, q, 256, 0, nullptr), 0);
            info_.queues[q].push_back({id, q});
        }
        EXPECT_EQ(rte_eth_dev_start(id), 0);
        info_.name = name;
        info_.multi_segment = true;
        info_.rss = true;
    }
    /// A packet from the wire. `flip` spoils the hash that the mbuf bears, not the queue.
    void receive(const std::string& packet, uint32_t flip = 0) {
        const bool v4 = (packet[0] & 0xf0) == 0x40;
        const uint32_t hash = toeplitz(packet.substr(v4 ? 12 : 8, v4 ? 8 : 32) + packet.substr(v4 ? 20 : 40, 4), key_.data());
        rte_eth_rss_reta_entry64 group{};
        group.mask = UINT64_MAX;
        std::vector<rte_eth_rss_reta_entry64> table(entries_ / RTE_ETH_RETA_GROUP_SIZE, group);
        ASSERT_EQ(rte_eth_dev_rss_reta_query(table_ethdev_, table.data(), static_cast<uint16_t>(entries_)), 0);
        const uint32_t at = hash % entries_;
        rte_mbuf* m = mbuf_of(packet);
        m->hash.rss = hash ^ flip;
        m->ol_flags |= RTE_MBUF_F_RX_RSS_HASH;
        const uint16_t queue = table[at / RTE_ETH_RETA_GROUP_SIZE].reta[at % RTE_ETH_RETA_GROUP_SIZE];
        arrived[queue]++;
        ASSERT_EQ(rte_ring_enqueue(rx_[queue], m), 0);
    }
    /// Packets that a core sent.
    std::vector<std::string> sent(uint32_t core) {
        std::vector<std::string> out;
        void* m = nullptr;
        while (rte_ring_dequeue(tx_[core], &m) == 0) {
            out.push_back(text_of(static_cast<rte_mbuf*>(m)));
            rte_pktmbuf_free(static_cast<rte_mbuf*>(m));
        }
        return out;
    }
    const PortInfo& info() const { return info_; }
    uint32_t entries() const { return entries_; }
    uint32_t arrived[kCores] = {};

 private:
    uint16_t table_ethdev_;
    uint32_t entries_ = 0;
    RssKey key_{};
    rte_ring* rx_[kCores];
    rte_ring* tx_[kCores];
    PortInfo info_;
};

/// A proxy of two lines: each connection accepted makes one to the backend.
class Connector final : public Application {
 public:
    explicit Connector(Worker& worker, const SocketAddress& backend) : worker_(worker), backend_(backend) {
        for (const char* any : {"0.0.0.0", "::"}) worker.tcp().listen({*IpAddress::parse(any), 80}, nullptr, {});
    }
    ~Connector() override {
        for (tcp::Connection* c : all_) c->abort(), c->release();
    }
    void turn(Instant) override {}
    void handle_event(const tcp::ConnectionEvent& event, Instant now) override {
        if (event.events & tcp::kAccepted) {
            all_.push_back(event.connection);
            tcp::Error error{};
            tcp::Connection* up = worker_.tcp().connect(backend_, {}, {}, nullptr, now, &error);
            ASSERT_NE(up, nullptr);
            all_.push_back(up);
            accepted++;
        }
        if (event.events & tcp::kConnected) connected++;
    }
    void handle_timeout(Instant) override {}
    Instant poll_timeout() const override { return Instant::never(); }
    bool idle() const override { return true; }
    uint32_t accepted = 0, connected = 0;

 private:
    Worker& worker_;
    SocketAddress backend_;
    std::vector<tcp::Connection*> all_;
};

TEST(Rss, SoftwareHashesAsTheDefinitionAndThePublishedVectorsDo) {
    // Microsoft, "Verifying the RSS hash calculation": destination, source, and the hash with ports.
    const uint8_t published[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
                                   0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
    RssKey key{};
    std::memcpy(key.data(), published, sizeof published);
    const auto address = [](const char* text) { return *IpAddress::parse(text); };
    const Toeplitz t(key);
    EXPECT_EQ(t.hash({{address("161.142.100.80"), 1766}, {address("66.9.149.187"), 2794}}), 0x51ccc178u);
    EXPECT_EQ(t.hash({{address("65.69.140.83"), 4739}, {address("199.92.111.2"), 14230}}), 0xc626b0eau);
    EXPECT_EQ(t.hash({{address("3ffe:2501:200:3::1"), 1766}, {address("3ffe:2501:200:1fff::7"), 2794}}), 0x40207d3du);
    EXPECT_EQ(t.hash({{address("ff02::1"), 4739}, {address("3ffe:501:8::260:97ff:fe40:efab"), 14230}}), 0xdde51bbfu);
    Rng rng(7);
    for (int i = 0; i < 1000; i++) {
        const RssKey random = key_of(rng.next());
        const Toeplitz of_random(random);
        FourTuple tuple;
        const bool v4 = i % 2 == 0;
        for (IpAddress* ip : {&tuple.local.ip, &tuple.remote.ip}) {
            if (v4) *ip = IpAddress::v4(static_cast<uint32_t>(rng.next()));
            else
                for (uint8_t& byte : ip->bytes) byte = static_cast<uint8_t>(rng.next());
        }
        tuple.local.port = static_cast<uint16_t>(rng.next()), tuple.remote.port = static_cast<uint16_t>(rng.next());
        const std::string input = bytes_of(tuple.remote.ip) + bytes_of(tuple.local.ip) + be16_text(tuple.remote.port) + be16_text(tuple.local.port);
        ASSERT_EQ(of_random.hash(tuple), toeplitz(input, random.data())) << i;
    }
}

TEST(Rss, ATableIsRepeatedInALargerOneAndReadBack) {
    const uint16_t ethdev = null_device(4);
    const uint32_t entries = rss_table_size(ethdev);
    ASSERT_GE(entries, 128u);
    ASSERT_TRUE(program_rss(ethdev, key_of(1), 64, 3));   // three cores: the mod of 64, not of the port's own size
    std::vector<rte_eth_rss_reta_entry64> table(entries / RTE_ETH_RETA_GROUP_SIZE);
    for (auto& group : table) group.mask = UINT64_MAX;
    ASSERT_EQ(rte_eth_dev_rss_reta_query(ethdev, table.data(), static_cast<uint16_t>(entries)), 0);
    const OwnerTable owners(3, key_of(1), 64);
    for (uint32_t i = 0; i < entries; i++) {
        EXPECT_EQ(table[i / 64].reta[i % 64], i % 64 % 3);
        EXPECT_EQ(owners.owner_of_hash(i), i % 64 % 3);
    }
    EXPECT_EQ(rss_table_size(ring_port(true).queues[0][0].ethdev), 0u) << "a ring does not hash";
    EXPECT_FALSE(program_rss(ring_port(true).queues[0][0].ethdev, key_of(1), 64, 2));
}

class RssWorkers : public testing::Test {
 protected:
    RssWorkers() : key_(key_of(99)), nic_(key_), owners_(kCores, key_, nic_.entries()) {}
    void SetUp() override {
        infos_ = {nic_.info()};
        for (uint32_t i = 0; i < kCores; i++) {
            WorkerConfig c;
            c.index = i;
            net::PortConfig port;
            port.link_layer = false;
            port.addresses = {*IpPrefix::parse("192.0.2.10/24"), *IpPrefix::parse("2001:db8::10/64")};
            port.multi_segment = true;
            c.net.ports = {port};
            c.tcp.seed = 5 + i;
            c.tcp.connections_max = 4096;
            c.slice_nodes = 4096;
            c.ports = &infos_;
            c.pool = sluice::test::test_mempool();
            c.owners = &owners_;
            c.exchange = &exchange_;
            workers_[i] = std::make_unique<Worker>(c);
        }
    }
    void turn() {
        for (int n = 0; n < 3; n++)
            for (auto& w : workers_) w->turn();
    }
    static std::string packet(const SocketAddress& from, const SocketAddress& to, uint8_t flags, uint32_t sequence, uint32_t ack = 0) {
        const std::string text = tcp_segment(from.ip, from.port, to.ip, to.port, flags, sequence, ack);
        const std::string a = from.ip.to_string(), b = to.ip.to_string();
        return from.ip.is_v4() ? ipv4(a.c_str(), b.c_str(), 6, text) : ipv6(a.c_str(), b.c_str(), 6, text);
    }
    RssKey key_;
    HashingNic nic_;
    OwnerTable owners_;
    Exchange exchange_{kCores};
    std::vector<PortInfo> infos_;
    std::unique_ptr<Worker> workers_[kCores];
};

/// What a core sent, as the other end sees it.
struct Sent {
    SocketAddress from, to;
    uint8_t flags;
    uint32_t sequence;
};
Sent parse(const std::string& packet) {
    const bool v4 = (packet[0] & 0xf0) == 0x40;
    const auto* p = reinterpret_cast<const uint8_t*>(packet.data());
    const size_t at = v4 ? 20 : 40;
    Sent s;
    s.from.ip = v4 ? IpAddress::v4(load_be32(p + 12)) : IpAddress::v6(p + 8);
    s.to.ip = v4 ? IpAddress::v4(load_be32(p + 16)) : IpAddress::v6(p + 24);
    s.from.port = load_be16(p + at), s.to.port = load_be16(p + at + 2);
    s.sequence = load_be32(p + at + 4);
    s.flags = p[at + 13];
    return s;
}

TEST_F(RssWorkers, BothLegsOfAProxiedConnectionLiveOnOneCoreAndNothingIsHandedOver) {
    for (const bool v4 : {true, false}) {
        const SocketAddress backend{*IpAddress::parse(v4 ? "192.0.2.77" : "2001:db8::77"), 9080};
        const IpAddress client = *IpAddress::parse(v4 ? "192.0.2.7" : "2001:db8::7"), us = *IpAddress::parse(v4 ? "192.0.2.10" : "2001:db8::10");
        Connector* apps[kCores];
        for (uint32_t i = 0; i < kCores; i++) {
            auto app = std::make_unique<Connector>(*workers_[i], backend);
            apps[i] = app.get();
            workers_[i]->set_application(std::move(app));   // the one before aborts what it had
        }
        turn();
        for (uint32_t core = 0; core < kCores; core++) nic_.sent(core);
        constexpr uint32_t kClients = 200;
        std::map<uint16_t, uint32_t> core_of;   // by the client's port
        for (uint16_t n = 0; n < kClients; n++) nic_.receive(packet({client, static_cast<uint16_t>(3000 + n)}, {us, 80}, kSyn, 1000));
        // Four rounds: SYN-ACKs to clients, their ACKs; SYNs to the backend, its SYN-ACKs.
        uint32_t syns_to_backend = 0;
        for (int round = 0; round < 4; round++) {
            turn();
            for (uint32_t core = 0; core < kCores; core++) {
                for (const std::string& bytes : nic_.sent(core)) {
                    const Sent s = parse(bytes);
                    if (s.flags == (kSyn | kAck)) {
                        core_of[s.to.port] = core;
                        nic_.receive(packet(s.to, s.from, kAck, 1001, s.sequence + 1));
                    } else if (s.flags == kSyn) {
                        syns_to_backend++;
                        EXPECT_EQ(s.to, backend);
                        EXPECT_EQ(owners_.owner({s.from, s.to}), core) << "the source port brings answers home";
                        nic_.receive(packet(s.to, s.from, kSyn | kAck, 5000, s.sequence + 1));
                    }
                }
            }
        }
        EXPECT_EQ(core_of.size(), kClients);
        EXPECT_EQ(syns_to_backend, kClients);
        EXPECT_EQ(apps[0]->accepted + apps[1]->accepted, kClients);
        for (uint32_t i = 0; i < kCores; i++) {
            EXPECT_GT(apps[i]->accepted, kClients / 4) << "about half each";
            EXPECT_EQ(apps[i]->connected, apps[i]->accepted) << "the backend's answers arrived at the core that called";
            EXPECT_EQ(workers_[i]->counters().handed_over.get(), 0u);
            EXPECT_EQ(workers_[i]->counters().taken_over.get(), 0u);
            EXPECT_EQ(workers_[i]->counters().rss_mismatch.get(), 0u);
            EXPECT_EQ(workers_[i]->port(0).counters().rx_frames.get(), nic_.arrived[i]);
        }
    }
}

TEST_F(RssWorkers, AWrongHashIsCountedAndThePortBelievedNoMore) {
    const SocketAddress us{*IpAddress::parse("192.0.2.10"), 80};
    for (uint32_t i = 0; i < kCores; i++) workers_[i]->set_application(std::make_unique<Connector>(*workers_[i], SocketAddress{us.ip, 9}));
    uint32_t expected[kCores] = {};
    for (uint16_t n = 0; n < 100; n++) {
        const SocketAddress client{*IpAddress::parse("192.0.2.7"), static_cast<uint16_t>(4000 + n)};
        expected[owners_.owner({us, client})]++;
        nic_.receive(packet(client, us, kSyn, 1000), 1);   // the queue is right, the hash that comes with it names the other core
    }
    turn();
    for (uint32_t i = 0; i < kCores; i++) {
        EXPECT_EQ(workers_[i]->counters().rss_mismatch.get(), 1u) << "once: after that the software's hash counts";
        EXPECT_EQ(workers_[i]->tcp().half_open(), expected[i]);
        EXPECT_EQ(workers_[i]->counters().handed_over.get(), 0u);
    }
    for (uint32_t core = 0; core < kCores; core++) nic_.sent(core);
}

}  // namespace
}  // namespace sluice::worker
