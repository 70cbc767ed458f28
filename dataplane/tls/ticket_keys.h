// The keys that session tickets are sealed with: made and rotated by the control thread, shared by all cores and server contexts.
// The newest seals, it and those before it open until they are too old. RFC 5077 4, RFC 8446 4.6.1.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace sluice::tls {

class TicketKeys {
 public:
    struct Key {
        std::array<uint8_t, 16> name{};
        std::array<uint8_t, 32> aes{}, hmac{};
        int64_t made_s = 0;
    };
    /// Keys open for `lifetime_s` after they were replaced, at most `keys_max` of them.
    explicit TicketKeys(int64_t lifetime_s = 24 * 3600, uint32_t keys_max = 8);
    ~TicketKeys();   // wipes
    /// A new random key seals from now on.
    void rotate(int64_t now_s);
    /// Keys from outside (several gateways behind one address), the first seals; wipes what was there.
    void set(std::vector<Key> keys);
    /// False: there is none. Any handshake thread.
    bool sealing_key(Key& out) const;
    /// False: unknown or too old. `*renew`: it is not the newest.
    bool opening_key(const uint8_t name[16], Key& out, bool* renew, int64_t now_s) const;

 private:
    mutable std::mutex mutex_;   // handshake threads only; never a worker
    std::vector<Key> keys_;
    int64_t lifetime_s_;
    uint32_t keys_max_;
};

}  // namespace sluice::tls
