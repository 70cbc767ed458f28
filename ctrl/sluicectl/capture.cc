// capture: hands the gateway's pcapng stream on to a file or stdout, counting what passes. Ctrl-C ends it in order: the
// gateway is told, sends what is left and its statistics, and the file is whole.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <iostream>
#include <map>
#include <thread>

#include "ctrl/sluicectl/commands.h"
#include "ctrl/sluicectl/pcapng_count.h"
#include "ctrl/sluicectl/text.h"

namespace sluice::ctl {

namespace {

std::atomic<bool> interrupted{false};

/// SIGINT and SIGTERM set a flag while this lives.
class Interrupts {
 public:
    Interrupts() {
        interrupted = false;
        struct sigaction action {};
        action.sa_handler = [](int) { interrupted.store(true); };
        sigaction(SIGINT, &action, &before_[0]);
        sigaction(SIGTERM, &action, &before_[1]);
    }
    ~Interrupts() {
        sigaction(SIGINT, &before_[0], nullptr);
        sigaction(SIGTERM, &before_[1], nullptr);
    }

 private:
    struct sigaction before_[2];
};

/// Tells the gateway to end the capture when the flag is set.
class Stopper {
 public:
    Stopper(const Client& client, std::string token) : thread_([this, client, token = std::move(token)] {
        while (!done_ && !interrupted) std::this_thread::sleep_for(std::chrono::milliseconds(20));
        if (interrupted) (void)client.post("/v1/capture/stop", {{"token", token}});
    }) {}
    ~Stopper() {
        done_ = true;
        thread_.join();
    }

 private:
    std::atomic<bool> done_{false};
    std::thread thread_;
};

bool write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
}

}  // namespace

void PcapngCount::add(std::string_view piece) {
    rest_ += piece;
    size_t at = 0;
    uint32_t type, bytes;
    while (rest_.size() - at >= 8) {
        std::memcpy(&type, rest_.data() + at, 4);
        std::memcpy(&bytes, rest_.data() + at + 4, 4);
        if (bytes < 12 || rest_.size() - at < bytes) break;
        const std::string_view block(rest_.data() + at, bytes);
        constexpr uint32_t kStatistics = 5, kFrame = 6;
        if (type == kFrame) frames++;
        if (type == kStatistics) statistics(block);
        at += bytes;
    }
    rest_.erase(0, at);
    bytes_written += piece.size();
}

void PcapngCount::statistics(std::string_view block) {
    uint32_t port;
    std::memcpy(&port, block.data() + 8, 4);
    for (size_t at = 20; at + 4 <= block.size() - 4;) {
        uint16_t code, length;
        std::memcpy(&code, block.data() + at, 2);
        std::memcpy(&length, block.data() + at + 2, 2);
        constexpr uint16_t kEnd = 0, kDropped = 5;
        if (code == kEnd) break;
        if (code == kDropped && length == 8 && at + 12 <= block.size()) std::memcpy(&dropped_[port], block.data() + at + 4, 8);
        at += 4u + (length + 3u) / 4 * 4;
    }
}

uint64_t PcapngCount::dropped() const {
    uint64_t n = 0;
    for (const auto& [port, count] : dropped_) n += count;
    return n;
}

int capture(const Context& c, const CaptureOptions& o) {
    const bool to_stdout = o.file.empty() || o.file == "-";
    const bool real_stdout = c.out.rdbuf() == std::cout.rdbuf();
    if (to_stdout && real_stdout && isatty(STDOUT_FILENO))
        return fail(c, {2, "a capture is no text: -w FILE keeps it, | wireshark -k -i - shows it"});
    int fd = -1;
    if (!to_stdout) {   // payload of others: for its owner alone
        fd = ::open(o.file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0) return fail(c, {2, fmt::format("{}: {}", o.file, std::strerror(errno))});
    } else if (real_stdout) {
        c.out.flush();
        fd = STDOUT_FILENO;
    }
    const std::string token = fmt::format("{}-{}", getpid(), c.now().us);
    std::multimap<std::string, std::string> parameters{{"token", token}};
    for (const auto& port : o.ports) parameters.emplace("port", port);
    if (!o.filter.empty()) parameters.emplace("filter", o.filter);
    if (!o.connection.empty()) parameters.emplace("connection", o.connection);
    if (o.snap_bytes) parameters.emplace("snap", std::to_string(o.snap_bytes));
    if (o.frames_max) parameters.emplace("count", std::to_string(o.frames_max));
    if (o.duration.us) parameters.emplace("seconds", std::to_string((o.duration.us + 999'999) / 1'000'000));
    PcapngCount count;
    int error = 0;
    Result<void, Failure> done;
    {
        std::signal(SIGPIPE, SIG_IGN);   // Wireshark was closed: that is the end
        const Interrupts interrupts;
        const Stopper stopper(c.client, token);
        done = c.client.stream("/v1/capture", parameters, [&](std::string_view piece) {
            count.add(piece);
            if (fd < 0) return static_cast<bool>(c.out.write(piece.data(), static_cast<std::streamsize>(piece.size())));
            if (!write_all(fd, piece)) error = errno;
            return error == 0;
        });
    }
    if (!to_stdout) close(fd);
    if (!done) return fail(c, done.error());
    if (error != 0 && error != EPIPE) return fail(c, {2, fmt::format("{}: {}", to_stdout ? "stdout" : o.file, std::strerror(error))});
    const Json summary{{"file", to_stdout ? Json(nullptr) : Json(o.file)}, {"frames", count.frames}, {"bytes", count.bytes_written}, {"lost", count.dropped()}};
    if (!to_stdout && write_data(c, summary)) return count.dropped() ? 1 : 0;
    c.err << fmt::format("{}, {} bytes{}{}\n", count_of(count.frames, "frame"), grouped(count.bytes_written), to_stdout ? "" : " in " + o.file,
                         count.dropped() ? fmt::format("; {} LOST because the reader was too slow: narrow it by --filter or --snap", grouped(count.dropped())) : "; none lost");
    return count.dropped() ? 1 : 0;
}

}  // namespace sluice::ctl
