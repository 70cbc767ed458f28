// Checks of th_config, field by field, in the order of the struct (see config.h).
// A struct that is longer than ours comes from a newer header: what we do not know must be zero.
#include "tests/harness/config.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/limits.h"
#include "base/rng.h"

namespace sluice::harness {

namespace {

constexpr uint32_t kSocketsMax = 1u << 22;
constexpr uint32_t kTransmitFrames = 256;
constexpr uint32_t kBufferMin = 256;
constexpr uint32_t kMtuMax = 65535 - RTE_PKTMBUF_HEADROOM - 128;

const char* copy_config(const th_config* given, th_config& out) {
    if (!given) return "config: null";
    if (given->size < offsetof(th_config, ipv4)) return "size: set it to sizeof(struct th_config)";
    out = {};
    std::memcpy(&out, given, std::min<size_t>(given->size, sizeof out));
    const auto* bytes = reinterpret_cast<const uint8_t*>(given);
    for (size_t i = sizeof out; i < given->size; i++) {
        if (bytes[i] != 0) return "size: a field behind those that this library knows is set";
    }
    return nullptr;
}

bool can_be_own(const IpPrefix& p) { return !p.address.is_unspecified() && !p.address.is_multicast(); }

/// Address and default route of one family.
const char* add_family(net::PortConfig& port, const char* own, const char* gateway, bool v4) {
    if (!own) return gateway ? (v4 ? "gateway_ipv4: needs ipv4" : "gateway_ipv6: needs ipv6") : nullptr;
    const auto address = IpPrefix::parse(own);
    if (!address || address->address.is_v4() != v4 || !can_be_own(*address)) {
        return v4 ? "ipv4: not an address with a prefix such as 192.0.2.1/24" : "ipv6: not an address with a prefix such as 2001:db8::1/64";
    }
    port.addresses.push_back(*address);
    net::PortConfig::Route route{{v4 ? IpAddress::v4(0) : IpAddress{}, 0}, {}};
    if (gateway) {
        const auto via = IpAddress::parse(gateway);
        if (!via || via->is_v4() != v4 || !address->contains(*via)) {
            return v4 ? "gateway_ipv4: not an address on ipv4's link" : "gateway_ipv6: not an address on ipv6's link";
        }
        route.via = *via;
    }
    port.routes.push_back(route);
    return nullptr;
}

const char* read_tcp(const th_config& c, tcp::StackConfig& tcp) {
    const std::string_view congestion = c.congestion ? c.congestion : "cubic";
    if (congestion != "cubic" && congestion != "reno") return "congestion: neither cubic nor reno";
    tcp.congestion = congestion == "cubic" ? tcp::StackConfig::Congestion::kCubic : tcp::StackConfig::Congestion::kNewReno;
    if (c.initial_cwnd > 1000) return "initial_cwnd: more than 1000 segments";
    if (c.initial_cwnd != 0) tcp.initial_cwnd_segments = c.initial_cwnd;
    if (std::max({c.no_sack, c.no_timestamps, c.no_window_scale, c.ecn}) > 1) return "no_sack, no_timestamps, no_window_scale, ecn: 0 or 1";
    tcp.sack = !c.no_sack;
    tcp.timestamps = !c.no_timestamps;
    tcp.window_scale = !c.no_window_scale;
    tcp.ecn = c.ecn ? tcp::StackConfig::Ecn::kOn : tcp::StackConfig::Ecn::kOff;
    if (c.delayed_ack_us > 500'000) return "delayed_ack_us: more than half a second (RFC 9293 3.8.6.3)";
    if (c.delayed_ack_us != 0) tcp.delayed_ack = microseconds(c.delayed_ack_us);
    if (microseconds(c.min_rto_us) > tcp.max_rto) return "min_rto_us: above the largest RTO, 120 s";
    if (c.min_rto_us != 0) tcp.min_rto = microseconds(c.min_rto_us);
    if (c.max_sockets > kSocketsMax) return "max_sockets: more than 4194304";
    if (c.max_sockets != 0) tcp.connections_max = c.max_sockets;
    if (c.syn_backlog != 0) tcp.syn_backlog = c.syn_backlog;
    return nullptr;
}

const char* read_extra(const sluice_tcp_extra* given, const th_config& c, Setup& setup) {
    if (!given) return nullptr;
    if (given->size != sizeof(sluice_tcp_extra)) return "extra: size: set it to sizeof(struct sluice_tcp_extra)";
    const sluice_tcp_extra& e = *given;
    if (std::max({e.tx_checksum, e.tx_chains, e.tx_cuts, e.rx_chains, e.ecn_on_request}) > 1) return "extra: tx_checksum, ...: 0 or 1";
    if (e.ecn_on_request && c.ecn) return "extra: ecn_on_request: th_config.ecn is on already";
    if (e.ecn_on_request) setup.tcp.ecn = tcp::StackConfig::Ecn::kOnRequest;
    if (e.time_wait_us != 0) setup.tcp.time_wait = microseconds(e.time_wait_us);
    setup.faults = {e.objects_fail_every, e.mbufs_fail_every, c.seed ^ 0x6661756c7473};
    setup.offloads = {e.tx_checksum != 0, e.tx_chains != 0, e.tx_cuts != 0};
    setup.receive_chains = e.rx_chains != 0;
    if (e.buffer_min != 0) setup.buffer_min = e.buffer_min;
    return nullptr;
}

}  // namespace

const char* read_config(const th_config* given, const sluice_tcp_extra* extra, Setup& setup) {
    th_config c;
    if (const char* error = copy_config(given, c)) return error;
    if (c.now_us > kTimeMax) return "now_us: beyond 2^53";
    setup.seed = c.seed;
    setup.start = Instant{c.now_us} + kClockOffset;
    net::PortConfig port;
    port.name = "harness";
    port.link_layer = false;
    if (!c.ipv4 && !c.ipv6) return "ipv4, ipv6: give at least one address";
    if (const char* error = add_family(port, c.ipv4, c.gateway_ipv4, true)) return error;
    if (const char* error = add_family(port, c.ipv6, c.gateway_ipv6, false)) return error;
    const uint32_t mtu = c.mtu != 0 ? c.mtu : 1500;
    if (mtu > kMtuMax) return "mtu: more than 65279";
    if (mtu < (c.ipv6 ? 1280u : 576u)) return c.ipv6 ? "mtu: less than IPv6's 1280" : "mtu: less than 576";
    port.mtu = static_cast<uint16_t>(mtu);
    if (const char* error = read_tcp(c, setup.tcp)) return error;
    setup.buffer_min = kBufferMin;
    if (const char* error = read_extra(extra, c, setup)) return error;
    port.tx_tcp_checksum = setup.offloads.checksum;
    port.multi_segment = setup.offloads.chains;
    port.tso = setup.offloads.cuts;
    Rng seeds(c.seed);
    setup.net.seed = seeds.next();
    setup.tcp.seed = seeds.next();
    setup.net.ports = {port};
    setup.net.neighbors_max = 1;  // nobody is resolved without a link layer
    setup.net.pending_packets_max = 2;
    setup.net.transmit_queue_frames = kTransmitFrames;
    setup.mbuf_room = std::max<uint32_t>(limits::kMbufRoomBytes, mtu + 64);
    setup.mbufs_max = std::clamp<uint32_t>(2 * setup.tcp.connections_max, 8192, 131072) - 1;  // a ring holds 2^n - 1
    return nullptr;
}

}  // namespace sluice::harness
