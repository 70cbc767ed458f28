// signalfd, poll and sd_notify.
#include "ctrl/control/process.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>

namespace sluice::control {

Signals::Signals(std::initializer_list<int> signals) {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : signals) sigaddset(&set, signal);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    fd_ = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "signalfd");
}

Signals::~Signals() { close(fd_); }

std::optional<int> Signals::next() {
    signalfd_siginfo info;
    if (read(fd_, &info, sizeof info) != sizeof info) return std::nullopt;
    return static_cast<int>(info.ssi_signo);
}

void wait_readable(std::initializer_list<int> fds, std::chrono::milliseconds timeout) {
    std::array<pollfd, 8> polled{};
    nfds_t count = 0;
    for (const int fd : fds)
        if (fd >= 0 && count < polled.size()) polled[count++] = {.fd = fd, .events = POLLIN, .revents = 0};
    poll(polled.data(), count, static_cast<int>(timeout.count()));
}

void notify_service_manager(const std::string& state) { sd_notify(0, state.c_str()); }

}  // namespace sluice::control
