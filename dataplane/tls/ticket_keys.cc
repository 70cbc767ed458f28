// Rotation of the keys of session tickets (see ticket_keys.h). `made_s` of the key that replaced one is when that one stopped sealing.
#include "tls/ticket_keys.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>

namespace sluice::tls {

namespace {

void wipe(TicketKeys::Key& key) { OPENSSL_cleanse(&key, sizeof key); }

/// Of a key whose successor is `next`. Keys from outside may bear no time: whoever set them takes them away again.
bool too_old(const TicketKeys::Key& next, int64_t lifetime_s, int64_t now_s) { return next.made_s > 0 && next.made_s + lifetime_s <= now_s; }

}  // namespace

TicketKeys::TicketKeys(int64_t lifetime_s, uint32_t keys_max) : lifetime_s_(lifetime_s), keys_max_(std::max(keys_max, 1u)) {
    keys_.reserve(keys_max_ + 1);   // a vector that grows would leave copies of keys behind
}

TicketKeys::~TicketKeys() {
    for (Key& key : keys_) wipe(key);
}

void TicketKeys::rotate(int64_t now_s) {
    Key key;
    key.made_s = now_s;
    const bool drawn = RAND_bytes(key.name.data(), static_cast<int>(key.name.size())) == 1 &&
                       RAND_priv_bytes(key.aes.data(), static_cast<int>(key.aes.size())) == 1 &&
                       RAND_priv_bytes(key.hmac.data(), static_cast<int>(key.hmac.size())) == 1;
    if (drawn) {   // without randomness the old key stays: no ticket is sealed with a key that could be guessed
        const std::lock_guard lock(mutex_);
        keys_.insert(keys_.begin(), key);
        const auto dead = [&](size_t i) { return i >= keys_max_ || (i > 0 && too_old(keys_[i - 1], lifetime_s_, now_s)); };
        while (keys_.size() > 1 && dead(keys_.size() - 1)) {
            wipe(keys_.back());
            keys_.pop_back();
        }
    }
    wipe(key);
}

void TicketKeys::set(std::vector<Key> keys) {
    const std::lock_guard lock(mutex_);
    for (Key& key : keys_) wipe(key);
    keys_.clear();
    for (size_t i = 0; i < keys.size() && i < keys_max_; i++) keys_.push_back(keys[i]);
    for (Key& key : keys) wipe(key);
}

bool TicketKeys::sealing_key(Key& out) const {
    const std::lock_guard lock(mutex_);
    if (keys_.empty()) return false;
    out = keys_.front();
    return true;
}

bool TicketKeys::opening_key(const uint8_t name[16], Key& out, bool* renew, int64_t now_s) const {
    const std::lock_guard lock(mutex_);
    for (size_t i = 0; i < keys_.size(); i++) {
        if (std::memcmp(keys_[i].name.data(), name, keys_[i].name.size()) != 0) continue;
        if (i > 0 && too_old(keys_[i - 1], lifetime_s_, now_s)) return false;   // replaced too long ago
        out = keys_[i];
        *renew = i > 0;
        return true;
    }
    return false;
}

}  // namespace sluice::tls
