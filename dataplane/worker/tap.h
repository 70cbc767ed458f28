// A TAP device: the kernel's end of a port's exception path. Frames in and out exactly as on the wire, VLAN tags included.
// In: a name, the port's MAC and MTU. Out: the device, up; or what is missing and the cure. Owns its descriptor: a device that
// did not exist before goes with it. Control and exception thread only: every call here is a system call.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "base/result.h"
#include "net/ethernet.h"

namespace sluice::worker {

class Tap {
 public:
    static Result<Tap> open(const std::string& name, const net::MacAddress& mac, uint16_t mtu);
    Tap(Tap&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
    Tap& operator=(Tap&&) = delete;
    ~Tap();

    int fd() const { return fd_; }
    /// The next frame that the kernel sends; its length, 0 if there is none.
    uint32_t read(uint8_t* frame, uint32_t room);
    /// False if the kernel did not take it: the device is down.
    bool write(std::span<const uint8_t> frame);

 private:
    explicit Tap(int fd) : fd_(fd) {}
    int fd_;
};

}  // namespace sluice::worker
