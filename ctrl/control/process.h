// What the control thread does with the process around it: signals as a file descriptor, service manager notifications, and
// one wait for everything that may happen. No global handler runs any code of ours.
// sd_notify(3) protocol; signalfd(2).
#pragma once

#include <chrono>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::control {

/// Blocks the given signals for every thread started afterwards and reads them one by one.
class Signals {
 public:
    explicit Signals(std::initializer_list<int> signals);
    ~Signals();
    Signals(const Signals&) = delete;
    Signals& operator=(const Signals&) = delete;
    int fd() const { return fd_; }
    /// The next pending signal's number, if any. Never blocks.
    std::optional<int> next();

 private:
    int fd_;
};

/// Waits until one of the descriptors (-1 is skipped) is readable or the time is over.
void wait_readable(std::initializer_list<int> fds, std::chrono::milliseconds timeout);

/// Tells the service manager ("READY=1", "STOPPING=1", "RELOADING=1", "STATUS=..."). Does nothing outside of one.
void notify_service_manager(const std::string& state);

}  // namespace sluice::control
