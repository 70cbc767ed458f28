// Regular files take a batch in one write; pipes and terminals are polled first and fed in pieces that fit (PIPE_BUF), so that a
// stuck reader costs lines, never a hang. A line cut by an error is ended by a newline before the next one, so that readers lose
// one line, not two.
#include "telemetry/access_log_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sluice::telemetry {

namespace {

constexpr int kStuckMs = 200;   // a reader that takes nothing for so long loses the batch

bool is_own(const std::string& path) { return path == "/dev/stdout" || path == "/dev/stderr"; }

int open_log(const std::string& path) {
    // /dev/stdout cannot be opened when it is a socket, as under systemd.
    if (path == "/dev/stdout") return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (path == "/dev/stderr") return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    return ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
}

}  // namespace

AccessLogFile::AccessLogFile(std::string path, uint32_t batch_bytes, const Log& log, Totals& totals)
    : path_(std::move(path)), batch_bytes_(batch_bytes), log_(log), totals_(totals) {
    batch_.reserve(batch_bytes + 64 * 1024);
}

AccessLogFile::~AccessLogFile() {
    flush();
    if (fd_ >= 0) close(fd_);
}

void AccessLogFile::use(int fd) {
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
    struct stat status;
    const bool known = fstat(fd_, &status) == 0;
    regular_ = known && S_ISREG(status.st_mode);
    socket_ = known && S_ISSOCK(status.st_mode);
    mid_line_ = false;
}

Result<void> AccessLogFile::open() {
    const int fd = open_log(path_);
    if (fd >= 0) {
        use(fd);
        return {};
    }
    const int error = errno;
    if (error == ENXIO) {
        report(true, error);
        return {};
    }
    const char* cure = error == ENOENT ? ": create the directory" : error == EACCES ? ": let this user write there" : "";
    return std::unexpected(fmt::format("access log {}: {}{}", path_, std::strerror(error), cure));
}

void AccessLogFile::line_added() {
    batch_lines_++;
    if (batch_.size() >= batch_bytes_) flush();
}

bool AccessLogFile::reopen() {
    flush();
    const int fd = open_log(path_);
    if (fd >= 0) {
        use(fd);
        return true;
    }
    if (log_) log_(fmt::format("access log {}: {}; still writing to the old file", path_, std::strerror(errno)), true);
    return false;
}

void AccessLogFile::tend() {
    if (fd_ < 0) {
        const int fd = open_log(path_);
        if (fd >= 0) use(fd);
        return;
    }
    struct stat status;
    if (!regular_ || is_own(path_) || fstat(fd_, &status) != 0 || status.st_nlink != 0) return;
    if (reopen() && log_) log_(fmt::format("access log {}: somebody deleted it; a new one is written", path_), true);
}

void AccessLogFile::flush() {
    if (batch_.empty()) return;
    if (mid_line_) batch_.insert(0, 1, '\n');
    size_t done = 0;
    const int error = fd_ < 0 ? ENXIO : write_all(batch_.data(), batch_.size(), done);
    totals_.bytes.add(done);
    if (error == 0) {
        totals_.lines.add(batch_lines_);
        mid_line_ = false;
    } else {
        auto whole = static_cast<uint32_t>(std::count(batch_.begin(), batch_.begin() + static_cast<ptrdiff_t>(done), '\n'));
        if (mid_line_ && whole) whole--;      // the newline that ended the cut line
        totals_.lines.add(whole);
        totals_.write_failed.add(batch_lines_ - whole);
        lost_ += batch_lines_ - whole;
        if (done) mid_line_ = batch_[done - 1] != '\n';
    }
    report(error != 0, error);
    batch_.clear();
    batch_lines_ = 0;
    if (error != EPIPE || is_own(path_)) return;
    close(fd_);   // a pipe whose reader left: tend() looks for the next one
    fd_ = -1;
}

int AccessLogFile::write_all(const char* data, size_t size, size_t& done) {
    while (done < size) {
        size_t piece = size - done;
        if (!regular_) {
            pollfd ready{fd_, POLLOUT, 0};
            const int n = poll(&ready, 1, failing_ ? 0 : kStuckMs);
            if (n == 0) return ETIMEDOUT;
            if (n < 0) {
                if (errno == EINTR) continue;
                return errno;
            }
            piece = std::min<size_t>(piece, PIPE_BUF);
        }
        const ssize_t n = socket_ ? send(fd_, data + done, piece, MSG_DONTWAIT | MSG_NOSIGNAL) : ::write(fd_, data + done, piece);
        if (n > 0) done += static_cast<size_t>(n);
        else if (n < 0 && socket_ && errno == EAGAIN) return ETIMEDOUT;   // room for less than a piece
        else if (n < 0 && errno != EINTR && errno != EAGAIN) return errno;
    }
    return 0;
}

void AccessLogFile::report(bool failing, int error) {
    if (failing == failing_) return;
    failing_ = failing;
    const uint64_t lost = failing ? 0 : lost_;
    if (!failing) lost_ = 0;
    if (!log_) return;
    if (failing) {
        const char* why = error == ETIMEDOUT ? "its reader takes nothing" : error == ENXIO ? "nobody reads this pipe" : std::strerror(error);
        log_(fmt::format("access log {}: {}; lines are being dropped", path_, why), true);
    } else {
        log_(fmt::format("access log {}: written again; lines lost: {}", path_, lost), false);
    }
}

}  // namespace sluice::telemetry
