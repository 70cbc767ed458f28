// Moves frames between rings and TAP devices (see exception_thread.h). The kernel's frames wake it by poll(2); a core's frames
// are found by looking, soon after there was work and up to 2 ms later when all is quiet: waking it would cost the core a call.
#include "worker/exception_thread.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>

#include <algorithm>

namespace sluice::worker {

namespace {
constexpr uint32_t kBatch = 64;                          // frames each way before the other way has its turn
constexpr int64_t kWaitUsMin = 50, kWaitUsMax = 2000;
}  // namespace

Result<ExceptionPort*> ExceptionThread::add(const std::string& device, const net::MacAddress& mac, uint16_t mtu, uint32_t cores,
                                            uint32_t sending_core) {
    auto tap = Tap::open(device, mac, mtu);
    if (!tap) return unexpected(tap.error());
    paths_.push_back({std::move(*tap), std::make_unique<ExceptionPort>(device, cores, sending_core), mac, mtu});
    return paths_.back().port.get();
}

void ExceptionThread::start() {
    if (paths_.empty() || thread_.joinable()) return;
    stop_ = false;
    thread_ = std::thread([this] { run(); });
}

void ExceptionThread::stop() {
    stop_.store(true, std::memory_order_relaxed);
    if (thread_.joinable()) thread_.join();
}

void ExceptionThread::run() {
    pthread_setname_np(pthread_self(), "sluice-kernel");
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);   // signals are the control thread's
    prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
    int64_t wait_us = kWaitUsMin;
    while (!stop_.load(std::memory_order_relaxed)) {
        uint32_t moved = 0;
        for (Path& path : paths_) moved += write(path) + read(path);
        if (moved > 0) {
            wait_us = kWaitUsMin;
            continue;
        }
        wait(wait_us);
        wait_us = std::min(2 * wait_us, kWaitUsMax);
    }
}

uint32_t ExceptionThread::write(Path& path) {
    uint32_t moved = 0;
    for (auto& ring : path.port->to_kernel) {
        for (uint32_t i = 0; i < kBatch; i++, moved++) {
            const auto frame = ring->front();
            if (frame.empty()) break;
            ++(path.tap && path.tap->write(frame) ? path.port->written : path.port->refused);
            ring->pop();
        }
    }
    return moved;
}

uint32_t ExceptionThread::read(Path& path) {
    uint32_t moved = 0;
    path.full = false;
    if (!path.tap) return 0;
    for (; moved < kBatch; moved++) {
        uint8_t* room = path.port->from_kernel.reserve();
        if (!room) {
            path.full = true;
            break;
        }
        const uint32_t bytes = path.tap->read(room, FrameRing::kFrameBytesMax);
        if (bytes == 0) break;
        path.port->from_kernel.commit(bytes);
    }
    return moved;
}

void ExceptionThread::wait(int64_t at_most_us) {
    std::vector<pollfd> fds;
    for (const Path& path : paths_) {   // poll(2) passes negative descriptors by
        fds.push_back({.fd = path.tap ? path.tap->fd() : -1, .events = static_cast<short>(path.full ? 0 : POLLIN), .revents = 0});
    }
    const timespec timeout{at_most_us / 1'000'000, at_most_us % 1'000'000 * 1000};
    if (ppoll(fds.data(), fds.size(), &timeout, nullptr) > 0)
        for (size_t i = 0; i < fds.size(); i++)
            if ((fds[i].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) paths_[i].tap.reset();
    make_again();
}

/// A device that was deleted under us, once a second. Its addresses are the operator's to set again, as after a start.
void ExceptionThread::make_again() {
    if (std::all_of(paths_.begin(), paths_.end(), [](const Path& p) { return p.tap.has_value(); })) return;
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec == tried_again_s_) return;
    tried_again_s_ = now.tv_sec;
    for (Path& path : paths_) {
        if (path.tap) continue;
        const auto open = [&path] {
            if (auto tap = Tap::open(path.port->name, path.mac, path.mtu)) path.tap.emplace(std::move(*tap));
        };
        privileged_ ? privileged_(open) : open();
    }
}

}  // namespace sluice::worker
