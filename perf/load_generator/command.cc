// One line of text to a Plan, an Outcome to one line of JSON (see command.h).
// In and out: see the header. Times are seconds in the text, nanoseconds inside, microseconds in the JSON.
#include "perf/load_generator/command.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>

namespace sluice::perf {

namespace {

constexpr double kSecondsMax = 3600;

struct Words {
    std::string target, host, path = "/", headers;
    double rate = 0, seconds = 1, warmup = 0.2;
    uint64_t connections = 1, seed = 1;
    Arrivals arrivals = Arrivals::kClosed;
};

bool number(std::string_view text, double& out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc{} && end == text.data() + text.size() && out >= 0;
}

bool number(std::string_view text, uint64_t& out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc{} && end == text.data() + text.size();
}

/// "10.0.0.1:80" or "[fd00::1]:80"
std::optional<SocketAddress> parse_target(std::string_view text) {
    const size_t colon = text.rfind(':');
    if (colon == text.npos) return std::nullopt;
    std::string_view ip = text.substr(0, colon);
    if (ip.starts_with('[') && ip.ends_with(']')) ip = ip.substr(1, ip.size() - 2);
    uint64_t port = 0;
    const auto address = IpAddress::parse(std::string(ip));
    if (!address || !number(text.substr(colon + 1), port) || port == 0 || port > 65535) return std::nullopt;
    return SocketAddress{*address, static_cast<uint16_t>(port)};
}

bool set(Words& w, std::string_view name, std::string_view value) {
    if (name == "target") return w.target = value, true;
    if (name == "host") return w.host = value, true;
    if (name == "path") return w.path = value, value.starts_with('/');
    if (name == "rate") return number(value, w.rate);
    if (name == "seconds") return number(value, w.seconds) && w.seconds > 0 && w.seconds <= kSecondsMax;
    if (name == "warmup") return number(value, w.warmup) && w.warmup <= kSecondsMax;
    if (name == "connections") return number(value, w.connections);
    if (name == "seed") return number(value, w.seed);
    if (name != "mode") return false;
    w.arrivals = value == "fixed" ? Arrivals::kFixed : value == "poisson" ? Arrivals::kPoisson : Arrivals::kClosed;
    return value == "fixed" || value == "poisson" || value == "closed";
}

std::string quantiles(const Latency& l) {
    const auto us = [&](double q) { return static_cast<double>(l.quantile(q)) / 1e3; };
    return fmt::format("{{\"mean\": {:.3f}, \"p50\": {:.3f}, \"p90\": {:.3f}, \"p99\": {:.3f}, \"p99.9\": {:.3f}, \"p99.99\": {:.3f}, \"max\": {:.3f}}}",
                       l.mean() / 1e3, us(0.5), us(0.9), us(0.99), us(0.999), us(0.9999), static_cast<double>(l.max()) / 1e3);
}

}  // namespace

sluice::Result<Plan> parse_run(std::string_view line, uint32_t connections_max) {
    Words w;
    for (size_t at = 0; at < line.size();) {
        const size_t end = std::min(line.find(' ', at), line.size());
        const std::string_view word = line.substr(at, end - at);
        at = end + 1;
        const size_t equals = word.find('=');
        if (word.empty()) continue;
        if (equals == word.npos || !set(w, word.substr(0, equals), word.substr(equals + 1))) return unexpected(fmt::format("`{}` is not understood", word));
    }
    const auto target = parse_target(w.target);
    if (!target) return unexpected(fmt::format("target `{}` is not an address and a port", w.target));
    if (w.connections == 0 || w.connections > connections_max) return unexpected(fmt::format("connections: 1 to {}", connections_max));
    if (w.arrivals != Arrivals::kClosed && w.rate <= 0) return unexpected(std::string("an open loop needs a rate"));
    Plan plan;
    plan.target = *target;
    plan.request = fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", w.path, w.host.empty() ? w.target : w.host);
    plan.arrivals = w.arrivals;
    plan.rate_per_s = w.rate;
    plan.connections = static_cast<uint32_t>(w.connections);
    plan.warmup_ns = static_cast<uint64_t>(w.warmup * 1e9);
    plan.measure_ns = static_cast<uint64_t>(w.seconds * 1e9);
    plan.seed = w.seed;
    return plan;
}

std::string to_json(const Plan& plan, const Outcome& o) {
    const double seconds = static_cast<double>(o.window_ns) / 1e9;
    // A closed loop's connection would have sent again each time that a request usually takes.
    const uint64_t expected = plan.arrivals == Arrivals::kClosed ? o.latency.quantile(0.5) : 0;
    return fmt::format("{{\"event\": \"done\", \"seconds\": {:.6f}, \"completed\": {}, \"requests_per_s\": {:.1f}, \"bytes\": {}, \"not_2xx\": {}, \"malformed\": {}, "
                       "\"failed_connections\": {}, \"reconnects\": {}, \"unanswered\": {}, \"unsent\": {}, \"latency_us\": {}, \"service_us\": {}}}",
                       seconds, o.completed, seconds > 0 ? static_cast<double>(o.completed) / seconds : 0.0, o.bytes, o.not_2xx, o.malformed, o.failed_connections,
                       o.reconnects, o.unanswered, o.unsent, quantiles(o.latency.corrected(expected)), quantiles(o.service));
}

}  // namespace sluice::perf
