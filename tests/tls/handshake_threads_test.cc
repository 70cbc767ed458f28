// Handshake threads beside several cores, also under the thread sanitizer: everything that a core hands over comes back, in order, and
// nothing is left. No EAL here: bytes lie in mbufs made by hand. The seed is printed; SLUICE_SEED repeats it.
#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "tests/support/certificates.h"
#include "tls/handshake.h"
#include "tls/retired_context.h"
#include "tls/ticket_keys.h"

namespace sluice::tls {
namespace {

using sluice::test::CertificateAuthority;
using sluice::test::Issued;

constexpr Instant kNow{1};

/// Bytes in an mbuf that no pool owns: its count never reaches zero.
class Bytes {
 public:
    explicit Bytes(std::string_view text) : text_(text), mbuf_(std::make_unique<rte_mbuf>()) {
        mbuf_->buf_addr = text_.data();
        mbuf_->buf_len = static_cast<uint16_t>(text_.size());
        mbuf_->nb_segs = 1;
        rte_mbuf_refcnt_set(mbuf_.get(), 2);
    }
    Slice slice() { return Slice(mbuf_.get(), 0, static_cast<uint32_t>(text_.size())); }

 private:
    std::string text_;
    std::unique_ptr<rte_mbuf> mbuf_;
};

struct End final : HandshakeOwner {
    Handshake* handshake = nullptr;
    std::string output;
    bool done = false, failed = false, resumed = false;
    TrafficKeys keys;

    void on_handshake_bytes(std::span<const uint8_t> bytes, Instant) override { output.append(reinterpret_cast<const char*>(bytes.data()), bytes.size()); }
    void on_handshake_done(HandshakeResult&& result, bool take_tickets, Instant) override {
        done = true, resumed = result.resumed, keys = result.keys;
        if (!take_tickets) handshake = nullptr;
    }
    void on_handshake_failed(Failure, Alert, std::string_view, Instant) override { failed = true, handshake = nullptr; }
};

struct Contexts {
    std::shared_ptr<const ServerContext> server;
    std::shared_ptr<const ClientContext> client;
    std::shared_ptr<TicketKeys> keys = std::make_shared<TicketKeys>();
    Contexts() {
        const CertificateAuthority ca("root");
        const Issued issued = ca.issue({});
        keys->rotate(time(nullptr));
        ServerOptions s;
        s.certificates.push_back({issued.chain_pem, issued.private_key_pem, "", "server"});
        s.client_certificate = ServerOptions::ClientCertificate::kRequired;
        s.verification.trusted_ca_pem = ca.pem();
        s.ticket_keys = keys;
        s.parameters.max_version = Version::kTls12;   // tickets come within the handshake: sessions are shared by all cores
        ClientOptions c;
        c.certificates.push_back({issued.chain_pem, issued.private_key_pem, "", "client"});
        c.verification.trusted_ca_pem = ca.pem();
        server = *ServerContext::create(std::move(s), time(nullptr));
        client = *ClientContext::create(std::move(c), time(nullptr));
    }
};

void give(Handshaker& handshaker, SliceNodePool& nodes, End& end, std::string& bytes, std::mt19937& random) {
    while (!bytes.empty() && end.handshake && !end.done) {
        const std::string piece = bytes.substr(0, 1 + random() % 2000);
        bytes.erase(0, piece.size());
        Bytes holder(piece);
        SliceQueue queue(nodes);
        ASSERT_TRUE(queue.push_back(holder.slice()));
        handshaker.feed(*end.handshake, queue);
    }
    bytes.clear();
}

struct Tally {
    int done = 0, resumed = 0, cancelled = 0, failed = 0;
};

/// One core: so many pairs, several at once, some given up half way.
Tally run_core(HandshakeThreads& threads, uint32_t core, const Contexts& contexts, unsigned seed, int pairs) {
    constexpr size_t kAtOnce = 8;
    std::mt19937 random(seed + core);
    SliceNodePool nodes(256);
    HandshakeLimits limits;
    limits.handshakes_max = 32;
    Handshaker handshaker(threads, core, limits);
    struct Pair {
        End client, server;
        int steps_left = 0;
    };
    std::vector<std::unique_ptr<Pair>> running;
    Tally tally;
    while (pairs > 0 || !running.empty()) {
        while (pairs > 0 && running.size() < kAtOnce) {
            auto pair = std::make_unique<Pair>();
            pair->server.handshake = handshaker.start_server(contexts.server, pair->server);
            pair->client.handshake = handshaker.start_client(contexts.client, {}, {IpAddress::v4(random() % 3), 1}, pair->client);
            pair->steps_left = random() % 4 == 0 ? static_cast<int>(random() % 200) : -1;
            running.push_back(std::move(pair));
            pairs--;
        }
        handshaker.poll(kNow);
        for (size_t i = 0; i < running.size();) {
            Pair& pair = *running[i];
            give(handshaker, nodes, pair.server, pair.client.output, random);
            give(handshaker, nodes, pair.client, pair.server.output, random);
            const bool over = (pair.client.done && pair.server.done) || pair.client.failed || pair.server.failed;
            const bool given_up = pair.steps_left >= 0 && pair.steps_left-- == 0;
            if (!over && !given_up) {
                i++;
                continue;
            }
            for (End* end : {&pair.client, &pair.server})
                if (end->handshake) handshaker.cancel(*std::exchange(end->handshake, nullptr));
            if (pair.client.done && pair.server.done) {
                EXPECT_EQ(pair.client.keys.transmit.key, pair.server.keys.receive.key);
                tally.done++, tally.resumed += pair.client.resumed;
            } else (over ? tally.failed : tally.cancelled)++;
            std::swap(running[i], running.back());
            running.pop_back();
        }
        if (handshaker.busy()) std::this_thread::yield();
    }
    while (handshaker.busy()) {
        handshaker.poll(kNow);
        std::this_thread::yield();
    }
    EXPECT_EQ(handshaker.live(), 0u);
    return tally;
}

unsigned seed_of_test() {
    const char* given = std::getenv("SLUICE_SEED");
    const unsigned seed = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : 20261127;
    std::printf("SLUICE_SEED=%u repeats it\n", seed);
    return seed;
}

class Threads : public testing::TestWithParam<std::pair<uint32_t, uint32_t>> {};

TEST_P(Threads, ServeAllCoresAndLeaveNothing) {
    const auto [thread_count, cores] = GetParam();
    const unsigned seed = seed_of_test();
    const Contexts contexts;
    HandshakeThreads::Options options;
    options.threads = thread_count, options.cores = cores;
    HandshakeThreads threads(options);
    std::vector<Tally> tallies(cores);
    std::vector<std::thread> workers;
    for (uint32_t core = 0; core < cores; core++)
        workers.emplace_back([&, core] { tallies[core] = run_core(threads, core, contexts, seed, 40); });
    for (int i = 0; i < 20; i++) contexts.keys->rotate(time(nullptr));   // beside it
    for (std::thread& worker : workers) worker.join();
    for (const Tally& tally : tallies) {
        EXPECT_EQ(tally.failed, 0);
        EXPECT_EQ(tally.done + tally.cancelled, 40);
        EXPECT_GT(tally.done, 10);
    }
}
INSTANTIATE_TEST_SUITE_P(Some, Threads, testing::Values(std::pair(0u, 2u), std::pair(1u, 1u), std::pair(1u, 3u), std::pair(3u, 2u)));

TEST(Threads, ACoreThatEndsInTheMiddleWaitsForItsJobs) {
    const Contexts contexts;
    HandshakeThreads::Options options;
    options.threads = 2;
    HandshakeThreads threads(options);
    for (int round = 0; round < 10; round++) {
        std::vector<End> ends(20);
        Handshaker handshaker(threads, 0, {});
        for (End& end : ends) ASSERT_TRUE(handshaker.start_client(contexts.client, {}, {}, end));
        for (int i = 0; i < round; i++) handshaker.poll(kNow);
    }
}

TEST(Threads, SayWhereTheyWaitForAWorkersCpuAndGiveWayThere) {
    const Contexts contexts;
    cpu_set_t allowed;
    sched_getaffinity(0, sizeof allowed, &allowed);
    int cpu = 0;
    while (!CPU_ISSET(static_cast<size_t>(cpu), &allowed)) cpu++;
    for (const bool shared : {true, false}) {
        HandshakeThreads::Options options;
        options.threads = 1;
        options.cpus = {cpu};
        if (shared) options.worker_cpus = {cpu};
        HandshakeThreads threads(options);
        Handshaker handshaker(threads, 0, {});
        EXPECT_FALSE(threads.waiting_on(cpu));
        bool waited = false;
        for (int round = 0; round < 100 && !waited; round++) {   // the thread may be faster than we look
            std::vector<End> ends(20);
            for (End& end : ends) ASSERT_TRUE((end.handshake = handshaker.start_client(contexts.client, {}, {}, end)));
            waited = threads.waiting_on(cpu);
            EXPECT_FALSE(threads.waiting_on(cpu + 1));
            for (End& end : ends) handshaker.cancel(*end.handshake);
            while (handshaker.busy()) {
                handshaker.poll(kNow);
                std::this_thread::yield();
            }
            if (!shared) EXPECT_FALSE(waited) << "it has a CPU of its own";
        }
        EXPECT_EQ(waited, shared);
        while (threads.waiting_on(cpu)) std::this_thread::yield();   // done is done: it comes to rest
    }
}

TEST(Threads, FloodsAreRefusedAndCounted) {
    const Contexts contexts;
    HandshakeThreads::Options options;
    options.threads = 1;
    HandshakeThreads threads(options);
    HandshakeLimits limits;
    limits.handshakes_max = 100;
    limits.queued_max = 10;
    Handshaker handshaker(threads, 0, limits);
    std::vector<std::unique_ptr<End>> ends;
    int started = 0;
    for (int i = 0; i < 50; i++) {   // nobody polls: jobs that are done count until they are taken
        ends.push_back(std::make_unique<End>());
        started += handshaker.start_client(contexts.client, {}, {}, *ends.back()) != nullptr;
    }
    EXPECT_EQ(started, 10);
    EXPECT_EQ(handshaker.counters().failed[static_cast<size_t>(Failure::kTooMany)], 40u);
}

/// Put aside by several threads while another frees.
TEST(RetiredContexts, ManyThreadsAtOnce) {
    struct Counted : RetiredContext {
        explicit Counted(std::atomic<int>& count) : count_(count) {}
        ~Counted() override { count_++; }
        std::atomic<int>& count_;
    };
    free_retired_contexts();   // of the tests before
    constexpr int kEach = 20'000;
    std::atomic<int> freed = 0, running = 3;
    std::vector<std::thread> workers;
    for (int i = 0; i < 3; i++)
        workers.emplace_back([&] {
            for (int n = 0; n < kEach; n++) make_context<Counted>(freed).reset();
            running--;
        });
    uint32_t told = 0;
    while (running > 0) told += free_retired_contexts();
    for (std::thread& worker : workers) worker.join();
    told += free_retired_contexts();
    EXPECT_EQ(told, 3u * kEach);
    EXPECT_EQ(freed, 3 * kEach);
}

}  // namespace
}  // namespace sluice::tls
