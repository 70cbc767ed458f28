// Cycles per TCP segment and per timer, on one core with everything in its cache. Run on a quiet machine:
//   build/perf/micro_tcp --benchmark_min_time=0.5
// "cycles" are TSC ticks per operation in the best batch of 64: what the work costs when nobody else has the core.
// Two connections' ends are joined in process: what one stack sends is handed to the other; mbufs come from a worker's pool.
#include <benchmark/benchmark.h>
#include <x86intrin.h>

#include <array>
#include <memory>
#include <vector>

#include "base/rng.h"
#include "base/timer_wheel.h"
#include "perf/in_process.h"
#include "tcp/connection_impl.h"
#include "tcp/demux.h"
#include "tcp/stack.h"
#include "tcp/syn_cookie.h"

namespace {

using namespace sluice;

constexpr int kBatch = 64;

rte_mempool* pool() {
    static rte_mempool* const made = perf::worker_pool(32768);
    return made;
}

/// Keeps the best batch of each part of the work.
class Best {
 public:
    Best(benchmark::State& state, const char* name) : state_(state), name_(name) {}
    ~Best() { state_.counters[name_] = static_cast<double>(best_) / kBatch; }
    void take(uint64_t cycles) { best_ = std::min(best_, cycles); }
    template <typename Work>
    void run(Work work) {
        const uint64_t start = __rdtsc();
        for (int i = 0; i < kBatch; i++) work(i);
        take(__rdtsc() - start);
    }

 private:
    benchmark::State& state_;
    const char* name_;
    uint64_t best_ = UINT64_MAX;
};

const FourTuple kTuple{{IpAddress::v4(0x0a000001), 80}, {IpAddress::v4(0x0a000002), 40000}};
FourTuple tuple6() {
    FourTuple t{{*IpAddress::parse("2001:db8::1"), 80}, {*IpAddress::parse("2001:db8::2"), 40000}};
    return t;
}

// --- The pieces ----------------------------------------------------------------------------------

void parse_header(benchmark::State& state, bool sack) {
    tcp::HeaderFields f;
    f.flags = tcp::kAck;
    f.timestamp = true;
    const std::array<tcp::SackBlock, 3> blocks{};
    if (sack) f.sack = blocks;
    uint8_t bytes[tcp::kHeaderBytesMax];
    const uint32_t n = tcp::write_header(f, bytes);
    Best best(state, "cycles");
    for (auto _ : state) best.run([&](int) { benchmark::DoNotOptimize(tcp::parse_segment({bytes, n}, n)); });
}
BENCHMARK_CAPTURE(parse_header, timestamps, false);
BENCHMARK_CAPTURE(parse_header, three_sack_blocks, true);

void hash_of_tuple(benchmark::State& state, const FourTuple& tuple) {
    const SipKey key{1, 2};
    Best best(state, "cycles");
    for (auto _ : state) best.run([&](int) { benchmark::DoNotOptimize(tcp::hash_tuple(key, tuple)); });
}
BENCHMARK_CAPTURE(hash_of_tuple, ipv4, kTuple);
BENCHMARK_CAPTURE(hash_of_tuple, ipv6, tuple6());

void syn_cookie(benchmark::State& state) {
    const tcp::SynCookies cookies({3, 4});
    const Instant now{5'000'000};
    const Seq cookie = cookies.make(kTuple, Seq{1}, 1460, now);
    Best make(state, "make"), check(state, "check");
    for (auto _ : state) {
        make.run([&](int) { benchmark::DoNotOptimize(cookies.make(kTuple, Seq{1}, 1460, now)); });
        check.run([&](int) { benchmark::DoNotOptimize(cookies.check(kTuple, Seq{1}, cookie, now)); });
    }
}
BENCHMARK(syn_cookie);

// --- Two stacks ----------------------------------------------------------------------------------

class End final : public tcp::Environment {
 public:
    explicit End(uint32_t address, bool offload) : address_(IpAddress::v4(address)), offload_(offload), nodes_(8192), stack(config(), pool(), nodes_, *this) {}
    std::optional<net::RouteInfo> route(const IpAddress&, const IpAddress&) override {
        net::RouteInfo info;
        info.source = address_;
        info.mtu = 1500;
        info.tx_checksum = info.multi_segment = offload_;
        return info;
    }
    bool owns(const FourTuple&) override { return true; }
    const IpAddress& address() const { return address_; }
    SliceNodePool& nodes() { return nodes_; }

 private:
    static tcp::StackConfig config() {
        tcp::StackConfig config;
        config.connections_max = 64;
        config.seed = 9;
        return config;
    }
    const IpAddress address_;
    const bool offload_;
    SliceNodePool nodes_;

 public:
    tcp::Stack stack;
};

net::DatagramIn turned_round(const net::DatagramOut& out, bool verified) {
    if (out.mbuf->nb_segs > 1 && rte_pktmbuf_linearize(out.mbuf) != 0) std::abort();  // as a NIC would hand it in
    net::DatagramIn in;
    in.source = out.source;
    in.destination = out.destination;
    in.mbuf = out.mbuf;
    in.payload_length = static_cast<uint16_t>(out.mbuf->pkt_len);
    in.protocol = net::kProtocolTcp;
    in.l4_checksum_verified = verified;
    return in;
}

/// Client and server with one connection between them. Time passes by 10 us a move.
class Pair {
 public:
    explicit Pair(bool offload) : offload_(offload), ends_{std::make_unique<End>(0x0a000001, offload), std::make_unique<End>(0x0a000002, offload)} {
        tcp::Options options;
        if (!ends_[1]->stack.listen({ends_[1]->address(), 80}, nullptr, options)) std::abort();
        tcp::Error error;
        connections_[0] = ends_[0]->stack.connect({ends_[1]->address(), 80}, {}, options, nullptr, now_, &error);
        for (int i = 0; i < 3; i++) exchange();
        tcp::ConnectionEvent event;
        while (ends_[1]->stack.poll_event(event)) connections_[1] = event.connection;
        while (ends_[0]->stack.poll_event(event)) {}
        if (!connections_[0] || !connections_[1] || connections_[0]->state() != tcp::State::kEstablished) std::abort();
    }
    tcp::Connection& connection(int end) { return *connections_[end]; }
    tcp::Stack& stack(int end) { return ends_[end]->stack; }
    void move_on(Duration d = microseconds(10)) { now_ = now_ + d; }

    void write(int end, uint32_t bytes) {
        SliceQueue data(ends_[end]->nodes());
        for (uint32_t left = bytes; left > 0;) {
            rte_mbuf* m = rte_pktmbuf_alloc(pool());
            const uint32_t n = std::min<uint32_t>(left, 1448);
            if (!m || !rte_pktmbuf_append(m, static_cast<uint16_t>(n)) || !data.push_back(Slice(m, m->data_off, n))) std::abort();
            left -= n;
        }
        if (!connections_[end]->write(std::move(data))) std::abort();
    }
    /// Everything that `end` has to send; cycles of the sending.
    uint64_t send(int end, std::vector<net::DatagramIn>& to) {
        net::DatagramOut out;
        sent_.clear();
        const uint64_t start = __rdtsc();
        while (ends_[end]->stack.poll_transmit(out, now_)) sent_.push_back(out);
        const uint64_t cycles = __rdtsc() - start;
        for (const net::DatagramOut& o : sent_) to.push_back(turned_round(o, offload_));
        return cycles;
    }
    uint64_t receive(int end, std::vector<net::DatagramIn>& from) {
        const uint64_t start = __rdtsc();
        for (net::DatagramIn& in : from) ends_[end]->stack.handle_segment(in, now_);
        const uint64_t cycles = __rdtsc() - start;
        from.clear();
        return cycles;
    }
    void drain(int end) {
        for (tcp::ConnectionEvent event; ends_[end]->stack.poll_event(event);) {}
        tcp::Connection& c = *connections_[end];
        const uint64_t n = c.receive_queue().bytes();
        c.receive_queue().clear();
        c.consumed(n);
    }
    void exchange() {
        move_on();
        for (int end = 0; end < 2; end++) {
            send(end, wire_);
            receive(1 - end, wire_);
        }
    }

 private:
    const bool offload_;
    Instant now_{5'000'000};
    std::unique_ptr<End> ends_[2];
    tcp::Connection* connections_[2] = {};
    std::vector<net::DatagramOut> sent_;
    std::vector<net::DatagramIn> wire_;
};

/// Request and answer of `bytes` each, one at a time: a segment out and one in at either end; averaged over 64 turns.
void request_answer(benchmark::State& state, uint32_t bytes, bool offload) {
    Pair pair(offload);
    std::vector<net::DatagramIn> wire;
    Best in(state, "cycles_in"), out(state, "cycles_out");
    for (auto _ : state) {
        uint64_t cycles_in = 0, cycles_out = 0;
        for (int i = 0; i < kBatch; i++) {
            pair.move_on();
            pair.write(0, bytes);
            cycles_out += pair.send(0, wire);
            cycles_in += pair.receive(1, wire);
            pair.drain(1);
            pair.write(1, bytes);
            pair.send(1, wire);
            pair.receive(0, wire);
            pair.drain(0);
        }
        in.take(cycles_in);
        out.take(cycles_out);
    }
}
BENCHMARK_CAPTURE(request_answer, 100_bytes, 100u, false);
BENCHMARK_CAPTURE(request_answer, 1024_bytes, 1024u, false);
BENCHMARK_CAPTURE(request_answer, 1024_bytes_offloads, 1024u, true);

/// A long transfer in full segments: out, in, and the ACKs back; 64 segments a turn.
void bulk(benchmark::State& state, bool offload) {
    Pair pair(offload);
    std::vector<net::DatagramIn> data, acks;
    for (int i = 0; i < 40; i++) {  // past slow start's first steps
        pair.write(0, kBatch * 1448);
        for (int j = 0; j < 20; j++) pair.exchange(), pair.drain(1);
    }
    Best in(state, "cycles_in"), out(state, "cycles_out"), ack_in(state, "cycles_acks_in");
    for (auto _ : state) {
        pair.move_on(milliseconds(1));
        pair.write(0, kBatch * 1448);
        const uint64_t cycles_out = pair.send(0, data);
        if (data.size() != kBatch) return state.SkipWithError("the window does not hold the batch");
        out.take(cycles_out);
        in.take(pair.receive(1, data));
        pair.drain(1);
        pair.send(1, acks);
        ack_in.take(pair.receive(0, acks));
        pair.drain(0);
    }
}
BENCHMARK_CAPTURE(bulk, software, false);
BENCHMARK_CAPTURE(bulk, offloads, true);

// --- Timers --------------------------------------------------------------------------------------

void wheel(benchmark::State& state, uint64_t horizon_us) {
    Rng rng(11);
    TimerWheel wheel;
    std::array<TimerNode, kBatch> nodes;
    Instant now{};
    std::array<Instant, kBatch> at;
    Best arm(state, "arm"), move(state, "move"), cancel(state, "cancel"), advance(state, "fire");
    for (auto _ : state) {
        for (Instant& i : at) i = now + microseconds(static_cast<int64_t>(1 + rng.below(horizon_us)));
        arm.run([&](int i) { wheel.arm(nodes[static_cast<size_t>(i)], at[static_cast<size_t>(i)]); });
        move.run([&](int i) { wheel.arm(nodes[static_cast<size_t>(i)], at[static_cast<size_t>(kBatch - 1 - i)]); });
        cancel.run([&](int i) { wheel.cancel(nodes[static_cast<size_t>(i)]); });
        for (int i = 0; i < kBatch; i++) wheel.arm(nodes[static_cast<size_t>(i)], at[static_cast<size_t>(i)]);
        now = now + microseconds(static_cast<int64_t>(horizon_us + 1000));
        uint32_t fired = 0;
        const uint64_t start = __rdtsc();
        wheel.advance(now, [&](TimerNode&) { fired++; });
        advance.take(__rdtsc() - start);
        if (fired != kBatch) return state.SkipWithError("a timer did not fire");
    }
}
BENCHMARK_CAPTURE(wheel, within_40_ms, uint64_t{40'000});
BENCHMARK_CAPTURE(wheel, within_2_hours, uint64_t{7'200'000'000});

}  // namespace

BENCHMARK_MAIN();
