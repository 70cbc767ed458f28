// Frames received = delivered + the reasons: good frames and bad ones of every kind, in random order, through a real worker.
// What each kind is counted as, and that nothing is left over. The seed is printed; SLUICE_SEED=N repeats a run.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <random>

#include "ctrl/admin/drops.h"
#include "gateway/counters.h"
#include "tests/worker/echo_application.h"
#include "tests/worker/frames.h"

namespace sluice::admin {
namespace {

using namespace sluice::worker::test;
using worker::Worker;

constexpr net::MacAddress kOwn{2, 0, 0, 0, 0, 1}, kPeer{2, 0, 0, 0, 0, 7}, kOther{2, 0, 0, 0, 0, 9}, kAll{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
constexpr const char *kHost = "192.0.2.10", *kClient = "192.0.2.7";

struct Kind {
    const char* reason;   // layer.reason, or the one that gets it
    std::string frame;
};

std::string packet(const std::string& ip) { return ethernet(kOwn, kPeer, net::kEtherTypeIpv4) + ip; }
std::string broken(std::string bytes, size_t at) {
    bytes[at] = static_cast<char>(bytes[at] ^ 0x55);
    return bytes;
}
std::string icmp(uint8_t type, const std::string& rest) {
    std::string m = std::string(1, static_cast<char>(type)) + std::string("\x01\0\0", 3) + rest;
    put_checksum(m, 2, 0);
    return m;
}

std::vector<Kind> kinds() {
    const std::string syn = tcp_syn(kClient, 1000, kHost, 7), payload(30, 'x');
    return {
        {"tcp", packet(ipv4(kClient, kHost, 6, syn))},
        {"icmp and neighbors", ethernet(kAll, kPeer, net::kEtherTypeArp) + arp_request(kPeer, kClient, kHost)},
        {"link.malformed", ethernet(kAll, kPeer, net::kEtherTypeArp) + "short"},
        {"link.malformed", "x"},
        {"link.other_host", ethernet(kOther, kPeer, net::kEtherTypeIpv4) + ipv4(kClient, kHost, 6, syn)},
        {"link.other_vlan", ethernet(kOwn, kPeer, net::kEtherTypeVlan) + std::string("\0\x05\x08\0", 4) + ipv4(kClient, kHost, 6, syn)},
        {"link.stacked_vlan", ethernet(kOwn, kPeer, net::kEtherTypeServiceVlan) + std::string("\0\x05\x81\0", 4) + payload},
        {"ip.malformed", packet(broken(ipv4(kClient, kHost, 6, syn), 0))},
        {"ip.checksum", packet(broken(ipv4(kClient, kHost, 6, syn), 8))},
        {"ip.checksum", packet(broken(ipv4(kClient, kHost, 1, icmp(8, std::string(12, 'p'))), 24))},
        {"ip.not_our_address", packet(ipv4(kClient, "192.0.2.77", 6, syn))},
        {"ip.no_protocol", packet(ipv4(kClient, kHost, 17, payload))},
        {"ip.no_protocol", packet(ipv4(kClient, kHost, 17, payload, 0x2000))},
        {"ip.no_protocol", ethernet(kOwn, kPeer, 0x88cc) + payload},
        {"ip.source_loopback", packet(ipv4("127.0.0.1", kHost, 6, syn))},
        {"ip.source_ours", packet(ipv4(kHost, kHost, 6, syn))},
        {"ip.source_group", packet(ipv4("224.0.0.1", kHost, 6, syn))},
        {"ip.source_reserved", packet(ipv4("240.0.0.1", kHost, 6, syn))},
        {"ip.source_no_route", packet(ipv4("198.51.100.1", kHost, 6, syn))},
        {"fragments.tiny_first", packet(ipv4(kClient, kHost, 6, syn.substr(0, 8), 0x2000))},
        {"fragments.malformed", packet(ipv4(kClient, kHost, 6, payload, 0x1fff))},
        {"icmp.redirect_ignored", packet(ipv4(kClient, kHost, 1, icmp(5, std::string(32, '\0'))))},
        {"icmp.bad_quote", packet(ipv4(kClient, kHost, 1, icmp(3, std::string(32, '\0'))))},
        {"icmp and neighbors", packet(ipv4(kClient, kHost, 1, icmp(13, std::string(16, '\0'))))},
        {"tcp.malformed", packet(ipv4(kClient, kHost, 6, syn.substr(0, 12) + '\x10' + syn.substr(13)))},
        {"tcp.checksum", packet(ipv4(kClient, kHost, 6, broken(syn, 4)))},
        {"tcp.no_connection", packet(ipv4(kClient, kHost, 6, tcp_syn(kClient, 1000, kHost, 8099)))},
    };
}

class Balance : public testing::TestWithParam<bool> {
 protected:
    void SetUp() override {
        infos_ = {ring_port(true)};
        worker::WorkerConfig c;
        c.net.announce = false;
        net::PortConfig port;
        port.mac = kOwn;
        port.addresses = {*IpPrefix::parse("192.0.2.10/24")};
        c.net.ports = {port};
        c.tcp.connections_max = 100;
        c.slice_nodes = 1024;
        c.ports = &infos_;
        c.pool = sluice::test::test_mempool();
        c.owners = &owners_;
        if (GetParam()) c.exceptions = {&exception_};
        worker_ = std::make_unique<Worker>(c);
        worker_->set_application(std::make_unique<EchoApplication>(*worker_));
    }
    void receive(const std::string& frame) {
        rte_mbuf* m = mbuf_of(frame);
        const uint16_t ethdev = infos_[0].queues[0][0].ethdev;
        ASSERT_EQ(rte_eth_tx_burst(ethdev, 0, &m, 1), 1);
        worker_->turn();
        while (rte_eth_rx_burst(ethdev, 0, &m, 1) == 1) rte_pktmbuf_free(m);
    }
    DropReport report() {
        Sources s;
        s.net = [this] { return worker_->net_counters(); };
        s.tcp = [this] { return worker_->tcp_counters(); };
        s.drops = [this] {
            CoreDrops drops;
            gateway::add_drops(*worker_, drops);
            return drops;
        };
        return drop_report(s);
    }
    static uint64_t of(const DropReport& report, const std::string& name) {
        for (const auto& r : report.reasons)
            if (r.layer + "." + r.reason == name) return r.count;
        for (const auto& [who, n] : report.balance.delivered)
            if (who == name) return n;
        ADD_FAILURE() << "no reason " << name;
        return 0;
    }
    std::vector<worker::PortInfo> infos_;
    worker::OwnerTable owners_{1, 1};
    worker::ExceptionPort exception_{"kernel0", 1, 0};
    std::unique_ptr<Worker> worker_;
};

void balanced(const DropReport& r) {
    uint64_t delivered = 0;
    for (const auto& [who, n] : r.balance.delivered) delivered += n;
    EXPECT_EQ(r.balance.unexplained, 0);
    EXPECT_EQ(r.balance.received + r.balance.reassembled, delivered + r.balance.dropped + r.balance.in_flight);
}

TEST_P(Balance, EachKindHasItsReason) {
    uint64_t frames = 0;
    for (const Kind& kind : kinds()) {
        const DropReport before = report();
        receive(kind.frame);
        const DropReport after = report();
        balanced(after);
        EXPECT_EQ(after.balance.received, ++frames) << kind.reason;
        const std::string reason = kind.reason;
        const bool kernels = GetParam() && (reason == "ip.no_protocol" || reason == "ip.not_our_address" || reason == "link.other_vlan" || reason == "tcp.no_connection");
        EXPECT_EQ(of(after, kernels ? "kernel" : reason) - of(before, kernels ? "kernel" : reason), 1u) << kind.reason;
    }
}

TEST_P(Balance, RandomMixAndReassembly) {
    const char* given = std::getenv("SLUICE_SEED");
    const uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::printf("repeat: SLUICE_SEED=%llu build/tests/ctrl/admin/ctrl_balance_test --gtest_filter=*RandomMix*\n", static_cast<unsigned long long>(seed));
    std::mt19937_64 rng(seed);
    const auto all = kinds();
    for (int i = 0; i < 3000; i++) {
        std::string frame = all[rng() % all.size()].frame;
        if (rng() % 4 == 0) frame[rng() % frame.size()] = static_cast<char>(rng());   // and what nobody thought of
        receive(frame);
    }
    const std::string whole = tcp_syn(kClient, 2000, kHost, 7) + std::string(28, 'p');
    receive(packet(ipv4(kClient, kHost, 6, whole.substr(0, 24), 0x2000)));
    receive(packet(ipv4(kClient, kHost, 6, whole.substr(0, 24), 0x2000)));   // twice
    receive(packet(ipv4(kClient, kHost, 6, whole.substr(24), 3)));
    const DropReport r = report();
    EXPECT_EQ(r.balance.received, 3003u);
    EXPECT_GE(r.balance.reassembled, 1u);
    balanced(r);
}

/// The exception ring holds 512 frames, and nobody empties it.
TEST_P(Balance, AFullExceptionRing) {
    const std::string udp = packet(ipv4(kClient, kHost, 17, std::string(30, 'x')));
    for (int i = 0; i < 700; i++) receive(udp);
    const DropReport r = report();
    balanced(r);
    EXPECT_EQ(of(r, "exception.ring_full"), GetParam() ? 700u - worker::ExceptionPort::kToKernel : 0u);
}

INSTANTIATE_TEST_SUITE_P(WithAndWithoutKernel, Balance, testing::Bool(), [](const auto& info) { return info.param ? "ExceptionPort" : "Alone"; });

}  // namespace
}  // namespace sluice::admin
