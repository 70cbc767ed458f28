// The telemetry thread's part of the access log: drains every core's ring, filters, formats, writes in batches to files.
// In: rings, sets of logs. Out: lines. Never slows a worker: what cannot be written is dropped and counted, and the rings
// drop when this thread is behind. Rings outlive the writer. turn() is for one thread; the rest for any.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "telemetry/access_log_file.h"
#include "telemetry/access_log_format.h"
#include "telemetry/access_log_ring.h"
#include "telemetry/access_log_set.h"

namespace sluice::telemetry {

class AccessLogWriter {
 public:
    struct Options {
        std::string path = "/dev/stdout";     // /dev/stdout and /dev/stderr are the process's own; "" = no log
        AccessLogFormat format = AccessLogFormat::text();
        uint32_t batch_bytes = 256 * 1024;    // formatted before a write
        uint32_t idle_us = 5000;              // sleep between turns that found little: a line waits no longer than that
        uint32_t tend_us = 1'000'000;         // between looks at files and rings
        std::function<void(const AccessLogEntry&)> also;   // is shown every entry, also those that are not for the file
    };
    /// Called when writing starts to fail or works again; at most once per change.
    using Log = AccessLogFile::Log;

    /// Opens the file; says why it cannot.
    static Result<std::unique_ptr<AccessLogWriter>> open(Options options, std::vector<AccessLogRing*> rings, Log log = {});
    /// Drains what is left (within a second) and stops.
    ~AccessLogWriter();
    AccessLogWriter(const AccessLogWriter&) = delete;
    AccessLogWriter& operator=(const AccessLogWriter&) = delete;

    /// Before a snapshot with this set is published: opens its files; says why it cannot. The set stays known until nobody but the
    /// writer holds it and all its records are written.
    Result<void> use(const std::shared_ptr<const AccessLogSet>& set);

    void start();                             // the thread: turn() until stopped
    void stop();
    /// One round over the rings; returns how many entries were taken. For start() or for tests without a thread.
    uint32_t turn();

    /// After logrotate moved the files: the next turn opens their paths again. Keeps an old file when that fails.
    void reopen() { reopen_wanted_.store(true, std::memory_order_release); }
    /// Counts reopenings of all files that were done, so that a caller can wait for its own.
    uint64_t reopened() const { return reopened_.get(); }

    uint64_t lines() const { return totals_.lines.get(); }                   // written in full
    uint64_t bytes() const { return totals_.bytes.get(); }
    uint64_t write_failed() const { return totals_.write_failed.get(); }     // lines lost to a failing or stuck file
    uint64_t dropped() const;                 // by full rings, all cores
    uint64_t truncated() const;
    const std::string& path() const { return options_.path; }
    uint32_t files() const { return files_open_.load(std::memory_order_relaxed); }

 private:
    struct Known {
        std::shared_ptr<const AccessLogSet> set;
        std::vector<AccessLogFile*> files;    // one for each of its logs
        std::vector<uint64_t> last_record;    // of each ring, when nobody else held the set any more; empty: somebody does
    };

    AccessLogWriter(Options options, std::vector<AccessLogRing*> rings, Log log);
    void adopt();
    void write(const AccessLogEntry& entry);
    void run();
    void tend();
    void forget_unused();
    void report_drops();

    Options options_;
    const std::vector<AccessLogRing*> rings_;
    const Log log_;
    AccessLogFile::Totals totals_;
    std::vector<std::unique_ptr<AccessLogFile>> files_;
    std::unordered_map<uint32_t, Known> known_;
    std::chrono::steady_clock::time_point tended_{};
    uint64_t drops_seen_ = 0, drops_before_ = 0;
    bool dropping_ = false;

    std::mutex mutex_;                        // of what use() leaves for the next turn
    std::vector<std::unique_ptr<AccessLogFile>> new_files_;
    std::vector<std::shared_ptr<const AccessLogSet>> new_sets_;
    std::unordered_set<std::string> paths_;   // open, or about to be
    std::atomic<bool> news_{false};
    std::atomic<uint32_t> files_open_{0};

    std::atomic<bool> reopen_wanted_{false}, stopping_{false};
    Counter reopened_;
    std::thread thread_;
};

}  // namespace sluice::telemetry
