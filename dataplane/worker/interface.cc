// ioctls on a kernel interface (see interface.h): netdevice(7), ethtool's channel and ring queries.
#include "worker/interface.h"

#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

namespace sluice::worker {

namespace {

class Request {
 public:
    explicit Request(const std::string& name) : fd_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
        std::memset(&ifreq_, 0, sizeof ifreq_);
        std::memcpy(ifreq_.ifr_name, name.data(), std::min(name.size(), sizeof ifreq_.ifr_name - 1));
    }
    ~Request() {
        if (fd_ >= 0) close(fd_);
    }
    Request(const Request&) = delete;
    bool call(unsigned long what) { return ioctl(fd_, what, &ifreq_) == 0; }
    ifreq& operator*() { return ifreq_; }

 private:
    int fd_;
    ifreq ifreq_;
};

uint32_t receive_queues(const std::string& name) {
    ethtool_channels channels{};
    channels.cmd = ETHTOOL_GCHANNELS;
    Request request(name);
    (*request).ifr_data = reinterpret_cast<char*>(&channels);
    if (!request.call(SIOCETHTOOL)) return 1;   // a device without channels has one queue
    return std::max(1u, channels.combined_count + channels.rx_count);
}

}  // namespace

Result<uint32_t> prepare_interface(const std::string& name) {
    if (name.size() >= IFNAMSIZ || if_nametoindex(name.c_str()) == 0)
        return unexpected(fmt::format("there is no interface {}: `ip link` lists those that are", name));
    Request request(name);
    if (!request.call(SIOCGIFFLAGS)) return unexpected(fmt::format("{}: {}", name, std::strerror(errno)));
    if (((*request).ifr_flags & IFF_UP) == 0) {
        (*request).ifr_flags |= IFF_UP;
        if (!request.call(SIOCSIFFLAGS))
            return unexpected(fmt::format("{} is down and cannot be brought up ({}): run as root, or `ip link set {} up`", name,
                                          std::strerror(errno), name));
    }
    return receive_queues(name);
}

Result<InterfaceClaim> InterfaceClaim::take(const std::string& name) {
    const std::string key = "sluice/port/" + name;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const size_t bytes = std::min(key.size(), sizeof address.sun_path - 1);
    std::memcpy(address.sun_path + 1, key.data(), bytes);   // the leading NUL makes it abstract, unix(7)
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + bytes);
    if (fd >= 0 && bind(fd, reinterpret_cast<const sockaddr*>(&address), length) == 0) return InterfaceClaim(fd);
    const int error = errno;
    if (fd >= 0) close(fd);
    if (error == EADDRINUSE)
        return unexpected(fmt::format("another sluiced runs on interface {}: stop it first, or give this one another interface", name));
    return unexpected(fmt::format("cannot claim interface {}: {}", name, std::strerror(error)));
}

InterfaceClaim::~InterfaceClaim() {
    if (fd_ >= 0) close(fd_);
}

/// rtnetlink(7): RTM_SETLINK with IFLA_XDP { IFLA_XDP_FD = -1 }.
void detach_xdp(const std::string& name) {
    struct {
        nlmsghdr header;
        ifinfomsg link;
        rtattr xdp;
        rtattr fd_attribute;
        int32_t fd;
    } request{};
    request.header = {.nlmsg_len = sizeof request, .nlmsg_type = RTM_SETLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK, .nlmsg_seq = 1, .nlmsg_pid = 0};
    request.link.ifi_index = static_cast<int>(if_nametoindex(name.c_str()));
    request.xdp = {.rta_len = sizeof(rtattr) + RTA_LENGTH(sizeof(int32_t)), .rta_type = IFLA_XDP | NLA_F_NESTED};
    request.fd_attribute = {.rta_len = RTA_LENGTH(sizeof(int32_t)), .rta_type = IFLA_XDP_FD};
    request.fd = -1;
    if (request.link.ifi_index == 0) return;
    const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0) return;
    char answer[256];   // the kernel's acknowledgement: done when this returns
    if (send(fd, &request, sizeof request, 0) == sizeof request) [[maybe_unused]] const auto acknowledged = recv(fd, answer, sizeof answer, 0);
    close(fd);
}

uint16_t interface_mtu(const std::string& name) {
    Request request(name);
    if (!request.call(SIOCGIFMTU)) return 1500;
    return static_cast<uint16_t>(std::clamp((*request).ifr_mtu, 0, 65535));
}

}  // namespace sluice::worker
