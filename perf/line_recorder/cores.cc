// Threads, rounds and what they have in common (see cores.h).
#include "perf/line_recorder/cores.h"

#include <rte_lcore.h>

#include <barrier>
#include <map>
#include <mutex>
#include <thread>

namespace sluice::perf {

namespace {

std::atomic<uint64_t> planted{0};

/// In how many rounds a line was shared.
class Rounds {
 public:
    void take(Sharing& into) {
        for (uint32_t core = 0; core < kSharingCores; core++) {
            const uint64_t lost = into.cores[core].lost;
            into.cores[core] = recorded(core);
            into.cores[core].lost += lost;
        }
        into.read_by_both = lines_read_by_both(0, 1);
        for (const SharedLine& line : shared_lines()) {
            auto& [times, last] = seen_[line.access[0].line];
            times++;
            last = line;
        }
        record_clear();
        rounds_++;
    }
    void tell(Sharing& into) const {
        for (const auto& [address, seen] : seen_) (seen.first == rounds_ ? into.every_round : into.some_rounds).push_back(seen.second);
    }

 private:
    std::map<uintptr_t, std::pair<uint32_t, SharedLine>> seen_;
    uint32_t rounds_ = 0;
};

}  // namespace

Sharing record_cores(const SharingSetup& setup) {
    static uint32_t number = 0;
    record_clear();
    SharedTables tables(kSharingCores);
    Sharing sharing;
    Rounds rounds;
    std::mutex making;   // of ports and pools
    std::barrier together(kSharingCores);
    std::vector<std::thread> threads;
    for (uint32_t core = 0; core < kSharingCores; core++) {
        threads.emplace_back([&, core, name = "s" + std::to_string(number++)] {
            CHECK(rte_thread_register() == 0);   // mempool caches are by lcore id
            std::unique_ptr<ProxiedPath> path;
            {
                const std::lock_guard lock(making);
                path = std::make_unique<ProxiedPath>(name, tables, core, setup.path);
            }
            path->run(setup.warmup);
            for (uint32_t round = 0; round < setup.rounds; round++) {
                together.arrive_and_wait();
                record_begin(core);
                path->run(setup.requests);
                if (setup.plant) planted.fetch_add(1, std::memory_order_relaxed);
                record_end();
                together.arrive_and_wait();   // nobody cleans up while the other records
                if (core == 0) rounds.take(sharing);
            }
            together.arrive_and_wait();
            const std::lock_guard lock(making);
            sharing.strays += path->strays();
            path.reset();
            rte_thread_unregister();
        });
    }
    for (std::thread& thread : threads) thread.join();
    rounds.tell(sharing);
    return sharing;
}

}  // namespace sluice::perf
