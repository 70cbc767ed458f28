// Keeping, filtering and handing out (see recent_log.h).
#include "ctrl/admin/recent_log.h"

#include <algorithm>
#include <chrono>

#include "http/message.h"

namespace sluice::admin {

namespace {
std::string_view without_port(std::string_view host) {
    const size_t colon = host.rfind(':');
    return colon == host.npos || host.ends_with(']') ? host : host.substr(0, colon);
}

bool match(const RecentFilter& f, uint32_t flags, uint16_t status, std::string_view authority, std::string_view path) {
    return (f.flags == 0 || (flags & f.flags) != 0) && status >= f.status_min && status <= f.status_max &&
           (f.host.empty() || http::iequals(without_port(authority), f.host)) && path.starts_with(f.path);
}

/// As the client sent it.
std::string_view sent_path(const AccessLogEntry& e) { return e.original_path.empty() ? e.path : e.original_path; }
}  // namespace

void RecentRecord::set(const AccessLogEntry& e) {
    start_unix_us = e.start_unix_us, duration_us = e.duration_us, upstream_response_us = e.upstream_response_us;
    method = e.method, path = sent_path(e), authority = e.authority, route_name = e.route_name, cluster = e.cluster;
    reason = e.reason, details = e.details, listener = e.listener, user_agent = e.user_agent, request_id = e.request_id;
    status = e.status, core = e.core, flags = e.flags & ~telemetry::kNotForTheFile, attempts = e.attempts;
    bytes_received = e.bytes_received, bytes_sent = e.bytes_sent;
    downstream_remote = e.downstream_remote, upstream_remote = e.upstream_remote;
}

bool RecentFilter::matches(const AccessLogEntry& e) const { return match(*this, e.flags, e.status, e.authority, sent_path(e)); }
bool RecentFilter::matches(const RecentRecord& r) const { return match(*this, r.flags, r.status, r.authority, r.path); }

void RecentLog::add(const AccessLogEntry& entry) {
    const std::lock_guard lock(mutex_);
    all_.add(entry);
    if (failed(entry)) failed_.add(entry);
    for (const auto& follower : followers_) {
        if (!follower->filter.matches(entry)) continue;
        const std::lock_guard inner(follower->mutex);
        if (follower->queue.size() >= kQueued) {
            follower->lost_++;
            lost_++;
            continue;
        }
        follower->queue.emplace_back().set(entry);
        follower->came.notify_one();
    }
}

std::shared_ptr<RecentLog::Follower> RecentLog::follow(RecentFilter filter, uint32_t history) {
    const std::lock_guard lock(mutex_);
    if (followers_.size() >= kFollowersMax) return nullptr;
    auto follower = std::make_shared<Follower>();
    follower->filter = std::move(filter);
    // Newest first out of both; what failed is in both while it is recent: it is one record by its start and request.
    std::vector<const RecentRecord*> found;
    for (const History* kept : {&all_, &failed_})
        for (uint64_t i = 0; i < std::min<uint64_t>(kept->count, kHistory); i++) {
            const RecentRecord& record = kept->records[(kept->count - 1 - i) % kHistory];
            if (kept == &failed_ && all_.count > 0) {
                const RecentRecord& oldest = all_.records[all_.count > kHistory ? all_.count % kHistory : 0];
                if (record.start_unix_us + record.duration_us >= oldest.start_unix_us + oldest.duration_us) continue;
            }
            if (follower->filter.matches(record)) found.push_back(&record);
        }
    std::stable_sort(found.begin(), found.end(), [](const RecentRecord* a, const RecentRecord* b) {
        return a->start_unix_us + a->duration_us < b->start_unix_us + b->duration_us;
    });
    for (size_t i = found.size() > history ? found.size() - history : 0; i < found.size(); i++) follower->queue.push_back(*found[i]);
    followers_.push_back(follower);
    for (AccessLogRing* ring : rings_) ring->want_all(true);
    return follower;
}

void RecentLog::unfollow(const std::shared_ptr<Follower>& follower) {
    const std::lock_guard lock(mutex_);
    std::erase(followers_, follower);
    if (followers_.empty())
        for (AccessLogRing* ring : rings_) ring->want_all(false);
}

uint64_t RecentLog::lost() const {
    const std::lock_guard lock(mutex_);
    return lost_;
}

bool RecentLog::Follower::next(RecentRecord& record, uint64_t& lost, uint32_t wait_ms) {
    std::unique_lock lock(mutex);
    came.wait_for(lock, std::chrono::milliseconds(wait_ms), [this] { return !queue.empty() || lost_ != 0; });
    lost = std::exchange(lost_, 0);
    if (queue.empty()) return false;
    record = std::move(queue.front());
    queue.pop_front();
    return true;
}

std::optional<uint32_t> response_flags_of(std::string_view names) {
    uint32_t all = 0;
    while (!names.empty()) {
        const std::string_view name = names.substr(0, names.find(','));
        names.remove_prefix(std::min(names.size(), name.size() + 1));
        uint32_t bit = 0;
        for (uint32_t flag = 1; flag != 0 && bit == 0; flag <<= 1)
            if (telemetry::response_flags(flag) == name && name != "-") bit = flag;
        if (bit == 0) return std::nullopt;
        all |= bit;
    }
    return all;
}

}  // namespace sluice::admin
