// What sluicectl log tail reads: the last requests, those that failed apart, and whoever follows the log now. In: entries, from
// the telemetry thread. Out: copies, to a few followers with a filter each. Everything is bounded: a follower that reads slowly
// loses records and is told how many. Workers notice nothing but whether they are to tell of every request.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "telemetry/access_log.h"
#include "telemetry/access_log_ring.h"

namespace sluice::admin {

using telemetry::AccessLogEntry;
using telemetry::AccessLogRing;

/// An entry that owns its texts.
struct RecentRecord {
    uint64_t start_unix_us = 0, duration_us = 0, upstream_response_us = 0;
    std::string method, path, authority, route_name, cluster, reason, details, listener, user_agent, request_id;
    uint16_t status = 0, core = 0;
    uint32_t flags = 0, attempts = 0;
    uint64_t bytes_received = 0, bytes_sent = 0;
    SocketAddress downstream_remote, upstream_remote;

    void set(const AccessLogEntry& entry);
};

struct RecentFilter {
    uint32_t flags = 0;                        // any of these; 0: all
    uint16_t status_min = 0, status_max = UINT16_MAX;
    std::string host;                          // of the request, without port, any case; empty: all
    std::string path;                          // how it begins
    bool matches(const AccessLogEntry& entry) const;
    bool matches(const RecentRecord& record) const;
};

class RecentLog {
 public:
    static constexpr uint32_t kHistory = 1000, kFollowersMax = 4, kQueued = 2000;

    class Follower {
     public:
        /// The next record, waiting for one at most `wait_ms`. `lost`: how many fell out before it since the last call.
        bool next(RecentRecord& record, uint64_t& lost, uint32_t wait_ms);

     private:
        friend class RecentLog;
        RecentFilter filter;
        std::mutex mutex;
        std::condition_variable came;
        std::deque<RecentRecord> queue;
        uint64_t lost_ = 0;
    };

    /// `rings`: whose workers are told to push every request while somebody follows.
    explicit RecentLog(std::vector<AccessLogRing*> rings = {}) : rings_(std::move(rings)) {}

    /// Telemetry thread.
    void add(const AccessLogEntry& entry);

    /// Any thread. The follower begins with the last `history` records that match. Null: too many follow already.
    std::shared_ptr<Follower> follow(RecentFilter filter, uint32_t history);
    void unfollow(const std::shared_ptr<Follower>& follower);
    /// Records that followers lost, all of them together.
    uint64_t lost() const;

 private:
    /// The last kHistory, overwritten in turn: their strings keep their memory.
    struct History {
        std::vector<RecentRecord> records = std::vector<RecentRecord>(kHistory);
        uint64_t count = 0;
        void add(const AccessLogEntry& entry) { records[count++ % kHistory].set(entry); }
    };
    mutable std::mutex mutex_;
    History all_, failed_;
    std::vector<std::shared_ptr<Follower>> followers_;
    std::vector<AccessLogRing*> rings_;
    uint64_t lost_ = 0;
};

/// Whether a request is kept among those that failed.
inline bool failed(const AccessLogEntry& entry) { return (entry.flags & ~telemetry::kNotForTheFile) != 0 || entry.status >= 500; }

/// The bits of "UF,URX"; nullopt: one of them is no response flag.
std::optional<uint32_t> response_flags_of(std::string_view names);

}  // namespace sluice::admin
