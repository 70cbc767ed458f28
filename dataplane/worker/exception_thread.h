// The thread that carries frames between the exception paths' rings and their TAP devices, so that no core makes a system call.
// In: ports with the device each wants. Out: devices that are up, frames moved both ways. Owns devices and rings; the cores'
// ends point into it, so it outlives them. Bounded: what the kernel sends too fast waits in the device's own queue.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "worker/exception.h"
#include "worker/tap.h"

namespace sluice::worker {

class ExceptionThread {
 public:
    ~ExceptionThread() { stop(); }

    /// Makes the device. Before start().
    Result<ExceptionPort*> add(const std::string& device, const net::MacAddress& mac, uint16_t mtu, uint32_t cores,
                               uint32_t sending_core);
    /// How a device is made again by a process that gave up its privileges; empty: as it is.
    void privileged_by(std::function<void(const std::function<void()>&)> run) { privileged_ = std::move(run); }
    void start();
    void stop();

 private:
    struct Path {
        std::optional<Tap> tap;   // none: somebody deleted the device, it is made again
        std::unique_ptr<ExceptionPort> port;
        net::MacAddress mac;
        uint16_t mtu;
        bool full = false;        // no room for what the kernel sends
    };
    void run();
    void make_again();
    uint32_t write(Path& path);
    uint32_t read(Path& path);
    void wait(int64_t at_most_us);

    std::vector<Path> paths_;
    std::function<void(const std::function<void()>&)> privileged_;
    int64_t tried_again_s_ = 0;
    std::thread thread_;
    std::atomic<bool> stop_{false};
};

}  // namespace sluice::worker
