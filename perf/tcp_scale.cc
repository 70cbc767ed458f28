// What a segment costs when a few connections of very many are active: one TCP stack with 1,000 connections, one with
// 1,000,000, the same 1,000 busy in both, in turns. In: --connections N, --active N, --windows N, --seed N, --json.
// Out: cycles per segment in and out (medians, spread) and their ratio. Owns both stacks and the peer that plays against them.
// Each busy connection gets a request and sends an answer; only handle_segment with its timers (in) and poll_transmit (out) are
// timed. Segments are made and read between the clock reads. A stack's time is virtual: the cycles it spent. DESIGN.md, TCP.
#include <rte_cycles.h>

#include <array>
#include <cinttypes>
#include <memory>
#include <string>

#include "base/rng.h"
#include "perf/command_line.h"
#include "perf/in_process.h"
#include "tcp/connection_impl.h"
#include "tcp/stack.h"

namespace {

using namespace sluice;

constexpr uint32_t kBurst = 32;
constexpr uint32_t kSegmentsPerWindow = 200'000;
constexpr uint32_t kPeerPorts = 50'000, kPeerNet = 0x0b000001;
const IpAddress kUs = IpAddress::v4(0x0a000001);
constexpr std::string_view kRequest = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n", kAnswer = "HTTP/1.1 204 No Content\r\n\r\n";

struct Setup {
    uint32_t connections = 1'000'000, active = 1'000, windows = 9;
    uint64_t seed = 1;
    bool json = false;
};

/// Cycles per segment of one window, or of the median window.
struct Cost {
    double in = 0, out = 0, application = 0;
    double total() const { return in + out; }
};

/// A stack with so many connections, and their peer.
class Crowd final : public tcp::Environment {
 public:
    Crowd(rte_mempool* pool, uint32_t connections, uint32_t active, uint64_t seed)
        : pool_(pool), rng_(seed), nodes_(65536), stack_(config(connections, seed), pool, nodes_, *this) {
        if (!stack_.listen({kUs, 80}, nullptr, {})) std::abort();
        std::vector<Peer> all(connections);
        for (uint32_t i = 0; i < connections; i++) open(all[i] = {i, Seq{static_cast<uint32_t>(rng_.next())}, Seq{0}});
        for (uint32_t i = 0; i < active; i++) std::swap(all[i], all[rng_.between(i, connections - 1)]);  // any, in any order
        peers_.assign(all.begin(), all.begin() + active);
        spent_ += 3 * rte_get_tsc_hz();  // the handshakes' timers are over: what is left are keep-alives in two hours
        stack_.handle_timeout(now());
    }
    std::optional<net::RouteInfo> route(const IpAddress&, const IpAddress&) override {
        net::RouteInfo info;
        info.source = kUs;
        info.mtu = 1500;
        return info;
    }
    bool owns(const FourTuple&) override { return true; }

    Cost window(uint32_t segments) {
        Cost cost;
        uint32_t done = 0;
        for (; done < segments; done += kBurst) burst(cost);
        cost.in /= done, cost.out /= done, cost.application /= done;
        return cost;
    }
    uint32_t connections() const { return stack_.connections(); }

 private:
    struct Peer {
        uint32_t index = 0;  // gives its address and port
        Seq seq, ack;
    };
    static tcp::StackConfig config(uint32_t connections, uint64_t seed) {
        tcp::StackConfig config;
        config.connections_max = connections;
        config.seed = seed;
        return config;
    }
    Instant now() const { return {1'000'000 + static_cast<uint64_t>(static_cast<double>(spent_) * 1e6 / static_cast<double>(rte_get_tsc_hz()))}; }

    tcp::HeaderFields fields(const Peer& p, uint8_t flags) const {
        tcp::HeaderFields f;
        f.source_port = static_cast<uint16_t>(1024 + p.index % kPeerPorts);
        f.destination_port = 80;
        f.seq = p.seq;
        f.ack = p.ack;
        f.flags = flags;
        f.window = 65535;
        f.timestamp = true;
        f.ts_value = static_cast<uint32_t>(now().us / 1000);
        return f;
    }
    net::DatagramIn segment(const Peer& p, const tcp::HeaderFields& f, std::string_view payload = {}) {
        return perf::make_datagram(pool_, IpAddress::v4(kPeerNet + p.index / kPeerPorts), kUs, f, payload);
    }
    /// The peer's numbers move on. Answers leave in the order in which requests came.
    void read_answer(const net::DatagramOut& out, Peer& p) {
        const auto* bytes = rte_pktmbuf_mtod(out.mbuf, const uint8_t*);
        const auto s = tcp::parse_segment({bytes, out.mbuf->pkt_len}, out.mbuf->pkt_len);
        const uint32_t index = (out.destination.v4_value() - kPeerNet) * kPeerPorts + load_be16(bytes + 2) - 1024;
        if (!s || index != p.index || s->ack != p.seq) std::abort();
        p.ack = s->end();
        rte_pktmbuf_free(out.mbuf);
    }
    void open(Peer& p) {
        spent_ += 1000;
        tcp::HeaderFields syn = fields(p, tcp::kSyn);
        syn.mss = 1460;
        syn.sack_permitted = true;
        syn.window_shift = 7;
        net::DatagramIn in = segment(p, syn);
        p.seq = p.seq + 1;
        stack_.handle_segment(in, now());
        net::DatagramOut out;
        if (!stack_.poll_transmit(out, now())) std::abort();
        read_answer(out, p);
        in = segment(p, fields(p, tcp::kAck));
        stack_.handle_segment(in, now());
        tcp::ConnectionEvent event;
        if (!stack_.poll_event(event) || !(event.events & tcp::kAccepted)) std::abort();
    }

    void burst(Cost& cost) {
        std::array<net::DatagramIn, kBurst> in;
        const size_t first = at_;
        for (net::DatagramIn& d : in) {
            Peer& p = peers_[at_++ % peers_.size()];
            d = segment(p, fields(p, tcp::kAck | tcp::kPsh), kRequest);
            p.seq = p.seq + static_cast<uint32_t>(kRequest.size());
        }
        const Instant now = this->now();
        const uint64_t start = rte_rdtsc_precise();
        receive(in, now);
        const uint64_t received = rte_rdtsc_precise();
        for (tcp::ConnectionEvent event; stack_.poll_event(event);) answer(*event.connection);
        const uint64_t answered = rte_rdtsc_precise();
        std::array<net::DatagramOut, kBurst> out;
        uint32_t sent = 0;
        while (sent < kBurst && stack_.poll_transmit(out[sent], now)) sent++;
        const uint64_t end = rte_rdtsc_precise();
        if (sent != kBurst) std::abort();
        cost.in += static_cast<double>(received - start);
        cost.application += static_cast<double>(answered - received);
        cost.out += static_cast<double>(end - answered);
        spent_ += end - start;
        for (uint32_t i = 0; i < sent; i++) read_answer(out[i], peers_[(first + i) % peers_.size()]);
    }
    void receive(std::array<net::DatagramIn, kBurst>& in, Instant now) {
        stack_.prefetch(in);
        for (net::DatagramIn& d : in) {
            if (!stack_.handle_segment(d, now)) std::abort();
        }
        if (stack_.poll_timeout() <= now) stack_.handle_timeout(now);
    }
    void answer(tcp::Connection& c) {
        const uint64_t n = c.receive_queue().bytes();
        c.receive_queue().clear();
        c.consumed(n);
        SliceQueue answer(nodes_);
        rte_mbuf* m = rte_pktmbuf_alloc(pool_);
        if (!m) std::abort();
        std::memcpy(rte_pktmbuf_append(m, kAnswer.size()), kAnswer.data(), kAnswer.size());
        if (!answer.push_back(Slice(m, m->data_off, kAnswer.size())) || !c.write(std::move(answer))) std::abort();
    }

    rte_mempool* const pool_;
    Rng rng_;
    SliceNodePool nodes_;
    tcp::Stack stack_;
    std::vector<Peer> peers_;   // the busy ones
    size_t at_ = 0;
    uint64_t spent_ = 0;
};

/// Of all windows: the median of each part and of the sum, and the sum's ends.
struct Summary {
    Cost median;
    double total, best, worst;
};

Summary summarize(const std::vector<Cost>& windows) {
    const auto each = [&](auto part, double at) {
        std::vector<double> values;
        for (const Cost& c : windows) values.push_back(part(c));
        return perf::quantile(values, at);
    };
    const auto total = [](const Cost& c) { return c.total(); };
    return {{each([](const Cost& c) { return c.in; }, 0.5), each([](const Cost& c) { return c.out; }, 0.5),
             each([](const Cost& c) { return c.application; }, 0.5)},
            each(total, 0.5), each(total, 0), each(total, 1)};
}

void print(uint32_t connections, const Summary& s) {
    std::printf("%12u%10.0f%10.0f%10.0f%12.0f  (%.0f to %.0f)\n", connections, s.median.in, s.median.out, s.median.application, s.total, s.best, s.worst);
}

std::optional<int> read_command_line(int argc, char** argv, Setup& setup) {
    return perf::CommandLine("Cost of a segment among few and among many connections, in process")
        .number("--connections", setup.connections, kBurst, 2'000'000u, "of the large crowd")
        .number("--active", setup.active, kBurst, 2'000'000u, "of each crowd, at most --connections")
        .number("--windows", setup.windows, 1u, 10'000u, "how many are measured")
        .seed(setup.seed)
        .flag("--json", setup.json, "one line of JSON")
        .read(argc, argv);
}

}  // namespace

int main(int argc, char** argv) {
    Setup setup;
    if (const auto code = read_command_line(argc, argv, setup)) return *code;
    if (setup.active > setup.connections) {
        std::fprintf(stderr, "--active: more than --connections\n");
        return 2;
    }
    rte_mempool* pool = perf::worker_pool(8192);
    Crowd alone(pool, setup.active, setup.active, setup.seed);
    const uint64_t before = perf::resident_bytes();
    Crowd among(pool, setup.connections, setup.active, setup.seed);
    const double bytes = static_cast<double>(perf::resident_bytes() - before) / setup.connections;
    std::vector<Cost> costs[2];
    std::vector<double> ratios;
    for (uint32_t window = 0; window < setup.windows; window++) {
        Crowd* const crowds[2] = {&alone, &among};
        for (uint32_t turn = 0; turn < 2; turn++) {  // who begins alternates
            const uint32_t which = (turn + window) % 2;
            (void)crowds[which]->window(10 * setup.active);  // its own lines come back into the caches
            costs[which].push_back(crowds[which]->window(kSegmentsPerWindow));
        }
        ratios.push_back(costs[1].back().total() / costs[0].back().total());
    }
    const Summary few = summarize(costs[0]), many = summarize(costs[1]);
    const double ratio = perf::quantile(ratios);
    if (setup.json) {
        std::printf("{\"hz\": %" PRIu64 ", \"active\": %u, \"connections\": %u, \"alone_in\": %.1f, \"alone_out\": %.1f, \"among_in\": %.1f, "
                    "\"among_out\": %.1f, \"alone\": %.1f, \"among\": %.1f, \"ratio\": %.3f, \"resident_bytes_per_connection\": %.1f}\n",
                    rte_get_tsc_hz(), setup.active, setup.connections, few.median.in, few.median.out, many.median.in, many.median.out, few.total,
                    many.total, ratio, bytes);
        return 0;
    }
    std::printf("%u active connections, a request in and an answer out each in turn; cycles per segment, medians of %u windows\n", setup.active,
                setup.windows);
    std::printf("%12s%10s%10s%10s%12s\n", "connections", "in", "out", "(answer)", "in + out");
    print(alone.connections(), few);
    print(among.connections(), many);
    std::printf("ratio %.3f (%.3f to %.3f)   target: at most 1.25\n", ratio, perf::quantile(ratios, 0), perf::quantile(ratios, 1));
    std::printf("resident memory per connection (control block and table): %.0f B\n", bytes);
    return 0;
}
