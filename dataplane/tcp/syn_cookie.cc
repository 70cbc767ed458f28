// Making and checking SYN cookies. Only values in the table below can be offered as MSS: the next lower one is taken.
// In and out: see syn_cookie.h. No memory of its own. RFC 4987 3.6 and appendix A.
#include "tcp/syn_cookie.h"

#include <algorithm>
#include <cstring>

namespace sluice::tcp {

namespace {
constexpr std::array<uint16_t, 8> kMssTable{216, 536, 1024, 1220, 1360, 1440, 1460, 8960};
constexpr uint32_t kCountMask = 0x1f;
constexpr uint32_t kNoShift = 0xf;

uint32_t count_at(Instant now) { return static_cast<uint32_t>(now.us >> 26); }  // 67 seconds
}  // namespace

uint32_t SynCookies::hash(const FourTuple& tuple, Seq peer_isn, uint32_t count, uint32_t mss_index) const {
    SipHash24 h(key_);
    for (const IpAddress* ip : {&tuple.local.ip, &tuple.remote.ip}) {
        uint64_t words[2];
        std::memcpy(words, ip->bytes.data(), 16);
        h.word(words[0]);
        h.word(words[1]);
    }
    h.word(static_cast<uint64_t>(tuple.local.port) << 48 | static_cast<uint64_t>(tuple.remote.port) << 32 | peer_isn.v);
    h.word(static_cast<uint64_t>(count) << 32 | mss_index);
    return static_cast<uint32_t>(h.finish()) & 0xffffff;
}

Seq SynCookies::make(const FourTuple& tuple, Seq peer_isn, uint16_t mss, Instant now) const {
    uint32_t index = kMssTable.size() - 1;
    while (index > 0 && kMssTable[index] > mss) index--;
    const uint32_t count = count_at(now);
    return Seq{(count & kCountMask) << 27 | index << 24 | hash(tuple, peer_isn, count, index)};
}

std::optional<uint16_t> SynCookies::check(const FourTuple& tuple, Seq peer_isn, Seq cookie, Instant now) const {
    const uint32_t index = cookie.v >> 24 & 7;
    const uint32_t age = (count_at(now) - (cookie.v >> 27)) & kCountMask;
    if (age > 1) return std::nullopt;
    if (hash(tuple, peer_isn, count_at(now) - age, index) != (cookie.v & 0xffffff)) return std::nullopt;
    return kMssTable[index];
}

bool SynCookies::redeem(const FourTuple& tuple, Seq cookie) {
    SipHash24 h(key_);
    uint64_t words[2];
    std::memcpy(words, tuple.remote.ip.bytes.data(), 16);
    h.word(words[0]);
    h.word(words[1]);
    const uint64_t mark = h.finish(static_cast<uint64_t>(cookie.v) << 16 | tuple.remote.port, 6);
    auto& set = redeemed_[mark >> 32 & (redeemed_.size() - 1)];
    const uint32_t name = static_cast<uint32_t>(mark) | 1;  // 0: empty
    if (std::find(set.begin(), set.end(), name) != set.end()) return false;
    std::copy_backward(set.begin(), set.end() - 1, set.end());
    set[0] = name;
    return true;
}

uint32_t SynCookies::stamp(uint32_t timestamp, const CookieOptions& options) {
    const uint32_t bits = (options.ecn ? 0x20u : 0) | (options.sack ? 0x10u : 0) | (options.window_shift ? *options.window_shift : kNoShift);
    const uint32_t stamped = (timestamp & ~kTimestampMask) | bits;
    // Never ahead of the clock, or what is sent next would seem old (RFC 7323 5.3).
    return static_cast<int32_t>(stamped - timestamp) > 0 ? stamped - (kTimestampMask + 1) : stamped;
}

CookieOptions SynCookies::unstamp(uint32_t timestamp) {
    CookieOptions options;
    options.ecn = (timestamp & 0x20) != 0;
    options.sack = (timestamp & 0x10) != 0;
    if ((timestamp & 0xf) != kNoShift) options.window_shift = static_cast<uint8_t>(timestamp & 0xf);
    return options;
}

}  // namespace sluice::tcp
