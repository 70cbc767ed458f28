// Work handed to the control thread by threads that may not do it themselves (the management endpoint's), and its result back.
// In: a function. Out: what it returned, or nothing if the control thread had no time for it or has ended.
// Owns an eventfd and the queue. call() from any thread; run_pending() and close() from the control thread.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

namespace sluice::control {

class Calls {
 public:
    Calls();
    ~Calls();
    Calls(const Calls&) = delete;
    Calls& operator=(const Calls&) = delete;

    /// Readable while a call waits.
    int fd() const { return fd_; }
    void run_pending();
    /// No call is taken any more; those that wait are told so.
    void close();

    /// Blocks. Nothing: it has not begun within `timeout`, and never will.
    template <typename Function>
    std::optional<std::invoke_result_t<Function>> call(Function function, std::chrono::milliseconds timeout) {
        using Result = std::invoke_result_t<Function>;
        auto promise = std::make_shared<std::promise<std::optional<Result>>>();
        auto result = promise->get_future();
        auto job = std::make_shared<Job>();
        job->run = [promise, function = std::move(function)](bool wanted) mutable {
            try {
                promise->set_value(wanted ? std::optional<Result>(function()) : std::nullopt);
            } catch (...) {
                promise->set_exception(std::current_exception());
            }
        };
        if (!enqueue(job)) return std::nullopt;
        if (result.wait_for(timeout) != std::future_status::ready && withdraw(job)) return std::nullopt;
        return result.get();   // it has begun: its end is near
    }

 private:
    struct Job {
        std::function<void(bool wanted)> run;
    };
    bool enqueue(std::shared_ptr<Job> job);
    /// False: it has begun.
    bool withdraw(const std::shared_ptr<Job>& job);
    std::shared_ptr<Job> next();

    std::mutex mutex_;
    std::deque<std::shared_ptr<Job>> jobs_;
    bool closed_ = false;
    int fd_;
};

}  // namespace sluice::control
