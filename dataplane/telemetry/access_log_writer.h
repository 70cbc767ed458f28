// The telemetry thread's part of the access log: drains every core's ring, formats, writes in batches to a file or stdout.
// In: rings, a format, a path. Out: lines. Never slows a worker: what cannot be written is dropped and counted, and the rings
// drop when this thread is behind. Rings outlive the writer. turn() is for one thread; the rest for any.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "telemetry/access_log_format.h"
#include "telemetry/access_log_ring.h"
#include "telemetry/recent_log.h"

namespace sluice::telemetry {

class AccessLogWriter {
 public:
    struct Options {
        std::string path = "/dev/stdout";     // /dev/stdout and /dev/stderr are the process's own; "" = no log
        AccessLogFormat format = AccessLogFormat::text();
        uint32_t batch_bytes = 256 * 1024;    // formatted before a write
        uint32_t idle_us = 5000;              // sleep between turns that found little
        RecentLog* recent = nullptr;          // gets every entry, also those that are not for the file
    };
    /// Called on the writer's thread when writing starts to fail or works again; at most once per change.
    using Log = std::function<void(const std::string& text, bool error)>;

    /// Opens the file; says why it cannot.
    static Result<std::unique_ptr<AccessLogWriter>> open(Options options, std::vector<AccessLogRing*> rings, Log log = {});
    /// Drains what is left (within a second) and stops.
    ~AccessLogWriter();
    AccessLogWriter(const AccessLogWriter&) = delete;
    AccessLogWriter& operator=(const AccessLogWriter&) = delete;

    void start();                             // the thread: turn() until stopped
    void stop();
    /// One round over the rings; returns how many lines were made. For start() or for tests without a thread.
    uint32_t turn();

    /// After logrotate moved the file: the next turn opens the path again. Keeps the old file when that fails.
    void reopen() { reopen_wanted_.store(true, std::memory_order_release); }
    /// Counts reopenings that were done, so that a caller can wait for its own.
    uint64_t reopened() const { return reopened_.get(); }

    uint64_t lines() const { return lines_.get(); }            // written in full
    uint64_t bytes() const { return bytes_.get(); }
    uint64_t write_failed() const { return write_failed_.get(); }   // lines lost to a failing or stuck file
    uint64_t dropped() const;                 // by full rings, all cores
    uint64_t truncated() const;
    const std::string& path() const { return options_.path; }

 private:
    AccessLogWriter(Options options, std::vector<AccessLogRing*> rings, Log log, int fd);
    void run();
    void do_reopen();
    void flush();
    /// 0, or errno. Waits for a slow reader of a pipe at most kStuckMs.
    int write_all(const char* data, size_t size, size_t& done);
    void report(bool failing, int error);

    Options options_;
    std::vector<AccessLogRing*> rings_;
    Log log_;
    int fd_;
    bool regular_file_ = false, failing_ = false, mid_line_ = false;
    std::string batch_;
    uint32_t batch_lines_ = 0;
    std::atomic<bool> reopen_wanted_{false}, stopping_{false};
    Counter lines_, bytes_, write_failed_, reopened_;
    std::thread thread_;
};

}  // namespace sluice::telemetry
