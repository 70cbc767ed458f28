// Both ends of the slot (see mailbox.h). The asker polls: to wake it would cost the core a system call.
#include "worker/mailbox.h"

#include <chrono>
#include <thread>

namespace sluice::worker {

namespace {
using Clock = std::chrono::steady_clock;

/// One asker's turn; the next one's begins when it ends.
struct Turn {
    std::atomic_flag& asking;
    ~Turn() { asking.clear(std::memory_order_release); }
};

constexpr auto kPollMin = std::chrono::microseconds(50), kPollMax = std::chrono::microseconds(1000);
}  // namespace

bool Mailbox::run(Worker& worker) {
    Job* const job = job_.load(std::memory_order_acquire);
    const bool cancelled = job->cancelled_.load(std::memory_order_relaxed) && !job->runs_when_cancelled();
    const Job::Step step = cancelled ? Job::Step::kDone : job->step(worker);
    if (step != Job::Step::kWaiting) job->steps_.fetch_add(1, std::memory_order_relaxed);
    // From here on the asker may free it.
    if (step == Job::Step::kDone) job_.store(nullptr, std::memory_order_release);
    return step != Job::Step::kWaiting;
}

bool Mailbox::wait_until_free(Duration timeout) {
    const auto end = Clock::now() + std::chrono::microseconds(timeout.us);
    while (job_.load(std::memory_order_acquire)) {
        if (Clock::now() >= end) return false;
        std::this_thread::sleep_for(kPollMin);
    }
    return true;
}

Mailbox::Answer Mailbox::ask_any(std::unique_ptr<Job>& wanted, Duration timeout, const std::function<void()>& meanwhile) {
    const std::chrono::microseconds patience(timeout.us);
    for (const auto give_up = Clock::now() + patience; asking_.test_and_set(std::memory_order_acquire);) {
        if (Clock::now() >= give_up) return Answer::kBusy;
        std::this_thread::sleep_for(kPollMin);
    }
    const Turn turn{asking_};
    if (!wait_until_free(timeout)) return Answer::kBusy;
    kept_ = std::move(wanted);
    Job* const job = kept_.get();
    job_.store(job, std::memory_order_release);
    uint32_t steps = 0;
    auto end = Clock::now() + patience;
    for (auto pause = kPollMin; job_.load(std::memory_order_acquire); pause = std::min(pause * 2, kPollMax)) {
        std::this_thread::sleep_for(pause);
        if (meanwhile) meanwhile();
        if (const uint32_t now = job->steps_.load(std::memory_order_relaxed); now != steps) {
            steps = now;
            pause = kPollMin / 2;   // it gets on: stay close
            end = Clock::now() + patience;
        } else if (Clock::now() >= end) {
            job->cancelled_.store(true, std::memory_order_relaxed);
            return Answer::kSilent;   // kept_ holds the job until the core has let go of it
        }
    }
    wanted = std::move(kept_);
    if (meanwhile) meanwhile();
    return Answer::kDone;
}

}  // namespace sluice::worker
