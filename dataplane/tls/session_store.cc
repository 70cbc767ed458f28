// Kept sessions (see session_store.h).
#include "tls/session_store.h"

#include <algorithm>

namespace sluice::tls {

namespace {

bool is_good(const SessionStore::Kept& kept, int64_t now_s) {
    const SSL_SESSION* session = kept.session.get();
    const int64_t hint_s = static_cast<int64_t>(SSL_SESSION_get_ticket_lifetime_hint(session));
    int64_t lifetime_s = static_cast<int64_t>(SSL_SESSION_get_timeout(session));
    if (hint_s > 0) lifetime_s = std::min(lifetime_s, hint_s);
    return kept.good_until_s > now_s && SSL_SESSION_is_resumable(session) == 1 && static_cast<int64_t>(SSL_SESSION_get_time(session)) + lifetime_s > now_s;
}

}  // namespace

SessionStore::Peers::iterator SessionStore::find(std::string_view key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return peers_.end();
    peers_.splice(peers_.begin(), peers_, found->second);
    return peers_.begin();
}

void SessionStore::put(std::string_view peer, Kept kept) {
    if (sessions_max_ == 0) return;
    const std::lock_guard lock(mutex_);
    auto at = find(peer);
    if (at == peers_.end()) {
        if (peers_.size() >= peers_max_) {
            index_.erase(peers_.back().key);
            peers_.pop_back();
        }
        peers_.push_front({std::string(peer), {}});
        at = peers_.begin();
        index_.emplace(at->key, at);
    }
    at->sessions.push_back(std::move(kept));
    if (at->sessions.size() > sessions_max_) at->sessions.pop_front();
}

SessionStore::Kept SessionStore::take(std::string_view peer, int64_t now_s) {
    const std::lock_guard lock(mutex_);
    const auto at = find(peer);
    if (at == peers_.end()) return {};
    while (!at->sessions.empty()) {
        const Kept& newest = at->sessions.back();
        if (is_good(newest, now_s) && SSL_SESSION_get_protocol_version(newest.session.get()) < TLS1_3_VERSION) {
            // A copy: OpenSSL writes into a session that is renewed.
            return {SessionPtr(SSL_SESSION_dup(newest.session.get())), newest.good_until_s};
        }
        Kept kept = std::move(at->sessions.back());
        at->sessions.pop_back();
        if (is_good(kept, now_s)) return kept;
    }
    return {};
}

void SessionStore::forget(std::string_view peer) {
    const std::lock_guard lock(mutex_);
    const auto at = find(peer);
    if (at != peers_.end()) at->sessions.clear();
}

uint32_t SessionStore::peers() const {
    const std::lock_guard lock(mutex_);
    return static_cast<uint32_t>(peers_.size());
}

}  // namespace sluice::tls
