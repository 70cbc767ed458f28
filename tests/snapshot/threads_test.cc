// Cores load, pin across turns, hand pins on and sleep while the control thread publishes and frees: nobody ever sees freed
// memory, and in the end nothing is left. Meant for ThreadSanitizer and AddressSanitizer; the poison shows without them too.
#include <algorithm>
#include <random>
#include <thread>
#include <vector>

#include "tests/snapshot/support.h"

namespace sluice::snapshot::test {
namespace {

constexpr uint32_t kReaders = 3;
constexpr int kRevisions = 2000;

constexpr uint64_t kTurnsAtLeast = 2000;  // of each reader

struct CoreRun {
    std::atomic<uint64_t> turns{0};
    uint64_t bad = 0, pinned = 0;
};

/// One core's life: turns until told to stop, then all pins are dropped.
void run_core(Reader reader, const std::atomic<bool>& stop, uint64_t seed, CoreRun& run) {
    std::mt19937_64 random(seed);
    std::vector<Pin<upstream::Cluster>> clusters;
    std::vector<Pin<upstream::EndpointSet>> sets;
    while (!stop.load(std::memory_order_relaxed)) {
        run.turns.fetch_add(1, std::memory_order_relaxed);
        if (const Snapshot* root = reader.load(); root && !root->clusters.empty()) {
            const auto& cluster = root->clusters[random() % root->clusters.size()];
            if (cluster && (cluster->max_connections != kHealthy || cluster->endpoints->lowest_priority_count != kHealthy)) run.bad++;
            if (cluster && clusters.size() < 16 && random() % 4 == 0) {
                clusters.emplace_back(reader.pins(), cluster.get());
                run.pinned++;
            }
        }
        for (const auto& pin : clusters) run.bad += pin->max_connections != kHealthy;
        for (const auto& pin : sets) run.bad += pin->lowest_priority_count != kHealthy;
        if (!clusters.empty() && random() % 4 == 0) {
            const size_t i = random() % clusters.size();
            if (random() % 2 == 0) sets.emplace_back(reader.pins(), clusters[i]->endpoints.get());  // from a pinned part
            clusters.erase(clusters.begin() + static_cast<long>(i));
        }
        if (sets.size() > 16) sets.erase(sets.begin());
        reader.quiescent();
        if (random() % 64 == 0) {
            reader.offline();
            std::this_thread::yield();
            reader.online();
        }
    }
    clusters.clear();
    sets.clear();
    reader.offline();
}

TEST(SnapshotThreads, NobodySeesFreedMemoryAndNothingIsLeft) {
    {
        Publisher publisher(kReaders);
        std::atomic<bool> stop{false};
        std::vector<CoreRun> runs(kReaders);
        std::vector<std::thread> threads;
        for (uint32_t core = 0; core < kReaders; core++) {
            threads.emplace_back([&, core] { run_core(publisher.reader(core), stop, core + 1, runs[core]); });
        }
        std::mt19937_64 random(42);
        std::map<std::string, int> clusters;
        const auto readers_ran = [&] {
            return std::all_of(runs.begin(), runs.end(), [](const CoreRun& run) { return run.turns >= kTurnsAtLeast; });
        };
        for (int revision = 1; revision <= kRevisions || !readers_ran(); revision++) {
            const std::string name = std::string("c").append(std::to_string(random() % 20));
            if (random() % 3 == 0) clusters.erase(name);
            else clusters[name] = revision;
            ASSERT_TRUE(publisher.publish(make_snapshot(publisher, clusters, static_cast<uint64_t>(revision))));
            publisher.reclaim();
            if (revision % 8 == 0) std::this_thread::yield();
        }
        stop = true;
        for (auto& thread : threads) thread.join();
        for (const CoreRun& run : runs) {
            EXPECT_EQ(run.bad, 0u);
            EXPECT_GT(run.pinned, 0u);
        }
        EXPECT_TRUE(publisher.live_everywhere());
        const auto waiting = publisher.reclaim();
        EXPECT_EQ(waiting.snapshots, 0u);
        EXPECT_EQ(waiting.parts, 0u);
        EXPECT_EQ(live_parts(), static_cast<int>(2 * clusters.size())) << "only what is in force";
        EXPECT_LE(publisher.ids_end(Publisher::IdKind::kCluster), 4096u);
    }
    EXPECT_EQ(live_parts(), 0);
}

}  // namespace
}  // namespace sluice::snapshot::test
