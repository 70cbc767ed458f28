// Handshake threads (see handshake.h): each takes jobs of all cores in turn, what was begun before what is new, and sleeps by futex.
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <thread>

#include "tls/handshake_job.h"
#include "tls/openssl_init.h"

namespace sluice::tls {

struct HandshakeThreads::Impl::Thread {
    // Counts what was posted: whoever finds no work sleeps until it is another number than before the search.
    alignas(64) std::atomic<uint32_t> posted{0};
    std::atomic<uint32_t> served{0};       // all that was posted up to this number is done
    std::atomic<bool> stop{false};
    std::vector<int> shares;               // CPUs of workers that it may run on
    std::thread thread;
};

namespace {

/// One job of `queue` of each core that has one, or of the first that has one. True: something was done.
template <typename Queue>
bool serve(std::vector<std::atomic<HandshakeLane*>>& cores, uint32_t thread, uint32_t& first, bool one, Queue queue) {
    bool any = false;
    const auto count = static_cast<uint32_t>(cores.size());
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t core = (first + i) % count;
        HandshakeLane* lane = cores[core].load(std::memory_order_acquire);
        Handshake* handshake = nullptr;
        if (!lane || !queue(*lane->by_thread[thread]).pop(handshake)) continue;
        run_job(handshake->job, lane->live);
        // It has room: each handshake is in one queue at most.
        [[maybe_unused]] const bool pushed = lane->by_thread[thread]->back.push(handshake);
        any = true;
        if (!one) continue;
        first = core + 1;
        break;
    }
    return any;
}

/// Where thread `index` will run.
cpu_set_t place(const HandshakeThreads::Options& options, uint32_t index) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (options.cpus.empty()) pthread_getaffinity_np(pthread_self(), sizeof set, &set);
    else CPU_SET(static_cast<size_t>(options.cpus[index % options.cpus.size()]), &set);
    return set;
}

/// At idle priority, where a worker polls, all that has to do with packets goes first, at once: a time slice of ours would be
/// milliseconds of its connections' latency.
void settle(const cpu_set_t& set, bool shares) {
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);   // a CPU that is not there: any
    const sched_param none{};
    if (shares) pthread_setschedparam(pthread_self(), SCHED_IDLE, &none);
}

}  // namespace

HandshakeThreads::Impl::Impl(const Options& given) : options(given), current(std::max(given.cores, 1u)) {
    initialise_openssl();
    for (uint32_t i = 0; i < options.threads; i++) {
        threads.push_back(std::make_unique<Thread>());
        const cpu_set_t set = place(options, i);
        for (const int cpu : options.worker_cpus)
            if (CPU_ISSET(static_cast<size_t>(cpu), &set)) threads[i]->shares.push_back(cpu);
    }
    for (uint32_t i = 0; i < options.threads; i++)
        threads[i]->thread = std::thread([this, i] {
            pthread_setname_np(pthread_self(), (options.name.substr(0, 12) + std::to_string(i)).c_str());
            Thread& self = *threads[i];
            settle(place(options, i), !self.shares.empty());
            uint32_t first_urgent = 0, first_fresh = 0;
            while (!self.stop.load(std::memory_order_relaxed)) {
                const uint32_t seen = self.posted.load(std::memory_order_seq_cst);
                if (serve(current, i, first_urgent, false, [](HandshakeLane::Queues& q) -> auto& { return q.urgent; })) continue;
                if (serve(current, i, first_fresh, true, [](HandshakeLane::Queues& q) -> auto& { return q.fresh; })) continue;
                self.served.store(seen, std::memory_order_relaxed);
                self.posted.wait(seen, std::memory_order_seq_cst);
            }
        });
}

HandshakeThreads::Impl::~Impl() {
    for (uint32_t i = 0; i < threads.size(); i++) {
        threads[i]->stop.store(true, std::memory_order_relaxed);
        wake(i);
    }
    for (auto& thread : threads) thread->thread.join();
}

void HandshakeThreads::Impl::wake(uint32_t thread) {
    threads[thread]->posted.fetch_add(1, std::memory_order_seq_cst);
    threads[thread]->posted.notify_one();   // looks whether anyone waits before it asks the kernel
}

HandshakeLane* HandshakeThreads::Impl::attach(uint32_t core, uint32_t capacity) {
    const std::lock_guard lock(mutex);
    lanes.push_back(std::make_unique<HandshakeLane>(options.threads, capacity));
    current[core % current.size()].store(lanes.back().get(), std::memory_order_release);
    return lanes.back().get();
}

void HandshakeThreads::Impl::detach(uint32_t core, HandshakeLane* lane) {
    HandshakeLane* expected = lane;
    current[core % current.size()].compare_exchange_strong(expected, nullptr);
}

HandshakeThreads::HandshakeThreads(const Options& options) : impl_(std::make_unique<Impl>(options)) {}
HandshakeThreads::~HandshakeThreads() = default;
uint32_t HandshakeThreads::threads() const { return impl_->options.threads; }

bool HandshakeThreads::waiting_on(int cpu) const {
    for (const auto& thread : impl_->threads) {
        if (std::find(thread->shares.begin(), thread->shares.end(), cpu) == thread->shares.end()) continue;
        if (thread->posted.load(std::memory_order_relaxed) != thread->served.load(std::memory_order_relaxed)) return true;
    }
    return false;
}

}  // namespace sluice::tls
