// The wire between two processes without the kernel: net_virtio_user in the gateway, net_vhost in its peer, bytes both ways,
// with large frames and without. Needs neither root nor hugepages nor a NIC.
// Each process starts an EAL of its own, so both are children, forked before there is one; they meet in shared memory.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <thread>

#include "tests/worker/echo_application.h"
#include "tests/worker/echo_client.h"
#include "worker/crew.h"

namespace sluice::worker {
namespace {

using namespace test;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr auto kPatience = std::chrono::seconds(60);   // nothing is asserted of time: this only ends a test that hangs

struct Seen {
    std::atomic<uint64_t> rx_merged{0}, tx_cut_by_port{0}, bad_checksum{0}, rx_bad{0}, taken_over{0}, retransmits{0}, no_memory{0};
    std::atomic<bool> offers_large_receive{false}, offers_tso{false};
};

/// What both children and the test see.
struct Shared {
    std::atomic<bool> listening{false}, ready{false}, over{false};
    std::atomic<bool> gateway_gone{false};
    Outcome outcome;
    Seen gateway, peer;
    std::array<char, 512> said{};   // by a child that could not start
};

struct Wire {
    uint32_t cores = 1;
    uint32_t connections = 2;        // of each of the peer's cores
    uint64_t bytes = 4'000'000;
    const char* server = "10.90.0.1";
    const char* peer_arguments = ",tso=1";
    OffloadWish offloads = {};
};

void wait_for(const std::function<bool()>& what) {
    for (const auto end = steady_clock::now() + kPatience; !what() && steady_clock::now() < end;) std::this_thread::sleep_for(milliseconds(2));
}

CrewSetup crew_setup(const Wire& wire, const std::string& device, const char* v4, const char* v6) {
    CrewSetup setup;
    for (unsigned core = 0; core < wire.cores; core++) setup.eal.cores.push_back(core % std::max(1u, std::thread::hardware_concurrency()));
    setup.eal.hugepages = Hugepages::kNever;
    setup.eal.mbufs_per_core = 10240;
    setup.seed = 7;
    PortSetup port;
    port.name = "wire";
    port.device = device;
    port.offloads = wire.offloads;
    setup.eal.ports = {port};
    net::PortConfig config;
    config.name = "wire";
    config.addresses = {*IpPrefix::parse(v4), *IpPrefix::parse(v6)};
    setup.ports = {config};
    return setup;
}

void look(const Crew& crew, Seen& seen) {
    seen.offers_large_receive = crew.eal().ports()[0].large_receive;
    seen.offers_tso = crew.eal().ports()[0].tso;
    for (uint32_t i = 0; i < crew.size(); i++) {
        const auto& net = crew.worker(i).net_counters();
        const auto& tcp = crew.worker(i).tcp_counters();
        seen.rx_merged += net.rx_merged;
        seen.tx_cut_by_port += net.tx_cut_by_port;
        seen.rx_bad += net.rx_bad_ip + net.rx_bad_checksum + net.rx_bad_link;
        seen.bad_checksum += tcp.bad_checksum;
        seen.taken_over += crew.worker(i).counters().taken_over.get();
        seen.retransmits += tcp.retransmits;
        seen.no_memory += tcp.no_memory;
    }
}

/// A child's life. Its exit status says only whether it ran: the test judges by what is in `shared`.
void run_crew(const CrewSetup& setup, const ApplicationFactory& factory, Shared& shared, std::atomic<bool>& open, Seen& seen) {
    auto crew = Crew::open(setup);
    std::string error = crew ? "" : crew.error();
    if (crew) {
        const auto launched = (*crew)->launch(factory);
        if (!launched) error = launched.error();
    }
    if (!error.empty()) {
        std::snprintf(shared.said.data(), shared.said.size(), "%s", error.c_str());
        shared.over = true;
        return;
    }
    open = true;
    wait_for([&] { return shared.over.load(); });
    (*crew)->stop();
    look(**crew, seen);
    // virtio-user says goodbye over the socket, and whoever has closed it at the other end kills us by SIGPIPE.
    if (&seen == &shared.peer) wait_for([&] { return shared.gateway_gone.load(); });
}

template <typename Life>
pid_t child(Life&& life) {
    const pid_t pid = fork();
    if (pid != 0) return pid;
    life();
    _exit(0);
}

class VirtioUser : public testing::Test {
 protected:
    VirtioUser() {
        void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        shared_ = new (memory) Shared;
        char folder[] = "/tmp/sluice-wire-XXXXXX";
        folder_ = mkdtemp(folder);
    }
    ~VirtioUser() override {
        unlink(socket().c_str());
        rmdir(folder_.c_str());
        munmap(shared_, sizeof(Shared));
    }
    std::string socket() const { return folder_ + "/wire"; }

    /// Both processes, from their start to their end.
    void run(const Wire& wire) {
        const uint32_t connections = wire.connections * wire.cores;
        const pid_t peer = child([&] {
            const CrewSetup setup = crew_setup({.cores = wire.cores}, fmt::format("devargs:net_vhost0,iface={},queues={}{}", socket(), wire.cores, wire.peer_arguments),
                                               "10.90.0.2/24", "fd00:90::2/64");
            run_crew(setup, [&](Worker& w) -> std::unique_ptr<Application> {
                return std::make_unique<WaitingClient>(w, wire, *shared_);
            }, *shared_, shared_->listening, shared_->peer);
        });
        wait_for([&] { return shared_->listening || shared_->over; });
        const pid_t gateway = child([&] {
            const CrewSetup setup = crew_setup(wire, fmt::format("devargs:net_virtio_user0,path={}", socket()), "10.90.0.1/24", "fd00:90::1/64");
            run_crew(setup, [](Worker& w) { return std::make_unique<EchoApplication>(w); }, *shared_, shared_->ready, shared_->gateway);
        });
        wait_for([&] { return shared_->over || shared_->outcome.finished + shared_->outcome.failed == connections; });
        shared_->over = true;
        int status = 0;
        for (const pid_t pid : {gateway, peer}) {
            waitpid(pid, &status, 0);
            shared_->gateway_gone = true;
            EXPECT_EQ(status, 0) << (pid == peer ? "peer" : "gateway");
        }
        ASSERT_STREQ(shared_->said.data(), "");
        EXPECT_EQ(shared_->outcome.finished, connections);
        EXPECT_EQ(shared_->outcome.failed, 0u);
        EXPECT_EQ(shared_->outcome.wrong, 0u);
        EXPECT_EQ(shared_->outcome.bytes, connections * wire.bytes);
        EXPECT_EQ(shared_->gateway.bad_checksum + shared_->gateway.rx_bad, 0u);
        EXPECT_EQ(shared_->peer.bad_checksum + shared_->peer.rx_bad, 0u);
    }
    Seen& gateway() { return shared_->gateway; }

 private:
    /// Connects once the gateway is there: what is sent into a wire without an end is lost.
    class WaitingClient final : public Application {
     public:
        WaitingClient(Worker& w, const Wire& wire, Shared& shared)
            : shared_(shared), client_(w, *IpAddress::parse(wire.server), wire.connections, wire.bytes, shared.outcome) {}
        void turn(Instant now) override {
            if (shared_.ready) client_.turn(now);
        }
        void handle_event(const tcp::ConnectionEvent& event, Instant now) override { client_.handle_event(event, now); }
        void handle_timeout(Instant) override {}
        Instant poll_timeout() const override { return client_.poll_timeout(); }
        bool idle() const override { return false; }

     private:
        Shared& shared_;
        EchoClient client_;
    };

    Shared* shared_;
    std::string folder_;
};

TEST_F(VirtioUser, LargeFramesComeInAndLeave) {
    run({});
    EXPECT_TRUE(gateway().offers_large_receive);
    EXPECT_TRUE(gateway().offers_tso);
    EXPECT_GT(gateway().rx_merged, 0u);
    EXPECT_GT(gateway().tx_cut_by_port, 0u);
}

TEST_F(VirtioUser, LargeFramesOverIpv6) {
    run({.server = "fd00:90::1"});
    EXPECT_GT(gateway().rx_merged, 0u);
    EXPECT_GT(gateway().tx_cut_by_port, 0u);
}

TEST_F(VirtioUser, WithoutAnyOffload) {
    run({.peer_arguments = "", .offloads = {.checksum = false}});
    EXPECT_FALSE(gateway().offers_large_receive);
    EXPECT_FALSE(gateway().offers_tso);
    EXPECT_EQ(gateway().rx_merged, 0u);
    EXPECT_EQ(gateway().tx_cut_by_port, 0u);
}

TEST_F(VirtioUser, ChecksumsAlone) {
    run({.peer_arguments = "", .offloads = {.segmentation = false, .large_receive = false}});
    EXPECT_EQ(gateway().rx_merged, 0u);
    EXPECT_EQ(gateway().tx_cut_by_port, 0u);
}

/// Software queues choose cores without asking whose a connection is: chains go through the rings between cores.
TEST_F(VirtioUser, LargeFramesAreHandedToTheirOwner) {
    run({.cores = 2, .connections = 8, .bytes = 1'000'000});
    EXPECT_GT(gateway().rx_merged, 0u);
    EXPECT_GT(gateway().taken_over, 0u);
}

}  // namespace
}  // namespace sluice::worker
