// A queue and an eventfd(2) that wakes the control thread's poll.
#include "ctrl/control/calls.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <system_error>

namespace sluice::control {

Calls::Calls() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

Calls::~Calls() {
    close();
    ::close(fd_);
}

bool Calls::enqueue(std::shared_ptr<Job> job) {
    {
        std::lock_guard lock(mutex_);
        if (closed_) return false;
        jobs_.push_back(std::move(job));
    }
    const uint64_t one = 1;
    [[maybe_unused]] const auto written = write(fd_, &one, sizeof one);
    return true;
}

bool Calls::withdraw(const std::shared_ptr<Job>& job) {
    std::lock_guard lock(mutex_);
    return std::erase(jobs_, job) != 0;
}

std::shared_ptr<Calls::Job> Calls::next() {
    std::lock_guard lock(mutex_);
    if (jobs_.empty()) return nullptr;
    auto job = std::move(jobs_.front());
    jobs_.pop_front();
    return job;
}

void Calls::run_pending() {
    uint64_t count = 0;
    [[maybe_unused]] const auto got = read(fd_, &count, sizeof count);
    while (const auto job = next()) job->run(true);
}

void Calls::close() {
    {
        std::lock_guard lock(mutex_);
        closed_ = true;
    }
    while (const auto job = next()) job->run(false);
}

}  // namespace sluice::control
