// Units as Linux has them: segments for windows and flights, microseconds for times (see tcp_info.h).
#include "tests/harness/tcp_info.h"

#include <algorithm>

namespace sluice::harness {

namespace {

/// include/net/tcp_states.h, which user space does not see.
uint8_t linux_state(tcp::State state) {
    switch (state) {
        case tcp::State::kEstablished: return 1;
        case tcp::State::kSynSent: return 2;
        case tcp::State::kSynReceived: return 3;
        case tcp::State::kFinWait1: return 4;
        case tcp::State::kFinWait2: return 5;
        case tcp::State::kTimeWait: return 6;
        case tcp::State::kClosed: return 7;
        case tcp::State::kCloseWait: return 8;
        case tcp::State::kLastAck: return 9;
        case tcp::State::kListen: return 10;
        case tcp::State::kClosing: return 11;
    }
    return 7;
}

uint32_t us(Duration d) { return static_cast<uint32_t>(std::clamp<int64_t>(d.us, 0, UINT32_MAX)); }

constexpr uint32_t kInfiniteSsthresh = 0x7fffffff;

}  // namespace

tcp_info read_tcp_info(const Socket& socket) {
    tcp_info out{};
    out.tcpi_state = linux_state(socket.role == Socket::Role::kListening ? tcp::State::kListen : tcp::State::kClosed);
    if (socket.role == Socket::Role::kListening) {
        out.tcpi_unacked = static_cast<uint32_t>(socket.queue.size());
        out.tcpi_sacked = socket.backlog;
    }
    if (socket.role != Socket::Role::kStream) return out;
    const tcp::Info in = socket.connection->info();
    const uint32_t mss = std::max<uint32_t>(in.snd_mss, 1);
    out.tcpi_state = linux_state(in.state);
    out.tcpi_options = static_cast<uint8_t>((in.timestamps ? TCPI_OPT_TIMESTAMPS : 0) | (in.sack ? TCPI_OPT_SACK : 0) |
                                            (in.window_scale ? TCPI_OPT_WSCALE : 0) | (in.ecn ? TCPI_OPT_ECN : 0));
    out.tcpi_snd_wscale = in.snd_shift & 0xf;
    out.tcpi_rcv_wscale = in.rcv_shift & 0xf;
    out.tcpi_retransmits = out.tcpi_backoff = in.backoff;
    out.tcpi_probes = in.probes;
    out.tcpi_rto = us(in.rto);
    out.tcpi_ato = us(in.delayed_ack);
    out.tcpi_snd_mss = in.snd_mss;
    out.tcpi_rcv_mss = in.rcv_mss;
    out.tcpi_unacked = in.unacked;
    out.tcpi_sacked = in.sacked;
    out.tcpi_lost = in.lost;
    out.tcpi_retrans = in.retransmitting;
    out.tcpi_pmtu = in.path_mtu;
    out.tcpi_rtt = us(in.smoothed_rtt);
    out.tcpi_rttvar = us(in.rtt_variance);
    out.tcpi_min_rtt = in.min_rtt.us == 0 ? UINT32_MAX : us(in.min_rtt);
    out.tcpi_snd_ssthresh = in.ssthresh == UINT32_MAX ? kInfiniteSsthresh : in.ssthresh / mss;
    out.tcpi_snd_cwnd = std::max<uint32_t>(in.cwnd / mss, 1);
    out.tcpi_total_retrans = in.retransmits;
    out.tcpi_notsent_bytes = in.unsent_bytes;
    out.tcpi_bytes_acked = in.bytes_acked;
    out.tcpi_bytes_received = in.bytes_received;
    return out;
}

}  // namespace sluice::harness
