// Finding out what size of packet the path takes without being told: black holes downward, probes upward (RFC 4821, 8899).
// In: timeouts, and what became of probes. Out: path_mtu and snd_mss of a connection, probes of new text.
// ICMP lowers the same two values (stack.cc). A probe is an ordinary segment of text, larger than the others: if it is lost,
// its bytes are sent again in segments that fit, and cwnd is left alone, for its size and not congestion lost it (RFC 4821 7.6.2).
#include <algorithm>
#include <array>

#include "tcp/stack_impl.h"

namespace sluice::tcp {

namespace {

/// Sizes worth trying, from the top: Ethernets, then what tunnels leave of 1500. The first stands for mtu_max.
constexpr std::array<uint16_t, 12> kLadder{0, 9000, 4352, 1500, 1492, 1480, 1454, 1420, 1400, 1360, 1280, 1006};
constexpr uint16_t kBaseMtu = 1280;       // passes nearly everywhere: where a black hole sends us (RFC 8899 5.1.2: BASE_PLPMTU)
constexpr uint8_t kProbeTries = 2;        // a size lost so often does not pass
constexpr Duration kAfterBlackHole = seconds(16);  // it may have been an outage

uint8_t units(Instant at) { return static_cast<uint8_t>(at.us >> 23); }  // 8.4 seconds

uint16_t candidate(const Tcb& t) { return t.mtu_rung == 0 ? t.mtu_max : kLadder[t.mtu_rung]; }

}  // namespace

/// Payload of a full segment in packets of `mtu`.
uint16_t Stack::Impl::mss_for(const Tcb& t, uint16_t mtu) const {
    uint32_t mss = std::min<uint32_t>(mtu - (t.tuple.remote.ip.is_v4() ? 40u : 60u), t.peer_mss);
    // A segment must fit into one mbuf: where payload cannot be attached, or lies in too many pieces, it is copied.
    mss = std::min(mss, rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM - kHeaderBytesMax);
    return static_cast<uint16_t>(mss - (t.timestamps ? kTimestampBytes : 0));
}

void Stack::Impl::set_path_mtu(Tcb& t, uint16_t mtu) {
    t.path_mtu = mtu;
    t.snd_mss = mss_for(t, mtu);
}

/// The path takes less than we send: larger is not tried before `wait` has passed.
void Stack::Impl::lower_path_mtu(Tcb& t, uint16_t mtu, Duration wait, Instant now) {
    set_path_mtu(t, mtu);
    search_from(t, now + wait);
}

/// From the top, not before `at`: what was told or remembered grows old (RFC 1191 6.3, RFC 8201 5.3).
void Stack::Impl::search_from(Tcb& t, Instant at) {
    t.mtu_rung = t.mtu_tries = 0;
    t.mtu_search_at = units(std::min(at, latest + kRaisePathMtuAfter));
}

/// Told by a router (RFC 1191, 8201).
void Stack::Impl::path_mtu_told(Tcb& t, uint16_t mtu, Instant now) { lower_path_mtu(t, mtu, kRaisePathMtuAfter, now); }

/// Full-sized segments time out again and again, and nobody says why: smaller ones may pass (RFC 4821 7.7).
void Stack::Impl::suspect_black_hole(Tcb& t, Instant now) {
    const uint16_t floor = t.tuple.remote.ip.is_v4() ? kPathMtuMin4 : kPathMtuMin6;
    if (!t.tx_head || (t.backoff != 2 && t.backoff != 4)) return;  // the base gets as many timeouts of its own before the floor
    const uint32_t bytes = t.tx_head->payload_bytes;
    const uint16_t smaller = t.path_mtu > kBaseMtu && bytes > mss_for(t, kBaseMtu) ? kBaseMtu : floor;
    if (t.path_mtu <= smaller || bytes <= mss_for(t, smaller)) return;
    counters.mtu_black_holes++;
    lower_path_mtu(t, smaller, kAfterBlackHole, now);
}

/// Payload of a probe that may leave now as the next new text; 0: none.
uint32_t Stack::Impl::mtu_probe_bytes(Tcb& t, Instant now) {
    const bool due = static_cast<int8_t>(units(now) - t.mtu_search_at) >= 0;
    if (!due || t.mtu_probe_out || t.recovery != Recovery::kOpen || !t.reassembly.empty() || t.has_duplicate) return 0;
    const uint32_t bytes = mss_for(t, candidate(t));
    if (bytes <= t.snd_mss) {  // the peer takes no larger segments anyway
        t.path_mtu = t.mtu_max;
        return 0;
    }
    // What follows it tells of its loss at once; without, a lost probe would cost a timeout.
    const uint32_t needed = bytes + 3u * t.snd_mss, pipe = t.pipe();
    const uint32_t room = t.congestion.cwnd > pipe ? t.congestion.cwnd - pipe : 0;
    return std::min({t.unsent_bytes, t.usable_window(), room}) < needed ? 0 : bytes;
}

void Stack::Impl::mtu_probe_sent(Tcb& t) {
    t.mtu_probe_out = true;
    counters.mtu_probes++;
}

void Stack::Impl::mtu_probe_acked(Tcb& t, TxRecord& record, Instant now) {
    record.flags = static_cast<uint8_t>(record.flags & ~TxRecord::kMtuProbe);
    if (!t.mtu_probe_out) return;
    t.mtu_probe_out = false;
    counters.mtu_raised++;
    if (t.mtu_rung != 0) t.mtu_search_at = units(now + kRaisePathMtuAfter);  // all above had failed
    set_path_mtu(t, candidate(t));
    t.mtu_rung = t.mtu_tries = 0;
}

/// Twice lost: on to the next smaller size, until none is left above what is in use.
void Stack::Impl::mtu_probe_failed(Tcb& t, TxRecord& record, Instant now) {
    record.flags = static_cast<uint8_t>(record.flags & ~TxRecord::kMtuProbe);
    if (!t.mtu_probe_out) return;
    t.mtu_probe_out = false;
    t.mtu_probe_lost = true;
    if (++t.mtu_tries < kProbeTries) return;
    const uint16_t failed = candidate(t);
    t.mtu_tries = 0;
    uint8_t rung = static_cast<uint8_t>(t.mtu_rung + 1);
    while (rung < kLadder.size() && kLadder[rung] >= failed) rung++;
    const bool none = rung >= kLadder.size() || kLadder[rung] <= t.path_mtu;
    t.mtu_rung = none ? 0 : rung & 0xf;
    if (none) t.mtu_search_at = units(now + kRaisePathMtuAfter);
}

/// True once if nothing but a probe was lost.
bool Stack::Impl::only_probe_lost(Tcb& t) {
    if (!t.mtu_probe_lost) return false;
    t.mtu_probe_lost = false;
    unsigned lost = 0;
    for (const TxRecord* r = t.tx_head; r && lost < 2; r = r->next) lost += r->has(TxRecord::kLost) ? 1 : 0;
    return lost == 1;
}

}  // namespace sluice::tcp
