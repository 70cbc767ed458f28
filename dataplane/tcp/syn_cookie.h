// SYN cookies: an ISN that holds a handshake's state, so that a flood costs no memory (RFC 4987 3.6).
// In: a SYN's tuple, ISN, MSS, options and the time. Out: an ISN and a timestamp; later the same back from the ACK.
// Owns a key. Bits of the ISN: 5 for a 64-second count, 3 for the MSS, 24 of a keyed hash.
// Window shift, SACK and ECN ride in the low 6 bits of our timestamp, where the peer uses timestamps.
// A small table remembers which cookies were redeemed, so that a repeated ACK does not open a connection again.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/ip_address.h"
#include "base/seq.h"
#include "base/siphash.h"
#include "base/time.h"

namespace sluice::tcp {

struct CookieOptions {
    uint16_t mss = 536;
    bool sack = false, ecn = false;
    std::optional<uint8_t> window_shift;
};

class SynCookies {
 public:
    explicit SynCookies(const SipKey& key) : key_(key) {}

    Seq make(const FourTuple& tuple, Seq peer_isn, uint16_t mss, Instant now) const;
    /// MSS if `cookie` is one of ours and at most two minutes old.
    std::optional<uint16_t> check(const FourTuple& tuple, Seq peer_isn, Seq cookie, Instant now) const;

    /// True the first time. Best effort: the table holds the last 4,096, more or less, and its keyed hash lets nobody choose
    /// whose place to take.
    bool redeem(const FourTuple& tuple, Seq cookie);

    static constexpr uint32_t kTimestampMask = 0x3f;
    static uint32_t stamp(uint32_t timestamp, const CookieOptions& options);
    static CookieOptions unstamp(uint32_t timestamp);

 private:
    uint32_t hash(const FourTuple& tuple, Seq peer_isn, uint32_t count, uint32_t mss_index) const;
    SipKey key_;
    static constexpr uint32_t kWays = 4;
    std::array<std::array<uint32_t, kWays>, 1024> redeemed_{};  // in each set the latest first
};

}  // namespace sluice::tcp
