// A hash table by the leaf's fingerprint.
#include "proxy/identities.h"

#include <bit>
#include <functional>

namespace sluice::proxy {
namespace {

constexpr uint32_t kBucketsMax = 4096;

/// One certificate may have been verified by one listener and accepted untrusted by another; texts for headers are there on demand.
bool same(const tls::PeerIdentity& a, const tls::PeerIdentity& b) {
    return a.sha256 == b.sha256 && a.verified == b.verified && a.spiffe.text == b.spiffe.text &&
           a.pem_url_encoded.size() == b.pem_url_encoded.size() && a.chain_url_encoded == b.chain_url_encoded;
}

}  // namespace

Identities::Identities(uint32_t max) : entries_(max), buckets_(std::bit_ceil(std::clamp(max / 4, 16u, kBucketsMax))) {}

const tls::PeerIdentity& Identities::of(const Entry* entry) {
    static const tls::PeerIdentity nobody;
    return entry ? *entry->identity : nobody;
}

Identities::Entry*& Identities::bucket(const tls::PeerIdentity& identity) {
    return buckets_[std::hash<std::string>()(identity.sha256) & (buckets_.size() - 1)];
}

Identities::Entry* Identities::share(std::unique_ptr<const tls::PeerIdentity> identity) {
    if (!identity || !identity->presented) return nullptr;
    Entry*& first = bucket(*identity);
    for (Entry* entry = first; entry; entry = entry->next) {
        if (!same(*entry->identity, *identity)) continue;
        entry->uses++;
        return entry;
    }
    Entry* entry = entries_.take();
    if (!entry) return nullptr;   // cannot be: as many as connections
    entry->identity = std::move(identity);
    entry->uses = 1;
    entry->next = first;
    return first = entry;
}

void Identities::release(Entry* entry) {
    if (!entry || --entry->uses > 0) return;
    Entry** link = &bucket(*entry->identity);
    while (*link != entry) link = &(*link)->next;
    *link = entry->next;
    entries_.give(entry);
}

}  // namespace sluice::proxy
