// Peers' identities of one core, each kept once however many connections have it: in a mesh few workloads make many connections, and
// one identity takes a kilobyte. In: what a handshake proved. Out: a reference counted share of it. Owns the identities; entries come
// from a pool sized at start. Single core.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/pool.h"
#include "tls/identity.h"

namespace sluice::proxy {

class Identities {
 public:
    struct Entry {
        std::unique_ptr<const tls::PeerIdentity> identity;
        Entry* next = nullptr;
        uint32_t uses = 0;
    };
    /// `max`: connections there may be.
    explicit Identities(uint32_t max);
    /// Takes a use. nullptr: no certificate was presented, there is nothing to be kept.
    Entry* share(std::unique_ptr<const tls::PeerIdentity> identity);
    void release(Entry* entry);
    /// Of an entry, or of a peer that presented nothing.
    static const tls::PeerIdentity& of(const Entry* entry);
    uint32_t distinct() const { return entries_.in_use(); }

 private:
    Entry*& bucket(const tls::PeerIdentity& identity);
    Pool<Entry> entries_;
    std::vector<Entry*> buckets_;
};

}  // namespace sluice::proxy
