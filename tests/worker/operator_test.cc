// Jobs on a real worker over a ring port: listing in slices, names that are never given again, closing, and capture with a
// filter, a full ring and a way off. The test's thread is the core; another one asks.
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "tests/worker/echo_application.h"
#include "tests/worker/frames.h"
#include "worker/capture.h"
#include "worker/connection_jobs.h"

namespace sluice::worker::test {
namespace {

constexpr net::MacAddress kOwn{2, 0, 0, 0, 0, 1}, kPeer{2, 0, 0, 0, 0, 7};
constexpr uint8_t kRst = 4;

class Operator : public testing::Test {
 protected:
    void SetUp() override {
        infos_ = {ring_port(true)};
        WorkerConfig c;
        c.net.announce = false;
        net::PortConfig port;
        port.mac = kOwn;
        port.addresses = {*IpPrefix::parse("192.0.2.10/24")};
        c.net.ports = {port};
        c.tcp.connections_max = 4000;
        c.tcp.syn_backlog = 4000;
        c.slice_nodes = 1024;
        c.ports = &infos_;
        c.pool = sluice::test::test_mempool();
        c.owners = &owners_;
        worker_ = std::make_unique<Worker>(c);
        worker_->set_application(std::make_unique<EchoApplication>(*worker_));
    }
    void receive(const std::string& frame) {
        rte_mbuf* m = mbuf_of(frame);
        const uint16_t ethdev = infos_[0].queues[0][0].ethdev;
        EXPECT_EQ(rte_eth_tx_burst(ethdev, 0, &m, 1), 1);
        worker_->turn();
        while (rte_eth_rx_burst(ethdev, 0, &m, 1) == 1) rte_pktmbuf_free(m);
    }
    void syn(uint16_t port) { receive(ethernet(kOwn, kPeer, net::kEtherTypeIpv4) + ipv4("192.0.2.7", "192.0.2.10", 6, tcp_syn("192.0.2.7", port, "192.0.2.10", 80))); }
    void reset(uint16_t port) {
        const IpAddress peer = *IpAddress::parse("192.0.2.7"), own = *IpAddress::parse("192.0.2.10");
        receive(ethernet(kOwn, kPeer, net::kEtherTypeIpv4) + ipv4("192.0.2.7", "192.0.2.10", 6, tcp_segment(peer, port, own, 80, kRst, 1001)));
    }
    /// Another thread asks while this one turns.
    template <typename J>
    void ask(std::unique_ptr<J>& job, const std::function<void()>& meanwhile = {}) {
        std::atomic<bool> done{false};
        std::thread asker([&] {
            EXPECT_EQ(worker_->mailbox().ask(job, seconds(30), meanwhile), Mailbox::Answer::kDone);
            done = true;
        });
        while (!done) worker_->turn();
        asker.join();
    }
    std::vector<ConnectionRow> list() {
        std::vector<ConnectionRow> rows;
        ConnectionRow row;
        auto job = std::make_unique<ListConnections>();
        ListConnections& from = *job;
        ask(job, [&] {
            while (from.pop(row)) rows.push_back(row);
        });
        return rows;
    }
    std::vector<PortInfo> infos_;
    OwnerTable owners_{1, 1};
    std::unique_ptr<Worker> worker_;
};

TEST_F(Operator, EveryConnectionIsListedOnce) {
    constexpr uint16_t kMany = 1500;   // more than one turn looks at
    for (uint16_t i = 0; i < kMany; i++) syn(static_cast<uint16_t>(1000 + i));
    const auto rows = list();
    std::set<uint16_t> ports;
    for (const auto& row : rows) {
        ports.insert(row.tuple.remote.port);
        EXPECT_EQ(row.role, ConnectionRow::Role::kHandshake);
        EXPECT_EQ(row.tcp.state, tcp::State::kSynReceived);
        EXPECT_TRUE(row.id.valid());
    }
    EXPECT_EQ(rows.size(), kMany);
    EXPECT_EQ(ports.size(), kMany);
}

TEST_F(Operator, ASliceIsBounded) {
    for (uint16_t i = 0; i < 600; i++) syn(static_cast<uint16_t>(1000 + i));
    ListConnections job;
    EXPECT_EQ(job.step(*worker_), Job::Step::kMore);
    ConnectionRow row;
    uint32_t n = 0;
    while (job.pop(row)) n++;
    EXPECT_EQ(n, ListConnections::kRowsPerTurn);
    // Nobody takes rows: it waits, and writes over nothing.
    uint32_t steps = 0;
    while (job.step(*worker_) == Job::Step::kMore) steps++;
    EXPECT_EQ(steps, 4u);
    EXPECT_EQ(job.step(*worker_), Job::Step::kWaiting);
}

TEST_F(Operator, ANameIsNeverGivenAgain) {
    syn(1000);
    const tcp::ConnectionId first = list().at(0).id;
    reset(1000);
    EXPECT_TRUE(list().empty());
    syn(1001);
    const tcp::ConnectionId second = list().at(0).id;
    EXPECT_EQ(second.slot, first.slot);
    EXPECT_NE(second, first);
    auto stale = std::make_unique<CloseConnection>(first, true);
    ask(stale);
    EXPECT_EQ(stale->outcome(), CloseOutcome::kGone);
    auto shown = std::make_unique<ShowConnection>(first);
    ask(shown);
    EXPECT_EQ(shown->row(), nullptr);
    EXPECT_EQ(list().size(), 1u);
    // What nobody above holds yet is reset all the same.
    auto cut = std::make_unique<CloseConnection>(second, true);
    ask(cut);
    EXPECT_EQ(cut->outcome(), CloseOutcome::kReset);
    EXPECT_TRUE(list().empty());
    for (const tcp::ConnectionId id : {tcp::ConnectionId{}, tcp::ConnectionId{0, 2}, tcp::ConnectionId{UINT32_MAX, 1}}) EXPECT_EQ(worker_->tcp().find(id), nullptr);
}

TEST_F(Operator, AgeAndIdleTimeComeFromTheClock) {
    syn(1000);
    const auto row = list().at(0);
    EXPECT_LE(row.idle_us, row.age_us);
    EXPECT_LT(row.age_us, 60'000'000u);
}

TEST_F(Operator, CaptureByAFilter) {
    const auto filter = CaptureFilter::compile("tcp port 80 and src host 192.0.2.7");
    ASSERT_TRUE(filter) << filter.error();
    const auto tap = std::make_unique<CaptureTap>(1u, 40u, filter->get());
    auto add = std::make_unique<AddTap>(*tap);
    ask(add);
    ASSERT_TRUE(add->added());
    const std::string frame = ethernet(kOwn, kPeer, net::kEtherTypeIpv4) + ipv4("192.0.2.7", "192.0.2.10", 6, tcp_syn("192.0.2.7", 1000, "192.0.2.10", 80));
    receive(frame);   // our ARP request for the answer does not match
    receive(ethernet(kOwn, kPeer, net::kEtherTypeIpv4) + ipv4("192.0.2.7", "192.0.2.10", 17, std::string(20, 'x')));
    const auto record = tap->ring().front();
    ASSERT_EQ(record.size(), sizeof(CapturedFrame) + 40);
    CapturedFrame head;
    std::memcpy(&head, record.data(), sizeof head);
    EXPECT_EQ(head.length, frame.size());
    EXPECT_EQ(head.captured, 40u);
    EXPECT_FALSE(head.sent);
    EXPECT_EQ(std::memcmp(record.data() + sizeof head, frame.data(), 40), 0);
    tap->ring().pop();
    EXPECT_TRUE(tap->ring().front().empty());
    EXPECT_EQ(tap->matched(0), 1u);
    EXPECT_GE(tap->seen(0), 3u) << "two received, one sent";

    auto remove = std::make_unique<RemoveTap>(*tap);
    ask(remove);
    EXPECT_FALSE(worker_->taps().any());
    receive(frame);
    EXPECT_TRUE(tap->ring().front().empty());
}

TEST_F(Operator, CaptureThatNobodyReadsDropsAndCounts) {
    CaptureTap tap(1u, 65535u, nullptr);
    rte_mbuf* m = mbuf_of(std::string(1000, 'x'));
    constexpr uint32_t kFrames = 2 * CaptureTap::kRingBytes / 1000;
    for (uint32_t i = 0; i < kFrames; i++) tap.take(0, true, &m, 1, Instant{i});
    rte_pktmbuf_free(m);
    EXPECT_GT(tap.dropped(0), kFrames / 4);
    uint32_t kept = 0;
    for (; !tap.ring().front().empty(); tap.ring().pop()) kept++;
    EXPECT_EQ(kept + tap.dropped(0), kFrames);
}

TEST_F(Operator, AFiltersMistakesAreTold) {
    const auto wrong = CaptureFilter::compile("tcp prot 80");
    ASSERT_FALSE(wrong);
    EXPECT_NE(wrong.error().find("syntax error"), std::string::npos) << wrong.error();
}

TEST_F(Operator, NoMoreTapsThanThereIsRoomFor) {
    CaptureTap tap(1u, 64u, nullptr);
    CaptureTaps taps;
    for (uint32_t i = 0; i < CaptureTaps::kMax; i++) EXPECT_TRUE(taps.add(tap));
    EXPECT_FALSE(taps.add(tap));
    taps.remove(tap);
    EXPECT_FALSE(taps.any());
}

}  // namespace
}  // namespace sluice::worker::test
