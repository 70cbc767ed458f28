// How the gateway's TCP behaves towards clients and backends: what Linux has sysctls and socket options for.
// In: the tcp map. Out: a Tcp, and findings. Ranges are those of Linux (net.ipv4.tcp_*, TCP_KEEP*, IP_TOS), where it has the same thing.
#include "ctrl/host/read_tcp.h"

#include <fmt/format.h>

namespace sluice::host {

namespace {

constexpr Duration kKeepAliveMax = seconds(32767), kUserTimeoutMax = seconds(6553);

void read_duration(const Object& o, std::string_view field, Duration& value, Duration min, Duration max, std::string_view range) {
    std::string text;
    if (!o.scalar(field, text)) return;
    const auto duration = parse_duration(text);
    if (!duration) o.wrong(field, fmt::format("`{}` is not a duration", text.substr(0, 80)), "a number with its unit: 30s, 10m, 2h");
    else if (*duration < min || *duration > max) o.wrong(field, fmt::format("{} is out of range", text), std::string(range));
    else value = *duration;
}

void read_keep_alive(Context& context, const yaml::Node& yaml, Tcp& tcp) {
    const Object o(context, yaml, "tcp.keepAlive", fields::kKeepAliveObject);
    o.boolean("enabled", tcp.keepalive);
    read_duration(o, "idle", tcp.keepalive_idle, seconds(1), kKeepAliveMax, "1s to 32767s; enabled: false sends none");
    read_duration(o, "interval", tcp.keepalive_interval, seconds(1), kKeepAliveMax, "1s to 32767s");
    o.number("probes", tcp.keepalive_probes, 1, 127);
}

}  // namespace

void read_tcp(Context& context, const yaml::Node& yaml, Tcp& tcp) {
    const Object o(context, yaml, "tcp", fields::kTcpObject);
    constexpr std::string_view kCongestion[] = {"cubic", "newreno"}, kEcn[] = {"off", "passive", "on"};
    size_t index = 0;
    if (o.word("congestionControl", kCongestion, index)) tcp.congestion = static_cast<Tcp::Congestion>(index);
    if (o.word("ecn", kEcn, index)) tcp.ecn = static_cast<Tcp::Ecn>(index);
    if (const auto* keep_alive = o.find("keepAlive")) read_keep_alive(context, *keep_alive, tcp);
    read_duration(o, "userTimeout", tcp.user_timeout, seconds(0), kUserTimeoutMax, "0 (by the number of repeats) to 6553s");
    o.number("synBacklog", tcp.syn_backlog, 1, 1'000'000);
    o.number("hopLimit", tcp.hop_limit, 1, 255);
    o.number("dscp", tcp.dscp, 0, 63);
}

}  // namespace sluice::host
