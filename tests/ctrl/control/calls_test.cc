// Work for the control thread: done there, its result back; never begun once its caller has gone.
#include "ctrl/control/calls.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <thread>

namespace sluice::control {
namespace {

using namespace std::chrono_literals;

bool readable(int fd) {
    pollfd p{.fd = fd, .events = POLLIN, .revents = 0};
    return poll(&p, 1, 0) == 1;
}

TEST(Calls, RunWhereTheyArePending) {
    Calls calls;
    std::atomic<bool> done{false};
    std::thread::id ran_on;
    std::jthread caller([&] {
        const auto result = calls.call([&] { return ran_on = std::this_thread::get_id(), 42; }, 1h);
        EXPECT_EQ(result, 42);
        done = true;
    });
    while (!done) calls.run_pending();
    EXPECT_EQ(ran_on, std::this_thread::get_id());
    caller.join();
    calls.run_pending();   // it may have rung after its job was found
    EXPECT_FALSE(readable(calls.fd()));
}

TEST(Calls, WakeTheControlThread) {
    Calls calls;
    std::jthread caller([&] { calls.call([] { return 1; }, 1h); });
    while (!readable(calls.fd())) std::this_thread::yield();
    calls.run_pending();
}

TEST(Calls, OneThatIsLateIsNeverBegun) {
    Calls calls;
    bool begun = false;
    EXPECT_FALSE(calls.call([&] { return begun = true; }, 0ms));
    calls.run_pending();
    EXPECT_FALSE(begun);
}

TEST(Calls, AfterTheEndThereIsNoAnswer) {
    Calls calls;
    std::jthread caller([&] { EXPECT_FALSE(calls.call([] { return 1; }, 1h)); });
    while (!readable(calls.fd())) std::this_thread::yield();
    calls.close();
    caller.join();
    EXPECT_FALSE(calls.call([] { return 1; }, 1h));
}

TEST(Calls, ASurpriseReachesTheCaller) {
    Calls calls;
    std::jthread caller([&] { EXPECT_THROW(calls.call([]() -> int { throw std::runtime_error("x"); }, 1h), std::runtime_error); });
    while (!readable(calls.fd())) std::this_thread::yield();
    calls.run_pending();
}

}  // namespace
}  // namespace sluice::control
