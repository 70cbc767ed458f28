// The tun driver's ioctls (see tap.h): Documentation/networking/tuntap.rst, netdevice(7).
#include "worker/tap.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sluice::worker {

namespace {

ifreq request_for(const std::string& name) {
    ifreq request{};
    std::memcpy(request.ifr_name, name.data(), std::min(name.size(), sizeof request.ifr_name - 1));
    return request;
}

/// Why TUNSETIFF failed, and what helps.
std::string attach_failure(const std::string& name, int error) {
    switch (error) {
        case EBUSY: return fmt::format("{} is in use by another process: stop it, or name another device", name);
        case EPERM: return fmt::format("{} cannot be made: run as root or with CAP_NET_ADMIN", name);
        case EINVAL:
            return fmt::format("{} exists and is no TAP device of one queue: name another, or make it with "
                               "`ip tuntap add dev {} mode tap`", name, name);
        default: return fmt::format("{} cannot be made: {}", name, std::strerror(error));
    }
}

/// MAC, MTU, up.
Result<void> dress(const std::string& name, const net::MacAddress& mac, uint16_t mtu) {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const auto call = [&](unsigned long what, ifreq& request) { return ioctl(fd, what, &request) == 0; };
    const char* failed = nullptr;
    ifreq request = request_for(name);
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    std::memcpy(request.ifr_hwaddr.sa_data, mac.data(), mac.size());
    if (!call(SIOCSIFHWADDR, request)) failed = "the port's MAC address";
    request = request_for(name);
    request.ifr_mtu = mtu;
    if (!failed && !call(SIOCSIFMTU, request)) failed = "the port's MTU";
    request = request_for(name);
    if (!failed && !call(SIOCGIFFLAGS, request)) failed = "its flags";
    request.ifr_flags |= IFF_UP;
    if (!failed && !call(SIOCSIFFLAGS, request)) failed = "it up";
    const int error = errno;
    close(fd);
    if (failed) return unexpected(fmt::format("{}: cannot set {}: {}", name, failed, std::strerror(error)));
    return {};
}

}  // namespace

Result<Tap> Tap::open(const std::string& name, const net::MacAddress& mac, uint16_t mtu) {
    const int fd = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return unexpected(fmt::format("/dev/net/tun: {}: `modprobe tun`, or run without `exception`", std::strerror(errno)));
    Tap tap(fd);
    ifreq request = request_for(name);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    if (ioctl(fd, TUNSETIFF, &request) != 0) return unexpected(attach_failure(name, errno));
    if (auto done = dress(name, mac, mtu); !done) return unexpected(done.error());
    return tap;
}

Tap::~Tap() {
    if (fd_ >= 0) close(fd_);
}

uint32_t Tap::read(uint8_t* frame, uint32_t room) {
    const ssize_t n = ::read(fd_, frame, room);
    return n > 0 ? static_cast<uint32_t>(n) : 0;
}

bool Tap::write(std::span<const uint8_t> frame) {
    return ::write(fd_, frame.data(), frame.size()) == static_cast<ssize_t>(frame.size());
}

}  // namespace sluice::worker
