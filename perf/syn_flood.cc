// A SYN flood against one core's IP and TCP, in process: forged SYNs from everywhere, good clients in between.
// In: --syns N (a window), --windows N, --good SHARE (good clients per SYN), --seed N, --json. Out: SYN/s, cycles per SYN,
// share of good clients served, resident memory and pools before and after. Owns both stacks and the clients.
// Only the gateway's work is timed: frames are made, and answers read, between the clock reads. Its time is virtual:
// cycles spent, so that a core fully busy with the flood is what is measured. THREATS.md 1, RFC 4987.
#include <rte_cycles.h>

#include <array>
#include <cinttypes>
#include <map>
#include <memory>
#include <string>

#include "base/rng.h"
#include "net/ip_headers.h"
#include "net/stack.h"
#include "perf/command_line.h"
#include "perf/in_process.h"
#include "tcp/connection_impl.h"
#include "tcp/stack.h"

namespace {

using namespace sluice;

constexpr uint32_t kBurst = 64, kClients = 4096, kWarmUpSyns = 1'000'000;
constexpr uint32_t kUs = 0x0a000001, kRouter = 0x0a0000fe, kGoodNet = 0xac100000;  // 10.0.0.1, 10.0.0.254, 172.16.0.0/16
constexpr net::MacAddress kOurMac{2, 0, 0, 0, 0, 1}, kRouterMac{2, 0, 0, 0, 0, 2};
constexpr Duration kPatience = seconds(1);  // a client without its answer by then was not served: it repeats nothing
constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: a\r\n\r\n", kAnswer = "HTTP/1.1 204 No Content\r\n\r\n";

struct Setup {
    uint32_t syns = 2'000'000, windows = 5;
    double good = 0.01;
    uint64_t seed = 1;
    bool json = false;
};

/// An honest client: SYN, ACK with a request, answer, FIN, and the gateway's FIN acknowledged.
struct Client {
    enum class Step : uint8_t { kIdle, kSynSent, kRequested, kClosing } step = Step::kIdle;
    bool timestamps = false;
    uint16_t port = 0;
    Seq seq, ack;
    uint32_t ts_echo = 0;
    Instant since{};
};

struct Tally {
    uint64_t syns = 0, cycles = 0, good_begun = 0, good_served = 0, good_failed = 0;
};

class Flood final : public tcp::Environment {
 public:
    explicit Flood(const Setup& setup)
        : setup_(setup), rng_(setup.seed), pool_(perf::worker_pool(8192)), nodes_(65536), net_(net_config(), pool_),
          tcp_(tcp_config(), pool_, nodes_, *this), clients_(kClients) {
        if (!tcp_.listen({IpAddress::v4(kUs), 80}, nullptr, {})) std::abort();
    }
    std::optional<net::RouteInfo> route(const IpAddress& to, const IpAddress& from) override { return net_.route(to, from); }
    bool owns(const FourTuple&) override { return true; }

    void run(uint64_t syns, Tally& tally) {
        const double per_burst = setup_.good * kBurst;
        for (const uint64_t end = tally.syns + syns; tally.syns < end;) {
            for (good_due_ += per_burst; good_due_ >= 1; good_due_--) begin_client(tally);
            while (frames_.size() < kBurst) {
                frames_.push_back(forged_syn());
                tally.syns++;
            }
            serve(tally);
            read_answers(tally);
        }
    }
    /// No more SYNs: what is under way comes to its end.
    void drain(Tally& tally) {
        for (uint32_t turns = 0; turns < 100'000 && busy_ > 0; turns++) {
            now_cycles_ += rte_get_tsc_hz() / 1000;
            serve(tally);
            read_answers(tally);
            for (Client& c : clients_) expire(c, tally);
        }
    }
    const tcp::Counters& counters() const { return tcp_.counters(); }
    uint32_t connections() const { return tcp_.connections(); }
    uint32_t half_open() const { return tcp_.half_open(); }
    uint32_t nodes_in_use() const { return nodes_.in_use(); }
    uint32_t mbufs_in_use() const { return rte_mempool_in_use_count(pool_); }

 private:
    net::StackConfig net_config() const {
        net::StackConfig config;
        net::PortConfig port;
        port.name = "outside";
        port.mac = kOurMac;
        port.addresses = {{IpAddress::v4(kUs), 24}};
        port.routes = {{{IpAddress::v4(0), 0}, IpAddress::v4(kRouter)}};
        config.ports = {port};
        config.seed = setup_.seed;
        return config;
    }
    tcp::StackConfig tcp_config() const {
        tcp::StackConfig config;
        config.seed = setup_.seed;
        return config;
    }
    Instant now() const { return {1'000'000 + static_cast<uint64_t>(static_cast<double>(now_cycles_) * 1e6 / static_cast<double>(rte_get_tsc_hz()))}; }

    rte_mbuf* frame(uint32_t source, const tcp::HeaderFields& fields, std::string_view payload = {}) {
        net::DatagramIn d = perf::make_datagram(pool_, IpAddress::v4(source), IpAddress::v4(kUs), fields, payload);
        auto* ip = reinterpret_cast<net::Ipv4Header*>(rte_pktmbuf_prepend(d.mbuf, sizeof(net::Ipv4Header)));
        *ip = {};
        ip->version_ihl = 0x45;
        ip->total_length = be16_t(static_cast<uint16_t>(d.mbuf->pkt_len));
        ip->ttl = 64;
        ip->protocol = net::kProtocolTcp;
        store_be32(ip->source, source);
        store_be32(ip->destination, kUs);
        ip->checksum = checksum_finish(checksum_add(ip, sizeof *ip));
        return ethernet(d.mbuf, net::kEtherTypeIpv4);
    }
    static rte_mbuf* ethernet(rte_mbuf* m, uint16_t type) {
        auto* link = reinterpret_cast<net::EthernetHeader*>(rte_pktmbuf_prepend(m, sizeof(net::EthernetHeader)));
        std::memcpy(link->destination, kOurMac.data(), 6);
        std::memcpy(link->source, kRouterMac.data(), 6);
        link->ether_type = be16_t(type);
        return m;
    }
    /// From any address but the good clients', half of them with the options that Linux sends, half with an MSS only.
    rte_mbuf* forged_syn() {
        const uint64_t random = rng_.next();
        tcp::HeaderFields f;
        f.source_port = static_cast<uint16_t>(random | 1024);
        f.destination_port = 80;
        f.seq = Seq{static_cast<uint32_t>(rng_.next())};
        f.flags = tcp::kSyn;
        f.window = 64240;
        f.mss = 1460;
        if (random & 1) linux_options(f, static_cast<uint32_t>(random >> 8));
        const uint32_t source = 0x0b000000 + static_cast<uint32_t>(rng_.below(0x60000000));  // 11.0.0.0 - 106.255.255.255
        return frame(source, f);
    }
    static void linux_options(tcp::HeaderFields& f, uint32_t stamp) {
        f.sack_permitted = true;
        f.timestamp = true;
        f.ts_value = stamp;
        f.window_shift = 7;
    }

    // --- The good clients ------------------------------------------------------------------------

    static uint32_t address(uint32_t client) { return kGoodNet + client; }
    tcp::HeaderFields next(const Client& c, uint8_t flags) const {
        tcp::HeaderFields f;
        f.source_port = c.port;
        f.destination_port = 80;
        f.seq = c.seq;
        f.ack = c.ack;
        f.flags = flags;
        f.window = 501;
        f.timestamp = c.timestamps;
        f.ts_value = static_cast<uint32_t>(now().us / 1000);
        f.ts_echo = c.ts_echo;
        return f;
    }
    void expire(Client& c, Tally& tally) {
        if (c.step == Client::Step::kIdle || now() - c.since < kPatience) return;
        if (c.step != Client::Step::kClosing) tally.good_failed++;
        c.step = Client::Step::kIdle;
        busy_--;
    }
    void begin_client(Tally& tally) {
        const uint32_t index = next_client_++ % kClients;
        Client& c = clients_[index];
        expire(c, tally);
        if (c.step != Client::Step::kIdle) return;  // all are under way
        c.step = Client::Step::kSynSent;
        c.port = static_cast<uint16_t>(c.port < 1024 ? 1024 + rng_.below(30000) : c.port + 1);
        c.timestamps = (rng_.next() & 1) != 0;
        c.seq = Seq{static_cast<uint32_t>(rng_.next())};
        c.ack = Seq{0};
        c.ts_echo = 0;
        c.since = now();
        tcp::HeaderFields f = next(c, tcp::kSyn);
        f.mss = 1460;
        if (c.timestamps) linux_options(f, f.ts_value);
        frames_.push_back(frame(address(index), f));
        c.seq = c.seq + 1;
        tally.good_begun++;
        busy_++;
    }
    void answer_client(uint32_t index, const tcp::Segment& s, std::string_view payload, Tally& tally) {
        Client& c = clients_[index];
        if (s.has_timestamp) c.ts_echo = s.ts_value;
        if (c.step == Client::Step::kSynSent && s.has(tcp::kSyn) && s.has(tcp::kAck) && s.ack == c.seq) {
            c.ack = s.seq + 1;
            c.step = Client::Step::kRequested;
            frames_.push_back(frame(address(index), next(c, tcp::kAck)));
            frames_.push_back(frame(address(index), next(c, tcp::kAck | tcp::kPsh), kRequest));
            c.seq = c.seq + static_cast<uint32_t>(kRequest.size());
        } else if (c.step == Client::Step::kRequested && payload == kAnswer && s.seq == c.ack) {
            tally.good_served++;
            c.ack = s.end();
            c.step = Client::Step::kClosing;
            frames_.push_back(frame(address(index), next(c, tcp::kFin | tcp::kAck)));
            c.seq = c.seq + 1;
        } else if (c.step == Client::Step::kClosing && s.has(tcp::kFin)) {
            c.ack = s.end();
            c.step = Client::Step::kIdle;
            busy_--;
            frames_.push_back(frame(address(index), next(c, tcp::kAck)));
        }
    }

    // --- The gateway: what a worker does in a turn, timed ------------------------------------------

    void serve(Tally& tally) {
        for (rte_mbuf* m : frames_) rte_prefetch0(rte_pktmbuf_mtod(m, void*));
        const Instant now = this->now();
        const uint64_t start = rte_rdtsc_precise();
        for (size_t at = 0; at < frames_.size(); at += kBurst) {
            std::array<net::DatagramIn, kBurst> datagrams;
            uint32_t count = 0;
            const size_t end = std::min(frames_.size(), at + kBurst);
            for (size_t i = at; i < end; i++) {
                if (net_.handle_frame(frames_[i], 0, now, datagrams[count]) == net::Verdict::kTransport) count++;
            }
            tcp_.prefetch({datagrams.data(), count});
            for (uint32_t i = 0; i < count; i++) {
                if (tcp_.handle_segment(datagrams[i], now)) continue;
                tcp_.reject(datagrams[i], now);
                rte_pktmbuf_free(datagrams[i].mbuf);
            }
            if (net_.poll_timeout() <= now) net_.handle_timeout(now);
            if (tcp_.poll_timeout() <= now) tcp_.handle_timeout(now);
            for (tcp::ConnectionEvent event; tcp_.poll_event(event);) handle_event(event);
            for (; tcp_.poll_transmit(out_, now);) net_.send(out_, now);
            std::array<rte_mbuf*, kBurst> frames;
            while (const uint16_t n = net_.poll_transmit(0, frames.data(), kBurst)) sent_.insert(sent_.end(), frames.begin(), frames.begin() + n);
        }
        const uint64_t cycles = rte_rdtsc_precise() - start;
        tally.cycles += cycles;
        now_cycles_ += cycles;
        frames_.clear();
    }
    void handle_event(const tcp::ConnectionEvent& event) {
        tcp::Connection& c = *event.connection;
        if (event.events & tcp::kFailed) return c.release();
        if (event.events & tcp::kReadable) {
            const uint64_t n = c.receive_queue().bytes();
            c.receive_queue().clear();
            c.consumed(n);
            SliceQueue answer(nodes_);
            rte_mbuf* m = rte_pktmbuf_alloc(pool_);
            if (!m) return c.abort();
            std::memcpy(rte_pktmbuf_append(m, kAnswer.size()), kAnswer.data(), kAnswer.size());
            if (answer.push_back(Slice(m, m->data_off, kAnswer.size()))) c.write(std::move(answer));
        }
        if (event.events & tcp::kPeerClosed) {
            c.shutdown_write();
            c.release();
        }
    }

    // --- What came out ---------------------------------------------------------------------------

    void read_answers(Tally& tally) {
        for (rte_mbuf* m : sent_) {
            const auto* bytes = rte_pktmbuf_mtod(m, const uint8_t*);
            const uint16_t type = load_be16(bytes + 12);
            if (type == net::kEtherTypeArp && load_be16(bytes + 20) == 1) answer_arp();
            if (type == net::kEtherTypeIpv4) {
                const auto* ip = reinterpret_cast<const net::Ipv4Header*>(bytes + 14);
                const uint32_t to = load_be32(ip->destination);
                const uint32_t length = ip->total_length.value() - 20u;
                const auto segment = tcp::parse_segment({bytes + 34, length}, length);
                if (to >> 16 == kGoodNet >> 16 && segment) {
                    const Client& c = clients_[(to - kGoodNet) % kClients];
                    const bool its_own = load_be16(bytes + 36) == c.port;
                    const auto* payload = reinterpret_cast<const char*>(bytes + 34 + segment->header_bytes);
                    if (its_own) answer_client((to - kGoodNet) % kClients, *segment, {payload, segment->payload_bytes}, tally);
                }
            }
            rte_pktmbuf_free(m);
        }
        sent_.clear();
    }
    void answer_arp() {
        rte_mbuf* m = rte_pktmbuf_alloc(pool_);
        net::ArpPacket arp{};
        arp.hardware_type = be16_t(1);
        arp.protocol_type = be16_t(net::kEtherTypeIpv4);
        arp.hardware_length = 6;
        arp.protocol_length = 4;
        arp.operation = be16_t(2);
        std::memcpy(arp.sender_mac, kRouterMac.data(), 6);
        store_be32(arp.sender_ip, kRouter);
        std::memcpy(arp.target_mac, kOurMac.data(), 6);
        store_be32(arp.target_ip, kUs);
        std::memcpy(rte_pktmbuf_append(m, sizeof arp), &arp, sizeof arp);
        frames_.push_back(ethernet(m, net::kEtherTypeArp));
    }

    const Setup setup_;
    Rng rng_;
    rte_mempool* const pool_;
    SliceNodePool nodes_;
    net::Stack net_;
    tcp::Stack tcp_;
    net::DatagramOut out_;
    std::vector<Client> clients_;
    std::vector<rte_mbuf*> frames_, sent_;  // to the gateway, from it
    uint32_t next_client_ = 0, busy_ = 0;
    double good_due_ = 0;
    uint64_t now_cycles_ = 0;
};

struct Memory {
    uint64_t resident;
    uint32_t mbufs, nodes, connections, half_open;
};

Memory memory_of(const Flood& flood) {
    return {perf::resident_bytes(), flood.mbufs_in_use(), flood.nodes_in_use(), flood.connections(), flood.half_open()};
}

void print_memory(const char* when, const Memory& m) {
    std::printf("  %-7s resident %.1f MiB, mbufs %u, list nodes %u, connections %u of which half open %u\n", when,
                static_cast<double>(m.resident) / (1 << 20), m.mbufs, m.nodes, m.connections, m.half_open);
}

std::optional<int> read_command_line(int argc, char** argv, Setup& setup) {
    return perf::CommandLine("A SYN flood against one core's IP and TCP, in process")
        .number("--syns", setup.syns, 1u, 1'000'000'000u, "forged SYNs of a window")
        .number("--windows", setup.windows, 1u, 10'000u, "how many are measured")
        .number("--good", setup.good, 0.0, 0.25, "good clients for each SYN")
        .seed(setup.seed)
        .flag("--json", setup.json, "one line of JSON")
        .read(argc, argv);
}

}  // namespace

int main(int argc, char** argv) {
    Setup setup;
    if (const auto code = read_command_line(argc, argv, setup)) return *code;
    Flood flood(setup);
    Tally warm_up, all;
    flood.run(kWarmUpSyns, warm_up);
    const Memory before = memory_of(flood);
    const auto hz = static_cast<double>(rte_get_tsc_hz());
    std::vector<double> cycles;
    Tally before_windows = warm_up;
    all = warm_up;
    for (uint32_t window = 0; window < setup.windows; window++) {
        const Tally start = all;
        flood.run(setup.syns, all);
        cycles.push_back(static_cast<double>(all.cycles - start.cycles) / static_cast<double>(all.syns - start.syns));
    }
    const Memory after = memory_of(flood);
    const uint64_t syns = all.syns - before_windows.syns, cookies = flood.counters().syn_cookies_sent;
    flood.drain(all);
    const double share = all.good_begun == 0 ? 1 : static_cast<double>(all.good_served) / static_cast<double>(all.good_begun);
    const double median = perf::quantile(cycles), best = perf::quantile(cycles, 0), worst = perf::quantile(cycles, 1);
    if (setup.json) {
        std::printf("{\"hz\": %.0f, \"syns\": %" PRIu64 ", \"cycles_per_syn\": %.1f, \"cycles_min\": %.1f, \"cycles_max\": %.1f, \"syns_per_second\": %.0f, "
                    "\"good_begun\": %" PRIu64 ", \"good_served\": %" PRIu64 ", \"cookies\": %" PRIu64
                    ", \"resident_before\": %" PRIu64 ", \"resident_after\": %" PRIu64 ", \"mbufs_before\": %u, \"mbufs_after\": %u, "
                    "\"connections_before\": %u, \"connections_after\": %u}\n",
                    hz, syns, median, best, worst, hz / median, all.good_begun, all.good_served, cookies, before.resident, after.resident, before.mbufs,
                    after.mbufs, before.connections, after.connections);
        return 0;
    }
    std::printf("%" PRIu64 " forged SYNs in %u windows, and %" PRIu64 " good clients, seed %" PRIu64 "\n", syns, setup.windows, all.good_begun, setup.seed);
    std::printf("  %.2f M SYN/s on one core of %.2f GHz: %.0f cycles each (median; %.0f to %.0f), good clients' work included   target: 2 M\n",
                hz / median / 1e6, hz / 1e9, median, best, worst);
    std::printf("  good clients served %.3f %%   target: 99 %%\n", share * 100);
    print_memory("before", before);
    print_memory("after", after);
    std::printf("  cookies sent %" PRIu64 "\n", cookies);
    return 0;
}
