// Opening, batching and writing. Regular files take a batch in one write; pipes and terminals are polled first and fed in
// pieces that fit (PIPE_BUF), so that a stuck reader costs lines, never a hang. A line cut by an error is ended by a newline
// before the next one, so that readers lose one line, not two.
#include "telemetry/access_log_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

namespace sluice::telemetry {

namespace {

constexpr int kStuckMs = 200;   // a reader that takes nothing for so long loses the batch
constexpr uint32_t kBusyLines = 512;   // fewer in a turn: sleep, so that lines gather into larger writes
constexpr auto kDrainAtStop = std::chrono::seconds(1);

int open_log(const std::string& path) {
    // /dev/stdout cannot be opened when it is a socket, as under systemd.
    if (path == "/dev/stdout") return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (path == "/dev/stderr") return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    return ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
}

bool is_regular(int fd) {
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

}  // namespace

Result<std::unique_ptr<AccessLogWriter>> AccessLogWriter::open(Options options, std::vector<AccessLogRing*> rings, Log log) {
    int fd = -1;
    if (!options.path.empty()) {
        fd = open_log(options.path);
        if (fd < 0) {
            const int error = errno;
            const char* cure = error == ENOENT   ? ": create the directory"
                               : error == EACCES ? ": let this user write there"
                               : error == ENXIO  ? ": nobody reads this pipe"
                                                 : "";
            return std::unexpected(fmt::format("access log {}: {}{}", options.path, std::strerror(error), cure));
        }
    }
    return std::unique_ptr<AccessLogWriter>(new AccessLogWriter(std::move(options), std::move(rings), std::move(log), fd));
}

AccessLogWriter::AccessLogWriter(Options options, std::vector<AccessLogRing*> rings, Log log, int fd)
    : options_(std::move(options)), rings_(std::move(rings)), log_(std::move(log)), fd_(fd) {
    regular_file_ = fd_ >= 0 && is_regular(fd_);
    batch_.reserve(options_.batch_bytes + AccessLogRing::kRecordBytesMax);
}

AccessLogWriter::~AccessLogWriter() {
    stop();
    if (fd_ >= 0) close(fd_);
}

void AccessLogWriter::start() {
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
}

void AccessLogWriter::stop() {
    stopping_.store(true, std::memory_order_release);
    if (thread_.joinable()) thread_.join();
}

void AccessLogWriter::run() {
    pthread_setname_np(pthread_self(), "sluice-log");
    sigset_t pipe_closed;   // a reader that went away is EPIPE, not the end of the gateway
    sigemptyset(&pipe_closed);
    sigaddset(&pipe_closed, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_closed, nullptr);
    while (!stopping_.load(std::memory_order_acquire)) {
        if (turn() < kBusyLines) std::this_thread::sleep_for(std::chrono::microseconds(options_.idle_us));
    }
    const auto end = std::chrono::steady_clock::now() + kDrainAtStop;
    while (turn() != 0 && std::chrono::steady_clock::now() < end) {
    }
}

uint32_t AccessLogWriter::turn() {
    if (reopen_wanted_.exchange(false, std::memory_order_acq_rel)) do_reopen();
    uint32_t made = 0;
    for (AccessLogRing* ring : rings_) {
        made += ring->drain(
            [this](const AccessLogEntry& entry) {
                if (options_.recent) options_.recent->add(entry);
                if (fd_ < 0 || (entry.flags & kNotForTheFile)) return;
                options_.format.format(entry, batch_);
                batch_lines_++;
                if (batch_.size() >= options_.batch_bytes) flush();
            },
            4096);
    }
    flush();
    return made;
}

void AccessLogWriter::do_reopen() {
    if (fd_ < 0) return;
    const int fd = open_log(options_.path);
    if (fd < 0) {
        if (log_) log_(fmt::format("access log {}: {}; still writing to the old file", options_.path, std::strerror(errno)), true);
        return;
    }
    close(fd_);
    fd_ = fd;
    regular_file_ = is_regular(fd_);
    mid_line_ = false;
    reopened_.add();
}

void AccessLogWriter::flush() {
    if (batch_.empty()) return;
    if (mid_line_) batch_.insert(0, 1, '\n');
    size_t done = 0;
    const int error = write_all(batch_.data(), batch_.size(), done);
    bytes_.add(done);
    if (error == 0) {
        lines_.add(batch_lines_);
        mid_line_ = false;
    } else {
        auto whole = static_cast<uint32_t>(std::count(batch_.begin(), batch_.begin() + static_cast<ptrdiff_t>(done), '\n'));
        if (mid_line_ && whole) whole--;      // the newline that ended the cut line
        lines_.add(whole);
        write_failed_.add(batch_lines_ - whole);
        if (done) mid_line_ = batch_[done - 1] != '\n';
    }
    report(error != 0, error);
    batch_.clear();
    batch_lines_ = 0;
}

int AccessLogWriter::write_all(const char* data, size_t size, size_t& done) {
    while (done < size) {
        size_t piece = size - done;
        if (!regular_file_) {
            pollfd ready{fd_, POLLOUT, 0};
            const int n = poll(&ready, 1, kStuckMs);
            if (n == 0) return ETIMEDOUT;
            if (n < 0) {
                if (errno == EINTR) continue;
                return errno;
            }
            piece = std::min<size_t>(piece, PIPE_BUF);
        }
        const ssize_t n = ::write(fd_, data + done, piece);
        if (n > 0) done += static_cast<size_t>(n);
        else if (n < 0 && errno != EINTR && errno != EAGAIN) return errno;
    }
    return 0;
}

void AccessLogWriter::report(bool failing, int error) {
    if (failing == failing_) return;
    failing_ = failing;
    if (!log_) return;
    if (failing) {
        const char* why = error == ETIMEDOUT ? "its reader takes nothing" : std::strerror(error);
        log_(fmt::format("access log {}: {}; lines are being dropped", options_.path, why), true);
    } else {
        log_(fmt::format("access log {}: written again, {} lines were lost", options_.path, write_failed_.get()), false);
    }
}

uint64_t AccessLogWriter::dropped() const {
    uint64_t total = 0;
    for (const AccessLogRing* ring : rings_) total += ring->dropped();
    return total;
}

uint64_t AccessLogWriter::truncated() const {
    uint64_t total = 0;
    for (const AccessLogRing* ring : rings_) total += ring->truncated();
    return total;
}

}  // namespace sluice::telemetry
