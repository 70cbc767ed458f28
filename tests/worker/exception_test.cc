// The exception path without a kernel: who sees which frame, what a worker hands to it, and what comes back for the wire.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <thread>

#include "tests/support/eal.h"
#include "tests/worker/echo_application.h"
#include "tests/worker/frames.h"
#include "worker/exception.h"
#include "worker/worker.h"

namespace sluice::worker {
namespace {

using namespace test;

constexpr net::MacAddress kOwn{2, 0, 0, 0, 0, 1}, kPeer{2, 0, 0, 0, 0, 7}, kOther{2, 0, 0, 0, 0, 9}, kAll{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

Audience of(const std::string& frame) {
    rte_mbuf* m = mbuf_of(frame);
    const Audience a = audience(m, kOwn);
    rte_pktmbuf_free(m);
    return a;
}
std::string v4(uint8_t protocol, const std::string& payload, uint16_t fragment = 0, net::MacAddress to = kOwn) {
    return ethernet(to, kPeer, net::kEtherTypeIpv4) + ipv4("192.0.2.7", "192.0.2.10", protocol, payload, fragment);
}
std::string v6(uint8_t next, const std::string& payload, const char* to = "2001:db8::10") {
    return ethernet(kOwn, kPeer, net::kEtherTypeIpv6) + ipv6("2001:db8::7", to, next, payload);
}

TEST(Exception, WhoSeesAFrame) {
    const std::string text(40, 'x');
    const std::string echo = std::string("\x08\0\0\0", 4) + text, error = std::string("\x03\x03\0\0", 4) + text;
    EXPECT_EQ(of(ethernet(kAll, kPeer, net::kEtherTypeArp) + text), Audience::kBoth);
    EXPECT_EQ(of(v4(6, text)), Audience::kGateway) << "TCP: the stack looks for a connection first";
    EXPECT_EQ(of(v4(17, text)), Audience::kGateway) << "UDP: the stack says that it is not ours";
    EXPECT_EQ(of(v4(1, echo)), Audience::kGateway) << "answered once, by the stack";
    EXPECT_EQ(of(v4(1, error)), Audience::kBoth);
    EXPECT_EQ(of(v4(17, text, 0x2000)), Audience::kKernel);
    EXPECT_EQ(of(v4(17, text, 0x0010)), Audience::kKernel);
    EXPECT_EQ(of(v4(6, text, 0x2000)), Audience::kGateway);
    EXPECT_EQ(of(v4(1, echo, 0x2000)), Audience::kGateway);
    EXPECT_EQ(of(v6(58, std::string("\x80\0\0\0", 4) + text)), Audience::kGateway);
    EXPECT_EQ(of(v6(58, std::string("\x01\x04\0\0", 4) + text)), Audience::kBoth);
    EXPECT_EQ(of(v6(58, std::string("\x87\0\0\0", 4) + text, "ff02::1:ff00:10")), Audience::kBoth);
    EXPECT_EQ(of(v6(0, text, "ff02::1")), Audience::kBoth) << "MLD has a hop-by-hop header";
    EXPECT_EQ(of(v6(6, text)), Audience::kGateway);
    EXPECT_EQ(of(v6(44, std::string("\x11\0\0\x01", 4) + text)), Audience::kKernel);
    EXPECT_EQ(of(v6(44, std::string("\x06\0\0\x01", 4) + text)), Audience::kGateway);
    // Behind a tag as without one; what is for another station is not looked at.
    const std::string arp = ethernet(kAll, kPeer, net::kEtherTypeVlan) + std::string("\0\x78\x08\x06", 4) + text;
    EXPECT_EQ(of(arp), Audience::kBoth);
    EXPECT_EQ(of(v4(1, error, 0, kOther)), Audience::kGateway);
    // Cut anywhere: no read outside of it, and never more than the whole frame gets.
    for (const std::string& whole : {v4(1, error), v6(58, std::string("\x01\x04", 2) + text), arp, v4(17, text, 0x2000)})
        for (size_t n = 0; n < whole.size(); n++) {
            Slice cut = sluice::test::heap_slice(whole.substr(0, n));
            const Audience a = audience(cut.segment(), kOwn);
            EXPECT_TRUE(a == Audience::kGateway || a == of(whole)) << n;
        }
}

TEST(Exception, FramesAreCopiedChainsAndStrippedTagsIncluded) {
    ExceptionPort port("kernel0", 1, 0);
    ExceptionEnd end(port, 0);
    rte_mbuf* m = mbuf_of(ethernet(kOwn, kPeer, net::kEtherTypeIpv4) + "head ");
    rte_pktmbuf_chain(m, mbuf_of("tail"));
    end.to_kernel(m);
    m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
    m->vlan_tci = 120;
    end.to_kernel(m);
    rte_pktmbuf_free(m);
    FrameRing& ring = *port.to_kernel[0];
    const auto text = [&] {
        const auto f = ring.front();
        std::string out(reinterpret_cast<const char*>(f.data()), f.size());
        ring.pop();
        return out;
    };
    EXPECT_EQ(text(), ethernet(kOwn, kPeer, net::kEtherTypeIpv4) + "head tail");
    EXPECT_EQ(text(), ethernet(kOwn, kPeer, net::kEtherTypeVlan) + std::string("\0\x78\x08\0", 4) + "head tail");
    EXPECT_TRUE(ring.front().empty());
}

TEST(Exception, FullAndTooLongIsDroppedAndCounted) {
    ExceptionPort port("kernel0", 1, 0);
    ExceptionEnd end(port, 0);
    rte_mbuf* m = mbuf_of("x");
    for (uint32_t i = 0; i < ExceptionPort::kToKernel + 3; i++) end.to_kernel(m);
    EXPECT_EQ(end.dropped(), 3u);
    port.to_kernel[0]->pop();
    rte_pktmbuf_chain(m, mbuf_of(std::string(FrameRing::kFrameBytesMax, 'y')));
    end.to_kernel(m);
    EXPECT_EQ(end.dropped(), 4u);
    rte_pktmbuf_free(m);
}

TEST(Exception, OneCoreSendsForTheKernelInOrder) {
    ExceptionPort port("kernel0", 2, 1);
    ExceptionEnd ends[2] = {{port, 0}, {port, 1}};
    for (const char* text : {"first", "second"}) {
        std::memcpy(port.from_kernel.reserve(), text, std::strlen(text));
        port.from_kernel.commit(static_cast<uint32_t>(std::strlen(text)));
    }
    EXPECT_EQ(ends[0].from_kernel(sluice::test::test_mempool()), nullptr);
    for (const char* text : {"first", "second"}) {
        rte_mbuf* m = ends[1].from_kernel(sluice::test::test_mempool());
        ASSERT_NE(m, nullptr);
        EXPECT_EQ(text_of(m), text);
        rte_pktmbuf_free(m);
    }
    EXPECT_EQ(ends[1].from_kernel(sluice::test::test_mempool()), nullptr);
    EXPECT_EQ(ends[1].sent(), 2u);
}

TEST(FrameRing, TwoThreads) {
    FrameRing ring(8);
    constexpr uint32_t kFrames = 20'000;
    std::thread producer([&] {
        for (uint32_t i = 0; i < kFrames;) {
            uint8_t* room = ring.reserve();
            if (!room) {
                std::this_thread::yield();
                continue;
            }
            const uint32_t bytes = 4 + i % 60;
            std::memcpy(room, &i, 4);
            std::memset(room + 4, static_cast<int>(i), bytes - 4);
            ring.commit(bytes);
            i++;
        }
    });
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < kFrames;) {
        const auto frame = ring.front();
        if (frame.empty()) {
            std::this_thread::yield();
            continue;
        }
        uint32_t number = 0;
        std::memcpy(&number, frame.data(), 4);
        wrong += number != i || frame.size() != 4 + i % 60 || (frame.size() > 4 && frame.back() != static_cast<uint8_t>(i));
        ring.pop();
        i++;
    }
    producer.join();
    EXPECT_EQ(wrong, 0u);
}

/// A worker on a ring port with an exception path: the test is the wire, and the kernel.
class ExceptionWorker : public testing::Test {
 protected:
    void SetUp() override {
        infos_ = {ring_port(true)};
        infos_[0].mac = kOwn;
        WorkerConfig c;
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
        c.exceptions = {&exception_};
        worker_ = std::make_unique<Worker>(c);
        worker_->set_application(std::make_unique<EchoApplication>(*worker_));
    }
    /// The wire brings one frame. What the gateway answers comes back on the same ring, so it is taken off it.
    std::vector<std::string> receive(const std::string& frame) {
        rte_mbuf* m = mbuf_of(frame);
        const uint16_t ethdev = infos_[0].queues[0][0].ethdev;
        EXPECT_EQ(rte_eth_tx_burst(ethdev, 0, &m, 1), 1);
        worker_->turn();
        std::vector<std::string> out;
        while (rte_eth_rx_burst(ethdev, 0, &m, 1) == 1) {
            out.push_back(text_of(m));
            rte_pktmbuf_free(m);
        }
        return out;
    }
    std::vector<std::string> at_kernel() {
        std::vector<std::string> out;
        FrameRing& ring = *exception_.to_kernel[0];
        for (auto f = ring.front(); !f.empty(); ring.pop(), f = ring.front()) out.emplace_back(reinterpret_cast<const char*>(f.data()), f.size());
        return out;
    }
    ExceptionPort exception_{"kernel0", 1, 0};
    OwnerTable owners_{1, 1};
    std::vector<PortInfo> infos_;
    std::unique_ptr<Worker> worker_;
};

TEST_F(ExceptionWorker, WhatIsNotOursGoesToTheKernelWithoutAnAnswer) {
    const unsigned before = mbufs_in_use();
    const std::string text(30, 'x');
    const std::string ours[] = {v4(6, tcp_syn("192.0.2.7", 1000, "192.0.2.10", 80))};
    for (const std::string& frame : ours) receive(frame);
    EXPECT_EQ(worker_->tcp().half_open(), 1u);
    EXPECT_TRUE(at_kernel().empty());
    const std::string theirs[] = {
        v4(6, tcp_syn("192.0.2.7", 1000, "192.0.2.10", 22)),                                              // no listener
        v4(17, text),                                                                                     // another protocol
        v4(47, text),
        ethernet(kOwn, kPeer, net::kEtherTypeIpv4) + ipv4("192.0.2.7", "192.0.2.11", 6, tcp_syn("192.0.2.7", 1, "192.0.2.11", 80)),   // another address
        ethernet(kAll, kPeer, net::kEtherTypeIpv4) + ipv4("192.0.2.7", "255.255.255.255", 17, text),      // DHCP
        ethernet(kOwn, kPeer, net::kEtherTypeVlan) + std::string("\0\x05\x08\0", 4) + text,               // another VLAN
        ethernet(kOwn, kPeer, 0x88cc) + text,                                                             // LLDP and the like
        v4(17, text, 0x2000),
    };
    for (const std::string& frame : theirs) {
        EXPECT_TRUE(receive(frame).empty()) << "the kernel answers, not we";
        const auto got = at_kernel();
        ASSERT_EQ(got.size(), 1u);
        EXPECT_EQ(got[0], frame);
    }
    // Both hear ARP, and an ICMP error; once each. A frame for another station is nobody's.
    const std::string arp = ethernet(kAll, kPeer, net::kEtherTypeArp) + arp_request(kPeer, "192.0.2.7", "192.0.2.10");
    EXPECT_EQ(receive(arp).size(), 2u) << "our answer, and the SYN-ACK that waited for it";
    EXPECT_EQ(at_kernel(), std::vector{arp});
    const std::string error = v4(1, icmp_error(3, 3, ipv4("192.0.2.10", "192.0.2.7", 17, text)));
    receive(error);
    EXPECT_EQ(at_kernel(), std::vector{error});
    receive(v4(17, text, 0, kOther));
    EXPECT_TRUE(at_kernel().empty());
    worker_.reset();
    EXPECT_EQ(mbufs_in_use(), before);
}

TEST_F(ExceptionWorker, TheKernelsFramesLeaveAsTheyAre) {
    const std::string frame = ethernet(kPeer, kOwn, net::kEtherTypeIpv4) + ipv4("192.0.2.10", "192.0.2.7", 17, "from the kernel");
    std::memcpy(exception_.from_kernel.reserve(), frame.data(), frame.size());
    exception_.from_kernel.commit(static_cast<uint32_t>(frame.size()));
    EXPECT_TRUE(worker_->turn()) << "that is work: no sleep now";
    rte_mbuf* m = nullptr;
    ASSERT_EQ(rte_eth_rx_burst(infos_[0].queues[0][0].ethdev, 0, &m, 1), 1);
    EXPECT_EQ(text_of(m), frame);
    rte_pktmbuf_free(m);
    EXPECT_EQ(worker_->exception(0)->sent(), 1u);
}

}  // namespace
}  // namespace sluice::worker
