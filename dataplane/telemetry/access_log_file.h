// One file, pipe or terminal that access log lines go to. In: lines. Out: writes in batches, and words when it begins to fail and
// when it works again. A file that is full, a reader that is stuck or gone costs lines, which are counted, and never more than
// 200 ms once. For the telemetry thread; open() for any one thread before.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "telemetry/stat_array.h"

namespace sluice::telemetry {

class AccessLogFile {
 public:
    using Log = std::function<void(const std::string& text, bool error)>;
    /// Of all files of a writer together.
    struct Totals {
        Counter lines, bytes, write_failed;
    };

    /// /dev/stdout and /dev/stderr are the process's own.
    AccessLogFile(std::string path, uint32_t batch_bytes, const Log& log, Totals& totals);
    ~AccessLogFile();
    AccessLogFile(const AccessLogFile&) = delete;
    AccessLogFile& operator=(const AccessLogFile&) = delete;

    /// Says why it cannot. A pipe that nobody reads yet is no error: lines are dropped until somebody does.
    Result<void> open();
    /// Append a line to this, then call line_added().
    std::string& batch() { return batch_; }
    void line_added();
    void flush();
    /// After logrotate moved the file. Keeps the old one when that fails, and says so.
    bool reopen();
    /// Now and then: looks for a pipe's reader, and opens a new file where somebody deleted this one.
    void tend();
    const std::string& path() const { return path_; }

 private:
    void use(int fd);
    /// 0, or errno. Waits for a slow reader of a pipe at most once while it is stuck.
    int write_all(const char* data, size_t size, size_t& done);
    void report(bool failing, int error);

    const std::string path_;
    const uint32_t batch_bytes_;
    const Log& log_;
    Totals& totals_;
    int fd_ = -1;
    bool regular_ = false, socket_ = false, failing_ = false, mid_line_ = false;
    std::string batch_;
    uint32_t batch_lines_ = 0;
    uint64_t lost_ = 0;   // since it began to fail
};

}  // namespace sluice::telemetry
