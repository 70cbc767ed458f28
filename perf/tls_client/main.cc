// tls_client: a TLS 1.3 client over the kernel's TCP that shakes hands (closed loop), sends requests when they are due (open loop),
// or holds connections. In: see --help. Out: one line of JSON. perf/compare --tls and perf/idle_connections use it. Owns its sockets.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <string>

#include "perf/command_line.h"
#include "perf/tls_client/handshakes.h"
#include "perf/tls_client/hold.h"
#include "perf/tls_client/requests.h"

namespace {

using namespace sluice;

struct Given {
    std::string target, name = "edge.example", authority, certificate, path = "/1k";
    uint32_t concurrency = 8;
    double seconds = 1, warmup = 0.2, rate = 0;
    uint64_t seed = 1;
    uint32_t hold = 0;
    bool resume = false;
};

int fail(const std::string& why) {
    std::fprintf(stderr, "tls_client: %s\n", why.c_str());
    return 2;
}

std::optional<int> read_command_line(int argc, char** argv, Given& g) {
    return perf::CommandLine("TLS 1.3 handshakes, or requests over established connections")
        .required_text("--target", g.target, "IP:PORT")
        .text("--name", g.name, "SNI, and the name in the server's certificate")
        .text("--authority", g.authority, "PEM: verify the server by it")
        .text("--certificate", g.certificate, "PEM: the client's, leaf and key")
        .text("--path", g.path, "of requests")
        .number("--concurrency", g.concurrency, 1u, 4096u, "connections at a time")
        .number("--seconds", g.seconds, 0.01, 3600.0, "measured window")
        .number("--warmup", g.warmup, 0.0, 3600.0, "before it")
        .number("--requests-per-s", g.rate, 0.0, 1e6, "requests instead of handshakes, at this rate")
        .number("--hold", g.hold, 0u, 1'000'000u, "open so many, ask once on each, say `ready` and keep them")
        .seed(g.seed)
        .flag("--resume", g.resume, "handshakes are resumed by a ticket")
        .read(argc, argv);
}

std::optional<SocketAddress> read_target(const std::string& text) {
    const size_t colon = text.rfind(':');
    if (colon == text.npos) return std::nullopt;
    uint16_t port = 0;
    std::from_chars(text.data() + colon + 1, text.data() + text.size(), port);
    const auto ip = IpAddress::parse(text.substr(0, colon));
    if (!ip || port == 0) return std::nullopt;
    return SocketAddress{*ip, port};
}

std::string quantiles(const perf::Latency& l) {
    const auto us = [&](double q) { return static_cast<double>(l.quantile(q)) / 1e3; };
    return fmt::format("{{\"p50\": {:.1f}, \"p90\": {:.1f}, \"p99\": {:.1f}, \"p99.9\": {:.1f}, \"max\": {:.1f}}}", us(0.5), us(0.9), us(0.99), us(0.999),
                       static_cast<double>(l.max()) / 1e3);
}

}  // namespace

int main(int argc, char** argv) {
    Given given;
    if (const auto code = read_command_line(argc, argv, given)) return *code;
    signal(SIGPIPE, SIG_IGN);
    const auto target = read_target(given.target);
    if (!target) return fail("--target: not an address and a port, as in 192.0.2.1:443");
    perf::ClientContext context;
    if (const std::string wrong = context.open({given.name, given.authority, given.certificate}); !wrong.empty()) return fail(wrong);
    const auto warmup = static_cast<uint64_t>(given.warmup * 1e9), measure = static_cast<uint64_t>(given.seconds * 1e9);
    const std::string request = fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", given.path, given.name);
    if (given.hold > 0) {
        std::deque<perf::ClientConnection> held;
        if (const std::string wrong = run_hold(context, *target, given.hold, given.concurrency, request, held); !wrong.empty()) return fail(wrong);
        fmt::print("ready\n");
        std::fflush(stdout);
        for (;;) pause();
    }
    if (given.rate > 0) {
        const perf::RequestPlan plan{*target, request, given.concurrency, given.rate, warmup,
                                     measure, given.seed};
        perf::RequestOutcome out;
        if (const std::string wrong = run_requests(context, plan, out); !wrong.empty()) return fail(wrong);
        fmt::print("{{\"completed\": {}, \"requests_per_s\": {:.1f}, \"not_2xx\": {}, \"unanswered\": {}, \"latency_us\": {}}}\n", out.completed,
                   static_cast<double>(out.completed) / given.seconds, out.not_2xx, out.unanswered, quantiles(out.latency));
        return 0;
    }
    perf::HandshakeOutcome out;
    if (const std::string wrong = run_handshakes(context, {*target, given.concurrency, warmup, measure, given.resume}, out); !wrong.empty()) return fail(wrong);
    if (out.done == 0) return fail("no handshake ended well: " + out.failure);
    fmt::print("{{\"done\": {}, \"handshakes_per_s\": {:.1f}, \"resumed\": {}, \"failed\": {}, \"failure\": \"{}\", \"latency_us\": {}}}\n", out.done,
               static_cast<double>(out.done) / given.seconds, out.resumed, out.failed, out.failure, quantiles(out.latency));
    return 0;
}
