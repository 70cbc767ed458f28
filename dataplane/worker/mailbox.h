// How another thread asks a core for something: one slot that holds a job, which the core works at in slices between two turns.
// In: jobs, from any thread but the core. Out: what the job wrote into its own memory. A core that has no job pays one load of
// a line that nobody writes; it never waits, locks or frees. The asker does: when it gives up on a stalled core, the mailbox
// owns the job until the core has let go of it, so nothing dangles.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/time.h"

namespace sluice::worker {

class Worker;

class Job {
 public:
    enum class Step : uint8_t {
        kMore,      // again in the next turn
        kWaiting,   // again, but the asker must make room first: no reason for the core to stay awake
        kDone,
    };
    Job() = default;
    Job(const Job&) = delete;
    Job& operator=(const Job&) = delete;
    virtual ~Job() = default;
    /// On the core: a bounded piece of work, without allocating.
    virtual Step step(Worker& worker) = 0;
    /// The asker has given up: is it done all the same?
    virtual bool runs_when_cancelled() const { return false; }

 private:
    friend class Mailbox;
    std::atomic<bool> cancelled_{false};
    std::atomic<uint32_t> steps_{0};   // that got on
};

class Mailbox {
 public:
    enum class Answer : uint8_t {
        kDone,
        kSilent,   // the core did not get on with it for the timeout
        kBusy,     // it is still at somebody else's job: this one was not begun
    };

    // ---- Any thread but the core ----
    /// Has the core do `job`; returns when it is done, or silent for `timeout`: then the job is not the caller's any more (null).
    /// `meanwhile` is called now and then on this thread, and once after the end: it takes what the job has put ready. One job at a
    /// time: others wait their turn.
    template <typename J>
    Answer ask(std::unique_ptr<J>& job, Duration timeout, const std::function<void()>& meanwhile = {}) {
        std::unique_ptr<Job> any = std::move(job);
        const Answer answer = ask_any(any, timeout, meanwhile);
        job.reset(static_cast<J*>(any.release()));
        return answer;
    }

    // ---- The core ----
    bool waiting() const { return job_.load(std::memory_order_relaxed) != nullptr; }
    /// A step of the job that waits(). True if it got on.
    bool run(Worker& worker);

 private:
    Answer ask_any(std::unique_ptr<Job>& job, Duration timeout, const std::function<void()>& meanwhile);
    bool wait_until_free(Duration timeout);

    alignas(64) std::atomic<Job*> job_{nullptr};
    alignas(64) std::atomic_flag asking_ = ATOMIC_FLAG_INIT;
    std::unique_ptr<Job> kept_;   // what job_ points to, or pointed to last
};

}  // namespace sluice::worker
