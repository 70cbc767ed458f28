// Sessions of a client that may be resumed, by peer: several of each, since a TLS 1.3 ticket is used once. Bounded in peers and in
// sessions of one; the peer used longest ago gives way. Locked: handshake threads share it (and workers only where handshakes are inline).
// RFC 8446 4.6.1, C.4.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "tls/openssl_ptr.h"

namespace sluice::tls {

class SessionStore {
 public:
    static constexpr uint32_t kPeersMax = 4096;
    /// `sessions_max`: kept for one peer; 0: none at all.
    explicit SessionStore(uint32_t sessions_max, uint32_t peers_max = kPeersMax) : sessions_max_(sessions_max), peers_max_(peers_max) {}

    /// `good_until_s`: when the first certificate ends of the chain that the server showed; a session keeps the leaf alone.
    struct Kept {
        SessionPtr session;                // nullptr: none
        int64_t good_until_s = 0;
    };
    void put(std::string_view peer, Kept kept);
    /// The newest that is still good at `now_s`; a TLS 1.3 session is taken away, one of 1.2 may be used again.
    Kept take(std::string_view peer, int64_t now_s);
    /// A session that the server did not take: it and its like are useless.
    void forget(std::string_view peer);
    uint32_t peers() const;

 private:
    struct Peer {
        std::string key;
        std::deque<Kept> sessions;         // oldest first
    };
    using Peers = std::list<Peer>;         // used last, first
    Peers::iterator find(std::string_view key);

    mutable std::mutex mutex_;
    uint32_t sessions_max_, peers_max_;
    Peers peers_;
    std::unordered_map<std::string_view, Peers::iterator> index_;   // keys lie in peers_
};

}  // namespace sluice::tls
